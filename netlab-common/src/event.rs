//! The ring-buffer record of a captured packet, and what the datapath says that it did.
//!
//! A record in the ring is: a [`Trace`], only where the hook knows one; a [`Record`]; and
//! `captured` bytes of the packet, from its Ethernet header on. The first byte tells which
//! comes first: it is zero for a [`Record`] and never for a [`Trace`].
//!
//! Law: `repr(C)`, no padding, every field any bit pattern, sizes asserted below. Numbers are
//! native, wire values big-endian byte arrays.

use crate::{
    filter_input,
    flow::FlowKey,
    verdict::{Forward, Route, Verdict},
};

/// Where a packet was seen.
pub mod hook {
    /// Before an XDP program ran.
    pub const XDP_IN: u8 = 0;
    /// After an XDP program ran.
    pub const XDP_OUT: u8 = 1;
    /// tc ingress, ahead of all other programs there.
    pub const TC_IN: u8 = 2;
    /// After netlab's program at tc ingress ran.
    pub const NAT_IN: u8 = 3;
    /// After netlab's program at tc egress ran.
    pub const NAT_OUT: u8 = 4;
    /// tc egress, after all other programs there.
    pub const TC_OUT: u8 = 5;
    /// Where the kernel freed it as a drop.
    pub const DROP: u8 = 6;
    /// How many there are.
    pub const COUNT: usize = 7;
    /// Names, in the order of their numbers.
    pub const NAMES: [&str; COUNT] =
        ["xdp-in", "xdp-out", "tc-in", "nat-in", "nat-out", "tc-out", "drop"];
}

/// The slots in which captures find room around the datapath's programs, in the program arrays
/// [`map::XDP_STAGES`] and [`map::TC_STAGES`].
///
/// A program that begins calls what is in the slots from `IN` on, one that ends what is in those
/// from `OUT` on. Such a call does not return: whoever is called calls the next slot in its turn,
/// and at last `MAIN`, or returns the action that stands in [`Trace::action`].
pub mod stage {
    /// Captures that can be there at the same time.
    pub const CAPTURES: u32 = 4;
    /// The first slot before the program; of tc, the first after the program at ingress.
    pub const IN: u32 = 0;
    /// The first slot after the program; of tc, after the program at egress.
    pub const OUT: u32 = IN + CAPTURES;
    /// XDP's program itself.
    pub const MAIN: u32 = OUT + CAPTURES;
    /// How many slots there are.
    pub const COUNT: u32 = MAIN + 1;
}

/// What is known of a captured packet beside its bytes. 40 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Zero: a record begins here.
    pub tag: u8,
    /// One of [`hook`].
    pub hook: u8,
    /// Zero.
    pub reserved: [u8; 2],
    /// At [`hook::DROP`] the kernel's drop reason; at [`hook::XDP_OUT`], [`hook::NAT_IN`] and
    /// [`hook::NAT_OUT`] the action that the program returned; zero otherwise.
    pub reason: u32,
    /// When, nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// At [`hook::DROP`] the address in the kernel's text; zero otherwise.
    pub location: u64,
    /// Number of the network namespace in this capture.
    pub namespace: u32,
    /// Interface index; 0 where the packet has no interface.
    pub ifindex: u32,
    /// Bytes of the packet that follow.
    pub captured: u32,
    /// Length of the packet, in bytes.
    pub wire_len: u32,
}

/// What the datapath did with a packet, left for whoever captures. 88 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// One of the `PASS` to `DROP` constants; zero where nothing is known.
    pub class: u8,
    /// Code of the [`crate::verdict::PassReason`], [`crate::verdict::Kind`],
    /// [`crate::verdict::Answer`] or [`crate::verdict::DropReason`].
    pub reason: u8,
    /// Bits, see the constants.
    pub flags: u8,
    /// Zero.
    pub reserved: u8,
    /// The action that the program returns.
    pub action: u32,
    /// The packet's flow as it came; for an ICMP error that of the packet it quotes, reversed.
    pub from: FlowKey,
    /// What it became; only of [`Self::FORWARD`].
    pub to: FlowKey,
}

impl Trace {
    /// Left to the stack.
    pub const PASS: u8 = 1;
    /// Translated and forwarded.
    pub const FORWARD: u8 = 2;
    /// Answered in the destination's name.
    pub const ANSWER: u8 = 3;
    /// Dropped.
    pub const DROP: u8 = 4;

    /// Bit: decided, but not carried out; the packet went on untouched.
    pub const LEFT: u8 = 1;
    /// Bit: put into a VXLAN packet.
    pub const ENCAPSULATED: u8 = 2;
    /// Bit: taken out of a VXLAN packet.
    pub const DECAPSULATED: u8 = 4;
    /// Bit: forwarded past the stack.
    pub const PAST_STACK: u8 = 8;

    /// Whether the packet went on as it came.
    #[inline(always)]
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        self.class <= Self::PASS || self.flags & Self::LEFT != 0
    }

    /// Notes a verdict, and how it was carried out.
    #[inline(always)]
    pub fn note(&mut self, verdict: &Verdict, flags: u8, from: &FlowKey, to: &FlowKey) {
        (self.class, self.reason, self.flags) = match verdict {
            Verdict::Pass(reason) => (Self::PASS, *reason as u8, flags),
            Verdict::Forward(Forward { kind, route }) => {
                let past = if matches!(route, Route::Fib) { Self::PAST_STACK } else { 0 };
                (Self::FORWARD, *kind as u8, flags | past)
            }
            Verdict::Answer(answer) => (Self::ANSWER, *answer as u8, flags),
            Verdict::Drop(reason) => (Self::DROP, *reason as u8, flags),
        };
        if !matches!(verdict, Verdict::Pass(_)) {
            (self.from, self.to) = (*from, *to);
        }
    }
}

