//! Rows 14 to 17: VXLAN between the nodes.

use super::{
    catalogue::{At, Dialled, Fault, KUBE_PROXY, PROXIES, Shows},
    rebuild,
    site::Site,
    step::{Plan, Step},
    tables::{chain, nft},
};
use crate::{
    lab::{
        Host, Mode, UPLINK, Underlay,
        topology::{Fdb, LinkKind, Neighbor},
    },
    netlink::{Mac, ethtool::Offload},
};

const VTEP: Fault = Fault {
    name: "fdb-wrong-vtep",
    rows: &[17],
    imitates: "an FDB entry that sends a peer's packets to an address where no VTEP is",
    at: At::Node,
    modes: &[Mode::Vxlan],
    proxies: PROXIES,
    limits: "host-gw has no overlay",
    shows: &[Shows::Silence],
    dialled: Dialled::Anywhere,
    programs: &["bridge"],
    on_switch: false,
    plan: fdb_wrong_vtep,
};

pub(super) const FAULTS: &[Fault] = &[
    VTEP,
    Fault {
        name: "fdb-missing",
        imitates: "an FDB entry for a peer that was never made",
        plan: fdb_missing,
        ..VTEP
    },
    Fault {
        name: "vtep-neighbor-wrong",
        imitates: "a peer's VTEP has another Ethernet address than its neighbor entry says",
        programs: &["ip"],
        plan: neighbor_wrong,
        ..VTEP
    },
    Fault {
        name: "vtep-neighbor-missing",
        imitates: "no neighbor entry for a peer's VTEP, on a device that nobody answers ARP on",
        shows: &[Shows::Silence, Shows::Unreachable],
        programs: &["ip"],
        plan: neighbor_missing,
        ..VTEP
    },
    Fault {
        name: "vni-mismatch",
        rows: &[16],
        imitates: "one node's VXLAN device has another VNI than the rest",
        programs: &["ip", "bridge"],
        plan: |site| rebuild::vxlan(site, &site.node, |vni, _| *vni += 1),
        ..VTEP
    },
    Fault {
        name: "vxlan-port-mismatch",
        rows: &[16],
        imitates: "one node's VXLAN device uses the port of RFC 7348, the rest the kernel's",
        programs: &["ip", "bridge"],
        plan: |site| rebuild::vxlan(site, &site.node, |_, port| *port = 4789),
        ..VTEP
    },
    Fault {
        name: "vxlan-blocked",
        rows: &[14],
        imitates: "a security group between the nodes that does not let UDP 8472 in",
        programs: &["nft"],
        plan: vxlan_blocked,
        ..VTEP
    },
    Fault {
        name: "vxlan-checksum",
        rows: &[15],
        imitates: "an offload on the way that leaves a wrong checksum in the outer UDP header",
        proxies: KUBE_PROXY,
        limits: "host-gw has no overlay, and netlab's XDP sends no outer checksum, which the \
                 switch's ports have passed before one could be damaged there",
        programs: &["nft", "ethtool"],
        plan: vxlan_checksum,
        ..VTEP
    },
];

/// The node's FDB entry and neighbor for the peer's VTEP.
fn towards_peer(site: &Site) -> Result<(Fdb, Neighbor), super::FaultError> {
    let (device, peer) = (&site.vtep(&site.node)?.name, site.peer()?);
    let address = site.v4(peer)?;
    let fdb = site.node.fdb.iter().find(|fdb| fdb.destination == address);
    let neighbor = fdb.and_then(|fdb| {
        site.node.neighbors.iter().find(|n| n.mac == fdb.mac && n.device == *device)
    });
    match (fdb, neighbor) {
        (Some(fdb), Some(neighbor)) => Ok((fdb.clone(), neighbor.clone())),
        _ => site.unfit(format!("{} has no entries for {}", site.node.name, peer.name)),
    }
}

pub(super) fn fdb_line(fdb: &Fdb, destination: impl ToString) -> String {
    let (mac, device) = (fdb.mac, &fdb.device);
    format!("bridge fdb replace {mac} dev {device} dst {} self permanent", destination.to_string())
}

pub(super) fn neighbor_line(neighbor: &Neighbor, mac: Mac) -> String {
    let (address, device) = (neighbor.address, &neighbor.device);
    format!("ip neigh replace {address} lladdr {mac} dev {device} nud permanent")
}

