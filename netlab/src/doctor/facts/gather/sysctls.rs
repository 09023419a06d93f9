//! The switches that decide about forwarding, connections and neighbors.

use std::{collections::BTreeMap, fs, path::Path};

use super::super::link::Link;

/// Below /proc/sys/net.
const GLOBAL: [&str; 36] = [
    "bridge/bridge-nf-call-arptables",
    "bridge/bridge-nf-call-ip6tables",
    "bridge/bridge-nf-call-iptables",
    "core/bpf_jit_enable",
    "core/netdev_max_backlog",
    "core/somaxconn",
    "ipv4/fib_multipath_use_neigh",
    "ipv4/icmp_ratelimit",
    "ipv4/icmp_ratemask",
    "ipv4/ip_default_ttl",
    "ipv4/ip_early_demux",
    "ipv4/ip_forward",
    "ipv4/ip_forward_use_pmtu",
    "ipv4/ip_local_port_range",
    "ipv4/ip_local_reserved_ports",
    "ipv4/ip_no_pmtu_disc",
    "ipv4/ip_nonlocal_bind",
    "ipv4/ip_unprivileged_port_start",
    "ipv4/neigh/default/gc_thresh1",
    "ipv4/neigh/default/gc_thresh2",
    "ipv4/neigh/default/gc_thresh3",
    "ipv4/tcp_abort_on_overflow",
    "ipv4/tcp_max_syn_backlog",
    "ipv4/tcp_mtu_probing",
    "ipv4/tcp_syncookies",
    "ipv4/tcp_timestamps",
    "ipv6/bindv6only",
    "ipv6/ip_nonlocal_bind",
    "ipv6/neigh/default/gc_thresh3",
    "netfilter/nf_conntrack_buckets",
    "netfilter/nf_conntrack_count",
    "netfilter/nf_conntrack_max",
    "netfilter/nf_conntrack_tcp_be_liberal",
    "netfilter/nf_conntrack_tcp_loose",
    "netfilter/nf_conntrack_tcp_timeout_established",
    "netfilter/nf_conntrack_udp_timeout",
];

/// Below /proc/sys/net/ipv4/conf/INTERFACE.
const V4: [&str; 14] = [
    "accept_local",
    "accept_redirects",
    "arp_accept",
    "arp_announce",
    "arp_filter",
    "arp_ignore",
    "forwarding",
    "proxy_arp",
    "route_localnet",
    "rp_filter",
    "secure_redirects",
    "send_redirects",
    "src_valid_mark",
    "accept_source_route",
];

/// Below /proc/sys/net/ipv6/conf/INTERFACE.
const V6: [&str; 7] = [
    "accept_dad",
    "accept_ra",
    "accept_redirects",
    "disable_ipv6",
    "forwarding",
    "mtu",
    "proxy_ndp",
];

/// Most links that are looked at one by one; `all` and `default` always are.
const MOST_LINKS: usize = 512;

/// Those of the calling thread's namespace.
pub(super) fn read(links: &[Link]) -> BTreeMap<String, String> {
    let root = Path::new("/proc/sys/net");
    let mut values = BTreeMap::new();
    let mut take = |key: String| {
        if let Ok(value) = fs::read_to_string(root.join(&key)) {
            values.insert(key, value.trim_end().to_owned());
        }
    };
    GLOBAL.iter().for_each(|key| take((*key).to_owned()));
    let names = links.iter().take(MOST_LINKS).map(|link| link.name.as_str());
    for name in ["all", "default"].into_iter().chain(names) {
        V4.iter().for_each(|key| take(format!("ipv4/conf/{name}/{key}")));
        V6.iter().for_each(|key| take(format!("ipv6/conf/{name}/{key}")));
    }
    values
}
