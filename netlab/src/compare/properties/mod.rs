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
//! does to a packet is never an error, but what was measured. One property that cannot be
//! measured leaves the others as they are ([`Failed`]).

mod cluster;
pub mod entropy;
pub mod frame;
pub mod icmp;
pub mod mtu;
pub mod overhead;
pub mod prediction;
pub mod reach;
mod socket;
pub mod state;
pub mod too_large;
mod watch;

use std::{error::Error as _, fmt, io};

use serde::{Deserialize, Serialize};

use super::options::Proxy;
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
#[serde(deny_unknown_fields)]
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

/// Everything here, of one lab. What could not be measured is not there, or an empty list, and
/// among the failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Properties {
    /// Pod network.
    pub mode: Mode,
    /// What joins the hosts.
    pub underlay: Underlay,
    /// Who answers node ports. Runs of before this was told had netlab's programs at XDP.
    #[serde(default = "Proxy::at_xdp")]
    pub proxy: Proxy,
    /// MTU of the underlay, in bytes.
    pub underlay_mtu: u32,
    /// Bytes on the underlay.
    pub overhead: Option<overhead::Overhead>,
    /// What fits, by path.
    pub mtu: Vec<mtu::Fit>,
    /// What becomes of a packet that does not.
    pub too_large: Vec<too_large::Attempt>,
    /// What the underlay can tell flows apart by.
    pub entropy: Option<entropy::Entropy>,
    /// What a node is told of its peers.
    pub state: Option<state::State>,
    /// Whether the pods reach each other at all.
    pub reach: Option<reach::Reach>,
    /// What could not be measured.
    pub failures: Vec<Failed>,
}

impl Properties {
    /// Why what becomes of fragments at a node port is not the pod network's doing, where that
    /// is so: a sentence.
    #[must_use]
    pub fn remark(&self) -> Option<&'static str> {
        let of_fragments = |attempt: &&too_large::Attempt| {
            attempt.way == too_large::Way::ClientToNodePort && !attempt.dont_fragment
        };
        let mut attempts = self.too_large.iter().filter(of_fragments);
        let is_netlab = self.proxy.hook().is_some();
        (is_netlab && attempts.any(|attempt| !attempt.fate.agrees())).then_some(
            "netlab's programs leave fragments to the stack, which does not answer node ports.",
        )
    }
}

/// One of the things that are measured here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Property {
    /// [`overhead`].
    Overhead,
    /// [`mtu`].
    Mtu,
    /// [`too_large`].
    TooLarge,
    /// [`entropy`].
    Entropy,
    /// [`state`].
    State,
    /// [`reach`] on a switch.
    Reach,
    /// [`reach`] behind a router.
    Routed,
}

/// A property that could not be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Which.
    pub property: Property,
    /// Why, with the causes.
    pub reason: String,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overhead => "bytes on the underlay",
            Self::Mtu => "MTU and MSS",
            Self::TooLarge => "a packet that is too large",
            Self::Entropy => "source ports",
            Self::State => "state per peer",
            Self::Reach => "reach on a switch",
            Self::Routed => "reach on a routed underlay",
        })
    }
}

impl Property {
    /// What was measured, or nothing and a word among the failures.
    pub fn or_failed<T>(self, outcome: Result<T>, failures: &mut Vec<Failed>) -> Option<T> {
        match outcome {
            Ok(measured) => Some(measured),
            Err(error) => {
                let causes = std::iter::successors(error.source(), |cause| (**cause).source());
                let reason =
                    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
                failures.push(Failed { property: self, reason });
                None
            }
        }
    }
}

/// Measures everything, in a lab where pods reach each other. Where they do not, [`reach`] alone
/// has something to say. `state` is of no lab, and is handed in.
pub async fn measure(cluster: &Cluster, state: Result<state::State>) -> Properties {
    let mut failures = Vec::new();
    let all = &mut failures;
    let reach = again(async || reach::measure(cluster).await).await;
    let reach = Property::Reach.or_failed(reach, all);
    let overhead = again(async || overhead::measure(cluster).await).await;
    let overhead = Property::Overhead.or_failed(overhead, all);
    let mtu = again(async || mtu::measure(cluster).await).await;
    let mtu = Property::Mtu.or_failed(mtu, all);
    let too_large = again(async || too_large::measure(cluster).await).await;
    let too_large = Property::TooLarge.or_failed(too_large, all);
    let entropy = again(async || entropy::measure(cluster).await).await;
    let entropy = Property::Entropy.or_failed(entropy, all);
    let state = Property::State.or_failed(state, all);
    Properties {
        mode: cluster.options.mode,
        underlay: cluster.options.underlay,
        proxy: Proxy::of(cluster.options.proxy, cluster.options.hook),
        underlay_mtu: cluster.options.mtu,
        overhead,
        mtu: mtu.unwrap_or_default(),
        too_large: too_large.unwrap_or_default(),
        entropy,
        state,
        reach,
        failures,
    }
}

/// Looks a second time where packets were not seen, as happens on a busy machine.
pub(super) async fn again<T>(look: impl AsyncFn() -> Result<T>) -> Result<T> {
    match look().await {
        Err(Error::Lost(_) | Error::Unseen(_)) => look().await,
        outcome => outcome,
    }
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
