//! Watching packets in the kernel: at the interfaces, around XDP and tc programs, and where
//! they are dropped.
//!
//! A [`Sighting`] is one packet at one place. What the places are called, and what the
//! datapath says that it did there, is in [`event`]; how sightings of one packet are tied
//! together, in [`follow`].

pub mod event;
pub mod follow;

pub use event::{Event, Hook};

/// A packet, seen at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting<'a> {
    /// When: nanoseconds since 1970-01-01 00:00 UTC.
    pub time: u64,
    /// The host, as the lab names it, or the namespace; empty for this machine's own.
    pub host: &'a str,
    /// The interface; empty where the packet has none.
    pub interface: &'a str,
    /// Where on it.
    pub hook: Hook,
    /// What happened there, as far as it is known.
    pub event: Option<Event>,
    /// Length on the wire, in bytes.
    pub wire_len: u32,
    /// The packet's first bytes, from its Ethernet header on.
    pub bytes: &'a [u8],
}
