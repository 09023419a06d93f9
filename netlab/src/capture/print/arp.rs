//! ARP (RFC 826) and its reverse (RFC 903).

use super::{
    ip::Address,
    line::{Line, Printed, Truncated, after, take, u8_at, u16_at},
    numbers::{self, ETHERTYPES, Table},
};

const HEADER: usize = 8;

const REQUEST: u16 = 1;
const REPLY: u16 = 2;
const REVERSE_REQUEST: u16 = 3;
const REVERSE_REPLY: u16 = 4;
const INVERSE_REQUEST: u16 = 8;
const INVERSE_REPLY: u16 = 9;

const OPERATIONS: Table<u16> = &[
    (REQUEST, "Request"),
    (REPLY, "Reply"),
    (REVERSE_REQUEST, "Reverse Request"),
    (REVERSE_REPLY, "Reverse Reply"),
    (INVERSE_REQUEST, "Inverse Request"),
    (INVERSE_REPLY, "Inverse Reply"),
    (10, "NACK Reply"),
];

const HARDWARE: Table<u16> = &[
    (1, "Ethernet"),
    (6, "TokenRing"),
    (7, "ArcNet"),
    (15, "FrameRelay"),
    (23, "Strip"),
    (24, "IEEE 1394"),
    (19, "ATM"),
    (32, "InfiniBand"),
];

/// Prints a packet.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.protocol("arp");
    let packet = Packet::read(bytes)?;
    if !line.options.link_layer {
        line.text("ARP, ");
    }
    let verbose = line.verbose();
    if !packet.is_ipv4() || packet.protocol_len != 4 || packet.hardware_len == 0 || verbose {
        packet.print_formats(line);
        if !verbose {
            line.push(format_args!(", length {length}"));
            return Ok(());
        }
        line.text(", ");
    }
    match numbers::name(OPERATIONS, packet.operation) {
        Some(name) => line.push(format_args!("{name} ")),
        None => line.push(format_args!("Unknown ({}) ", packet.operation)),
    }
    match packet.operation {
        REQUEST => {
            line.text("who-has ");
            packet.protocol_address(line, packet.target());
            if packet.target_hardware().iter().any(|byte| *byte != 0) {
                line.text(" (");
                hardware_address(line, packet.target_hardware());
                line.text(")");
            }
            line.text(" tell ");
            packet.protocol_address(line, packet.sender());
        }
        REPLY => {
            packet.protocol_address(line, packet.sender());
            line.text(" is-at ");
            hardware_address(line, packet.sender_hardware());
        }
        REVERSE_REQUEST | INVERSE_REQUEST => {
            line.text("who-is ");
            hardware_address(line, packet.target_hardware());
            line.text(" tell ");
            hardware_address(line, packet.sender_hardware());
        }
        REVERSE_REPLY => {
            hardware_address(line, packet.target_hardware());
            line.text(" at ");
            packet.protocol_address(line, packet.target());
        }
        INVERSE_REPLY => {
            hardware_address(line, packet.sender_hardware());
            line.text(" at ");
            packet.protocol_address(line, packet.sender());
        }
        _ => {
            line.undecoded(bytes);
            return Ok(());
        }
    }
    line.push(format_args!(", length {length}"));
    Ok(())
}

/// A packet whose addresses were all captured.
struct Packet<'a> {
    hardware: u16,
    protocol: u16,
    hardware_len: usize,
    protocol_len: usize,
    operation: u16,
    /// Of the sender, then of the target: hardware address, protocol address.
    addresses: &'a [u8],
}

impl<'a> Packet<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Truncated> {
        let packet = Self {
            hardware: u16_at(bytes, 0)?,
            protocol: u16_at(bytes, 2)?,
            hardware_len: usize::from(u8_at(bytes, 4)?),
            protocol_len: usize::from(u8_at(bytes, 5)?),
            operation: u16_at(bytes, 6)?,
            addresses: after(bytes, HEADER),
        };
        let len = 2 * (packet.hardware_len + packet.protocol_len);
        if packet.addresses.len() < len { Err(Truncated) } else { Ok(packet) }
    }

    fn is_ipv4(&self) -> bool {
        matches!(self.protocol, 0x0800 | 0x1000)
    }

    fn part(&self, at: usize, len: usize) -> &'a [u8] {
        self.addresses.get(at..at + len).unwrap_or_default()
    }

    fn sender_hardware(&self) -> &'a [u8] {
        self.part(0, self.hardware_len)
    }

    fn sender(&self) -> &'a [u8] {
        self.part(self.hardware_len, self.protocol_len)
    }

    fn target_hardware(&self) -> &'a [u8] {
        self.part(self.hardware_len + self.protocol_len, self.hardware_len)
    }

    fn target(&self) -> &'a [u8] {
        self.part(2 * self.hardware_len + self.protocol_len, self.protocol_len)
    }

    fn print_formats(&self, line: &mut Line<'_>) {
        match numbers::name(HARDWARE, self.hardware) {
            Some(name) => line.text(name),
            None => line.push(format_args!("Unknown Hardware ({})", self.hardware)),
        }
        line.push(format_args!(" (len {}), ", self.hardware_len));
        match numbers::name(ETHERTYPES, self.protocol) {
            Some(name) => line.text(name),
            None => line.push(format_args!("Unknown Protocol (0x{:04x})", self.protocol)),
        }
        line.push(format_args!(" (len {})", self.protocol_len));
    }

    fn protocol_address(&self, line: &mut Line<'_>, address: &[u8]) {
        if !self.is_ipv4() {
            line.text("<wrong proto type>");
        } else if self.protocol_len != 4 {
            line.text("<wrong len>");
        } else if let Ok(address) = take(address, 0) {
            line.address(Address::V4(address));
        }
    }
}

fn hardware_address(line: &mut Line<'_>, address: &[u8]) {
    let Some((head, tail)) = address.split_first() else { return line.text("<empty>") };
    line.push(format_args!("{head:02x}"));
    for byte in tail {
        line.push(format_args!(":{byte:02x}"));
    }
}
