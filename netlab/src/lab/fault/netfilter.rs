//! Rows 22, 23 and 29: somebody's rules drop or reject.

use super::{
    catalogue::{At, Dialled, Fault, KUBE_PROXY, MODES, PROXIES, Shows},
    overlay,
    site::Site,
    step::{Plan, Step},
    tables::{chain, nft},
};
use crate::lab::{Mode, UPLINK};

/// Why netlab's programs are not met by rules of the node.
pub(super) const BEFORE: &str =
    "netlab's programs translate and decapsulate before netfilter sees a packet";

const FIREWALL: Fault = Fault {
    name: "input-policy-drop",
    rows: &[22, 14],
    imitates: "a host firewall that lets in ssh and what belongs to known connections, but not \
               the other nodes' VXLAN",
    at: At::Node,
    modes: &[Mode::Vxlan],
    proxies: PROXIES,
    limits: "of what a node port is dialled with, only the outer packets of VXLAN come to INPUT",
    shows: &[Shows::Silence],
    dialled: Dialled::Anywhere,
    programs: &["nft"],
    on_switch: false,
    plan: input_policy_drop,
};

pub(super) const FAULTS: &[Fault] = &[
    FIREWALL,
    Fault {
        name: "input-drop-legacy",
        imitates: "a rule against UDP 8472 in the store of iptables-legacy",
        programs: &["iptables-legacy"],
        plan: input_drop_legacy,
        ..FIREWALL
    },
    Fault {
        name: "prerouting-drop",
        rows: &[22],
        imitates: "a host firewall that drops in prerouting, before node ports are translated",
        modes: MODES,
        proxies: KUBE_PROXY,
        limits: BEFORE,
        dialled: Dialled::AtNode,
        plan: prerouting_drop,
        ..FIREWALL
    },
    Fault {
        name: "ingress-drop",
        rows: &[22],
        imitates: "a rule at the uplink's ingress hook, in the family netdev",
        modes: MODES,
        proxies: KUBE_PROXY,
        limits: BEFORE,
        dialled: Dialled::AtNode,
        plan: ingress_drop,
        ..FIREWALL
    },
    Fault {
        name: "source-range-drop",
        rows: &[29],
        imitates: "a load balancer's source ranges, made a rule that does not cover the client",
        modes: MODES,
        proxies: KUBE_PROXY,
        limits: BEFORE,
        dialled: Dialled::AtNode,
        plan: source_range_drop,
        ..FIREWALL
    },
    Fault {
        name: "pod-policy-drop",
        rows: &[23],
        imitates: "a NetworkPolicy that does not allow the client, as chains that drop",
        at: At::Pod,
        modes: MODES,
        limits: "",
        plan: |site| pod_policy(site, "drop"),
        ..FIREWALL
    },
    Fault {
        name: "pod-policy-reject",
        rows: &[23],
        imitates: "the same, as chains that reject",
        at: At::Pod,
        modes: MODES,
        limits: "",
        shows: &[Shows::Unreachable, Shows::Refused],
        plan: |site| pod_policy(site, "reject with icmp type admin-prohibited"),
        ..FIREWALL
    },
];

fn input_policy_drop(site: &Site) -> Plan {
    let rules = "ct state established,related accept\niif lo accept\n\
                 meta l4proto { icmp, ipv6-icmp } accept\ntcp dport 22 accept";
    let chain = chain("filter", "input", "filter", "drop", rules);
    Ok(vec![nft(&site.node, "inet", "fault-input-policy-drop", &chain)])
}

fn input_drop_legacy(site: &Site) -> Plan {
    let port = overlay::port(site)?;
    let command =
        |letter: &str| format!("iptables-legacy -w {letter} INPUT -p udp --dport {port} -j DROP");
    Ok(vec![Step::command(&site.node, &command("-I"), &command("-D"))])
}

fn prerouting_drop(site: &Site) -> Plan {
    let rule = format!("{} dport {} counter drop", site.transport(), site.node_port());
    let chain = chain("filter", "prerouting", "raw", "accept", &rule);
    Ok(vec![nft(&site.node, "inet", "fault-prerouting-drop", &chain)])
}

fn ingress_drop(site: &Site) -> Plan {
    let rule = format!("{} dport {} counter drop", site.transport(), site.node_port());
    let hook = format!("type filter hook ingress device {UPLINK} priority 0; policy accept;");
    let chain = format!("chain ingress {{\n{hook}\n{rule}\n}}\n");
    Ok(vec![nft(&site.node, "netdev", "fault-ingress-drop", &chain)])
}

fn source_range_drop(site: &Site) -> Plan {
    // TEST-NET-3 of RFC 5737, where no client is.
    let rule = format!(
        "{} dport {} ip saddr != 203.0.113.0/24 counter drop",
        site.transport(),
        site.node_port()
    );
    let chain = chain("filter", "prerouting", "mangle", "accept", &rule);
    Ok(vec![nft(&site.node, "inet", "fault-source-range-drop", &chain)])
}

/// As controllers lay policies out: a chain for each pod that one selects.
fn pod_policy(site: &Site, verdict: &str) -> Plan {
    let address = site.v4(site.pod()?)?;
    let pod = format!("chain pod {{\ncounter {verdict}\n}}\n");
    let jump = format!("ip daddr {address} ct state new jump pod");
    let chains = pod + &chain("filter", "forward", "filter", "accept", &jump);
    Ok(vec![nft(&site.node, "inet", &format!("fault-{}", site.fault), &chains)])
}
