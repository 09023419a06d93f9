//! Links.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::netlink::{Mac, ethtool::Offload};

/// A link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// Interface index, unique in its namespace.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// What it is.
    pub kind: LinkKind,
    /// Ethernet address; None for links that have none.
    pub mac: Option<Mac>,
    /// Largest L3 packet, in octets.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// It has a carrier (IFLA_CARRIER).
    pub carrier: bool,
    /// RFC 2863's state, in the words of
    /// /sys/class/net: `up`, `down`, `lowerlayerdown`, `unknown`.
    pub operstate: String,
    /// Index of the bridge (or other master) that it is a port of.
    pub master: Option<u32>,
    /// Of a veth: the other end. Of others: the link below.
    pub peer: Option<Peer>,
    /// Of a bridge port.
    pub port: Option<BridgePort>,
    /// Name of the queueing discipline: `noqueue`, `tbf`.
    pub qdisc: String,
    /// Frames wait in a queue of this many at most.
    pub queue_length: Option<u32>,
    /// Numbers of the XDP programs that it runs; more of them in [`super::program`].
    pub xdp: Vec<u32>,
    /// Offload switches; what the link does not have is not there.
    pub offloads: BTreeMap<Offload, bool>,
}

/// What a link is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// `lo`.
    Loopback,
    /// One end of a veth pair.
    Veth,
    /// A bridge.
    Bridge(Bridge),
    /// A VXLAN device.
    Vxlan(Vxlan),
    /// Anything else, by the kernel's word for it; empty for hardware.
    Other(String),
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its index, in its own namespace.
    pub index: u32,
    /// The host it stands in, where it is one of these facts.
    pub host: Option<String>,
    /// Its name, where its host is known.
    pub link: Option<String>,
}

/// Parameters of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bridge {
    /// The spanning tree protocol runs.
    pub stp: bool,
    /// Frames are told apart by VLAN.
    pub vlan_filtering: bool,
    /// Bridged IPv4 goes through iptables, whatever bridge-nf-call-iptables says.
    pub nf_call_iptables: bool,
    /// Bridged IPv6 goes through ip6tables.
    pub nf_call_ip6tables: bool,
}

/// Parameters of a bridge's port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BridgePort {
    /// `disabled`, `listening`, `learning`, `forwarding` or `blocking`.
    pub state: String,
    /// A frame may leave where it came in.
    pub hairpin: bool,
    /// No frame goes to another port that is isolated.
    pub isolated: bool,
    /// MAC addresses are learnt from what comes in.
    pub learning: bool,
    /// Frames to unknown addresses leave here.
    pub flood: bool,
}

/// Parameters of a VXLAN device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Vxlan {
    /// VXLAN network identifier, 24 bits.
    pub vni: u32,
    /// UDP destination port, host order.
    pub port: u16,
    /// Source address of encapsulated packets.
    pub local: Option<IpAddr>,
    /// Where frames to unknown addresses go: a peer or a multicast group.
    pub group: Option<IpAddr>,
    /// Index of the link that encapsulated packets leave through.
    pub device: Option<u32>,
    /// VTEPs are learnt from what arrives.
    pub learning: bool,
    /// TTL of encapsulated packets; 0: the kernel's default for unicast.
    pub ttl: u8,
    /// Outer UDP checksums are computed over IPv4.
    pub udp_checksum: bool,
    /// Outer UDP checksums of zero are sent over IPv6.
    pub udp6_zero_checksum_tx: bool,
    /// Outer UDP checksums of zero are taken over IPv6.
    pub udp6_zero_checksum_rx: bool,
    /// Lowest and highest outer UDP source port; 0 and 0: the kernel's ip_local_port_range.
    pub source_ports: (u16, u16),
    /// Nothing is fixed: VNI and peers come with each packet.
    pub external: bool,
}

impl Default for LinkKind {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl Link {
    /// Parameters, of a VXLAN device.
    #[must_use]
    pub fn vxlan(&self) -> Option<&Vxlan> {
        match &self.kind {
            LinkKind::Vxlan(vxlan) => Some(vxlan),
            _ => None,
        }
    }

    /// Whether it is a bridge.
    #[must_use]
    pub fn is_bridge(&self) -> bool {
        matches!(self.kind, LinkKind::Bridge(_))
    }
}
