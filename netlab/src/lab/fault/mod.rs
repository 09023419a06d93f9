//! Faults in a running lab: each cause for which a node port cannot be reached, made as it
//! happens in the field, and exactly undone.
//!
//! A fault is a plan: it looks at the site (lab, node, Service, pods), changes nothing, and
//! gives steps, each a command that a person could type, a sysctl, a changed manifest or
//! process. What undoes a step is written to the journal before the step is taken.
//!
//! Laws: bad input is refused before anything changes. Where a step fails, those before it are
//! undone. Clearing goes backwards; a fault under a later one that touches the same is cleared by
//! taking the later ones off and putting them back. No fault depends on the process that injected
//! it: what has to run is kept running by the lab's supervisor, and ends with the lab.
//!
//! What survives the agents: an agent writes maps or rules from the manifests and, of the node's
//! network, only reads. Routes, neighbors, FDB, links and sysctls are made by `lab up` alone, so
//! they stay broken until it runs again; changed manifests are taken over by the agents like
//! anybody's; an agent itself can be stopped or frozen.
//!
//! # Errors
//!
//! [`FaultError`]: unknown or unfit faults, files of the lab, steps that the kernel refused.

mod agents;
mod catalogue;
mod clear;
mod dials;
mod error;
mod forwarding;
mod inject;
mod journal;
mod limits;
mod manifests;
mod neighbors;
mod netfilter;
mod overlay;
mod pods;
mod programs;
mod rebuild;
mod routes;
mod site;
mod sockets;
mod step;
mod tables;
#[cfg(test)]
mod tests;
mod underlay;
mod undo;

pub use catalogue::{At, Dialled, Fault, NotShown, Shows, all, find, not_shown, table};
pub use clear::{Cleared, clear};
pub use dials::{Dial, dials};
pub use error::FaultError;
pub use inject::{Request, inject};
pub use journal::{Injected, injected};

pub(super) use undo::thaw;
