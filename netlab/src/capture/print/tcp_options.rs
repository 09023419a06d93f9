//! TCP options (RFC 9293, section 3.2).

use std::ops::ControlFlow;

use super::{
    line::{Line, Truncated, after, first, u8_at, u16_at, u32_at},
    mptcp,
    numbers::{self, Table},
};

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const ECHO: u8 = 6;
const ECHO_REPLY: u8 = 7;
const TIMESTAMP: u8 = 8;
const CC: u8 = 11;
const CC_ECHO: u8 = 13;
const SIGNATURE: u8 = 19;
const SCPS: u8 = 20;
const USER_TIMEOUT: u8 = 28;
const AUTHENTICATION: u8 = 29;
const MULTIPATH: u8 = 30;
const FAST_OPEN: u8 = 34;
const EXPERIMENT: u8 = 254;

const NAMES: Table<u8> = &[
    (END, "eol"),
    (NOP, "nop"),
    (MSS, "mss"),
    (WINDOW_SCALE, "wscale"),
    (SACK_PERMITTED, "sackOK"),
    (SACK, "sack"),
    (ECHO, "echo"),
    (ECHO_REPLY, "echoreply"),
    (TIMESTAMP, "TS"),
    (CC, "cc"),
    (12, "ccnew"),
    (CC_ECHO, ""),
    (SIGNATURE, "md5"),
    (SCPS, "scps"),
    (USER_TIMEOUT, "uto"),
    (AUTHENTICATION, "tcp-ao"),
    (MULTIPATH, "mptcp"),
    (FAST_OPEN, "tfo"),
    (EXPERIMENT, "exp"),
];

/// What some options need of their segment.
pub(super) struct Segment {
    pub flags: u8,
    /// What is taken off the sequence numbers in SACK blocks.
    pub sack_base: u32,
    /// Whether all of it was captured.
    pub whole: bool,
}

/// Why printing ends within an option.
enum Stop {
    /// It cannot be as it is.
    Bad,
    /// It goes on behind what was captured.
    Cut,
    /// So does a field that tcpdump reads without asking.
    Truncated,
}

impl From<Truncated> for Stop {
    fn from(Truncated: Truncated) -> Self {
        Self::Truncated
    }
}

