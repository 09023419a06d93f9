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

use netlab_common::checksum::Sum;
use netlab_common::wire::{icmp, tcp, udp};

use super::line::{Line, Printed, Truncated, take};
use super::notation::{V6, sum, unknown, wrong};

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

/// Prints a message between `source` and `destination`, which behind a routing header is the
/// last address there. The checksum of a fragment is not looked at.
pub(super) fn print(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
    fragmented: bool,
    source: [u8; 16],
    destination: [u8; 16],
) -> Printed {
    if length == 0 {
        line.push(format_args!("ICMP6, length 0 (invalid)"));
        return Ok(());
    }
    let verbose = line.options.verbose > 0;
    if verbose
        && !fragmented
        && let Some(covered) = bytes.get(..length)
    {
        let field = take(bytes, 2)?;
        let whole = pseudo_header(source, destination, length).plus(sum(covered));
        match wrong(field, whole) {
            None => line.push(format_args!("[icmp6 sum ok] ")),
            Some(expected) => {
                let field = u16::from_be_bytes(field);
                line.push(format_args!("[bad icmp6 cksum 0x{field:04x} -> 0x{expected:04x}!] "));
            }
        }
    }
    let [kind] = take(bytes, 0)?;
    match name(kind) {
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
    let [code] = take(bytes, 1)?;
    match body(line, bytes, length, kind, code)? {
        Body::Known if verbose => {}
        Body::Known => line.push(format_args!(", length {length}")),
        Body::Unknown => {
            if name(kind).is_none() || is_trace(kind) {
                line.push(format_args!(", length {length}"));
            }
            if line.options.verbose <= 1 {
                unknown(line, bytes.get(..length).unwrap_or(bytes), "\n\t");
            }
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
fn body(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
    kind: u8,
    code: u8,
) -> Result<Body, Truncated> {
    let verbose = line.options.verbose > 0;
    let word = |at| take(bytes, at).map(u16::from_be_bytes);
    match kind {
        UNREACHABLE => return unreachable(line, bytes, code),
        TOO_BIG => line.push(format_args!(", mtu {}", u32::from_be_bytes(take(bytes, 4)?))),
        TIME_EXCEEDED => match code {
            0 => line.push(format_args!(" for {}", V6(take(bytes, QUOTED_DESTINATION)?))),
            1 => line.push(format_args!(" (reassembly)")),
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
                cut(line)?;
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
                line.push(format_args!(", {}", V6(take(bytes, at)?)));
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
            line.push(format_args!("{flags}"));
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

/// Marks a part that was cut short, and after which the line nevertheless goes on.
fn cut(line: &mut Line<'_>) -> Printed {
    line.push(format_args!(" [|icmp6]"));
    Ok(())
}

/// Destination unreachable (RFC 4443, section 3.1).
fn unreachable(line: &mut Line<'_>, bytes: &[u8], code: u8) -> Result<Body, Truncated> {
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
        let (protocol, port) = upper_layer(bytes)?;
        let to = V6(take(bytes, QUOTED_DESTINATION)?);
        line.push(format_args!(", {to} {protocol} port {port}"));
        return Ok(Body::Known);
    }
    let to = V6(take(bytes, QUOTED_DESTINATION)?);
    line.push(format_args!(" {to}"));
    if code == 2 {
        line.push(format_args!(", source address {}", V6(take(bytes, QUOTED_SOURCE)?)));
    }
    Ok(Body::Known)
}

/// RFC 4443, section 3.4, and RFC 7112.
fn parameter_problem(line: &mut Line<'_>, bytes: &[u8], code: u8) -> Printed {
    take::<16>(bytes, QUOTED_DESTINATION)?;
    let octet = u32::from_be_bytes(take(bytes, 4)?);
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
fn upper_layer(bytes: &[u8]) -> Result<(&'static str, u16), Truncated> {
    let [mut next] = take(bytes, QUOTED_NEXT)?;
    let mut at = QUOTED + 40;
    loop {
        let length = match next {
            tcp::PROTOCOL | udp::PROTOCOL => {
                let name = if next == tcp::PROTOCOL { "tcp" } else { "udp" };
                return Ok((name, u16::from_be_bytes(take(bytes, at + 2)?)));
            }
            // Hop-by-hop and destination options, routing.
            0 | 43 | 60 => {
                let [length] = take(bytes, at + 1)?;
                (usize::from(length) + 1) * 8
            }
            // A fragment: only the first one has ports.
            44 => match u16::from_be_bytes(take(bytes, at + 2)?) & 0xfff8 {
                0 => 8,
                _ => return Err(Truncated),
            },
            // Authentication (RFC 4302, section 2.2).
            51 => {
                let [length] = take(bytes, at + 1)?;
                (usize::from(length) + 2) * 4
            }
            _ => return Err(Truncated),
        };
        [next] = take(bytes, at)?;
        at += length;
    }
}

/// RFC 8200, section 8.1.
fn pseudo_header(source: [u8; 16], destination: [u8; 16], length: usize) -> Sum {
    // Longer than the packet can be said to be, it could not have been captured.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    Sum::ZERO.with(source).with(destination).with(length.to_be_bytes()).with([0, icmp::PROTOCOL_V6])
}

/// Multicast traceroute: has a name, and is not looked into.
fn is_trace(kind: u8) -> bool {
    matches!(kind, 200 | 201)
}

fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        UNREACHABLE => "destination unreachable",
        TOO_BIG => "packet too big",
        TIME_EXCEEDED => "time exceeded in-transit",
        PARAMETER_PROBLEM => "parameter problem",
        ECHO => "echo request",
        ECHO_REPLY => "echo reply",
        LISTENER_QUERY => "multicast listener query",
        LISTENER_REPORT => "multicast listener report",
        LISTENER_DONE => "multicast listener done",
        ROUTER_SOLICITATION => "router solicitation",
        ROUTER_ADVERTISEMENT => "router advertisement",
        NEIGHBOR_SOLICITATION => "neighbor solicitation",
        NEIGHBOR_ADVERTISEMENT => "neighbor advertisement",
        REDIRECT => "redirect",
        RENUMBERING => "router renumbering",
        NODE_QUERY => "who-are-you request",
        NODE_REPLY => "who-are-you reply",
        INVERSE_SOLICITATION => "inverse neighbor solicitation",
        INVERSE_ADVERTISEMENT => "inverse neighbor advertisement",
        LISTENER_REPORT_V2 => "multicast listener report v2",
        HOME_AGENT_REQUEST => "ha discovery request",
        HOME_AGENT_REPLY => "ha discovery reply",
        MOBILE_SOLICITATION => "mobile router solicitation",
        MOBILE_ADVERTISEMENT => "mobile router advertisement",
        RPL => "RPL",
        200 => "mtrace response",
        201 => "mtrace message",
        _ => return None,
    })
}
