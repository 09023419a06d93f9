//! Extensions behind the packet that an ICMP error quotes (RFC 4884; MPLS: RFC 4950).

use netlab_common::checksum::Sum;

use super::super::hex::hex;
use super::super::ip::checksum;
use super::super::line::{Cut, Line, after, first, take, u8_at, u16_at, u32_at};
use super::part;

/// Where extensions begin: behind the header and 128 bytes of the quoted packet (RFC 4884,
/// section 5.5).
const AT: usize = 136;
/// Where the first object begins.
const OBJECTS: usize = AT + 4;
const OBJECT_HEADER: usize = 4;
const VERSION: u8 = 2;
const MPLS: u8 = 1;

/// Prints the extensions of a message, if it has any.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Result<(), Cut> {
    let Some(left) = length.checked_sub(AT).filter(|left| *left > 0) else { return Ok(()) };
    if bytes.len() <= OBJECTS {
        return Err(Cut::Part);
    }
    let covered = bytes.get(AT..length);
    let correct = covered.map(|covered| checksum(Sum::ZERO, covered) == 0);
    // Not every sender fills in the length of what it quotes; its checksum gives an
    // extension away.
    if u8_at(bytes, 5)? == 0 && correct == Some(false) {
        return Ok(());
    }
    let version = u8_at(bytes, AT)? >> 4;
    line.push(format_args!("\n\tICMP Multi-Part extension v{version}"));
    if version != VERSION {
        line.text(" packet not supported");
        return Ok(());
    }
    if let Some(correct) = correct {
        let field = u16_at(bytes, AT + 2)?;
        let verdict = if correct { "correct" } else { "incorrect" };
        line.push(format_args!(", checksum 0x{field:04x} ({verdict}), length {left}"));
    }
    objects(line, bytes, left.saturating_sub(OBJECTS - AT))
}

fn objects(line: &mut Line<'_>, bytes: &[u8], mut left: usize) -> Result<(), Cut> {
    let mut at = OBJECTS;
    while left > OBJECT_HEADER {
        let [l0, l1, class, kind] = part(take(bytes, at))?;
        let length = u16::from_be_bytes([l0, l1]);
        let name = match class {
            MPLS => "MPLS Stack Entry",
            2 => "Interface Identification",
            _ => "unknown",
        };
        line.push(format_args!(
            "\n\t  {name} Object ({class}), Class-Type: {kind}, length {length}"
        ));
        at += OBJECT_HEADER;
        left -= OBJECT_HEADER;
        let Some(length) = usize::from(length).checked_sub(OBJECT_HEADER) else { return Ok(()) };
        if class == 0 {
            return Ok(());
        }
        if (class, kind) == (MPLS, 1) {
            stack_entry(line, u32_at(bytes, at)?);
        } else {
            hex(line.out, "\n\t    ", first(after(bytes, at), length));
        }
        if left < length {
            return Ok(());
        }
        left -= length;
        at += length;
    }
    Ok(())
}

/// The first entry of an MPLS label stack (RFC 3032, section 2.1).
fn stack_entry(line: &mut Line<'_>, entry: u32) {
    let (label, class, ttl) = (entry >> 12, entry >> 9 & 7, entry & 0xff);
    let bottom = if entry & 0x100 == 0 { "" } else { ", [S]" };
    line.push(format_args!("\n\t    label {label}, tc {class}{bottom}, ttl {ttl}"));
}
