//! TCP (RFC 9293).

/// IP protocol number.
pub const PROTOCOL: u8 = 6;

/// Flag bits, byte 13 of the header.
pub mod flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgement field is valid.
    pub const ACK: u8 = 0x10;
}

/// The fixed part of the header; options are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpHeader(pub [u8; Self::LEN]);

impl TcpHeader {
    /// Bytes of a header without options.
    pub const LEN: usize = 20;
    /// Offset of the flags.
    pub const AT_FLAGS: usize = 13;
    /// Offset of the checksum.
    pub const AT_CHECKSUM: usize = 16;

    /// A header without options, payload or checksum (zero).
    #[inline(always)]
    #[must_use]
    pub const fn new(sport: [u8; 2], dport: [u8; 2], seq: u32, ack: u32, flags: u8) -> Self {
        let (s, a) = (seq.to_be_bytes(), ack.to_be_bytes());
        let (p, q) = (sport, dport);
        Self([
            p[0], p[1], q[0], q[1], s[0], s[1], s[2], s[3], a[0], a[1], a[2], a[3], 0x50, flags, 0,
            0, 0, 0, 0, 0,
        ])
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

    /// Sequence number.
    #[inline(always)]
    #[must_use]
    pub const fn seq(&self) -> u32 {
        u32::from_be_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }

    /// Acknowledgement number.
    #[inline(always)]
    #[must_use]
    pub const fn ack(&self) -> u32 {
        u32::from_be_bytes([self.0[8], self.0[9], self.0[10], self.0[11]])
    }

    /// Bytes of the header with its options: 20 to 60 in a valid header.
    #[inline(always)]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        ((self.0[12] >> 4) as usize) * 4
    }

    /// Flag bits, see [`flags`].
    #[inline(always)]
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.0[13]
    }
}
