//! Addresses, policy routing, routes, neighbors and forwarding databases.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::netlink::Mac;

/// RT_TABLE_MAIN of linux/rtnetlink.h.
#[must_use]
pub const fn main_table() -> u32 {
    254
}

/// RT_TABLE_LOCAL of linux/rtnetlink.h.
#[must_use]
pub const fn local_table() -> u32 {
    255
}

/// An address of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Index of the link.
    pub device: u32,
    /// The address with its prefix length (not the network).
    pub net: IpNet,
    /// In the words of `ip address`: `global`, `link`, `host`.
    pub scope: String,
    /// IPv6: it is not used before nobody else has it (duplicate address detection).
    pub tentative: bool,
    /// IPv6: somebody else has it, so it is not used.
    pub duplicate: bool,
}

/// A rule of policy routing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Whether it is IPv4's.
    pub v4: bool,
    /// Rules are tried from the lowest.
    pub priority: u32,
    /// It counts where its conditions are not met (`not`).
    pub inverted: bool,
    /// Source.
    pub from: Option<IpNet>,
    /// Destination.
    pub to: Option<IpNet>,
    /// Name of the link that packets come in by (`iif`); `lo` for the host's own.
    pub input: Option<String>,
    /// Name of the link that a socket is bound to (`oif`).
    pub output: Option<String>,
    /// Mark and mask (`fwmark`).
    pub mark: Option<(u32, u32)>,
    /// IP protocol number.
    pub protocol: Option<u8>,
    /// Source ports, both ends included.
    pub source_ports: Option<(u16, u16)>,
    /// Destination ports, both ends included.
    pub destination_ports: Option<(u16, u16)>,
    /// Type of service; 0: any.
    pub tos: u8,
    /// Routes with this prefix length or a shorter one do not count (`suppress_prefixlength`).
    pub suppress_prefix_length: Option<u32>,
    /// It asks for more than is written down here (a user, a tunnel, a VRF), so that nobody can say
    /// which packets meet it.
    pub asks_more: bool,
    /// What it does.
    pub action: RuleAction,
}

/// What a rule of policy routing does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleAction {
    /// Look into this table; where it has no route, go on.
    Table(u32),
    /// Go on at the rule of this priority.
    Goto(u32),
    /// Go on.
    #[default]
    Nop,
    /// Drop without a word.
    Blackhole,
    /// ICMP net unreachable.
    Unreachable,
    /// ICMP administratively prohibited.
    Prohibit,
    /// Anything else, by number.
    Other(u8),
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Number of its table.
    pub table: u32,
    /// Destination network.
    pub destination: IpNet,
    /// What becomes of packets.
    pub kind: RouteKind,
    /// Who made it, in the words of `ip route`: `kernel`, `boot`, `static`, `ra`; else a number.
    pub protocol: String,
    /// In the words of `ip route`: `global`, `link`, `host`.
    pub scope: String,
    /// Of routes to the same destination, the lowest counts.
    #[serde(default)]
    pub metric: u32,
    /// Type of service; 0: any.
    #[serde(default)]
    pub tos: u8,
    /// Preferred source address.
    #[serde(default)]
    pub source: Option<IpAddr>,
    /// Largest L3 packet along it, in octets.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// That MTU counts whatever is learnt of the path.
    #[serde(default)]
    pub mtu_locked: bool,
    /// Where packets go; several of a multipath route, none of `blackhole` and its kin.
    #[serde(default)]
    pub hops: Vec<NextHop>,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// None where the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Index of the link.
    pub device: u32,
    /// The gateway counts as on the link even where no address says so.
    #[serde(default)]
    pub onlink: bool,
    /// The link is down, so it does not count.
    #[serde(default)]
    pub dead: bool,
    /// The link has no carrier.
    #[serde(default)]
    pub link_down: bool,
    /// Share among the hops of a multipath route, from 1.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// What becomes of a route's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteKind {
    /// They go to the next hop.
    Unicast,
    /// They are the host's.
    Local,
    /// They are the host's, sent to all on the link.
    Broadcast,
    /// As local, for an address that many hosts have.
    Anycast,
    /// They are sent to a group.
    Multicast,
    /// Dropped without a word.
    Blackhole,
    /// ICMP host unreachable.
    Unreachable,
    /// ICMP administratively prohibited.
    Prohibit,
    /// The lookup goes on with the next rule.
    Throw,
    /// Anything else.
    Other,
}

/// An entry of the neighbor table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbor {
    /// Index of the link.
    pub device: u32,
    /// L3 address.
    pub address: IpAddr,
    /// L2 address; None while it is being resolved.
    pub mac: Option<Mac>,
    /// How sure the kernel is.
    pub state: NeighborState,
    /// The host answers for the address (`proxy`).
    #[serde(default)]
    pub proxy: bool,
}

/// NUD_* of linux/neighbour.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeighborState {
    /// Nothing is known or asked.
    None,
    /// Asked, no answer yet.
    Incomplete,
    /// Confirmed lately.
    Reachable,
    /// Not confirmed lately; used all the same.
    Stale,
    /// As stale, and about to be asked.
    Delay,
    /// Being asked.
    Probe,
    /// Nobody answered.
    Failed,
    /// There is nothing to resolve.
    Noarp,
    /// Set by hand, never expires.
    Permanent,
}

impl NeighborState {
    /// Whether packets are sent to its L2 address.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        !matches!(self, Self::None | Self::Incomplete | Self::Failed)
    }
}

/// An entry of a forwarding database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbEntry {
    /// Index of the link: a bridge's port, or a VXLAN device.
    pub device: u32,
    /// L2 address; zeros: frames to unknown addresses.
    pub mac: Mac,
    /// Of a VXLAN device: the VTEP's underlay address.
    pub destination: Option<IpAddr>,
    /// Of a VXLAN device: UDP port of that VTEP, where it is another than the device's.
    #[serde(default)]
    pub port: Option<u16>,
    /// Of a VXLAN device: VNI of that VTEP, where it is another than the device's.
    #[serde(default)]
    pub vni: Option<u32>,
    /// Index of the bridge that the entry belongs to; None in the device's own table.
    #[serde(default)]
    pub master: Option<u32>,
    /// Set by hand, never expires; an address of the port itself, in a bridge's table.
    #[serde(default)]
    pub permanent: bool,
    /// VLAN of the bridge.
    #[serde(default)]
    pub vlan: Option<u16>,
}

/// fe80::/10, which every link has (RFC 4291, section 2.5.6).
#[must_use]
pub const fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
