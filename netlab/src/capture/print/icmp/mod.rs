//! ICMP for IPv4 (RFC 792; router discovery: RFC 1256; extensions: RFC 4884).

mod extension;
#[cfg(test)]
mod tests;

use std::fmt;

use netlab_common::checksum::Sum;
use netlab_common::wire::{icmp, tcp, udp};

use super::ip::{Address, checksum, expected};
use super::line::{Cut, Line, Printed, Truncated, after, first, take, u8_at, u16_at, u32_at};
use super::names::Transport;
use super::numbers::{self, Table};

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
/// quotes.
pub(super) fn print(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
    fragmented: bool,
    quoted: &mut dyn FnMut(&mut Line<'_>, &[u8], usize) -> Printed,
) -> Printed {
    line.protocol("icmp");
    line.part(|line| print_message(line, bytes, length, fragmented, quoted)).map(drop)
}

fn print_message(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
    fragmented: bool,
    quoted: &mut dyn FnMut(&mut Line<'_>, &[u8], usize) -> Printed,
) -> Result<(), Cut> {
    let [kind, code] = take(bytes, 0)?;
    line.all_or_nothing(|line| {
        line.text("ICMP ");
        print_meaning(line, bytes, kind, code)
    })?;
    line.push(format_args!(", length {length}"));
    if !line.verbose() {
        return Ok(());
    }
    if let Some(covered) = bytes.get(..length).filter(|_| !fragmented) {
        let sum = checksum(Sum::ZERO, covered);
        if sum != 0 {
            let found = u16_at(bytes, icmp::IcmpHeader::AT_CHECKSUM)?;
            let expected = expected(found, sum);
            line.push(format_args!(" (wrong icmp cksum {found:x} (->{expected:x})!)"));
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
        line.text("\n\t");
        let quoted_length = usize::from(u16_at(bytes, QUOTED_LENGTH)?);
        // The packet is read no further than it says to reach, since extensions may follow;
        // one that does not reach to its length is not read at all.
        if quoted_length < 4 {
            return Err(Cut::Line);
        }
        quoted(line, first(after(bytes, QUOTED), quoted_length), quoted_length)?;
        line.protocol("icmp");
    }
    if matches!(kind, icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM) {
        extension::print(line, bytes, length)?;
    }
    Ok(())
}

/// What a message says.
fn print_meaning(line: &mut Line<'_>, bytes: &[u8], kind: u8, code: u8) -> Result<(), Cut> {
    let word = |at| u16_at(bytes, at);
    match kind {
        ECHO | ECHO_REPLY => {
            let name = if kind == ECHO { "request" } else { "reply" };
            line.push(format_args!("echo {name}, id {}, seq {}", word(4)?, word(6)?));
        }
        icmp::UNREACHABLE if code == icmp::CODE_PORT => print_port_unreachable(line, bytes)?,
        icmp::UNREACHABLE => print_unreachable(line, bytes, code)?,
        icmp::REDIRECT => print_redirect(line, bytes, code)?,
        ROUTER_ADVERTISEMENT => print_router_advertisement(line, bytes)?,
        icmp::TIME_EXCEEDED => {
            part(take::<4>(bytes, QUOTED_DESTINATION))?;
            match code {
                0 => line.text("time exceeded in-transit"),
                1 => line.text("ip reassembly time exceeded"),
                _ => line.push(format_args!("time exceeded-#{code}")),
            }
        }
        icmp::PARAMETER_PROBLEM if code == 0 => {
            line.push(format_args!("parameter problem - octet {}", u8_at(bytes, 4)?));
        }
        icmp::PARAMETER_PROBLEM => line.push(format_args!("parameter problem - code {code}")),
        MASK_REPLY => line.push(format_args!("address mask is 0x{:08x}", u32_at(bytes, 8)?)),
        TIMESTAMP => {
            line.push(format_args!("time stamp query id {} seq {}", word(4)?, word(6)?));
        }
        TIMESTAMP_REPLY => {
            let time = |at| part(u32_at(bytes, at)).map(TimeOfDay);
            let (original, received, sent) = (time(8)?, time(12)?, time(16)?);
            line.push(format_args!(
                "time stamp reply id {} seq {}: org {original}, recv {received}, xmit {sent}",
                word(4)?,
                word(6)?
            ));
        }
        _ => match numbers::name(NAMES, kind) {
            Some(name) => line.text(name),
            None => line.push(format_args!("type-#{kind}")),
        },
    }
    Ok(())
}

const NAMES: Table<u8> = &[
    (icmp::SOURCE_QUENCH, "source quench"),
    (10, "router solicitation"),
    (15, "information request"),
    (16, "information reply"),
    (17, "address mask request"),
];

/// Destination unreachable: RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1.
fn print_unreachable(line: &mut Line<'_>, bytes: &[u8], code: u8) -> Printed {
    let to = address(bytes, QUOTED_DESTINATION)?;
    match code {
        0 | 6 | 9 | 11 => line.text("net "),
        1 | 7 | 10 | 12..=15 => line.text("host "),
        _ => {}
    }
    line.address(to);
    match code {
        0 | 1 => line.text(" unreachable"),
        2 => {
            let protocol = u8_at(bytes, QUOTED_PROTOCOL)?;
            line.push(format_args!(" protocol {protocol} unreachable"));
        }
        icmp::CODE_FRAGMENTATION_NEEDED => {
            line.text(" unreachable - need to frag");
            match u16_at(bytes, 6)? {
                0 => {}
                mtu => line.push(format_args!(" (mtu {mtu})")),
            }
        }
        5 => line.text(" unreachable - source route failed"),
        6 | 7 => line.text(" unreachable - unknown"),
        8 => line.text(" unreachable - source host isolated"),
        9 | 10 => line.text(" unreachable - admin prohibited"),
        11 | 12 => line.text(" unreachable - tos prohibited"),
        13 => line.text(" unreachable - admin prohibited filter"),
        14 => line.text(" unreachable - host precedence violation"),
        15 => line.text(" unreachable - precedence cutoff"),
        _ => line.push(format_args!(" unreachable - #{code}")),
    }
    Ok(())
}

/// The port is read as UDP's and TCP's is, whatever the protocol.
fn print_port_unreachable(line: &mut Line<'_>, bytes: &[u8]) -> Result<(), Cut> {
    let protocol = part(u8_at(bytes, QUOTED_PROTOCOL))?;
    let header = usize::from(u8_at(bytes, QUOTED)? & 0xf) * 4;
    let port = u16_at(bytes, QUOTED + header + 2)?;
    line.address(address(bytes, QUOTED_DESTINATION)?);
    match protocol {
        tcp::PROTOCOL => {
            line.text(" tcp port ");
            line.port(Transport::Tcp, port);
        }
        udp::PROTOCOL => {
            line.text(" udp port ");
            line.port(Transport::Udp, port);
        }
        _ => line.push(format_args!(" protocol {protocol} port {port}")),
    }
    line.text(" unreachable");
    Ok(())
}

fn print_redirect(line: &mut Line<'_>, bytes: &[u8], code: u8) -> Printed {
    match code {
        0 | 1 => line.text("redirect "),
        2 | 3 => line.text("redirect-tos "),
        _ => line.push(format_args!("redirect-#{code} ")),
    }
    line.address(address(bytes, QUOTED_DESTINATION)?);
    line.text(match code {
        0 | 2 => " to net ",
        1 | 3 => " to host ",
        _ => " to ",
    });
    line.address(address(bytes, 4)?);
    Ok(())
}

/// RFC 1256, section 3. Its addresses stay numbers, since the line may end in one.
fn print_router_advertisement(line: &mut Line<'_>, bytes: &[u8]) -> Result<(), Cut> {
    /// tcpdump writes the message into a buffer; what does not fit is not printed.
    const LONGEST: usize = 163;
    let begin = line.out.len();
    let [count, size, lifetime @ ..]: [u8; 4] = part(take(bytes, 4))?;
    let lifetime = u16::from_be_bytes(lifetime);
    line.text("router advertisement lifetime ");
    let (hours, minutes, seconds) = (lifetime / 3600, lifetime / 60 % 60, lifetime % 60);
    match (hours, minutes) {
        (0, 0) => line.push(format_args!("{seconds}")),
        (0, _) => line.push(format_args!("{minutes}:{seconds:02}")),
        _ => line.push(format_args!("{hours}:{minutes:02}:{seconds:02}")),
    }
    line.push(format_args!(" {count}:"));
    if size != 2 {
        line.push(format_args!(" [size {size}]"));
        return Ok(());
    }
    for at in (QUOTED..).step_by(8).take(count.into()) {
        let preference = part(u32_at(bytes, at + 4))?;
        line.push(format_args!(" {{{} {preference}}}", address(bytes, at)?));
    }
    line.out.truncate(begin + LONGEST);
    Ok(())
}

/// A field in whose absence the message ends, but not what stands around it.
fn part<T>(field: Result<T, Truncated>) -> Result<T, Cut> {
    field.map_err(|_| Cut::Part)
}

fn address(bytes: &[u8], at: usize) -> Result<Address, Truncated> {
    take(bytes, at).map(Address::V4)
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
