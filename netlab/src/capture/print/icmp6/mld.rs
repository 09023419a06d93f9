//! Multicast listener discovery, versions 1 (RFC 2710) and 2 (RFC 3810).

use super::super::ip::Address;
use super::super::line::{Line, Printed, take, u8_at, u16_at};
use super::print_address;

/// How long a message of version 1 is.
pub(super) const LENGTH: usize = 24;
/// How long a query of version 2 is at least.
const QUERY: usize = 28;
const RECORD: usize = 20;
const ADDRESS: usize = 16;

/// Prints a message of version 1, if all of it was captured.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8]) {
    if let (Ok(delay), Ok(group)) = (u16_at(bytes, 4), take(bytes, 8)) {
        line.push(format_args!("max resp delay: {delay} addr: "));
        line.address(Address::V6(group));
    }
}

/// Prints a query that is not of version 1 (RFC 3810, section 5.1).
pub(super) fn query_v2(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    if length < QUERY {
        line.push(format_args!(" unknown-version (len {length}) "));
        return Ok(());
    }
    line.text(" v2");
    let verbose = line.options.verbose;
    let code = u16_at(bytes, 4)?;
    if verbose > 0 {
        let delay = match u32::from(code) {
            short @ ..0x8000 => short,
            float => (float & 0x0fff | 0x1000) << ((float >> 12 & 7) + 3),
        };
        line.push(format_args!(" [max resp delay={delay}]"));
    }
    print_address(line, " [gaddr ", bytes, 8)?;
    if verbose > 0 {
        let flags = u8_at(bytes, 24)?;
        if flags & 0x08 != 0 {
            line.text(" sflag");
        }
        if flags & 0x07 != 0 {
            line.push(format_args!(" robustness={}", flags & 0x07));
        }
        let code = u8_at(bytes, 25)?;
        let interval = match u32::from(code) {
            short @ ..0x80 => short,
            float => (float & 0x0f | 0x10) << ((float >> 4 & 7) + 3),
        };
        line.push(format_args!(" qqi={interval}"));
    }
    let sources = u16_at(bytes, 26)?;
    if sources > 0 {
        if length < QUERY + usize::from(sources) * ADDRESS {
            line.text(" [invalid number of sources]");
        } else if verbose > 1 {
            addresses(line, bytes, QUERY, sources)?;
        } else {
            line.push(format_args!(", {sources} source(s)"));
        }
    }
    line.text("]");
    Ok(())
}

/// Prints a report of version 2 (RFC 3810, section 5.2).
pub(super) fn report_v2(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    if length < 8 {
        line.push(format_args!(" [invalid len {length}]"));
        return Ok(());
    }
    let groups = u16_at(bytes, 6)?;
    line.push(format_args!(", {groups} group record(s)"));
    if line.options.verbose == 0 {
        return Ok(());
    }
    let mut at = 8;
    for _ in 0..groups {
        if length < at + RECORD {
            line.text(" [invalid number of groups]");
            return Ok(());
        }
        print_address(line, " [gaddr ", bytes, at + 4)?;
        let kind = u8_at(bytes, at)?;
        match kind.checked_sub(1).and_then(|i| KINDS.get(usize::from(i))) {
            Some(kind) => line.push(format_args!(" {kind}")),
            None => line.push(format_args!("  [v2-report-#{kind}]")),
        }
        let sources = u16_at(bytes, at + 2)?;
        let end = at + RECORD + usize::from(sources) * ADDRESS;
        if length < end {
            line.push(format_args!(" [invalid number of sources {sources}]"));
            return Ok(());
        }
        if line.options.verbose == 1 {
            line.push(format_args!(", {sources} source(s)"));
        } else {
            addresses(line, bytes, at + RECORD, sources)?;
        }
        line.text("]");
        at = end;
    }
    Ok(())
}

/// Record types from 1 on (RFC 3810, section 5.2.12).
const KINDS: [&str; 6] = ["is_in", "is_ex", "to_in", "to_ex", "allow", "block"];

fn addresses(line: &mut Line<'_>, bytes: &[u8], at: usize, count: u16) -> Printed {
    line.text(" {");
    for i in 0..usize::from(count) {
        print_address(line, " ", bytes, at + i * ADDRESS)?;
    }
    line.text(" }");
    Ok(())
}
