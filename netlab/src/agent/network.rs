//! The node's network as far as the datapath depends on it, observed at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use netlab_common::abi::{Vtep, VtepKey};
use nix::errno::Errno;

use crate::{
    datapath::{attach::Device, compile::NodeView},
    netlink::{self, Connection, Link, LinkKind},
    spec::{Spec, model::Endpoint},
};

/// What was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The node's name.
    pub node: String,
    /// Interfaces that clients and other nodes are reached by.
    pub uplinks: Vec<Device>,
    /// All VXLAN devices, those included that only the kernel encapsulates for.
    pub tunnels: Vec<Device>,
    /// The pod network's VXLAN device, if there is one.
    pub vxlan: Option<VxlanDevice>,
    /// Its FDB.
    pub vteps: BTreeMap<VtepKey, Vtep>,
    /// Source addresses towards the pod networks of other nodes.
    masquerade: BTreeMap<IpNet, IpAddr>,
    /// Source addresses towards endpoints outside them.
    elsewhere: BTreeMap<IpAddr, IpAddr>,
}

/// A VXLAN device that the datapath can encapsulate for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VxlanDevice {
    /// Interface index.
    pub index: u32,
    /// VXLAN network identifier.
    pub vni: u32,
    /// UDP destination port.
    pub port: u16,
    /// Source address of encapsulated packets.
    pub local: IpAddr,
}

impl NodeView for Network {
    fn name(&self) -> &str {
        &self.node
    }

    fn masquerade(&self, endpoint: &Endpoint) -> Option<IpAddr> {
        let pods = self.masquerade.iter().find(|(net, _)| net.contains(&endpoint.address));
        pods.map(|(_, source)| source).or_else(|| self.elsewhere.get(&endpoint.address)).copied()
    }
}

/// Observes the namespace of `connection`, for the node of this name and the uplinks that are
/// named, or else those with its addresses.
///
/// # Errors
///
/// Where the kernel refuses a dump. A destination without a route is no error.
pub async fn observe(
    connection: &Connection,
    spec: &Spec,
    node: &str,
    named: &[String],
) -> Result<Network, netlink::Error> {
    let links = connection.links().await?;
    let vxlan = links.iter().find_map(vxlan_device);
    let vteps = match &vxlan {
        Some(device) => vteps(connection, device.index).await?,
        None => BTreeMap::new(),
    };
    let is_tunnel = |link: &&Link| matches!(link.kind, LinkKind::Vxlan(_));
    let tunnels = links.iter().filter(is_tunnel).map(device).collect();
    let uplinks = if named.is_empty() {
        uplinks(connection, spec, node, &links).await?
    } else {
        let named = links.iter().filter(|link| named.contains(&link.name));
        named.map(device).collect()
    };
    let mut masquerade = BTreeMap::new();
    for net in remote_pod_networks(spec, node) {
        // The network's own address: the route is that of every pod in it.
        if let Some(source) = source_towards(connection, net.network()).await? {
            masquerade.insert(net, source);
        }
    }
    let mut elsewhere = BTreeMap::new();
    for address in endpoints_elsewhere(spec) {
        if let Some(source) = source_towards(connection, address).await? {
            elsewhere.insert(address, source);
        }
    }
    let node = node.to_owned();
    Ok(Network { node, uplinks, tunnels, vxlan, vteps, masquerade, elsewhere })
}

fn device(link: &Link) -> Device {
    Device { index: link.index, name: link.name.clone() }
}

fn vxlan_device(link: &Link) -> Option<VxlanDevice> {
    let LinkKind::Vxlan(vxlan) = &link.kind else { return None };
    Some(VxlanDevice {
        index: link.index,
        vni: vxlan.vni,
        port: vxlan.port,
        // XDP encapsulates on IPv4 underlays only; other devices are the kernel's.
        local: vxlan.local.filter(IpAddr::is_ipv4)?,
    })
}

async fn vteps(
    connection: &Connection,
    device: u32,
) -> Result<BTreeMap<VtepKey, Vtep>, netlink::Error> {
    let entries = connection.fdb().await?;
    let of_device = entries.into_iter().filter(|entry| entry.device == device);
    Ok(of_device
        .filter_map(|entry| {
            let key = VtepKey { mac: entry.mac.0, reserved: [0; 2] };
            Some((key, Vtep { addr: entry.destination?.into(), ..Vtep::default() }))
        })
        .collect())
}

/// The interfaces with an address of the node.
async fn uplinks(
    connection: &Connection,
    spec: &Spec,
    node: &str,
    links: &[Link],
) -> Result<Vec<Device>, netlink::Error> {
    let node = spec.nodes.iter().find(|candidate| candidate.name == node);
    let addresses = node.map_or(&[][..], |node| &node.addresses);
    let present = connection.addresses().await?;
    let devices: BTreeSet<u32> = present
        .iter()
        .filter(|address| addresses.contains(&address.net.addr()))
        .map(|address| address.device)
        .collect();
    let uplinks = links.iter().filter(|link| devices.contains(&link.index));
    Ok(uplinks.map(device).collect())
}

fn remote_pod_networks(spec: &Spec, node: &str) -> BTreeSet<IpNet> {
    let others = spec.nodes.iter().filter(|other| other.name != node);
    others.flat_map(|other| other.pod_cidrs.iter().copied()).collect()
}

/// Endpoints in no node's pod network.
fn endpoints_elsewhere(spec: &Spec) -> BTreeSet<IpAddr> {
    let in_pod_network = |address: &IpAddr| {
        spec.nodes.iter().flat_map(|node| &node.pod_cidrs).any(|net| net.contains(address))
    };
    let ports = spec.services.iter().flat_map(|service| &service.ports);
    // Each once: many Services share their endpoints.
    let addresses: BTreeSet<_> =
        ports.flat_map(|port| &port.endpoints).map(|endpoint| endpoint.address).collect();
    addresses.into_iter().filter(|address| !in_pod_network(address)).collect()
}

/// None where no route leads there, which the datapath drops for and counts.
async fn source_towards(
    connection: &Connection,
    address: IpAddr,
) -> Result<Option<IpAddr>, netlink::Error> {
    match connection.route_get(address).await {
        Ok(path) => Ok(path.source),
        // Unreachable, prohibited and blackhole routes, and no route at all.
        Err(error) => match error.errno() {
            Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES | Errno::EINVAL) => {
                Ok(None)
            }
            _ => Err(error),
        },
    }
}
