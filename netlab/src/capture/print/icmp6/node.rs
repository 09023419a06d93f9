//! Node information queries (RFC 4620), and what came before them.
//!
//! tcpdump goes by how many bytes it has, not by how many there were: `bytes` is both.

use super::super::ip::Address;
use super::super::line::{Line, Printed, after, take, u8_at, u32_at};
use super::super::text::print_char;

const HEADER: usize = 16;
const NOOP: u16 = 0;
const SUPPORTED: u16 = 1;
const NAME: u16 = 2;
const ADDRESSES: u16 = 3;

/// Prints a query.
pub(super) fn query(line: &mut Line<'_>, bytes: &[u8]) -> Printed {
    if bytes.len() == 12 {
        line.text(" who-are-you request");
        return Ok(());
    }
    line.text(" node information query");
    let Ok(header) = take(bytes, 0) else {
        line.mark();
        return Ok(());
    };
    let Header { code, kind, flags } = Header::new(header);
    line.text(" (");
    match kind {
        NOOP => line.text("noop"),
        SUPPORTED => supported(line, flags),
        NAME => line.text("DNS name"),
        ADDRESSES => {
            line.text("node addresses");
            address_flags(line, flags, "");
        }
        _ => line.text("unknown"),
    }
    let verbose = line.verbose();
    if matches!(kind, NOOP | SUPPORTED) {
        if bytes.len() != HEADER && verbose {
            line.text(", invalid len");
        }
    } else if bytes.len() == HEADER {
        line.text(", 03 draft");
    } else {
        subject(line, bytes, code)?;
    }
    line.text(")");
    Ok(())
}

/// Prints a reply.
pub(super) fn reply(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    let Ok(header) = take(bytes, 0) else {
        line.mark();
        return Ok(());
    };
    if length > bytes.len() {
        line.mark();
        return Ok(());
    }
    let Header { code, kind, flags } = Header::new(header);
    line.text(" node information reply (");
    let verbose = line.verbose();
    let bare = |line: &mut Line<'_>| {
        if bytes.len() != HEADER && verbose {
            line.text(", invalid length");
        }
    };
    match code {
        0 if verbose => line.text("success, "),
        1 | 2 => {
            let name = if code == 1 { "refused" } else { "unknown" };
            line.text(name);
            bare(line);
        }
        _ => {}
    }
    if code == 0 {
        match kind {
            NOOP => {
                line.text("noop");
                bare(line);
            }
            SUPPORTED => supported(line, flags),
            NAME => {
                line.text("DNS name");
                name(line, bytes, HEADER + 4)?;
                if flags & 1 != 0 {
                    let ttl = u32_at(bytes, HEADER)?;
                    line.push(format_args!(" [TTL={ttl}]"));
                }
            }
            ADDRESSES => {
                line.text("node addresses");
                for entry in after(bytes, HEADER).as_chunks::<20>().0 {
                    line.text(" ");
                    line.address(Address::V6(take(entry, 4)?));
                    line.push(format_args!("({})", u32_at(entry, 0)?));
                }
                address_flags(line, flags, if flags & 1 == 0 { "" } else { "T" });
            }
            _ => line.text("unknown"),
        }
    }
    line.text(")");
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
    line.text("supported qtypes");
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
    line.text(" [");
    for (_, letter) in LETTERS.iter().filter(|(bit, _)| flags & bit != 0) {
        line.text(letter);
    }
    line.push(format_args!("{last}]"));
}

/// Whom a query is about (RFC 4620, section 4).
fn subject(line: &mut Line<'_>, bytes: &[u8], code: u8) -> Printed {
    let size = match code {
        0 => 16,
        1 => {
            line.text(", subject=DNS name");
            return name(line, bytes, HEADER);
        }
        2 => 4,
        _ => {
            line.text(", unknown subject");
            return Ok(());
        }
    };
    let subject = after(bytes, HEADER);
    if subject.len() > size {
        if line.verbose() {
            line.text(", invalid subject len");
        }
    } else if let Ok(address) = <[u8; 16]>::try_from(subject) {
        line.text(", subject=");
        line.address(Address::V6(address));
    } else if let (Ok(address), 4) = (<[u8; 4]>::try_from(subject), size) {
        line.text(", subject=");
        line.address(Address::V4(address));
    }
    Ok(())
}

/// A name to the end of the bytes: with its length in front, as a draft had it, or in labels.
fn name(line: &mut Line<'_>, bytes: &[u8], at: usize) -> Printed {
    let length = u8_at(bytes, at)?;
    let rest = after(bytes, at + 1);
    if usize::from(length) != rest.len() {
        labels(line, after(bytes, at));
        return Ok(());
    }
    if line.verbose() {
        line.text(", 03 draft");
    }
    line.text(", \"");
    text(line, rest);
    line.text("\"");
    Ok(())
}

fn labels(line: &mut Line<'_>, mut rest: &[u8]) {
    line.text(", \"");
    while let Some((&length, behind)) = rest.split_first() {
        if length == 0 {
            match behind {
                [] => line.text("."),
                [0] => {}
                _ => line.text("???"),
            }
            break;
        }
        let Some((label, behind)) = behind.split_at_checked(length.into()) else {
            line.text("???");
            break;
        };
        text(line, label);
        if behind.len() > 1 && behind.first() != Some(&0) {
            line.text(".");
        }
        rest = behind;
    }
    line.text("\"");
}

fn text(line: &mut Line<'_>, bytes: &[u8]) {
    for byte in bytes {
        print_char(line, *byte);
    }
}
