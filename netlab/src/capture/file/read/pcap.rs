//! pcap: one header, then each packet behind a header of its own
//! (draft-ietf-opsawg-pcap, sections 4 and 5).

use super::{
    super::{Damage, Direction, Error, Interface, MAX_BLOCK, MAX_SNAPLEN, Precision, order::Order},
    Found, Source,
};
use crate::capture::LinkType;

/// Length of the header of a file, in bytes.
const FILE_HEADER: usize = 24;
/// Length of the header of a packet, in bytes.
const PACKET_HEADER: usize = 16;

const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;

pub(super) struct Pcap {
    order: Order,
    precision: Precision,
    link: LinkType,
    /// Longest packet possible.
    limit: u32,
    /// Most bytes given of a packet.
    snaplen: usize,
    first: First,
}

/// Which of a packet's two lengths comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// Since version 2.4.
    Kept,
    /// Before version 2.3.
    Wire,
    /// In version 2.3, where programs did not agree.
    Smaller,
}

impl Pcap {
    /// Reads the header of a file that begins with `magic`; None if that is no pcap file's.
    pub(super) fn begin(
        magic: [u8; 4],
        source: &mut Source,
        interfaces: &mut Vec<Interface>,
    ) -> Result<Option<Self>, Error> {
        let (order, precision) = match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
            (MICRO, _) => (Order::Little, Precision::Micro),
            (NANO, _) => (Order::Little, Precision::Nano),
            (_, MICRO) => (Order::Big, Precision::Micro),
            (_, NANO) => (Order::Big, Precision::Nano),
            _ => return Ok(None),
        };
        source.need(FILE_HEADER, "the file header")?;
        let header = source.bytes();
        let (major, minor) = (order.u16(header, 4), order.u16(header, 6));
        if major != 2 {
            let (format, known, file) = ("pcap", "2.0 to 2.4", source.name());
            return Err(Error::Version { file, format, major, minor, known });
        }
        let snaplen = order.u32(header, 16);
        // The upper half holds the length of frame check sequences.
        let [.., high, low] = order.u32(header, 20).to_be_bytes();
        let link = LinkType(u16::from_be_bytes([high, low]));
        source.consume(FILE_HEADER);
        interfaces.push(Interface { name: String::new(), description: None, link, snaplen });
        let first = match minor {
            0..=2 => First::Wire,
            3 => First::Smaller,
            _ => First::Kept,
        };
        let limit = snaplen.clamp(MAX_SNAPLEN, MAX_BLOCK);
        let snaplen = if snaplen == 0 { limit } else { snaplen } as usize;
        Ok(Some(Self { order, precision, link, limit, snaplen, first }))
    }

    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    pub(super) fn next(&self, source: &mut Source) -> Result<Option<Found>, Error> {
        if source.fill(PACKET_HEADER)? == 0 {
            return Ok(None);
        }
        source.need(PACKET_HEADER, "the header of a packet")?;
        let header = source.bytes();
        let seconds = u64::from(self.order.u32(header, 0)) * 1_000_000_000;
        let fraction = u64::from(self.order.u32(header, 4));
        let (first, second) = (self.order.u32(header, 8), self.order.u32(header, 12));
        let (kept, wire_len) = match self.first {
            First::Kept => (first, second),
            First::Wire => (second, first),
            First::Smaller => (first.min(second), first.max(second)),
        };
        if kept > self.limit {
            let damage = Damage::PacketLength { length: kept, limit: self.limit };
            return Err(Error::Damaged { file: source.name(), offset: source.offset(), damage });
        }
        let length = PACKET_HEADER + kept as usize;
        source.need(length, "a packet")?;
        // Some programs write more than they announced. libpcap gives as much as was announced.
        let end = PACKET_HEADER + (kept as usize).min(self.snaplen);
        let fraction = match self.precision {
            Precision::Micro => fraction * 1000,
            Precision::Nano => fraction,
        };
        Ok(Some(Found {
            time: seconds + fraction,
            link: self.link,
            wire_len,
            direction: Direction::Unknown,
            bytes: PACKET_HEADER..end,
            options: length..length,
            order: self.order,
            interface: 0,
            length,
        }))
    }
}
