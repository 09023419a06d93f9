//! Packets built and checked by etherparse, which shares no code with the core.

use std::{
    net::{IpAddr, SocketAddr},
    string::{String, ToString as _},
    vec::Vec,
};

use etherparse::{
    Icmpv4Header, Icmpv4Slice, Icmpv4Type, IpNumber, Ipv4Header, Ipv4HeaderSlice, Ipv6Header,
    NetSlice, SlicedPacket, TcpHeader, TransportSlice, UdpHeader,
};

use crate::{
    flow::{Addr, FlowKey},
    wire::{
        eth::{self, EthHeader, Mac},
        tcp::{self, flags},
        udp,
    },
};

/// A TCP or UDP packet as a person would describe it; [`Self::bytes`] makes it real.
#[derive(Clone, Debug)]
pub struct Sketch {
    /// Source and destination MAC.
    pub macs: [Mac; 2],
    /// Sender; of the same family as `dst`.
    pub src: SocketAddr,
    /// Receiver.
    pub dst: SocketAddr,
    /// [`tcp::PROTOCOL`] or [`udp::PROTOCOL`].
    pub proto: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// TCP: flag bits.
    pub flags: u8,
    /// TCP: sequence and acknowledgement number.
    pub numbers: [u32; 2],
    /// TCP: window.
    pub window: u16,
    /// UDP over IPv4: whether the checksum field is filled.
    pub checksum: bool,
    /// IPv4: identification.
    pub identification: u16,
    /// IPv4: whether routers must not fragment.
    pub dont_fragment: bool,
    /// IPv4: options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// What the transport carries.
    pub payload: Vec<u8>,
}

impl Sketch {
    /// A segment with these [`flags`].
    #[must_use]
    pub const fn tcp(src: SocketAddr, dst: SocketAddr, flags: u8) -> Self {
        Self {
            macs: [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]],
            src,
            dst,
            proto: tcp::PROTOCOL,
            ttl: 64,
            flags,
            numbers: [1_000, 0],
            window: 1024,
            checksum: true,
            identification: 0x4e4c,
            dont_fragment: true,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// A datagram.
    #[must_use]
    pub fn udp(src: SocketAddr, dst: SocketAddr) -> Self {
        Self { proto: udp::PROTOCOL, payload: b"ping".to_vec(), ..Self::tcp(src, dst, 0) }
    }

    /// The same between other hosts of the link.
    #[must_use]
    pub fn macs(self, source: Mac, destination: Mac) -> Self {
        Self { macs: [source, destination], ..self }
    }

    /// The same with another TTL.
    #[must_use]
    pub fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    /// The same with another payload.
    #[must_use]
    pub fn payload(self, payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..self }
    }

    /// The same packet after translation and forwarding: other addresses and ports.
    #[must_use]
    pub fn readdressed(self, src: SocketAddr, dst: SocketAddr) -> Self {
        Self { src, dst, ..self }
    }

    /// The flow that it belongs to.
    #[must_use]
    pub fn flow(&self) -> FlowKey {
        FlowKey {
            src: Addr::from(self.src.ip()),
            dst: Addr::from(self.dst.ip()),
            sport: self.src.port().to_be_bytes(),
            dport: self.dst.port().to_be_bytes(),
            proto: self.proto,
            reserved: [0; 3],
        }
    }