/// Prints `length` bytes of options, and whether the line goes on after them.
pub(super) fn print(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
    segment: &Segment,
) -> Result<ControlFlow<()>, Truncated> {
    if length == 0 {
        return Ok(ControlFlow::Continue(()));
    }
    line.text(", options [");
    let mut rest = Rest { bytes, left: length };
    let mut separated = false;
    while rest.left > 0 {
        if separated {
            line.text(",");
        }
        match option(line, &mut rest, segment) {
            Ok(END) => break,
            Ok(_) => separated = true,
            Err(Stop::Truncated) => return Err(Truncated),
            Err(Stop::Bad) => {
                line.text(if separated { "[bad opt]]" } else { "[bad opt]" });
                return Ok(ControlFlow::Break(()));
            }
            Err(Stop::Cut) => {
                line.mark();
                line.text(if separated { ">" } else { "" });
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    line.text("]");
    Ok(ControlFlow::Continue(()))
}

/// Options that are still to be printed.
struct Rest<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl<'a> Rest<'a> {
    fn skip(&mut self, count: usize) {
        self.bytes = after(self.bytes, count);
        self.left = self.left.saturating_sub(count);
    }

    /// The next `count` bytes, which must be there.
    fn need(&self, count: usize) -> Result<&'a [u8], Stop> {
        if count > self.left {
            return Err(Stop::Bad);
        }
        self.bytes.get(..count).ok_or(Stop::Cut)
    }
}

/// Prints one option, and tells its kind.
fn option(line: &mut Line<'_>, rest: &mut Rest<'_>, segment: &Segment) -> Result<u8, Stop> {
    let begin = rest.bytes;
    let kind = u8_at(begin, 0)?;
    let mut len = 1;
    let single = matches!(kind, END | NOP);
    if !single {
        len = usize::from(u8_at(begin, 1)?);
        if len < 2 || len > rest.left {
            return Err(Stop::Bad);
        }
        rest.skip(1);
    }
    rest.skip(1);
    match numbers::name(NAMES, kind) {
        Some(name) => line.text(name),
        None => line.push(format_args!("unknown-{kind}")),
    }
    let data_len = match kind {
        END | NOP | SACK_PERMITTED => 0,
        MULTIPATH => {
            rest.need(len - 2)?;
            mptcp::print(line, first(begin, len), segment.flags)?.ok_or(Stop::Bad)?;
            len - 2
        }
        SIGNATURE => signature(line, rest, segment)?,
        _ => data(line, kind, rest, len.saturating_sub(2), segment)?,
    };
    rest.skip(data_len);
    if data_len + if single { 1 } else { 2 } != len {
        line.push(format_args!("[len {len}]"));
    }
    Ok(kind)
}

/// Prints what an option holds, and tells how much of it that was.
fn data(
    line: &mut Line<'_>,
    kind: u8,
    rest: &Rest<'_>,
    len: usize,
    segment: &Segment,
) -> Result<usize, Stop> {
    match kind {
        MSS => line.push(format_args!(" {}", u16_at(rest.need(2)?, 0)?)),
        WINDOW_SCALE => line.push(format_args!(" {}", u8_at(rest.need(1)?, 0)?)),
        ECHO | ECHO_REPLY | CC..=CC_ECHO => {
            line.push(format_args!(" {}", u32_at(rest.need(4)?, 0)?));
        }
        TIMESTAMP => {
            let data = rest.need(8)?;
            line.push(format_args!(" val {} ecr {}", u32_at(data, 0)?, u32_at(data, 4)?));
        }
        SCPS => {
            let data = rest.need(2)?;
            line.push(format_args!(" cap {:02x} id {}", u8_at(data, 0)?, u8_at(data, 1)?));
        }
        USER_TIMEOUT => {
            let value = u16_at(rest.need(2)?, 0)?;
            // The lowest bit says minutes (RFC 5482, section 3.1).
            let seconds = u32::from(value >> 1) * if value & 1 == 1 { 60 } else { 1 };
            line.push(format_args!(" 0x{value:x} {seconds}"));
        }
        SACK => sack(line, rest, len, segment.sack_base)?,
        AUTHENTICATION => authentication(line, rest, len)?,
        FAST_OPEN => {
            let cookie = rest.need(len)?;
            line.text(" ");
            fast_open(line, cookie);
        }
        EXPERIMENT => {
            let data = rest.need(len)?;
            if len < 2 {
                return Err(Stop::Bad);
            }
            // Experiments tell themselves apart by a number (RFC 6994).
            line.text("-");
            match u16_at(data, 0)? {
                0xf989 => {
                    line.text("tfo");
                    fast_open(line, after(data, 2));
                }
                other => line.push(format_args!("{other:04x}")),
            }
        }
        _ => {
            line.text(if len > 0 { " 0x" } else { "" });
            hex(line, rest, 0, len)?;
        }
    }
    Ok(match kind {
        MSS | SCPS | USER_TIMEOUT => 2,
        WINDOW_SCALE => 1,
        ECHO | ECHO_REPLY | CC..=CC_ECHO => 4,
        TIMESTAMP => 8,
        _ => len,
    })
}

fn hex(line: &mut Line<'_>, rest: &Rest<'_>, from: usize, to: usize) -> Result<(), Stop> {
    for at in from..to {
        line.push(format_args!("{:02x}", u8_at(rest.need(at + 1)?, at)?));
    }
    Ok(())
}

/// RFC 2018.
fn sack(line: &mut Line<'_>, rest: &Rest<'_>, len: usize, base: u32) -> Result<(), Stop> {
    if !len.is_multiple_of(8) {
        line.text(" invalid sack");
        return Ok(());
    }
    line.push(format_args!(" {} ", len / 8));
    for at in (0..len).step_by(8) {
        let begin = u32_at(rest.need(at + 4)?, at)?.wrapping_sub(base);
        let end = u32_at(rest.need(at + 8)?, at + 4)?.wrapping_sub(base);
        line.push(format_args!("{{{begin}:{end}}}"));
    }
    Ok(())
}

/// RFC 5925. At least two bytes (section 2.2).
fn authentication(line: &mut Line<'_>, rest: &Rest<'_>, len: usize) -> Result<(), Stop> {
    if len < 2 {
        line.invalid();
        return Ok(());
    }
    line.push(format_args!(" keyid {}", u8_at(rest.need(1)?, 0)?));
    line.push(format_args!(" rnextkeyid {}", u8_at(rest.need(2)?, 1)?));
    if len > 2 {
        line.text(" mac 0x");
        hex(line, rest, 2, len)?;
    }
    Ok(())
}

/// RFC 2385. There is no way to give the secret, so nothing can be verified.
fn signature(line: &mut Line<'_>, rest: &Rest<'_>, segment: &Segment) -> Result<usize, Stop> {
    const LEN: usize = 16;
    rest.need(LEN)?;
    line.text(if segment.whole {
        " shared secret not supplied with -M, "
    } else {
        " snaplen too short, "
    });
    line.text("can't check - ");
    hex(line, rest, 0, LEN)?;
    Ok(LEN)
}

/// RFC 7413.
fn fast_open(line: &mut Line<'_>, cookie: &[u8]) {
    match cookie.len() {
        0 => line.text(" cookiereq"),
        4..=16 if cookie.len().is_multiple_of(2) => {
            line.text(" cookie ");
            for byte in cookie {
                line.push(format_args!("{byte:02x}"));
            }
        }
        _ => line.invalid(),
    }
}
