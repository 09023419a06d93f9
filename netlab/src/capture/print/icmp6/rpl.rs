//! RPL, routing for lossy networks (RFC 6550).

use super::super::hex::hex;
use super::super::ip::Address;
use super::super::line::{Cut, Line, after, first, take, u8_at};
use super::super::numbers::{self, Table};

/// Where the messages begin: behind type, code and checksum.
const AT: usize = 4;
const OBJECT: usize = 24;
const DAG: usize = 16;

/// Prints a message; what it says under `-v`.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize, code: u8) -> Result<(), Cut> {
    if code & 0x80 != 0 {
        line.text(", (SEC) [worktodo]");
        return Ok(());
    }
    let name = match code {
        0 => "DODAG Information Solicitation",
        1 => "DODAG Information Object",
        2 => "Destination Advertisement Object",
        3 => "Destination Advertisement Object Ack",
        _ => {
            line.push(format_args!(", (CLR)RPL message, unknown code {code}"));
            return Ok(());
        }
    };
    line.push(format_args!(", (CLR){name}"));
    // The message is as long as what follows the checksum, or so tcpdump's callee is told
    // when fewer than four bytes are there.
    let length = length.wrapping_sub(AT);
    match code {
        _ if !line.verbose() => Ok(()),
        1 => information(line, bytes, length),
        2 => advertisement(line, bytes, length),
        3 => acknowledgement(line, bytes, length),
        _ => Ok(()),
    }
}

/// RFC 6550, section 6.3.1.
fn information(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Result<(), Cut> {
    if length < OBJECT {
        line.push(format_args!(" [length {length} < {OBJECT}]"));
        line.invalid();
        return Ok(());
    }
    let id = Address::V6(take(bytes, AT + 8)?);
    let [instance, _, r0, r1, mode, sequence] = take(bytes, AT)?;
    let rank = u16::from_be_bytes([r0, r1]);
    let grounded = if mode & 0x80 == 0 { "" } else { "grounded," };
    let preference = mode & 7;
    line.push(format_args!(
        " [dagid:{id},seq:{sequence},instance:{instance},rank:{rank},{grounded}mop:"
    ));
    match mode >> 3 & 7 {
        0 => line.text("nonstoring"),
        1 => line.text("storing"),
        2 => line.text("nonstoring-multicast"),
        3 => line.text("storing-multicast"),
        mode => line.push(format_args!("mop{mode}")),
    }
    line.push(format_args!(",prf:{preference}]"));
    options(line, bytes, AT + OBJECT, length - OBJECT)
}

/// RFC 6550, section 6.4.1.
fn advertisement(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Result<(), Cut> {
    // The structure that has to be there counts the identifier in, also where it is elided.
    take::<20>(bytes, AT).map_err(|_| Cut::Part)?;
    let [instance, flags, _, sequence] = take(bytes, AT)?;
    let named = flags & 0x40 != 0;
    let Some((id, used)) = identifier(bytes, length, named)? else {
        line.text(" [|length too short]");
        return Ok(());
    };
    let acknowledge = if flags & 0x80 == 0 { "" } else { ",acK" };
    let present = if named { ",Dagid" } else { "" };
    line.push(format_args!(
        " [dagid:{id},seq:{sequence},instance:{instance}{acknowledge}{present},{flags:02x}]"
    ));
    options(line, bytes, AT + used, length - used)
}

/// RFC 6550, section 6.5.1.
fn acknowledgement(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Result<(), Cut> {
    let [instance, flags, sequence, status] = take(bytes, AT).map_err(|_| Cut::Part)?;
    let Some((id, used)) = identifier(bytes, length, flags & 0x80 != 0)? else {
        line.text(" [|dao-length too short]");
        return Ok(());
    };
    line.push(format_args!(" [dagid:{id},seq:{sequence},instance:{instance},status:{status}]"));
    options(line, bytes, AT + used, length - used)
}

/// The identifier behind the first four bytes of a message and where that ends, unless the
/// message is too short for it.
fn identifier(bytes: &[u8], length: usize, present: bool) -> Result<Option<(String, usize)>, Cut> {
    if length < 4 {
        return Ok(None);
    }
    if !present {
        return Ok(Some(("<elided>".into(), 4)));
    }
    let id = Address::V6(take(bytes, AT + 4).map_err(|_| Cut::Part)?);
    Ok((length >= 4 + DAG).then(|| (id.to_string(), 4 + DAG)))
}

/// Prints options (RFC 6550, section 6.7) under `-vv`, their bytes under `-vvv`.
fn options(line: &mut Line<'_>, bytes: &[u8], mut at: usize, mut left: usize) -> Result<(), Cut> {
    if line.options.verbose < 2 {
        return Ok(());
    }
    while left > 0 {
        let kind = u8_at(bytes, at)?;
        let size = if kind == 0 {
            line.text(" opt:pad1");
            1
        } else {
            if left < 2 {
                return Err(Cut::Part);
            }
            let size = u8_at(bytes, at + 1)?;
            let size = usize::from(size) + 2;
            match numbers::name(NAMES, kind) {
                Some(name) => line.push(format_args!(" opt:{name} len:{size} ")),
                None => line.push(format_args!(" opt:subopt:{kind} len:{size} ")),
            }
            if bytes.len() < at + size || left < size {
                return Err(Cut::Part);
            }
            if line.options.verbose > 2 {
                hex(line.out, " ", first(after(bytes, at + 2), size - 2));
            }
            size
        };
        at += size;
        left -= size;
    }
    Ok(())
}

const NAMES: Table<u8> = &[
    (1, "padN"),
    (2, "metrics"),
    (3, "routinginfo"),
    (4, "config"),
    (5, "rpltarget"),
    (6, "transitinfo"),
    (8, "destprefix"),
    (9, "rpltargetdesc"),
];
