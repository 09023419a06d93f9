//! VXLAN (RFC 7348): its header, and the frame inside on a line of its own.
//!
//! Unlike tcpdump before 4.99.6, which takes UDP port 8472 for OTV, this takes it for VXLAN,
//! as `tcpdump -T vxlan` would: Linux uses it by default, and so does flannel.

use super::{
    ethernet,
    line::{Line, Printed, after, take, u8_at},
};

/// The assigned port.
pub(super) const PORT: u16 = 4789;
/// The port that Linux used before there was one.
pub(super) const LINUX_PORT: u16 = 8472;

const HEADER: usize = 8;

/// Prints a header and the frame in it.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.protocol("vxlan");
    line.text("VXLAN");
    if length < HEADER {
        line.invalid();
        return Ok(());
    }
    let flags = u8_at(bytes, 0)?;
    let names = if flags & 0x08 != 0 { "I" } else { "invalid" };
    line.push(format_args!(", flags [{names}] (0x{flags:02x}), "));
    let [a, b, c] = take(bytes, 4)?;
    line.push(format_args!("vni {}\n", u32::from_be_bytes([0, a, b, c])));
    // A reserved byte, which must have been captured for the frame to be printed.
    u8_at(bytes, 7)?;
    ethernet::print(line, after(bytes, HEADER), length - HEADER).map(drop)
}
