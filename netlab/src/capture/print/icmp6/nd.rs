//! Neighbor discovery (RFC 4861) and its options.

use super::super::dns::print_name;
use super::super::hex::hex;
use super::super::ip::Address;
use super::super::line::{Cut, Line, Printed, after, first, take, u8_at, u16_at, u32_at};
use super::super::numbers::{self, Table};
use super::print_address;

const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;
const PREFIX: u8 = 3;
const REDIRECTED: u8 = 4;
const MTU: u8 = 5;
/// RFC 6275, sections 7.3 and 7.4.
const INTERVAL: u8 = 7;
const HOME_AGENT: u8 = 8;
/// RFC 4191, section 2.3.
const ROUTE: u8 = 24;
/// RFC 8106, sections 5.1 and 5.2.
const DNS_SERVERS: u8 = 25;
const DNS_SEARCH: u8 = 31;

/// Prints what a router advertisement says, and its options.
pub(super) fn router_advertisement(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
) -> Result<(), Cut> {
    const FLAGS: Table<u16> =
        &[(0x80, "managed"), (0x40, "other stateful"), (0x20, "home agent"), (0x02, "ipv6 only")];
    let [hops, flags, l0, l1] = take(bytes, 4)?;
    let lifetime = u16::from_be_bytes([l0, l1]);
    let (reachable, retransmit) = (u32_at(bytes, 8)?, u32_at(bytes, 12)?);
    line.push(format_args!("\n\thop limit {hops}, Flags ["));
    line.bits(FLAGS, flags.into(), ", ");
    line.push(format_args!(
        "], pref {}, router lifetime {lifetime}s, reachable time {reachable}ms, \
         retrans timer {retransmit}ms",
        preference(flags)
    ));
    options(line, bytes, 16, length)
}

/// Prints whom a neighbor solicitation asks for; its options under `-v`.
pub(super) fn neighbor_solicitation(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
) -> Result<(), Cut> {
    print_address(line, ", who has ", bytes, 8)?;
    if line.verbose() { options(line, bytes, 24, length) } else { Ok(()) }
}

/// Prints whom a neighbor advertisement speaks of; flags and options under `-v`.
pub(super) fn neighbor_advertisement(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
) -> Result<(), Cut> {
    const FLAGS: Table<u16> = &[(0x80, "router"), (0x40, "solicited"), (0x20, "override")];
    print_address(line, ", tgt is ", bytes, 8)?;
    if !line.verbose() {
        return Ok(());
    }
    let flags = u8_at(bytes, 4)?;
    line.text(", Flags [");
    line.bits(FLAGS, flags.into(), ", ");
    line.text("]");
    options(line, bytes, 24, length)
}

