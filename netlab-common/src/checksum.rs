//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! Sums are kept in native byte order: ones' complement addition does not care, as
//! long as the checksum field is read the same way (RFC 1071, section 2(B)). That
//! is also the form that the kernel's `bpf_l4_csum_replace` takes as a difference.

/// An unfolded ones' complement sum of 16-bit words in native byte order.
///
/// 64 bits, so that the carries of any packet gather above bit 32 and need care only
/// when the sum is folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// The empty sum.
    pub const ZERO: Self = Self(0);

    /// Adds `bytes`, whose count must be even.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "reads as a chain with `remove` and `plus`")]
    pub fn add<const N: usize>(self, bytes: [u8; N]) -> Self {
        self.words(bytes, 0)
    }

    /// Takes `bytes` out of the sum: adds their complement.
    #[inline(always)]
    #[must_use]
    pub fn remove<const N: usize>(self, bytes: [u8; N]) -> Self {
        self.words(bytes, u32::MAX)
    }

    /// Two 16-bit words at a time: a sum of 32-bit words folds to the same (RFC 1071,
    /// section 2(C)).
    #[inline(always)]
    fn words<const N: usize>(self, bytes: [u8; N], mask: u32) -> Self {
        const { assert!(N.is_multiple_of(2)) };
        let mut sum = self.0;
        let mut i = 0;
        while i + 3 < N {
            let word = u32::from_ne_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
            sum += (word ^ mask) as u64;
            i += 4;
        }
        if i < N {
            let word = u32::from(u16::from_ne_bytes([bytes[i], bytes[i + 1]]));
            sum += (word ^ (mask & 0xffff)) as u64;
        }
        Self(sum)
    }

    /// Adds another sum.
    #[inline(always)]
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The sum in 32 bits: a difference as the kernel's helpers take it.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "nothing is left above 32 bits")]
    pub const fn wide(self) -> u32 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        ((sum & 0xffff_ffff) + (sum >> 32)) as u32
    }

    /// The sum in 16 bits, not complemented: what a partial checksum field holds.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "nothing is left above 16 bits")]
    pub const fn folded(self) -> [u8; 2] {
        let sum = self.wide();
        let sum = (sum & 0xffff) + (sum >> 16);
        (((sum & 0xffff) + (sum >> 16)) as u16).to_ne_bytes()
    }

    /// The checksum field that makes the whole sum to all ones.
    #[inline(always)]
    #[must_use]
    pub fn checksum(self) -> [u8; 2] {
        (!u16::from_ne_bytes(self.folded())).to_ne_bytes()
    }
}

/// The field `old` after the summed bytes changed by `difference` (RFC 1624, equation 3).
#[inline(always)]
#[must_use]
pub fn update(old: [u8; 2], difference: Sum) -> [u8; 2] {
    Sum::ZERO.remove(old).plus(difference).checksum()
}

/// [`update`] for UDP, where a zero field means "no checksum" and stays, and a
/// checksum that comes out as zero is sent as all ones (RFC 768).
#[inline(always)]
#[must_use]
pub fn update_udp(old: [u8; 2], difference: Sum) -> [u8; 2] {
    if old == [0, 0] {
        return old;
    }
    match update(old, difference) {
        [0, 0] => [0xff, 0xff],
        new => new,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: &[u8]) -> [u8; 2] {
        bytes.chunks_exact(2).fold(Sum::ZERO, |sum, pair| sum.add([pair[0], pair[1]])).checksum()
    }

    #[test]
    fn example_of_rfc_1071() {
        let sum = Sum::ZERO.add([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.folded(), [0xdd, 0xf2]);
    }

    proptest! {
        #[test]
        fn incremental_equals_recomputed(
            mut bytes in prop::array::uniform32(any::<u8>()),
            new in any::<[u8; 4]>(),
            word in 0usize..14,
        ) {
            let at = word * 2;
            let before = of(&bytes);
            let old = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            bytes[at..at + 4].copy_from_slice(&new);
            let after = update(before, Sum::ZERO.remove(old).add(new));
            // Zero has two representations in ones' complement; both verify.
            let verifies = |field: [u8; 2]| {
                bytes.chunks_exact(2).fold(Sum::ZERO.add(field), |s, p| s.add([p[0], p[1]])).folded()
                    == [0xff, 0xff]
            };
            prop_assert!(bytes.iter().all(|b| *b == 0) || verifies(after));
        }
    }
}
