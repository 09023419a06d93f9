//! LLC and SNAP (IEEE 802.2): what a length in place of an EtherType announces.

use super::{
    ethernet::{self, Macs},
    ipv4,
    line::{Line, Truncated, after, u8_at, u16_at},
    numbers::{self, ETHERTYPES, ORGANISATIONS, Table},
    stp,
};

const STP: u8 = 0x42;
const IP: u8 = 0x06;
const SNAP: u8 = 0xaa;

const SERVICES: Table<u8> = &[
    (0x00, "Null"),
    (0xff, "Global"),
    (0x02, "802.1B I"),
    (0x03, "802.1B G"),
    (IP, "IP"),
    (0x04, "SNA"),
    (0x0e, "ProWay NM"),
    (STP, "STP"),
    (0x4e, "RS511"),
    (0x7e, "ISO8208"),
    (0x8e, "ProWay"),
    (SNAP, "SNAP"),
    (0xe0, "IPX"),
    (0xf0, "NetBeui"),
    (0xfe, "OSI"),
];

/// Unnumbered information, the usual command.
const UI: u16 = 0x03;
const EXCHANGE_ID: u16 = 0xaf;
const COMMANDS: Table<u16> = &[
    (UI, "ui"),
    (0xe3, "test"),
    (EXCHANGE_ID, "xid"),
    (0x63, "ua"),
    (0x43, "disc"),
    (0x0f, "dm"),
    (0x6f, "sabme"),
    (0x87, "frmr"),
];

/// A header that was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub length: usize,
    /// Whether what follows was printed too.
    pub known: bool,
}

/// The header's fields.
struct Fields {
    dsap: u8,
    /// Whether `dsap` is a group.
    group: bool,
    ssap: u8,
    response: bool,
    control: u16,
    /// Whether the control field has one byte, not two.
    unnumbered: bool,
}

/// Prints a header and what follows it.
pub(super) fn print(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
    macs: Option<Macs>,
) -> Result<Header, Truncated> {
    line.protocol("llc");
    let available = bytes.len().min(length);
    let unnumbered = bytes.get(2).is_some_and(|control| control & 3 == 3);
    let header_len = if unnumbered { 3 } else { 4 };
    if available < header_len {
        line.mark();
        line.undecoded(bytes);
        return Ok(Header { length: available, known: true });
    }
    let (dsap, ssap) = (u8_at(bytes, 0)?, u8_at(bytes, 1)?);
    let fields = Fields {
        dsap: dsap & !1,
        group: dsap & 1 != 0,
        ssap: ssap & !1,
        response: ssap & 1 != 0,
        control: if unnumbered { u8_at(bytes, 2)?.into() } else { u16_at(bytes, 2)?.swap_bytes() },
        unnumbered,
    };
    if line.options.link_layer {
        print_header(line, &fields);
    }
    let (rest, length) = (after(bytes, header_len), length - header_len);
    if fields.dsap == fields.ssap && fields.control == UI {
        match fields.dsap {
            SNAP => {
                let known = print_snap(line, rest, length, macs)?;
                return Ok(Header { length: header_len + 5, known });
            }
            STP => {
                stp::print(line, rest, length)?;
                return Ok(Header { length: header_len, known: true });
            }
            IP => {
                ipv4::print(line, rest, length)?;
                return Ok(Header { length: header_len, known: true });
            }
            _ => {}
        }
    }
    if !line.options.link_layer {
        print_services(line, &fields, macs);
    }
    let known = print_control(line, &fields, rest, length, header_len)?;
    Ok(Header { length: header_len, known })
}

fn print_header(line: &mut Line<'_>, fields: &Fields) {
    let name = |service| numbers::name(SERVICES, service).unwrap_or("Unknown");
    line.push(format_args!(
        "LLC, dsap {} (0x{:02x}) {}, ssap {} (0x{:02x}) {}",
        name(fields.dsap),
        fields.dsap,
        if fields.group { "Group" } else { "Individual" },
        name(fields.ssap),
        fields.ssap,
        if fields.response { "Response" } else { "Command" },
    ));
    let width = if fields.unnumbered { 2 } else { 4 };
    line.push(format_args!(", ctrl 0x{:0width$x}: ", fields.control));
}

fn print_services(line: &mut Line<'_>, fields: &Fields, macs: Option<Macs>) {
    let name = |line: &mut Line<'_>, service, kind| match numbers::name(SERVICES, service) {
        Some(name) => line.text(name),
        None => line.push(format_args!("Unknown {kind} 0x{service:02x}")),
    };
    let same = fields.ssap == fields.dsap;
    if let Some((source, _)) = macs {
        line.mac(source);
        line.text(if same { " > " } else { " " });
    }
    if !same {
        name(line, fields.ssap, "SSAP");
        line.text(" > ");
    }
    if let Some((_, destination)) = macs {
        line.mac(destination);
        line.text(" ");
    }
    name(line, fields.dsap, "DSAP");
    line.text(" ");
}

