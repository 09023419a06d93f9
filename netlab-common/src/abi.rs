//! Keys and values of the BPF maps, as the kernel programs and the agent both see them.
//!
//! Law: `repr(C)`, no padding, every field any bit pattern, sizes asserted below;
//! no bool and no Rust enum. Reserved fields are zero; docs/architecture.md says what goes
//! there. Whatever changes a size or a meaning raises [`VERSION`],
//! which is also a folder of the pins, so that maps of another version are never
//! misread.
//!
//! Wire values (addresses, ports, MACs) are big-endian byte arrays; numbers that
//! never were on a wire are native.

use crate::{
    conntrack::{State, Timeouts},
    flow::{Addr, FlowKey},
    wire::eth::Mac,
};

/// Version of everything in this module.
pub const VERSION: u32 = 1;

/// Map names in the eBPF object, which are also the names of their pins.
pub mod map {
    /// Array, one [`super::Config`].
    pub const CONFIG: &str = "CONFIG";
    /// Hash, [`super::FrontendKey`] to [`super::Frontend`].
    pub const FRONTENDS: &str = "FRONTENDS";
    /// Hash, [`super::BackendKey`] to [`super::Backend`].
    pub const BACKENDS: &str = "BACKENDS";
    /// Hash, [`super::Addr`] to u32 (unused): addresses on which node ports answer.
    pub const NODE_ADDRESSES: &str = "NODE_ADDRESSES";
    /// LRU hash, [`super::FlowKey`] to [`super::CtEntry`].
    pub const CONNTRACK: &str = "CONNTRACK";
    /// Hash, [`super::VtepKey`] to [`super::Vtep`]: the FDB, for XDP's own encapsulation.
    pub const VTEPS: &str = "VTEPS";
    /// Per-CPU array indexed by [`super::hook`], of [`crate::counters::Counters`].
    pub const COUNTERS: &str = "COUNTERS";
}

/// Indices into the counters, one a hook.
pub mod hook {
    /// XDP at an uplink.
    pub const XDP: u32 = 0;
    /// tc ingress at an uplink or the VXLAN device.
    pub const TC_INGRESS: u32 = 1;
    /// tc egress at an uplink or the VXLAN device.
    pub const TC_EGRESS: u32 = 2;
    /// How many there are.
    pub const COUNT: u32 = 3;
    /// Names, in index order.
    pub const NAMES: [&str; COUNT as usize] = ["xdp", "tc-ingress", "tc-egress"];
}

/// What the programs must know about their node. 104 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// [`VERSION`].
    pub version: u32,
    /// Interface index of the VXLAN device; 0 for none.
    pub vxlan_ifindex: u32,
    /// Its VNI.
    pub vni: u32,
    /// Its UDP destination port, big-endian.
    pub vxlan_port: [u8; 2],
    /// Zero.
    pub reserved: [u8; 2],
    /// Source address of encapsulated packets; unspecified for none.
    pub vtep: Addr,
    /// Lowest and highest port that masquerading may choose.
    pub snat_ports: [u16; 2],
    /// Lowest and highest outer UDP source port, as the kernel's ip_local_port_range.
    pub vxlan_source_ports: [u16; 2],
    /// Conntrack timeouts.
    pub timeouts: Timeouts,
    /// Zero.
    pub reserved2: [u64; 2],
}

/// What a client dials. 20 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrontendKey {
    /// The address dialled; [`Addr::any`] of a family for a node port: every node address.
    pub addr: Addr,
    /// Port, big-endian.
    pub port: [u8; 2],
    /// IP protocol.
    pub proto: u8,
    /// Zero; scope (external or internal traffic) for the traffic policies.
    pub reserved: u8,
}

/// A Service port behind a frontend. 24 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// Number of the Service port; the same in [`BackendKey::service`].
    pub service: u32,
    /// Backends in slots 0..backends.
    pub backends: u32,
    /// Zero; backends in the node-local slots ([`BackendKey::LOCAL_SLOTS`]) for the Local policies.
    pub local_backends: u32,
    /// Zero; affinity, source ranges, selection, DSR.
    pub flags: u32,
    /// Zero; sessionAffinity timeout in seconds.
    pub affinity: u32,
    /// Zero.
    pub reserved: u32,
}

/// One slot of a Service port. 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendKey {
    /// [`Frontend::service`].
    pub service: u32,
    /// Position, from 0; node-local slots have [`Self::LOCAL_SLOTS`] set.
    pub slot: u32,
}

impl BackendKey {
    /// Bit of [`Self::slot`] reserved for the list of node-local backends.
    pub const LOCAL_SLOTS: u32 = 1 << 31;
}

/// An endpoint as the datapath sees it. 44 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// Pod address.
    pub addr: Addr,
    /// Source address that connections to it get; unspecified for none.
    pub masquerade: Addr,
    /// Port, big-endian.
    pub port: [u8; 2],
    /// Bits, see the constants.
    pub flags: u8,
    /// Zero.
    pub reserved: u8,
    /// Number of the endpoint, stable while it exists.
    pub id: u32,
    /// Zero; weight for canaries.
    pub weight: u32,
}

impl Backend {
    /// Runs on this node: reached through the stack, and the client's address stays.
    pub const LOCAL: u8 = 1;
}

/// One direction of a connection. 88 bytes.
///
/// Law: the entry of the other direction stands under `to.reverse()`, and its own
/// `to` is the reverse of this entry's key.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CtEntry {
    /// What a packet of this direction becomes.
    pub to: FlowKey,
    /// Time of the last packet of this direction, nanoseconds of CLOCK_MONOTONIC.
    pub last_seen: u64,
    /// Time of the first packet of the connection, nanoseconds of CLOCK_MONOTONIC.
    pub created: u64,
    /// Packets of this direction. Not atomic: exact while one CPU serves the flow.
    pub packets: u64,
    /// IP bytes of this direction, as `packets`.
    pub bytes: u64,
    /// [`Frontend::service`].
    pub service: u32,
    /// [`Backend::id`].
    pub backend: u32,
    /// State of the connection, the same in both directions.
    pub state: State,
    /// [`Self::ORIGINAL`] or [`Self::REPLY`].
    pub direction: u8,
    /// Bits, see the constants.
    pub flags: u8,
    /// Zero.
    pub reserved: [u8; 5],
}

impl CtEntry {
    /// From the client.
    pub const ORIGINAL: u8 = 0;
    /// From the backend.
    pub const REPLY: u8 = 1;
    /// The node masquerades this connection: it has to be forwarded past the stack,
    /// which would refuse a packet that arrives with the node's own source address.
    pub const MASQUERADED: u8 = 1;
}

/// Where the kernel's FDB says that a MAC is. 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VtepKey {
    /// Inner destination MAC.
    pub mac: Mac,
    /// Zero.
    pub reserved: [u8; 2],
}

/// A remote VTEP. 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vtep {
    /// Its underlay address.
    pub addr: Addr,
}

macro_rules! abi {
    ($($name:ty: $size:literal),* $(,)?) => {
        $(const _: () = assert!(size_of::<$name>() == $size);)*
        $(
            // SAFETY: repr(C), Copy, without padding (its size is the sum of its
            // fields, asserted above) and valid for every bit pattern.
            #[cfg(feature = "user")]
            unsafe impl aya::Pod for $name {}
        )*
    };
}

abi! {
    Addr: 16,
    FlowKey: 40,
    Config: 104,
    FrontendKey: 20,
    Frontend: 24,
    BackendKey: 8,
    Backend: 44,
    CtEntry: 88,
    VtepKey: 8,
    Vtep: 16,
    crate::counters::Counters: 320,
}
