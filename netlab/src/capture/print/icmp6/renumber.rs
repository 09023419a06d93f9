//! Router renumbering (RFC 2894). What is missing in it ends it, but not the line.

use super::super::ip::Address;
use super::super::line::{Line, Printed, Truncated, take, u32_at};

const HEADER: usize = 16;
const MATCH: usize = 24;
const USE: usize = 32;
const COMMAND: u8 = 0;

/// Prints a command or its result.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8]) -> Printed {
    let header: [u8; HEADER] = take(bytes, 0)?;
    let [_, code, ..] = header;
    match code {
        COMMAND => line.text(", command"),
        1 => line.text(", result"),
        255 => line.text(", sequence number reset"),
        _ => line.push(format_args!(", code-#{code}")),
    }
    line.push(format_args!(", seq={}", u32_at(&header, 4)?));
    if line.verbose() {
        let [segment, flags, d0, d1] = take(&header, 8)?;
        line.text("[");
        if flags != 0 {
            for (_, letter) in [(0x80, 'T'), (0x40, 'R'), (0x20, 'A'), (0x10, 'S'), (0x08, 'P')]
                .iter()
                .filter(|(bit, _)| flags & bit != 0)
            {
                line.push(format_args!("{letter}"));
            }
            line.text(",");
        }
        let delay = u16::from_be_bytes([d0, d1]);
        line.push(format_args!("seg={segment},maxdelay={delay}"));
        let reserved = u32_at(&header, 12)?;
        if reserved != 0 {
            line.push(format_args!("rsvd=0x{reserved:x}"));
        }
        line.text("]");
    }
    if code == COMMAND { prefixes(line, bytes) } else { Ok(()) }
}

/// Prints which prefixes are meant, and what becomes of them (RFC 2894, section 3.2).
fn prefixes(line: &mut Line<'_>, bytes: &[u8]) -> Printed {
    let matching: [u8; MATCH] = take(bytes, HEADER)?;
    let [code, length, ordinal, bits, least, most, ..] = matching;
    separate(line);
    line.text("match(");
    match code {
        1 => line.text("add"),
        2 => line.text("change"),
        3 => line.text("setglobal"),
        _ => line.push(format_args!("#{code}")),
    }
    if line.verbose() {
        line.push(format_args!(",ord={ordinal},min={least},max={most}"));
    }
    line.push(format_args!(",{}/{bits})", Address::V6(take(&matching, 8)?)));
    // In units of eight bytes: three for this part, four for each that follows.
    let uses = i16::from(length) - 3;
    if uses % 4 != 0 {
        return Err(Truncated);
    }
    for i in 0..usize::try_from(uses / 4).unwrap_or(0) {
        replacement(line, take(bytes, HEADER + MATCH + i * USE)?)?;
    }
    Ok(())
}

fn replacement(line: &mut Line<'_>, part: [u8; USE]) -> Printed {
    let [using, keeping, mask, flags, ..] = part;
    separate(line);
    line.text("use(");
    let [decrement, ..]: [u8; 4] = take(&part, 12)?;
    if decrement != 0 {
        let valid = if decrement & 0x80 == 0 { "" } else { "V" };
        let preferred = if decrement & 0x40 == 0 { "" } else { "P" };
        line.push(format_args!("{valid}{preferred},"));
    }
    if line.verbose() {
        line.push(format_args!("mask=0x{mask:x},raflags=0x{flags:x},"));
        for (name, at) in [("vltime", 4), ("pltime", 8)] {
            match u32_at(&part, at)? {
                u32::MAX => line.push(format_args!("{name}=infty,")),
                time => line.push(format_args!("{name}={time},")),
            }
        }
    }
    line.push(format_args!("{}/{using}/{keeping})", Address::V6(take(&part, 16)?)));
    Ok(())
}

fn separate(line: &mut Line<'_>) {
    let separator = if line.options.verbose > 1 { "\n\t" } else { " " };
    line.text(separator);
}
