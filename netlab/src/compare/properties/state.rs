//! What a node is told of its peers, and how long telling it takes.
//!
//! Counted in the lab's own layout for so many nodes, then programmed into a namespace of its
//! own and counted in the kernel. Only what is set by hand counts: to use a route of host-gw the
//! kernel resolves the peer's Ethernet address by itself, once there is traffic.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Beside, Error, LayoutError, Result, prediction};
use crate::{
    lab::{
        Host, LabName, Mode, Options, Role, Topology, UPLINK, Underlay, address,
        build::{create_vxlan, kernel_route},
        topology::{Link, LinkKind},
    },
    netlink::{self, Connection, Netns, NewFdbEntry, VethEnd, sysctl},
    spec,
};

/// Sizes of clusters.
pub const NODES: [usize; 4] = [2, 10, 50, 200];

/// The far end of the uplink.
const FAR: &str = "far0";

/// Entries that were set by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entries {
    /// Of the main table.
    pub routes: usize,
    /// Permanent ones.
    pub neighbors: usize,
    /// Of VXLAN devices.
    pub fdb: usize,
}

/// What a node is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Of each peer, in each family.
    pub per_peer: Beside<Entries>,
    /// By the size of the cluster.
    pub growth: Vec<Growth>,
}

/// What a node of a cluster of one size is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Families that each peer is told in.
    pub families: usize,
    /// All entries: in the kernel, and by arithmetic.
    pub entries: Beside<Entries>,
    /// Time to set them all, in microseconds: one request after the other, each waited for, in
    /// the order neighbors, FDB, routes. The median where there are several takes.
    pub micros: u64,
}

impl State {
    /// Several takes as one, with the median of the times; nothing of none.
    #[must_use]
    pub fn median(takes: &[Self]) -> Option<Self> {
        let mut state = takes.first()?.clone();
        for (at, growth) in state.growth.iter_mut().enumerate() {
            let of = |take: &Self| take.growth.get(at).map(|growth| growth.micros);
            let mut micros: Vec<_> = takes.iter().filter_map(of).collect();
            micros.sort_unstable();
            growth.micros = micros[micros.len() / 2];
        }
        Some(state)
    }
}

impl Entries {
    /// So many times as many.
    #[must_use]
    pub const fn times(self, count: usize) -> Self {
        Self {
            routes: self.routes * count,
            neighbors: self.neighbors * count,
            fdb: self.fdb * count,
        }
    }

    /// What so many have of it each. What does not come out even is rounded away from what was
    /// `expected`, so that it cannot look as if it had come.
    #[must_use]
    pub const fn shared(self, among: usize, expected: Self) -> Self {
        const fn share(all: usize, among: usize, expected: usize) -> usize {
            if all < expected * among { all / among } else { all.div_ceil(among) }
        }
        Self {
            routes: share(self.routes, among, expected.routes),
            neighbors: share(self.neighbors, among, expected.neighbors),
            fdb: share(self.fdb, among, expected.fdb),
        }
    }

    /// Those of a host in the lab's layout.
    #[must_use]
    pub const fn of(host: &Host) -> Self {
        Self { routes: host.routes.len(), neighbors: host.neighbors.len(), fdb: host.fdb.len() }
    }
}

/// A node in the layout of a cluster of so many.
///
/// # Errors
///
/// [`Error::Layout`] where there are more than the lab has numbers for.
pub fn node(mode: Mode, nodes: usize) -> Result<Host> {
    let layout = || -> Result<Topology, LayoutError> {
        let mut objects = spec::builtin(nodes);
        address::complete(&mut objects, Underlay::L2)?;
        let mut options = Options::new(scratch());
        options.mode = mode;
        Ok(Topology::new(&objects.resolve()?, &options)?)
    };
    let topology = layout().map_err(|source| Error::Layout { nodes, source })?;
    let node = topology.hosts.into_iter().find(|host| host.role == Role::Node);
    node.ok_or_else(|| Error::Lacks("a node".to_owned()))
}

/// Counts and programs what a node is told, for each of [`NODES`].
///
/// # Errors
///
/// Where the kernel refuses an entry.
pub async fn measure(mode: Mode) -> Result<State> {
    let mut growth = Vec::new();
    for nodes in NODES {
        growth.push(program(mode, nodes).await?);
    }
    let predicted = prediction::entries_per_peer(mode);
    // With one peer, what is there is that peer's.
    let one = growth.iter().find(|growth| growth.nodes == 2);
    let one = one.ok_or_else(|| Error::Unseen("the entries of one peer".to_owned()))?;
    let measured = one.entries.measured.shared(one.families, predicted);
    Ok(State { per_peer: Beside { measured, predicted }, growth })
}

/// Programs what a node of a cluster of so many is told into a namespace that ends with this.
///
/// # Errors
///
/// Where the kernel refuses an entry.
pub async fn program(mode: Mode, nodes: usize) -> Result<Growth> {
    let node = node(mode, nodes)?;
    let netns = Netns::unnamed()?;
    let connection = Connection::open(&netns)?;
    prepare(&connection, &node).await?;
    let began = Instant::now();
    set(&connection, &node).await?;
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let families = families(&node);
    let peers = nodes.saturating_sub(1) * families;
    let entries = Beside {
        measured: count(&connection).await?,
        predicted: prediction::entries_per_peer(mode).times(peers),
    };
    Ok(Growth { nodes, families, entries, micros })
}

