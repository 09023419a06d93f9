//! Lines, as tcpdump prints them.
//!
//! Law: what [`Printer::print`] appends is what tcpdump 4.99 prints for the same packet and
//! the same options, to the byte, for the protocols that have a file here. The exceptions:
//! UDP port 8472 (`vxlan.rs`), times after 2038 (`time.rs`), names ([`Options::numeric`]), and
//! more IP headers in one packet than any tunnel nests. A protocol without a file here is printed
//! as tcpdump prints one that it does not know.
//!
//! One file a protocol, all of one shape: `print(line, bytes, length, …) -> Printed`. `bytes`
//! are what was captured of the protocol's header and what follows, `length` is what the layer
//! below says that there was on the wire. A protocol that runs out of bytes returns
//! `Truncated` up to the printer, which ends the line with the name of the protocol
//! that was at work (`[|tcp]`) and dumps the packet with its link layer; or it marks the line
//! itself, where tcpdump does not do the latter.

mod arp;
mod cooked;
mod dns;
mod ethernet;
mod hex;
mod icmp;
mod icmp6;
mod igmp;
mod ip;
mod ipv4;
mod ipv4_options;
mod ipv6;
mod ipv6_options;
mod line;
mod llc;
mod mptcp;
mod names;
mod numbers;
mod stp;
mod tcp;
mod tcp_options;
mod tcp_sequences;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod udp;
mod vxlan;

use std::fmt::Write as _;

use jiff::tz::TimeZone;
pub use line::{Dump, DumpForm, Options, TimeFormat};

use self::line::{Line, State, Truncated, after};
use super::{LinkType, Packet};

/// Prints packets, one after another: it remembers what later lines are told relative to.
#[derive(Debug)]
pub struct Printer {
    options: Options,
    clock: time::Clock,
    count: u64,
    state: State,
}

/// The longest packet that tcpdump believes in.
const MAX_LENGTH: usize = 262_144;

impl Printer {
    /// A printer that has seen nothing, in the system's time zone.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let clock = time::Clock::new(TimeZone::system());
        Self { options, clock, count: 0, state: State::default() }
    }

    /// The same printer, in another time zone.
    #[must_use]
    pub fn in_time_zone(self, zone: TimeZone) -> Self {
        Self { clock: time::Clock::new(zone), ..self }
    }

    /// Appends the packet's line or lines, each ended by a newline. `remark` follows
    /// tcpdump's own fields at the end of the last one, before any dump of bytes.
    pub fn print(&mut self, packet: &Packet<'_>, remark: Option<&str>, out: &mut String) {
        self.count += 1;
        if self.options.numbers {
            let _ = write!(out, "{:5}  ", self.count);
        }
        if print_impossible(packet, out) {
            push_remark(remark, out.len(), out);
            out.push('\n');
            return;
        }
        self.clock.print(packet.time, &self.options, out);
        self.state.begin();
        let mut line = Line { out, options: &self.options, state: &mut self.state };
        // The bytes of a truncated packet are dumped with the link layer.
        let link_len = match print_link(&mut line, packet) {
            Ok(length) => length,
            Err(Truncated) => {
                line.mark();
                0
            }
        };
        push_remark(remark, self.state.dump_at.unwrap_or(out.len()), out);
        if let Some(dump) = self.options.dump {
            let bytes = if dump.link_layer { packet.bytes } else { after(packet.bytes, link_len) };
            // With nothing behind the link layer there is not even an empty dump.
            if !bytes.is_empty() {
                hex::dump(out, dump, bytes);
            }
        }
        out.push('\n');
    }
}

fn push_remark(remark: Option<&str>, at: usize, out: &mut String) {
    if let Some(remark) = remark {
        out.insert_str(at, remark);
        out.insert(at, ' ');
    }
}

/// Says why a packet's lengths cannot be, if they cannot.
fn print_impossible(packet: &Packet<'_>, out: &mut String) -> bool {
    let (captured, length) = (packet.bytes.len(), packet.wire_len as usize);
    let mut reasons = Vec::new();
    if captured == 0 {
        reasons.push(" caplen==0".to_owned());
    }
    if length == 0 {
        reasons.push(" len==0".to_owned());
    } else if length < captured {
        reasons.push(format!(" len({length}) < caplen({captured})"));
    }
    if captured > MAX_LENGTH {
        reasons.push(format!(" caplen({captured}) > {MAX_LENGTH}"));
    }
    if length > MAX_LENGTH {
        reasons.push(format!(" len({length}) > {MAX_LENGTH}"));
    }
    if reasons.is_empty() {
        return false;
    }
    let _ = write!(out, "[Invalid header:{}]", reasons.join(","));
    true
}

/// Prints from the link layer on, and tells its length.
fn print_link(line: &mut Line<'_>, packet: &Packet<'_>) -> Result<usize, Truncated> {
    let (bytes, length) = (packet.bytes, packet.wire_len as usize);
    match packet.link {
        LinkType::ETHERNET => ethernet::print(line, bytes, length),
        LinkType::RAW => cooked::print_raw(line, bytes, length),
        LinkType::NULL => cooked::print_null(line, bytes, length),
        LinkType::LINUX_SLL => cooked::print_v1(line, bytes, length),
        LinkType::LINUX_SLL2 => cooked::print_v2(line, bytes, length),
        _ => {
            line.text("UNSUPPORTED");
            line.undecoded(bytes);
            Ok(0)
        }
    }
}
