//! VXLAN (RFC 7348): its header, and the frame inside on a line of its own.
//!
//! Unlike tcpdump, which takes UDP port 8472 for OTV, this takes it for VXLAN, as
//! `tcpdump -T vxlan` would: it is what Linux uses by default, and what flannel uses.

use super::{
    ethernet,
    line::{Line, Printed, Truncated, after, u8_at, u32_at},
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
    // The last byte of the word, which is reserved, need not have been captured.
    let vni = match bytes.get(4..7) {
        Some([a, b, c]) => u32::from_be_bytes([0, *a, *b, *c]),
        _ => return Err(Truncated),
    };
    line.push(format_args!("vni {vni}\n"));
    u32_at(bytes, 4)?;
    ethernet::print(line, after(bytes, HEADER), length - HEADER).map(drop)
}
