//! ICMP for IPv6 (RFC 4443), with what is carried in it: neighbor discovery ([`nd`]),
//! multicast listener discovery ([`mld`]), and what is seldom met ([`node`], [`renumber`],
//! [`rpl`]).

mod mld;
mod nd;
mod node;
mod renumber;
mod rpl;
#[cfg(test)]
mod tests;

use super::hex::hex;
use super::ip::{Address, Pseudo, expected, protocol};
use super::line::{Cut, Line, Printed, Truncated, first, take, u8_at, u16_at, u32_at};
use super::names::Transport;
use super::numbers::{self, Table};

const UNREACHABLE: u8 = 1;
const TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO: u8 = 128;
const ECHO_REPLY: u8 = 129;
const LISTENER_QUERY: u8 = 130;
const LISTENER_REPORT: u8 = 131;
const LISTENER_DONE: u8 = 132;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;
const RENUMBERING: u8 = 138;
const NODE_QUERY: u8 = 139;
const NODE_REPLY: u8 = 140;
const INVERSE_SOLICITATION: u8 = 141;
const INVERSE_ADVERTISEMENT: u8 = 142;
const LISTENER_REPORT_V2: u8 = 143;
const HOME_AGENT_REQUEST: u8 = 144;
const HOME_AGENT_REPLY: u8 = 145;
const MOBILE_SOLICITATION: u8 = 146;
const MOBILE_ADVERTISEMENT: u8 = 147;
const RPL: u8 = 155;

/// Where the quoted packet begins, and what of it is looked at.
const QUOTED: usize = 8;
const QUOTED_NEXT: usize = QUOTED + 6;
const QUOTED_SOURCE: usize = QUOTED + 8;
const QUOTED_DESTINATION: usize = QUOTED + 24;

/// Prints a message. The checksum of a fragment is not looked at.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize, ip: &Pseudo<'_>) -> Printed {
    line.protocol("icmp6");
    line.part(|line| print_message(line, bytes, length, ip)).map(drop)
}

fn print_message(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
    ip: &Pseudo<'_>,
) -> Result<(), Cut> {
    if length == 0 {
        line.text("ICMP6, length 0");
        line.invalid();
        return Ok(());
    }
    let verbose = line.verbose();
    if verbose && !ip.fragmented && bytes.len() >= length {
        print_checksum(line, bytes, length, ip)?;
    }
    let kind = u8_at(bytes, 0)?;
    let name = numbers::name(NAMES, kind);
    match name {
        Some(name) => line.push(format_args!("ICMP6, {name}")),
        None => line.push(format_args!("ICMP6, unknown icmp6 type ({kind})")),
    }
    let early = matches!(
        kind,
        ROUTER_SOLICITATION
            | ROUTER_ADVERTISEMENT
            | NEIGHBOR_SOLICITATION
            | NEIGHBOR_ADVERTISEMENT
            | REDIRECT
            | HOME_AGENT_REPLY
            | MOBILE_ADVERTISEMENT
    );
    if verbose && early {
        line.push(format_args!(", length {length}"));
    }
    let code = u8_at(bytes, 1)?;
    match body(line, bytes, length, kind, code)? {
        Body::Known if verbose => {}
        Body::Known => line.push(format_args!(", length {length}")),
        Body::Unknown => {
            if name.is_none() || is_trace(kind) {
                line.push(format_args!(", length {length}"));
            }
            if line.options.verbose <= 1 {
                hex(line.out, "\n\t", first(bytes, length));
            }
        }
    }
    Ok(())
}

fn print_checksum(line: &mut Line<'_>, bytes: &[u8], length: usize, ip: &Pseudo<'_>) -> Printed {
    let found = u16_at(bytes, 2)?;
    match ip.checksum(bytes, length, protocol::ICMPV6)? {
        0 => line.text("[icmp6 sum ok] "),
        sum => {
            let expected = expected(found, sum);
            line.push(format_args!("[bad icmp6 cksum 0x{found:04x} -> 0x{expected:04x}!] "));
        }
    }
    Ok(())
}

/// Whether a message could be read beyond its first bytes.
enum Body {
    Known,
    /// Its bytes say the rest.
    Unknown,
}

