//! Packets as people look at them: which ones ([`filter`]), as lines ([`mod@print`]), in files
//! ([`mod@file`]).
//!
//! Nothing here knows where a packet comes from: the kernel and a file give the same
//! [`Packet`], so that a filter, a line and a file mean the same for both.

pub mod file;
pub mod filter;
pub mod print;
pub mod service;

/// A packet that was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When: nanoseconds since 1970-01-01 00:00 UTC.
    pub time: u64,
    /// What `bytes` begin with.
    pub link: LinkType,
    /// Length on the wire, in bytes.
    pub wire_len: u32,
    /// Its first bytes, as many as were kept; never more than `wire_len`.
    pub bytes: &'a [u8],
}

/// What the bytes of a packet begin with: a LINKTYPE_ value of the pcap file format
/// (draft-ietf-opsawg-pcaplinktype).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a protocol family in the host order of whoever wrote the file.
    pub const NULL: Self = Self(0);
    /// Ethernet. Everything that netlab captures itself has it.
    pub const ETHERNET: Self = Self(1);
    /// IPv4 or IPv6, without a link layer.
    pub const RAW: Self = Self(101);
    /// Linux "cooked" capture, version 1: `tcpdump -i any` of old.
    pub const LINUX_SLL: Self = Self(113);
    /// Linux "cooked" capture, version 2: `tcpdump -i any`.
    pub const LINUX_SLL2: Self = Self(276);
}
