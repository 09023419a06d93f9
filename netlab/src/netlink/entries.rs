//! Addresses, neighbors and FDB entries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage},
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
};

use super::{Connection, Mac, Result};

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of the link.
    pub device: u32,
    /// The address with its prefix length (not the network).
    pub net: IpNet,
}

/// An entry of the neighbor table: L3 to L2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Index of the link.
    pub device: u32,
    /// L3 address.
    pub address: IpAddr,
    /// L2 address; None while it is being resolved.
    pub mac: Option<Mac>,
    /// Set by hand, never expires (NUD_PERMANENT).
    pub permanent: bool,
    /// In use: neither unresolved nor failed.
    pub valid: bool,
}

/// An entry of a forwarding database: a MAC address and where frames to it go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdbEntry {
    /// Index of the link (a bridge's port, or a VXLAN device).
    pub device: u32,
    /// L2 address.
    pub mac: Mac,
    /// Of a VXLAN device: the VTEP's underlay address.
    pub destination: Option<IpAddr>,
    /// Index of the bridge that the entry belongs to; None in the device's own table.
    pub master: Option<u32>,
    /// Set by hand, never expires (NUD_PERMANENT).
    pub permanent: bool,
}

/// A permanent entry for a VXLAN device's own table (`bridge fdb replace ... self permanent`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFdbEntry {
    /// Index of the VXLAN device.
    pub device: u32,
    /// MAC address of the peer's VTEP.
    pub mac: Mac,
    /// Underlay address of the peer.
    pub destination: IpAddr,
}

impl Connection {
    /// All addresses of the namespace.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses the dump.
    pub async fn addresses(&self) -> Result<Vec<Address>> {
        let messages = self.address_messages().await?;
        Ok(messages.iter().filter_map(Address::from_message).collect())
    }

    /// Gives a link an address; an IPv6 one without duplicate address detection, so that it
    /// can be used at once.
    ///
    /// # Errors
    ///
    /// EEXIST where the link has it already.
    pub async fn add_address(&self, address: Address) -> Result<()> {
        let net = address.net;
        let mut request = self.handle.address().add(address.device, net.addr(), net.prefix_len());
        if net.addr().is_ipv6() {
            let message = request.message_mut();
            message.header.flags |= AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        request.execute().await.map_err(|e| self.failed("add the address", net, e))
    }

    /// Takes an address away.
    ///
    /// # Errors
    ///
    /// [`super::Error::is_absent`] where the link does not have it.
    pub async fn remove_address(&self, address: Address) -> Result<()> {
        let mut message = AddressMessage::default();
        message.header.index = address.device;
        message.header.prefix_len = address.net.prefix_len();
        message.header.family = match address.net {
            IpNet::V4(_) => AddressFamily::Inet,
            IpNet::V6(_) => AddressFamily::Inet6,
        };
        message.attributes.push(AddressAttribute::Local(address.net.addr()));
        self.handle
            .address()
            .del(message)
            .execute()
            .await
            .map_err(|e| self.failed("remove the address", address.net, e))
    }

    /// The neighbor tables of both families.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses the dump.
    pub async fn neighbors(&self) -> Result<Vec<Neighbor>> {
        let mut neighbors = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let messages = self.neighbor_messages(family).await?;
            neighbors.extend(messages.iter().filter_map(Neighbor::from_message));
        }
        Ok(neighbors)
    }

    /// Sets a permanent neighbor entry.
    ///
    /// # Errors
    ///
    /// EINVAL where the link has no neighbors.
    pub async fn replace_neighbor(&self, device: u32, address: IpAddr, mac: Mac) -> Result<()> {
        self.handle
            .neighbours()
            .add(device, address)
            .link_layer_address(&mac.0)
            .state(NeighbourState::Permanent)
            .replace()
            .execute()
            .await
            .map_err(|e| self.failed("set the neighbor", address, e))
    }

