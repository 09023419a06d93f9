//! Carries steps out.

use std::collections::HashMap;

use super::steps::{Change, Step};
use crate::{
    lab::topology::{Link, LinkKind, Route},
    netlink::{
        self, Connection, Error, Netns, NewFdbEntry, NewVxlan, Result, VethEnd, ethtool, sysctl,
    },
};

/// Connections to the namespaces of a plan, opened when first needed.
#[derive(Default)]
pub(super) struct Hosts {
    connections: HashMap<String, Connection>,
}

impl Hosts {
    /// Carries out one step.
    ///
    /// # Errors
    ///
    /// As the kernel refuses it.
    pub(super) async fn apply(&mut self, step: &Step) -> Result<()> {
        if step.change == Change::Namespace {
            return create(&step.netns);
        }
        let connection = self.connect(&step.netns)?;
        let netns = connection.netns();
        match &step.change {
            Change::Namespace => Ok(()),
            Change::Sysctl(key, value) => sysctl::write(netns, key, value),
            Change::DeleteLink(name) => {
                let index = connection.link(name).await?.index;
                gone(connection.delete_link(index).await)
            }
            Change::Bridge(link) => connection.create_bridge(&link.name, link.mac, link.mtu).await,
            Change::Veth { end, peer_netns, peer } => {
                let peer_netns = Netns::open(peer_netns)?;
                connection.create_veth(&veth_end(end), &veth_end(peer), &peer_netns).await
            }
            Change::Mac(name, mac) => {
                connection.set_mac(connection.link(name).await?.index, *mac).await
            }
            Change::Mtu(name, mtu) => {
                connection.set_mtu(connection.link(name).await?.index, *mtu).await
            }
            Change::Master(name, master) => {
                let master = connection.link(master).await?.index;
                connection.set_master(connection.link(name).await?.index, Some(master)).await
            }
            Change::Hairpin(name, on) => {
                connection.set_hairpin(connection.link(name).await?.index, *on).await
            }
            Change::Offload(name, offload, on) => ethtool::set(netns, name, *offload, *on),
            Change::Up(name) => connection.set_up(connection.link(name).await?.index).await,
            Change::Vxlan(link) => create_vxlan(connection, link).await,
            entry => apply_entry(connection, entry).await,
        }
    }

    fn connect(&mut self, netns: &str) -> Result<&Connection> {
        if !self.connections.contains_key(netns) {
            let connection = Connection::open(&Netns::open(netns)?)?;
            self.connections.insert(netns.to_owned(), connection);
        }
        Ok(&self.connections[netns])
    }
}

async fn apply_entry(connection: &Connection, change: &Change) -> Result<()> {
    let index = async |name: &str| connection.link(name).await.map(|link| link.index);
    match change {
        Change::Address(address) => {
            let device = index(&address.device).await?;
            // Bringing the link up may have brought it back.
            let added = connection.add_address(netlink::Address { device, net: address.net }).await;
            exists(added)
        }
        Change::RemoveAddress(address) => {
            let device = index(&address.device).await?;
            let address = netlink::Address { device, net: address.net };
            gone(connection.remove_address(address).await)
        }
        Change::Neighbor(neighbor) => {
            let device = index(&neighbor.device).await?;
            connection.replace_neighbor(device, neighbor.address, neighbor.mac).await
        }
        Change::RemoveNeighbor(neighbor) => {
            let device = index(&neighbor.device).await?;
            gone(connection.remove_neighbor(device, neighbor.address).await)
        }
        Change::Fdb(fdb) => {
            let device = index(&fdb.device).await?;
            let (mac, destination) = (fdb.mac, fdb.destination);
            connection.replace_fdb(NewFdbEntry { device, mac, destination }).await
        }
        Change::RemoveFdb(fdb) => {
            gone(connection.remove_fdb(index(&fdb.device).await?, fdb.mac).await)
        }
        Change::Route(route) => {
            let device = index(&route.device).await?;
            connection.replace_route(&kernel_route(route, device)).await
        }
        Change::RemoveRoute(route) => {
            let device = index(&route.device).await?;
            gone(connection.remove_route(&kernel_route(route, device)).await)
        }
        _ => Ok(()),
    }
}

/// A name left by a crash, without a namespace behind it, is in the way of the new one.
fn create(netns: &str) -> Result<()> {
    match Netns::create(netns) {
        Err(error) if is_exists(&error) && !Netns::exists(netns) => {
            Netns::delete(netns)?;
            Netns::create(netns).map(|_| ())
        }
        outcome => outcome.map(|_| ()),
    }
}

/// Makes a VXLAN device; nothing where the link is none.
///
/// # Errors
///
/// Where the kernel refuses, or has not the device that it is to stand on.
pub(crate) async fn create_vxlan(connection: &Connection, link: &Link) -> Result<()> {
    let (LinkKind::Vxlan { vni, port, local, device }, Some(mac)) = (&link.kind, link.mac) else {
        return Ok(());
    };
    let new = NewVxlan {
        name: &link.name,
        mac,
        mtu: link.mtu,
        vni: *vni,
        port: *port,
        local: *local,
        device: connection.link(device).await?.index,
    };
    connection.create_vxlan(&new).await
}

fn veth_end(link: &Link) -> VethEnd<'_> {
    VethEnd { name: &link.name, mac: link.mac, mtu: link.mtu }
}

/// A route of the layout as the kernel takes it, by the index of its device.
pub(crate) fn kernel_route(route: &Route, device: u32) -> netlink::Route {
    netlink::Route {
        destination: route.destination,
        gateway: Some(route.gateway),
        device: Some(device),
        onlink: route.onlink,
        source: None,
        kernel: false,
    }
}

fn is_exists(error: &Error) -> bool {
    error.errno() == Some(nix::errno::Errno::EEXIST)
}

fn exists(outcome: Result<()>) -> Result<()> {
    outcome.or_else(|error| if is_exists(&error) { Ok(()) } else { Err(error) })
}

fn gone(outcome: Result<()>) -> Result<()> {
    outcome.or_else(|error| if error.is_absent() { Ok(()) } else { Err(error) })
}
