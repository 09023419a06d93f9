//! Rows 10 to 12 and 25: tables, ports and switches that run out or are off.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{
    agents,
    catalogue::{At, Dialled, Fault, KUBE_PROXY, MODES, Shows},
    site::Site,
    step::{Plan, Step, words},
    tables::{chain, nft},
};
use crate::{
    lab::{Proxy, processes::Process},
    netlink::{Netns, conntrack::Entries, sysctl},
    spec::model::Protocol,
};

/// A table larger than this is not filled: entries take 320 octets or so each.
const LARGEST_TABLE: u32 = 1 << 20;

/// Source port of the client whose UDP state is stale.
pub(super) const STALE_PORT: u16 = 40053;

const PORTS: Fault = Fault {
    name: "snat-ports-exhausted",
    rows: &[11],
    imitates: "an agent with one port to masquerade with, which the first connection to a backend \
               takes",
    at: At::Node,
    modes: MODES,
    proxies: &[Proxy::Ebpf],
    limits: "of kube-proxy's rules, snat-range-narrow takes the ports",
    shows: &[Shows::Silence],
    dialled: Dialled::AtNode,
    programs: &[],
    on_switch: false,
    plan: ports_exhausted,
};

pub(super) const FAULTS: &[Fault] = &[
    PORTS,
    Fault {
        name: "snat-range-narrow",
        imitates: "somebody's masquerade rule with one port, ahead of kube-proxy's",
        proxies: KUBE_PROXY,
        limits: "netlab's programs masquerade by themselves; snat-ports-exhausted takes the ports",
        programs: &["nft"],
        plan: range_narrow,
        ..PORTS
    },
    Fault {
        name: "conntrack-full",
        rows: &[10],
        imitates: "the node's conntrack table is full of connections that nothing ends",
        proxies: KUBE_PROXY,
        limits: "netlab's own table forgets the oldest instead of refusing the newest",
        plan: conntrack_full,
        ..PORTS
    },
    Fault {
        name: "stale-udp",
        rows: &[12],
        imitates: "UDP state of a client that leads to a pod which is gone",
        proxies: KUBE_PROXY,
        limits: "netlab's agent forgets an endpoint's UDP state as the endpoint goes",
        dialled: Dialled::UdpFlow,
        plan: stale_udp,
        ..PORTS
    },
    Fault {
        name: "route-localnet-off",
        rows: &[25],
        imitates: "somebody has set route_localnet back to 0: node ports do not answer at 127.0.0.1",
        proxies: &[Proxy::Iptables],
        limits: "only kube-proxy's iptables mode answers node ports at 127.0.0.1",
        dialled: Dialled::Loopback,
        plan: route_localnet_off,
        ..PORTS
    },
];

fn ports_exhausted(site: &Site) -> Plan {
    let agent = agents::agent(site)?;
    let mut args = agent.args.clone();
    args.extend(words("--snat-ports 1024-1024"));
    Ok(vec![Step::Process { name: agent.name.clone(), after: Some(Process { args, ..agent }) }])
}

fn range_narrow(site: &Site) -> Plan {
    let (transport, port) = (site.transport(), site.target_port());
    // Replies of connections already tracked are not asked; the first rule that matches counts.
    let rule = format!("ct status dnat {transport} dport {port} counter masquerade to :1024");
    let chain = chain("nat", "postrouting", "srcnat - 10", "accept", &rule);
    Ok(vec![nft(&site.node, "ip", "fault-snat-range-narrow", &chain)])
}

fn conntrack_full(site: &Site) -> Plan {
    let netns = Netns::open(&site.node.netns)?;
    let most = sysctl::read(&netns, "netfilter/nf_conntrack_max")?;
    let Some(count) = most.parse().ok().filter(|most| (1..=LARGEST_TABLE).contains(most)) else {
        return site.unfit(format!("a conntrack table of {most} entries is not filled"));
    };
    // TEST-NET-1 of RFC 5737: connections of nobody, to nobody.
    let end = |last, port| SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, last), port);
    let entries = Entries {
        protocol: Protocol::Tcp.number(),
        client: end(1, 1),
        dialled: end(2, 80),
        answers: None,
        count,
    };
    Ok(vec![Step::Conntrack { netns: site.node.netns.clone(), entries }])
}

fn stale_udp(site: &Site) -> Plan {
    let (port, node_port) = site.udp_port()?;
    let Some(endpoint) = port.endpoints.first() else {
        return site.unfit("the UDP Service has no endpoint");
    };
    // An address of the node's pod network that no pod has: the one before the broadcast's.
    let network = site.pod_network(&site.node)?;
    let dead = Ipv4Addr::from(u32::from(network.broadcast()).saturating_sub(1));
    let entries = Entries {
        protocol: Protocol::Udp.number(),
        client: SocketAddrV4::new(site.v4(site.client()?)?, STALE_PORT),
        dialled: SocketAddrV4::new(site.v4(&site.node)?, node_port.get()),
        answers: Some(SocketAddrV4::new(dead, endpoint.port.get())),
        count: 1,
    };
    Ok(vec![Step::Conntrack { netns: site.node.netns.clone(), entries }])
}

fn route_localnet_off(site: &Site) -> Plan {
    Ok(vec![Step::sysctl(&site.node, "ipv4/conf/all/route_localnet", "0")])
}
