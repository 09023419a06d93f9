//! The ordered difference between a topology and what is observed. Pure.

use std::fmt;

use super::observe::{Observed, ObservedHost};
use crate::{
    lab::topology::{Address, Fdb, Host, Link, LinkKind, Neighbor, Route, Topology},
    netlink::{self, ethtool::Offload},
};

/// One change to one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The host's short name.
    pub host: String,
    /// Its namespace.
    pub netns: String,
    /// What changes.
    pub change: Change,
}

/// What changes. In the order of phases: every host finishes one before any starts the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make the namespace.
    Namespace,
    /// Set a sysctl (path below /proc/sys/net).
    Sysctl(String, String),
    /// Remove a route that the lab wanted before.
    RemoveRoute(Route),
    /// Remove an FDB entry that the lab wanted before.
    RemoveFdb(Fdb),
    /// Remove a neighbor entry that the lab wanted before.
    RemoveNeighbor(Neighbor),
    /// Remove an address that the lab wanted before.
    RemoveAddress(Address),
    /// Delete a link that is in the way, or that the lab wanted before.
    DeleteLink(String),
    /// Make a bridge.
    Bridge(Link),
    /// Make a veth pair, this end here.
    Veth {
        /// This end.
        end: Link,
        /// Namespace of the other end.
        peer_netns: String,
        /// The other end.
        peer: Link,
    },
    /// Change a link's Ethernet address.
    Mac(String, netlink::Mac),
    /// Change a link's MTU.
    Mtu(String, u32),
    /// Make a link a port of a bridge.
    Master(String, String),
    /// Let a bridge port send back where a frame came from, or not.
    Hairpin(String, bool),
    /// Turn an offload switch.
    Offload(String, Offload, bool),
    /// Bring a link up.
    Up(String),
    /// Add an address.
    Address(Address),
    /// Make a VXLAN device.
    Vxlan(Link),
    /// Set a neighbor entry.
    Neighbor(Neighbor),
    /// Set an FDB entry.
    Fdb(Fdb),
    /// Set a route.
    Route(Route),
}

impl Change {
    fn phase(&self) -> u8 {
        match self {
            Self::Namespace => 0,
            // The kernel sets an interface's own anew when its MTU changes.
            Self::Sysctl(key, _) if is_of_interface(key) => 12,
            Self::Sysctl(..) => 1,
            Self::RemoveRoute(_) => 2,
            Self::RemoveFdb(_) | Self::RemoveNeighbor(_) => 3,
            Self::RemoveAddress(_) => 4,
            Self::DeleteLink(_) => 5,
            Self::Bridge(_) => 6,
            Self::Veth { .. } => 7,
            // Its uplink stands by then; it is made before its own address is added.
            Self::Vxlan(_) => 8,
            Self::Mac(..) | Self::Mtu(..) | Self::Master(..) => 9,
            Self::Hairpin(..) | Self::Offload(..) => 10,
            Self::Up(_) => 11,
            Self::Address(_) => 12,
            // flannel's order: whoever sends by the route finds neighbor and FDB in place.
            Self::Neighbor(_) => 13,
            Self::Fdb(_) => 14,
            Self::Route(_) => 15,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.host)?;
        match &self.change {
            Change::Namespace => write!(f, "namespace {}", self.netns),
            Change::Sysctl(key, value) => write!(f, "sysctl net/{key} = {value}"),
            Change::RemoveRoute(route) => write!(f, "no route {route}"),
            Change::RemoveFdb(fdb) => write!(f, "no FDB entry {fdb}"),
            Change::RemoveNeighbor(neighbor) => write!(f, "no neighbor {neighbor}"),
            Change::RemoveAddress(address) => write!(f, "no address {address}"),
            Change::DeleteLink(name) => write!(f, "no link {name}"),
            Change::Bridge(link) => write!(f, "bridge {}", link.name),
            Change::Veth { end, peer_netns, peer } => {
                write!(f, "wire {} to {} in {peer_netns}", end.name, peer.name)
            }
            Change::Mac(name, mac) => write!(f, "{name} address {mac}"),
            Change::Mtu(name, mtu) => write!(f, "{name} mtu {mtu}"),
            Change::Master(name, master) => write!(f, "{name} master {master}"),
            Change::Hairpin(name, on) => write!(f, "{name} hairpin {}", word(*on)),
            Change::Offload(name, offload, on) => {
                write!(f, "{name} {} {}", offload.letters(), word(*on))
            }
            Change::Up(name) => write!(f, "{name} up"),
            Change::Address(address) => write!(f, "address {address}"),
            Change::Vxlan(link) => write!(f, "vxlan {}", link.name),
            Change::Neighbor(neighbor) => write!(f, "neighbor {neighbor}"),
            Change::Fdb(fdb) => write!(f, "FDB entry {fdb}"),
            Change::Route(route) => write!(f, "route {route}"),
        }
    }
}

