//! Links: what there is, and how to make and change them.

use std::{collections::BTreeSet, net::IpAddr};

use futures_util::TryStreamExt;
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoVeth, InfoVxlan, LinkAttribute,
    LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp,
};
use rtnetlink::{LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVxlan};
use std::os::fd::AsRawFd;

use super::{Cause, Connection, Mac, Netns, Result};

/// A link as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Interface index, unique in its namespace.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// Ethernet address; None for links that have none.
    pub mac: Option<Mac>,
    /// Largest L3 packet, in octets.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Index of the bridge (or other master) that it is a port of.
    pub master: Option<u32>,
    /// What it is.
    pub kind: LinkKind,
    /// Of a veth: the peer's index in the peer's own namespace. Of others: the link below.
    pub peer: Option<u32>,
    /// Of a bridge port: whether a frame may leave through the port that it came in by.
    pub hairpin: Option<bool>,
    /// Whether its packets begin with an Ethernet header.
    pub ethernet: bool,
    /// Numbers of the XDP programs that it runs: in its driver, in the stack, in hardware.
    pub xdp: Vec<u32>,
}

/// What a link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// `lo`.
    Loopback,
    /// One end of a veth pair.
    Veth,
    /// A bridge.
    Bridge,
    /// A VXLAN device.
    Vxlan(Vxlan),
    /// Anything else, by the kernel's word for it; empty for hardware.
    Other(String),
}

/// Parameters of a VXLAN device.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Vxlan {
    /// VXLAN network identifier, 24 bits.
    pub vni: u32,
    /// UDP destination port, host order.
    pub port: u16,
    /// Source address of encapsulated packets.
    pub local: Option<IpAddr>,
    /// Whether it learns VTEPs from what arrives.
    pub learning: bool,
    /// Index of the link that encapsulated packets leave through.
    pub device: Option<u32>,
}

/// One end of a veth pair to be made.
#[derive(Clone, Debug)]
pub struct VethEnd<'a> {
    /// Interface name.
    pub name: &'a str,
    /// Ethernet address; None lets the kernel choose.
    pub mac: Option<Mac>,
    /// Largest L3 packet, in octets.
    pub mtu: u32,
}

/// A VXLAN device to be made.
#[derive(Clone, Debug)]
pub struct NewVxlan<'a> {
    /// Interface name.
    pub name: &'a str,
    /// Ethernet address of the VTEP.
    pub mac: Mac,
    /// Largest L3 packet inside, in octets.
    pub mtu: u32,
    /// VXLAN network identifier, 24 bits.
    pub vni: u32,
    /// UDP destination port, host order.
    pub port: u16,
    /// Source address of encapsulated packets; also decides the underlay's family.
    pub local: IpAddr,
    /// Index of the link that encapsulated packets leave through.
    pub device: u32,
}

impl Connection {
    /// All links of the namespace.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses the dump.
    pub async fn links(&self) -> Result<Vec<Link>> {
        let messages = self.link_messages().await?;
        Ok(messages.iter().map(Link::from_message).collect())
    }

    /// One link by name.
    ///
    /// # Errors
    ///
    /// [`super::Error::is_absent`] where there is none.
    pub async fn link(&self, name: &str) -> Result<Link> {
        let failed = |cause: Cause| self.failed("find the link", name, cause);
        let found = self
            .handle
            .link()
            .get()
            .match_name(name)
            .execute()
            .try_next()
            .await
            .map_err(|e| failed(e.into()))?;
        found.as_ref().map(Link::from_message).ok_or_else(|| failed(Cause::Absent))
    }

