//! ICMP errors, told from other messages of ICMP. Pure.

use std::{fmt, net::IpAddr};

use netlab_common::wire::icmp;
use serde::{Deserialize, Serialize};

use super::frame::{Packet, Transport};
use crate::trace::follow::error_name;

/// Types of ICMPv6's errors: unreachable, too big, time exceeded, parameter problem (RFC 4443,
/// section 3).
const ERRORS_V6: std::ops::RangeInclusive<u8> = 1..=4;

/// An ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IcmpError {
    /// Who says it.
    pub from: IpAddr,
    /// Its type (RFC 792): 3 is unreachable.
    pub kind: u8,
    /// Its code: of type 3, 0 is the network, 1 the host and 3 the port.
    pub code: u8,
}

impl IcmpError {
    /// The error that a packet is, if it is one (RFC 1122, 3.2.2; RFC 4443, section 3): no ping,
    /// and nothing of neighbor discovery or multicast.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        let Transport::Icmp { kind, code, .. } = packet.transport else { return None };
        let is_error = match packet.source {
            IpAddr::V4(_) => matches!(
                kind,
                icmp::UNREACHABLE
                    | icmp::SOURCE_QUENCH
                    | icmp::REDIRECT
                    | icmp::TIME_EXCEEDED
                    | icmp::PARAMETER_PROBLEM
            ),
            IpAddr::V6(_) => ERRORS_V6.contains(&kind),
        };
        is_error.then_some(Self { from: packet.source, kind, code })
    }

    /// Whether it speaks about a better way, and not about a packet that is lost.
    #[must_use]
    pub const fn is_redirect(&self) -> bool {
        self.from.is_ipv4() && self.kind == icmp::REDIRECT
    }
}

/// What people call it; not who says it.
impl fmt::Display for IcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&error_name(self.from.is_ipv6(), self.kind, self.code))
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn v4(kind: u8, code: u8) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([172, 18, 0, 2], [172, 18, 255, 10], 64)
            .icmpv4_raw(kind, code, [0; 4])
            .write(&mut frame, &[0; 28])
            .unwrap();
        frame
    }

    fn v6(kind: u8, code: u8) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv6([0xfd; 16], [0xfe; 16], 64)
            .icmpv6_raw(kind, code, [0; 4])
            .write(&mut frame, &[0; 48])
            .unwrap();
        frame
    }

    #[test]
    fn errors_are_told_from_questions_and_reports() {
        let kinds = |frame: fn(u8, u8) -> Vec<u8>| -> Vec<u8> {
            let is_error = |kind: &u8| {
                Packet::read(&frame(*kind, 0)).and_then(|p| IcmpError::of(&p)).is_some()
            };
            (0..=u8::MAX).filter(is_error).collect()
        };
        assert_eq!(kinds(v4), [3, 4, 5, 11, 12]);
        // 143 is a report of multicast listeners (RFC 3810), 135 asks for a neighbor.
        assert_eq!(kinds(v6), [1, 2, 3, 4]);
    }

    #[test]
    fn an_error_has_a_name() {
        let name = |frame: &[u8]| IcmpError::of(&Packet::read(frame).unwrap()).unwrap().to_string();
        assert_eq!(name(&v4(3, 3)), "ICMP port unreachable");
        assert_eq!(name(&v6(1, 4)), "ICMPv6 port unreachable");
        assert_eq!(name(&v4(3, 77)), "ICMP type 3 code 77");
    }
}
