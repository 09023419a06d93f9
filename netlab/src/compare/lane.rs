//! Where floods of datagrams go: from the far end of a wire, through a node, into a pod.
//!
//! They enter the wire opposite to the node, with the client's addresses, so for all behind it
//! they are the client's; what the client's own stack costs is not in any number.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use super::traffic::{Berth, Flood};
use crate::{
    lab::{LabDir, UPLINK},
    netlink::{self, Connection, Link, Netns},
};

/// A way for floods.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The interface that sends, by its number, and its namespace.
    pub from: (Netns, u32),
    /// The other end of that wire, an [`UPLINK`].
    pub entry: (Netns, u32),
    /// The interface at which datagrams are taken.
    pub to: (Netns, u32),
    /// Ethernet addresses of source and destination.
    pub macs: [[u8; 6]; 2],
    /// IPv4 addresses of source and destination.
    pub addresses: [[u8; 4]; 2],
    /// UDP's destination port.
    pub port: u16,
    /// Who remembers flows on the way.
    pub memories: Vec<Memory>,
    /// Where senders stand.
    pub berth: Arc<Berth>,
}

/// What a node remembers of flows.
#[derive(Clone, Debug)]
pub struct Memory {
    /// The node: the kernel's conntrack table is in its namespace.
    pub netns: Netns,
    /// Where netlab's agent has its own table pinned, if one runs.
    pub pins: Option<PathBuf>,
}

/// The hosts that a flood passes, by their namespaces.
#[derive(Clone, Copy, Debug)]
pub struct Stations<'a> {
    /// Whose addresses the datagrams have, and that address.
    pub client: (&'a Netns, IpAddr),
    /// Where the dialled node's wire ends.
    pub fabric: &'a Netns,
    /// The dialled node.
    pub node: &'a Netns,
    /// The pod.
    pub pod: &'a Netns,
}

impl Lane {
    /// Of a lab, to what the client dials, by UDP.
    ///
    /// # Errors
    ///
    /// Where an uplink is not there.
    pub async fn of_lab(
        hosts: Stations<'_>,
        dialled: SocketAddr,
        memories: Vec<Memory>,
        berth: &Arc<Berth>,
    ) -> netlink::Result<Self> {
        let (client, node) = (uplink(hosts.client.0).await?, uplink(hosts.node).await?);
        let pod = uplink(hosts.pod).await?;
        Ok(Self {
            from: (hosts.fabric.clone(), node.peer.unwrap_or_default()),
            entry: (hosts.node.clone(), node.index),
            to: (hosts.pod.clone(), pod.index),
            macs: [mac(&client), mac(&node)],
            addresses: [octets(hosts.client.1), octets(dialled.ip())],
            port: dialled.port(),
            memories,
            berth: Arc::clone(berth),
        })
    }

    /// Of a wire alone, from one end to the other.
    ///
    /// # Errors
    ///
    /// Where an uplink is not there.
    pub async fn of_wire(
        near: (&Netns, IpAddr),
        far: &Netns,
        dialled: SocketAddr,
        berth: &Arc<Berth>,
    ) -> netlink::Result<Self> {
        let (first, last) = (uplink(near.0).await?, uplink(far).await?);
        Ok(Self {
            from: (near.0.clone(), first.index),
            entry: (far.clone(), last.index),
            to: (far.clone(), last.index),
            macs: [mac(&first), mac(&last)],
            addresses: [octets(near.1), octets(dialled.ip())],
            port: dialled.port(),
            memories: Vec::new(),
            berth: Arc::clone(berth),
        })
    }

    /// A flood along it.
    pub(super) const fn flood(&self, flows: u16, random: bool, length: usize) -> Flood {
        let Self { macs, addresses, port, .. } = *self;
        Flood { macs, addresses, port, flows, random, length }
    }
}

impl Memory {
    /// Of a node of a lab.
    ///
    /// # Errors
    ///
    /// Where it has no namespace.
    pub fn of_node(netns: &str, dir: &LabDir, node: &str) -> netlink::Result<Self> {
        let pins = dir.pins().join(node);
        Ok(Self { netns: Netns::open(netns)?, pins: pins.exists().then_some(pins) })
    }
}

async fn uplink(netns: &Netns) -> netlink::Result<Link> {
    Connection::open(netns)?.link(UPLINK).await
}

fn mac(link: &Link) -> [u8; 6] {
    link.mac.map(|mac| mac.0).unwrap_or_default()
}

/// Labs are compared over IPv4.
fn octets(address: IpAddr) -> [u8; 4] {
    match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => Default::default(),
    }
}
