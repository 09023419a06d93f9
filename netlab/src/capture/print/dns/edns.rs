//! Options of the OPT record (RFC 6891, section 6.1.2).

use super::super::ip::Address;
use super::super::line::{Cut, Line};
use super::{name, read};

/// Prints the options between `at` and `end`.
pub(super) fn options(
    line: &mut Line<'_>,
    bytes: &[u8],
    mut at: usize,
    end: usize,
) -> Result<(), Cut> {
    if at >= end {
        return Ok(());
    }
    line.text(" [");
    while at < end {
        at = option(line, bytes, at)?;
        if at < end {
            line.text(",");
        }
    }
    line.text("]");
    Ok(())
}

/// Prints the option at `at`, and says where it ends.
fn option(line: &mut Line<'_>, bytes: &[u8], at: usize) -> Result<usize, Cut> {
    let code = u16::from_be_bytes(read(bytes, at)?);
    match CODES.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => line.text(name),
        None => line.push(format_args!("Opt{code}")),
    }
    let length = usize::from(u16::from_be_bytes(read(bytes, at + 2)?));
    let at = at + 4;
    let value = bytes.get(at..at + length).ok_or(Cut::Part)?;
    if !value.is_empty() {
        line.text(" ");
        if code == CHAIN {
            // Only what was printed counts, also of a name that is no name.
            let _ = name::print(line, bytes, at + length, at);
        } else if print(line, code, value).is_none() {
            line.text(" (invalid)");
        }
    }
    Ok(at + length)
}

/// Prints the value of an option, unless it cannot be one.
fn print(line: &mut Line<'_>, code: u16, value: &[u8]) -> Option<()> {
    match code {
        SUBNET => subnet(line, value)?,
        COOKIE => cookie(line, value)?,
        KEEPALIVE => {
            let tenths = u16::from_be_bytes(value.try_into().ok()?);
            line.push(format_args!("{}.{} sec", tenths / 10, tenths % 10));
        }
        EXPIRE => {
            line.push(format_args!("{} sec", u32::from_be_bytes(value.try_into().ok()?)));
        }
        PADDING => line.push(format_args!("({})", value.len())),
        KEY_TAG => {
            let (tags, odd) = value.as_chunks::<2>();
            if !odd.is_empty() {
                return None;
            }
            for (i, tag) in tags.iter().enumerate() {
                let space = if i > 0 { " " } else { "" };
                line.push(format_args!("{space}{}", u16::from_be_bytes(*tag)));
            }
        }
        ALGORITHMS => algorithms(line, value, &SIGNING),
        HASHES => algorithms(line, value, &HASHING),
        NSEC3_HASHES => algorithms(line, value, &HASHING[..1]),
        _ => hex(line, value),
    }
    Some(())
}

fn hex(line: &mut Line<'_>, bytes: &[u8]) {
    for byte in bytes {
        line.push(format_args!("{byte:02x}"));
    }
}

/// The client's and the server's cookie (RFC 7873, section 4).
fn cookie(line: &mut Line<'_>, value: &[u8]) -> Option<()> {
    let (client, server) = value.split_at_checked(8)?;
    if !matches!(server.len(), 0 | 8..=32) {
        return None;
    }
    hex(line, client);
    if !server.is_empty() {
        line.text(" ");
        hex(line, server);
    }
    Some(())
}

/// A client's subnet (RFC 7871, section 6).
fn subnet(line: &mut Line<'_>, value: &[u8]) -> Option<()> {
    let (&[f0, f1, source, scope], prefix) = value.split_first_chunk()?;
    let bits = match u16::from_be_bytes([f0, f1]) {
        1 => 32,
        2 => 128,
        _ => return None,
    };
    let fits = source <= bits && scope <= bits && prefix.len() == usize::from(source.div_ceil(8));
    if !fits {
        return None;
    }
    let mut address = [0; 16];
    address.get_mut(..prefix.len())?.copy_from_slice(prefix);
    if bits == 32 {
        let address = Address::V4(*address.first_chunk()?);
        line.push(format_args!("{address}/{source}/{scope}"));
    } else {
        line.push(format_args!("{}/{source}/{scope}", Address::V6(address)));
    }
    Some(())
}

fn algorithms(line: &mut Line<'_>, value: &[u8], names: &[(u8, &str)]) {
    for (i, algorithm) in value.iter().enumerate() {
        let space = if i > 0 { " " } else { "" };
        match names.iter().find(|(known, _)| known == algorithm) {
            Some((_, name)) => line.push(format_args!("{space}{name}")),
            None => line.push(format_args!("{space}Alg_{algorithm}")),
        }
    }
}

const ALGORITHMS: u16 = 5;
const HASHES: u16 = 6;
const NSEC3_HASHES: u16 = 7;
const SUBNET: u16 = 8;
const EXPIRE: u16 = 9;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;
const CHAIN: u16 = 13;
const KEY_TAG: u16 = 14;

/// Option codes (IANA, "DNS EDNS0 Option Codes").
const CODES: [(u16, &str); 15] = [
    (1, "LLQ"),
    (2, "UL"),
    (3, "NSID"),
    (ALGORITHMS, "DAU"),
    (HASHES, "DHU"),
    (NSEC3_HASHES, "N3U"),
    (SUBNET, "ECS"),
    (EXPIRE, "EXPIRE"),
    (COOKIE, "COOKIE"),
    (KEEPALIVE, "KEEPALIVE"),
    (PADDING, "PADDING"),
    (CHAIN, "CHAIN"),
    (KEY_TAG, "KEY-TAG"),
    (16, "CLIENT-TAG"),
    (17, "SERVER-TAG"),
];

/// Signing algorithms (IANA, "DNS Security Algorithm Numbers").
const SIGNING: [(u8, &str); 17] = [
    (0, "DELETE"),
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DS"),
    (5, "RSASHA1"),
    (6, "DSA-NSEC3-SHA1"),
    (7, "RSASHA1-NSEC3-SHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECC-GOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (252, "INDIRECT"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

/// Digests of delegation signers; the first of them is NSEC3's only one, too.
const HASHING: [(u8, &str); 4] =
    [(1, "SHA-1"), (2, "SHA-256"), (3, "GOST_R_34.11-94"), (4, "SHA-384")];
