//! Reading a capture file of any format, packet by packet.
//!
//! Law: whatever the input, every packet before the first damage is given, then one error,
//! then nothing more; no memory is taken for lengths that a file merely claims.

mod clock;
mod pcap;
mod pcapng;
mod source;
mod statistics;

use std::{fs::File, io::Read, ops::Range, os::fd::AsFd as _, path::Path};

use source::Source;

use super::{
    Comments, Direction, Error, Interface, MAX_SNAPLEN, Note, Precision, STANDARD_STREAM,
    Statistics, order::Order,
};
use crate::capture::{LinkType, Packet};

/// A capture file that is being read, whatever its format.
pub struct Reader {
    source: Source,
    format: Format,
    interfaces: Vec<Interface>,
    /// How much of the window the last record lies in.
    lent: usize,
    /// The file has ended, or cannot be read on.
    ended: bool,
}

/// A packet, and what its file says about it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The packet.
    pub packet: Packet<'a>,
    /// Where it was seen: an index into [`Reader::interfaces`].
    pub interface: usize,
    /// What stands there.
    pub place: &'a Interface,
    /// What pcapng says besides.
    pub note: Note<'a>,
    /// The program that wrote it down, as shb_userappl names it: name and version. Empty where
    /// the file does not say.
    pub application: &'a str,
}

impl Reader {
    /// Opens a file, or standard input for `-`, and reads as far as its first packets.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, is compressed, is no capture file, or ends or is damaged
    /// before anything can be said about its packets.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.as_os_str() == STANDARD_STREAM {
            let file = "standard input".to_owned();
            // Past std's own buffer, which would copy everything once more.
            return match std::io::stdin().as_fd().try_clone_to_owned() {
                Ok(input) => Self::new(File::from(input), file),
                Err(cause) => Err(Error::Open { file, cause }),
            };
        }
        let file = path.display().to_string();
        match File::open(path) {
            Ok(input) => Self::new(input, file),
            Err(cause) => Err(Error::Open { file, cause }),
        }
    }

    /// Reads from anything; errors call it `name`.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn new(input: impl Read + Send + 'static, name: String) -> Result<Self, Error> {
        let mut source = Source::new(input, name);
        let mut interfaces = Vec::new();
        let format = detect(&mut source, &mut interfaces)?;
        Ok(Self { source, format, interfaces, lent: 0, ended: false })
    }

    /// The next packet; None at the end, and after an error.
    ///
    /// # Errors
    ///
    /// If the file ends in the middle of something, is damaged, or cannot be read on.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its items")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        if self.ended {
            return Ok(None);
        }
        self.source.consume(std::mem::take(&mut self.lent));
        let found = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.source),
            Format::Pcapng(pcapng) => pcapng.next(&mut self.source, &mut self.interfaces),
        };
        // Unless it turns out otherwise.
        self.ended = true;
        let Some(found) = found? else {
            return Ok(None);
        };
        self.ended = false;
        self.lent = found.length;
        let window = self.source.bytes();
        let bytes = &window[found.bytes];
        let packet = Packet {
            time: found.time,
            link: found.link,
            // More kept than there was on the wire is nonsense that other tools write.
            wire_len: found.wire_len.max(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
            bytes,
        };
        let comments = Comments::encoded(&window[found.options], found.order);
        let note = Note { direction: found.direction, comments };
        // There is no packet before its interface has been described.
        let place = &self.interfaces[found.interface];
        let application = match &self.format {
            Format::Pcap(_) => "",
            Format::Pcapng(pcapng) => pcapng.application(),
        };
        Ok(Some(Record { packet, interface: found.interface, place, note, application }))
    }

    /// What the packets of a pcap file begin with, or those of the first interface of a
    /// pcapng file; None where that describes no interface.
    #[must_use]
    pub fn link(&self) -> Option<LinkType> {
        self.interfaces.first().map(|interface| interface.link)
    }

    /// Most bytes that a copy in pcap has to keep of a packet: as many as a pcap file announces;
    /// [`MAX_SNAPLEN`] for pcapng, whose interfaces differ and may be described at any time.
    #[must_use]
    pub fn snaplen(&self) -> u32 {
        match (&self.format, self.interfaces.first()) {
            (Format::Pcap(_), Some(interface)) if interface.snaplen != 0 => interface.snaplen,
            _ => MAX_SNAPLEN,
        }
    }

    /// The interfaces described so far, those of all sections behind each other. It grows
    /// while packets are read.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// What the file has told so far of its interfaces, by their index in
    /// [`Reader::interfaces`]. As a rule a file tells it at its end, if at all; pcap never does.
    pub fn statistics(&self) -> impl Iterator<Item = (usize, Statistics)> {
        let told = match &self.format {
            Format::Pcap(_) => None,
            Format::Pcapng(pcapng) => Some(pcapng.statistics()),
        };
        told.into_iter().flatten().map(|(interface, statistics)| (*interface, *statistics))
    }

    /// Memory held, in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let text = |interface: &Interface| {
            interface.name.capacity() + interface.description.as_ref().map_or(0, String::capacity)
        };
        let interfaces = self.interfaces.capacity() * size_of::<Interface>();
        interfaces + self.interfaces.iter().map(text).sum::<usize>() + self.source.memory()
    }

    /// What times are counted in: in pcapng, by the most exact interface so far.
    #[must_use]
    pub fn precision(&self) -> Precision {
        match &self.format {
            Format::Pcap(pcap) => pcap.precision(),
            Format::Pcapng(pcapng) => pcapng.precision(),
        }
    }
}

enum Format {
    Pcap(pcap::Pcap),
    Pcapng(pcapng::Pcapng),
}

/// A packet within the window of the source.
struct Found {
    time: u64,
    link: LinkType,
    wire_len: u32,
    direction: Direction,
    /// The packet's bytes, and the pcapng options after them, within the window.
    bytes: Range<usize>,
    options: Range<usize>,
    order: Order,
    interface: usize,
    /// Of the whole record, in bytes.
    length: usize,
}

/// How files begin that some program compressed.
const COMPRESSED: [(&[u8], &str); 4] =
    [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zX", "xz"), (b"BZh", "bzip2")];

fn detect(source: &mut Source, interfaces: &mut Vec<Interface>) -> Result<Format, Error> {
    source.need(4, "the magic number")?;
    let magic = source.bytes().first_chunk().copied().unwrap_or_default();
    if magic == pcapng::SECTION_HEADER.to_be_bytes() {
        let mut pcapng = pcapng::Pcapng::new();
        pcapng.begin(source, interfaces)?;
        return Ok(Format::Pcapng(pcapng));
    }
    if let Some(pcap) = pcap::Pcap::begin(magic, source, interfaces)? {
        return Ok(Format::Pcap(pcap));
    }
    let file = source.name();
    match COMPRESSED.iter().find(|(start, _)| magic.starts_with(start)) {
        Some((_, by)) => Err(Error::Compressed { file, by }),
        None => Err(Error::Unknown { file, magic }),
    }
}
