//! What the programs that make and take traffic for measurements are told, and what they count.
//!
//! Law: as in [`crate::event`]: `repr(C)`, no padding, every field any bit pattern.

/// Bytes at the start of a frame that the generator writes anew for each: all of the headers, and
/// with them the shortest frame of Ethernet without its checksum (IEEE 802.3, 64 octets with it).
/// The rest of a frame is as whoever had its memory last left it.
pub const HEAD: usize = 60;

/// What to send. 76 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// The frame's first bytes: Ethernet, IPv4 without options, and UDP without a checksum, from
    /// [`Self::first_port`].
    pub head: [u8; HEAD],
    /// Interface to send by, in the namespace in which the program is run.
    pub ifindex: u32,
    /// The least source port of UDP.
    pub first_port: u32,
    /// How many source ports, at least 1. Each is a flow.
    pub flows: u32,
    /// Not zero: a source port at random for each frame; zero: one after the other.
    pub random: u32,
}

/// What came, one set a CPU. 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// UDP datagrams in IPv4, VXLAN among them.
    pub packets: u64,
    /// Their frames' bytes.
    pub bytes: u64,
}

/// Program names.
pub mod program {
    /// At XDP, attached where nothing is received, and run by BPF_PROG_TEST_RUN: sends.
    pub const SEND: &str = "traffic_send";
    /// At XDP: counts and drops UDP in IPv4, lets all else pass.
    pub const TAKE: &str = "traffic_take";
    /// At XDP: forwards IPv4 by the kernel's tables and does nothing else; what no NodePort can
    /// be faster than.
    pub const FORWARD: &str = "traffic_forward";
}

/// Map names.
pub mod map {
    /// Array, one [`super::Flood`].
    pub const FLOOD: &str = "FLOOD";
    /// Per-CPU array, one u32: which source port is next.
    pub const NEXT: &str = "NEXT";
    /// Per-CPU array, one [`super::Taken`].
    pub const TAKEN: &str = "TAKEN";
}

const _: () = assert!(size_of::<Flood>() == HEAD + 16);
const _: () = assert!(size_of::<Taken>() == 16);

// SAFETY: repr(C), Copy, without padding (sizes asserted above), valid for every bit pattern.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Flood {}
// SAFETY: as above.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Taken {}
