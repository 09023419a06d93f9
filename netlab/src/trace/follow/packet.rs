//! What a packet says of itself: what stays the same on its way, and what does not.
//!
//! Law: reading never fails. What cannot be read, because it is cut off or not IP, becomes
//! [`Transport::Other`], which is compared by its bytes.

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket};
use netlab_common::flow::{Addr, FlowKey};

use super::{
    neighbor::Neighbor,
    transport::{self, Transport},
};

/// Most bytes of a payload that are kept for comparison.
const KEPT: usize = 64;
/// Header lengths.
const ETHERNET: usize = 14;
/// RFC 7348, section 5.
const VXLAN: usize = 8;
const UDP: usize = 8;
/// VXLAN in VXLAN in VXLAN is nobody's overlay.
const DEPTH: u8 = 2;

/// A packet, as far as its copies have to be told from other packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// Its own addresses and ports, inside of any VXLAN; None where it is not IP.
    pub flow: Option<FlowKey>,
    /// The VXLAN packet that it was in.
    pub tunnel: Option<(u32, Addr, Addr)>,
    /// Whether its Ethernet address is that of a group: it is for several, or for all.
    pub group: bool,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4 identification; zero where there is none.
    pub id: u16,
    /// What stays the same.
    pub transport: Transport,
    /// First bytes behind the transport header.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Reads a frame. `wire_len` is its length before it was cut.
    pub fn read(frame: &[u8], wire_len: u32, vxlan_ports: &[u16]) -> Self {
        Self::read_frame(frame, wire_len as usize, vxlan_ports, DEPTH)
    }

    fn read_frame(frame: &[u8], wire_len: usize, vxlan_ports: &[u16], depth: u8) -> Self {
        let network = LaxSlicedPacket::from_ethernet(frame).ok().and_then(|sliced| sliced.net);
        if let Some(LaxNetSlice::Arp(arp)) = &network
            && let Some(neighbor) = Neighbor::of_arp(arp)
        {
            let transport = Transport::Neighbor(neighbor);
            return Self { transport, payload: kept(arp.slice()), ..Self::opaque(frame, wire_len) };
        }
        let read = network.and_then(|network| Ip::of(&network, frame, wire_len));
        let Some(ip) = read else { return Self::opaque(frame, wire_len) };
        let group = is_group(frame);
        if depth > 0
            && let Some(inner) = ip.vxlan(vxlan_ports, depth)
        {
            return inner;
        }
        Self { group, ..ip.packet() }
    }

    /// The flow that names the connection: of an ICMP error that of the packet it quotes,
    /// reversed, as that is the way it goes; of who asks for an address, or is told, from him to
    /// the address. What is not IP otherwise is all in one.
    pub fn connection(&self) -> FlowKey {
        let told = match &self.transport {
            Transport::Error(error) => error.quoted.map(FlowKey::reverse),
            Transport::Neighbor(neighbor) => Some(neighbor.flow(self.flow)),
            _ => None,
        };
        told.or(self.flow).unwrap_or_default()
    }

    /// Not IP, or not readable: the bytes behind the Ethernet addresses, which a bridge keeps.
    fn opaque(frame: &[u8], wire_len: usize) -> Self {
        let ether_type = frame.get(12..ETHERNET).and_then(|bytes| bytes.first_chunk());
        let ether_type = EtherType(ether_type.map_or(0, |bytes| u16::from_be_bytes(*bytes)));
        Self {
            flow: None,
            tunnel: None,
            group: is_group(frame),
            ttl: 0,
            id: 0,
            transport: Transport::Other {
                protocol: None,
                name: (ether_type == EtherType::ARP).then_some("ARP"),
                len: wire_len.saturating_sub(ETHERNET),
            },
            payload: kept(frame.get(12..).unwrap_or_default()),
        }
    }
}

/// An IP header, and what is behind it.
struct Ip<'a> {
    src: Addr,
    dst: Addr,
    protocol: u8,
    ttl: u8,
    id: u16,
    /// In bytes; None of a packet that is whole, or a first fragment.
    later_fragment: Option<usize>,
    /// Behind the IP header and its extensions, as captured.
    payload: &'a [u8],
    /// The same, on the wire.
    payload_len: usize,
}