/// Whether a sysctl belongs to one interface: `ipv6/conf/eth0/mtu`.
fn is_of_interface(key: &str) -> bool {
    let scope = key.split_once("/conf/").and_then(|(_, rest)| rest.split('/').next());
    scope.is_some_and(|scope| scope != "all" && scope != "default")
}

fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// What to do so that `observed` becomes `desired`; and what `previous` wanted, `desired` does
/// not and is still there goes. Hosts that only `previous` has are not this function's: their
/// namespaces go whole.
#[must_use]
pub fn steps(desired: &Topology, previous: Option<&Topology>, observed: &Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    for host in &desired.hosts {
        let nothing = ObservedHost::default();
        let seen = observed.get(&host.name);
        let mut changes = Vec::new();
        if seen.is_none() {
            changes.push(Change::Namespace);
        }
        let seen = seen.unwrap_or(&nothing);
        for (key, value) in &host.sysctls {
            if seen.sysctls.get(key) != Some(value) {
                changes.push(Change::Sysctl(key.clone(), value.clone()));
            }
        }
        if let Some(previous) = previous.and_then(|topology| topology.host(&host.name)) {
            stale(host, previous, seen, &mut changes);
        }
        let standing = links(desired, host, observed, seen, &mut changes);
        entries(host, seen, &standing, &mut changes);
        let step = |change| Step { host: host.name.clone(), netns: host.netns.clone(), change };
        steps.extend(changes.into_iter().map(step));
    }
    // A stable sort keeps the hosts' order, and each host's own, within a phase.
    steps.sort_by_key(|step| step.change.phase());
    steps
}

/// What was wanted before and is not any more, as far as it is still there.
fn stale(host: &Host, previous: &Host, seen: &ObservedHost, changes: &mut Vec<Change>) {
    let index = |name: &str| seen.link(name).map(|link| link.index);
    let same_destination =
        |route: &Route| host.routes.iter().any(|r| r.destination == route.destination);
    for route in previous.routes.iter().filter(|route| !same_destination(route)) {
        if seen.routes.iter().any(|there| is_route(there, route, index(&route.device))) {
            changes.push(Change::RemoveRoute(route.clone()));
        }
    }
    for fdb in previous.fdb.iter().filter(|fdb| !host.fdb.iter().any(|f| f.mac == fdb.mac)) {
        if seen
            .fdb
            .iter()
            .any(|there| Some(there.device) == index(&fdb.device) && there.mac == fdb.mac)
        {
            changes.push(Change::RemoveFdb(fdb.clone()));
        }
    }
    let wanted = |old: &Neighbor| host.neighbors.iter().any(|n| n.address == old.address);
    for old in previous.neighbors.iter().filter(|old| !wanted(old)) {
        let there = seen.neighbors.iter().any(|n| {
            n.permanent && n.address == old.address && Some(n.device) == index(&old.device)
        });
        if there {
            changes.push(Change::RemoveNeighbor(old.clone()));
        }
    }
    for address in previous.addresses.iter().filter(|address| !host.addresses.contains(address)) {
        if has_address(seen, address) {
            changes.push(Change::RemoveAddress(address.clone()));
        }
    }
    for link in previous.links.iter().filter(|link| !host.links.iter().any(|l| l.name == link.name))
    {
        if seen.link(&link.name).is_some() {
            changes.push(Change::DeleteLink(link.name.clone()));
        }
    }
}

/// Plans the links, and returns the names of those that stand already and stay.
fn links(
    desired: &Topology,
    host: &Host,
    observed: &Observed,
    seen: &ObservedHost,
    changes: &mut Vec<Change>,
) -> Vec<String> {
    let mut standing = Vec::new();
    if seen.link("lo").is_none_or(|lo| !lo.up) {
        changes.push(Change::Up("lo".to_owned()));
    }
    for link in &host.links {
        let there = seen.link(&link.name);
        if let Some(there) = there {
            if is_same_kind(link, there, host, seen, observed) {
                standing.push(link.name.clone());
            } else {
                changes.push(Change::DeleteLink(link.name.clone()));
            }
        }
        let stays = standing.contains(&link.name);
        if !stays {
            changes.extend(creation(desired, host, link));
        }
        attributes(link, there.filter(|_| stays), seen, changes);
    }
    standing
}

