//! ICMP for IPv4 (RFC 792; router discovery: RFC 1256; extensions: RFC 4884).

mod extension;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::Ipv4Addr;

use netlab_common::wire::{icmp, tcp, udp};

use super::line::{Line, Printed, Truncated, take};
use super::notation::{sum, wrong};

const ECHO_REPLY: u8 = 0;
const ECHO: u8 = 8;
const ROUTER_ADVERTISEMENT: u8 = 9;
const TIMESTAMP: u8 = 13;
const TIMESTAMP_REPLY: u8 = 14;
const MASK_REPLY: u8 = 18;

/// Where the quoted packet begins, and what of it is looked at.
const QUOTED: usize = icmp::IcmpHeader::LEN;
const QUOTED_LENGTH: usize = QUOTED + 2;
const QUOTED_PROTOCOL: usize = QUOTED + 9;
const QUOTED_DESTINATION: usize = QUOTED + 16;

/// Prints a message. The checksum of a fragment is not looked at.
///
/// `quoted` prints the IP packet, of the bytes and the length it is given, that an error
/// quotes; it marks where that was cut short, and fails if nothing may follow the mark.
pub(super) fn print(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
    fragmented: bool,
    quoted: &mut dyn FnMut(&mut Line<'_>, &[u8], usize) -> Printed,
) -> Printed {
    let [kind, code] = take(bytes, 0)?;
    let message = message(bytes, kind, code)?;
    line.push(format_args!("ICMP {message}, length {length}"));
    if line.options.verbose == 0 {
        return Ok(());
    }
    if let Some(covered) = bytes.get(..length).filter(|_| !fragmented) {
        let field = take(bytes, icmp::IcmpHeader::AT_CHECKSUM)?;
        if let Some(expected) = wrong(field, sum(covered)) {
            let field = u16::from_be_bytes(field);
            line.push(format_args!(" (wrong icmp cksum {field:x} (->{expected:x})!)"));
        }
    }
    if matches!(
        kind,
        icmp::UNREACHABLE
            | icmp::SOURCE_QUENCH
            | icmp::REDIRECT
            | icmp::TIME_EXCEEDED
            | icmp::PARAMETER_PROBLEM
    ) {
        line.push(format_args!("\n\t"));
        let quoted_length = usize::from(u16::from_be_bytes(take(bytes, QUOTED_LENGTH)?));
        // The packet is read no further than it says to reach, since extensions may follow;
        // one that does not reach to its length is not read at all.
        if quoted_length < 4 {
            return Err(Truncated);
        }
        let rest = bytes.get(QUOTED..).unwrap_or_default();
        let rest = rest.get(..quoted_length).unwrap_or(rest);
        if quoted(line, rest, quoted_length).is_err() {
            return Ok(());
        }
    }
    if matches!(kind, icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM) {
        extension::print(line, bytes, length)?;
    }
    Ok(())
}

/// What a message says.
fn message(bytes: &[u8], kind: u8, code: u8) -> Result<String, Truncated> {
    let word = |at| take(bytes, at).map(u16::from_be_bytes);
    Ok(match kind {
        ECHO | ECHO_REPLY => {
            let name = if kind == ECHO { "request" } else { "reply" };
            format!("echo {name}, id {}, seq {}", word(4)?, word(6)?)
        }
        icmp::UNREACHABLE => unreachable(bytes, code)?,
        icmp::REDIRECT => {
            let destination = address(bytes, QUOTED_DESTINATION)?;
            let gateway = address(bytes, 4)?;
            match code {
                0 => format!("redirect {destination} to net {gateway}"),
                1 => format!("redirect {destination} to host {gateway}"),
                2 => format!("redirect-tos {destination} to net {gateway}"),
                3 => format!("redirect-tos {destination} to host {gateway}"),
                _ => format!("redirect-#{code} {destination} to {gateway}"),
            }
        }
        ROUTER_ADVERTISEMENT => router_advertisement(bytes)?,
        icmp::TIME_EXCEEDED => {
            address(bytes, QUOTED_DESTINATION)?;
            match code {
                0 => "time exceeded in-transit".into(),
                1 => "ip reassembly time exceeded".into(),
                _ => format!("time exceeded-#{code}"),
            }
        }
        icmp::PARAMETER_PROBLEM if code == 0 => {
            let [octet] = take(bytes, 4)?;
            format!("parameter problem - octet {octet}")
        }
        icmp::PARAMETER_PROBLEM => format!("parameter problem - code {code}"),
        MASK_REPLY => {
            format!("address mask is 0x{:08x}", u32::from_be_bytes(take(bytes, 8)?))
        }
        TIMESTAMP => format!("time stamp query id {} seq {}", word(4)?, word(6)?),
        TIMESTAMP_REPLY => {
            let time = |at| take(bytes, at).map(|ms| TimeOfDay(u32::from_be_bytes(ms)));
            let (id, seq) = (word(4)?, word(6)?);
            let (original, received, sent) = (time(8)?, time(12)?, time(16)?);
            format!(
                "time stamp reply id {id} seq {seq}: org {original}, recv {received}, xmit {sent}"
            )
        }
        icmp::SOURCE_QUENCH => "source quench".into(),
        10 => "router solicitation".into(),
        15 => "information request".into(),
        16 => "information reply".into(),
        17 => "address mask request".into(),
        _ => format!("type-#{kind}"),
    })
}

/// Destination unreachable: RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1.
fn unreachable(bytes: &[u8], code: u8) -> Result<String, Truncated> {
    if code == icmp::CODE_PORT {
        return port_unreachable(bytes);
    }
    let to = address(bytes, QUOTED_DESTINATION)?;
    Ok(match code {
        0 => format!("net {to} unreachable"),
        1 => format!("host {to} unreachable"),
        2 => {
            let [protocol] = take(bytes, QUOTED_PROTOCOL)?;
            format!("{to} protocol {protocol} unreachable")
        }
        icmp::CODE_FRAGMENTATION_NEEDED => match u16::from_be_bytes(take(bytes, 6)?) {
            0 => format!("{to} unreachable - need to frag"),
            mtu => format!("{to} unreachable - need to frag (mtu {mtu})"),
        },
        5 => format!("{to} unreachable - source route failed"),
        6 => format!("net {to} unreachable - unknown"),
        7 => format!("host {to} unreachable - unknown"),
        8 => format!("{to} unreachable - source host isolated"),
        9 => format!("net {to} unreachable - admin prohibited"),
        10 => format!("host {to} unreachable - admin prohibited"),
        11 => format!("net {to} unreachable - tos prohibited"),
        12 => format!("host {to} unreachable - tos prohibited"),
        13 => format!("host {to} unreachable - admin prohibited filter"),
        14 => format!("host {to} unreachable - host precedence violation"),
        15 => format!("host {to} unreachable - precedence cutoff"),
        _ => format!("{to} unreachable - #{code}"),
    })
}

/// The port is read as UDP's and TCP's is, whatever the protocol.
fn port_unreachable(bytes: &[u8]) -> Result<String, Truncated> {
    let [protocol] = take(bytes, QUOTED_PROTOCOL)?;
    let [first] = take(bytes, QUOTED)?;
    let header = usize::from(first & 0xf) * 4;
    let port = u16::from_be_bytes(take(bytes, QUOTED + header + 2)?);
    let to = address(bytes, QUOTED_DESTINATION)?;
    Ok(match protocol {
        tcp::PROTOCOL => format!("{to} tcp port {port} unreachable"),
        udp::PROTOCOL => format!("{to} udp port {port} unreachable"),
        _ => format!("{to} protocol {protocol} port {port} unreachable"),
    })
}

/// RFC 1256, section 3.
fn router_advertisement(bytes: &[u8]) -> Result<String, Truncated> {
    /// tcpdump writes the message into a buffer; what does not fit is not printed.
    const LONGEST: usize = 163;
    let [count, size, lifetime @ ..]: [u8; 4] = take(bytes, 4)?;
    let lifetime = u16::from_be_bytes(lifetime);
    let (hours, minutes, seconds) = (lifetime / 3600, lifetime / 60 % 60, lifetime % 60);
    let lifetime = match (hours, minutes) {
        (0, 0) => format!("{seconds}"),
        (0, _) => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    };
    let mut text = format!("router advertisement lifetime {lifetime} {count}:");
    if size != 2 {
        text += &format!(" [size {size}]");
        return Ok(text);
    }
    for at in (QUOTED..).step_by(8).take(count.into()) {
        let preference = u32::from_be_bytes(take(bytes, at + 4)?);
        text += &format!(" {{{} {preference}}}", address(bytes, at)?);
    }
    text.truncate(LONGEST);
    Ok(text)
}

fn address(bytes: &[u8], at: usize) -> Result<Ipv4Addr, Truncated> {
    take::<4>(bytes, at).map(Ipv4Addr::from)
}

/// Milliseconds since midnight UTC.
struct TimeOfDay(u32);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0 / 1000, self.0 % 1000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}.{millis:03}")
    }
}
