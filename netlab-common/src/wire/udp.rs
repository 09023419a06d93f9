//! UDP (RFC 768).

/// IP protocol number.
pub const PROTOCOL: u8 = 17;

/// Ports, length, checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpHeader(pub [u8; Self::LEN]);

impl UdpHeader {
    /// Bytes of the header.
    pub const LEN: usize = 8;
    /// Offset of the checksum.
    pub const AT_CHECKSUM: usize = 6;

    /// A header without a checksum (zero). `len` counts this header.
    #[inline(always)]
    #[must_use]
    pub const fn new(sport: u16, dport: u16, len: u16) -> Self {
        let (s, d, l) = (sport.to_be_bytes(), dport.to_be_bytes(), len.to_be_bytes());
        Self([s[0], s[1], d[0], d[1], l[0], l[1], 0, 0])
    }

    /// Source port, big-endian.
    #[inline(always)]
    #[must_use]
    pub const fn sport(&self) -> [u8; 2] {
        [self.0[0], self.0[1]]
    }

    /// Destination port, big-endian.
    #[inline(always)]
    #[must_use]
    pub const fn dport(&self) -> [u8; 2] {
        [self.0[2], self.0[3]]
    }
}
