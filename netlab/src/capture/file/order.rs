//! Numbers in a file's byte order, and the options of pcapng blocks.

/// The byte order of a file, or of a section of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The two bytes at `at`; 0 where `bytes` ends before.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(take(bytes, at)),
            Self::Big => u16::from_be_bytes(take(bytes, at)),
        }
    }

    /// The four bytes at `at`; 0 where `bytes` ends before.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(take(bytes, at)),
            Self::Big => u32::from_be_bytes(take(bytes, at)),
        }
    }

    /// The eight bytes at `at`; 0 where `bytes` ends before.
    pub(super) fn u64(self, bytes: &[u8], at: usize) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(take(bytes, at)),
            Self::Big => u64::from_be_bytes(take(bytes, at)),
        }
    }
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// What must be added to `length` to reach the next multiple of four.
pub(super) const fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

/// An option of a pcapng block (draft-ietf-opsawg-pcapng, section 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opt<'a> {
    pub(super) code: u16,
    pub(super) value: &'a [u8],
}

/// An option is longer than what is left of its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlong;

/// The options that `bytes` consist of, up to opt_endofopt or the end.
pub(super) fn options(bytes: &[u8], order: Order) -> Options<'_> {
    Options { bytes, order }
}

/// See [`options`].
#[derive(Clone, Debug)]
pub(super) struct Options<'a> {
    bytes: &'a [u8],
    order: Order,
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<Opt<'a>, Overlong>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() {
            return None;
        }
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
            return Some(Err(Overlong));
        };
        let code = self.order.u16(head, 0);
        if code == 0 {
            return None;
        }
        let length = usize::from(self.order.u16(head, 2));
        let Some((value, rest)) = rest.split_at_checked(length) else {
            return Some(Err(Overlong));
        };
        self.bytes = rest.get(padding(length)..).unwrap_or(&[]);
        Some(Ok(Opt { code, value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_at_opt_endofopt_or_at_the_end() {
        let text = [0, 1, 0, 3, b'a', b'b', b'c', 0, 0, 2, 0, 0, 0, 0, 0, 0, 9, 9];
        let expected = [Ok(Opt { code: 1, value: b"abc" }), Ok(Opt { code: 2, value: b"" })];
        assert_eq!(Vec::from_iter(options(&text, Order::Big)), expected);
        assert_eq!(Vec::from_iter(options(&text[..12], Order::Big)), expected);
    }

    #[test]
    fn an_option_that_is_too_long_is_the_last() {
        let text = [1, 0, 5, 0, b'a', b'b', b'c', 0];
        assert_eq!(Vec::from_iter(options(&text, Order::Little)), [Err(Overlong)]);
        assert_eq!(Vec::from_iter(options(&text[..3], Order::Little)), [Err(Overlong)]);
    }
}
