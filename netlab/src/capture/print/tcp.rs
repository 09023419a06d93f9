//! TCP (RFC 9293).

use super::{
    dns,
    ip::{Pseudo, expected, protocol},
    line::{Line, Printed, Truncated, after, difference, first, u8_at, u16_at, u32_at},
    names::Transport,
    numbers::Table,
    tcp_options,
    tcp_sequences::{Connection, First},
    text::{self, Text},
};

const HEADER: usize = 20;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;
const FLAG_NAMES: Table<u16> = &[
    (0x01, "F"),
    (0x02, "S"),
    (0x04, "R"),
    (0x08, "P"),
    (0x10, "."),
    (0x20, "U"),
    (0x40, "E"),
    (0x80, "W"),
];

/// Prints a segment.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize, ip: &Pseudo<'_>) -> Printed {
    line.protocol("tcp");
    if bytes.len() < 4 {
        line.address(ip.source);
        line.text(" > ");
        line.address(ip.destination);
        line.text(":");
        line.mark();
        return Ok(());
    }
    let (sport, dport) = (u16_at(bytes, 0)?, u16_at(bytes, 2)?);
    ip.print_ports(line, Transport::Tcp, sport, dport);
    if bytes.len() < HEADER {
        line.mark();
        return Ok(());
    }
    let header_len = usize::from(u8_at(bytes, 12)? >> 4) * 4;
    let payload_len = difference(length, header_len);
    if header_len < HEADER {
        line.push(format_args!(
            " tcp {payload_len} [bad hdr length {header_len} - too short, < {HEADER}]"
        ));
        return Ok(());
    }
    if line.options.quick {
        line.push(format_args!("tcp {payload_len}"));
        if header_len > length {
            too_long(line, header_len, length);
        }
        return Ok(());
    }
    let flags = u8_at(bytes, 13)?;
    line.text("Flags [");
    line.bits(FLAG_NAMES, flags.into(), "");
    line.text("]");
    let relative = Relative::of(line, bytes, ip, flags, sport, dport)?;
    if header_len > length {
        too_long(line, header_len, length);
        return Ok(());
    }
    print_checksum(line, bytes, length, ip)?;
    print_fields(line, bytes, flags, payload_len, &relative)?;
    let segment = tcp_options::Segment {
        flags,
        // SACK blocks are told in the sequence numbers of the other direction.
        sack_base: relative.ack_base,
        whole: bytes.len() >= length,
    };
    if tcp_options::print(line, after(bytes, HEADER), header_len - HEADER, &segment)?.is_break() {
        return Ok(());
    }
    line.push(format_args!(", length {payload_len}"));
    if payload_len == 0 {
        return Ok(());
    }
    if bytes.len() < header_len {
        let available = bytes.len();
        line.push(format_args!(" [remaining caplen({available}) < header length({header_len})]"));
        return Err(Truncated);
    }
    let (payload, length) = (after(bytes, header_len), length - header_len);
    if flags & RST != 0 && line.verbose() {
        print_reason(line, payload, length);
        return Ok(());
    }
    print_payload(line, payload, length, (sport, dport))
}

fn too_long(line: &mut Line<'_>, header_len: usize, length: usize) {
    line.push(format_args!(" [bad hdr length {header_len} - too long, > {length}]"));
}

fn print_checksum(line: &mut Line<'_>, bytes: &[u8], length: usize, ip: &Pseudo<'_>) -> Printed {
    if !line.verbose() || line.options.unverified || ip.fragmented || bytes.len() < length {
        return Ok(());
    }
    let found = u16_at(bytes, 16)?;
    line.push(format_args!(", cksum 0x{found:04x}"));
    match ip.checksum(bytes, length, protocol::TCP)? {
        0 => line.text(" (correct)"),
        sum => line.push(format_args!(" (incorrect -> 0x{:04x})", expected(found, sum))),
    }
    Ok(())
}

fn print_fields(
    line: &mut Line<'_>,
    bytes: &[u8],
    flags: u8,
    payload_len: u32,
    relative: &Relative,
) -> Printed {
    if line.options.verbose > 1 || payload_len > 0 || flags & (SYN | FIN | RST) != 0 {
        line.push(format_args!(", seq {}", relative.seq));
        if payload_len > 0 {
            line.push(format_args!(":{}", relative.seq.wrapping_add(payload_len)));
        }
    }
    if flags & ACK != 0 {
        line.push(format_args!(", ack {}", relative.ack));
    }
    line.push(format_args!(", win {}", u16_at(bytes, 14)?));
    if flags & URG != 0 {
        line.push(format_args!(", urg {}", u16_at(bytes, 18)?));
    }
    Ok(())
}

/// Sequence numbers as they are printed.
struct Relative {
    seq: u32,
    ack: u32,
    /// What is taken off the sequence numbers of the other direction.
    ack_base: u32,
}

impl Relative {
    /// The first segment with an ACK, and each with SYN and ACK, are told as they are; the
    /// others relative to them.
    fn of(
        line: &mut Line<'_>,
        bytes: &[u8],
        ip: &Pseudo<'_>,
        flags: u8,
        sport: u16,
        dport: u16,
    ) -> Result<Self, Truncated> {
        let (seq, ack) = (u32_at(bytes, 4)?, u32_at(bytes, 8)?);
        if line.options.absolute_sequence || flags & ACK == 0 {
            return Ok(Self { seq, ack, ack_base: 0 });
        }
        let (connection, reverse) = Connection::of((ip.source, sport), (ip.destination, dport));
        let sequences = &mut line.state.sequences;
        let known = sequences.get(&connection).filter(|_| flags & SYN == 0);
        let first = known.unwrap_or_else(|| {
            let (own, other) = (seq, ack.wrapping_sub(1));
            let first = if reverse {
                First { seq: other, ack: own }
            } else {
                First { seq: own, ack: other }
            };
            sequences.set(connection, first);
            first
        });
        let (own, other) = if reverse { (first.ack, first.seq) } else { (first.seq, first.ack) };
        Ok(if known.is_some() {
            Self { seq: seq.wrapping_sub(own), ack: ack.wrapping_sub(other), ack_base: other }
        } else {
            Self { seq, ack, ack_base: other }
        })
    }
}

/// The text that a reset may carry (RFC 1122, section 4.2.2.12).
fn print_reason(line: &mut Line<'_>, payload: &[u8], length: usize) {
    const MAX: usize = 30;
    line.text(if payload.len() >= length { " [RST" } else { " [!RST" });
    if length > MAX {
        line.text("+");
    }
    line.text(" ");
    for byte in first(payload, length.min(MAX)) {
        text::print_char(line, *byte);
    }
    line.text("]");
}

/// The payload of protocols that have a file here.
fn print_payload(line: &mut Line<'_>, payload: &[u8], length: usize, ports: (u16, u16)) -> Printed {
    let is = |port: u16| ports.0 == port || ports.1 == port;
    if is(22) {
        return text::print_ssh(line, payload, length);
    }
    let known = [
        (&[25][..], &text::SMTP),
        (&[43], &text::WHOIS),
        (&[21], &text::FTP),
        (&[80, 8080], &text::HTTP),
        (&[554, 8554], &text::RTSP),
    ];
    let text: Option<&Text> =
        known.iter().find(|(ports, _)| ports.iter().any(|port| is(*port))).map(|(_, text)| *text);
    if let Some(text) = text {
        line.text(": ");
        return text.print(line, payload, length);
    }
    if is(53) {
        return dns::print(line, payload, length, dns::Over::Tcp);
    }
    Ok(())
}
