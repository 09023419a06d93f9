//! ICMPv6 (RFC 4443).

use super::{
    ip::Pseudo,
    line::{Line, Printed},
};

/// Prints a message. `quoted` prints the IPv6 packet that it quotes.
pub(super) fn print(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
    ip: &Pseudo<'_>,
    quoted: &mut dyn FnMut(&mut Line<'_>, &[u8], usize),
) -> Printed {
    let _ = (line, bytes, length, ip, quoted);
    Ok(())
}
