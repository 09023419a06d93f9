//! What was measured, round by round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::measure::{Measure, Measured};
use crate::compare::{
    plan::Cell,
    usage::{BpfTime, Usage},
    workload::{Work, Workload},
};

/// One workload in one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// What was done.
    pub workload: Workload,
    /// Where.
    pub cell: Cell,
    /// In order, without the warm-up.
    pub rounds: Vec<Round>,
    /// Where the time goes, in one more round that counts for nothing else, since to look costs
    /// time too; nothing where that round failed.
    pub metered: Option<Metered>,
    /// What is said of the rounds, the one that matters most first.
    pub measures: Vec<Measured>,
    /// The first measure is within a tenth of what the load itself is capable of, so that it
    /// tells more of the load than of the cell.
    pub generator_bound: bool,
}

/// One round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Round {
    /// It counts.
    Done {
        /// What was done.
        work: Work,
        /// What it cost.
        usage: Usage,
    },
    /// It does not count in anything.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Where the time of one round went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metered {
    /// What was done in that round.
    pub work: Work,
    /// Of the datapath's programs of both nodes; nothing where there are none.
    pub bpf: Option<BpfTime>,
    /// Seconds of CPU that the kernel spent in softirqs on packets of a host, by host:
    /// `client`, `fabric`, `node-1`, `node-2`, `pod`; nothing where the kernel does not let it be
    /// told.
    pub hosts: Option<BTreeMap<String, f64>>,
}

/// What there is without a cell, by the same load: the ceiling of what can be measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Which.
    pub kind: LimitKind,
    /// What was done.
    pub workload: Workload,
    /// In order, without the warm-up.
    pub rounds: Vec<Round>,
    /// What is said of them, without ratios.
    pub measures: Vec<Measured>,
}

/// A path that no cell's can be faster than.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKind {
    /// A veth pair between the load's ends, and nothing else: the load's own ceiling.
    Veth,
    /// The node that is dialled forwards by a bare XDP program and the kernel's FIB, without any
    /// translation, over host-gw. Packets per second only.
    Forward,
}

impl Round {
    /// Its number of that measure; nothing where it has failed or has none.
    pub(in crate::compare) fn value(&self, measure: Measure) -> Option<f64> {
        match self {
            Self::Done { work, usage } => measure.value(work, usage),
            Self::Failed { .. } => None,
        }
    }
}

impl Series {
    /// Without anything measured.
    #[must_use]
    pub fn new(workload: Workload, cell: Cell) -> Self {
        Self {
            workload,
            cell,
            rounds: Vec::new(),
            metered: None,
            measures: Vec::new(),
            generator_bound: false,
        }
    }

    /// The values of a measure, a round each; none of a round that has failed.
    #[must_use]
    pub fn values(&self, measure: Measure) -> Vec<Option<f64>> {
        self.rounds.iter().map(|round| round.value(measure)).collect()
    }

    /// How many rounds have failed.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.rounds.iter().filter(|round| matches!(round, Round::Failed { .. })).count()
    }
}
