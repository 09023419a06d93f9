//! Node information queries (RFC 4620), and what came before them.
//!
//! tcpdump goes by how many bytes it has, not by how many there were: `bytes` is both.

use std::net::Ipv4Addr;

use super::super::line::{Line, Printed, take};
use super::super::notation::{Escaped, V6, captured};

const HEADER: usize = 16;
const NOOP: u16 = 0;
const SUPPORTED: u16 = 1;
const NAME: u16 = 2;
const ADDRESSES: u16 = 3;

/// Prints a query.
pub(super) fn query(line: &mut Line<'_>, bytes: &[u8]) -> Printed {
    if bytes.len() == 12 {
        line.push(format_args!(" who-are-you request"));
        return Ok(());
    }
    line.push(format_args!(" node information query"));
    let Ok(header) = take(bytes, 0) else { return super::cut(line) };
    let Header { code, kind, flags } = Header::new(header);
    line.push(format_args!(" ("));
    match kind {
        NOOP => line.push(format_args!("noop")),
        SUPPORTED => supported(line, flags),
        NAME => line.push(format_args!("DNS name")),
        ADDRESSES => {
            line.push(format_args!("node addresses"));
            address_flags(line, flags, "");
        }
        _ => line.push(format_args!("unknown")),
    }
    let verbose = line.options.verbose > 0;
    if matches!(kind, NOOP | SUPPORTED) {
        if bytes.len() != HEADER && verbose {
            line.push(format_args!(", invalid len"));
        }
    } else if bytes.len() == HEADER {
        line.push(format_args!(", 03 draft"));
    } else {
        subject(line, bytes, code)?;
    }
    line.push(format_args!(")"));
    Ok(())
}

/// Prints a reply.
pub(super) fn reply(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    let Ok(header) = take(bytes, 0) else { return super::cut(line) };
    if length > bytes.len() {
        return super::cut(line);
    }
    let Header { code, kind, flags } = Header::new(header);
    line.push(format_args!(" node information reply ("));
    let verbose = line.options.verbose > 0;
    let bare = |line: &mut Line<'_>| {
        if bytes.len() != HEADER && verbose {
            line.push(format_args!(", invalid length"));
        }
    };
    match code {
        0 if verbose => line.push(format_args!("success, ")),
        1 | 2 => {
            let name = if code == 1 { "refused" } else { "unknown" };
            line.push(format_args!("{name}"));
            bare(line);
        }
        _ => {}
    }
    if code == 0 {
        match kind {
            NOOP => {
                line.push(format_args!("noop"));
                bare(line);
            }
            SUPPORTED => supported(line, flags),
            NAME => {
                line.push(format_args!("DNS name"));
                name(line, bytes, HEADER + 4)?;
                if flags & 1 != 0 {
                    let ttl = u32::from_be_bytes(take(bytes, HEADER)?);
                    line.push(format_args!(" [TTL={ttl}]"));
                }
            }
            ADDRESSES => {
                line.push(format_args!("node addresses"));
                for entry in captured(bytes, HEADER, usize::MAX).as_chunks::<20>().0 {
                    let ttl = u32::from_be_bytes(take(entry, 0)?);
                    line.push(format_args!(" {}({ttl})", V6(take(entry, 4)?)));
                }
                address_flags(line, flags, if flags & 1 == 0 { "" } else { "T" });
            }
            _ => line.push(format_args!("unknown")),
        }
    }
    line.push(format_args!(")"));
    Ok(())
}

/// What a message begins with (RFC 4620, section 4), but for its nonce.
struct Header {
    code: u8,
    kind: u16,
    flags: u16,
}

impl Header {
    fn new([_, code, _, _, k0, k1, f0, f1, ..]: [u8; HEADER]) -> Self {
        let [kind, flags] = [[k0, k1], [f0, f1]].map(u16::from_be_bytes);
        Self { code, kind, flags }
    }
}

fn supported(line: &mut Line<'_>, flags: u16) {
    line.push(format_args!("supported qtypes"));
    if flags != 0 {
        let compressed = if flags & 1 == 0 { "" } else { "C" };
        line.push(format_args!(" [{compressed}]"));
    }
}

/// Which addresses (RFC 4620, section 6.3), `last` behind them.
fn address_flags(line: &mut Line<'_>, flags: u16, last: &str) {
    const LETTERS: [(u16, &str); 6] =
        [(0x40, "a"), (0x20, "G"), (0x10, "S"), (0x08, "L"), (0x04, "C"), (0x02, "A")];
    if flags == 0 {
        return;
    }
    line.push(format_args!(" ["));
    for (_, letter) in LETTERS.iter().filter(|(bit, _)| flags & bit != 0) {
        line.push(format_args!("{letter}"));
    }
    line.push(format_args!("{last}]"));
}

/// Whom a query is about (RFC 4620, section 4).
fn subject(line: &mut Line<'_>, bytes: &[u8], code: u8) -> Printed {
    let size = match code {
        0 => 16,
        1 => {
            line.push(format_args!(", subject=DNS name"));
            return name(line, bytes, HEADER);
        }
        2 => 4,
        _ => {
            line.push(format_args!(", unknown subject"));
            return Ok(());
        }
    };
    let subject = bytes.get(HEADER..).unwrap_or_default();
    if subject.len() > size {
        if line.options.verbose > 0 {
            line.push(format_args!(", invalid subject len"));
        }
    } else if let Ok(address) = <[u8; 16]>::try_from(subject) {
        line.push(format_args!(", subject={}", V6(address)));
    } else if let (Ok(address), 4) = (<[u8; 4]>::try_from(subject), size) {
        line.push(format_args!(", subject={}", Ipv4Addr::from(address)));
    }
    Ok(())
}

/// A name to the end of the bytes: with its length in front, as a draft had it, or in labels.
fn name(line: &mut Line<'_>, bytes: &[u8], at: usize) -> Printed {
    let [length] = take(bytes, at)?;
    let rest = bytes.get(at + 1..).unwrap_or_default();
    if usize::from(length) != rest.len() {
        labels(line, bytes.get(at..).unwrap_or_default());
        return Ok(());
    }
    if line.options.verbose > 0 {
        line.push(format_args!(", 03 draft"));
    }
    line.push(format_args!(", \""));
    text(line, rest);
    line.push(format_args!("\""));
    Ok(())
}

fn labels(line: &mut Line<'_>, mut rest: &[u8]) {
    line.push(format_args!(", \""));
    while let Some((&length, behind)) = rest.split_first() {
        if length == 0 {
            match behind {
                [] => line.push(format_args!(".")),
                [0] => {}
                _ => line.push(format_args!("???")),
            }
            break;
        }
        let Some((label, behind)) = behind.split_at_checked(length.into()) else {
            line.push(format_args!("???"));
            break;
        };
        text(line, label);
        if behind.len() > 1 && behind.first() != Some(&0) {
            line.push(format_args!("."));
        }
        rest = behind;
    }
    line.push(format_args!("\""));
}

fn text(line: &mut Line<'_>, bytes: &[u8]) {
    for byte in bytes {
        line.push(format_args!("{}", Escaped(*byte)));
    }
}
