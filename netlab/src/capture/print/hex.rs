//! Bytes in hexadecimal and ASCII: `-x`, `-X`, `-A`, and what nobody can decode.

use std::fmt::Write as _;

use super::{Dump, DumpForm};

/// Appends `bytes` in the form that was asked for.
pub(super) fn dump(out: &mut String, dump: Dump, bytes: &[u8]) {
    match dump.form {
        DumpForm::Hex => hex(out, "\n\t", bytes),
        DumpForm::HexAscii => hex_and_ascii(out, bytes),
        DumpForm::Ascii => ascii(out, bytes),
    }
}

const BYTES_A_LINE: usize = 16;

/// Each 16 bytes with their offset, after `indent`, in which a line break may be.
pub(super) fn hex(out: &mut String, indent: &str, bytes: &[u8]) {
    for (number, row) in bytes.chunks(BYTES_A_LINE).enumerate() {
        let _ = write!(out, "{indent}0x{:04x}: ", number * BYTES_A_LINE);
        pairs(out, row);
    }
}

/// As [`hex`], with the printable characters beside.
pub(super) fn hex_and_ascii(out: &mut String, bytes: &[u8]) {
    for (number, row) in bytes.chunks(BYTES_A_LINE).enumerate() {
        let _ = write!(out, "\n\t0x{:04x}: ", number * BYTES_A_LINE);
        let begin = out.len();
        pairs(out, row);
        let missing = (BYTES_A_LINE / 2 * 5).saturating_sub(out.len() - begin);
        let _ = write!(out, "{:missing$}  ", "");
        out.extend(
            row.iter().map(|byte| if byte.is_ascii_graphic() { *byte as char } else { '.' }),
        );
    }
}

fn pairs(out: &mut String, row: &[u8]) {
    for pair in row.chunks(2) {
        out.push(' ');
        for byte in pair {
            let _ = write!(out, "{byte:02x}");
        }
    }
}

/// Text as it is, anything else as a dot. A carriage return is dropped at the end of a line,
/// and before the packet's last byte.
fn ascii(out: &mut String, bytes: &[u8]) {
    out.push('\n');
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'\r' => {
                if tail.len() > 1 && tail[0] != b'\n' {
                    out.push('.');
                }
            }
            b'\t' | b' ' | b'\n' => out.push(*byte as char),
            byte if byte.is_ascii_graphic() => out.push(*byte as char),
            _ => out.push('.'),
        }
    }
}
