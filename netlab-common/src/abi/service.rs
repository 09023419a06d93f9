//! What clients dial, and the endpoints behind it.

use crate::flow::Addr;

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
    /// Zero.
    pub reserved: u8,
}

/// A Service port behind a frontend. 32 bytes.
///
/// All frontends of one family of a Service port (its node port, its cluster address and so on)
/// have one number and so share their backends; what sets them apart stands here.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// Number of the Service port and family; the same in [`BackendKey::service`].
    pub service: u32,
    /// Backends in slots 0..backends.
    pub backends: u32,
    /// Zero; backends in the node-local slots ([`BackendKey::LOCAL_SLOTS`]) for the Local policies.
    pub local_backends: u32,
    /// Zero; policies, source ranges, selection, DSR.
    pub flags: u32,
    /// Zero; sessionAffinity timeout in seconds.
    pub affinity: u32,
    /// Zero; positions of the ring that backends are chosen from.
    pub ring: u32,
    /// Zero.
    pub reserved: [u32; 2],
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

/// An endpoint as the datapath sees it. 48 bytes.
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
    /// Zero.
    pub reserved2: u32,
}

impl Backend {
    /// Runs on this node: reached through the stack, and the client's address stays.
    pub const LOCAL: u8 = 1;
}
