//! Lines, as tcpdump prints them.
//!
//! Law: what [`Printer::print`] appends is what tcpdump 4.99 prints for the same packet and
//! the same options, to the byte, for the protocols that have a file here.
//!
//! One file a protocol, all of one shape: `print(line, bytes, length, …) -> Printed`. `bytes`
//! are what was captured of the protocol's header and what follows, `length` is what the layer
//! below says that there was on the wire. A protocol that runs out of bytes returns
//! [`Truncated`], and its caller marks the line (`[|tcp]`) and stops.

#[cfg_attr(not(test), expect(dead_code, reason = "the printers of the layers below call it"))]
mod dns;
#[cfg_attr(not(test), expect(dead_code, reason = "the printers of the layers below call it"))]
mod icmp;
#[cfg_attr(not(test), expect(dead_code, reason = "the printers of the layers below call it"))]
mod icmp6;
#[cfg_attr(not(test), expect(dead_code, reason = "the printers of the layers below call it"))]
mod ipv6_options;
mod line;
mod notation;

pub use line::Options;