fn fdb_wrong_vtep(site: &Site) -> Plan {
    let (fdb, _) = towards_peer(site)?;
    // Behind the nodes, and not theirs: the client, who listens on no such port.
    let wrong = site.v4(site.client()?)?;
    let line = fdb_line(&fdb, wrong);
    Ok(vec![Step::command(&site.node, &line, &fdb_line(&fdb, fdb.destination))])
}

fn fdb_missing(site: &Site) -> Plan {
    let (fdb, _) = towards_peer(site)?;
    let (mac, device, destination) = (fdb.mac, &fdb.device, fdb.destination);
    let line = format!("bridge fdb del {mac} dev {device} dst {destination} self");
    Ok(vec![Step::command(&site.node, &line, &fdb_line(&fdb, destination))])
}

fn neighbor_wrong(site: &Site) -> Plan {
    let (fdb, neighbor) = towards_peer(site)?;
    let mut other = neighbor.mac;
    other.0[5] ^= 0xff;
    // As after the peer's device was made anew: the old address, and the FDB knows it still.
    let wrong = Fdb { mac: other, ..fdb };
    let (mac, device, destination) = (wrong.mac, &wrong.device, wrong.destination);
    let forget = format!("bridge fdb del {mac} dev {device} dst {destination} self");
    let line = neighbor_line(&neighbor, other);
    Ok(vec![
        Step::command(&site.node, &fdb_line(&wrong, destination), &forget),
        Step::command(&site.node, &line, &neighbor_line(&neighbor, neighbor.mac)),
    ])
}

fn neighbor_missing(site: &Site) -> Plan {
    let (_, neighbor) = towards_peer(site)?;
    let line = format!("ip neigh del {} dev {}", neighbor.address, neighbor.device);
    Ok(vec![Step::command(&site.node, &line, &neighbor_line(&neighbor, neighbor.mac))])
}

/// UDP port of the node's VXLAN device.
pub(super) fn port(site: &Site) -> Result<u16, super::FaultError> {
    match site.vtep(&site.node)?.kind {
        LinkKind::Vxlan { port, .. } => Ok(port),
        _ => site.unfit("there is no VXLAN device"),
    }
}

/// Rules for what the fabric forwards: frames of a switch, packets of a router.
fn in_the_fabric(site: &Site, rules: &str) -> Plan {
    let family = if site.options.underlay == Underlay::L2 { "bridge" } else { "inet" };
    let chain = chain("filter", "forward", "0", "accept", rules);
    Ok(vec![nft(
        site.fabric()?,
        family,
        &format!("fault-{}-{}", site.fault, site.node.name),
        &chain,
    )])
}

fn vxlan_blocked(site: &Site) -> Plan {
    let (node, port) = (site.v4(&site.node)?, port(site)?);
    in_the_fabric(site, &format!("ip daddr {node} udp dport {port} counter drop"))
}

fn vxlan_checksum(site: &Site) -> Plan {
    let (node, port) = (site.v4(&site.node)?, port(site)?);
    let mut steps = as_on_a_wire(site)?;
    // The field as it lies in the header: nft would complete a checksum that it knows of.
    let rule = format!("ip daddr {node} udp dport {port} @th,48,16 set 0xdead counter");
    steps.extend(in_the_fabric(site, &rule)?);
    Ok(steps)
}

/// Checksums towards the node are there before its port, and looked at after it. Between veths
/// they would pass for good, as never having left the machine.
fn as_on_a_wire(site: &Site) -> Plan {
    let fabric = site.fabric()?;
    let command = |host: &Host, device: &str, which: &str| {
        let set = |state: &str| format!("ethtool -K {device} {which} {state}");
        Step::command(host, &set("off"), &set("on"))
    };
    let mut steps = vec![command(&site.node, UPLINK, "rx")];
    for port in &fabric.links {
        if !matches!(port.kind, LinkKind::Veth { .. }) {
            continue;
        }
        if !port.leads_to(&site.node.name) {
            steps.push(command(fabric, &port.name, "rx"));
        } else if port.offloads.get(&Offload::TxChecksum) != Some(&false) {
            steps.push(command(fabric, &port.name, "tx"));
        }
    }
    Ok(steps)
}
