//! What arithmetic says about a pod network, from the sizes of headers alone. Pure.
//!
//! Deliberately not taken from the lab's layout: a prediction that came from what it is held
//! against could not be wrong.

use netlab_common::wire::{
    eth::EthHeader, ipv4::Ipv4Header, ipv6::Ipv6Header, tcp::TcpHeader, udp::UdpHeader,
    vxlan::VxlanHeader,
};

use super::state::Entries;
use crate::lab::{Family, Mode, Underlay};

/// Bytes of an IP header without options or extensions.
#[must_use]
pub const fn ip_header(family: Family) -> u32 {
    match family {
        Family::V4 => bytes(Ipv4Header::LEN),
        Family::V6 => bytes(Ipv6Header::LEN),
    }
}

/// Bytes that a packet between nodes is larger by than between pod and node. The underlay is
/// of the same family as the packet: 50 over IPv4, 70 over IPv6.
#[must_use]
pub const fn encapsulation(mode: Mode, family: Family) -> u32 {
    match mode {
        Mode::HostGw => 0,
        Mode::Vxlan => {
            bytes(EthHeader::LEN + VxlanHeader::LEN + UdpHeader::LEN) + ip_header(family)
        }
    }
}

/// The largest IP packet that fits between pods of different nodes, in bytes.
#[must_use]
pub const fn mtu(mode: Mode, family: Family, underlay: u32) -> u32 {
    underlay.saturating_sub(encapsulation(mode, family))
}

/// Bytes of the headers in front of a segment, without options.
#[must_use]
pub const fn segment_headers(family: Family) -> u32 {
    ip_header(family) + bytes(TcpHeader::LEN)
}

/// The MSS that goes with an MTU (RFC 9293, 3.7.1): options are not taken off.
#[must_use]
pub const fn mss(family: Family, mtu: u32) -> u32 {
    mtu.saturating_sub(segment_headers(family))
}

/// The UDP payload of an IP packet of this length.
#[must_use]
pub const fn datagram(family: Family, ip_len: u32) -> u32 {
    ip_len.saturating_sub(ip_header(family) + bytes(UdpHeader::LEN))
}

/// What a node is told of each peer and family, in flannel's layout.
#[must_use]
pub const fn entries_per_peer(mode: Mode) -> Entries {
    match mode {
        Mode::HostGw => Entries { routes: 1, neighbors: 0, fdb: 0 },
        Mode::Vxlan => Entries { routes: 1, neighbors: 1, fdb: 1 },
    }
}

/// Whether pods of different nodes reach each other: host-gw needs a link that all nodes are on.
#[must_use]
pub const fn reaches(mode: Mode, underlay: Underlay) -> bool {
    matches!(mode, Mode::Vxlan) || matches!(underlay, Underlay::L2)
}

/// How many different values to expect of so many draws, each of one of `values` at random.
#[must_use]
pub fn distinct(draws: u32, values: u32) -> f64 {
    if values == 0 {
        return 0.0;
    }
    let (draws, values) = (f64::from(draws), f64::from(values));
    values * (1.0 - (1.0 - 1.0 / values).powf(draws))
}

/// The entropy to expect of so many draws, in bits: that of a value drawn alone, log2 of the
/// draws, less what values that come together cost. A value comes with another's with
/// probability 1/`values`, and two in one place are one bit less for each of both; what comes
/// in threes is left out, which is right as long as there are many more values than draws.
#[must_use]
pub fn entropy(draws: u32, values: u32) -> f64 {
    if draws == 0 || values == 0 {
        return 0.0;
    }
    let others = f64::from(draws - 1);
    (f64::from(draws).log2() - others / f64::from(values)).max(0.0)
}

/// The sizes of headers are far below the range's end.
#[expect(clippy::cast_possible_truncation, reason = "sizes of headers")]
const fn bytes(len: usize) -> u32 {
    len as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encapsulated_packet_is_50_bytes_longer_over_ipv4_and_70_over_ipv6() {
        assert_eq!(encapsulation(Mode::Vxlan, Family::V4), 50);
        assert_eq!(encapsulation(Mode::Vxlan, Family::V6), 70);
        assert!(Family::ALL.into_iter().all(|family| encapsulation(Mode::HostGw, family) == 0));
    }

    #[test]
    fn mtu_and_mss_of_ethernet_are_the_known_ones() {
        let of = |mode, family| {
            let mtu = mtu(mode, family, 1500);
            (mtu, mss(family, mtu), datagram(family, mtu))
        };
        assert_eq!(of(Mode::HostGw, Family::V4), (1500, 1460, 1472));
        assert_eq!(of(Mode::Vxlan, Family::V4), (1450, 1410, 1422));
        assert_eq!(of(Mode::HostGw, Family::V6), (1500, 1440, 1452));
        assert_eq!(of(Mode::Vxlan, Family::V6), (1430, 1370, 1382));
    }

    #[test]
    fn only_host_gw_needs_a_common_link() {
        assert!(!reaches(Mode::HostGw, Underlay::Routed));
        assert!(reaches(Mode::HostGw, Underlay::L2));
        assert!(reaches(Mode::Vxlan, Underlay::Routed));
    }

    #[test]
    fn a_thousand_flows_hardly_meet_among_28232_ports() {
        // The occupancy of 28232 bins by 1000 balls: 1000 - 1000 * 999 / (2 * 28232) = 982.3.
        assert!((distinct(1000, 28232) - 982.5).abs() < 0.5, "{}", distinct(1000, 28232));
        assert!((distinct(1000, 1) - 1.0).abs() < 1e-9);
        assert!(distinct(0, 10).abs() < 1e-9);
        assert!((entropy(1000, 28232) - 9.93).abs() < 0.01, "{}", entropy(1000, 28232));
        assert!((entropy(1, 28232)).abs() < 1e-9);
    }
}