    /// The Ethernet frame.
    ///
    /// # Panics
    ///
    /// Where the sketch describes no packet.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => self.over_v4(src.octets(), dst.octets()),
            (IpAddr::V6(src), IpAddr::V6(dst)) => self.over_v6(src.octets(), dst.octets()),
            _ => panic!("{} and {} are of different families", self.src, self.dst),
        }
    }

    fn over_v4(&self, src: [u8; 4], dst: [u8; 4]) -> Vec<u8> {
        let mut ip = Ipv4Header::new(0, self.ttl, IpNumber(self.proto), src, dst)
            .expect("an empty packet fits");
        ip.dont_fragment = self.dont_fragment;
        ip.identification = self.identification;
        ip.options = self.options.as_slice().try_into().expect("options fit");
        let transport = self.transport(|tcp, udp| match (tcp, udp) {
            (Some(tcp), _) => tcp.calc_checksum_ipv4(&ip, &self.payload),
            (_, Some(udp)) => udp.calc_checksum_ipv4(&ip, &self.payload),
            _ => Ok(0),
        });
        ip.set_payload_len(transport.len()).expect("the payload fits");
        ip.header_checksum = ip.calc_header_checksum();
        self.frame(eth::IPV4, &ip.to_bytes(), &transport)
    }

    fn over_v6(&self, src: [u8; 16], dst: [u8; 16]) -> Vec<u8> {
        let mut ip = Ipv6Header {
            hop_limit: self.ttl,
            next_header: IpNumber(self.proto),
            source: src,
            destination: dst,
            ..Ipv6Header::default()
        };
        let transport = self.transport(|tcp, udp| match (tcp, udp) {
            (Some(tcp), _) => tcp.calc_checksum_ipv6(&ip, &self.payload),
            (_, Some(udp)) => udp.calc_checksum_ipv6(&ip, &self.payload),
            _ => Ok(0),
        });
        ip.set_payload_length(transport.len()).expect("the payload fits");
        self.frame(eth::IPV6, &ip.to_bytes(), &transport)
    }

    /// Transport header and payload; `checksum` computes over one of the headers.
    fn transport<E: core::fmt::Debug>(
        &self,
        checksum: impl FnOnce(Option<&TcpHeader>, Option<&UdpHeader>) -> Result<u16, E>,
    ) -> Vec<u8> {
        let (sport, dport) = (self.src.port(), self.dst.port());
        let mut bytes = Vec::new();
        if self.proto == tcp::PROTOCOL {
            let mut header = TcpHeader::new(sport, dport, self.numbers[0], self.window);
            header.acknowledgment_number = self.numbers[1];
            header.syn = self.flags & flags::SYN != 0;
            header.ack = self.flags & flags::ACK != 0;
            header.fin = self.flags & flags::FIN != 0;
            header.rst = self.flags & flags::RST != 0;
            header.checksum = checksum(Some(&header), None).expect("the payload fits");
            bytes.extend_from_slice(&header.to_bytes());
        } else {
            let length = u16::try_from(UdpHeader::LEN + self.payload.len()).expect("fits");
            let mut header =
                UdpHeader { source_port: sport, destination_port: dport, length, checksum: 0 };
            if self.checksum {
                header.checksum = checksum(None, Some(&header)).expect("the payload fits");
            }
            bytes.extend_from_slice(&header.to_bytes());
        }
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    fn frame(&self, ethertype: u16, ip: &[u8], transport: &[u8]) -> Vec<u8> {
        let eth = EthHeader::new(self.macs[1], self.macs[0], ethertype);
        [&eth.0, ip, transport].concat()
    }
}

/// An ICMP error message over IPv4.
#[derive(Clone, Debug)]
pub struct ErrorSketch {
    /// Source and destination MAC.
    pub macs: [Mac; 2],
    /// Who reports.
    pub from: [u8; 4],
    /// To whom.
    pub to: [u8; 4],
    /// Time to live.
    pub ttl: u8,
    /// Type and code.
    pub kind: [u8; 2],
    /// The next-hop MTU, where the type has one.
    pub mtu: u16,
    /// IPv4: whether routers must not fragment.
    pub dont_fragment: bool,
    /// The packet that it is about, from its IP header on.
    pub quoted: Vec<u8>,
}

impl ErrorSketch {
    /// An error with a type and a code about a packet, given as a frame, of which it
    /// quotes `len` bytes behind a 20-byte IP header.
    #[must_use]
    pub fn about(frame: &[u8], len: usize, kind: [u8; 2], from: [u8; 4], to: [u8; 4]) -> Self {
        let end = frame.len().min(EthHeader::LEN + 20 + len);
        Self {
            macs: [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]],
            from,
            to,
            ttl: 64,
            kind,
            mtu: 0,
            dont_fragment: false,
            quoted: frame[EthHeader::LEN..end].to_vec(),
        }
    }

    /// The Ethernet frame.
    ///
    /// # Panics
    ///
    /// Where the quote is too long for a packet.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let [high, low] = self.mtu.to_be_bytes();
        let kind = Icmpv4Type::Unknown {
            type_u8: self.kind[0],
            code_u8: self.kind[1],
            bytes5to8: [0, 0, high, low],
        };
        let icmp = Icmpv4Header::with_checksum(kind, &self.quoted);
        let len = u16::try_from(8 + self.quoted.len()).expect("a quote is short");
        let mut ip = Ipv4Header::new(len, self.ttl, IpNumber::ICMP, self.from, self.to)
            .expect("a quote is short");
        ip.dont_fragment = self.dont_fragment;
        ip.header_checksum = ip.calc_header_checksum();
        let eth = EthHeader::new(self.macs[1], self.macs[0], eth::IPV4);
        [&eth.0[..], &ip.to_bytes(), &icmp.to_bytes(), &self.quoted].concat()
    }
}

