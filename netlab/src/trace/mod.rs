//! Watching packets in the kernel: at the interfaces, around XDP and tc programs, and where
//! they are dropped.
//!
//! A [`Sighting`] is one packet at one place. What the places are called, and what the
//! datapath says that it did there, is in [`event`]; how sightings of one packet are tied
//! together, in [`follow`]. A [`Session`] attaches the capture programs and yields sightings.
//!
//! Law: nothing that a session attaches outlives it, however its process ends: there are no
//! pins, and the kernel detaches what nobody holds.

pub mod decision;
pub mod event;
pub mod follow;

pub(crate) mod btf;

mod clock;
mod datapaths;
mod interfaces;
mod layout;
mod object;
mod options;
mod places;
mod reasons;
mod record;
mod session;

use std::io;

use aya::maps::MapError;

use netlab_common::event::stage::CAPTURES;

use crate::{datapath, netlink};

pub use decision::Decision;
pub use event::{Event, Hook};
pub use options::{Interfaces, Options, Place};
pub use session::{Loss, Session};

/// A packet, seen at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting<'a> {
    /// When: nanoseconds since 1970-01-01 00:00 UTC.
    pub time: u64,
    /// The host, as the lab names it, or the namespace; empty for this machine's own.
    pub host: &'a str,
    /// The interface; empty where the packet has none.
    pub interface: &'a str,
    /// Where on it.
    pub hook: Hook,
    /// What happened there, as far as it is known.
    pub event: Option<Event>,
    /// Length on the wire, in bytes.
    pub wire_len: u32,
    /// The packet's first bytes, from its Ethernet header on.
    pub bytes: &'a [u8],
}

/// The outcome of everything in this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with watching.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a map of the kernel's.
    #[error("cannot read {what}")]
    Read {
        /// Which.
        what: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel's type information lacks something.
    #[error(
        "this kernel's type information (BTF) does not tell {what}; \
         captures need CONFIG_DEBUG_INFO_BTF and a kernel that still has it"
    )]
    Layout {
        /// What was looked for.
        what: String,
    },
    /// The object lacks something that this program expects of it.
    #[error("the object of the capture programs has no {0}; this binary was built wrongly")]
    Object(&'static str),
    /// A map could not be made, opened, read or written.
    #[error("cannot {operation} the map {map}")]
    Map {
        /// What was tried, as a verb.
        operation: &'static str,
        /// Name of the map.
        map: &'static str,
        /// The kernel's answer.
        #[source]
        source: Box<MapError>,
    },
    /// The kernel refused a program.
    #[error(
        "cannot load the program {program} (needs root or CAP_BPF, CAP_PERFMON and \
         CAP_NET_ADMIN, and Linux 6.6)"
    )]
    Load {
        /// Its name.
        program: &'static str,
        /// The kernel's answer, with the end of the verifier's log where it is one.
        #[source]
        source: io::Error,
    },
    /// The kernel refused to attach a program.
    #[error("cannot attach to {subject}")]
    Attach {
        /// Hook and interface.
        subject: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// All the room for captures around a datapath is taken.
    #[error(
        "{CAPTURES} captures watch the datapath of {host} already, and there is no room for more; \
         end one of them, or capture elsewhere with --hook tc-in,tc-out"
    )]
    Full {
        /// Whose datapath.
        host: String,
    },
    /// No place has an interface of that name when the capture begins.
    #[error("no such interface: {name} (in {place}); there are: {known}")]
    NoInterface {
        /// What was asked for.
        name: String,
        /// The places.
        place: String,
        /// What there is.
        known: String,
    },
    /// The datapath's maps.
    #[error(transparent)]
    Datapath(#[from] datapath::Error),
    /// Namespaces and their interfaces.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
}

impl Error {
    fn map(operation: &'static str, map: &'static str, source: MapError) -> Self {
        Self::Map { operation, map, source: Box::new(source) }
    }
}
