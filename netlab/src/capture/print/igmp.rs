//! IGMP (RFC 3376), with which hosts join multicast groups. Of the routing protocols that came
//! in its messages (DVMRP, PIM version 1) only the name is printed.

use netlab_common::checksum::Sum;

use super::{
    ip::{Address, checksum},
    line::{Line, Printed, Truncated, after, first, take, u8_at, u16_at, u32_at},
    numbers::{self, Table},
};

const RECORDS: Table<u8> =
    &[(1, "is_in"), (2, "is_ex"), (3, "to_in"), (4, "to_ex"), (5, "allow"), (6, "block")];

/// Prints a message.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.protocol("igmp");
    if line.options.quick {
        line.text("igmp");
        return Ok(());
    }
    match u8_at(bytes, 0)? {
        0x11 if length >= 12 => print_query(line, bytes, length)?,
        0x11 => print_old_query(line, bytes, length)?,
        0x12 => {
            print_group(line, "igmp v1 report ", bytes, 4)?;
            if length != 8 {
                line.push(format_args!(" [len {length}]"));
            }
        }
        0x13 => line.text("igmp dvmrp"),
        0x14 => line.text("igmp pimv1"),
        0x16 => print_group(line, "igmp v2 report ", bytes, 4)?,
        0x17 => print_group(line, "igmp leave ", bytes, 4)?,
        0x1e => print_trace(line, "mresp", bytes, length)?,
        0x1f => print_trace(line, "mtrace", bytes, length)?,
        0x22 => print_report(line, bytes, length)?,
        kind => line.push(format_args!("igmp-{kind}")),
    }
    let whole = bytes.len() >= length;
    if line.verbose() && length >= 4 && whole && checksum(Sum::ZERO, first(bytes, length)) != 0 {
        line.push(format_args!(" bad igmp cksum {:x}!", u16_at(bytes, 2)?));
    }
    Ok(())
}

fn print_group(line: &mut Line<'_>, name: &str, bytes: &[u8], at: usize) -> Printed {
    // Nothing is printed before the address is known to be there.
    let group = take(bytes, at)?;
    line.text(name);
    line.address(Address::V4(group));
    Ok(())
}

fn print_sources(line: &mut Line<'_>, sources: &[u8], count: usize) -> Printed {
    line.text(" {");
    for number in 0..count {
        print_group(line, " ", sources, number * 4)?;
    }
    line.text(" }");
    Ok(())
}

/// Versions 1 and 2.
fn print_old_query(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.text("igmp query");
    match u8_at(bytes, 1)? {
        0 => line.text(" v1"),
        100 => line.text(" v2"),
        time => line.push(format_args!(" v2 [max resp time {time}]")),
    }
    if u32_at(bytes, 4)? != 0 {
        print_group(line, " [gaddr ", bytes, 4)?;
        line.text("]");
    }
    if length != 8 {
        line.push(format_args!(" [len {length}]"));
    }
    Ok(())
}

/// Version 3.
fn print_query(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.text("igmp query v3");
    if !length.is_multiple_of(4) {
        line.push(format_args!(" [invalid len {length}]"));
        return Ok(());
    }
    let code = u8_at(bytes, 1)?;
    if code != 100 {
        // Tenths of a second; from 128 on a floating-point number (section 4.1.1).
        let tenths = match code {
            0..128 => u32::from(code),
            _ => u32::from(code & 0x0f | 0x10) << ((code >> 4 & 7) + 3),
        };
        let (minutes, seconds) = (tenths / 600, tenths / 10 % 60);
        match (minutes, seconds) {
            (0, _) => line.push(format_args!(" [max resp time {seconds}.{}s]", tenths % 10)),
            (_, 0) => line.push(format_args!(" [max resp time {minutes}m]")),
            _ => line.push(format_args!(" [max resp time {minutes}m{seconds}s]")),
        }
    }
    if u32_at(bytes, 4)? == 0 {
        return Ok(());
    }
    print_group(line, " [gaddr ", bytes, 4)?;
    let sources = usize::from(u16_at(bytes, 10)?);
    if length < 12 + sources * 4 {
        line.text(" [invalid number of sources]");
    } else if sources > 0 && line.options.verbose > 1 {
        print_sources(line, after(bytes, 12), sources)?;
    } else if sources > 0 {
        line.push(format_args!(", {sources} source(s)"));
    }
    line.text("]");
    Ok(())
}

fn print_report(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.text("igmp v3 report");
    if length < 16 || !length.is_multiple_of(4) {
        line.push(format_args!(" [invalid len {length}]"));
        return Ok(());
    }
    let groups = u16_at(bytes, 6)?;
    line.push(format_args!(", {groups} group record(s)"));
    if !line.verbose() {
        return Ok(());
    }
    let mut at = 8;
    for _ in 0..groups {
        if length < at + 8 {
            line.text(" [invalid number of groups]");
            return Ok(());
        }
        let Some(record_len) = print_record(line, after(bytes, at), length - at)? else {
            return Ok(());
        };
        at += record_len;
    }
    Ok(())
}

/// Prints what a report says of a group, and tells how long that is, if it can be.
fn print_record(
    line: &mut Line<'_>,
    record: &[u8],
    left: usize,
) -> Result<Option<usize>, Truncated> {
    print_group(line, " [gaddr ", record, 4)?;
    let kind = u8_at(record, 0)?;
    match numbers::name(RECORDS, kind) {
        Some(name) => line.push(format_args!(" {name}")),
        None => line.push(format_args!("  [v3-report-#{kind}]")),
    }
    let sources = usize::from(u16_at(record, 2)?);
    let len = 8 + sources * 4;
    if left < len {
        line.push(format_args!(" [invalid number of sources {sources}]"));
        return Ok(None);
    }
    if line.options.verbose == 1 {
        line.push(format_args!(", {sources} source(s)"));
    } else {
        print_sources(line, after(record, 8), sources)?;
    }
    line.text("]");
    Ok(Some(len))
}

/// Multicast traceroute, version 1.
fn print_trace(line: &mut Line<'_>, name: &str, bytes: &[u8], length: usize) -> Printed {
    if length < 24 {
        line.push(format_args!(" [invalid len {length}]"));
        return Ok(());
    }
    let (source, destination, reply_to) = (take(bytes, 8)?, take(bytes, 12)?, take(bytes, 16)?);
    let [ttl, a, b, c] = take(bytes, 20)?;
    line.push(format_args!("{name} {}: ", u32::from_be_bytes([0, a, b, c])));
    line.address(Address::V4(source));
    line.text(" to ");
    line.address(Address::V4(destination));
    line.text(" reply-to ");
    line.address(Address::V4(reply_to));
    if reply_to[0] >> 4 == 0xe {
        line.push(format_args!(" with-ttl {ttl}"));
    }
    Ok(())
}
