//! What IPv4 and IPv6 share: addresses, the header as the protocols above see it, and which
//! protocol prints what follows it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use netlab_common::checksum::Sum;

use super::{
    ethernet, icmp, icmp6, igmp, ipv4, ipv4_options, ipv6,
    line::{Line, Printed, Truncated, take, u8_at},
    names::Transport,
    tcp, udp,
};

/// IP protocol numbers.
pub(super) mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const IGMP: u8 = 2;
    pub const IPV4: u8 = 4;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const IPV6: u8 = 41;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const NONE: u8 = 59;
    pub const DESTINATION: u8 = 60;
    pub const MOBILITY: u8 = 135;
    pub const ETHERNET: u8 = 143;

    /// Whether a protocol prints the addresses itself, beside its ports.
    pub const fn prints_addresses(number: u8) -> bool {
        matches!(number, TCP | UDP)
    }
}

/// An address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Address {
    /// IPv4.
    V4([u8; 4]),
    /// IPv6.
    V6([u8; 16]),
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        match address {
            Address::V4(octets) => octets.into(),
            Address::V6(octets) => octets.into(),
        }
    }
}

/// In numbers, as tcpdump writes them: IPv6 as RFC 5952 does, but with IPv4 in the last four
/// bytes also without `ffff` in front of it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = match *self {
            Self::V4(octets) => return Ipv4Addr::from(octets).fmt(f),
            Self::V6(octets) => octets,
        };
        let address = Ipv6Addr::from(octets);
        match address.segments() {
            [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
                let [.., a, b, c, d] = octets;
                write!(f, "::{a}.{b}.{c}.{d}")
            }
            _ => address.fmt(f),
        }
    }
}

impl Line<'_> {
    /// An address, or its name.
    pub fn address(&mut self, address: Address) {
        if !self.options.numeric
            && let Some(name) = self.state.names.host(address)
        {
            // Borrowed from the state, which `text` needs.
            let name = name.to_owned();
            return self.text(&name);
        }
        self.push(format_args!("{address}"));
    }

    /// A port, or its name.
    pub fn port(&mut self, transport: Transport, port: u16) {
        if !self.options.numeric
            && let Some(name) = self.state.names.service(transport, port)
        {
            let name = name.to_owned();
            return self.text(&name);
        }
        self.push(format_args!("{port}"));
    }
}

/// The IP header in front of a protocol, for its pseudo header and its line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pseudo<'a> {
    /// From the header on; the whole header without options was captured.
    header: &'a [u8],
    pub source: Address,
    pub destination: Address,
    /// What the header says that follows it: for IPv6 perhaps an extension header.
    next: u8,
    /// Whether the packet is the first fragment of several: nothing can be summed up.
    pub fragmented: bool,
}

impl<'a> Pseudo<'a> {
    /// Of an IPv4 header.
    pub fn v4(header: &'a [u8], fragmented: bool) -> Result<Self, Truncated> {
        let (source, destination) =
            (Address::V4(take(header, 12)?), Address::V4(take(header, 16)?));
        Ok(Self { header, source, destination, next: u8_at(header, 9)?, fragmented })
    }

    /// Of an IPv6 header.
    pub fn v6(header: &'a [u8], fragmented: bool) -> Result<Self, Truncated> {
        let (source, destination) = (Address::V6(take(header, 8)?), Address::V6(take(header, 24)?));
        Ok(Self { header, source, destination, next: u8_at(header, 6)?, fragmented })
    }

    /// Whether this is IPv4.
    pub const fn is_v4(&self) -> bool {
        matches!(self.source, Address::V4(_))
    }

    /// `source > destination: `.
    pub fn print_addresses(&self, line: &mut Line<'_>) {
        line.address(self.source);
        line.text(" > ");
        line.address(self.destination);
        line.text(": ");
    }

    /// [`Self::print_addresses`], unless an extension header stands in between, which has
    /// printed them.
    pub fn print_addresses_of(&self, line: &mut Line<'_>, protocol: u8) {
        if self.next == protocol {
            self.print_addresses(line);
        }
    }

