//! The Domain Name System (RFC 1035), over UDP, over TCP and as multicast DNS (RFC 6762).
//!
//! `bytes` are all that was captured, also behind `length`: the law of the lines is that
//! only the capture bounds the reading of records.

mod edns;
mod name;
mod record;
#[cfg(test)]
mod tests;
mod words;

use super::line::{Cut, Line, Printed, after, take, u16_at};

pub(super) use name::print as print_name;

const HEADER: usize = 12;
const OPCODE_INVERSE: u16 = 1;

/// How a message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// One in a datagram.
    Udp,
    /// One in a datagram, multicast (RFC 6762).
    Multicast,
    /// In a stream, with its length in front of it (RFC 1035, section 4.2.2).
    Tcp,
}

/// A message, as its sections are read.
struct Message<'a> {
    bytes: &'a [u8],
    multicast: bool,
}

/// How many entries each section has (RFC 1035, section 4.1.1).
struct Counts {
    questions: u16,
    answers: u16,
    authorities: u16,
    additional: u16,
}

/// Prints a message.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize, over: Over) -> Printed {
    line.protocol("domain");
    line.part(|line| print_message(line, bytes, length, over)).map(drop)
}

fn print_message(
    line: &mut Line<'_>,
    mut bytes: &[u8],
    mut length: usize,
    over: Over,
) -> Result<(), Cut> {
    if over == Over::Tcp {
        let Some(rest) = length.checked_sub(2) else {
            line.push(format_args!(" [DNS over TCP: length {length} < 2] (invalid)"));
            return Ok(());
        };
        let prefix = u16_at(bytes, 0)?;
        if usize::from(prefix) != rest {
            line.push(format_args!(" [prefix length({prefix}) != length({rest})] (invalid)"));
            return Ok(());
        }
        bytes = after(bytes, 2);
        length = rest;
        line.text(" ");
    }
    if length < HEADER {
        line.push(format_args!("domain [length {length} < {HEADER}] (invalid)"));
        return Ok(());
    }
    let [id, flags, questions, answers, authorities, additional] = words_of(read(bytes, 0)?);
    let counts = Counts { questions, answers, authorities, additional };
    let message = Message { bytes, multicast: over == Over::Multicast };
    line.push(format_args!("{id}{}", words::opcode(flags)));
    if flags & 0x8000 == 0 {
        request(line, &message, flags, &counts)?;
    } else {
        response(line, &message, flags, &counts)?;
    }
    line.push(format_args!(" ({length})"));
    Ok(())
}

/// The `N` bytes at `at`. Where they are missing, the message ends; tcpdump looks before it
/// reads almost everything in it.
fn read<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Cut> {
    take(bytes, at).map_err(|_| Cut::Part)
}

fn words_of(header: [u8; HEADER]) -> [u16; 6] {
    let (words, _) = header.as_chunks::<2>();
    std::array::from_fn(|i| u16::from_be_bytes(words[i]))
}

fn request(
    line: &mut Line<'_>,
    message: &Message<'_>,
    flags: u16,
    counts: &Counts,
) -> Result<(), Cut> {
    let set = |bit: u16, mark: &'static str| if flags & bit == 0 { "" } else { mark };
    line.push(format_args!("{}{}", set(0x0100, "+"), set(0x0010, "%")));
    // Bits that a request has no use for.
    if flags & 0x06cf != 0 {
        line.push(format_args!(" [b2&3=0x{flags:x}]"));
    }
    let inverse = (flags >> 11) & 0xf == OPCODE_INVERSE;
    let unusual = [
        (counts.questions, 0, "q", inverse),
        (counts.answers, u16::from(inverse), "a", true),
        (counts.questions, 1, "q", !inverse),
        (counts.authorities, 0, "n", true),
        (counts.additional, 0, "au", true),
    ];
    for (count, usual, name, applies) in unusual {
        if applies && count != usual {
            line.push(format_args!(" [{count}{name}]"));
        }
    }
    let mut at = HEADER;
    let mut left = counts.questions;
    while left > 0 && (left == counts.questions || at < message.bytes.len()) {
        at = record::question(line, message, at)?;
        left -= 1;
    }
    if left > 0 {
        return Err(Cut::Part);
    }
    if line.options.verbose > 1 {
        at = section(line, message, at, counts.answers)?;
        at = labelled(line, message, at, " ns:", counts.authorities)?;
        labelled(line, message, at, " ar:", counts.additional)?;
    }
    Ok(())
}

