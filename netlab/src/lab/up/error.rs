//! Why `lab up` did not do what was asked.

use std::{io, path::PathBuf};

use super::ready::GaveUp;
use crate::{
    lab::{
        address::AddressError,
        build::BuildError,
        down::DownError,
        fault::FaultError,
        options::{LabName, OptionsError, Proxy, Underlay},
        state::StateError,
        status::Unready,
        topology::TopologyError,
    },
    netlink, proxy,
    spec::SpecError,
};

/// Why there is no lab, or not the one asked for.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The process may not do it.
    #[error(
        "a lab is made of network namespaces, which needs {}; run it as root: sudo netlab ...",
        .0.join(" and ")
    )]
    Privileges(Vec<&'static str>),
    /// The options contradict each other.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The underlay of a lab does not change.
    #[error(
        "lab {name} has a {is} underlay, and its nodes' addresses are made for that; \
         to change it: netlab lab down --name {name}"
    )]
    Underlay {
        /// The lab.
        name: LabName,
        /// What it has.
        is: Underlay,
    },
    /// What was done to the lab is undone to what it is.
    #[error(
        "lab {name} has faults in it ({}), which are undone to the lab as it is now; first \
         clear them: netlab lab fault clear --name {name}",
        .faults.join(", ")
    )]
    Faults {
        /// The lab.
        name: LabName,
        /// What is injected, and where.
        faults: Vec<String>,
    },
    /// Which faults there are could not be read.
    #[error(transparent)]
    Journal(Box<FaultError>),
    /// A hook where no program of netlab's is attached.
    #[error(
        "--hook says where netlab's own programs are attached, and with --proxy {0} there are \
         none; leave --hook out, or take --proxy ebpf"
    )]
    Hook(Proxy),
    /// Both files and a number say how many nodes there are.
    #[error("the manifests have {have} Node objects, --nodes says {asked}; leave --nodes out")]
    Nodes {
        /// In the files.
        have: usize,
        /// Asked for.
        asked: usize,
    },
    /// The objects are refused.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// There are no addresses left.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The objects cannot stand in one lab.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// This machine cannot load kube-proxy's rules.
    #[error(transparent)]
    Proxy(#[from] proxy::Error),
    /// Another's namespace has the name.
    #[error(
        "there is a namespace {0} already, and it is not this lab's; \
         delete it (ip netns delete {0}) or give the lab another --name"
    )]
    Taken(String),
    /// A file of the state could not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Namespaces or privileges could not be looked at.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The kernel refused.
    #[error("the lab could not be built{}", if *.removed { "; what was made is removed again" } else { "" })]
    Build {
        /// What was refused.
        source: BuildError,
        /// Whether the lab is gone again.
        removed: bool,
    },
    /// Building failed, and so did removing what was made.
    #[error("the lab could not be built ({build}), nor what was made be removed")]
    Undo {
        /// Why it could not be built.
        build: Box<BuildError>,
        /// Why it could not be removed.
        source: Box<DownError>,
    },
    /// The supervisor could not be started or signalled.
    #[error("cannot start the lab's supervisor")]
    Supervisor(#[source] io::Error),
    /// Something does not become ready.
    #[error(
        "the lab is built, but not ready: {}; {reason}; logs are in {}, and netlab lab down \
         --name {name} removes it",
        .waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), .logs.display()
    )]
    NotReady {
        /// The lab.
        name: LabName,
        /// What is waited for.
        waiting: Vec<Unready>,
        /// Why not longer.
        reason: Box<GaveUp>,
        /// Where the logs are.
        logs: PathBuf,
    },
}
