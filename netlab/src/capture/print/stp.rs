//! Spanning tree (IEEE 802.1D, 802.1w), as Linux bridges speak it. Of the multiple spanning
//! tree (802.1s) and of shortest path bridging (802.1aq) only the first line is printed.

use super::{
    line::{Line, Printed, take, u8_at, u16_at, u32_at},
    numbers::{self, Table},
};

const RAPID: u8 = 2;
const MULTIPLE: u8 = 3;
const SHORTEST_PATH: u8 = 4;
const VERSIONS: Table<u8> =
    &[(0, "802.1d"), (RAPID, "802.1w"), (MULTIPLE, "802.1s"), (SHORTEST_PATH, "802.1aq")];

const CONFIGURATION: u8 = 0;
const RAPID_CONFIGURATION: u8 = 2;
const TYPES: Table<u8> =
    &[(CONFIGURATION, "Config"), (RAPID_CONFIGURATION, "Rapid STP"), (0x80, "Topology Change")];

const FLAGS: Table<u16> = &[
    (0x01, "Topology change"),
    (0x02, "Proposal"),
    (0x10, "Learn"),
    (0x20, "Forward"),
    (0x40, "Agreement"),
    (0x80, "Topology change ACK"),
];

/// Length of a configuration; a rapid one has a byte more.
const CONFIGURATION_LEN: usize = 35;

/// Prints a bridge protocol data unit.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.protocol("stp");
    if length < 4 {
        line.invalid();
        return Ok(());
    }
    if u16_at(bytes, 0)? != 0 {
        line.push(format_args!("unknown STP version, length {length}"));
        return Ok(());
    }
    let version = u8_at(bytes, 2)?;
    let Some(name) = numbers::name(VERSIONS, version) else {
        line.push(format_args!("STP Unknown STP protocol (0x{version:02x})"));
        return Ok(());
    };
    line.push(format_args!("STP {name}"));
    let kind = u8_at(bytes, 3)?;
    match numbers::name(TYPES, kind) {
        Some(name) => line.push(format_args!(", {name}")),
        None => line.push(format_args!(", Unknown BPDU Type (0x{kind:02x})")),
    }
    let needed = match (kind, version) {
        (CONFIGURATION, _) => CONFIGURATION_LEN,
        (RAPID_CONFIGURATION, RAPID) => CONFIGURATION_LEN + 1,
        (RAPID_CONFIGURATION, MULTIPLE | SHORTEST_PATH) => 102,
        _ => return Ok(()),
    };
    if length < needed {
        line.invalid();
        return Ok(());
    }
    let flags = u8_at(bytes, 4)?;
    let multiple = needed > CONFIGURATION_LEN + 1;
    line.text(if multiple { ", CIST Flags [" } else { ", Flags [" });
    line.bits(FLAGS, flags.into(), ", ");
    line.text("]");
    if multiple {
        line.push(format_args!(", length {length}"));
        return Ok(());
    }
    let (bridge, port) = (take(bytes, 17)?, u16_at(bytes, 25)?);
    line.text(", bridge-id ");
    print_bridge(line, bridge);
    line.push(format_args!(".{port:04x}, length {length}"));
    if line.verbose() {
        print_details(line, bytes, version, flags)?;
    }
    Ok(())
}

fn print_details(line: &mut Line<'_>, bytes: &[u8], version: u8, flags: u8) -> Printed {
    // In 256ths of a second.
    let seconds = |at| u16_at(bytes, at).map(|time| f32::from(time) / 256.0);
    line.push(format_args!(
        "\n\tmessage-age {:.2}s, max-age {:.2}s, hello-time {:.2}s, forwarding-delay {:.2}s",
        seconds(27)?,
        seconds(29)?,
        seconds(31)?,
        seconds(33)?
    ));
    let (root, cost) = (take(bytes, 5)?, u32_at(bytes, 13)?);
    line.text("\n\troot-id ");
    print_bridge(line, root);
    line.push(format_args!(", root-pathcost {cost}"));
    if version == RAPID {
        let role = ["Unknown", "Alternate", "Root", "Designated"][usize::from(flags >> 2 & 3)];
        line.push(format_args!(", port-role {role}"));
    }
    Ok(())
}

fn print_bridge(line: &mut Line<'_>, [a, b, mac @ ..]: [u8; 8]) {
    line.push(format_args!("{a:02x}{b:02x}."));
    line.mac(mac);
}
