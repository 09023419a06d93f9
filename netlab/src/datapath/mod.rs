//! The datapath of one node: load the kernel programs, attach them, fill their maps,
//! collect dead connections and read the counters.
//!
//! Order: [`load`] makes maps and programs, [`compile`] says from a spec what belongs
//! into the maps, [`tables`] makes them agree, [`attach`] lets packets in. Maps are
//! pinned, so that `netlab show` can read them and state outlives the agent.

pub mod attach;
pub mod compile;
pub mod conntrack;
pub mod load;
pub mod migrate;
pub mod pins;
pub mod stages;
pub mod tables;
pub mod view;

use std::io;

use aya::{EbpfError, maps::MapError, pin::PinError, programs::ProgramError};

/// The outcome of everything in this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with the datapath.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused the programs or the maps.
    #[error(
        "cannot load the eBPF programs (needs root or CAP_BPF and CAP_NET_ADMIN, and Linux 6.6)"
    )]
    Load(#[source] Box<EbpfError>),
    /// The kernel refused one program, or its attachment.
    #[error("cannot {operation} {subject}")]
    Program {
        /// What was tried, as a verb.
        operation: &'static str,
        /// Program and interface.
        subject: String,
        /// The kernel's answer, with the verifier's log where it is one.
        #[source]
        source: Box<ProgramError>,
    },
    /// A map could not be opened, read or written.
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
    /// The objects ask for more than a map holds.
    #[error(
        "the manifests have {wanted} {what}, and the map {map} has room for {room}; leave out \
         Services or pods, or take another --proxy"
    )]
    Full {
        /// Name of the map.
        map: &'static str,
        /// What its entries are.
        what: &'static str,
        /// How many there would be.
        wanted: usize,
        /// How many there can be.
        room: u32,
    },
    /// A map could not be pinned.
    #[error("cannot pin the map {map}")]
    Pin {
        /// Name of the map.
        map: &'static str,
        /// The kernel's answer.
        #[source]
        source: Box<PinError>,
    },
    /// The object lacks something that this program expects of it.
    #[error("the eBPF object has no {0}; this binary was built wrongly")]
    Missing(&'static str),
    /// The state that is pinned is that of another netlab.
    #[error(
        "{path} has maps of ABI version {found}, and this netlab knows 1 to {own}: run the netlab \
         that made them, or remove the folder, and with it its connections"
    )]
    OtherVersion {
        /// Folder.
        path: String,
        /// Its version.
        found: u32,
        /// The one of this program.
        own: u32,
    },
    /// The BPF file system.
    #[error("cannot {operation} {path}")]
    Pins {
        /// What was tried, as a verb.
        operation: &'static str,
        /// Where.
        path: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The room for captures.
    #[error("cannot {operation} the program arrays for captures")]
    Stages {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// No hook was left to attach to.
    #[error("{interface} cannot run XDP in its driver; use --hook tc or --hook auto")]
    NoXdp {
        /// The interface.
        interface: String,
        /// The kernel's answer.
        #[source]
        source: Box<ProgramError>,
    },
}
