//! Whether the doctor finds the cause: every fault of the lab in every kind of lab, what the
//! doctor says of it, and what it says of a lab that is well.
//!
//! Law: what a fault has to be called is not written down here. It follows from the rows of the
//! catalogue that the fault imitates ([`Fault::rows`](netlab::lab::fault::Fault)) and the row that
//! a finding's code is of ([`Code::row`](netlab::doctor::finding::Code::row)). The doctor is a
//! process, as people run it. What cannot be injected or cleared is an error that is counted.
//!
//! [`patient`] breaks and mends one lab, [`trial`] judges what the doctor said of it, [`plan`]
//! says in what order, [`matrix`] does it, [`outcome`] counts, [`report`] tells.

pub mod answer;
pub mod matrix;
pub mod outcome;
pub mod patient;
pub mod plan;
mod random;
pub mod report;
pub mod trial;

use std::fmt;

use netlab::lab::{Mode, Proxy};
use serde::{Serialize, Serializer};

/// A kind of lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// How pods of different nodes reach each other.
    pub mode: Mode,
    /// Who answers node ports.
    pub proxy: Proxy,
}

impl fmt::Display for Cell {
    /// `vxlan/ebpf`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.mode, self.proxy)
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
