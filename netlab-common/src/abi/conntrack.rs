//! Connections.

use crate::{conntrack::State, flow::FlowKey, wire::eth::Mac};

/// One direction of a connection. 120 bytes.
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
    /// [`super::Frontend::service`].
    pub service: u32,
    /// [`super::Backend::id`].
    pub backend: u32,
    /// State of the connection, the same in both directions.
    pub state: State,
    /// [`Self::ORIGINAL`] or [`Self::REPLY`].
    pub direction: u8,
    /// Bits, see the constants.
    pub flags: u8,
    /// Zero.
    pub reserved: u8,
    /// Zero; sequence number of the client's last SYN or FIN.
    pub sequence: u32,
    /// Zero; TCP timestamp of that segment.
    pub timestamp: u32,
    /// Zero; the way on.
    pub way: Way,
    /// Zero.
    pub reserved2: [u32; 2],
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

/// Where a direction's packets leave. 20 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Interface index; 0 for none known.
    pub ifindex: u32,
    /// [`super::Config::ways`] when it was found.
    pub generation: u32,
    /// That interface's MAC.
    pub source: Mac,
    /// The next hop's.
    pub destination: Mac,
}