/// What the programs of a capture must know. 76 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Most bytes to keep of a packet; at most [`MAX_SNAPLEN`].
    pub snaplen: u32,
    /// How many bytes the filter may look at; at most [`MAX_SNAPLEN`].
    pub reach: u32,
    /// Bytes waiting in the ring from which on the reader is woken.
    pub wake_at: u32,
    /// Not zero: only interfaces in the map INTERFACES.
    pub selected: u32,
    /// Not zero: of what the datapath did with packets, only drops are of interest.
    pub only_drops: u32,
    /// Zero until all programs are attached, so that no packet is seen at half of its hooks, and
    /// again when the capture is over.
    pub running: u32,
    /// Where the kernel keeps what.
    pub layout: Layout,
}

/// Byte offsets of fields in the running kernel's structures, from its BTF. 52 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// `net_device.ifindex`.
    pub dev_ifindex: u32,
    /// `net_device.nd_net.net`.
    pub dev_net: u32,
    /// `net.ns.inum`.
    pub net_inum: u32,
    /// `sk_buff.head`.
    pub skb_head: u32,
    /// `sk_buff.data`.
    pub skb_data: u32,
    /// `sk_buff.len`; `data_len` follows.
    pub skb_len: u32,
    /// `sk_buff.mac_header`.
    pub skb_mac_header: u32,
    /// `sk_buff.network_header`.
    pub skb_network_header: u32,
    /// `sk_buff.protocol`.
    pub skb_protocol: u32,
    /// `sk_buff.vlan_proto`; `vlan_tci` follows.
    pub skb_vlan: u32,
    /// `sk_buff.dev`.
    pub skb_dev: u32,
    /// `sk_buff.sk`.
    pub skb_sk: u32,
    /// `sock_common.skc_net.net`, at the start of every socket.
    pub sock_net: u32,
}

/// What is different for each namespace, or each datapath, that is watched. 12 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// Number of the network namespace in this capture.
    pub namespace: u32,
    /// Not zero: packets of these interfaces begin with an IP header.
    pub headerless: u32,
    /// Which of the [`stage::CAPTURES`] slots around the datapath's programs it has.
    pub slot: u32,
}

/// Key of the map INTERFACES. 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceKey {
    /// Number of the network namespace in this capture.
    pub namespace: u32,
    /// Interface index.
    pub ifindex: u32,
}

/// Key of the map LOSSES. 12 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LossKey {
    /// On which interface.
    pub interface: InterfaceKey,
    /// One of [`hook`].
    pub hook: u32,
}

/// What a hook of the capture counted, one set a CPU. 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets that the filter accepted.
    pub accepted: u64,
    /// Of these: not in the ring, which was full.
    pub lost: u64,
    /// Packets that the filter rejected.
    pub rejected: u64,
    /// Packets whose bytes could not be read.
    pub unreadable: u64,
}

impl Tally {
    /// Adds another set.
    pub const fn merge(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.lost += other.lost;
        self.rejected += other.rejected;
        self.unreadable += other.unreadable;
    }
}

/// Most bytes that can be kept of a packet: what a filter is given.
pub const CAPACITY: u32 = 65_600;

const _: () = assert!(CAPACITY as usize == filter_input::CAPACITY);

/// Most bytes to keep of a packet: what is put in front of one may move it by so much.
pub const MAX_SNAPLEN: u32 = CAPACITY - 16;

// The end of a record and the bytes behind it are a filter's input.
const _: () = {
    let input = core::mem::offset_of!(Record, captured);
    assert!(core::mem::offset_of!(Record, wire_len) == input + filter_input::AT_WIRE_LEN);
    assert!(size_of::<Record>() == input + filter_input::AT_BYTES);
};

/// Map names in the object of the capture programs.
pub mod map {
    /// Ring buffer of records.
    pub const RING: &str = "RING";
    /// Array, one [`super::Settings`].
    pub const SETTINGS: &str = "SETTINGS";
    /// Array, one [`super::Instance`]; each instance of a program has its own.
    pub const INSTANCE: &str = "INSTANCE";
    /// Hash, inode number of a network namespace to its number in this capture.
    pub const NAMESPACES: &str = "NAMESPACES";
    /// Hash, [`super::InterfaceKey`] to u32 (unused): the interfaces asked for.
    pub const INTERFACES: &str = "INTERFACES";
    /// Per-CPU array by hook, of [`super::Tally`].
    pub const TALLY: &str = "TALLY";
    /// Per-CPU hash, [`super::LossKey`] to u64: packets that were not in the ring, which was full.
    pub const LOSSES: &str = "LOSSES";
    /// Array, working memory: two elements a CPU.
    pub const BUFFERS: &str = "BUFFERS";
    /// Per-CPU array by the datapath's hook, of [`super::Trace`]. The datapath's object has it
    /// under the same name, as the following; instances that watch a datapath use that one's.
    pub const TRACE: &str = "TRACE";
    /// Program array of one: the program that looks at packets for all those at interfaces.
    pub const TC_LOOK: &str = "TC_LOOK";
    /// Program array by [`super::stage`], around XDP.
    pub const XDP_STAGES: &str = "XDP_STAGES";
    /// Program array by [`super::stage`], after tc.
    pub const TC_STAGES: &str = "TC_STAGES";
    /// Hash, slot to the number of a BPF link that ends with the capture that has the slot. In
    /// the datapath's object alone.
    pub const TENANTS: &str = "TENANTS";
}

macro_rules! sizes {
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

sizes! {
    Record: 40,
    Trace: 88,
    Settings: 76,
    Layout: 52,
    Instance: 12,
    InterfaceKey: 8,
    LossKey: 12,
    Tally: 32,
}
