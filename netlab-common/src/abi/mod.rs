//! Keys and values of the BPF maps, as the kernel programs and the agent both see them.
//!
//! Law: `repr(C)`, no padding, every field any bit pattern, sizes asserted below;
//! no bool and no Rust enum. Reserved fields are zero, and are there so that what comes does not
//! change a size. Whatever changes a size or a meaning raises [`VERSION`],
//! which is also a folder of the pins, so that maps of another version are never
//! misread; [`v1`] is what the agent still takes over.
//!
//! Wire values (addresses, ports, MACs) are big-endian byte arrays; numbers that
//! never were on a wire are native.

mod config;
mod conntrack;
mod service;
#[cfg(feature = "user")]
pub mod v1;
mod vxlan;

pub use config::Config;
pub use conntrack::{CtEntry, Way};
pub use service::{Backend, BackendKey, Frontend, FrontendKey};
pub use vxlan::{Vtep, VtepKey};

use crate::flow::{Addr, FlowKey};

/// Version of everything in this module.
pub const VERSION: u32 = 2;

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
#[cfg(feature = "user")]
use abi;

abi! {
    Addr: 16,
    FlowKey: 40,
    Config: 152,
    FrontendKey: 20,
    Frontend: 32,
    BackendKey: 8,
    Backend: 48,
    Way: 20,
    CtEntry: 120,
    VtepKey: 8,
    Vtep: 40,
    crate::counters::Counters: 448,
}
