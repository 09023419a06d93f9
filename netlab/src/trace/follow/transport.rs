//! Transport headers, as far as they stay the same on a packet's way.

use std::fmt;

use netlab_common::flow::FlowKey;

use super::{neighbor::Neighbor, packet};

/// IP protocol numbers (IANA).
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// TCP flags (RFC 9293, section 3.1).
pub(super) mod flag {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const ACK: u8 = 16;
}

/// Ports as they stand in the packet.
pub(super) type Ports = ([u8; 2], [u8; 2]);

/// What stays the same of a packet, by its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp(Segment),
    Udp {
        /// Of the payload.
        len: usize,
    },
    /// Ping: its number changes as ports do, its sequence does not.
    Echo {
        reply: bool,
        sequence: u16,
        len: usize,
    },
    Error(Error),
    /// Who has an address.
    Neighbor(Neighbor),
    /// A fragment other than the first.
    Fragment {
        protocol: u8,
        offset: usize,
        len: usize,
    },
    /// Anything else; no protocol: not IP.
    Other {
        protocol: Option<u8>,
        /// What it is, if that has a name.
        name: Option<&'static str>,
        len: usize,
    },
}

impl Transport {
    /// Whether it opens a connection.
    pub fn opens(&self) -> bool {
        match self {
            Self::Tcp(segment) => segment.has(flag::SYN) && !segment.has(flag::ACK),
            Self::Neighbor(neighbor) => neighbor.asks(),
            _ => false,
        }
    }
}

/// A TCP segment, or several that an offload holds as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    /// Of the payload.
    pub len: u32,
    /// TSval and TSecr (RFC 7323): the same in all parts of a segment that was split, other
    /// in a retransmission.
    pub timestamps: Option<(u32, u32)>,
}

impl Segment {
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The acknowledgment number that confirms all of it.
    pub const fn end(&self) -> u32 {
        let flags = self.has(flag::SYN) as u32 + self.has(flag::FIN) as u32;
        self.seq.wrapping_add(self.len).wrapping_add(flags)
    }

    /// Whether the other side has to acknowledge it.
    pub const fn asks(&self) -> bool {
        self.end() != self.seq
    }
}

/// An ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Error {
    pub v6: bool,
    pub kind: u8,
    pub code: u8,
    /// Flow of the packet that it is about, as that was when the error arose.
    pub quoted: Option<FlowKey>,
    /// That packet's IPv4 identification.
    pub id: u16,
    /// That packet's TCP sequence number, or UDP length.
    pub mark: u32,
}

/// Reads the header of a protocol: what stays the same, the header's length, and the ports
/// if there are any. A ping's number stands for both ports.
pub(super) fn read(protocol: u8, bytes: &[u8], len: usize) -> (Transport, usize, Option<Ports>) {
    let found = match protocol {
        TCP => tcp(bytes, len),
        UDP => {
            let body = bytes.get(4..6).map(|_| len.saturating_sub(8));
            body.map(|len| (Transport::Udp { len }, 8, ports(bytes)))
        }
        ICMP | ICMPV6 => icmp(protocol, bytes, len),
        _ => None,
    };
    found.unwrap_or_else(|| {
        let ports = if matches!(protocol, TCP | UDP) { ports(bytes) } else { None };
        let name = if protocol == ICMPV6 { bytes.first().and_then(discovery) } else { None };
        (Transport::Other { protocol: Some(protocol), name, len }, 0, ports)
    })
}

/// Source and destination port, the first of either header.
pub(super) fn ports(bytes: &[u8]) -> Option<Ports> {
    let [a, b, c, d] = *bytes.first_chunk()?;
    Some(([a, b], [c, d]))
}

/// The number of a ping.
pub(super) fn echo_id(protocol: u8, bytes: &[u8]) -> Option<[u8; 2]> {
    let [kind, _, _, _, a, b] = *bytes.first_chunk()?;
    let echo = matches!((protocol, kind), (ICMP, 0 | 8) | (ICMPV6, 128 | 129));
    echo.then_some([a, b])
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn tcp(bytes: &[u8], len: usize) -> Option<(Transport, usize, Option<Ports>)> {
    let [.., offset, flags]: [u8; 14] = *bytes.first_chunk()?;
    let header = usize::from(offset >> 4) * 4;
    let options = bytes.get(20..header.clamp(20, bytes.len().max(20))).unwrap_or_default();
    let segment = Segment {
        seq: number(bytes, 4)?,
        ack: number(bytes, 8)?,
        flags,
        len: u32::try_from(len.saturating_sub(header)).unwrap_or(u32::MAX),
        timestamps: timestamps(options),
    };
    Some((Transport::Tcp(segment), header, ports(bytes)))
}

/// TSval and TSecr among the options (RFC 7323, section 3.2).
fn timestamps(mut options: &[u8]) -> Option<(u32, u32)> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const TIMESTAMPS: u8 = 8;
    loop {
        let (kind, rest) = options.split_first()?;
        match *kind {
            END => return None,
            NO_OPERATION => options = rest,
            TIMESTAMPS => return Some((number(rest, 1)?, number(rest, 5)?)),
            _ => {
                let len = usize::from(*rest.first()?).max(2);
                options = options.get(len..)?;
            }
        }
    }
}

