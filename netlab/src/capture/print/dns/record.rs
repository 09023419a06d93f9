//! Questions and resource records (RFC 1035, sections 4.1.2 and 4.1.3).

use super::super::ip::Address;
use super::super::line::{Cut, Line, take};
use super::{Message, edns, name, read, words};

/// In multicast DNS the top bit of a class is a flag of its own (RFC 6762, sections 5.4, 10.2).
const MULTICAST_FLAG: u16 = 0x8000;

/// Prints a question, and says where it ends.
pub(super) fn question(
    line: &mut Line<'_>,
    message: &Message<'_>,
    at: usize,
) -> Result<usize, Cut> {
    let bytes = message.bytes;
    let behind = name::skip(bytes, at)?;
    let [k0, k1, c0, c1] = read(bytes, behind)?;
    let class = u16::from_be_bytes([c0, c1]);
    words::kind(line, u16::from_be_bytes([k0, k1]));
    words::class(line, without_flag(message, class));
    if message.multicast {
        let unicast = class & MULTICAST_FLAG != 0;
        line.push(format_args!("{}", if unicast { " (QU)" } else { " (QM)" }));
    }
    line.text("? ");
    Ok(name::print(line, bytes, 0, at)? + 4)
}

/// Prints a record, and says where it ends.
///
/// A record whose header was not captured prints as nothing and ends the message.
pub(super) fn print(line: &mut Line<'_>, message: &Message<'_>, at: usize) -> Result<usize, Cut> {
    let bytes = message.bytes;
    let named = if line.verbose() {
        line.text(" ");
        Some(name::print(line, bytes, 0, at)?)
    } else {
        name::skip(bytes, at).ok()
    };
    let Some((at, header)) = named.and_then(|at| Some((at, read::<10>(bytes, at).ok()?))) else {
        return Ok(bytes.len());
    };
    let [k0, k1, c0, c1, t0, t1, t2, t3, l0, l1] = header;
    let kind = u16::from_be_bytes([k0, k1]);
    let class = u16::from_be_bytes([c0, c1]);
    let record = Record {
        kind,
        class: without_flag(message, class),
        flags: u16::from_be_bytes([t2, t3]),
        at: at + header.len(),
        end: at + header.len() + usize::from(u16::from_be_bytes([l0, l1])),
    };
    if kind != words::OPT {
        words::class(line, record.class);
    }
    if message.multicast && class & MULTICAST_FLAG != 0 {
        line.text(" (Cache flush)");
    }
    if kind != words::OPT && line.options.verbose > 2 {
        line.text(" [");
        words::period(line, u32::from_be_bytes([t0, t1, t2, t3]));
        line.text("]");
    }
    words::kind(line, kind);
    if record.end > bytes.len() {
        return Err(Cut::Part);
    }
    record.print(line, bytes)?;
    Ok(record.end)
}

fn without_flag(message: &Message<'_>, class: u16) -> u16 {
    if message.multicast { class & !MULTICAST_FLAG } else { class }
}

/// A record whose data was captured.
struct Record {
    kind: u16,
    class: u16,
    /// The lower half of an OPT record's TTL (RFC 6891, section 6.1.3).
    flags: u16,
    /// Where the data are.
    at: usize,
    end: usize,
}

impl Record {
    /// Prints the data.
    fn print(&self, line: &mut Line<'_>, bytes: &[u8]) -> Result<(), Cut> {
        let at = self.at;
        match self.kind {
            words::A => {
                line.push(format_args!(" {}", Address::V4(read(bytes, at)?)));
            }
            words::AAAA => line.push(format_args!(" {}", Address::V6(read(bytes, at)?))),
            words::NS | words::CNAME | words::PTR | words::DNAME => {
                spaced_name(line, bytes, at)?;
            }
            words::SOA if line.verbose() => start_of_authority(line, bytes, at)?,
            words::MX => {
                line.text(" ");
                let preference = u16::from_be_bytes(read(bytes, at)?);
                name::print(line, bytes, 0, at + 2)?;
                line.push(format_args!(" {preference}"));
            }
            words::TXT => self.strings(line, bytes)?,
            words::SRV => service(line, bytes, at)?,
            words::A6 => address_and_prefix(line, bytes, at)?,
            words::URI => self.uri(line, bytes)?,
            words::OPT => {
                line.push(format_args!(" UDPsize={}", self.class));
                if self.flags & 0x8000 != 0 {
                    line.text(" DO");
                }
                edns::options(line, bytes, at, self.end)?;
            }
            words::UNSPECA => name::text(line, bytes, at, self.end - at)?,
            words::TSIG if line.verbose() => signature(line, bytes, at)?,
            _ => {}
        }
        Ok(())
    }

