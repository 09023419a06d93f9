//! `/run/netlab/LAB/faults.json`: what is injected, in order, and how to undo it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FaultError, undo::Undo};
use crate::lab::{LabDir, LabName};

const FILE: &str = "faults.json";

/// A fault that is in a lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected {
    /// Its name.
    pub name: String,
    /// The node that it is done to, or that has the pod.
    pub node: Option<String>,
    /// The pod's host name.
    pub pod: Option<String>,
    /// The Service that it keeps from being reached, as `namespace/name`.
    pub service: String,
    /// What was done, as a person would type it.
    pub done: Vec<String>,
    /// What undoes it, to be done backwards.
    pub(super) undo: Vec<Undo>,
}

impl Injected {
    /// Whether it is the same fault at the same place: a node may have it in two of its pods.
    pub(super) fn is_twin(&self, other: &Self) -> bool {
        (&self.name, &self.node, &self.pod) == (&other.name, &other.node, &other.pod)
    }

    /// The pod or the node that it is done to; empty where it is neither's.
    #[must_use]
    pub fn place(&self) -> &str {
        self.pod.as_deref().or(self.node.as_deref()).unwrap_or_default()
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            "" => f.write_str(&self.name),
            place => write!(f, "{} at {place}", self.name),
        }
    }
}

/// What is injected into a lab, first to last.
///
/// # Errors
///
/// Where the file exists and is no list of faults.
pub fn injected(name: &LabName) -> Result<Vec<Injected>, FaultError> {
    read(&LabDir::new(name))
}

pub(super) fn read(dir: &LabDir) -> Result<Vec<Injected>, FaultError> {
    Ok(dir.read(FILE)?.unwrap_or_default())
}

pub(super) fn write(dir: &LabDir, faults: &[Injected]) -> Result<(), FaultError> {
    Ok(dir.write(FILE, &faults)?)
}
