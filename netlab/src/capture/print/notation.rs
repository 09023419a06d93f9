//! What several protocols write alike: IPv6 addresses, bytes of unknown meaning, text that
//! may not be printable, names of bits, the Internet checksum over captured bytes.

use std::fmt;
use std::net::Ipv6Addr;

use netlab_common::checksum::Sum;

use super::line::Line;

/// An IPv6 address as tcpdump writes it.
///
/// As RFC 5952 does, but with a dotted quad in every address of `::/96` whose last 32 bits
/// begin with a word that is not zero, not only in IPv4-mapped ones.
pub(super) struct V6(pub [u8; 16]);

impl fmt::Display for V6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from(self.0);
        match address.segments() {
            [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
                let [.., a, b, c, d] = self.0;
                write!(f, "::{a}.{b}.{c}.{d}")
            }
            _ => address.fmt(f),
        }
    }
}

/// A byte of text: what is not printable becomes `^` and a letter, above ASCII after `M-`.
pub(super) struct Escaped(pub u8);

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut byte = self.0;
        if !byte.is_ascii() {
            byte &= 0x7f;
            f.write_str("M-")?;
        }
        if !matches!(byte, b' '..=b'~') {
            byte ^= 0x40;
            f.write_str("^")?;
        }
        write!(f, "{}", char::from(byte))
    }
}

/// The names of the bits that are set, or `none`.
pub(super) struct Bits<'a>(pub &'a [(u32, &'a str)], pub u32);

impl fmt::Display for Bits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = self.0.iter().filter(|(bit, _)| self.1 & bit != 0);
        let Some((_, first)) = set.next() else { return f.write_str("none") };
        f.write_str(first)?;
        set.try_for_each(|(_, name)| write!(f, ", {name}"))
    }
}

/// Bytes in hex, 16 a line; `indent` begins each line.
pub(super) fn unknown(line: &mut Line<'_>, bytes: &[u8], indent: &str) {
    for (at, row) in (0usize..).step_by(16).zip(bytes.chunks(16)) {
        line.push(format_args!("{indent}0x{at:04x}: "));
        for pair in row.chunks(2) {
            line.push(format_args!(" "));
            for byte in pair {
                line.push(format_args!("{byte:02x}"));
            }
        }
    }
}

/// `bytes` from `at` on, at most `length` of them: what was captured of a field.
pub(super) fn captured(bytes: &[u8], at: usize, length: usize) -> &[u8] {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.get(..length).unwrap_or(rest)
}

/// The sum of `bytes`, after which a zero byte stands where their count is odd (RFC 1071).
pub(super) fn sum(bytes: &[u8]) -> Sum {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let sum = pairs.iter().fold(Sum::ZERO, |sum, pair| sum.with(*pair));
    odd.iter().fold(sum, |sum, byte| sum.with([*byte, 0]))
}

/// What a checksum `field` ought to be, if it is wrong: `sum` is that of all bytes it covers,
/// its own included.
pub(super) fn wrong(field: [u8; 2], sum: Sum) -> Option<u16> {
    let rest = sum.checksum();
    let expected = Sum::ZERO.with(field).with(rest).folded();
    (rest != [0, 0]).then(|| u16::from_be_bytes(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::print::Options;

    #[test]
    fn ipv6_addresses_are_short_and_may_end_in_a_dotted_quad() {
        for (address, text) in [
            ([0; 8], "::"),
            ([0, 0, 0, 0, 0, 0, 0, 1], "::1"),
            ([0, 0, 0, 0, 0, 0, 1, 0], "::0.1.0.0"),
            ([0, 0, 0, 0, 0, 0, 0x0102, 0x0304], "::1.2.3.4"),
            ([0, 0, 0, 0, 0, 0xffff, 0x0102, 0x0304], "::ffff:1.2.3.4"),
            ([0, 0, 0, 0, 0, 1, 0x0102, 0x0304], "::1:102:304"),
            ([0xfd00, 0, 0, 1, 0, 0, 0, 2], "fd00:0:0:1::2"),
            ([0xfd00, 0, 1, 1, 1, 1, 1, 2], "fd00:0:1:1:1:1:1:2"),
        ] {
            assert_eq!(V6(Ipv6Addr::from(address).octets()).to_string(), text);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_escaped() {
        let text: String = b"a \x01\x7f\x80\xe1".iter().map(|b| Escaped(*b).to_string()).collect();
        assert_eq!(text, "a ^A^?M-^@M-a");
    }

    #[test]
    fn bits_are_named_in_the_order_of_the_table() {
        let table = [(4, "four"), (1, "one")];
        assert_eq!(Bits(&table, 7).to_string(), "four, one");
        assert_eq!(Bits(&table, 2).to_string(), "none");
    }

    #[test]
    fn unknown_bytes_go_into_lines_of_sixteen() {
        let mut out = String::new();
        let options = Options::default();
        let bytes: Vec<u8> = (0..19).collect();
        unknown(&mut Line { out: &mut out, options: &options }, &bytes, "\n\t");
        assert_eq!(out, "\n\t0x0000:  0001 0203 0405 0607 0809 0a0b 0c0d 0e0f\n\t0x0010:  1011 12");
    }

    #[test]
    fn a_wrong_checksum_is_told_from_a_right_one() {
        let right = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7, 0x22, 0x0d];
        assert_eq!(wrong([0x22, 0x0d], sum(&right)), None);
        let other = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7, 0x12, 0x34];
        assert_eq!(wrong([0x12, 0x34], sum(&other)), Some(0x220d));
    }
}
