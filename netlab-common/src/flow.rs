//! A flow's name: addresses, ports and protocol.

use core::fmt;

/// An IP address in 16 bytes; IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2).
///
/// Aligned to words, or the BPF target would copy and compare it byte by byte.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr(pub [u8; 16]);

impl Addr {
    /// `::`, which in the maps means "none".
    pub const UNSPECIFIED: Self = Self([0; 16]);

    /// "Any address" of a family: `::`, or mapped `0.0.0.0`.
    #[inline(always)]
    #[must_use]
    pub const fn any(v4: bool) -> Self {
        if v4 { Self::v4([0; 4]) } else { Self::UNSPECIFIED }
    }

    /// `::ffff:a.b.c.d`.
    #[inline(always)]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// The last four bytes: the IPv4 address of a mapped one.
    #[inline(always)]
    #[must_use]
    pub const fn last4(self) -> [u8; 4] {
        [self.0[12], self.0[13], self.0[14], self.0[15]]
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(self) -> bool {
        let b = &self.0;
        let head = b[0] | b[1] | b[2] | b[3] | b[4] | b[5] | b[6] | b[7] | b[8] | b[9];
        head == 0 && b[10] == 0xff && b[11] == 0xff
    }

    /// Whether this is `::`.
    #[inline(always)]
    #[must_use]
    pub fn is_unspecified(self) -> bool {
        u128::from_ne_bytes(self.0) == 0
    }
}

impl From<core::net::IpAddr> for Addr {
    fn from(address: core::net::IpAddr) -> Self {
        match address {
            core::net::IpAddr::V4(v4) => Self::v4(v4.octets()),
            core::net::IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Addr> for core::net::IpAddr {
    fn from(address: Addr) -> Self {
        core::net::Ipv6Addr::from(address.0).to_canonical()
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::net::IpAddr::from(*self).fmt(f)
    }
}

/// Source, destination and protocol of one direction of a connection. 40 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Source port, big-endian.
    pub sport: [u8; 2],
    /// Destination port, big-endian.
    pub dport: [u8; 2],
    /// IP protocol: 6 or 17.
    pub proto: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

impl FlowKey {
    /// The same flow as the other side sends it.
    #[inline(always)]
    #[must_use]
    pub const fn reverse(self) -> Self {
        Self { src: self.dst, dst: self.src, sport: self.dport, dport: self.sport, ..self }
    }

    /// Source port in host order.
    #[must_use]
    pub const fn source_port(&self) -> u16 {
        u16::from_be_bytes(self.sport)
    }

    /// Destination port in host order.
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        u16::from_be_bytes(self.dport)
    }
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let socket = |addr: Addr, port| core::net::SocketAddr::new(addr.into(), port);
        write!(
            f,
            "{} -> {}",
            socket(self.src, self.source_port()),
            socket(self.dst, self.destination_port())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_of_reverse_is_identity() {
        let key = FlowKey {
            src: Addr::v4([10, 0, 0, 1]),
            dst: Addr::v4([10, 0, 0, 2]),
            sport: [1, 2],
            dport: [3, 4],
            proto: 6,
            reserved: [0; 3],
        };
        assert_ne!(key.reverse(), key);
        assert_eq!(key.reverse().reverse(), key);
    }

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["172.18.0.2", "fd00::1", "::"] {
            let address: core::net::IpAddr = text.parse().unwrap();
            assert_eq!(core::net::IpAddr::from(Addr::from(address)), address);
            assert_eq!(Addr::from(address).is_v4(), address.is_ipv4());
        }
    }
}
