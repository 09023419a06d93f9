//! Packet formats: one file a protocol, all of one shape.
//!
//! A header is a byte array in network order with accessors in host order, a `LEN`,
//! and offsets (`AT_*`, from the header's first byte) of the fields that are edited
//! in place. Headers that netlab also sends have a constructor.

pub mod eth;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod tcp;
pub mod udp;
pub mod vxlan;
