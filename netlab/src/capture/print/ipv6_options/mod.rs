//! The extension headers of IPv6 (RFC 8200, section 4; RFC 8754 for segment routing).
//!
//! Each function prints the header that `bytes` begin with, and says how long it is; `None`
//! where the line is complete and nothing behind the header is to be printed. What runs out
//! of bytes is marked by the caller with the header's name: `hbhopt`, `dstopt`, `rt6`,
//! `frag6`.

use super::line::{Line, Printed, Truncated, take};
use super::notation::V6;

#[cfg(test)]
mod tests;

const PAD1: u8 = 0;
const PADN: u8 = 1;
const ROUTER_ALERT: u8 = 5;
/// RFC 2675.
const JUMBO: u8 = 0xc2;
/// RFC 6275, section 6.3.
const HOME_ADDRESS: u8 = 0xc9;

/// A hop-by-hop header that was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HopByHop {
    /// Its length.
    pub length: usize,
    /// The length of the payload, if a valid jumbo payload option says it.
    pub jumbo: Option<u32>,
}

/// A routing header that was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Routing {
    /// Its length.
    pub length: usize,
    /// Where the packet goes in the end, if the header says it: what the checksum behind the
    /// first routing header covers (RFC 8200, section 8.1).
    pub destination: Option<[u8; 16]>,
}

/// Prints a hop-by-hop header. `payload_len` is what the IPv6 header says.
pub(super) fn hop_by_hop(
    line: &mut Line<'_>,
    bytes: &[u8],
    payload_len: u16,
) -> Result<Option<HopByHop>, Truncated> {
    let [length] = take(bytes, 1)?;
    let length = (usize::from(length) + 1) * 8;
    let mut jumbo = Jumbo { payload_len: Some(payload_len), seen: false, valid: None };
    let printed = header(bytes, length).and_then(|list| {
        line.push(format_args!("HBH "));
        options(line, list, &mut jumbo)
    });
    if payload_len == 0 && jumbo.valid.is_none() {
        if printed.is_err() {
            line.push(format_args!(" [|hbhopt]"));
        }
        line.push(format_args!("[No valid Jumbo Payload Hop-by-Hop option found] (invalid)"));
        return Ok(None);
    }
    printed?;
    Ok(Some(HopByHop { length, jumbo: jumbo.valid }))
}

/// Prints a destination options header.
pub(super) fn destination(line: &mut Line<'_>, bytes: &[u8]) -> Result<Option<usize>, Truncated> {
    let [length] = take(bytes, 1)?;
    let length = (usize::from(length) + 1) * 8;
    let list = header(bytes, length)?;
    line.push(format_args!("DSTOPT "));
    if line.options.verbose > 0 {
        let mut jumbo = Jumbo { payload_len: None, seen: false, valid: None };
        options(line, list, &mut jumbo)?;
    }
    Ok(Some(length))
}

/// Prints a routing header.
pub(super) fn routing(line: &mut Line<'_>, bytes: &[u8]) -> Result<Option<Routing>, Truncated> {
    line.push(format_args!("RT6"));
    let [length] = take(bytes, 1)?;
    line.push(format_args!(" (len={length}"));
    let [kind] = take(bytes, 2)?;
    let deprecated = if kind == 0 { " [Deprecated]" } else { "" };
    line.push(format_args!(", type={kind}{deprecated}"));
    let [left] = take(bytes, 3)?;
    line.push(format_args!(", segleft={left}"));
    match kind {
        0 | 2 => {
            let reserved = u32::from_be_bytes(take(bytes, 4)?);
            if reserved != 0 || line.options.verbose > 0 {
                line.push(format_args!(", rsv=0x{reserved:x}"));
            }
        }
        4 => {
            let [last] = take(bytes, 4)?;
            line.push(format_args!(", last-entry={last}"));
            let [flags] = take(bytes, 5)?;
            if flags != 0 || line.options.verbose > 0 {
                line.push(format_args!(", flags=0x{flags:x}"));
            }
            let tag = u16::from_be_bytes(take(bytes, 6)?);
            line.push(format_args!(", tag={tag:x}"));
        }
        _ => {
            line.push(format_args!(" (unknown type) (invalid)"));
            return Ok(None);
        }
    }
    if length % 2 == 1 {
        line.push(format_args!(" (invalid length {length}) (invalid)"));
        return Ok(None);
    }
    for i in 0..usize::from(length / 2) {
        line.push(format_args!(", [{i}]{}", V6(take(bytes, 8 + i * 16)?)));
    }
    line.push(format_args!(") "));
    let last = match kind {
        // Segments are in reverse order (RFC 8754, section 2).
        4 => Some(0),
        _ => usize::from(length / 2).checked_sub(1),
    };
    let destination = last.and_then(|i| take(bytes, 8 + i * 16).ok());
    Ok(Some(Routing { length: (usize::from(length) + 1) * 8, destination }))
}

