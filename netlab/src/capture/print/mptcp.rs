//! Multipath TCP (RFC 8684), as far as the option in the TCP header.

use super::{
    ip::Address,
    line::{Line, Truncated, after, take, u8_at, u16_at, u32_at, u64_at},
};

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// `None` where the option cannot be as it is.
type Option = Result<std::option::Option<()>, Truncated>;

const DONE: Option = Ok(Some(()));
const BAD: Option = Ok(None);

/// Prints an option: from its kind on, as long as it says, all captured.
pub(super) fn print(line: &mut Line<'_>, option: &[u8], flags: u8) -> Option {
    line.protocol("mptcp");
    if option.len() < 3 {
        return BAD;
    }
    line.push(format_args!(" {} ", option.len()));
    match u8_at(option, 2)? >> 4 {
        0 => capable(line, option, flags),
        1 => join(line, option, flags),
        2 => dss(line, option, flags),
        3 => add_address(line, option),
        4 => remove_address(line, option),
        5 => priority(line, option),
        6 => {
            line.text("fail");
            eight_bytes(option)?.map_or(BAD, |seq| {
                line.push(format_args!(" seq {seq}"));
                DONE
            })
        }
        7 => {
            line.text("fast-close");
            eight_bytes(option)?.map_or(BAD, |key| {
                line.push(format_args!(" key 0x{key:x}"));
                DONE
            })
        }
        _ => {
            line.text("unknown");
            DONE
        }
    }
}

/// The one field of an option of 12 bytes.
fn eight_bytes(option: &[u8]) -> Result<std::option::Option<u64>, Truncated> {
    if option.len() == 12 { u64_at(option, 4).map(Some) } else { Ok(None) }
}

fn capable(line: &mut Line<'_>, option: &[u8], flags: u8) -> Option {
    line.text("capable");
    let len = option.len();
    let syn = matches!(len, 4 | 12) && flags & SYN != 0;
    let ack = matches!(len, 20 | 22) && flags & (SYN | ACK) == ACK;
    if !syn && !ack {
        return BAD;
    }
    match u8_at(option, 2)? & 0x0f {
        version @ 0..=1 => line.push(format_args!(" v{version}")),
        version => {
            line.push(format_args!(" Unknown Version ({version})"));
            return DONE;
        }
    }
    line.text(if u8_at(option, 3)? & 0x80 != 0 { " csum" } else { "" });
    if len >= 12 {
        line.push(format_args!(" {{0x{:x}", u64_at(option, 4)?));
        if len >= 20 {
            line.push(format_args!(",0x{:x}", u64_at(option, 12)?));
        }
        line.text("}");
    }
    DONE
}

fn join(line: &mut Line<'_>, option: &[u8], flags: u8) -> Option {
    line.text("join");
    let len = option.len();
    let possible = match len {
        12 => flags & SYN != 0,
        16 => flags & (SYN | ACK) == SYN | ACK,
        24 => flags & ACK != 0,
        _ => false,
    };
    if !possible {
        return BAD;
    }
    if len != 24 {
        line.text(if u8_at(option, 2)? & 1 != 0 { " backup" } else { "" });
        line.push(format_args!(" id {}", u8_at(option, 3)?));
    }
    match len {
        12 => line.push(format_args!(
            " token 0x{:x} nonce 0x{:x}",
            u32_at(option, 4)?,
            u32_at(option, 8)?
        )),
        16 => line.push(format_args!(
            " hmac 0x{:x} nonce 0x{:x}",
            u64_at(option, 4)?,
            u32_at(option, 12)?
        )),
        _ => {
            line.text(" hmac 0x");
            for byte in after(option, 4) {
                line.push(format_args!("{byte:02x}"));
            }
        }
    }
    DONE
}

/// Data sequence signal: acknowledgement and mapping, each present or not, in 4 or 8 bytes.
fn dss(line: &mut Line<'_>, option: &[u8], flags: u8) -> Option {
    line.text("dss");
    if option.len() < 4 || flags & SYN != 0 {
        return BAD;
    }
    let has = u8_at(option, 3)?;
    line.text(if has & 0x10 != 0 { " fin" } else { "" });
    let mut rest = after(option, 4);
    let mut number = |line: &mut Line<'_>, name: &str, wide: bool| {
        let len = if wide { 8 } else { 4 };
        line.text(name);
        let (field, tail) = rest.split_at_checked(len)?;
        rest = tail;
        let value = field.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        line.push(format_args!("{value}"));
        Some(())
    };
    if has & 0x01 != 0 && number(line, " ack ", has & 0x02 != 0).is_none() {
        return BAD;
    }
    if has & 0x04 != 0 {
        if number(line, " seq ", has & 0x08 != 0).is_none() {
            return BAD;
        }
        let Ok(subflow) = u32_at(rest, 0) else { return BAD };
        line.push(format_args!(" subseq {subflow}"));
        let Ok(length) = u16_at(rest, 4) else { return BAD };
        line.push(format_args!(" len {length}"));
        rest = after(rest, 6);
        // Only where it was negotiated.
        if let Ok(checksum) = u16_at(rest, 0) {
            line.push(format_args!(" csum 0x{checksum:x}"));
            rest = after(rest, 2);
        }
    }
    if rest.is_empty() { DONE } else { BAD }
}

fn add_address(line: &mut Line<'_>, option: &[u8]) -> Option {
    line.text("add-addr");
    let len = option.len();
    let v4 = match len {
        8 | 10 | 16 | 18 => true,
        20 | 22 | 28 | 30 => false,
        _ => return BAD,
    };
    line.text(match u8_at(option, 2)? & 0x0f {
        6 => " v0-ip6",
        4 => " v0-ip4",
        1 => " v1-echo",
        0 => " v1",
        _ => " [bad version/echo]",
    });
    line.push(format_args!(" id {} ", u8_at(option, 3)?));
    let mut at = if v4 {
        line.address(Address::V4(take(option, 4)?));
        8
    } else {
        line.address(Address::V6(take(option, 4)?));
        20
    };
    if len - at == 2 || len - at == 10 {
        line.push(format_args!(":{}", u16_at(option, at)?));
        at += 2;
    }
    if len - at == 8 {
        line.push(format_args!(" hmac 0x{:x}", u64_at(option, at)?));
    }
    DONE
}

fn remove_address(line: &mut Line<'_>, option: &[u8]) -> Option {
    line.text("rem-addr");
    if option.len() < 4 {
        return BAD;
    }
    line.text(" id");
    for id in after(option, 3) {
        line.push(format_args!(" {id}"));
    }
    DONE
}

fn priority(line: &mut Line<'_>, option: &[u8]) -> Option {
    line.text("prio");
    if !matches!(option.len(), 3 | 4) {
        return BAD;
    }
    line.text(if u8_at(option, 2)? & 1 != 0 { " backup" } else { " non-backup" });
    if let Ok(id) = u8_at(option, 3) {
        line.push(format_args!(" id {id}"));
    }
    DONE
}
