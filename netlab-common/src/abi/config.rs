//! What the programs are told about their node.

use crate::{conntrack::Timeouts, flow::Addr};

/// What the programs must know about their node. 152 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// [`super::VERSION`].
    pub version: u32,
    /// Zero.
    pub flags: u32,
    /// Interface index of the VXLAN device; 0 for none.
    pub vxlan_ifindex: u32,
    /// Its VNI.
    pub vni: u32,
    /// Its UDP destination port, big-endian.
    pub vxlan_port: [u8; 2],
    /// Zero.
    pub reserved: [u8; 2],
    /// Zero; generation of links, routes and neighbors, see [`super::Way`].
    pub ways: u32,
    /// Source address of encapsulated packets; unspecified for none.
    pub vtep: Addr,
    /// Lowest and highest port that masquerading may choose.
    pub snat_ports: [u16; 2],
    /// Lowest and highest outer UDP source port, as the kernel's ip_local_port_range.
    pub vxlan_source_ports: [u16; 2],
    /// Conntrack timeouts.
    pub timeouts: Timeouts,
    /// Zero; cookie of the node's network namespace.
    pub netns_cookie: u64,
    /// Zero; key of the hash that source ports are chosen by.
    pub port_key: u64,
    /// Zero.
    pub reserved2: [u64; 3],
}
