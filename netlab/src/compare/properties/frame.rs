//! What a comparison has to know of a captured frame. Pure.

use std::net::IpAddr;

use etherparse::{
    IpNumber, LaxIpv4Slice, LaxNetSlice, LaxSlicedPacket, TcpOptionElement, TransportSlice,
};
use netlab_common::wire::{icmp, udp::UdpHeader, vxlan::VxlanHeader};

use super::icmp::IcmpError;
use crate::capture::filter::VXLAN_PORTS;

/// EtherType of ARP (RFC 826).
const ARP: [u8; 2] = [0x08, 0x06];

/// ICMPv6 type: packet too big (RFC 4443, 3.2).
const PACKET_TOO_BIG: u8 = 2;

/// An IP packet, in an Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Where it says that it comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// Identification of an IPv4 packet, which its fragments share; 0 in IPv6.
    pub id: u16,
    /// Bytes behind the IP header.
    pub ip_payload: usize,
    /// What is in it.
    pub transport: Transport<'a>,
}

/// What an IP packet carries. Ports are in host order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport<'a> {
    /// A TCP segment.
    Tcp(Segment),
    /// A UDP datagram, or its first fragment.
    Udp {
        /// Source port.
        from: u16,
        /// Destination port.
        to: u16,
        /// What is behind the header.
        payload: &'a [u8],
    },
    /// An ICMP message of either version.
    Icmp {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
        /// The MTU that it tells, of a message that a packet was too large.
        too_large: Option<u32>,
        /// What is behind its header: of an error, the packet that it is about, cut off.
        behind: &'a [u8],
    },
    /// Something else, or a fragment that is not the first.
    Other,
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// Source and destination port.
    pub ports: [u16; 2],
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledged: u32,
    /// SYN and ACK.
    pub flags: [bool; 2],
    /// The option MSS, if it is there.
    pub mss: Option<u16>,
    /// Bytes of payload.
    pub payload: usize,
}

/// Who asks for whose Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// A question, not an answer.
    pub is_request: bool,
    /// The address that it is about: whose Ethernet address is asked for, or told.
    pub about: IpAddr,
}

/// What distinguishes a packet from others of the same flow, and stays when it is encapsulated.
/// Its checksum does not: a local socket leaves that to whoever sends the packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    ends: [IpAddr; 2],
    segment: Option<Segment>,
    datagram: Option<([u16; 2], Vec<u8>)>,
}

impl<'a> Packet<'a> {
    /// The IP packet in a frame, if there is one.
    #[must_use]
    pub fn read(frame: &'a [u8]) -> Option<Self> {
        Self::of(&LaxSlicedPacket::from_ethernet(frame).ok()?)
    }

    fn of(sliced: &LaxSlicedPacket<'a>) -> Option<Self> {
        let (source, destination, id, payload) = match sliced.net.as_ref()? {
            LaxNetSlice::Ipv4(ip) => {
                let header = ip.header();
                let ends = (header.source_addr().into(), header.destination_addr().into());
                (ends.0, ends.1, header.identification(), ip.payload().payload)
            }
            LaxNetSlice::Ipv6(ip) => {
                let header = ip.header();
                let ends = (header.source_addr().into(), header.destination_addr().into());
                (ends.0, ends.1, 0, ip.payload().payload)
            }
            LaxNetSlice::Arp(_) => return None,
        };
        let transport = match (&sliced.transport, sliced.net.as_ref()?) {
            (Some(transport), _) => Transport::of(transport),
            // A first fragment has its ports, though not all of its payload.
            (None, LaxNetSlice::Ipv4(ip)) if is_first_of_udp(ip) => Transport::first(payload),
            _ => Transport::Other,
        };
        Some(Self { source, destination, id, ip_payload: payload.len(), transport })
    }

    /// Source port and inner frame of a VXLAN packet.
    #[must_use]
    pub fn tunnelled(&self) -> Option<(u16, &'a [u8])> {
        match self.transport {
            Transport::Udp { from, to, payload } if VXLAN_PORTS.contains(&to) => {
                Some((from, payload.get(VxlanHeader::LEN..)?))
            }
            _ => None,
        }
    }

    /// The packet that this one is about, if it is an ICMP error: as far as it quotes it.
    #[must_use]
    pub fn quoted(&self) -> Option<Self> {
        match self.transport {
            Transport::Icmp { behind, .. } => {
                IcmpError::of(self)?;
                Self::of(&LaxSlicedPacket::from_ip(behind).ok()?)
            }
            _ => None,
        }
    }