/// The control field in words; whether nothing is left to be printed.
fn print_control(
    line: &mut Line<'_>,
    fields: &Fields,
    rest: &[u8],
    length: usize,
    header_len: usize,
) -> Result<bool, Truncated> {
    let control = fields.control;
    let poll = control & if fields.unnumbered { 0x10 } else { 0x0100 } != 0;
    let flags = match (fields.response, poll) {
        (false, false) => "Command",
        (true, false) => "Response",
        (false, true) => "Poll",
        (true, true) => "Final",
    };
    let total = length + header_len;
    if !fields.unnumbered {
        let (send, receive) = (control >> 1 & 0x7f, control >> 9 & 0x7f);
        let supervisory = control & 1 == 1;
        if supervisory {
            let name = ["Receiver Ready", "Receiver not Ready", "Reject", "?"]
                [usize::from(control >> 2 & 3)];
            line.push(format_args!("Supervisory, {name}, rcv seq {receive}"));
        } else {
            line.push(format_args!("Information, send seq {send}, rcv seq {receive}"));
        }
        line.push(format_args!(", Flags [{flags}], length {total}"));
        return Ok(supervisory);
    }
    match numbers::name(COMMANDS, control & 0xef) {
        Some(name) => line.push(format_args!("Unnumbered, {name}")),
        None => line.push(format_args!("Unnumbered, {:02x}", control & 0xef)),
    }
    line.push(format_args!(", Flags [{flags}], length {total}"));
    if control & !0x10 != EXCHANGE_ID {
        return Ok(false);
    }
    match rest {
        _ if length == 0 => Ok(true),
        [] => {
            line.mark();
            Ok(true)
        }
        [0x81, class, window, ..] if length >= 3 => {
            line.push(format_args!(": {class:02x} {window:02x}"));
            Ok(true)
        }
        [0x81, ..] => {
            line.mark();
            line.undecoded(rest);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Prints a SNAP header and what follows it; whether it is known.
fn print_snap(
    line: &mut Line<'_>,
    bytes: &[u8],
    length: usize,
    macs: Option<Macs>,
) -> Result<bool, Truncated> {
    line.protocol("snap");
    let Some(&[a, b, c, d, e]) = bytes.first_chunk().filter(|_| length >= 5) else {
        line.mark();
        return Ok(true);
    };
    let organisation = u32::from_be_bytes([0, a, b, c]);
    let protocol = u16::from_be_bytes([d, e]);
    let (rest, length) = (after(bytes, 5), length - 5);
    let organisation_name = numbers::name(ORGANISATIONS, organisation).unwrap_or("Unknown");
    let protocol_name = protocols(organisation)
        .and_then(|names| numbers::name(names, protocol))
        .unwrap_or("Unknown");
    if line.options.link_layer {
        let kind = if organisation == ENCAPSULATED { "ethertype" } else { "pid" };
        line.push(format_args!(
            "oui {organisation_name} (0x{organisation:06x}), \
             {kind} {protocol_name} (0x{protocol:04x}), length {length}: "
        ));
    }
    let known = match (organisation, protocol) {
        (ENCAPSULATED | CISCO_BRIDGED, _) => ethernet::print_payload(line, protocol, rest, length)?,
        (CISCO, PVST | 0x010c) | (BRIDGED, 0x000e) => {
            stp::print(line, rest, length)?;
            true
        }
        _ => false,
    };
    if known || line.options.link_layer {
        return Ok(known);
    }
    if let Some((source, destination)) = macs {
        line.mac(source);
        line.text(" > ");
        line.mac(destination);
        line.text(" ");
    }
    line.text("SNAP, ");
    if organisation == ENCAPSULATED {
        line.push(format_args!("ethertype {protocol_name} (0x{protocol:04x})"));
    } else {
        line.push(format_args!(
            "oui {organisation_name} (0x{organisation:06x}), \
             pid {protocol_name} (0x{protocol:04x})"
        ));
    }
    line.push(format_args!(", length {length}: "));
    Ok(false)
}

const ENCAPSULATED: u32 = 0x00_0000;
const CISCO: u32 = 0x00_000c;
const CISCO_BRIDGED: u32 = 0x00_00f8;
const BRIDGED: u32 = 0x00_80c2;
const APPLETALK: u32 = 0x08_0007;

/// Spanning tree for each VLAN.
const PVST: u16 = 0x010b;

const CISCO_PROTOCOLS: Table<u16> = &[
    (0x2000, "CDP"),
    (0x2003, "VTP"),
    (0x2004, "DTP"),
    (0x0111, "UDLD"),
    (PVST, "PVST"),
    (0x010c, "VLAN Bridge"),
];

const BRIDGED_PROTOCOLS: Table<u16> = &[
    (0x0001, "Ethernet + FCS"),
    (0x0007, "Ethernet w/o FCS"),
    (0x0002, "802.4 + FCS"),
    (0x0008, "802.4 w/o FCS"),
    (0x0003, "Token Ring + FCS"),
    (0x0009, "Token Ring w/o FCS"),
    (0x0004, "FDDI + FCS"),
    (0x000a, "FDDI w/o FCS"),
    (0x0005, "802.6 + FCS"),
    (0x000b, "802.6 w/o FCS"),
    (0x000e, "BPDU"),
];

fn protocols(organisation: u32) -> Option<Table<u16>> {
    match organisation {
        ENCAPSULATED | CISCO_BRIDGED | APPLETALK => Some(ETHERTYPES),
        CISCO => Some(CISCO_PROTOCOLS),
        BRIDGED => Some(BRIDGED_PROTOCOLS),
        _ => None,
    }
}