fn creation(desired: &Topology, host: &Host, link: &Link) -> Option<Change> {
    match &link.kind {
        LinkKind::Bridge => Some(Change::Bridge(link.clone())),
        LinkKind::Vxlan { .. } => Some(Change::Vxlan(link.clone())),
        LinkKind::Veth { host: peer_host, link: peer_link } => {
            let position = |name: &str| desired.hosts.iter().position(|host| host.name == name);
            // One end makes both: the one whose host comes first.
            if position(peer_host) < position(&host.name) {
                return None;
            }
            let peer = desired.host(peer_host)?;
            let peer_end = peer.links.iter().find(|link| link.name == *peer_link)?;
            Some(Change::Veth {
                end: link.clone(),
                peer_netns: peer.netns.clone(),
                peer: peer_end.clone(),
            })
        }
    }
}

fn is_same_kind(
    link: &Link,
    there: &netlink::Link,
    host: &Host,
    seen: &ObservedHost,
    observed: &Observed,
) -> bool {
    match (&link.kind, &there.kind) {
        (LinkKind::Bridge, netlink::LinkKind::Bridge) => true,
        (LinkKind::Veth { host: peer_host, link: peer_link }, netlink::LinkKind::Veth) => {
            let peer = observed.get(peer_host).and_then(|seen| seen.link(peer_link));
            debug_assert_ne!(*peer_host, host.name, "a wire joins two hosts");
            peer.is_some_and(|peer| {
                there.peer == Some(peer.index) && peer.peer == Some(there.index)
            })
        }
        (LinkKind::Vxlan { vni, port, local, device }, netlink::LinkKind::Vxlan(vxlan)) => {
            let wanted = netlink::Vxlan {
                vni: *vni,
                port: *port,
                local: Some(*local),
                learning: false,
                device: seen.link(device).map(|link| link.index),
            };
            *vxlan == wanted
        }
        _ => false,
    }
}

/// Attributes of a link; `there` is None for one that is about to be made.
fn attributes(
    link: &Link,
    there: Option<&netlink::Link>,
    seen: &ObservedHost,
    changes: &mut Vec<Change>,
) {
    let name = || link.name.clone();
    if let Some(there) = there {
        if let Some(mac) = link.mac.filter(|mac| there.mac != Some(*mac)) {
            changes.push(Change::Mac(name(), mac));
        }
        if there.mtu != link.mtu {
            changes.push(Change::Mtu(name(), link.mtu));
        }
    }
    if let Some(master) = &link.master {
        let index = seen.link(master).map(|link| link.index);
        if there.is_none_or(|there| there.master.is_none() || there.master != index) {
            changes.push(Change::Master(name(), master.clone()));
        }
        if there.is_none_or(|there| there.hairpin != Some(link.hairpin)) {
            changes.push(Change::Hairpin(name(), link.hairpin));
        }
    }
    for (offload, on) in &link.offloads {
        let is = there.and_then(|_| seen.offloads.get(&(name(), *offload)));
        if is != Some(on) {
            changes.push(Change::Offload(name(), *offload, *on));
        }
    }
    if there.is_none_or(|there| !there.up) {
        changes.push(Change::Up(name()));
    }
}

/// Addresses, neighbors, FDB and routes; those of a link that is made anew are all missing.
fn entries(host: &Host, seen: &ObservedHost, standing: &[String], changes: &mut Vec<Change>) {
    let index = |name: &String| {
        standing.contains(name).then(|| seen.link(name).map(|link| link.index)).flatten()
    };
    for address in &host.addresses {
        if index(&address.device).is_none() || !has_address(seen, address) {
            changes.push(Change::Address(address.clone()));
        }
    }
    for neighbor in &host.neighbors {
        let there = seen.neighbors.iter().any(|there| {
            Some(there.device) == index(&neighbor.device)
                && there.address == neighbor.address
                && there.mac == Some(neighbor.mac)
                && there.permanent
        });
        if !there {
            changes.push(Change::Neighbor(neighbor.clone()));
        }
    }
    for fdb in &host.fdb {
        let there = seen.fdb.iter().any(|there| {
            Some(there.device) == index(&fdb.device)
                && there.mac == fdb.mac
                && there.destination == Some(fdb.destination)
                && there.permanent
        });
        if !there {
            changes.push(Change::Fdb(fdb.clone()));
        }
    }
    for route in &host.routes {
        // The kernel refuses an onlink IPv6 gateway that a route through another device covers
        // (ip6_route_check_nh_onlink), so such a route goes before.
        let elsewhere = seen.routes.iter().filter(|there| {
            there.destination == route.destination && there.device != index(&route.device)
        });
        changes.extend(elsewhere.filter_map(|there| displaced(there, seen)));
        if !seen.routes.iter().any(|there| is_route(there, route, index(&route.device))) {
            changes.push(Change::Route(route.clone()));
        }
    }
}