    /// What tells it from others; None of what is neither TCP nor UDP.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        let ends = [self.source, self.destination];
        match &self.transport {
            Transport::Tcp(segment) => {
                Some(Identity { ends, segment: Some(*segment), datagram: None })
            }
            Transport::Udp { from, to, payload } => {
                let datagram = Some(([*from, *to], payload.to_vec()));
                Some(Identity { ends, segment: None, datagram })
            }
            _ => None,
        }
    }

    /// Bytes that an application has put into it.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        match &self.transport {
            Transport::Tcp(segment) => segment.payload,
            Transport::Udp { payload, .. } => payload.len(),
            _ => 0,
        }
    }
}

fn is_first_of_udp(ip: &LaxIpv4Slice<'_>) -> bool {
    let header = ip.header();
    header.protocol() == IpNumber::UDP
        && header.more_fragments()
        && header.fragments_offset().value() == 0
}

impl<'a> Transport<'a> {
    /// The UDP header that a first fragment begins with.
    fn first(fragment: &'a [u8]) -> Self {
        let Some((header, payload)) = fragment.split_first_chunk() else { return Self::Other };
        let header = UdpHeader(*header);
        let [from, to] = [header.sport(), header.dport()].map(u16::from_be_bytes);
        Self::Udp { from, to, payload }
    }

    fn of(slice: &TransportSlice<'a>) -> Self {
        match slice {
            TransportSlice::Tcp(tcp) => {
                let mss = tcp.options_iterator().find_map(|option| match option {
                    Ok(TcpOptionElement::MaximumSegmentSize(mss)) => Some(mss),
                    _ => None,
                });
                Self::Tcp(Segment {
                    ports: [tcp.source_port(), tcp.destination_port()],
                    sequence: tcp.sequence_number(),
                    acknowledged: tcp.acknowledgment_number(),
                    flags: [tcp.syn(), tcp.ack()],
                    mss,
                    payload: tcp.payload().len(),
                })
            }
            TransportSlice::Udp(udp) => Self::Udp {
                from: udp.source_port(),
                to: udp.destination_port(),
                payload: udp.payload(),
            },
            TransportSlice::Icmpv4(message) => {
                let [_, _, high, low] = message.bytes5to8();
                let too_large = message.type_u8() == icmp::UNREACHABLE
                    && message.code_u8() == icmp::CODE_FRAGMENTATION_NEEDED;
                Self::Icmp {
                    kind: message.type_u8(),
                    code: message.code_u8(),
                    too_large: too_large.then(|| u16::from_be_bytes([high, low]).into()),
                    behind: message.payload(),
                }
            }
            TransportSlice::Icmpv6(message) => Self::Icmp {
                kind: message.type_u8(),
                code: message.code_u8(),
                too_large: (message.type_u8() == PACKET_TOO_BIG)
                    .then(|| u32::from_be_bytes(message.bytes5to8())),
                behind: message.payload(),
            },
            TransportSlice::Igmp(_) => Self::Other,
        }
    }
}

impl Arp {
    /// The ARP message in a frame, if it is one for IPv4 over Ethernet.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (ethertype, message) = (frame.get(12..14)?, frame.get(14..)?);
        let is_request = message.get(6..8)? == [0, 1];
        // An answer tells the sender's own addresses.
        let about: [u8; 4] = *message.get(if is_request { 24 } else { 14 }..)?.first_chunk()?;
        (ethertype == ARP).then_some(Self { is_request, about: about.into() })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    /// A datagram between two pods.
    pub fn datagram(from: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([10, 244, 1, 2], [10, 244, 2, 2], 64)
            .udp(from, 9);
        builder.write(&mut frame, payload).unwrap();
        frame
    }

    /// A frame inside a VXLAN packet between two nodes.
    pub fn encapsulated(port: u16, inner: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let payload = [&[8, 0, 0, 0, 0, 0, 1, 0], inner].concat();
        let builder = PacketBuilder::ethernet2([3; 6], [4; 6])
            .ipv4([172, 18, 0, 2], [172, 18, 0, 3], 64)
            .udp(port, 8472);
        builder.write(&mut frame, &payload).unwrap();
        frame
    }

    #[test]
    fn a_tunnelled_packet_keeps_its_identity() {
        let mut inner = datagram(4000, b"payload");
        let before = Packet::read(&inner).unwrap().identity();
        // The checksum is completed on the way.
        inner[40] ^= 0xff;
        let outer = encapsulated(50000, &inner);
        let (port, carried) = Packet::read(&outer).unwrap().tunnelled().unwrap();
        assert_eq!((port, carried), (50000, &inner[..]));
        assert_eq!(Packet::read(carried).unwrap().identity(), before);
        assert_ne!(Packet::read(&datagram(4000, b"other")).unwrap().identity(), before);
        assert_eq!(Packet::read(&inner).unwrap().tunnelled(), None);
    }

