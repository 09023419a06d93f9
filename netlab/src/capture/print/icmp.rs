//! ICMP (RFC 792).

use super::{
    ip::Pseudo,
    line::{Line, Printed},
};

/// Prints a message. `quoted` prints the IP packet that it quotes.
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
