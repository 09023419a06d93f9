//! IPv4 (RFC 791).

use crate::checksum::Sum;

/// The fixed part of the header; options are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header(pub [u8; Self::LEN]);

impl Ipv4Header {
    /// Bytes of a header without options.
    pub const LEN: usize = 20;
    /// Offset of the time to live, which shares its 16-bit word with the protocol.
    pub const AT_TTL: usize = 8;
    /// Offset of the header checksum.
    pub const AT_CHECKSUM: usize = 10;
    /// Offset of the source address; the destination follows it.
    pub const AT_ADDRESSES: usize = 12;

    /// A header without options, with its checksum. `total_len` counts this header.
    #[inline(always)]
    #[must_use]
    pub fn new(src: [u8; 4], dst: [u8; 4], proto: u8, total_len: u16, flags: u16, ttl: u8) -> Self {
        let mut b = [0u8; Self::LEN];
        b[0] = 0x45;
        [b[2], b[3]] = total_len.to_be_bytes();
        [b[6], b[7]] = flags.to_be_bytes();
        b[8] = ttl;
        b[9] = proto;
        [b[12], b[13], b[14], b[15]] = src;
        [b[16], b[17], b[18], b[19]] = dst;
        [b[10], b[11]] = Sum::ZERO.with(b).checksum();
        Self(b)
    }

    /// IP version; 4 in a valid header.
    #[inline(always)]
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.0[0] >> 4
    }

    /// Bytes of the header with its options: 20 to 60 in a valid header.
    #[inline(always)]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        ((self.0[0] & 0x0f) as usize) * 4
    }

    /// Bytes of header and payload.
    #[inline(always)]
    #[must_use]
    pub const fn total_len(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Whether routers must not fragment this packet.
    #[inline(always)]
    #[must_use]
    pub const fn dont_fragment(&self) -> bool {
        self.0[6] & 0x40 != 0
    }

    /// Whether this is a fragment: first, middle or last.
    #[inline(always)]
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        u16::from_be_bytes([self.0[6], self.0[7]]) & 0x3fff != 0
    }

    /// Whether this is a fragment other than the first: it carries no ports.
    #[inline(always)]
    #[must_use]
    pub const fn is_later_fragment(&self) -> bool {
        u16::from_be_bytes([self.0[6], self.0[7]]) & 0x1fff != 0
    }

    /// Time to live.
    #[inline(always)]
    #[must_use]
    pub const fn ttl(&self) -> u8 {
        self.0[8]
    }

    /// Protocol of the payload.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.0[9]
    }

    /// Source address.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> [u8; 4] {
        [self.0[12], self.0[13], self.0[14], self.0[15]]
    }

    /// Destination address.
    #[inline(always)]
    #[must_use]
    pub const fn destination(&self) -> [u8; 4] {
        [self.0[16], self.0[17], self.0[18], self.0[19]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_header_is_what_etherparse_reads() {
        let built = Ipv4Header::new([10, 0, 0, 1], [10, 0, 0, 2], 17, 48, 0x4000, 64);
        let (read, _) = etherparse::Ipv4Header::from_slice(&built.0).unwrap();
        assert_eq!(read.source, [10, 0, 0, 1]);
        assert_eq!(read.total_len, 48);
        assert!(read.dont_fragment && built.dont_fragment());
        assert_eq!(read.header_checksum, read.calc_header_checksum());
    }
}
