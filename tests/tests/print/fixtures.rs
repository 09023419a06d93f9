//! Bytes of headers, right or wrong as the corpus wants them.

use netlab_common::checksum::Sum;

pub const MACS: [u8; 12] = [0x02, 0x42, 0xac, 0x12, 0x00, 0x03, 0x02, 0x42, 0xac, 0x12, 0x00, 0x02];
pub const CLIENT: [u8; 4] = [172, 18, 0, 2];
pub const SERVER: [u8; 4] = [10, 244, 2, 3];
pub const CLIENT6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0x12, 0, 0, 0, 0, 0, 0, 0, 2];
pub const SERVER6: [u8; 16] = [0xfd, 0, 0, 0x10, 0x02, 0x44, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3];

/// A frame.
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&MACS[..], &ethertype.to_be_bytes(), payload].concat()
}

fn sum(sum: Sum, bytes: &[u8]) -> [u8; 2] {
    let pad = |pair: &[u8]| [pair[0], pair.get(1).copied().unwrap_or(0)];
    bytes.chunks(2).fold(sum, |sum, pair| sum.with(pad(pair))).checksum()
}

/// The 16 bits of a length.
pub fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("packets are short").to_be_bytes()
}

/// An IPv4 header, to be changed at will before [`Ipv4::packet`] completes it.
#[derive(Clone)]
pub struct Ipv4 {
    pub tos: u8,
    pub id: u16,
    /// Flags and offset.
    pub fragment: u16,
    pub ttl: u8,
    pub protocol: u8,
    pub source: [u8; 4],
    pub destination: [u8; 4],
    pub options: Vec<u8>,
}

impl Ipv4 {
    pub fn new(protocol: u8) -> Self {
        Self {
            tos: 0,
            id: 4711,
            fragment: 0x4000,
            ttl: 64,
            protocol,
            source: CLIENT,
            destination: SERVER,
            options: Vec::new(),
        }
    }

    pub fn header(&self, payload_len: usize) -> Vec<u8> {
        let header_len = 20 + self.options.len();
        let [a, b] = length(header_len + payload_len);
        let [id, fragment] = [self.id.to_be_bytes(), self.fragment.to_be_bytes()];
        let words = u8::try_from(header_len / 4).expect("headers are short");
        let mut header = vec![0x40 | words, self.tos, a, b, id[0], id[1], fragment[0], fragment[1]];
        header.extend([self.ttl, self.protocol, 0, 0]);
        header.extend(self.source.iter().chain(&self.destination).chain(&self.options));
        let checksum = sum(Sum::ZERO, &header);
        header[10..12].copy_from_slice(&checksum);
        header
    }

    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        [self.header(payload.len()), payload.to_vec()].concat()
    }

    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        ethernet(0x0800, &self.packet(payload))
    }

    fn pseudo(&self, len: usize) -> Sum {
        let sum = Sum::ZERO.with(self.source).with(self.destination).with([0, self.protocol]);
        sum.with(length(len))
    }

    /// `segment` with the right checksum at `at`.
    pub fn summed(&self, mut segment: Vec<u8>, at: usize) -> Vec<u8> {
        let checksum = sum(self.pseudo(segment.len()), &segment);
        segment[at..at + 2].copy_from_slice(&checksum);
        segment
    }
}

/// `message` with its checksum at `at`, where no pseudo header is part of it.
pub fn summed(mut message: Vec<u8>, at: usize) -> Vec<u8> {
    let checksum = sum(Sum::ZERO, &message);
    message[at..at + 2].copy_from_slice(&checksum);
    message
}

/// An IPv6 packet.
pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(length(payload.len()));
    header.extend([next, 64]);
    header.extend(CLIENT6.iter().chain(&SERVER6).chain(payload));
    header
}

/// `segment` with the right checksum over IPv6 at `at`.
pub fn summed6(next: u8, mut segment: Vec<u8>, at: usize) -> Vec<u8> {
    let [a, b] = length(segment.len());
    let pseudo = Sum::ZERO.with(CLIENT6).with(SERVER6).with([a, b, 0, next]);
    let checksum = sum(pseudo, &segment);
    segment[at..at + 2].copy_from_slice(&checksum);
    segment
}

/// A UDP datagram without a checksum.
pub fn udp(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let ports = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
    [&ports[..], &length(8 + payload.len()), &[0, 0], payload].concat()
}

/// A UDP datagram over IPv4, in a frame, with its checksum.
pub fn udp_frame(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let ip = Ipv4::new(17);
    ip.frame(&ip.summed(udp(sport, dport, payload), 6))
}

/// A TCP segment, to be changed at will.
#[derive(Clone)]
pub struct Tcp {
    pub sport: u16,
    pub dport: u16,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    pub urgent: u16,
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Tcp {
    pub fn new(flags: u8) -> Self {
        Self {
            sport: 40000,
            dport: 30080,
            seq: 1000,
            ack: 5000,
            flags,
            window: 502,
            urgent: 0,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 1);
        let words = u8::try_from(5 + options.len() / 4).expect("headers are short");
        let mut bytes = [self.sport.to_be_bytes(), self.dport.to_be_bytes()].concat();
        bytes.extend([self.seq.to_be_bytes(), self.ack.to_be_bytes()].concat());
        bytes.extend([words << 4, self.flags]);
        bytes.extend([self.window.to_be_bytes(), [0, 0], self.urgent.to_be_bytes()].concat());
        bytes.extend(options.iter().chain(&self.payload));
        bytes
    }

    /// Over IPv4, with its checksum.
    pub fn frame(&self) -> Vec<u8> {
        let ip = Ipv4::new(6);
        ip.frame(&ip.summed(self.bytes(), 16))
    }

    /// The answer's direction.
    pub fn reply(&self) -> Vec<u8> {
        let mut ip = Ipv4::new(6);
        std::mem::swap(&mut ip.source, &mut ip.destination);
        let mut tcp = self.clone();
        std::mem::swap(&mut tcp.sport, &mut tcp.dport);
        ip.frame(&ip.summed(tcp.bytes(), 16))
    }
}