/// Prints what follows the name of a message.
fn body(line: &mut Line<'_>, bytes: &[u8], length: usize, kind: u8, code: u8) -> Result<Body, Cut> {
    let verbose = line.verbose();
    let word = |at| u16_at(bytes, at);
    match kind {
        UNREACHABLE => return unreachable(line, bytes, code),
        TOO_BIG => line.push(format_args!(", mtu {}", u32_at(bytes, 4)?)),
        TIME_EXCEEDED => match code {
            0 => print_address(line, " for ", bytes, QUOTED_DESTINATION)?,
            1 => line.text(" (reassembly)"),
            _ => line.push(format_args!(", unknown code ({code})")),
        },
        PARAMETER_PROBLEM => parameter_problem(line, bytes, code)?,
        ECHO | ECHO_REPLY => line.push(format_args!(", id {}, seq {}", word(4)?, word(6)?)),
        LISTENER_QUERY if length == mld::LENGTH => mld::print(line, bytes),
        LISTENER_QUERY => mld::query_v2(line, bytes, length)?,
        LISTENER_REPORT | LISTENER_DONE => mld::print(line, bytes),
        LISTENER_REPORT_V2 => mld::report_v2(line, bytes, length)?,
        ROUTER_SOLICITATION if verbose => nd::options(line, bytes, 8, length)?,
        ROUTER_ADVERTISEMENT if verbose => nd::router_advertisement(line, bytes, length)?,
        NEIGHBOR_SOLICITATION => nd::neighbor_solicitation(line, bytes, length)?,
        NEIGHBOR_ADVERTISEMENT => nd::neighbor_advertisement(line, bytes, length)?,
        REDIRECT => nd::redirect(line, bytes, length)?,
        RENUMBERING => {
            if renumber::print(line, bytes).is_err() {
                line.mark();
            }
        }
        NODE_QUERY => node::query(line, bytes)?,
        NODE_REPLY => node::reply(line, bytes, length)?,
        HOME_AGENT_REQUEST | MOBILE_SOLICITATION => {
            line.push(format_args!(", id 0x{:04x}", word(4)?));
        }
        HOME_AGENT_REPLY if verbose => {
            line.push(format_args!(", id 0x{:04x}", word(4)?));
            for at in (8..length).step_by(16) {
                print_address(line, ", ", bytes, at)?;
            }
        }
        MOBILE_ADVERTISEMENT if verbose => {
            line.push(format_args!(", id 0x{:04x}", word(4)?));
            let flags = match word(6)? >> 14 {
                0 => "",
                1 => " O",
                2 => " M",
                _ => " MO",
            };
            line.text(flags);
            nd::options(line, bytes, 8, length)?;
        }
        RPL => rpl::print(line, bytes, length, code)?,
        ROUTER_SOLICITATION
        | ROUTER_ADVERTISEMENT
        | HOME_AGENT_REPLY
        | MOBILE_ADVERTISEMENT
        | INVERSE_SOLICITATION
        | INVERSE_ADVERTISEMENT => {}
        _ => return Ok(Body::Unknown),
    }
    Ok(Body::Known)
}

/// An address with text in front of it.
fn print_address(line: &mut Line<'_>, text: &str, bytes: &[u8], at: usize) -> Printed {
    let address = Address::V6(take(bytes, at)?);
    line.text(text);
    line.address(address);
    Ok(())
}

/// Destination unreachable (RFC 4443, section 3.1).
fn unreachable(line: &mut Line<'_>, bytes: &[u8], code: u8) -> Result<Body, Cut> {
    let reason = match code {
        0 => "unreachable route",
        1 => " unreachable prohibited",
        2 => "beyond scope",
        3 => "unreachable address",
        4 => "unreachable port",
        _ => {
            line.push(format_args!(", unknown unreach code ({code})"));
            return Ok(if line.options.verbose > 1 { Body::Known } else { Body::Unknown });
        }
    };
    line.push(format_args!(", {reason}"));
    if code == 4 {
        let (transport, port) = upper_layer(bytes)?;
        print_address(line, ", ", bytes, QUOTED_DESTINATION)?;
        line.text(match transport {
            Transport::Tcp => " tcp port ",
            Transport::Udp => " udp port ",
        });
        line.port(transport, port);
        return Ok(Body::Known);
    }
    let to = Address::V6(take(bytes, QUOTED_DESTINATION)?);
    let from = Address::V6(take(bytes, QUOTED_SOURCE)?);
    line.text(" ");
    line.address(to);
    if code == 2 {
        line.text(", source address ");
        line.address(from);
    }
    Ok(Body::Known)
}