    /// Takes a neighbor entry away.
    ///
    /// # Errors
    ///
    /// [`super::Error::is_absent`] where there is none.
    pub async fn remove_neighbor(&self, device: u32, address: IpAddr) -> Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = device;
        message.header.family = match address {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        message.attributes.push(NeighbourAttribute::Destination(match address {
            IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
            IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
        }));
        self.handle
            .neighbours()
            .del(message)
            .execute()
            .await
            .map_err(|e| self.failed("remove the neighbor", address, e))
    }

    /// The forwarding databases of all bridges and VXLAN devices.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses the dump.
    pub async fn fdb(&self) -> Result<Vec<FdbEntry>> {
        let messages = self.neighbor_messages(AddressFamily::Bridge).await?;
        Ok(messages.iter().filter_map(FdbEntry::from_message).collect())
    }

    /// Sets a permanent entry of a VXLAN device's own table, replacing one of the same MAC.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP where the device has no such table.
    pub async fn replace_fdb(&self, entry: NewFdbEntry) -> Result<()> {
        self.handle
            .neighbours()
            .add_bridge(entry.device, &entry.mac.0)
            .state(NeighbourState::Permanent)
            .flags(NeighbourFlags::Own)
            .destination(entry.destination)
            .replace()
            .execute()
            .await
            .map_err(|e| self.failed("set the FDB entry", entry.mac, e))
    }

    /// Takes an entry of a VXLAN device's own table away.
    ///
    /// # Errors
    ///
    /// [`super::Error::is_absent`] where there is none.
    pub async fn remove_fdb(&self, device: u32, mac: Mac) -> Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = device;
        message.header.family = AddressFamily::Bridge;
        message.header.flags = NeighbourFlags::Own;
        message.header.state = NeighbourState::Permanent;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        self.handle
            .neighbours()
            .del(message)
            .execute()
            .await
            .map_err(|e| self.failed("remove the FDB entry", mac, e))
    }
}

impl Address {
    fn from_message(message: &AddressMessage) -> Option<Self> {
        // IFA_LOCAL is the address itself, IFA_ADDRESS the peer's where they differ
        // (rtnetlink(7)); IPv6 gives IFA_ADDRESS alone.
        let mut own = None;
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(address) => own = Some(*address),
                AddressAttribute::Address(address) => own = own.or(Some(*address)),
                _ => {}
            }
        }
        let net = IpNet::new(own?, message.header.prefix_len).ok()?;
        Some(Self { device: message.header.index, net })
    }
}

impl Neighbor {
    fn from_message(message: &NeighbourMessage) -> Option<Self> {
        let address = destination(message)?;
        let state = message.header.state;
        Some(Self {
            device: message.header.ifindex,
            address,
            mac: link_layer_address(message),
            permanent: state == NeighbourState::Permanent,
            valid: !matches!(
                state,
                NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::None
            ),
        })
    }
}

impl FdbEntry {
    fn from_message(message: &NeighbourMessage) -> Option<Self> {
        let master = message.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::Controller(index) => Some(*index),
            _ => None,
        });
        Some(Self {
            device: message.header.ifindex,
            mac: link_layer_address(message)?,
            destination: destination(message),
            master,
            permanent: message.header.state == NeighbourState::Permanent,
        })
    }
}

/// The Ethernet address of a neighbor's or an FDB entry's message.
pub(crate) fn link_layer_address(message: &NeighbourMessage) -> Option<Mac> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => Mac::from_bytes(bytes),
        _ => None,
    })
}

/// The address that such an entry is for, or leads to. FDB messages are of the bridge family, so
/// theirs comes undecoded.
pub(crate) fn destination(message: &NeighbourMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        NeighbourAttribute::Destination(NeighbourAddress::Other(bytes)) => {
            let v4 = || <[u8; 4]>::try_from(&bytes[..]).ok().map(|b| Ipv4Addr::from(b).into());
            let v6 = || <[u8; 16]>::try_from(&bytes[..]).ok().map(|b| Ipv6Addr::from(b).into());
            v4().or_else(v6)
        }
        _ => None,
    })
}
