//! Rows 21, 32 and 33: Ethernet addresses that are not whose they seem.

use std::net::Ipv4Addr;

use super::{
    catalogue::{At, Dialled, Fault, MODES, PROXIES, Shows},
    site::Site,
    step::{Plan, Step},
};
use crate::lab::{Host, POD_BRIDGE, UPLINK};

const STALE: Fault = Fault {
    name: "stale-pod-neighbor",
    rows: &[32],
    imitates: "a pod was made anew with another Ethernet address, and the node keeps the old one",
    at: At::Pod,
    modes: MODES,
    proxies: PROXIES,
    limits: "",
    shows: &[Shows::Silence],
    dialled: Dialled::Anywhere,
    programs: &["ip"],
    on_switch: false,
    plan: stale_pod_neighbor,
};

pub(super) const FAULTS: &[Fault] = &[
    STALE,
    Fault {
        name: "duplicate-pod-address",
        rows: &[33],
        imitates: "another pod on the node has the pod's address too, and spoke last",
        shows: &[Shows::Refused, Shows::Silence],
        plan: duplicate_pod_address,
        ..STALE
    },
    Fault {
        name: "duplicate-node-address",
        rows: &[21],
        imitates: "another host on the underlay has the node's address too, and spoke last",
        at: At::Node,
        shows: &[Shows::Refused, Shows::Silence],
        on_switch: true,
        plan: duplicate_node_address,
        ..STALE
    },
];

fn stale_pod_neighbor(site: &Site) -> Plan {
    let address = site.v4(site.pod()?)?;
    // Locally administered, and of no link of the lab.
    let line = format!(
        "ip neigh replace {address} lladdr 0a:58:00:de:ad:01 dev {POD_BRIDGE} nud permanent"
    );
    let undo = format!("ip neigh del {address} dev {POD_BRIDGE}");
    Ok(vec![Step::command(&site.node, &line, &undo)])
}

fn duplicate_pod_address(site: &Site) -> Plan {
    let (address, other) = (site.v4(site.pod()?)?, site.neighbor()?);
    let gateway = Ipv4Addr::from(u32::from(site.pod_network(&site.node)?.network()) + 1);
    let mut steps = taken_by(other, UPLINK, address);
    steps.extend(learnt(&site.node, POD_BRIDGE, other, address, gateway));
    Ok(steps)
}

/// The switch itself takes it, as a host of the underlay.
fn duplicate_node_address(site: &Site) -> Plan {
    const SWITCH: &str = "br0";
    let (fabric, address) = (site.fabric()?, site.v4(&site.node)?);
    let mut steps = taken_by(fabric, SWITCH, address);
    for host in std::iter::once(site.client()?).chain(site.peer().ok()) {
        let route = format!("{}/32", site.v4(host)?);
        steps.push(Step::routes(fabric, &route, &format!("{route} dev {SWITCH} src {address}")));
        steps.extend(learnt(host, UPLINK, fabric, address, site.v4(host)?));
    }
    Ok(steps)
}

fn taken_by(host: &Host, device: &str, address: Ipv4Addr) -> Vec<Step> {
    let command = |verb: &str| format!("ip addr {verb} {address}/32 dev {device}");
    vec![Step::command(host, &command("add"), &command("del"))]
}

/// `host` forgets who has the address, and hears it from `other`, who asks for `asked`.
fn learnt(
    host: &Host,
    device: &str,
    other: &Host,
    address: Ipv4Addr,
    asked: Ipv4Addr,
) -> Vec<Step> {
    let forget = format!("ip neigh flush to {address} dev {device}");
    let mut steps = vec![Step::command(host, &forget, &forget)];
    // Whoever knows already does not ask.
    let forgets = format!("ip neigh flush to {asked}");
    steps.push(Step::command(other, &forgets, &forgets));
    let netns = other.netns.clone();
    steps.push(Step::Speak { netns, from: address, to: asked });
    steps
}
