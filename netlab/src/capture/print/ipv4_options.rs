//! IPv4 options (RFC 791, section 3.1).

use std::ops::ControlFlow;

use super::{
    ip::Address,
    line::{Line, Truncated, after, take, u8_at, u16_at, u32_at},
    numbers::{self, Table},
};

const END: u8 = 0;
const NOP: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

const NAMES: Table<u8> = &[
    (END, "EOL"),
    (NOP, "NOP"),
    (TIMESTAMP, "timestamp"),
    (130, "security"),
    (RECORD_ROUTE, "RR"),
    (STRICT_ROUTE, "SSRR"),
    (LOOSE_ROUTE, "LSRR"),
    (ROUTER_ALERT, "RA"),
    (82, "traceroute"),
];

/// Whether an option was there.
type Option = Result<ControlFlow<()>, Truncated>;

const GO_ON: Option = Ok(ControlFlow::Continue(()));
/// The option goes on behind what was captured.
const CUT: Option = Ok(ControlFlow::Break(()));

/// Prints `length` bytes of options.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Option {
    let (mut rest, mut left) = (bytes, length);
    let mut separator = "";
    while left > 0 {
        line.text(separator);
        separator = ",";
        let code = u8_at(rest, 0)?;
        match numbers::name(NAMES, code) {
            Some(name) => line.text(name),
            None => line.push(format_args!("unknown {code}")),
        }
        let len = if matches!(code, NOP | END) { 1 } else { usize::from(u8_at(rest, 1)?) };
        if len > left || (len < 2 && !matches!(code, NOP | END)) {
            line.push(format_args!(" [bad length {len}]"));
            return GO_ON;
        }
        if rest.len() < len {
            return CUT;
        }
        let printed = match code {
            END => return GO_ON,
            TIMESTAMP => timestamps(line, rest, len)?,
            RECORD_ROUTE | STRICT_ROUTE | LOOSE_ROUTE => route(line, rest, len)?,
            ROUTER_ALERT => router_alert(line, rest, len)?,
            _ => ControlFlow::Continue(()),
        };
        if printed.is_break() {
            return CUT;
        }
        rest = after(rest, len);
        left -= len;
    }
    GO_ON
}

fn route(line: &mut Line<'_>, option: &[u8], len: usize) -> Option {
    if len < 3 {
        line.push(format_args!(" [bad length {len}]"));
        return GO_ON;
    }
    if (len + 1) & 3 != 0 {
        line.push(format_args!(" [bad length {len}]"));
    }
    let pointer = usize::from(u8_at(option, 2)?);
    if pointer < 4 || pointer & 3 != 0 || pointer - 1 > len + 1 {
        line.push(format_args!(" [bad ptr {pointer}]"));
    }
    // tcpdump's pointer counts from zero, and wraps below it.
    let pointer = pointer.wrapping_sub(1);
    for at in (3..len).step_by(4) {
        let Ok(hop) = take(option, at) else { return CUT };
        line.text(" ");
        line.address(Address::V4(hop));
        if pointer > at {
            line.text(",");
        }
    }
    GO_ON
}

fn timestamps(line: &mut Line<'_>, option: &[u8], len: usize) -> Option {
    if len < 4 {
        line.push(format_args!("[bad length {len}]"));
        return GO_ON;
    }
    line.text(" TS{");
    let flags = u8_at(option, 3)?;
    let hop_len = if flags & 0x0f == 0 { 4 } else { 8 };
    if (len - 4) & (hop_len - 1) != 0 {
        line.push(format_args!("[bad length {len}]"));
    }
    let pointer = usize::from(u8_at(option, 2)?);
    if pointer < 5 || (pointer - 5) & (hop_len - 1) != 0 || pointer - 1 > len + 1 {
        line.push(format_args!("[bad ptr {pointer}]"));
    }
    let pointer = pointer.wrapping_sub(1);
    let mut at = 0;
    let kind = match flags & 0x0f {
        0 => Some("TSONLY"),
        1 => Some("TS+ADDR"),
        3 => Some("PRESPEC"),
        kind => {
            line.push(format_args!("[bad ts type {kind}]"));
            None
        }
    };
    if let Some(kind) = kind {
        line.text(kind);
        at = 4;
        while at < len {
            if option.len() < at + hop_len {
                return CUT;
            }
            line.text(if pointer == at { " ^ " } else { " " });
            line.push(format_args!("{}@", u32_at(option, at + hop_len - 4)?));
            if hop_len == 8 {
                line.address(Address::V4(take(option, at)?));
            }
            at += hop_len;
        }
    }
    line.text(if pointer == at { " ^ " } else { "" });
    match flags >> 4 {
        0 => line.text("}"),
        missed => line.push(format_args!(" [{missed} hops not recorded]}} ")),
    }
    GO_ON
}

fn router_alert(line: &mut Line<'_>, option: &[u8], len: usize) -> Option {
    if len < 4 {
        line.push(format_args!(" [bad length {len}]"));
        return GO_ON;
    }
    match u16_at(option, 2)? {
        0 => {}
        value => line.push(format_args!(" value {value}")),
    }
    GO_ON
}

/// Where a packet ends up: the last address of a source route, or the header's destination.
pub(super) fn last_destination(packet: &[u8]) -> Result<[u8; 4], Truncated> {
    let destination = take(packet, 16)?;
    let mut left = (usize::from(u8_at(packet, 0)? & 0x0f) * 4).saturating_sub(20);
    let mut rest = after(packet, 20);
    while left > 0 {
        let code = u8_at(rest, 0)?;
        let len = match code {
            END => break,
            NOP => 1,
            _ => usize::from(u8_at(rest, 1)?),
        };
        if (code != NOP && len < 2) || left < len || rest.len() < len {
            break;
        }
        if matches!(code, STRICT_ROUTE | LOOSE_ROUTE) && len >= 7 {
            return take(rest, len - 4);
        }
        rest = after(rest, len);
        left -= len;
    }
    Ok(destination)
}
