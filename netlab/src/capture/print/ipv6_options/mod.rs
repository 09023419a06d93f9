//! The extension headers of IPv6 (RFC 8200, section 4; RFC 8754 for segment routing).
//!
//! Each function prints the header that `bytes` begin with, and says how long it is; `None`
//! where nothing behind the header is to be printed.

use super::ip::Address;
use super::line::{Cut, Line, Truncated, after, take, u8_at, u16_at, u32_at};

#[cfg(test)]
mod tests;

const PAD1: u8 = 0;
const PADN: u8 = 1;
const ROUTER_ALERT: u8 = 5;
/// RFC 2675.
const JUMBO: u8 = 0xc2;
/// RFC 6275, section 6.3.
const HOME_ADDRESS: u8 = 0xc9;

/// The length of a header that was printed.
pub(super) type Length = Result<Option<usize>, Truncated>;

/// A hop-by-hop header that was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HopByHop {
    /// Its length.
    pub length: usize,
    /// The length of the payload, if a valid jumbo payload option says it.
    pub jumbo: Option<u32>,
}

/// Prints a hop-by-hop header. `payload_len` is what the IPv6 header says.
pub(super) fn hop_by_hop(
    line: &mut Line<'_>,
    bytes: &[u8],
    payload_len: usize,
) -> Result<Option<HopByHop>, Truncated> {
    line.protocol("hbhopt");
    let length = header_len(bytes)?;
    let mut jumbo = Jumbo { payload_len: Some(payload_len), seen: false, valid: None };
    let printed = line.part(|line| {
        let list = header(bytes, length)?;
        line.text("HBH ");
        options(line, list, &mut jumbo)
    })?;
    if payload_len == 0 && jumbo.valid.is_none() {
        line.text("[No valid Jumbo Payload Hop-by-Hop option found]");
        line.invalid();
        return Ok(None);
    }
    Ok(printed.map(|()| HopByHop { length, jumbo: jumbo.valid }))
}

/// Prints a destination options header.
pub(super) fn destination(line: &mut Line<'_>, bytes: &[u8]) -> Length {
    line.protocol("dstopt");
    let length = header_len(bytes)?;
    line.part(|line| {
        let list = header(bytes, length)?;
        line.text("DSTOPT ");
        if line.verbose() {
            let mut jumbo = Jumbo { payload_len: None, seen: false, valid: None };
            options(line, list, &mut jumbo)?;
        }
        Ok(length)
    })
}

/// Prints a routing header.
pub(super) fn routing(line: &mut Line<'_>, bytes: &[u8]) -> Length {
    line.protocol("rt6");
    line.text("RT6");
    let length = u8_at(bytes, 1)?;
    line.push(format_args!(" (len={length}"));
    let kind = u8_at(bytes, 2)?;
    let deprecated = if kind == 0 { " [Deprecated]" } else { "" };
    line.push(format_args!(", type={kind}{deprecated}"));
    line.push(format_args!(", segleft={}", u8_at(bytes, 3)?));
    match kind {
        0 | 2 => {
            let reserved = u32_at(bytes, 4)?;
            if reserved != 0 || line.verbose() {
                line.push(format_args!(", rsv=0x{reserved:x}"));
            }
        }
        4 => {
            line.push(format_args!(", last-entry={}", u8_at(bytes, 4)?));
            let flags = u8_at(bytes, 5)?;
            if flags != 0 || line.verbose() {
                line.push(format_args!(", flags=0x{flags:x}"));
            }
            line.push(format_args!(", tag={:x}", u16_at(bytes, 6)?));
        }
        _ => {
            line.text(" (unknown type)");
            line.invalid();
            return Ok(None);
        }
    }
    if length % 2 == 1 {
        line.push(format_args!(" (invalid length {length})"));
        line.invalid();
        return Ok(None);
    }
    for i in 0..usize::from(length / 2) {
        let address = Address::V6(take(bytes, 8 + i * 16)?);
        line.push(format_args!(", [{i}]"));
        line.address(address);
    }
    line.text(") ");
    header_len(bytes).map(Some)
}

