//! IPv4 (RFC 791).

use netlab_common::checksum::Sum;

use super::{
    ip::{self, Pseudo, checksum, expected, protocol},
    ipv4_options,
    line::{Line, Printed, Truncated, after, first, u8_at, u16_at},
    numbers::{self, IP_PROTOCOLS, Table},
};

const HEADER: usize = 20;

const MORE_FRAGMENTS: u16 = 0x2000;
const FLAGS: u16 = 0xe000;
const OFFSET: u16 = 0x1fff;
const FLAG_NAMES: Table<u16> = &[(MORE_FRAGMENTS, "+"), (0x4000, "DF"), (0x8000, "rsvd")];

/// Prints a packet and all that is in it.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.nested(|line| print_packet(line, bytes, length))
}

fn print_packet(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.protocol("ip");
    let version = u8_at(bytes, 0)? >> 4;
    if version != 4 {
        if version == 6 {
            line.text("IP6, wrong link-layer encapsulation");
        } else {
            line.push(format_args!("IP{version}"));
        }
        line.invalid();
        return Ok(());
    }
    if !line.options.link_layer {
        line.text("IP ");
    }
    if bytes.len() < HEADER {
        line.mark();
        return Ok(());
    }
    if length < HEADER {
        line.push(format_args!("truncated-ip {length}"));
        return Ok(());
    }
    let header_len = usize::from(bytes[0] & 0x0f) * 4;
    if header_len < HEADER {
        line.push(format_args!("bad-hlen {header_len}"));
        return Ok(());
    }
    let Some(total_len) = total_length(line, bytes, length, header_len)? else { return Ok(()) };

    let bytes = first(bytes, total_len);
    let fragment = u16_at(bytes, 6)?;
    let ip = Pseudo::v4(bytes, fragment & MORE_FRAGMENTS != 0)?;
    if line.verbose() && !print_header(line, bytes, header_len)? {
        ip.print_addresses(line);
        line.mark();
        return Ok(());
    }
    let next = u8_at(bytes, 9)?;
    if fragment & OFFSET != 0 {
        line.address(ip.source);
        line.text(" > ");
        line.address(ip.destination);
        line.push(format_args!(": ip-proto-{next}"));
        return Ok(());
    }
    if !protocol::prints_addresses(next) {
        ip.print_addresses(line);
    }
    if bytes.len() < header_len {
        let available = bytes.len();
        line.push(format_args!(" [remaining caplen({available}) < header length({header_len})]"));
        return Err(Truncated);
    }
    ip::print_payload(line, next, after(bytes, header_len), total_len - header_len, &ip)
}

/// Bytes of header and payload; `None` where they cannot be.
fn total_length(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
    header_len: usize,
) -> Result<Option<usize>, Truncated> {
    let total_len = usize::from(u16_at(bytes, 2)?);
    if length < total_len {
        line.push(format_args!("truncated-ip - {} bytes missing! ", total_len - length));
    }
    if total_len >= header_len {
        return Ok(Some(total_len));
    }
    line.push(format_args!("bad-len {total_len}"));
    Ok(None)
}

/// The part in parentheses, and whether the options are all there.
fn print_header(line: &mut Line<'_>, bytes: &[u8], header_len: usize) -> Result<bool, Truncated> {
    let tos = u8_at(bytes, 1)?;
    line.push(format_args!("(tos 0x{tos:x}"));
    line.text(["", ",ECT(1)", ",ECT(0)", ",CE"][usize::from(tos & 3)]);
    let ttl = u8_at(bytes, 8)?;
    if ttl > 0 {
        line.push(format_args!(", ttl {ttl}"));
    }
    let (id, fragment, next) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?, u8_at(bytes, 9)?);
    let offset = u32::from(fragment & OFFSET) * 8;
    line.push(format_args!(", id {id}, offset {offset}, flags ["));
    line.bits(FLAG_NAMES, fragment & FLAGS, ", ");
    let name = numbers::name(IP_PROTOCOLS, next).unwrap_or("unknown");
    line.push(format_args!("], proto {name} ({next}), length {}", u16_at(bytes, 2)?));
    let mut whole = true;
    if header_len > HEADER {
        line.text(", options (");
        if ipv4_options::print(line, after(bytes, HEADER), header_len - HEADER)?.is_break() {
            line.text(" [truncated-option]");
            whole = false;
        }
        line.text(")");
    }
    if let Some(header) = bytes.get(..header_len)
        && !line.options.unverified
    {
        let sum = checksum(Sum::ZERO, header);
        if sum != 0 {
            let found = u16_at(bytes, 10)?;
            line.push(format_args!(", bad cksum {found:x} (->{:x})!", expected(found, sum)));
        }
    }
    line.text(")\n    ");
    Ok(whole)
}
