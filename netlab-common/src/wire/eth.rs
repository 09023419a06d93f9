//! Ethernet II (IEEE 802.3, clause 3).

/// A MAC address.
pub type Mac = [u8; 6];

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;

/// Destination, source, EtherType.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthHeader(pub [u8; Self::LEN]);

impl EthHeader {
    /// Bytes of a header without VLAN tags.
    pub const LEN: usize = 14;
    /// Offset of the EtherType.
    pub const AT_TYPE: usize = 12;

    /// A header from its fields.
    #[inline(always)]
    #[must_use]
    pub const fn new(destination: Mac, source: Mac, ethertype: u16) -> Self {
        let (d, s, t) = (destination, source, ethertype.to_be_bytes());
        Self([d[0], d[1], d[2], d[3], d[4], d[5], s[0], s[1], s[2], s[3], s[4], s[5], t[0], t[1]])
    }

    /// Destination address.
    #[inline(always)]
    #[must_use]
    pub const fn destination(&self) -> Mac {
        let b = &self.0;
        [b[0], b[1], b[2], b[3], b[4], b[5]]
    }

    /// Source address.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> Mac {
        let b = &self.0;
        [b[6], b[7], b[8], b[9], b[10], b[11]]
    }

    /// EtherType.
    #[inline(always)]
    #[must_use]
    pub const fn ethertype(&self) -> u16 {
        u16::from_be_bytes([self.0[12], self.0[13]])
    }
}
