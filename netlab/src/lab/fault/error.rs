//! Why a fault could not be injected or cleared.

use crate::{
    lab::{LabName, state::StateError},
    netlink, proxy,
    spec::SpecError,
};

/// Why a fault could not be injected or cleared.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// No such fault.
    #[error("there is no fault {name:?}{}; netlab lab fault list names all", similar(.near))]
    Unknown {
        /// As asked for.
        name: String,
        /// One that is spelt alike.
        near: Option<&'static str>,
    },
    /// It would show nothing here.
    #[error("fault {name} is not for this lab: {why}")]
    Unfit {
        /// The fault.
        name: &'static str,
        /// A clause.
        why: String,
    },
    /// It is in the lab already.
    #[error("fault {name} is injected already{}; netlab lab fault clear {name} undoes it", at(.place))]
    Twice {
        /// The fault.
        name: &'static str,
        /// The node or the pod; empty where it is neither's.
        place: String,
    },
    /// It is not in the lab.
    #[error("fault {0} is not injected; netlab lab fault list shows what is")]
    NotInjected(String),
    /// A host, Service or pod that there is not, or a flag that means nothing for this fault.
    #[error("{0}")]
    Input(String),
    /// There is no such lab.
    #[error("there is no lab {0}; netlab lab up makes one")]
    NoLab(LabName),
    /// A program is missing.
    #[error("fault {fault} is injected with {program}, which is not installed")]
    Missing {
        /// The fault.
        fault: &'static str,
        /// The program.
        program: &'static str,
    },
    /// The process may not do it.
    #[error("changing a lab's namespaces needs {}; run it as root: sudo netlab ...", .0.join(" and "))]
    Privileges(Vec<&'static str>),
    /// A step failed, and those before it have been undone.
    #[error("{step}; what was done before has been undone")]
    Step {
        /// What was to be done.
        step: String,
        /// Why it failed.
        source: Box<FaultError>,
    },
    /// Some of a fault could not be undone.
    #[error("{}; netlab lab up mends what is the lab's own", .0.join("; "))]
    Left(Vec<String>),
    /// What had to be taken off to undo another was not put back.
    #[error(
        "{fault}, which was injected above what is cleared, is not put back; netlab lab fault \
         inject does it again"
    )]
    NotPutBack {
        /// The fault, and where.
        fault: String,
        /// Why.
        source: Box<FaultError>,
    },
    /// The lab did not get there.
    #[error("still waiting after {seconds} s: {what}")]
    Waiting {
        /// How long was waited.
        seconds: u64,
        /// For what.
        what: String,
    },
    /// A file of the lab.
    #[error(transparent)]
    State(#[from] StateError),
    /// The manifests.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The kernel's network configuration.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// A program that changes it.
    #[error(transparent)]
    Program(#[from] proxy::Error),
    /// Processes, files, eBPF programs.
    #[error("cannot {operation} {subject}")]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On what.
        subject: String,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
}

impl FaultError {
    pub(super) fn io(
        operation: &'static str,
        subject: impl Into<String>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let subject = subject.into();
        move |source| Self::Io { operation, subject, source }
    }
}

fn similar(near: &Option<&'static str>) -> String {
    near.map(|near| format!("; do you mean {near}?")).unwrap_or_default()
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" at {place}") }
}
