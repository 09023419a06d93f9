//! What differs between the pod networks and can be counted exactly, without a clock.
//!
//! Each property has a file of its own: what it is made of, measured in a running lab, beside
//! what [`prediction`] says. Reading packets ([`frame`]) and counting are pure and apart from
//! the measuring, which is the same for all: `watch` sees packets while sockets send some.
//!
//! Law: a lab is left as it was found. Traffic is a few thousand packets at most, from sockets
//! in the lab's namespaces to sockets in the lab's namespaces.
//!
//! # Errors
//!
//! [`Error`]: the lab lacks what a property needs, or could not be looked at. What a network
//! does to a packet is never an error, but what was measured.

mod cluster;
pub mod entropy;
pub mod frame;
pub mod mtu;
pub mod overhead;
pub mod prediction;
pub mod reach;
mod socket;
pub mod state;
pub mod too_large;
mod watch;

use std::io;

use serde::{Deserialize, Serialize};

use crate::{
    capture::filter,
    lab::{
        LabName, Mode, Underlay, address::AddressError, state::StateError, topology::TopologyError,
    },
    netlink,
    spec::SpecError,
    trace,
};

pub use cluster::Cluster;
pub use watch::Seen;

/// What was seen, and what arithmetic says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside<T> {
    /// In the lab.
    pub measured: T,
    /// By arithmetic alone.
    pub predicted: T,
}

impl<T: PartialEq> Beside<T> {
    /// Whether what was seen is what had to come.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.measured == self.predicted
    }
}

/// Everything here, of one lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Properties {
    /// Pod network.
    pub mode: Mode,
    /// What joins the hosts.
    pub underlay: Underlay,
    /// MTU of the underlay, in bytes.
    pub underlay_mtu: u32,
    /// Bytes on the underlay.
    pub overhead: overhead::Overhead,
    /// What fits, by path.
    pub mtu: Vec<mtu::Fit>,
    /// What becomes of a packet that does not.
    pub too_large: Vec<too_large::Attempt>,
    /// What the underlay can tell flows apart by.
    pub entropy: entropy::Entropy,
    /// What a node is told of its peers.
    pub state: state::State,
    /// Whether the pods reach each other at all.
    pub reach: reach::Reach,
}

/// Measures everything, in a lab where pods reach each other. Where they do not, [`reach`] alone
/// has something to say.
///
/// # Errors
///
/// See [`Error`].
pub async fn measure(cluster: &Cluster) -> Result<Properties> {
    Ok(Properties {
        mode: cluster.options.mode,
        underlay: cluster.options.underlay,
        underlay_mtu: cluster.options.mtu,
        reach: reach::measure(cluster).await?,
        overhead: overhead::measure(cluster).await?,
        mtu: mtu::measure(cluster).await?,
        too_large: too_large::measure(cluster).await?,
        entropy: entropy::measure(cluster).await?,
        state: state::measure(cluster.options.mode).await?,
    })
}

/// The outcome of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a property could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No lab of this name.
    #[error("there is no lab {0}; make one with: netlab lab up --name {0}")]
    NoLab(LabName),
    /// Something that the measuring needs.
    #[error("the lab lacks {0}; the built-in manifest with --nodes 2 has all that is needed")]
    Lacks(String),
    /// A connection or datagram that had to get through did not.
    #[error("cannot {what}; does `netlab lab status` show the lab in order?")]
    Socket {
        /// What was tried.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Nothing that could be counted was seen.
    #[error("no packet of {0} was seen on its way; is something else changing the lab?")]
    Unseen(String),
    /// The capture had no room for packets.
    #[error("{0} packets were not seen for want of room; try again on a machine less busy")]
    Lost(u64),
    /// The runtime ended while something was measured.
    #[error("the measurement was interrupted")]
    Interrupted,
    /// What a lab keeps on disk.
    #[error(transparent)]
    State(#[from] StateError),
    /// The lab's manifests.
    #[error(transparent)]
    Spec(#[from] Box<SpecError>),
    /// A lab of so many nodes cannot be laid out.
    #[error("a lab of {nodes} nodes cannot be laid out")]
    Layout {
        /// How many.
        nodes: usize,
        /// Why.
        source: LayoutError,
    },
    /// The filter of a capture.
    #[error(transparent)]
    Filter(#[from] filter::Error),
    /// A capture.
    #[error(transparent)]
    Trace(#[from] trace::Error),
    /// Namespaces and what is in them.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
}

/// Why there is no topology of so many nodes.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The objects are wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// There are not so many addresses.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The objects do not fit together.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}