    /// Text strings (RFC 1035, section 3.3.14).
    fn strings(&self, line: &mut Line<'_>, bytes: &[u8]) -> Result<(), Cut> {
        let mut at = self.at;
        while at < self.end {
            line.text(" \"");
            at = name::character_string(line, bytes, at)?;
            line.text("\"");
        }
        Ok(())
    }

    /// Priority, weight, target (RFC 7553, section 4.5).
    fn uri(&self, line: &mut Line<'_>, bytes: &[u8]) -> Result<(), Cut> {
        let [p0, p1, w0, w1] = take(bytes, self.at)?;
        let (priority, weight) = (u16::from_be_bytes([p0, p1]), u16::from_be_bytes([w0, w1]));
        line.push(format_args!(" {priority} {weight} "));
        // Data too short for both are followed by whatever the capture holds.
        let length = (self.end - self.at).checked_sub(4).unwrap_or(usize::MAX);
        name::text(line, bytes, self.at + 4, length)
    }
}

fn spaced_name(line: &mut Line<'_>, bytes: &[u8], at: usize) -> Result<usize, Cut> {
    line.text(" ");
    name::print(line, bytes, 0, at)
}

/// RFC 1035, section 3.3.13.
fn start_of_authority(line: &mut Line<'_>, bytes: &[u8], at: usize) -> Result<(), Cut> {
    let at = spaced_name(line, bytes, at)?;
    let at = spaced_name(line, bytes, at)?;
    let numbers: [u8; 20] = read(bytes, at)?;
    for number in numbers.as_chunks::<4>().0 {
        line.push(format_args!(" {}", u32::from_be_bytes(*number)));
    }
    Ok(())
}

/// RFC 2782.
fn service(line: &mut Line<'_>, bytes: &[u8], at: usize) -> Result<(), Cut> {
    line.text(" ");
    let [p0, p1, w0, w1, o0, o1] = read(bytes, at)?;
    name::print(line, bytes, 0, at + 6)?;
    let [priority, weight, port] = [[p0, p1], [w0, w1], [o0, o1]].map(u16::from_be_bytes);
    line.push(format_args!(":{port} {priority} {weight}"));
    Ok(())
}

/// A6: the end of an address, and the name of its beginning (RFC 2874, section 3.1).
fn address_and_prefix(line: &mut Line<'_>, bytes: &[u8], at: usize) -> Result<(), Cut> {
    let [bits] = read(bytes, at)?;
    let skipped = usize::from(bits / 8);
    if bits > 128 {
        line.push(format_args!(" {bits}(bad plen)"));
        return Ok(());
    }
    if bits < 128 {
        let mut address = [0; 16];
        let end = bytes.get(at + 1..at + 17 - skipped).ok_or(Cut::Line)?;
        address[skipped..].copy_from_slice(end);
        line.push(format_args!(" {bits} {}", Address::V6(address)));
    }
    if bits > 0 {
        spaced_name(line, bytes, at + 17 - skipped)?;
    }
    Ok(())
}

/// A transaction signature (RFC 8945, section 4.2).
fn signature(line: &mut Line<'_>, bytes: &[u8], at: usize) -> Result<(), Cut> {
    let number = |at| read(bytes, at).map(u16::from_be_bytes);
    let at = spaced_name(line, bytes, at)? + 6;
    line.push(format_args!(" fudge={}", number(at)?));
    let length = number(at + 2)?;
    line.push(format_args!(" maclen={length}"));
    let at = at + 4 + usize::from(length);
    for (at, name) in [(at, "origid"), (at + 2, "error"), (at + 4, "otherlen")] {
        line.push(format_args!(" {name}={}", number(at)?));
    }
    Ok(())
}
