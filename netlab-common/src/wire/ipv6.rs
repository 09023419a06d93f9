//! IPv6 (RFC 8200).

/// The fixed header; extension headers are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Header(pub [u8; Self::LEN]);

impl Ipv6Header {
    /// Bytes of the fixed header.
    pub const LEN: usize = 40;
    /// Offset of the next-header field, which shares its 16-bit word with the hop limit.
    pub const AT_NEXT_HEADER: usize = 6;
    /// Offset of the source address; the destination follows it.
    pub const AT_ADDRESSES: usize = 8;

    /// IP version; 6 in a valid header.
    #[inline(always)]
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.0[0] >> 4
    }

    /// Bytes after this header.
    #[inline(always)]
    #[must_use]
    pub const fn payload_len(&self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// Type of the header that follows.
    #[inline(always)]
    #[must_use]
    pub const fn next_header(&self) -> u8 {
        self.0[6]
    }

    /// Hop limit.
    #[inline(always)]
    #[must_use]
    pub const fn hop_limit(&self) -> u8 {
        self.0[7]
    }

    /// Source address.
    #[inline(always)]
    #[must_use]
    pub fn source(&self) -> [u8; 16] {
        let mut address = [0; 16];
        address.copy_from_slice(&self.0[8..24]);
        address
    }

    /// Destination address.
    #[inline(always)]
    #[must_use]
    pub fn destination(&self) -> [u8; 16] {
        let mut address = [0; 16];
        address.copy_from_slice(&self.0[24..40]);
        address
    }
}
