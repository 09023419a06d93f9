//! IPv6 (RFC 8200): the header, and the way over its extension headers.

use super::{
    ip::{self, Pseudo, protocol},
    ipv6_options,
    line::{Line, Printed, Truncated, after, first, take, u8_at, u16_at, u32_at},
    numbers::{self, IP_PROTOCOLS},
};

const HEADER: usize = 40;

/// Prints a packet and all that is in it.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.nested(|line| print_packet(line, bytes, length))
}

fn print_packet(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.protocol("ip6");
    if bytes.len() < HEADER {
        line.mark();
        return Ok(());
    }
    if length < HEADER {
        line.push(format_args!("truncated-ip6 {length}"));
        return Ok(());
    }
    if !line.options.link_layer {
        line.text("IP6 ");
    }
    let version = bytes[0] >> 4;
    if version != 6 {
        line.push(format_args!("version error: {version} != 6"));
        return Ok(());
    }
    let payload_len = usize::from(u16_at(bytes, 4)?);
    // A jumbo payload (RFC 2675) has none; its length is in an option yet to come.
    let total_len = if payload_len == 0 { length } else { payload_len } + HEADER;
    if payload_len != 0 && length < total_len {
        line.push(format_args!("truncated-ip6 - {} bytes missing!", total_len - length));
    }
    if line.verbose() {
        print_header(line, bytes)?;
    }
    let walk = Walk {
        packet: bytes,
        length,
        payload_len,
        at: HEADER,
        left: total_len - HEADER,
        next: u8_at(bytes, 6)?,
        previous: None,
        jumbo: None,
        fragmented: false,
    };
    if !protocol::prints_addresses(walk.next) {
        Pseudo::v6(bytes, false)?.print_addresses(line);
    }
    walk.print(line, first(bytes, total_len))
}

fn print_header(line: &mut Line<'_>, bytes: &[u8]) -> Printed {
    let flow = u32_at(bytes, 0)?;
    let (class, label) = (flow >> 20 & 0xff, flow & 0x000f_ffff);
    line.text("(");
    if class != 0 {
        line.push(format_args!("class 0x{class:02x}, "));
    }
    if label != 0 {
        line.push(format_args!("flowlabel 0x{label:05x}, "));
    }
    let (next, hop_limit) = (u8_at(bytes, 6)?, u8_at(bytes, 7)?);
    let name = numbers::name(IP_PROTOCOLS, next).unwrap_or("unknown");
    line.push(format_args!(
        "hlim {hop_limit}, next-header {name} ({next}) payload length: {}) ",
        u16_at(bytes, 4)?
    ));
    Ok(())
}

/// A walk over the extension headers of a packet.
struct Walk<'a> {
    /// All that was captured, with what may follow the packet.
    packet: &'a [u8],
    /// What the layer below says of it.
    length: usize,
    /// What its header says.
    payload_len: usize,
    /// Where the next header begins.
    at: usize,
    /// Bytes on the wire from there on.
    left: usize,
    /// What it is.
    next: u8,
    /// What was before it, other than the packet's own header.
    previous: Option<u8>,
    /// The length that a jumbo payload option gave.
    jumbo: Option<u32>,
    fragmented: bool,
}

impl Walk<'_> {
    /// `bytes` are the packet, without what follows it.
    fn print(mut self, line: &mut Line<'_>, bytes: &[u8]) -> Printed {
        loop {
            let rest = after(bytes, self.at);
            let length = match self.next {
                protocol::HOP_BY_HOP => {
                    if !self.may_have_hop_options(line) {
                        return Ok(());
                    }
                    ipv6_options::hop_by_hop(line, rest, self.payload_len)?.map(|header| {
                        self.jumbo = header.jumbo;
                        header.length
                    })
                }
                protocol::DESTINATION => ipv6_options::destination(line, rest)?,
                protocol::ROUTING => {
                    if rest.is_empty() {
                        line.mark();
                        return Ok(());
                    }
                    ipv6_options::routing(line, rest)?
                }
                protocol::FRAGMENT => {
                    self.fragmented = true;
                    let end = HEADER + self.payload_len;
                    ipv6_options::fragment(line, rest, end.wrapping_sub(self.at))?
                }
                next => return self.print_payload(line, next),
            };
            let Some(length) = length else { return Ok(()) };
            self.previous = Some(self.next);
            self.next = u8_at(rest, 0)?;
            line.protocol("ip6");
            if self.left < length {
                line.mark();
                return Ok(());
            }
            self.at += length;
            self.left -= length;
        }
    }

    /// Hop-by-hop options stand directly behind the packet's header (RFC 8200, section 4.1).
    fn may_have_hop_options(&self, line: &mut Line<'_>) -> bool {
        if self.previous.is_none() {
            return true;
        }
        line.text(if self.packet.get(6) == Some(&protocol::HOP_BY_HOP) {
            "[The Hop-by-Hop Options header was already found]"
        } else {
            "[The Hop-by-Hop Options header don't follow the IPv6 header]"
        });
        line.invalid();
        false
    }

    fn print_payload(self, line: &mut Line<'_>, next: u8) -> Printed {
        let mut total_len = self.at + self.left;
        let mut left = self.left;
        if let Some(jumbo) = self.jumbo {
            // tcpdump's lengths have 32 bits.
            total_len = jumbo.wrapping_add(40) as usize;
            if total_len < self.at {
                line.mark();
                return Ok(());
            }
            if self.length < total_len {
                line.push(format_args!(
                    "truncated-ip6 - {} bytes missing!",
                    total_len - self.length
                ));
            }
            left = total_len - self.at;
        } else if self.payload_len == 0 {
            if self.previous.is_some() {
                line.mark();
                return Ok(());
            }
            (total_len, left) = (HEADER, 0);
        }
        let bytes = first(self.packet, total_len);
        let ip = Pseudo::v6(bytes, self.fragmented)?;
        ip::print_payload(line, next, after(bytes, self.at), left, &ip)
    }
}

/// Where a packet ends up: the last address of a routing header, or the header's destination.
pub(super) fn last_destination(packet: &[u8]) -> Result<[u8; 16], Truncated> {
    let destination = take(packet, 24);
    let mut next = u8_at(packet, 6)?;
    let mut rest = after(packet, HEADER);
    loop {
        let len = match next {
            protocol::HOP_BY_HOP | protocol::DESTINATION | protocol::MOBILITY => {
                (usize::from(u8_at(rest, 1)?) + 1) * 8
            }
            protocol::FRAGMENT => 8,
            protocol::ROUTING => return routed(rest).map_or(destination, Ok),
            _ => return destination,
        };
        next = u8_at(rest, 0)?;
        rest = after(rest, len);
        if rest.is_empty() {
            return destination;
        }
    }
}

/// The last address of a routing header.
fn routed(header: &[u8]) -> Option<[u8; 16]> {
    const SOURCE_ROUTE: u8 = 0;
    const MOBILE: u8 = 2;
    const SEGMENT_ROUTING: u8 = 4;
    let [_, len, kind, _] = take(header, 0).ok()?;
    if len % 2 == 1 {
        return None;
    }
    match kind {
        SOURCE_ROUTE | MOBILE => {
            let addresses = usize::from(len / 2);
            (0..addresses).map_while(|number| take(header, 8 + number * 16).ok()).last()
        }
        // Its first address is the last one to visit (RFC 8754, section 2).
        SEGMENT_ROUTING => take(header, 8).ok(),
        _ => None,
    }
}
