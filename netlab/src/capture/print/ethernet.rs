//! Ethernet (IEEE 802.3), with VLAN tags (IEEE 802.1Q).

use netlab_common::wire::eth::{EthHeader, IPV4, IPV6, Mac};

use super::{
    arp, ipv4, ipv6,
    line::{Line, Truncated, after, first, take, u16_at},
    llc,
    numbers::{self, ETHERTYPES},
};

const ARP: u16 = 0x0806;
const REVERSE_ARP: u16 = 0x8035;
/// Alteon's jumbo frames: an LLC header follows.
const JUMBO: u16 = 0x8870;
const TAGS: [u16; 4] = [0x8100, 0x9100, 0x9200, 0x88a8];

/// Source and destination.
pub(super) type Macs = (Mac, Mac);

/// The greatest value that is a length, not an EtherType.
pub(super) const MAX_LENGTH: u16 = 1500;

/// Prints a frame, and tells the length of its header.
pub(super) fn print(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Result<usize, Truncated> {
    line.protocol("ether");
    if length < bytes.len() {
        line.push(format_args!("[length {length} < caplen {}]", bytes.len()));
        line.invalid();
        return Ok(length);
    }
    let Ok(header) = take(bytes, 0).map(EthHeader) else {
        line.mark();
        return Ok(bytes.len());
    };
    if line.options.link_layer {
        print_addresses(line, &header);
    }
    let mut frame =
        Frame { header, ethertype: header.ethertype(), at: EthHeader::LEN, tagged: false };
    while TAGS.contains(&frame.ethertype) {
        if !frame.tag(line, bytes, length)? {
            return Ok(bytes.len().min(length));
        }
    }
    if frame.ethertype <= MAX_LENGTH {
        return frame.print_802_3(line, bytes, length);
    }
    frame.print_payload(line, bytes, length)?;
    Ok(frame.at)
}

fn print_addresses(line: &mut Line<'_>, header: &EthHeader) {
    line.mac(header.source());
    line.text(" > ");
    line.mac(header.destination());
    line.text(", ");
}

/// A frame whose tags are being read.
struct Frame {
    header: EthHeader,
    ethertype: u16,
    /// Where the next tag or the payload begins.
    at: usize,
    /// Whether the length was printed, which is done once.
    tagged: bool,
}

impl Frame {
    /// Prints a VLAN tag, if it is there.
    fn tag(&mut self, line: &mut Line<'_>, bytes: &[u8], length: usize) -> Result<bool, Truncated> {
        if bytes.len() < self.at + 4 {
            line.protocol("vlan");
            line.mark();
            return Ok(false);
        }
        if line.options.link_layer {
            print_type(line, self.ethertype);
            self.print_length(line, length);
            print_tag(line, u16_at(bytes, self.at)?);
        }
        self.ethertype = u16_at(bytes, self.at + 2)?;
        self.at += 4;
        Ok(true)
    }

    fn print_length(&mut self, line: &mut Line<'_>, length: usize) {
        if self.tagged {
            line.text(", ");
        } else {
            line.push(format_args!(", length {length}: "));
            self.tagged = true;
        }
    }

    /// A frame with a length where others have an EtherType.
    fn print_802_3(
        &self,
        line: &mut Line<'_>,
        bytes: &[u8],
        length: usize,
    ) -> Result<usize, Truncated> {
        let length = (length - self.at).min(self.ethertype.into());
        if line.options.link_layer {
            line.text("802.3");
            if !self.tagged {
                line.push(format_args!(", length {length}: "));
            }
        }
        self.print_llc(line, first(after(bytes, self.at), length), length)
    }

    fn print_llc(
        &self,
        line: &mut Line<'_>,
        bytes: &[u8],
        length: usize,
    ) -> Result<usize, Truncated> {
        let macs = (self.header.source(), self.header.destination());
        let header = llc::print(line, bytes, length, Some(macs))?;
        if !header.known {
            line.unknown(bytes);
        }
        Ok(self.at + header.length)
    }

    fn print_payload(
        &mut self,
        line: &mut Line<'_>,
        bytes: &[u8],
        length: usize,
    ) -> Result<(), Truncated> {
        let rest = after(bytes, self.at);
        if self.ethertype == JUMBO {
            self.at = self.print_llc(line, rest, length - self.at)?;
            return Ok(());
        }
        if line.options.link_layer {
            print_type(line, self.ethertype);
            self.print_length(line, length);
        }
        if !print_payload(line, self.ethertype, rest, length - self.at)? {
            if !line.options.link_layer {
                print_addresses(line, &self.header);
                print_type(line, self.ethertype);
                line.push(format_args!(", length {length}: "));
            }
            line.unknown(rest);
        }
        Ok(())
    }
}

fn print_type(line: &mut Line<'_>, ethertype: u16) {
    let name = numbers::name(ETHERTYPES, ethertype);
    match (line.options.quick, name) {
        (false, name) => {
            let name = name.unwrap_or("Unknown");
            line.push(format_args!("ethertype {name} (0x{ethertype:04x})"));
        }
        (true, Some(name)) => line.text(name),
        (true, None) => line.push(format_args!("Unknown Ethertype (0x{ethertype:04x})")),
    }
}

/// A VLAN tag's content: `vlan 7, p 0, `.
pub(super) fn print_tag(line: &mut Line<'_>, tag: u16) {
    let eligible = if tag & 0x1000 != 0 { ", DEI" } else { "" };
    line.push(format_args!("vlan {}, p {}{eligible}, ", tag & 0x0fff, tag >> 13));
}

/// What an EtherType announces; whether it is one of those that have a file here.
pub(super) fn print_payload(
    line: &mut Line<'_>,
    ethertype: u16,
    bytes: &[u8],
    length: usize,
) -> Result<bool, Truncated> {
    match ethertype {
        IPV4 => ipv4::print(line, bytes, length)?,
        IPV6 => ipv6::print(line, bytes, length)?,
        ARP | REVERSE_ARP => arp::print(line, bytes, length)?,
        _ => return Ok(false),
    }
    Ok(true)
}
