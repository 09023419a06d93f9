//! The VXLAN device's FDB.

use crate::{flow::Addr, wire::eth::Mac};

/// Where the kernel's FDB says that a MAC is. 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VtepKey {
    /// Inner destination MAC.
    pub mac: Mac,
    /// Zero.
    pub reserved: [u8; 2],
}

/// A remote VTEP. 40 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vtep {
    /// Its underlay address.
    pub addr: Addr,
    /// Zero; MAC of the next hop on the underlay.
    pub destination: Mac,
    /// Zero; MAC of the interface that leads there.
    pub source: Mac,
    /// Zero; index of that interface.
    pub ifindex: u32,
    /// Zero; that interface's MTU.
    pub mtu: u16,
    /// Zero.
    pub reserved: [u8; 6],
}
