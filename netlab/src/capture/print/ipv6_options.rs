//! IPv6 extension headers (RFC 8200, section 4). Each gives its own length, or none where
//! nothing after it can be printed.

use super::line::{Line, Truncated, u8_at, u16_at};

/// Length of an extension header that was printed.
pub(super) type Length = Result<Option<usize>, Truncated>;

/// Hop-by-hop options; `jumbo` is set by a jumbo payload option (RFC 2675).
pub(super) fn hop_by_hop(line: &mut Line<'_>, bytes: &[u8], jumbo: &mut Option<u32>) -> Length {
    let _ = (line, jumbo);
    Ok(Some((usize::from(u8_at(bytes, 1)?) + 1) * 8))
}

/// Destination options.
pub(super) fn destination(line: &mut Line<'_>, bytes: &[u8]) -> Length {
    let _ = line;
    Ok(Some((usize::from(u8_at(bytes, 1)?) + 1) * 8))
}

/// A routing header.
pub(super) fn routing(line: &mut Line<'_>, bytes: &[u8]) -> Length {
    let _ = line;
    Ok(Some((usize::from(u8_at(bytes, 1)?) + 1) * 8))
}

/// A fragment header. `length` is what the packet's header says that there is from here on.
pub(super) fn fragment(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Length {
    let _ = (line, length);
    Ok((u16_at(bytes, 2)? & 0xfff8 == 0).then_some(8))
}