impl<'a> Ip<'a> {
    fn of(network: &LaxNetSlice<'a>, frame: &'a [u8], wire_len: usize) -> Option<Self> {
        let payload = network.ip_payload_ref()?;
        // What stands between the start of the frame and the payload.
        let before = (payload.payload.as_ptr() as usize).checked_sub(frame.as_ptr() as usize)?;
        let on_wire = wire_len.saturating_sub(before);
        let (src, dst, ttl, id, announced, offset) = match network {
            LaxNetSlice::Ipv4(v4) => {
                let header = v4.header();
                let behind = usize::from(header.total_len()).checked_sub(header.slice().len());
                (
                    Addr::v4(header.source()),
                    Addr::v4(header.destination()),
                    header.ttl(),
                    header.identification(),
                    behind,
                    header.fragments_offset().byte_offset(),
                )
            }
            LaxNetSlice::Ipv6(v6) => {
                let header = v6.header();
                let extensions = v6.extensions().slice();
                let offset = fragment_offset(v6.extensions());
                (
                    Addr(header.source()),
                    Addr(header.destination()),
                    header.hop_limit(),
                    0,
                    usize::from(header.payload_length()).checked_sub(extensions.len()),
                    offset,
                )
            }
            LaxNetSlice::Arp(_) => return None,
        };
        // The length field is zero in segments beyond 64 KB, and wrong in broken packets;
        // it is smaller than the frame where that is padded.
        let payload_len = announced.filter(|len| *len > 0).map_or(on_wire, |len| len.min(on_wire));
        Some(Self {
            src,
            dst,
            protocol: payload.ip_number.0,
            ttl,
            id,
            later_fragment: (offset > 0).then_some(usize::from(offset)),
            payload: payload.payload,
            payload_len,
        })
    }

    /// The packet inside, if this is VXLAN.
    fn vxlan(&self, ports: &[u16], depth: u8) -> Option<Packet> {
        const UDP_NUMBER: u8 = 17;
        if self.protocol != UDP_NUMBER || self.later_fragment.is_some() {
            return None;
        }
        let (_, destination) = transport::ports(self.payload)?;
        if !ports.contains(&u16::from_be_bytes(destination)) {
            return None;
        }
        let header: [u8; VXLAN] = *self.payload.get(UDP..)?.first_chunk()?;
        let [flags, _, _, _, a, b, c, _] = header;
        if flags & 0x08 == 0 {
            return None;
        }
        let frame = self.payload.get(UDP + VXLAN..).filter(|frame| frame.len() >= ETHERNET)?;
        let length = self.payload_len.saturating_sub(UDP + VXLAN);
        let mut inner = Packet::read_frame(frame, length, ports, depth - 1);
        inner.tunnel = Some((u32::from_be_bytes([0, a, b, c]), self.src, self.dst));
        Some(inner)
    }

    fn packet(&self) -> Packet {
        let (transport, header, ports) = match self.later_fragment {
            Some(offset) => (
                Transport::Fragment { protocol: self.protocol, offset, len: self.payload_len },
                0,
                None,
            ),
            None => transport::read(self.protocol, self.payload, self.payload_len),
        };
        let (sport, dport) = ports.unwrap_or_default();
        Packet {
            flow: Some(FlowKey {
                src: self.src,
                dst: self.dst,
                sport,
                dport,
                proto: self.protocol,
                reserved: [0; 3],
            }),
            tunnel: None,
            group: false,
            ttl: self.ttl,
            id: self.id,
            transport,
            payload: kept(self.payload.get(header..).unwrap_or_default()),
        }
    }
}

/// Flow and IPv4 identification of a packet that an ICMP error quotes, and its bytes behind
/// the IP header.
pub(super) fn quoted(bytes: &[u8]) -> Option<(FlowKey, u16, &[u8])> {
    let network = LaxSlicedPacket::from_ip(bytes).ok()?.net?;
    let ip = Ip::of(&network, bytes, bytes.len())?;
    let (sport, dport) = match ip.protocol {
        6 | 17 if ip.later_fragment.is_none() => transport::ports(ip.payload)?,
        1 | 58 => transport::echo_id(ip.protocol, ip.payload).map(|id| (id, id))?,
        _ => ([0; 2], [0; 2]),
    };
    let flow =
        FlowKey { src: ip.src, dst: ip.dst, sport, dport, proto: ip.protocol, reserved: [0; 3] };
    Some((flow, ip.id, ip.payload))
}

fn fragment_offset(extensions: &etherparse::Ipv6ExtensionsSlice<'_>) -> u16 {
    extensions
        .clone()
        .into_iter()
        .find_map(|extension| match extension {
            etherparse::Ipv6ExtensionSlice::Fragment(fragment) => {
                Some(fragment.fragment_offset().byte_offset())
            }
            _ => None,
        })
        .unwrap_or(0)
}

/// IEEE 802, section 8.2.2: the lowest bit of the first octet.
fn is_group(frame: &[u8]) -> bool {
    frame.first().is_some_and(|octet| octet & 1 != 0)
}

fn kept(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().take(KEPT).copied().collect()
}
