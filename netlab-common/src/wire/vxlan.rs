//! VXLAN (RFC 7348).

use super::{eth::EthHeader, ipv4::Ipv4Header, udp::UdpHeader};
use crate::flow::FlowKey;

/// Bytes in front of the inner Ethernet header, on an IPv4 underlay.
pub const OVERHEAD: usize = EthHeader::LEN + Ipv4Header::LEN + UdpHeader::LEN + VxlanHeader::LEN;

/// A VXLAN network identifier: 24 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vni(u32);

impl Vni {
    /// `None` where `value` needs more than 24 bits.
    #[inline(always)]
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        if value < 1 << 24 { Some(Self(value)) } else { None }
    }

    /// The number.
    #[inline(always)]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Flags, reserved, VNI, reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VxlanHeader(pub [u8; Self::LEN]);

impl VxlanHeader {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// A header with a valid VNI (the I flag).
    #[inline(always)]
    #[must_use]
    pub const fn new(vni: Vni) -> Self {
        let [_, a, b, c] = vni.0.to_be_bytes();
        Self([0x08, 0, 0, 0, a, b, c, 0])
    }

    /// The VNI; `None` where the I flag says that there is none.
    #[inline(always)]
    #[must_use]
    pub const fn vni(&self) -> Option<Vni> {
        if self.0[0] & 0x08 == 0 {
            return None;
        }
        Some(Vni(u32::from_be_bytes([0, self.0[4], self.0[5], self.0[6]])))
    }
}

/// Outer UDP source port of a flow: the same for all its packets, spread over
/// `low..=high` between flows (RFC 7348, section 5), as the kernel chooses it.
#[inline(always)]
#[must_use]
pub fn source_port(flow: &FlowKey, low: u16, high: u16) -> u16 {
    let half = |address: &[u8; 16]| {
        let [.., a, b, c, d, e, f, g, h] = *address;
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    };
    let ports =
        u64::from(u16::from_ne_bytes(flow.sport)) << 16 | u64::from(u16::from_ne_bytes(flow.dport));
    // Multiplication by 2^64 / golden ratio carries every input bit upwards.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = half(&flow.src.0).wrapping_mul(SPREAD);
    hash = (hash ^ half(&flow.dst.0) ^ (hash >> 32)).wrapping_mul(SPREAD);
    hash = (hash ^ ports ^ (hash >> 32)).wrapping_mul(SPREAD);
    let span = u64::from(high.saturating_sub(low)) + 1;
    #[expect(clippy::cast_possible_truncation, reason = "below span, which is at most 65536")]
    let offset = (((hash >> 32) * span) >> 32) as u16;
    low.wrapping_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_spread_over_the_source_ports() {
        let port = |n: u16| {
            let flow = FlowKey { sport: n.to_be_bytes(), dport: [0, 80], ..FlowKey::default() };
            source_port(&flow, 32768, 60999)
        };
        let ports: std::collections::BTreeSet<u16> = (1000..2000).map(port).collect();
        assert!(ports.iter().all(|port| (32768..=60999).contains(port)));
        // 1,000 balls into 28,232 bins leave about 983 of them occupied.
        assert!(ports.len() > 950, "{} different ports", ports.len());
        assert_eq!(port(7), port(7));
    }

    #[test]
    fn a_vni_has_24_bits() {
        assert_eq!(Vni::new(1 << 24), None);
        let vni = Vni::new((1 << 24) - 1);
        assert_eq!(vni.and_then(|vni| VxlanHeader::new(vni).vni()), vni);
    }
}