fn icmp(protocol: u8, bytes: &[u8], len: usize) -> Option<(Transport, usize, Option<Ports>)> {
    const HEADER: usize = 8;
    let [kind, code, _, _, _, _, s, t]: [u8; HEADER] = *bytes.first_chunk()?;
    if let Some(id) = echo_id(protocol, bytes) {
        let reply = matches!(kind, 0 | 129);
        let sequence = u16::from_be_bytes([s, t]);
        let len = len.saturating_sub(HEADER);
        return Some((Transport::Echo { reply, sequence, len }, HEADER, Some((id, id))));
    }
    let v6 = protocol == ICMPV6;
    if let Some(neighbor) = v6.then(|| Neighbor::of_icmpv6(bytes)).flatten() {
        return Some((Transport::Neighbor(neighbor), 0, None));
    }
    let is_error = if v6 { kind < 128 } else { matches!(kind, 3 | 4 | 5 | 11 | 12) };
    if !is_error {
        return None;
    }
    let quote = packet::quoted(bytes.get(HEADER..)?);
    let mark = quote.and_then(|(flow, _, rest)| match flow.proto {
        TCP => number(rest, 4),
        UDP => Some(number(rest, 4)? >> 16),
        _ => None,
    });
    let error = Error {
        v6,
        kind,
        code,
        quoted: quote.map(|(flow, ..)| flow),
        id: quote.map_or(0, |(_, id, _)| id),
        mark: mark.unwrap_or(0),
    };
    // The quote is translated on the way, and is no payload.
    Some((Transport::Error(error), bytes.len(), None))
}

/// Neighbor discovery and multicast listeners (RFC 4861, RFC 3810).
fn discovery(kind: &u8) -> Option<&'static str> {
    Some(match kind {
        133 => "ICMPv6 router solicitation",
        134 => "ICMPv6 router advertisement",
        135 => "ICMPv6 neighbor solicitation",
        136 => "ICMPv6 neighbor advertisement",
        143 => "ICMPv6 multicast listener report",
        _ => return None,
    })
}

/// A protocol's name, or its number.
pub(super) fn protocol_name(protocol: u8) -> String {
    match protocol {
        ICMP => "ICMP".into(),
        TCP => "TCP".into(),
        UDP => "UDP".into(),
        ICMPV6 => "ICMPv6".into(),
        other => format!("IP protocol {other}"),
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(segment) => segment.fmt(f),
            Self::Udp { len } => write!(f, "UDP {}", octets(*len)),
            Self::Echo { reply, sequence, .. } => {
                let what = if *reply { "reply" } else { "request" };
                write!(f, "ICMP echo {what} {sequence}")
            }
            Self::Error(error) => error.fmt(f),
            Self::Neighbor(neighbor) => neighbor.fmt(f),
            Self::Fragment { protocol, offset, len } => {
                write!(f, "{} fragment, {} at {offset}", protocol_name(*protocol), octets(*len))
            }
            Self::Other { name: Some(name), .. } => f.write_str(name),
            Self::Other { protocol: Some(protocol), len, .. } => {
                write!(f, "{} {}", protocol_name(*protocol), octets(*len))
            }
            Self::Other { protocol: None, len, .. } => write!(f, "{}, not IP", octets(*len)),
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TCP")?;
        let mut separator = " ";
        for (bit, name) in [(flag::SYN, "SYN"), (flag::FIN, "FIN"), (flag::RST, "RST")] {
            if self.has(bit) {
                write!(f, "{separator}{name}")?;
                separator = "-";
            }
        }
        // Nearly every segment acknowledges; it is worth a word where that is all it does.
        if self.has(flag::ACK) && (self.has(flag::SYN) || !self.asks() && separator == " ") {
            write!(f, "{separator}ACK")?;
        }
        if self.len > 0 {
            write!(f, " {}", octets(self.len as usize))?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&error_name(self.v6, self.kind, self.code))
    }
}

/// What people call an ICMP error, by its type and code (RFC 792, RFC 1191, RFC 1812; RFC 4443).
pub(crate) fn error_name(v6: bool, kind: u8, code: u8) -> String {
    let protocol = protocol_name(if v6 { ICMPV6 } else { ICMP });
    let name = match (v6, kind, code) {
        (false, 3, 0) => "net unreachable",
        (false, 3, 1) => "host unreachable",
        (false, 3, 2) => "protocol unreachable",
        (false, 3, 3) | (true, 1, 4) => "port unreachable",
        (false, 3, 4) => "fragmentation needed",
        (false, 3, 9 | 10 | 13) | (true, 1, 1) => "administratively prohibited",
        (true, 1, 0) => "no route",
        (true, 1, 3) => "address unreachable",
        (true, 2, _) => "packet too big",
        (false, 11, 0) | (true, 3, 0) => "time exceeded",
        (false, 11, _) | (true, 3, _) => "reassembly time exceeded",
        (false, 5, _) => "redirect",
        (false, 12, _) | (true, 4, _) => "parameter problem",
        (_, kind, code) => return format!("{protocol} type {kind} code {code}"),
    };
    format!("{protocol} {name}")
}

fn octets(len: usize) -> String {
    if len == 1 { "1 byte".into() } else { format!("{len} bytes") }
}
