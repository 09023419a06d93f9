//! pcapng, version 1.0, one section (draft-ietf-opsawg-pcapng, sections 3 and 4).

use std::fs;

use super::{
    super::{APPLICATION, Direction, MAX_BLOCK, OPT_COMMENT, order::padding},
    Error, Interface, Note, Sink, Statistics,
};
use crate::capture::{LinkType, Packet};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

// Options of a section header block (section 4.1).
const SHB_HARDWARE: u16 = 2;
const SHB_OS: u16 = 3;
const SHB_USERAPPL: u16 = 4;
// Options of an interface description block (section 4.2).
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
/// The exponent of nanoseconds, 10^-9 s.
const NANOSECONDS: u8 = 9;
/// Option of an enhanced packet block (section 4.3).
const EPB_FLAGS: u16 = 2;
// Options of an interface statistics block (section 4.6).
const ISB_STARTTIME: u16 = 2;
const ISB_ENDTIME: u16 = 3;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;
const ISB_FILTERACCEPT: u16 = 6;
const ISB_USRDELIV: u16 = 8;

/// Most bytes of an option.
const MAX_OPTION: usize = u16::MAX as usize;

pub(super) struct Pcapng {
    interfaces: Vec<Member>,
    /// Content of the block being put together; empty in between.
    block: Vec<u8>,
}

struct Member {
    link: LinkType,
    limit: usize,
    tally: Tally,
    statistics: Option<Statistics>,
}

/// What was written of an interface's packets.
#[derive(Default)]
struct Tally {
    packets: u64,
    /// The times of its earliest and its latest packet.
    span: Option<(u64, u64)>,
}

impl Pcapng {
    pub(super) fn begin(sink: &mut Sink) -> Result<Self, Error> {
        let mut pcapng = Self { interfaces: Vec::new(), block: Vec::with_capacity(256) };
        pcapng.word(BYTE_ORDER_MAGIC);
        pcapng.half(1);
        pcapng.half(0);
        // The section's length, which is not known.
        pcapng.block.extend(u64::MAX.to_ne_bytes());
        pcapng.text(SHB_HARDWARE, std::env::consts::ARCH);
        pcapng.text(SHB_OS, &operating_system());
        pcapng.text(SHB_USERAPPL, APPLICATION);
        pcapng.end_options();
        pcapng.put_block(sink, SECTION_HEADER)?;
        Ok(pcapng)
    }

    pub(super) fn add_interface(
        &mut self,
        sink: &mut Sink,
        interface: &Interface,
    ) -> Result<usize, Error> {
        let Interface { name, description, link, snaplen } = interface;
        self.half(link.0);
        self.half(0);
        self.word(*snaplen);
        if !name.is_empty() {
            self.text(IF_NAME, name);
        }
        if let Some(description) = description {
            self.text(IF_DESCRIPTION, description);
        }
        self.option(IF_TSRESOL, &[NANOSECONDS]);
        self.end_options();
        self.put_block(sink, INTERFACE_DESCRIPTION)?;
        let (limit, tally) = (interface.limit() as usize, Tally::default());
        self.interfaces.push(Member { link: *link, limit, tally, statistics: None });
        Ok(self.interfaces.len() - 1)
    }

    pub(super) fn packet(
        &mut self,
        sink: &mut Sink,
        interface: usize,
        packet: &Packet<'_>,
        note: &Note<'_>,
    ) -> Result<(), Error> {
        let Some(member) = self.interfaces.get_mut(interface) else {
            return Err(self.no_interface(sink, interface));
        };
        if member.link != packet.link {
            let (packet, expected) = (packet.link, member.link);
            return Err(Error::Link { file: sink.name(), packet, expected });
        }
        member.tally.add(packet.time);
        let bytes = &packet.bytes[..packet.bytes.len().min(member.limit)];
        self.options_of(note, bytes.len());
        let content = 20 + bytes.len() + padding(bytes.len()) + self.block.len();
        let length = length_of(content + 12);
        let mut header = [0; 28];
        let words = [
            ENHANCED_PACKET,
            length,
            length_of(interface),
            high(packet.time),
            low(packet.time),
            length_of(bytes.len()),
            packet.wire_len,
        ];
        for (place, word) in header.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        sink.put(&header)?;
        sink.put(bytes)?;
        sink.put(&[0; 3][..padding(bytes.len())])?;
        sink.put(&self.block)?;
        self.block.clear();
        sink.put(&length.to_ne_bytes())
    }