    /// Makes a veth pair: `end` here and `peer` in another namespace, without either ever
    /// standing anywhere else.
    ///
    /// # Errors
    ///
    /// EEXIST where either name is taken.
    pub async fn create_veth(
        &self,
        end: &VethEnd<'_>,
        peer: &VethEnd<'_>,
        peer_netns: &Netns,
    ) -> Result<()> {
        let mut far = LinkMessageBuilder::<LinkUnspec>::new()
            .name(peer.name)
            .mtu(peer.mtu)
            .setns_by_fd(peer_netns.as_raw_fd());
        if let Some(mac) = peer.mac {
            far = far.address(mac.0.to_vec());
        }
        let mut near = LinkVeth::new(end.name, peer.name)
            .mtu(end.mtu)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far.build())));
        if let Some(mac) = end.mac {
            near = near.address(mac.0.to_vec());
        }
        self.add_link(near.build(), end.name).await
    }

    /// Makes a bridge. A given address keeps it from changing with its ports.
    ///
    /// # Errors
    ///
    /// EEXIST where the name is taken.
    pub async fn create_bridge(&self, name: &str, mac: Option<Mac>, mtu: u32) -> Result<()> {
        let mut bridge = LinkMessageBuilder::<LinkBridge>::new(name).mtu(mtu);
        if let Some(mac) = mac {
            bridge = bridge.address(mac.0.to_vec());
        }
        self.add_link(bridge.build(), name).await
    }

    /// Makes a VXLAN device that learns nothing: its FDB is what it is given.
    ///
    /// # Errors
    ///
    /// EEXIST where the name, or the VNI on that port and family, is taken.
    pub async fn create_vxlan(&self, new: &NewVxlan<'_>) -> Result<()> {
        let builder = LinkVxlan::new(new.name, new.vni)
            .port(new.port)
            .learning(false)
            .dev(new.device)
            .address(new.mac.0.to_vec())
            .mtu(new.mtu);
        let builder = match new.local {
            IpAddr::V4(local) => builder.local(local),
            IpAddr::V6(local) => builder.local6(local),
        };
        self.add_link(builder.build(), new.name).await
    }

    /// Brings a link up.
    ///
    /// # Errors
    ///
    /// [`super::Error::is_absent`] where there is none of this index.
    pub async fn set_up(&self, index: u32) -> Result<()> {
        self.change(LinkUnspec::new_with_index(index).up().build(), "bring up").await
    }

    /// Changes the MTU, in octets of L3.
    ///
    /// # Errors
    ///
    /// EINVAL outside of what the link can carry.
    pub async fn set_mtu(&self, index: u32, mtu: u32) -> Result<()> {
        self.change(LinkUnspec::new_with_index(index).mtu(mtu).build(), "set the MTU of").await
    }

    /// Changes the Ethernet address.
    ///
    /// # Errors
    ///
    /// EADDRNOTAVAIL for a group address.
    pub async fn set_mac(&self, index: u32, mac: Mac) -> Result<()> {
        let message = LinkUnspec::new_with_index(index).address(mac.0.to_vec()).build();
        self.change(message, "set the Ethernet address of").await
    }

    /// Makes a link the port of a bridge, or of none.
    ///
    /// # Errors
    ///
    /// EBUSY where it cannot change its master.
    pub async fn set_master(&self, index: u32, master: Option<u32>) -> Result<()> {
        let message = LinkUnspec::new_with_index(index).controller(master.unwrap_or(0)).build();
        self.change(message, "set the master of").await
    }

    /// Lets a bridge port send a frame back where it came from.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP where the link is no bridge port.
    pub async fn set_hairpin(&self, index: u32, on: bool) -> Result<()> {
        let message =
            LinkBridgePort::new(index).append_info_data(InfoBridgePort::HairpinMode(on)).build();
        self.handle
            .link()
            .set_port(message)
            .execute()
            .await
            .map_err(|e| self.failed("set hairpin mode of", format!("link {index}"), e))
    }

    /// Deletes a link; of a veth pair, both ends.
    ///
    /// # Errors
    ///
    /// [`super::Error::is_absent`] where there is none of this index.
    pub async fn delete_link(&self, index: u32) -> Result<()> {
        self.handle
            .link()
            .del(index)
            .execute()
            .await
            .map_err(|e| self.failed("delete", format!("link {index}"), e))
    }

    async fn add_link(&self, message: LinkMessage, name: &str) -> Result<()> {
        self.handle
            .link()
            .add(message)
            .execute()
            .await
            .map_err(|e| self.failed("create the link", name, e))
    }

    async fn change(&self, message: LinkMessage, operation: &'static str) -> Result<()> {
        let index = message.header.index;
        self.handle
            .link()
            .change(message)
            .execute()
            .await
            .map_err(|e| self.failed(operation, format!("link {index}"), e))
    }
}

impl Link {
    fn from_message(message: &LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: message.header.flags.contains(LinkFlags::Up),
            master: None,
            kind: match message.header.link_layer_type {
                LinkLayerType::Loopback => LinkKind::Loopback,
                _ => LinkKind::Other(String::new()),
            },
            peer: None,
            hairpin: None,
            ethernet: matches!(
                message.header.link_layer_type,
                LinkLayerType::Ether | LinkLayerType::Loopback
            ),
            xdp: Vec::new(),
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(bytes) => link.mac = Mac::from_bytes(bytes),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Controller(index) => link.master = (*index != 0).then_some(*index),
                LinkAttribute::Link(index) => link.peer = Some(*index),
                LinkAttribute::LinkInfo(parts) => link.read_info(parts),
                LinkAttribute::Xdp(parts) => link.xdp = xdp_programs(parts),
                _ => {}
            }
        }
        link
    }

    fn read_info(&mut self, parts: &[LinkInfo]) {
        let mut vxlan = Vxlan::default();
        for part in parts {
            match part {
                LinkInfo::Data(InfoData::Vxlan(parameters)) => vxlan = Vxlan::from(parameters),
                LinkInfo::PortData(InfoPortData::BridgePort(parameters)) => {
                    self.hairpin = parameters.iter().find_map(|parameter| match parameter {
                        InfoBridgePort::HairpinMode(on) => Some(*on),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        for part in parts {
            if let LinkInfo::Kind(kind) = part {
                self.kind = match kind {
                    InfoKind::Veth => LinkKind::Veth,
                    InfoKind::Bridge => LinkKind::Bridge,
                    InfoKind::Vxlan => LinkKind::Vxlan(vxlan.clone()),
                    other => LinkKind::Other(other.to_string()),
                };
            }
        }
    }
}

/// Numbers of the XDP programs that a link's message names.
pub(crate) fn xdp_programs(parts: &[LinkXdp]) -> Vec<u32> {
    let number = |part: &LinkXdp| match part {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    };
    // One program is told twice: as the only one, and by its mode.
    let numbers: BTreeSet<u32> = parts.iter().filter_map(number).collect();
    numbers.into_iter().collect()
}

impl From<&Vec<InfoVxlan>> for Vxlan {
    fn from(parameters: &Vec<InfoVxlan>) -> Self {
        let mut vxlan = Self::default();
        for parameter in parameters {
            match parameter {
                InfoVxlan::Id(vni) => vxlan.vni = *vni,
                InfoVxlan::Port(port) => vxlan.port = *port,
                InfoVxlan::Local(address) => vxlan.local = Some((*address).into()),
                InfoVxlan::Local6(address) => vxlan.local = Some((*address).into()),
                InfoVxlan::Learning(on) => vxlan.learning = *on,
                InfoVxlan::Link(index) => vxlan.device = Some(*index),
                _ => {}
            }
        }
        vxlan
    }
}
