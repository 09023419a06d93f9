//! What can go wrong with a capture file, where, and what to do about it.

use std::io;

use super::{LinkType, MAX_BLOCK};

/// Why a capture file could not be read or written on. Displays operation, file, byte offset,
/// cause and way out in one line; so no cause is a `source` that a report would print again.
///
/// Whoever reads has been given every packet that lies before the error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened for reading.
    #[error("cannot read {file}: {cause}")]
    Open {
        /// The file as given, or `standard input`.
        file: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The system failed while the file was read.
    #[error("cannot read {file} from byte {offset} on: {cause}")]
    Read {
        /// The file as given, or `standard input`.
        file: String,
        /// How many bytes could be read before.
        offset: u64,
        /// What the system said.
        cause: io::Error,
    },
    /// The file ends in the middle of something.
    #[error(
        "{file} ends too soon: at byte {offset} begins {what} of {wanted} bytes, and only \
         {got} of them are there; {}",
        truncation(*.offset)
    )]
    Truncated {
        /// The file as given, or `standard input`.
        file: String,
        /// Where that begins which is not complete.
        offset: u64,
        /// What begins there.
        what: &'static str,
        /// Its length in bytes.
        wanted: u64,
        /// How many bytes of it there are.
        got: u64,
    },
    /// The file cannot be what it says it is.
    #[error("{file} is damaged at byte {offset}: {damage}; the packets before it are intact")]
    Damaged {
        /// The file as given, or `standard input`.
        file: String,
        /// Where the block or packet begins that cannot be.
        offset: u64,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The file is compressed.
    #[error(
        "{file} is compressed with {by}; decompress it first: {by} -dc FILE | netlab capture -r -"
    )]
    Compressed {
        /// The file as given, or `standard input`.
        file: String,
        /// The program that undoes it.
        by: &'static str,
    },
    /// The file begins as no capture file does.
    #[error(
        "{file} is not a capture file: it begins with {:02x} {:02x} {:02x} {:02x}, and neither \
         pcap nor pcapng does; `file` may say what it is",
        magic[0], magic[1], magic[2], magic[3]
    )]
    Unknown {
        /// The file as given, or `standard input`.
        file: String,
        /// Its first four bytes.
        magic: [u8; 4],
    },
    /// The file has a version that nobody has written down yet, or nobody writes any more.
    #[error("{file} has {format} version {major}.{minor}, and only {known} can be read")]
    Version {
        /// The file as given, or `standard input`.
        file: String,
        /// `pcap` or `pcapng`.
        format: &'static str,
        /// Its major version.
        major: u16,
        /// Its minor version.
        minor: u16,
        /// The versions that can be read.
        known: &'static str,
    },
    /// The file cannot be made.
    #[error("cannot write {file}: {cause}")]
    Create {
        /// The file as given, or `standard output`.
        file: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The system failed while the file was written.
    #[error("cannot write {file} from byte {offset} on: {cause}")]
    Write {
        /// The file as given, or `standard output`.
        file: String,
        /// How many bytes had been handed over before.
        offset: u64,
        /// What the system said.
        cause: io::Error,
    },
    /// A packet has another link type than its file or interface.
    #[error(
        "cannot write a packet of link type {} to {file}, which has link type {}; write pcapng, \
         with an interface for each",
        packet.0, expected.0
    )]
    Link {
        /// The file as given, or `standard output`.
        file: String,
        /// The packet's.
        packet: LinkType,
        /// The file's, or that of the interface.
        expected: LinkType,
    },
    /// A packet or statistics were given for an interface that was never added.
    #[error("cannot write to {file}: it has no interface {interface}, only {known}")]
    Interface {
        /// The file as given, or `standard output`.
        file: String,
        /// The number given.
        interface: usize,
        /// How many there are.
        known: usize,
    },
    /// A packet's time is beyond what pcap can say, the year 2106.
    #[error(
        "cannot write a packet of second {seconds} since 1970 to {file}: pcap ends with 4294967295; write pcapng"
    )]
    Time {
        /// The file as given, or `standard output`.
        file: String,
        /// The packet's time.
        seconds: u64,
    },
    /// Files in turn were asked for where there is only one.
    #[error(
        "cannot begin a new file after some time or size where packets go to standard output; name a file"
    )]
    RotatedStream,
}

impl Error {
    /// Whether a reader of what is written has gone away, which is no failure.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write { cause, .. } if cause.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn truncation(offset: u64) -> &'static str {
    if offset == 0 {
        "it was not written by a capture that got as far as its first packet"
    } else {
        "the packets before it are intact; its writer may have been stopped, or still be at it"
    }
}

/// What is wrong with a damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A packet of a pcap file is longer than packets can be.
    #[error("a packet of {length} bytes, where at most {limit} are possible")]
    PacketLength {
        /// As the file has it.
        length: u32,
        /// The longest possible.
        limit: u32,
    },
    /// The length of a block is impossible.
    #[error(
        "a block of {length} bytes, where multiples of 4 from {least} to {MAX_BLOCK} are possible"
    )]
    BlockLength {
        /// As the file has it.
        length: u32,
        /// The length of such a block without content.
        least: u32,
    },
    /// A block begins and ends with different lengths.
    #[error("a block that begins with a length of {first} bytes and ends with {last}")]
    BlockLengths {
        /// At its begin.
        first: u32,
        /// At its end.
        last: u32,
    },
    /// A section begins without the number that tells its byte order.
    #[error("a section whose byte-order magic is {0:#010x} instead of 0x1a2b3c4d")]
    ByteOrder(u32),
    /// A packet is longer than the block around it.
    #[error("a packet of {length} bytes in a block with room for {room}")]
    PacketInBlock {
        /// The packet's.
        length: u32,
        /// What the block can hold.
        room: u32,
    },
    /// A packet belongs to an interface that its section has not described.
    #[error("a packet of interface {interface}, where the section has described {known}")]
    Interface {
        /// The number, from 0.
        interface: u32,
        /// How many there are.
        known: usize,
    },
    /// An option of an interface is longer than its block, or has a length it cannot have.
    #[error("an interface description with an option {0} of impossible length")]
    InterfaceOption(&'static str),
    /// There are more interfaces than a machine can have.
    #[error("interface descriptions of more than {MAX_BLOCK} bytes together")]
    Interfaces,
}