/// Prints a fragment header. `length` is what the IPv6 header's payload length leaves from
/// this header on; it may have wrapped below zero. Behind it only a first fragment can be
/// printed, and what is printed there is a fragment's.
pub(super) fn fragment(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
) -> Result<Option<usize>, Truncated> {
    const LENGTH: usize = 8;
    let offset = u16::from_be_bytes(take(bytes, 2)?) & 0xfff8;
    let rest = length.wrapping_sub(LENGTH);
    if line.options.verbose > 0 {
        let id = u32::from_be_bytes(take(bytes, 4)?);
        line.push(format_args!("frag (0x{id:08x}:{offset}|{rest})"));
    } else {
        line.push(format_args!("frag ({offset}|{rest})"));
    }
    if offset != 0 {
        return Ok(None);
    }
    line.push(format_args!(" "));
    Ok((bytes.len() > LENGTH).then_some(LENGTH))
}

/// The options of a header `length` bytes long.
fn header(bytes: &[u8], length: usize) -> Result<&[u8], Truncated> {
    bytes.get(2..length).ok_or(Truncated)
}

/// What is known of the jumbo payload, while options are read.
struct Jumbo {
    /// The length that the IPv6 header gives; `None` outside of a hop-by-hop header.
    payload_len: Option<u16>,
    seen: bool,
    valid: Option<u32>,
}

/// One option: its type, its length as it says, and all its bytes.
struct Item<'a> {
    kind: u8,
    length: u8,
    bytes: &'a [u8],
}

/// The option that `list` begins with, and what follows it.
fn split(list: &[u8]) -> Result<(Item<'_>, &[u8]), Truncated> {
    let (kind, length, whole) = match *list {
        [PAD1, ..] => (PAD1, 0, 1),
        [kind, length, ..] => (kind, length, usize::from(length) + 2),
        _ => return Err(Truncated),
    };
    let (bytes, rest) = list.split_at_checked(whole).ok_or(Truncated)?;
    Ok((Item { kind, length, bytes }, rest))
}

/// Prints options; malformed ones also without `-v`.
fn options(line: &mut Line<'_>, mut list: &[u8], jumbo: &mut Jumbo) -> Printed {
    let verbose = line.options.verbose > 0;
    while !list.is_empty() {
        let all = list.len();
        let (item, rest) = split(list)?;
        list = rest;
        // The least bytes that such an option takes, and its name.
        let (least, name) = match item.kind {
            ROUTER_ALERT => (4, "rtalert"),
            JUMBO => (6, "jumbo"),
            HOME_ADDRESS => (18, "homeaddr"),
            _ => (1, ""),
        };
        if all < least {
            line.push(format_args!("({name}: trunc)"));
            return Err(Truncated);
        }
        let long_enough = item.bytes.len() >= least;
        let exact = item.kind != ROUTER_ALERT && item.kind != JUMBO || item.bytes.len() == least;
        if !long_enough || !exact {
            line.push(format_args!("({name}: invalid len {})", item.length));
            return Err(Truncated);
        }
        if item.kind == JUMBO {
            jumbo_payload(line, u32::from_be_bytes(take(item.bytes, 2)?), jumbo);
        } else if verbose {
            option(line, &item)?;
        }
    }
    if verbose {
        line.push(format_args!(" "));
    }
    Ok(())
}

fn option(line: &mut Line<'_>, item: &Item<'_>) -> Printed {
    match item.kind {
        PAD1 => line.push(format_args!("(pad1)")),
        PADN => line.push(format_args!("(padn)")),
        ROUTER_ALERT => {
            let value = u16::from_be_bytes(take(item.bytes, 2)?);
            line.push(format_args!("(rtalert: 0x{value:04x}) "));
        }
        HOME_ADDRESS => {
            line.push(format_args!("(homeaddr: {}", V6(take(item.bytes, 2)?)));
            suboptions(line, item.bytes.get(18..).unwrap_or_default())?;
            line.push(format_args!(")"));
        }
        kind => line.push(format_args!("(opt_type 0x{kind:02x}: len={})", item.length)),
    }
    Ok(())
}

/// Options behind a home address.
fn suboptions(line: &mut Line<'_>, mut list: &[u8]) -> Printed {
    while !list.is_empty() {
        let (item, rest) = split(list)?;
        list = rest;
        match item.kind {
            PAD1 => line.push(format_args!(", pad1")),
            PADN => line.push(format_args!(", padn")),
            kind => line.push(format_args!(", sopt_type 0x{kind:02x}: len={}", item.length)),
        }
    }
    Ok(())
}

/// A jumbo payload option counts once, in a hop-by-hop header, where the IPv6 header gives no
/// length, and if the length needs one (RFC 2675, section 3).
fn jumbo_payload(line: &mut Line<'_>, length: u32, jumbo: &mut Jumbo) {
    let fault = match jumbo.payload_len {
        _ if jumbo.seen => " - already seen",
        None => " - not a hop-by-hop option",
        Some(1..) => " - payload len != 0",
        Some(0) if length < 0x1_0000 => " - < 65536",
        Some(0) => {
            jumbo.valid = Some(length);
            ""
        }
    };
    jumbo.seen = true;
    if line.options.verbose > 0 {
        line.push(format_args!("(jumbo: {length}{fault}) "));
    }
}