/// Prints a redirect; its options under `-v`.
pub(super) fn redirect(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Result<(), Cut> {
    print_address(line, ", ", bytes, 24)?;
    print_address(line, " to ", bytes, 8)?;
    if line.verbose() { options(line, bytes, 40, length) } else { Ok(()) }
}

/// Prints the options from `start` on, in a message of `length`.
pub(super) fn options(
    line: &mut Line<'_>,
    bytes: &[u8],
    start: usize,
    length: usize,
) -> Result<(), Cut> {
    let mut at = start;
    while at < bytes.len() {
        let [kind, eights] = take(bytes, at).map_err(|_| Cut::Part)?;
        if at >= length {
            return Ok(());
        }
        let size = usize::from(eights) * 8;
        if eights == 0 || at + size > bytes.len() {
            return Err(Cut::Part);
        }
        let known = numbers::name(NAMES, kind);
        let name = known.unwrap_or("unknown");
        line.push(format_args!("\n\t  {name} option ({kind}), length {size} ({eights}): "));
        let content = first(after(bytes, at + 2), size - 2);
        if known.is_none() && line.options.verbose <= 1 {
            hex(line.out, "\n\t  ", content);
            return Ok(());
        }
        option(line, bytes, Item { kind, eights, start, at })?;
        if line.options.verbose > 1 {
            hex(line.out, "\n\t    ", content);
        }
        at += size;
    }
    Ok(())
}

/// Where an option is.
struct Item {
    kind: u8,
    /// Its length in units of eight bytes; all of it was captured.
    eights: u8,
    /// Where the first option of the message begins.
    start: usize,
    at: usize,
}

fn option(line: &mut Line<'_>, bytes: &[u8], item: Item) -> Result<(), Cut> {
    let Item { kind, eights, start, at } = item;
    let size = usize::from(eights) * 8;
    let number = || u32_at(bytes, at + 4);
    match kind {
        SOURCE_LINK_ADDRESS | TARGET_LINK_ADDRESS => {
            for (i, byte) in first(after(bytes, at + 2), size - 2).iter().enumerate() {
                let colon = if i > 0 { ":" } else { "" };
                line.push(format_args!("{colon}{byte:02x}"));
            }
        }
        PREFIX => prefix(line, bytes, at, eights)?,
        // Shows as many bytes of the first option on, which it usually is itself.
        REDIRECTED => hex(line.out, "\n\t    ", first(after(bytes, start), size)),
        MTU => {
            let fault = if eights == 1 { "" } else { "bad option length" };
            line.push(format_args!(" {}{fault}", number()?));
        }
        DNS_SERVERS => {
            line.push(format_args!(" lifetime {}s,", number()?));
            for i in 0..usize::from((eights - 1) / 2) {
                print_address(line, " addr: ", bytes, at + 8 + i * 16)?;
            }
        }
        DNS_SEARCH => {
            line.push(format_args!(" lifetime {}s, domain(s):", number()?));
            let mut name = at + 8;
            while name < at + size && u8_at(bytes, name)? != 0 {
                line.text(" ");
                name = print_name(line, bytes, start, name)?;
            }
        }
        INTERVAL => line.push(format_args!(" {}ms", number()?)),
        HOME_AGENT => {
            let (preference, lifetime) = (u16_at(bytes, at + 4)?, u16_at(bytes, at + 6)?);
            line.push(format_args!(" preference {preference}, lifetime {lifetime}"));
        }
        ROUTE => route(line, bytes, at, eights)?,
        _ => {}
    }
    Ok(())
}

/// RFC 4861, section 4.6.2.
fn prefix(line: &mut Line<'_>, bytes: &[u8], at: usize, eights: u8) -> Printed {
    const FLAGS: Table<u16> = &[(0x80, "onlink"), (0x40, "auto"), (0x20, "router")];
    let [bits, flags] = take(bytes, at + 2)?;
    let valid = lifetime(take(bytes, at + 4)?);
    let prefix = Address::V6(take(bytes, at + 16)?);
    let preferred = lifetime(take(bytes, at + 8)?);
    let fault = if eights == 4 { "" } else { "badlen" };
    line.push(format_args!("{prefix}/{bits}{fault}, Flags ["));
    line.bits(FLAGS, flags.into(), ", ");
    line.push(format_args!("], valid time {valid}, pref. time {preferred}"));
    Ok(())
}

/// RFC 4191, section 2.3. As much of the prefix as is not zero is there.
fn route(line: &mut Line<'_>, bytes: &[u8], at: usize, eights: u8) -> Result<(), Cut> {
    let mut prefix = [0; 16];
    match eights {
        1 => {}
        2 => prefix[..8].copy_from_slice(&take::<8>(bytes, at + 8)?),
        3 => prefix = take(bytes, at + 8)?,
        _ => return Err(Cut::Part),
    }
    let [bits, flags] = take(bytes, at + 2)?;
    let lifetime = lifetime(take(bytes, at + 4)?);
    let preference = preference(flags);
    line.push(format_args!(
        " {}/{bits}, pref={preference}, lifetime={lifetime}",
        Address::V6(prefix)
    ));
    Ok(())
}

/// A router's preference (RFC 4191, section 2.1).
fn preference(flags: u8) -> &'static str {
    ["medium", "high", "rsv", "low"][usize::from(flags >> 3 & 3)]
}

fn lifetime(seconds: [u8; 4]) -> String {
    match u32::from_be_bytes(seconds) {
        u32::MAX => "infinity".into(),
        seconds => format!("{seconds}s"),
    }
}

const NAMES: Table<u8> = &[
    (SOURCE_LINK_ADDRESS, "source link-address"),
    (TARGET_LINK_ADDRESS, "destination link-address"),
    (PREFIX, "prefix info"),
    (REDIRECTED, "redirected header"),
    (MTU, "mtu"),
    (INTERVAL, "advertisement interval"),
    (HOME_AGENT, "homeagent information"),
    (ROUTE, "route info"),
    (DNS_SERVERS, "rdnss"),
    (DNS_SEARCH, "dnssl"),
];
