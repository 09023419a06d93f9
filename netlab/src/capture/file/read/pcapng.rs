//! pcapng: blocks in sections, each with a byte order and interfaces of its own
//! (draft-ietf-opsawg-pcapng, sections 3 and 4).

use std::{collections::BTreeMap, ops::Range};

use super::{
    super::{
        Damage, Direction, Error, Interface, MAX_BLOCK, Precision, Statistics,
        order::{self, Opt, Order, padding},
    },
    Found, Source,
    clock::Clock,
    statistics,
};
use crate::capture::LinkType;

/// The type of a section header block, the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

// The types of blocks whose content matters.
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

/// Type and length, in bytes.
const BLOCK_HEADER: usize = 8;
/// Length of what surrounds a block's content, in bytes: type, length, and length again.
const AROUND: u32 = 12;

/// Option of a section header block (section 4.1).
const SHB_USERAPPL: u16 = 4;
/// Options of an interface description block (section 4.2).
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// epb_flags and its obsolete twin pack_flags (section 4.3.1).
const PACKET_FLAGS: u16 = 2;

pub(super) struct Pcapng {
    order: Order,
    /// The interfaces of this section.
    members: Vec<Member>,
    /// How many interfaces the sections before have described.
    before: usize,
    /// Memory that the interfaces of all sections take, in bytes.
    taken: usize,
    precision: Precision,
    /// What wrote this section; empty where it does not say.
    application: String,
    /// Of the interfaces of all sections, by number, as far as the file has told.
    statistics: BTreeMap<usize, Statistics>,
}

/// What is needed of an interface to understand its packets.
#[derive(Clone, Copy)]
struct Member {
    link: LinkType,
    snaplen: u32,
    clock: Clock,
}

/// What a block turned out to be.
enum Step {
    Packet(Found),
    /// It describes an interface, and it has been consumed.
    Interface,
    /// Nothing that matters, and it has been consumed.
    Skipped,
    End,
}

impl Pcapng {
    pub(super) fn new() -> Self {
        // The byte order until a section says another.
        let order = Order::Little;
        let precision = Precision::Micro;
        Self {
            order,
            members: Vec::new(),
            before: 0,
            taken: 0,
            precision,
            application: String::new(),
            statistics: BTreeMap::new(),
        }
    }

    /// What wrote the current section; empty where it does not say.
    pub(super) fn application(&self) -> &str {
        &self.application
    }

    /// What the file has told so far of its interfaces, by number.
    pub(super) fn statistics(&self) -> &BTreeMap<usize, Statistics> {
        &self.statistics
    }

    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    /// Reads on until the first interface is described. Packets come only after that.
    pub(super) fn begin(
        &mut self,
        source: &mut Source,
        interfaces: &mut Vec<Interface>,
    ) -> Result<(), Error> {
        while let Step::Skipped = self.step(source, interfaces)? {}
        Ok(())
    }

    pub(super) fn next(
        &mut self,
        source: &mut Source,
        interfaces: &mut Vec<Interface>,
    ) -> Result<Option<Found>, Error> {
        loop {
            match self.step(source, interfaces)? {
                Step::Packet(found) => return Ok(Some(found)),
                Step::Interface | Step::Skipped => {}
                Step::End => return Ok(None),
            }
        }
    }

    /// Looks at one block. A packet stays in the window.
    fn step(
        &mut self,
        source: &mut Source,
        interfaces: &mut Vec<Interface>,
    ) -> Result<Step, Error> {
        if source.fill(BLOCK_HEADER)? == 0 {
            return Ok(Step::End);
        }
        source.need(BLOCK_HEADER, "the header of a block")?;
        let kind = self.order.u32(source.bytes(), 0);
        if kind == SECTION_HEADER {
            self.order = byte_order(source)?;
        }
        let length = self.order.u32(source.bytes(), 4);
        let content = match kind {
            SECTION_HEADER => 16,
            INTERFACE_DESCRIPTION => 8,
            ENHANCED_PACKET | OBSOLETE_PACKET => 20,
            SIMPLE_PACKET => 4,
            INTERFACE_STATISTICS if statistics::is_possible(length) => statistics::CONTENT,
            _ => return skip(self.order, source, length),
        };
        let block = self.block(source, length, content)?;
        match kind {
            SECTION_HEADER => self.section(source, block, interfaces.len())?,
            INTERFACE_DESCRIPTION => {
                let described = self.interface(&source.bytes()[block.clone()]);
                let interface = described.map_err(|damage| damaged(source, damage))?;
                interfaces.push(interface);
                source.consume(length as usize);
                return Ok(Step::Interface);
            }
            INTERFACE_STATISTICS => self.tell(&source.bytes()[block]),
            _ => {
                let found = self.packet(kind, source.bytes(), block);
                return found.map(Step::Packet).map_err(|damage| damaged(source, damage));
            }
        }
        source.consume(length as usize);
        Ok(Step::Skipped)
    }

