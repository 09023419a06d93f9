//! Reading a packet: from bytes to what the core decides on.
//!
//! Only what the datapath can translate becomes [`Headers`]; everything else has a
//! [`PassReason`]. An ICMP error is read through to the packet that it quotes
//! (RFC 792; RFC 4443, section 3), because that names the flow it is about.

use crate::{
    flow::{Addr, FlowKey},
    packet::Packet,
    verdict::PassReason,
    wire::{
        eth::{self, EthHeader},
        icmp::{self, IcmpHeader},
        ipv4::Ipv4Header,
        ipv6::Ipv6Header,
        tcp, udp,
    },
};

/// What the core needs to know of a packet. Offsets count from the Ethernet header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// The flow to look up: the packet's own, or for an ICMP error the reverse of
    /// the quoted one.
    pub flow: FlowKey,
    /// See [`Self::l3`]. A byte is enough (the furthest header, quoted inside an
    /// encapsulation, is at 192), and bounds the offset for the verifier.
    l3: u8,
    /// See [`Self::l4`].
    l4: u8,
    /// See [`Self::quoted_l4`].
    quoted_l4: u8,
    /// IPv4, as opposed to IPv6.
    pub v4: bool,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// TCP flags; 0 for everything else.
    pub tcp_flags: u8,
    /// Bytes of the IP packet, header included.
    pub ip_len: u16,
}

impl Headers {
    /// Whether this is an ICMP error.
    #[inline(always)]
    #[must_use]
    pub const fn is_error(&self) -> bool {
        self.quoted_l4 != 0
    }

    /// Offset of the IP header.
    #[inline(always)]
    #[must_use]
    pub const fn l3(&self) -> usize {
        self.l3 as usize
    }

    /// Offset of the TCP, UDP or ICMP header.
    #[inline(always)]
    #[must_use]
    pub const fn l4(&self) -> usize {
        self.l4 as usize
    }

    /// Offset of the quoted IP header of an ICMP error.
    #[inline(always)]
    #[must_use]
    pub const fn quoted_l3(&self) -> usize {
        self.l4() + IcmpHeader::LEN
    }

    /// Offset of the quoted transport header of an ICMP error; 0 otherwise.
    #[inline(always)]
    #[must_use]
    pub const fn quoted_l4(&self) -> usize {
        self.quoted_l4 as usize
    }

    /// Whether the hook itself can build an answer: IPv4 without options.
    #[inline(always)]
    #[must_use]
    pub const fn is_answerable(&self) -> bool {
        self.v4 && self.l4() == self.l3() + Ipv4Header::LEN && !self.is_error()
    }

    /// Reads the packet whose Ethernet header is at `eth_at`, in place: a BPF stack
    /// has no room for a copy. After an error the fields mean nothing.
    #[inline(always)]
    pub fn read<P: Packet + ?Sized>(
        &mut self,
        packet: &P,
        eth_at: usize,
    ) -> Result<(), PassReason> {
        let ethertype = packet
            .load::<2>(eth_at + EthHeader::AT_TYPE)
            .map(u16::from_be_bytes)
            .ok_or(PassReason::Malformed)?;
        self.l3 = offset(eth_at + EthHeader::LEN);
        self.quoted_l4 = 0;
        self.tcp_flags = 0;
        self.flow.reserved = [0; 3];
        match ethertype {
            eth::IPV4 => self.read_v4(packet),
            eth::IPV6 => self.read_v6(packet),
            _ => Err(PassReason::NotIp),
        }
    }

    #[inline(always)]
    fn read_v4<P: Packet + ?Sized>(&mut self, packet: &P) -> Result<(), PassReason> {
        let ip = Ipv4Header(packet.load(self.l3()).ok_or(PassReason::Malformed)?);
        let header_len = ip.header_len();
        if ip.version() != 4
            || header_len < Ipv4Header::LEN
            || usize::from(ip.total_len()) < header_len
        {
            return Err(PassReason::Malformed);
        }
        if ip.is_fragment() {
            return Err(PassReason::Fragment);
        }
        self.v4 = true;
        self.l4 = offset(self.l3() + header_len);
        self.ttl = ip.ttl();
        self.ip_len = ip.total_len();
        if ip.protocol() == icmp::PROTOCOL {
            return self.read_quoted_v4(packet);
        }
        self.flow.src = Addr::v4(ip.source());
        self.flow.dst = Addr::v4(ip.destination());
        self.flow.proto = ip.protocol();
        self.read_transport(packet)
    }

    #[inline(always)]
    fn read_v6<P: Packet + ?Sized>(&mut self, packet: &P) -> Result<(), PassReason> {
        let ip = Ipv6Header(packet.load(self.l3()).ok_or(PassReason::Malformed)?);
        if ip.version() != 6 {
            return Err(PassReason::Malformed);
        }
        self.v4 = false;
        self.l4 = offset(self.l3() + Ipv6Header::LEN);
        self.ttl = ip.hop_limit();
        self.ip_len = ip.payload_len().saturating_add(40);
        self.flow.src = Addr(ip.source());
        self.flow.dst = Addr(ip.destination());
        self.flow.proto = ip.next_header();
        self.read_transport(packet)
    }