    #[test]
    fn the_mss_of_a_syn_is_read() {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv6([0xfd; 16], [0xfe; 16], 64)
            .tcp(4000, 80, 77, 1024)
            .syn()
            .options(&[TcpOptionElement::Noop, TcpOptionElement::MaximumSegmentSize(1410)])
            .unwrap()
            .write(&mut frame, &[])
            .unwrap();
        let Transport::Tcp(segment) = Packet::read(&frame).unwrap().transport else { panic!() };
        assert_eq!((segment.mss, segment.sequence), (Some(1410), 77));
        assert_eq!((segment.flags, segment.payload), ([true, false], 0));
    }

    #[test]
    fn the_mtu_of_an_icmp_error_is_read() {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([172, 18, 0, 2], [172, 18, 255, 10], 64)
            .icmpv4_raw(3, 4, [0, 0, 0x05, 0xaa])
            .write(&mut frame, &[0; 28])
            .unwrap();
        let behind = &[0; 28][..];
        let transport = Packet::read(&frame).unwrap().transport;
        assert_eq!(transport, Transport::Icmp { kind: 3, code: 4, too_large: Some(1450), behind });
        // An unreachable port tells no MTU.
        frame[35] = 3;
        let transport = Packet::read(&frame).unwrap().transport;
        assert_eq!(transport, Transport::Icmp { kind: 3, code: 3, too_large: None, behind });
    }

    /// What node-1 says about a frame to its sender, with so many bytes of its IP packet.
    pub fn error_about(frame: &[u8], [kind, code]: [u8; 2], mtu: u16, quote: usize) -> Vec<u8> {
        let mut error = Vec::new();
        let [high, low] = mtu.to_be_bytes();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([172, 18, 0, 2], [172, 18, 255, 10], 64)
            .icmpv4_raw(kind, code, [0, 0, high, low])
            .write(&mut error, &frame[14..][..quote])
            .unwrap();
        error
    }

    #[test]
    fn an_icmp_error_quotes_the_packet_that_it_is_about() {
        let about = datagram(4000, b"payload");
        // An IP header and eight bytes are all that has to be there (RFC 792).
        for quote in [28, about.len() - 14] {
            let error = error_about(&about, [3, 3], 0, quote);
            let packet = Packet::read(&error).unwrap();
            let quoted = packet.quoted().unwrap();
            assert_eq!(quoted.destination, IpAddr::from([10, 244, 2, 2]));
            assert!(
                matches!(quoted.transport, Transport::Udp { from: 4000, to: 9, .. }),
                "{quote}"
            );
        }
        // A ping brings its own back.
        let echo = error_about(&about, [0, 0], 0, 28);
        assert_eq!(Packet::read(&echo).unwrap().quoted(), None);
        assert_eq!(Packet::read(&about).unwrap().quoted(), None);
    }

    #[test]
    fn a_later_fragment_has_an_id_and_no_ports() {
        let mut header =
            etherparse::Ipv4Header::new(8, 64, IpNumber::UDP, [10, 0, 0, 1], [10, 0, 0, 2])
                .unwrap();
        header.identification = 0x1234;
        header.fragment_offset = etherparse::IpFragOffset::try_new(100).unwrap();
        let mut frame = [&[1; 6][..], &[2; 6], &[8, 0]].concat();
        header.write(&mut frame).unwrap();
        frame.extend([0; 8]);
        let packet = Packet::read(&frame).unwrap();
        assert_eq!((packet.id, packet.ip_payload), (0x1234, 8));
        assert_eq!(packet.transport, Transport::Other);
        assert_eq!(packet.identity(), None);
    }

    #[test]
    fn a_question_is_told_from_an_answer() {
        let frame = |operation: u8| {
            let addresses = [&[5; 6][..], &[172, 18, 1, 2], &[0; 6], &[172, 18, 2, 2]].concat();
            let head = [&[0xff; 6][..], &[5; 6], &ARP, &[0, 1, 8, 0, 6, 4, 0, operation]].concat();
            [head, addresses].concat()
        };
        let question = Arp { is_request: true, about: [172, 18, 2, 2].into() };
        assert_eq!(Arp::read(&frame(1)), Some(question));
        let answer = Arp { is_request: false, about: [172, 18, 1, 2].into() };
        assert_eq!(Arp::read(&frame(2)), Some(answer));
        assert_eq!(Arp::read(&datagram(1, b"")), None);
        assert_eq!(Arp::read(&frame(1)[..40]), None);
    }

    #[test]
    fn what_is_cut_off_is_no_packet() {
        let frame = datagram(1, b"x");
        assert!((0..34).all(|len| Packet::read(&frame[..len]).is_none()));
    }
}
