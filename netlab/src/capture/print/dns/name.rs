//! Domain names (RFC 1035, sections 3.1 and 4.1.4) and character strings.
//!
//! Law: a pointer must lead to before the place where the name, or the part that the last
//! pointer led to, began. So every name ends, and after [`MAX_STEPS`] in any case.

use super::super::line::{Cut, Line, after, first, u8_at};
use super::super::text::print_char;
use super::read;

/// As many labels and pointers are followed: more than a name has that was not made to occupy
/// its reader.
const MAX_STEPS: usize = 1 << 16;

/// The bits of a label's first byte that say what it is.
const KIND: u8 = 0xc0;
const POINTER: u8 = 0xc0;
/// Extended labels (RFC 2671, section 3), of which only bit strings (RFC 2673) ever were.
const EXTENDED: u8 = 0x40;
const RESERVED: u8 = 0x80;
const BIT_STRING: u8 = 0x01;
/// As many characters of a name are printed.
const LONGEST: usize = 255;

/// Where the name at `at` ends.
pub(super) fn skip(bytes: &[u8], mut at: usize) -> Result<usize, Cut> {
    loop {
        let [first] = read(bytes, at)?;
        at += 1;
        match first & KIND {
            _ if first == 0 => return Ok(at),
            POINTER => return Ok(at + 1),
            EXTENDED if first & !KIND == BIT_STRING => {
                at += 1 + bit_count(bytes, at)?.div_ceil(8);
            }
            EXTENDED | RESERVED => return Err(Cut::Part),
            _ => at += usize::from(first),
        }
    }
}

/// Prints the name at `at` in the message that begins at `base`, and says where it ends.
pub(in super::super) fn print(
    line: &mut Line<'_>,
    bytes: &[u8],
    base: usize,
    at: usize,
) -> Result<usize, Cut> {
    let mut length = label_length(line, bytes, at)?;
    let [mut head] = read(bytes, at)?;
    // Wraps where an EDNS option's name has its base behind it.
    let mut limit = at.wrapping_sub(base);
    let mut at = at + 1;
    if head == 0 {
        line.text(".");
        return Ok(at);
    }
    let mut end = (head & KIND != POINTER).then_some(at + length);
    let mut pointed = false;
    let mut characters = 0;
    let mut steps = 0;
    while head != 0 && at < bytes.len() {
        steps += 1;
        if steps > MAX_STEPS {
            return Err(Cut::Part);
        }
        if head & KIND == POINTER {
            let [low] = read(bytes, at)?;
            if !pointed {
                end = Some(at + 1);
                pointed = true;
            }
            let offset = usize::from(u16::from_be_bytes([head & !KIND, low]));
            if offset >= limit {
                line.text("<BAD PTR>");
                return Err(Cut::Part);
            }
            limit = offset;
            at = base + offset;
            [head] = read(bytes, at)?;
            length = label_length(line, bytes, at)?;
            at += 1;
            continue;
        }
        if head & KIND == EXTENDED {
            bit_string(line, bytes, at)?;
        } else {
            text(line, bytes, at, length.min(LONGEST.saturating_sub(characters)))?;
            characters += length;
        }
        at += length;
        if characters <= LONGEST {
            line.text(".");
        }
        characters += 1;
        [head] = read(bytes, at)?;
        length = label_length(line, bytes, at)?;
        at += 1;
        if !pointed {
            end = end.map(|end| end + length + 1);
        }
    }
    if characters > LONGEST {
        line.text("<DOMAIN NAME TOO LONG>");
    }
    end.ok_or(Cut::Part)
}

/// Prints the character string at `at`, and says where it ends.
pub(super) fn character_string(line: &mut Line<'_>, bytes: &[u8], at: usize) -> Result<usize, Cut> {
    let [length] = read(bytes, at)?;
    text(line, bytes, at + 1, usize::from(length))?;
    Ok(at + 1 + usize::from(length))
}

/// Prints `length` bytes as text.
pub(super) fn text(line: &mut Line<'_>, bytes: &[u8], at: usize, length: usize) -> Result<(), Cut> {
    let text = first(after(bytes, at), length);
    for byte in text {
        print_char(line, *byte);
    }
    if text.len() < length { Err(Cut::Part) } else { Ok(()) }
}

/// How many bytes follow the first of the label at `at`; for a pointer that byte itself.
fn label_length(line: &mut Line<'_>, bytes: &[u8], at: usize) -> Result<usize, Cut> {
    let [first] = read(bytes, at)?;
    match first & KIND {
        EXTENDED if first & !KIND == BIT_STRING => Ok(bit_count(bytes, at + 1)?.div_ceil(8) + 1),
        EXTENDED => {
            line.push(format_args!("<ELT {}>", first & !KIND));
            Err(Cut::Part)
        }
        RESERVED => {
            line.text("<BAD LABEL TYPE>");
            Err(Cut::Part)
        }
        _ => Ok(usize::from(first)),
    }
}

/// How many bits the bit string has whose count is at `at`.
fn bit_count(bytes: &[u8], at: usize) -> Result<usize, Cut> {
    match read(bytes, at)? {
        [0] => Ok(256),
        [bits] => Ok(usize::from(bits)),
    }
}

/// Prints the bit string whose count is at `at` (RFC 2673, section 3.2).
fn bit_string(line: &mut Line<'_>, bytes: &[u8], at: usize) -> Result<(), Cut> {
    let bits = bit_count(bytes, at)?;
    let mut rest = bits;
    let mut at = at + 1;
    line.text("\\[x");
    while rest > 7 {
        let byte = u8_at(bytes, at)?;
        line.push(format_args!("{byte:02x}"));
        rest -= 8;
        at += 1;
    }
    if rest > 0 {
        let byte = u8_at(bytes, at)? & !(0xff >> rest);
        if rest > 4 {
            line.push(format_args!("{byte:02x}"));
        } else {
            line.push(format_args!("{:x}", byte >> 4));
        }
    }
    line.push(format_args!("/{bits}]"));
    Ok(())
}