    /// Ports and flags of the packet's own transport header.
    #[inline(always)]
    fn read_transport<P: Packet + ?Sized>(&mut self, packet: &P) -> Result<(), PassReason> {
        let needed = match self.flow.proto {
            tcp::PROTOCOL => {
                let header = tcp::TcpHeader(packet.load(self.l4()).ok_or(PassReason::Malformed)?);
                if header.header_len() < tcp::TcpHeader::LEN {
                    return Err(PassReason::Malformed);
                }
                self.tcp_flags = header.flags();
                (self.flow.sport, self.flow.dport) = (header.sport(), header.dport());
                header.header_len()
            }
            udp::PROTOCOL => {
                let header = udp::UdpHeader(packet.load(self.l4()).ok_or(PassReason::Malformed)?);
                (self.flow.sport, self.flow.dport) = (header.sport(), header.dport());
                udp::UdpHeader::LEN
            }
            _ => return Err(PassReason::OtherProtocol),
        };
        if usize::from(self.ip_len) < self.l4() - self.l3() + needed {
            return Err(PassReason::Malformed);
        }
        Ok(())
    }

    /// The flow quoted by an ICMP error; eight bytes of its transport header are
    /// enough (RFC 792).
    #[inline(always)]
    fn read_quoted_v4<P: Packet + ?Sized>(&mut self, packet: &P) -> Result<(), PassReason> {
        let icmp = IcmpHeader(packet.load(self.l4()).ok_or(PassReason::Malformed)?);
        if !icmp.is_error() {
            return Err(PassReason::OtherProtocol);
        }
        let quoted = Ipv4Header(packet.load(self.quoted_l3()).ok_or(PassReason::Malformed)?);
        let header_len = quoted.header_len();
        if quoted.version() != 4 || header_len < Ipv4Header::LEN || quoted.is_later_fragment() {
            return Err(PassReason::Malformed);
        }
        if quoted.protocol() != tcp::PROTOCOL && quoted.protocol() != udp::PROTOCOL {
            return Err(PassReason::OtherProtocol);
        }
        self.quoted_l4 = offset(self.quoted_l3() + header_len);
        let transport: [u8; 8] = packet.load(self.quoted_l4()).ok_or(PassReason::Malformed)?;
        self.flow.src = Addr::v4(quoted.destination());
        self.flow.dst = Addr::v4(quoted.source());
        self.flow.sport = [transport[2], transport[3]];
        self.flow.dport = [transport[0], transport[1]];
        self.flow.proto = quoted.protocol();
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "no header lies beyond 192")]
#[inline(always)]
const fn offset(at: usize) -> u8 {
    at as u8
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn read(packet: &[u8]) -> Result<Headers, PassReason> {
        let mut headers = Headers::default();
        headers.read(packet, 0).map(|()| headers)
    }

    fn tcp_packet() -> Vec<u8> {
        let mut packet = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 61)
            .tcp(40000, 30080, 7, 1024)
            .syn()
            .write(&mut packet, b"data")
            .unwrap();
        packet
    }

    #[test]
    fn reads_what_etherparse_wrote() {
        let headers = read(&tcp_packet()).unwrap();
        assert_eq!(headers.flow.to_string(), "10.0.0.1:40000 -> 10.0.0.2:30080");
        assert_eq!((headers.l3(), headers.l4(), headers.ttl, headers.ip_len), (14, 34, 61, 44));
        assert_eq!(headers.tcp_flags, tcp::flags::SYN);
        assert!(headers.is_answerable());
    }

    #[test]
    fn every_truncation_is_malformed_and_never_panics() {
        let packet = tcp_packet();
        for len in 0..54 {
            assert_eq!(read(&packet[..len]), Err(PassReason::Malformed), "{len} bytes");
        }
    }

    #[test]
    fn contradictory_lengths_are_malformed() {
        for (at, value) in [(14, 0x44), (14, 0x65), (17, 30), (46, 0x40)] {
            let mut packet = tcp_packet();
            packet[at] = value;
            assert_eq!(read(&packet), Err(PassReason::Malformed), "byte {at}");
        }
    }

    #[test]
    fn fragments_arp_and_echo_have_their_reasons() {
        let mut fragment = tcp_packet();
        fragment[20] = 0x20;
        assert_eq!(read(&fragment), Err(PassReason::Fragment));
        let mut arp = tcp_packet();
        arp[13] = 6;
        assert_eq!(read(&arp), Err(PassReason::NotIp));
        let mut echo = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .icmpv4_echo_request(1, 1)
            .write(&mut echo, b"")
            .unwrap();
        assert_eq!(read(&echo), Err(PassReason::OtherProtocol));
    }

    #[test]
    fn ipv6_is_read_into_the_same_shape() {
        let mut packet = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv6([0xfd; 16], [0xfe; 16], 9)
            .udp(1000, 2000)
            .write(&mut packet, b"abc")
            .unwrap();
        let headers = read(&packet).unwrap();
        assert!(!headers.v4 && !headers.is_answerable());
        assert_eq!((headers.l4(), headers.ttl, headers.ip_len), (54, 9, 51));
        assert_eq!(headers.flow.destination_port(), 2000);
    }
}
