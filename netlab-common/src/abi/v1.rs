//! Values of version 1, for the agent to take over what an older one has pinned.
//!
//! Keys are those of today, as are addresses and flows.

use crate::{
    conntrack::State,
    flow::{Addr, FlowKey},
};

/// 24 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// See [`super::Frontend`], as for the following.
    pub service: u32,
    /// Backends in slots 0..backends.
    pub backends: u32,
    /// Zero.
    pub reserved: [u32; 4],
}

/// 44 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// See [`super::Backend`], as for the following.
    pub addr: Addr,
    /// Source address that connections to it get.
    pub masquerade: Addr,
    /// Port, big-endian.
    pub port: [u8; 2],
    /// Bits.
    pub flags: u8,
    /// Zero.
    pub reserved: u8,
    /// Number of the endpoint.
    pub id: u32,
    /// Zero.
    pub reserved2: u32,
}

/// 88 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CtEntry {
    /// See [`super::CtEntry`], as for the following.
    pub to: FlowKey,
    /// Nanoseconds.
    pub last_seen: u64,
    /// Nanoseconds.
    pub created: u64,
    /// Packets of this direction.
    pub packets: u64,
    /// IP bytes of this direction.
    pub bytes: u64,
    /// Number of the Service port.
    pub service: u32,
    /// Number of the endpoint.
    pub backend: u32,
    /// State of the connection.
    pub state: State,
    /// Direction.
    pub direction: u8,
    /// Bits.
    pub flags: u8,
    /// Zero.
    pub reserved: [u8; 5],
}

impl From<Frontend> for super::Frontend {
    fn from(old: Frontend) -> Self {
        let Frontend { service, backends, .. } = old;
        Self { service, backends, ..Self::default() }
    }
}

impl From<Backend> for super::Backend {
    fn from(old: Backend) -> Self {
        let Backend { addr, masquerade, port, flags, id, .. } = old;
        Self { addr, masquerade, port, flags, id, ..Self::default() }
    }
}

impl From<CtEntry> for super::CtEntry {
    fn from(old: CtEntry) -> Self {
        Self {
            to: old.to,
            last_seen: old.last_seen,
            created: old.created,
            packets: old.packets,
            bytes: old.bytes,
            service: old.service,
            backend: old.backend,
            state: old.state,
            direction: old.direction,
            flags: old.flags,
            ..Self::default()
        }
    }
}

super::abi! {
    Frontend: 24,
    Backend: 44,
    CtEntry: 88,
}