/// Recomputes every checksum of a frame: IPv4, TCP, UDP, ICMP, and inside an ICMP
/// error those of what it quotes, as far as the quote reaches.
///
/// # Errors
///
/// Which one is wrong, or why the frame cannot be read.
pub fn verify(frame: &[u8]) -> Result<(), String> {
    let sliced = SlicedPacket::from_ethernet(frame).map_err(|error| error.to_string())?;
    match (&sliced.net, &sliced.transport) {
        (Some(NetSlice::Ipv4(ip)), transport) => {
            check(
                "IPv4",
                ip.header().header_checksum(),
                ip.header().to_header().calc_header_checksum(),
            )?;
            match transport {
                Some(TransportSlice::Icmpv4(icmp)) => verify_icmp(icmp),
                Some(transport) => verify_v4(&ip.header().to_header(), transport),
                None => Ok(()),
            }
        }
        (Some(NetSlice::Ipv6(ip)), Some(transport)) => {
            verify_v6(&ip.header().to_header(), transport)
        }
        _ => Err("neither IPv4 nor IPv6 with a transport".into()),
    }
}

fn verify_v4(ip: &Ipv4Header, transport: &TransportSlice<'_>) -> Result<(), String> {
    match transport {
        TransportSlice::Tcp(slice) => {
            let computed = slice.to_header().calc_checksum_ipv4(ip, slice.payload());
            check("TCP", slice.checksum(), computed.map_err(|error| error.to_string())?)
        }
        TransportSlice::Udp(slice) if slice.checksum() != 0 => {
            let computed = slice.to_header().calc_checksum_ipv4(ip, slice.payload());
            check("UDP", slice.checksum(), computed.map_err(|error| error.to_string())?)
        }
        _ => Ok(()),
    }
}

fn verify_v6(ip: &Ipv6Header, transport: &TransportSlice<'_>) -> Result<(), String> {
    match transport {
        TransportSlice::Tcp(slice) => {
            let computed = slice.to_header().calc_checksum_ipv6(ip, slice.payload());
            check("TCP", slice.checksum(), computed.map_err(|error| error.to_string())?)
        }
        TransportSlice::Udp(slice) => {
            let computed = slice.to_header().calc_checksum_ipv6(ip, slice.payload());
            check("UDP", slice.checksum(), computed.map_err(|error| error.to_string())?)
        }
        _ => Ok(()),
    }
}

fn verify_icmp(icmp: &Icmpv4Slice<'_>) -> Result<(), String> {
    let header = icmp.slice();
    // As it stands: some types' own shapes leave out bytes that they do not use.
    let kind = Icmpv4Type::Unknown {
        type_u8: header[0],
        code_u8: header[1],
        bytes5to8: [header[4], header[5], header[6], header[7]],
    };
    check("ICMP", icmp.checksum(), kind.calc_checksum(&header[8..]))?;
    // Every error has eight bytes in front of the packet that it quotes.
    let quoted = &icmp.slice()[8..];
    let Ok(header) = Ipv4HeaderSlice::from_slice(quoted) else {
        return Ok(());
    };
    let ip = header.to_header();
    check("quoted IPv4", ip.header_checksum, ip.calc_header_checksum())?;
    if quoted.len() < usize::from(ip.total_len) {
        return Ok(());
    }
    let whole = SlicedPacket::from_ip(quoted).map_err(|error| error.to_string())?;
    whole.transport.map_or(Ok(()), |transport| verify_v4(&ip, &transport))
}

fn check(what: &str, field: u16, computed: u16) -> Result<(), String> {
    if field == computed {
        return Ok(());
    }
    Err(std::format!("the {what} checksum is {field:#06x} instead of {computed:#06x}"))
}