fn response(
    line: &mut Line<'_>,
    message: &Message<'_>,
    flags: u16,
    counts: &Counts,
) -> Result<(), Cut> {
    let set = |bit: u16, mark: &'static str| if flags & bit == 0 { "" } else { mark };
    let high = extended_rcode(message.bytes, counts).unwrap_or(0);
    words::rcode(line, flags & 0xf | u16::from(high) << 4);
    let unavailable = if flags & 0x0080 == 0 { "-" } else { "" };
    let (authoritative, truncated, authentic) =
        (set(0x0400, "*"), set(0x0200, "|"), set(0x0020, "$"));
    line.push(format_args!("{authoritative}{unavailable}{truncated}{authentic}"));
    if counts.questions != 1 {
        line.push(format_args!(" [{}q]", counts.questions));
    }
    let mut at = HEADER;
    for i in 0..counts.questions {
        if i != 0 {
            line.text(",");
        }
        if line.options.verbose > 1 {
            line.text(" q:");
            at = record::question(line, message, at)?;
        } else {
            at = name::skip(message.bytes, at)? + 4;
        }
    }
    let Counts { answers, authorities, additional, .. } = counts;
    line.push(format_args!(" {answers}/{authorities}/{additional}"));
    at = section(line, message, at, *answers)?;
    if line.options.verbose > 1 {
        at = labelled(line, message, at, " ns:", *authorities)?;
        labelled(line, message, at, " ar:", *additional)?;
    }
    Ok(())
}

/// Prints `count` records; the first of them even where nothing is left.
fn section(
    line: &mut Line<'_>,
    message: &Message<'_>,
    mut at: usize,
    count: u16,
) -> Result<usize, Cut> {
    for i in 0..count {
        if i != 0 {
            if at >= message.bytes.len() {
                return Err(Cut::Part);
            }
            line.text(",");
        }
        at = record::print(line, message, at)?;
    }
    Ok(at)
}

/// Prints a section under its label.
fn labelled(
    line: &mut Line<'_>,
    message: &Message<'_>,
    at: usize,
    label: &str,
    count: u16,
) -> Result<usize, Cut> {
    if count == 0 {
        return Ok(at);
    }
    if at >= message.bytes.len() {
        return Err(Cut::Part);
    }
    line.text(label);
    section(line, message, at, count)
}

/// The upper bits of the response code, from the OPT record (RFC 6891, section 6.1.3), if the
/// records before it were captured.
fn extended_rcode(bytes: &[u8], counts: &Counts) -> Option<u8> {
    let mut at = HEADER;
    for _ in 0..counts.questions {
        at = name::skip(bytes, at).ok()? + 4;
        bytes.get(at)?;
    }
    for _ in 0..u32::from(counts.answers) + u32::from(counts.authorities) {
        at = after_data(bytes, name::skip(bytes, at).ok()? + 8)?;
    }
    for _ in 0..counts.additional {
        at = name::skip(bytes, at).ok()?;
        let kind = u16::from_be_bytes(read(bytes, at).ok()?);
        let high = *bytes.get(at + 4)?;
        if kind == words::OPT {
            return Some(high);
        }
        at = after_data(bytes, at + 8)?;
    }
    None
}

/// Behind the data whose length is at `at`, if something is there.
fn after_data(bytes: &[u8], at: usize) -> Option<usize> {
    let length = u16::from_be_bytes(read(bytes, at).ok()?);
    let end = at + 2 + usize::from(length);
    (end < bytes.len()).then_some(end)
}