fn displaced(there: &netlink::Route, seen: &ObservedHost) -> Option<Change> {
    let device = seen.links.iter().find(|link| Some(link.index) == there.device)?;
    Some(Change::RemoveRoute(Route {
        destination: there.destination,
        gateway: there.gateway.filter(|_| !there.kernel)?,
        device: device.name.clone(),
        onlink: there.onlink,
    }))
}

fn has_address(seen: &ObservedHost, address: &Address) -> bool {
    let index = seen.link(&address.device).map(|link| link.index);
    seen.addresses.iter().any(|there| Some(there.device) == index && there.net == address.net)
}

fn is_route(there: &netlink::Route, route: &Route, device: Option<u32>) -> bool {
    device.is_some()
        && there.device == device
        && there.destination == route.destination
        && there.gateway == Some(route.gateway)
        && there.onlink == route.onlink
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        lab::{Mode, Options, Underlay, address},
        spec,
    };

    fn lab(mode: Mode) -> Topology {
        let mut options = Options::new("t".parse().unwrap());
        options.mode = mode;
        let mut objects = spec::builtin(2);
        address::complete(&mut objects, Underlay::L2).unwrap();
        Topology::new(&objects.resolve().unwrap(), &options).unwrap()
    }

    #[test]
    fn from_nothing_each_wire_is_made_once_after_all_namespaces() {
        let topology = lab(Mode::HostGw);
        let steps = steps(&topology, None, &BTreeMap::new());
        let hosts = topology.hosts.len();
        assert!(steps[..hosts].iter().all(|step| step.change == Change::Namespace));
        let wires = steps.iter().filter(|step| matches!(step.change, Change::Veth { .. }));
        // Fabric to client and nodes, nodes to pods: one for every host but the fabric.
        assert_eq!(wires.count(), hosts - 1);
    }

    #[test]
    fn a_vxlan_route_comes_after_its_neighbor_and_fdb_entry() {
        let steps = steps(&lab(Mode::Vxlan), None, &BTreeMap::new());
        let last = |is: fn(&Change) -> bool| steps.iter().rposition(|step| is(&step.change));
        let first = |is: fn(&Change) -> bool| steps.iter().position(|step| is(&step.change));
        let neighbor = last(|change| matches!(change, Change::Neighbor(_)));
        let fdb = (
            first(|change| matches!(change, Change::Fdb(_))),
            last(|change| matches!(change, Change::Fdb(_))),
        );
        let route = first(|change| matches!(change, Change::Route(_)));
        assert!(neighbor.is_some() && neighbor < fdb.0 && fdb.1 < route);
    }

    #[test]
    fn what_only_the_previous_topology_wanted_goes_if_it_is_there() {
        let (before, after) = (lab(Mode::Vxlan), lab(Mode::HostGw));
        let device = netlink::Link {
            index: 7,
            name: "flannel.1".to_owned(),
            mac: None,
            mtu: 1450,
            up: true,
            master: None,
            kind: netlink::LinkKind::Other(String::new()),
            peer: None,
            hairpin: None,
            ethernet: true,
            xdp: Vec::new(),
        };
        let seen = ObservedHost { links: vec![device], ..ObservedHost::default() };
        let observed = BTreeMap::from([("node-1".to_owned(), seen)]);
        let steps = steps(&after, Some(&before), &observed);
        let gone: Vec<_> = steps
            .iter()
            .filter(|step| matches!(step.change, Change::DeleteLink(_)))
            .map(ToString::to_string)
            .collect();
        assert_eq!(gone, ["node-1: no link flannel.1"]);
    }
}