    /// Brings a whole block into the window, and says where its content is. That is never
    /// shorter than `least`.
    fn block(&self, source: &mut Source, length: u32, least: u32) -> Result<Range<usize>, Error> {
        let least = AROUND + least;
        if length < least || length > MAX_BLOCK || !length.is_multiple_of(4) {
            return Err(damaged(source, Damage::BlockLength { length, least }));
        }
        let end = length as usize;
        source.need(end, "a block")?;
        let last = self.order.u32(source.bytes(), end - 4);
        if last != length {
            return Err(damaged(source, Damage::BlockLengths { first: length, last }));
        }
        Ok(BLOCK_HEADER..end - 4)
    }

    /// A section header block (section 4.1).
    fn section(
        &mut self,
        source: &Source,
        block: Range<usize>,
        before: usize,
    ) -> Result<(), Error> {
        let content = &source.bytes()[block];
        let (major, minor) = (self.order.u16(content, 4), self.order.u16(content, 6));
        // Section 4.1 has readers take version 1.2 for 1.0.
        if major != 1 {
            let (format, known, file) = ("pcapng", "1.0 to 1.2", source.name());
            return Err(Error::Version { file, format, major, minor, known });
        }
        // Nothing that packets need: a section whose options are damaged may be read.
        let application = order::options(&content[16..], self.order)
            .map_while(Result::ok)
            .find(|option| option.code == SHB_USERAPPL);
        self.application = application.map_or_else(String::new, |option| text(option.value));
        self.members.clear();
        self.before = before;
        Ok(())
    }

    /// An interface description block (section 4.2).
    fn interface(&mut self, content: &[u8]) -> Result<Interface, Damage> {
        let link = LinkType(self.order.u16(content, 0));
        let snaplen = self.order.u32(content, 4);
        let mut interface = Interface { name: String::new(), description: None, link, snaplen };
        let (mut resolution, mut offset) = (None, 0);
        for option in order::options(&content[8..], self.order) {
            let option = option.map_err(|_| Damage::InterfaceOption("of the interface"))?;
            let Opt { code, value } = option;
            match code {
                IF_NAME => interface.name = text(value),
                IF_DESCRIPTION => interface.description = Some(text(value)),
                IF_TSRESOL => match value {
                    [exponent] => resolution = Some(*exponent),
                    _ => return Err(Damage::InterfaceOption("if_tsresol")),
                },
                IF_TSOFFSET if value.len() != 8 => {
                    return Err(Damage::InterfaceOption("if_tsoffset"));
                }
                IF_TSOFFSET => offset = self.order.u64(value, 0).cast_signed(),
                _ => {}
            }
        }
        self.taken += size_of::<Interface>() + size_of::<Member>() + interface.name.len();
        // It may have statistics later.
        self.taken += size_of::<(usize, Statistics)>();
        self.taken += interface.description.as_ref().map_or(0, String::len);
        if self.taken > MAX_BLOCK as usize {
            return Err(Damage::Interfaces);
        }
        let clock = Clock::new(resolution, offset);
        self.precision = self.precision.max(clock.precision());
        self.members.push(Member { link, snaplen, clock });
        Ok(interface)
    }

