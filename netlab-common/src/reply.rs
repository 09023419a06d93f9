//! Answers that the datapath gives in a destination's name (IPv4 without options).
//!
//! Read first: RFC 9293, section 3.5.2 (how a reset is numbered); RFC 1122, section
//! 3.2.2 (what an ICMP error quotes). A reset is written over the packet, which is
//! then cut to [`RESET_LEN`]. An ICMP error is written in front of it: the frame
//! grows by [`ERROR_GROWTH`] bytes behind its Ethernet header, so that the offending
//! packet already stands where it has to be quoted.
#![expect(clippy::cast_possible_truncation, reason = "headers are a few dozen bytes long")]

use crate::{
    checksum::Sum,
    verdict::Answer,
    wire::{
        eth::EthHeader,
        icmp::{self, IcmpHeader},
        ipv4::Ipv4Header,
        tcp::{
            self, TcpHeader,
            flags::{ACK, FIN, RST, SYN},
        },
    },
};

/// Bytes of a frame that carries a reset.
pub const RESET_LEN: usize = EthHeader::LEN + Ipv4Header::LEN + TcpHeader::LEN;
/// Bytes that an ICMP error adds in front of what it quotes.
pub const ERROR_GROWTH: usize = Ipv4Header::LEN + IcmpHeader::LEN;
/// TTL of answers, the kernel's default.
const TTL: u8 = 64;
/// IPv4's "don't fragment".
const DF: u16 = 0x4000;

/// Bytes of the offending packet that an ICMP error quotes: its IP header, and what
/// the kernel needs to find the socket and to complete a partial checksum.
#[inline(always)]
#[must_use]
pub const fn quote_len(proto: u8) -> usize {
    Ipv4Header::LEN + if proto == tcp::PROTOCOL { TcpHeader::LEN } else { 8 }
}

/// The frame's Ethernet header, turned round.
#[inline(always)]
#[must_use]
pub const fn turn(eth: &EthHeader) -> EthHeader {
    EthHeader::new(eth.source(), eth.destination(), eth.ethertype())
}

/// The sum of the pseudo-header of a reset.
#[inline(always)]
#[must_use]
pub fn reset_pseudo_sum(ip: &Ipv4Header) -> Sum {
    Sum::ZERO
        .add(ip.source())
        .add(ip.destination())
        .add([0, tcp::PROTOCOL])
        .add((TcpHeader::LEN as u16).to_be_bytes())
}

/// Headers of the reset that answers a segment; TCP's checksum is left at zero.
#[inline(always)]
#[must_use]
pub fn reset(ip: &Ipv4Header, segment: &TcpHeader) -> (Ipv4Header, TcpHeader) {
    let len = (Ipv4Header::LEN + TcpHeader::LEN) as u16;
    let answer_ip = Ipv4Header::new(ip.destination(), ip.source(), tcp::PROTOCOL, len, DF, TTL);
    let flags = segment.flags();
    let (seq, ack, answer_flags) = if flags & ACK != 0 {
        (segment.ack(), 0, RST)
    } else {
        let headers = ip.header_len() + segment.header_len();
        let data = u32::from(ip.total_len()).saturating_sub(headers as u32);
        let occupied =
            data.wrapping_add((flags & SYN != 0) as u32).wrapping_add((flags & FIN != 0) as u32);
        (0, segment.seq().wrapping_add(occupied), RST | ACK)
    };
    (answer_ip, TcpHeader::new(segment.dport(), segment.sport(), seq, ack, answer_flags))
}

/// Headers of the ICMP error `answer`; `quoted` is the sum over the quoted bytes, and
/// `mtu` counts only for [`Answer::FragmentationNeeded`].
#[inline(always)]
#[must_use]
pub fn error(answer: Answer, ip: &Ipv4Header, quoted: Sum, mtu: u16) -> (Ipv4Header, IcmpHeader) {
    let (kind, code, mtu) = match answer {
        Answer::TimeExceeded => (icmp::TIME_EXCEEDED, 0, 0),
        Answer::FragmentationNeeded => (icmp::UNREACHABLE, icmp::CODE_FRAGMENTATION_NEEDED, mtu),
        Answer::PortUnreachable | Answer::TcpReset => (icmp::UNREACHABLE, icmp::CODE_PORT, 0),
    };
    let len = (ERROR_GROWTH + quote_len(ip.protocol())) as u16;
    let answer_ip = Ipv4Header::new(ip.destination(), ip.source(), icmp::PROTOCOL, len, 0, TTL);
    let mut header = IcmpHeader::error(kind, code, mtu);
    [header.0[2], header.0[3]] = Sum::ZERO.add(header.0).plus(quoted).checksum();
    (answer_ip, header)
}
