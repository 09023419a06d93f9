//! Rows 13 and 20: what lies between the nodes, and how large packets may be.

use super::{
    catalogue::{At, Dialled, Fault, MODES, PROXIES, Shows},
    site::Site,
    step::{Plan, Step},
    tables::{chain, nft},
};
use crate::lab::{Mode, POD_BRIDGE};

/// How much smaller the narrow hop is than what pods believe.
const NARROWER: u32 = 100;

const BLACK_HOLE: Fault = Fault {
    name: "mtu-blackhole",
    rows: &[13],
    imitates: "a hop that is narrower than the pods' links, and a filter that keeps its ICMP \
               \"fragmentation needed\" from the sender",
    at: At::Node,
    modes: MODES,
    proxies: PROXIES,
    limits: "",
    shows: &[Shows::Stalls],
    dialled: Dialled::Bulk,
    programs: &["ip", "nft"],
    on_switch: false,
    plan: mtu_blackhole,
};

pub(super) const FAULTS: &[Fault] = &[
    BLACK_HOLE,
    Fault {
        name: "nodes-isolated",
        rows: &[20],
        imitates: "host-gw between nodes that do not share a link: a private VLAN, or a cloud's \
                   network that only knows its own addresses",
        modes: &[Mode::HostGw],
        limits: "row 20 is of host-gw",
        shows: &[Shows::Silence, Shows::Unreachable],
        dialled: Dialled::Anywhere,
        programs: &["bridge", "ip"],
        on_switch: true,
        plan: nodes_isolated,
        ..BLACK_HOLE
    },
];

fn mtu_blackhole(site: &Site) -> Plan {
    let bridge = site.node.links.iter().find(|link| link.name == POD_BRIDGE);
    let Some(mtu) = bridge.map(|bridge| bridge.mtu) else {
        return site.unfit(format!("{} has no {POD_BRIDGE}", site.node.name));
    };
    let set = |mtu: u32| format!("ip link set dev {POD_BRIDGE} mtu {mtu}");
    let rules = "icmp type destination-unreachable icmp code frag-needed counter drop\n\
                 icmpv6 type packet-too-big counter drop";
    let filter = chain("filter", "output", "filter", "accept", rules);
    Ok(vec![
        nft(&site.node, "inet", "fault-mtu-blackhole", &filter),
        Step::command(&site.node, &set(mtu.saturating_sub(NARROWER)), &set(mtu)),
    ])
}

/// The switch passes nothing between isolated ports (bridge(8)).
fn nodes_isolated(site: &Site) -> Plan {
    let (fabric, peer) = (site.fabric()?, site.peer()?);
    let mut steps = Vec::new();
    for (host, other) in [(&site.node, peer), (peer, &site.node)] {
        let Some(port) = fabric.links.iter().find(|link| link.leads_to(&host.name)) else {
            return site.unfit(format!("the switch has no port to {}", host.name));
        };
        let set = |value: &str| format!("bridge link set dev {} isolated {value}", port.name);
        steps.push(Step::command(fabric, &set("on"), &set("off")));
        // Who knew the other's Ethernet address would take a while to notice.
        let forget = format!("ip neigh flush to {}", site.v4(other)?);
        steps.push(Step::command(host, &forget, &forget));
    }
    Ok(steps)
}