/// Prints a fragment header. `length` is what the IPv6 header's payload length leaves from
/// this header on; it may have wrapped below zero. Behind it only a first fragment can be
/// printed, and what is printed there is a fragment's.
pub(super) fn fragment(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Length {
    const LENGTH: usize = 8;
    line.protocol("frag6");
    let offset = u16_at(bytes, 2)? & 0xfff8;
    let rest = length.wrapping_sub(LENGTH);
    if line.verbose() {
        let id = u32_at(bytes, 4)?;
        line.push(format_args!("frag (0x{id:08x}:{offset}|{rest})"));
    } else {
        line.push(format_args!("frag ({offset}|{rest})"));
    }
    if offset != 0 {
        return Ok(None);
    }
    line.text(" ");
    Ok((bytes.len() > LENGTH).then_some(LENGTH))
}

/// How long a header says to be.
fn header_len(bytes: &[u8]) -> Result<usize, Truncated> {
    Ok((usize::from(u8_at(bytes, 1)?) + 1) * 8)
}

/// The options of a header `length` bytes long.
fn header(bytes: &[u8], length: usize) -> Result<&[u8], Cut> {
    bytes.get(2..length).ok_or(Cut::Part)
}

/// What is known of the jumbo payload, while options are read.
struct Jumbo {
    /// The length that the IPv6 header gives; `None` outside of a hop-by-hop header.
    payload_len: Option<usize>,
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
fn split(list: &[u8]) -> Result<(Item<'_>, &[u8]), Cut> {
    let (kind, length, whole) = match *list {
        [PAD1, ..] => (PAD1, 0, 1),
        [kind, length, ..] => (kind, length, usize::from(length) + 2),
        _ => return Err(Cut::Part),
    };
    let (bytes, rest) = list.split_at_checked(whole).ok_or(Cut::Part)?;
    Ok((Item { kind, length, bytes }, rest))
}

/// Prints options; malformed ones also without `-v`.
fn options(line: &mut Line<'_>, mut list: &[u8], jumbo: &mut Jumbo) -> Result<(), Cut> {
    let verbose = line.verbose();
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
            return Err(Cut::Part);
        }
        let long_enough = item.bytes.len() >= least;
        let exact = item.kind != ROUTER_ALERT && item.kind != JUMBO || item.bytes.len() == least;
        if !long_enough || !exact {
            line.push(format_args!("({name}: invalid len {})", item.length));
            return Err(Cut::Part);
        }
        if item.kind == JUMBO {
            jumbo_payload(line, u32_at(item.bytes, 2)?, jumbo);
        } else if verbose {
            option(line, &item)?;
        }
    }
    if verbose {
        line.text(" ");
    }
    Ok(())
}

fn option(line: &mut Line<'_>, item: &Item<'_>) -> Result<(), Cut> {
    match item.kind {
        PAD1 => line.text("(pad1)"),
        PADN => line.text("(padn)"),
        ROUTER_ALERT => {
            line.push(format_args!("(rtalert: 0x{:04x}) ", u16_at(item.bytes, 2)?));
        }
        HOME_ADDRESS => {
            line.text("(homeaddr: ");
            line.address(Address::V6(take(item.bytes, 2)?));
            suboptions(line, after(item.bytes, 18))?;
            line.text(")");
        }
        kind => line.push(format_args!("(opt_type 0x{kind:02x}: len={})", item.length)),
    }
    Ok(())
}

/// Options behind a home address.
fn suboptions(line: &mut Line<'_>, mut list: &[u8]) -> Result<(), Cut> {
    while !list.is_empty() {
        let (item, rest) = split(list)?;
        list = rest;
        match item.kind {
            PAD1 => line.text(", pad1"),
            PADN => line.text(", padn"),
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
    if line.verbose() {
        line.push(format_args!("(jumbo: {length}{fault}) "));
    }
}
