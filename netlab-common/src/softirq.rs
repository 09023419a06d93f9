//! What the programs that book softirq time to network namespaces are told, and what they tell.
//!
//! Law: as in [`crate::event`]: `repr(C)`, no padding, every field any bit pattern.

/// Where the running kernel keeps what the programs read: offsets in bytes. 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// `sk_buff.dev`.
    pub skb_dev: u32,
    /// `napi_struct.dev`.
    pub napi_dev: u32,
    /// `net_device.nd_net.net`.
    pub dev_net: u32,
    /// `net.ns.inum`.
    pub net_inum: u32,
}

/// Most namespaces that time is booked to.
pub const MOST_NAMESPACES: u32 = 1_024;

/// Programs, each at the raw tracepoint (BTF) that stands beside its name.
pub mod program {
    /// A softirq begins.
    pub const ENTER: (&str, &str) = ("softirq_enter", "softirq_entry");
    /// It is over.
    pub const LEAVE: (&str, &str) = ("softirq_leave", "softirq_exit");
    /// The network stack is handed a packet.
    pub const RECEIVE: (&str, &str) = ("softirq_receive", "netif_receive_skb");
    /// A poll of a device's queue, or of the CPU's backlog, is over.
    pub const POLL: (&str, &str) = ("softirq_poll", "napi_poll");
}

/// Map names.
pub mod map {
    /// Per-CPU hash, inode number of a network namespace to u64, nanoseconds. What is not in it
    /// is booked nowhere.
    pub const TIMES: &str = "TIMES";
    /// Per-CPU array of one, what a CPU is at: the programs' own.
    pub const ACCOUNT: &str = "ACCOUNT";
    /// No map, but a constant: [`super::Layout`].
    pub const LAYOUT: &str = "LAYOUT";
}

const _: () = assert!(size_of::<Layout>() == 16);

// SAFETY: repr(C), Copy, without padding (its size is asserted above), valid for every bit
// pattern.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Layout {}