    /// `source.port > destination.port: `, without the addresses where an extension header
    /// stands in between, which has printed them.
    pub fn print_ports(&self, line: &mut Line<'_>, transport: Transport, sport: u16, dport: u16) {
        let number = match transport {
            Transport::Tcp => protocol::TCP,
            Transport::Udp => protocol::UDP,
        };
        let addresses = self.next == number;
        if addresses {
            line.address(self.source);
            line.text(".");
        }
        line.port(transport, sport);
        line.text(" > ");
        if addresses {
            line.address(self.destination);
            line.text(".");
        }
        line.port(transport, dport);
        line.text(": ");
    }

    /// The checksum over the pseudo header (RFC 9293, section 3.1; RFC 8200, section 8.1) and
    /// the first `length` bytes, all of which were captured: zero where it is right.
    pub fn checksum(&self, bytes: &[u8], length: usize, next: u8) -> Result<u16, Truncated> {
        let covered = bytes.get(..length).ok_or(Truncated)?;
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        let pseudo = match self.source {
            Address::V4(source) => {
                let destination = ipv4_options::last_destination(self.header)?;
                Sum::ZERO.with(source).with(destination).with([length[2], length[3]])
            }
            Address::V6(source) => {
                Sum::ZERO.with(source).with(ipv6::last_destination(self.header)?).with(length)
            }
        };
        Ok(checksum(pseudo.with([0, next]), covered))
    }
}

/// The Internet checksum of `bytes` (RFC 1071), which may be odd, on top of `sum`.
pub(super) fn checksum(sum: Sum, bytes: &[u8]) -> u16 {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let sum = pairs.iter().fold(sum, |sum, pair| sum.with(*pair));
    let sum = odd.iter().fold(sum, |sum, byte| sum.with([*byte, 0]));
    u16::from_be_bytes(sum.checksum())
}

/// What the checksum field `found` should have held, where the sum over all gave `computed`.
pub(super) fn expected(found: u16, computed: u16) -> u16 {
    let sum = Sum::ZERO.with(found.to_be_bytes()).with(computed.to_be_bytes());
    u16::from_be_bytes(sum.folded())
}

/// An IP packet whose version is not known: IPv4 or IPv6.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.protocol("ipn");
    if length < 1 {
        line.push(format_args!("truncated-ip {length}"));
        return Ok(());
    }
    match u8_at(bytes, 0)? >> 4 {
        4 => ipv4::print(line, bytes, length),
        6 => ipv6::print(line, bytes, length),
        version => {
            line.push(format_args!("unknown ip {version}"));
            Ok(())
        }
    }
}

/// What follows the IP headers. `length` is what they say of it.
pub(super) fn print_payload(
    line: &mut Line<'_>,
    next: u8,
    bytes: &[u8],
    length: usize,
    ip: &Pseudo<'_>,
) -> Printed {
    let v4 = ip.is_v4();
    match next {
        protocol::TCP => tcp::print(line, bytes, length, ip),
        protocol::UDP => udp::print(line, bytes, length, ip),
        protocol::ICMP if v4 => icmp::print(line, bytes, length, ip.fragmented, &mut ipv4::print),
        protocol::ICMPV6 if !v4 => icmp6::print(line, bytes, length, ip),
        protocol::ICMP | protocol::IGMP if !v4 => wrong_version(line, next, "IPv4"),
        protocol::ICMPV6 => wrong_version(line, next, "IPv6"),
        protocol::ETHERNET if v4 => wrong_version(line, next, "IPv6"),
        protocol::ETHERNET => ethernet::print(line, bytes, length).map(drop),
        protocol::IGMP => igmp::print(line, bytes, length),
        protocol::IPV4 => ipv4::print(line, bytes, length),
        protocol::IPV6 => ipv6::print(line, bytes, length),
        protocol::NONE => {
            line.text("no next header");
            Ok(())
        }
        _ => {
            line.push(format_args!(" ip-proto-{next} {length}"));
            Ok(())
        }
    }
}

fn wrong_version(line: &mut Line<'_>, next: u8, version: &str) -> Printed {
    let name = super::numbers::name(super::numbers::IP_PROTOCOLS, next).unwrap_or("unknown");
    line.push(format_args!("[{name} requires {version}]"));
    line.invalid();
    Ok(())
}
