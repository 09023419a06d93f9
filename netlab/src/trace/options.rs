//! Where and what to capture.

use std::{collections::BTreeSet, net::IpAddr};

use aya_obj::generated::bpf_insn;

use super::Hook;
use crate::netlink::{Link, LinkKind, Netns};

/// A namespace to capture in. Where it has a name and is gone, the one that takes its name takes
/// its place.
#[derive(Clone, Debug)]
pub struct Place {
    /// What its packets are told to come from; may be empty.
    pub name: String,
    /// The namespace.
    pub netns: Netns,
}

/// What to capture.
#[derive(Clone, Debug)]
pub struct Options {
    /// At which hooks.
    pub hooks: BTreeSet<Hook>,
    /// On which interfaces.
    pub interfaces: Interfaces,
    /// Of what the datapath did with packets, only drops.
    pub only_drops: bool,
    /// Most bytes to keep of a packet; at most [`netlab_common::event::MAX_SNAPLEN`].
    pub snaplen: u32,
    /// Size of the ring, in bytes; a power of two and a multiple of the page size.
    pub ring: u32,
    /// The filter: a function of the input that [`netlab_common::filter_input`] describes.
    pub filter: Vec<bpf_insn>,
    /// How many bytes of a packet the filter may look at.
    pub reach: u32,
    /// Decisions of the kernel's are told of packets for these addresses; of none where it is
    /// empty.
    pub decisions: Vec<IpAddr>,
}

/// Which interfaces to capture on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interfaces {
    /// All but the loopback.
    AllButLoopback,
    /// All but the loopback and what is a port of another link, of a bridge for instance: what
    /// passes it is seen at that one, and at the port's other end.
    AllButPorts,
    /// All.
    All,
    /// Those of these names.
    Named(Vec<String>),
}

impl Interfaces {
    pub(super) fn contains(&self, link: &Link) -> bool {
        match self {
            Self::AllButLoopback => link.kind != LinkKind::Loopback,
            Self::AllButPorts => link.kind != LinkKind::Loopback && link.master.is_none(),
            Self::All => true,
            Self::Named(names) => names.contains(&link.name),
        }
    }

    pub(super) const fn are_named(&self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// Those that have to be there.
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::Named(names) => names,
            _ => &[],
        }
    }
}
