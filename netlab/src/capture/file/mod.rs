//! Capture files: pcap and pcapng, read and written, one or a series of them.
//!
//! [`Reader`] takes any format and gives packet after packet; [`Writer`] writes one file and
//! [`Rotating`] a series. All of them stream: memory is bounded whatever a file contains.
//!
//! The formats are those of draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. They are
//! written out here because no library does all of it: `pcap-file` refuses what libpcap
//! reads (a comment that is not UTF-8, a length above the snapshot length) and allocates for
//! each packet; `pcap-parser` neither writes nor knows the obsolete packet block; libpcap
//! drops interface names and comments, and writes no pcapng.

mod error;
mod order;
mod read;
mod rotate;

#[cfg(test)]
mod tests;
mod write;

use std::{borrow::Cow, fmt};

pub use error::{Damage, Error};
use order::Order;
pub use read::{Reader, Record};
pub use rotate::{Progress, Rotating, Rotation};

pub use write::{Format, Statistics, Writer, create};

use super::LinkType;

/// The name that means standard input or standard output instead of a file.
pub const STANDARD_STREAM: &str = "-";

/// Most bytes of a packet that tcpdump and Wireshark keep, and the default here
/// (MAXIMUM_SNAPLEN of libpcap).
pub const MAX_SNAPLEN: u32 = 262_144;

/// This program, as the files that it writes name it (shb_userappl).
pub const APPLICATION: &str = concat!("netlab ", env!("CARGO_PKG_VERSION"));

/// Longest block or packet that is read or written, in bytes. A longer one is taken for
/// damage; Wireshark's own limit is the same.
const MAX_BLOCK: u32 = 16 << 20;

/// Where packets were seen, as a capture file names it. A pcap file has one without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, such as `node-1/eth0/xdp-in`.
    pub name: String,
    /// What people should know about it besides.
    pub description: Option<String>,
    /// What its packets begin with.
    pub link: LinkType,
    /// Most bytes kept of a packet; 0 where nothing limits them.
    pub snaplen: u32,
}

impl Interface {
    /// Most bytes to write of a packet: the limit given, or one that every reader takes.
    fn limit(&self) -> u32 {
        match self.snaplen {
            0 => MAX_SNAPLEN,
            // Leaves room for the block around the packet.
            given => given.min(MAX_BLOCK / 2),
        }
    }
}

/// Which way a packet went at its interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Not recorded, as always in pcap.
    #[default]
    Unknown,
    /// It came in.
    Inbound,
    /// It went out.
    Outbound,
}

/// What pcapng says about a packet beyond the packet; pcap says none of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Note<'a> {
    /// Which way it went.
    pub direction: Direction,
    /// Remarks for people.
    pub comments: Comments<'a>,
}

/// The comments of a packet, in order. Those of a file are decoded only when looked at.
#[derive(Clone, Copy)]
pub struct Comments<'a>(Kept<'a>);

#[derive(Clone, Copy)]
enum Kept<'a> {
    Text(&'a [&'a str]),
    /// The options of a packet block.
    Options(&'a [u8], Order),
}

/// opt_comment (draft-ietf-opsawg-pcapng, section 3.5).
const OPT_COMMENT: u16 = 1;

impl<'a> Comments<'a> {
    /// No comment at all.
    pub const NONE: Self = Self(Kept::Text(&[]));

    /// These.
    #[must_use]
    pub const fn new(texts: &'a [&'a str]) -> Self {
        Self(Kept::Text(texts))
    }

    fn encoded(options: &'a [u8], order: Order) -> Self {
        if options.is_empty() { Self::NONE } else { Self(Kept::Options(options, order)) }
    }

    /// One after the other; what is not UTF-8 in a file becomes U+FFFD.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        let (texts, options) = match self.0 {
            Kept::Text(texts) => (texts, None),
            Kept::Options(bytes, order) => (&[][..], Some(order::options(bytes, order))),
        };
        let encoded = options
            .into_iter()
            .flatten()
            // The packet is whole even where the options after it are not.
            .map_while(Result::ok)
            .filter(|option| option.code == OPT_COMMENT)
            .map(|option| String::from_utf8_lossy(option.value));
        texts.iter().map(|text| Cow::Borrowed(*text)).chain(encoded)
    }
}

impl fmt::Debug for Comments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Default for Comments<'_> {
    fn default() -> Self {
        Self::NONE
    }
}

/// What the times in a file are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// Microseconds, as tcpdump writes them.
    #[default]
    Micro,
    /// Nanoseconds.
    Nano,
}