/// RFC 4443, section 3.4, and RFC 7112.
fn parameter_problem(line: &mut Line<'_>, bytes: &[u8], code: u8) -> Result<(), Cut> {
    take::<16>(bytes, QUOTED_DESTINATION).map_err(|_| Cut::Part)?;
    let octet = u32_at(bytes, 4)?;
    match code {
        0 => line.push(format_args!(", erroneous - octet {octet}")),
        1 => line.push(format_args!(", next header - octet {octet}")),
        2 => line.push(format_args!(", option - octet {octet}")),
        3 => line.push(format_args!(", incomplete header chain - octet {octet}")),
        _ => line.push(format_args!(", code-#{code}")),
    }
    Ok(())
}

/// The protocol and the destination port of the quoted packet, behind its extension headers.
fn upper_layer(bytes: &[u8]) -> Result<(Transport, u16), Cut> {
    quoted_port(bytes).ok().flatten().ok_or(Cut::Part)
}

/// [`upper_layer`], or nothing where no port can be there.
fn quoted_port(bytes: &[u8]) -> Result<Option<(Transport, u16)>, Truncated> {
    let mut next = u8_at(bytes, QUOTED_NEXT)?;
    let mut at = QUOTED + 40;
    loop {
        let length = match next {
            protocol::TCP => return Ok(Some((Transport::Tcp, u16_at(bytes, at + 2)?))),
            protocol::UDP => return Ok(Some((Transport::Udp, u16_at(bytes, at + 2)?))),
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION => {
                (usize::from(u8_at(bytes, at + 1)?) + 1) * 8
            }
            // Only the first fragment has ports.
            protocol::FRAGMENT if u16_at(bytes, at + 2)? & 0xfff8 == 0 => 8,
            // RFC 4302, section 2.2.
            protocol::AUTHENTICATION => (usize::from(u8_at(bytes, at + 1)?) + 2) * 4,
            _ => return Ok(None),
        };
        next = u8_at(bytes, at)?;
        at += length;
    }
}

/// Multicast traceroute: has a name, and is not looked into.
fn is_trace(kind: u8) -> bool {
    matches!(kind, 200 | 201)
}

const NAMES: Table<u8> = &[
    (UNREACHABLE, "destination unreachable"),
    (TOO_BIG, "packet too big"),
    (TIME_EXCEEDED, "time exceeded in-transit"),
    (PARAMETER_PROBLEM, "parameter problem"),
    (ECHO, "echo request"),
    (ECHO_REPLY, "echo reply"),
    (LISTENER_QUERY, "multicast listener query"),
    (LISTENER_REPORT, "multicast listener report"),
    (LISTENER_DONE, "multicast listener done"),
    (ROUTER_SOLICITATION, "router solicitation"),
    (ROUTER_ADVERTISEMENT, "router advertisement"),
    (NEIGHBOR_SOLICITATION, "neighbor solicitation"),
    (NEIGHBOR_ADVERTISEMENT, "neighbor advertisement"),
    (REDIRECT, "redirect"),
    (RENUMBERING, "router renumbering"),
    (NODE_QUERY, "who-are-you request"),
    (NODE_REPLY, "who-are-you reply"),
    (INVERSE_SOLICITATION, "inverse neighbor solicitation"),
    (INVERSE_ADVERTISEMENT, "inverse neighbor advertisement"),
    (LISTENER_REPORT_V2, "multicast listener report v2"),
    (HOME_AGENT_REQUEST, "ha discovery request"),
    (HOME_AGENT_REPLY, "ha discovery reply"),
    (MOBILE_SOLICITATION, "mobile router solicitation"),
    (MOBILE_ADVERTISEMENT, "mobile router advertisement"),
    (RPL, "RPL"),
    (200, "mtrace response"),
    (201, "mtrace message"),
];