/// Families of the node's own underlay addresses, one at least.
fn families(node: &Host) -> usize {
    node.addresses.iter().filter(|address| address.device == UPLINK).count().max(1)
}

/// A name for a layout that is never built.
fn scratch() -> LabName {
    "scratch".parse().expect("letters")
}

/// What the entries stand on: uplink, VXLAN devices and their addresses.
async fn prepare(connection: &Connection, node: &Host) -> Result<()> {
    sysctl::write(connection.netns(), "ipv6/conf/all/disable_ipv6", "0")?;
    sysctl::write(connection.netns(), "ipv6/conf/default/disable_ipv6", "0")?;
    for link in &node.links {
        match &link.kind {
            LinkKind::Veth { .. } if link.name == UPLINK => uplink(connection, link).await?,
            LinkKind::Vxlan { .. } => create_vxlan(connection, link).await?,
            _ => continue,
        }
        let device = connection.link(&link.name).await?.index;
        connection.set_up(device).await?;
        for address in node.addresses.iter().filter(|address| address.device == link.name) {
            connection.add_address(netlink::Address { device, net: address.net }).await?;
        }
    }
    Ok(())
}

async fn uplink(connection: &Connection, link: &Link) -> Result<()> {
    let end = VethEnd { name: &link.name, mac: link.mac, mtu: link.mtu };
    let far = VethEnd { name: FAR, mac: None, mtu: link.mtu };
    connection.create_veth(&end, &far, connection.netns()).await?;
    Ok(connection.set_up(connection.link(FAR).await?.index).await?)
}

/// Sets all entries, as flannel orders them: whoever sends by a route finds the rest in place.
async fn set(connection: &Connection, node: &Host) -> Result<()> {
    let links = connection.links().await?;
    let index = |name: &str| {
        let link = links.iter().find(|link| link.name == name);
        link.map(|link| link.index).ok_or_else(|| Error::Lacks(format!("a link {name}")))
    };
    for neighbor in &node.neighbors {
        let device = index(&neighbor.device)?;
        connection.replace_neighbor(device, neighbor.address, neighbor.mac).await?;
    }
    for entry in &node.fdb {
        let (mac, destination) = (entry.mac, entry.destination);
        let entry = NewFdbEntry { device: index(&entry.device)?, mac, destination };
        connection.replace_fdb(entry).await?;
    }
    for route in &node.routes {
        connection.replace_route(&kernel_route(route, index(&route.device)?)).await?;
    }
    Ok(())
}

/// What the kernel has of what was set by hand.
async fn count(connection: &Connection) -> Result<Entries> {
    let routes = connection.routes().await?;
    let neighbors = connection.neighbors().await?;
    let fdb = connection.fdb().await?;
    Ok(Entries {
        routes: routes.iter().filter(|route| route.gateway.is_some()).count(),
        neighbors: neighbors.iter().filter(|neighbor| neighbor.permanent).count(),
        fdb: fdb.iter().filter(|entry| entry.permanent && entry.destination.is_some()).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_of_each_peer_as_often_as_predicted() {
        for mode in [Mode::HostGw, Mode::Vxlan] {
            for nodes in NODES {
                let node = node(mode, nodes).unwrap();
                let peers = (nodes - 1) * families(&node);
                let predicted = prediction::entries_per_peer(mode).times(peers);
                assert_eq!(Entries::of(&node), predicted, "{mode} {nodes}");
            }
        }
    }

    #[test]
    fn what_one_peer_has_too_much_or_too_little_of_shows() {
        let entries = |routes, neighbors, fdb| Entries { routes, neighbors, fdb };
        let expected = entries(1, 1, 1);
        assert_eq!(entries(2, 2, 2).shared(2, expected), expected);
        assert_eq!(entries(4, 3, 1).shared(2, expected), entries(2, 2, 0));
        assert_eq!(entries(3, 0, 2).shared(2, entries(1, 0, 1)), entries(2, 0, 1));
    }

    #[test]
    fn of_several_takes_the_median_of_each_time_is_told() {
        let take = |micros: [u64; 2]| {
            let growth = micros.map(|micros| Growth {
                nodes: 2,
                families: 1,
                entries: Beside { measured: Entries::default(), predicted: Entries::default() },
                micros,
            });
            let none = Entries::default();
            State { per_peer: Beside { measured: none, predicted: none }, growth: growth.to_vec() }
        };
        let takes = [take([5, 100]), take([1, 300]), take([9, 200])];
        assert_eq!(State::median(&takes), Some(take([5, 200])));
        assert_eq!(State::median(&[]), None);
    }

    #[test]
    fn more_nodes_than_there_are_numbers_for_are_refused() {
        let error = node(Mode::HostGw, 251).unwrap_err();
        assert!(matches!(error, Error::Layout { nodes: 251, .. }), "{error}");
    }
}