    /// An interface statistics block. One of an interface that nobody has described is passed
    /// over: it costs no packet. The last of an interface counts.
    fn tell(&mut self, content: &[u8]) {
        let (interface, told) = statistics::read(content, self.order);
        if let Some(member) = self.members.get(interface) {
            let told = told.in_nanoseconds(member.clock);
            self.statistics.insert(self.before + interface, told);
        }
    }

    /// A packet block of any kind, whose content is `block` in `window`.
    fn packet(&self, kind: u32, window: &[u8], block: Range<usize>) -> Result<Found, Damage> {
        let content = &window[block.clone()];
        let word = |at| self.order.u32(content, at);
        // Where the packet begins, and what says how long it is.
        let (interface, begin) = match kind {
            // Section 4.4: always of the first interface.
            SIMPLE_PACKET => (0, 4),
            // Appendix A: sixteen bits, and as many for packets lost.
            OBSOLETE_PACKET => (u32::from(self.order.u16(content, 0)), 20),
            _ => (word(0), 20),
        };
        let known = self.members.len();
        let Some(member) = self.members.get(interface as usize) else {
            return Err(Damage::Interface { interface, known });
        };
        let room = u32::try_from(content.len() - begin).unwrap_or(u32::MAX);
        let (time, kept, wire_len) = if kind == SIMPLE_PACKET {
            let limit = if member.snaplen == 0 { u32::MAX } else { member.snaplen };
            // A simple packet block has no time.
            (0, word(0).min(limit), word(0))
        } else {
            let count = u64::from(word(4)) << 32 | u64::from(word(8));
            (member.clock.nanoseconds(count), word(12), word(16))
        };
        if kept > room {
            return Err(Damage::PacketInBlock { length: kept, room });
        }
        let begin = block.start + begin;
        let end = begin + kept as usize;
        let options = match kind {
            SIMPLE_PACKET => block.end..block.end,
            _ => (end + padding(kept as usize)).min(block.end)..block.end,
        };
        Ok(Found {
            time,
            link: member.link,
            wire_len,
            direction: direction(&window[options.clone()], self.order),
            bytes: begin..end,
            options,
            order: self.order,
            interface: self.before + interface as usize,
            // The length again, after the content.
            length: block.end + 4,
        })
    }
}

fn byte_order(source: &mut Source) -> Result<Order, Error> {
    source.need(BLOCK_HEADER + 4, "the header of a section")?;
    let magic = source.bytes();
    if Order::Little.u32(magic, BLOCK_HEADER) == BYTE_ORDER_MAGIC {
        return Ok(Order::Little);
    }
    match Order::Big.u32(magic, BLOCK_HEADER) {
        BYTE_ORDER_MAGIC => Ok(Order::Big),
        other => Err(damaged(source, Damage::ByteOrder(other))),
    }
}

/// Passes over a block of any length, in one window at a time.
fn skip(order: Order, source: &mut Source, length: u32) -> Result<Step, Error> {
    let begin = source.offset();
    if length < AROUND || !length.is_multiple_of(4) {
        return Err(damaged(source, Damage::BlockLength { length, least: AROUND }));
    }
    let wanted = u64::from(length);
    let skipped = source.skip(wanted - 4)?;
    let left = source.fill(4)?;
    if left < 4 {
        let (file, what, got) = (source.name(), "a block", skipped + left as u64);
        return Err(Error::Truncated { file, offset: begin, what, wanted, got });
    }
    let last = order.u32(source.bytes(), 0);
    if last != length {
        let damage = Damage::BlockLengths { first: length, last };
        return Err(Error::Damaged { file: source.name(), offset: begin, damage });
    }
    source.consume(4);
    Ok(Step::Skipped)
}

/// The block that begins where the window does is damaged.
fn damaged(source: &Source, damage: Damage) -> Error {
    Error::Damaged { file: source.name(), offset: source.offset(), damage }
}

fn direction(options: &[u8], order: Order) -> Direction {
    let flags = order::options(options, order)
        .map_while(Result::ok)
        .find(|option| option.code == PACKET_FLAGS)
        .map_or(0, |option| order.u32(option.value, 0));
    match flags & 0b11 {
        1 => Direction::Inbound,
        2 => Direction::Outbound,
        _ => Direction::Unknown,
    }
}

/// Some writers count a terminating zero in.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}
