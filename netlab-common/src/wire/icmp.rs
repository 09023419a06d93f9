//! ICMP (RFC 792) and the error messages of ICMPv6 (RFC 4443).

/// IP protocol number of ICMP for IPv4.
pub const PROTOCOL: u8 = 1;
/// Next-header number of ICMPv6.
pub const PROTOCOL_V6: u8 = 58;

/// ICMP type: destination unreachable.
pub const UNREACHABLE: u8 = 3;
/// Code of [`UNREACHABLE`]: nothing listens at the port.
pub const CODE_PORT: u8 = 3;
/// Code of [`UNREACHABLE`]: too large, and must not be fragmented (RFC 1191).
pub const CODE_FRAGMENTATION_NEEDED: u8 = 4;
/// ICMP type: source quench, obsolete (RFC 6633), still an error that quotes.
pub const SOURCE_QUENCH: u8 = 4;
/// ICMP type: redirect. It speaks about a route, not about a flow.
pub const REDIRECT: u8 = 5;
/// ICMP type: time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// ICMP type: parameter problem.
pub const PARAMETER_PROBLEM: u8 = 12;

/// Type, code, checksum and four bytes whose meaning depends on the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpHeader(pub [u8; Self::LEN]);

impl IcmpHeader {
    /// Bytes before the quoted packet.
    pub const LEN: usize = 8;
    /// Offset of the checksum.
    pub const AT_CHECKSUM: usize = 2;

    /// An error message's header without its checksum; `mtu` is zero where it has no meaning.
    #[inline(always)]
    #[must_use]
    pub const fn error(kind: u8, code: u8, mtu: u16) -> Self {
        let m = mtu.to_be_bytes();
        Self([kind, code, 0, 0, 0, 0, m[0], m[1]])
    }

    /// Message type.
    #[inline(always)]
    #[must_use]
    pub const fn kind(&self) -> u8 {
        self.0[0]
    }

    /// Whether an IPv4 message of this type quotes the packet that caused it (RFC 1122, 3.2.2).
    #[inline(always)]
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self.0[0], UNREACHABLE | SOURCE_QUENCH | TIME_EXCEEDED | PARAMETER_PROBLEM)
    }
}
