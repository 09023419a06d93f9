//! UDP (RFC 768).

use super::{
    dns,
    ip::{Pseudo, expected, protocol},
    line::{Line, Printed, Truncated, after, u16_at},
    names::Transport,
    text, vxlan,
};

const HEADER: usize = 8;

/// Prints a datagram.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize, ip: &Pseudo<'_>) -> Printed {
    line.protocol("udp");
    if bytes.len() < 4 {
        // Behind an extension header the addresses have been printed already.
        ip.print_addresses_of(line, protocol::UDP);
        line.mark();
        return Ok(());
    }
    let (sport, dport) = (u16_at(bytes, 0)?, u16_at(bytes, 2)?);
    ip.print_ports(line, Transport::Udp, sport, dport);
    if length < HEADER {
        line.push(format_args!("truncated-udp {length}"));
        return Ok(());
    }
    let Ok(said) = u16_at(bytes, 4) else {
        line.mark();
        return Ok(());
    };
    // A jumbo datagram (RFC 2675, section 4) says nothing.
    let said = if said == 0 && length > 65535 { length } else { usize::from(said) };
    if said < HEADER {
        line.push(format_args!("truncated-udplength {said}"));
        return Ok(());
    }
    if bytes.len() < HEADER {
        line.mark();
        return Ok(());
    }
    let said = said - HEADER;
    let length = said.min(length - HEADER);
    print_checksum(line, bytes, length + HEADER, ip)?;
    if !line.options.quick && print_payload(line, after(bytes, HEADER), length, (sport, dport))? {
        return Ok(());
    }
    if said > length && !ip.fragmented {
        line.push(format_args!("UDP, bad length {said} > {length}"));
    } else {
        line.push(format_args!("UDP, length {said}"));
    }
    Ok(())
}

/// Over IPv6, where a checksum must be, from `-v` on; over IPv4 from `-vv` on.
fn print_checksum(line: &mut Line<'_>, bytes: &[u8], length: usize, ip: &Pseudo<'_>) -> Printed {
    let from = if ip.is_v4() { 2 } else { 1 };
    if ip.fragmented || line.options.unverified || line.options.verbose < from {
        return Ok(());
    }
    let found = u16_at(bytes, 6)?;
    if ip.is_v4() && found == 0 {
        line.text("[no cksum] ");
        return Ok(());
    }
    if bytes.len() < length {
        return Ok(());
    }
    match ip.checksum(bytes, length, protocol::UDP)? {
        0 => line.text("[udp sum ok] "),
        sum => {
            let expected = expected(found, sum);
            line.push(format_args!("[bad udp cksum 0x{found:04x} -> 0x{expected:04x}!] "));
        }
    }
    Ok(())
}

/// The payload of protocols that have a file here; whether it is one of them.
fn print_payload(
    line: &mut Line<'_>,
    payload: &[u8],
    length: usize,
    ports: (u16, u16),
) -> Result<bool, Truncated> {
    let is = |port: u16| ports.0 == port || ports.1 == port;
    if is(53) {
        dns::print(line, payload, length, dns::Over::Udp)?;
    } else if is(5353) {
        dns::print(line, payload, length, dns::Over::Multicast)?;
    } else if is(5060) {
        text::SIP.print(line, payload, length)?;
    } else if is(vxlan::PORT) || line.options.vxlan_ports.iter().any(|port| is(*port)) {
        vxlan::print(line, payload, length)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}