    pub(super) fn statistics(
        &mut self,
        sink: &Sink,
        interface: usize,
        statistics: Statistics,
    ) -> Result<(), Error> {
        match self.interfaces.get_mut(interface) {
            Some(member) => member.statistics = Some(statistics),
            None => return Err(self.no_interface(sink, interface)),
        }
        Ok(())
    }

    /// Writes the statistics of every interface.
    pub(super) fn finish(&mut self, sink: &mut Sink) -> Result<(), Error> {
        for (interface, member) in std::mem::take(&mut self.interfaces).iter().enumerate() {
            let Tally { packets, span } = member.tally;
            let told = member.statistics.unwrap_or_default();
            let Statistics { start, end, received, dropped, accepted } = told;
            let times = if (start, end) == (0, 0) { span } else { Some((start, end)) };
            self.word(length_of(interface));
            // When the statistics were taken.
            self.stamp(times.map_or(0, |(_, end)| end));
            if let Some((start, end)) = times {
                self.time(ISB_STARTTIME, start);
                self.time(ISB_ENDTIME, end);
            }
            self.count(ISB_IFRECV, received);
            self.count(ISB_IFDROP, dropped);
            self.count(ISB_FILTERACCEPT, accepted);
            self.count(ISB_USRDELIV, Some(packets));
            self.end_options();
            self.put_block(sink, INTERFACE_STATISTICS)?;
        }
        Ok(())
    }

    fn no_interface(&self, sink: &Sink, interface: usize) -> Error {
        Error::Interface { file: sink.name(), interface, known: self.interfaces.len() }
    }

    /// Leaves the options of a packet of `kept` bytes in the block: as many of the comments
    /// as it has room for.
    fn options_of(&mut self, note: &Note<'_>, kept: usize) {
        let flags: u32 = match note.direction {
            Direction::Unknown => 0,
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        };
        if flags != 0 {
            self.option(EPB_FLAGS, &flags.to_ne_bytes());
        }
        // Room for what else is in the block, its last option included.
        let room = (MAX_BLOCK as usize).saturating_sub(kept + 64 + MAX_OPTION);
        for comment in note.comments.iter().filter(|comment| !comment.is_empty()) {
            if self.block.len() > room {
                break;
            }
            self.text(OPT_COMMENT, &comment);
        }
        if !self.block.is_empty() {
            self.end_options();
        }
    }

    fn half(&mut self, value: u16) {
        self.block.extend(value.to_ne_bytes());
    }

    fn word(&mut self, value: u32) {
        self.block.extend(value.to_ne_bytes());
    }

    /// A time: its upper half first, whatever the byte order.
    fn stamp(&mut self, time: u64) {
        self.word(high(time));
        self.word(low(time));
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let value = &value[..value.len().min(MAX_OPTION)];
        self.half(code);
        self.half(u16::try_from(value.len()).unwrap_or(u16::MAX));
        self.block.extend(value);
        self.block.extend(&[0; 3][..padding(value.len())]);
    }

    /// A text, cut where an option ends, and not within a character.
    fn text(&mut self, code: u16, value: &str) {
        let end = value.floor_char_boundary(MAX_OPTION);
        self.option(code, &value.as_bytes()[..end]);
    }

    fn time(&mut self, code: u16, time: u64) {
        self.half(code);
        self.half(8);
        self.stamp(time);
    }

    fn count(&mut self, code: u16, count: Option<u64>) {
        if let Some(count) = count {
            self.option(code, &count.to_ne_bytes());
        }
    }

    fn end_options(&mut self) {
        self.word(0);
    }

    /// Writes the block that was put together, whose content is a multiple of four bytes.
    fn put_block(&mut self, sink: &mut Sink, kind: u32) -> Result<(), Error> {
        let length = length_of(self.block.len() + 12).to_ne_bytes();
        sink.put(&kind.to_ne_bytes())?;
        sink.put(&length)?;
        sink.put(&self.block)?;
        self.block.clear();
        sink.put(&length)
    }
}

impl Tally {
    fn add(&mut self, time: u64) {
        self.packets += 1;
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
    }
}

/// Of what never exceeds [`MAX_BLOCK`].
fn length_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn high(time: u64) -> u32 {
    u32::try_from(time >> 32).unwrap_or(u32::MAX)
}

fn low(time: u64) -> u32 {
    u32::try_from(time & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// Name and release of the kernel, as far as it says.
fn operating_system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim()).trim_end().to_owned()
}
