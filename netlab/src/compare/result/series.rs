//! What was measured, round by round.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::measure::{Measure, Measured};
use crate::compare::{
    plan::Cell,
    usage::{BpfTime, Usage},
    workload::{Work, Workload},
};

/// Share of a flood from which on its loss is too much: a path that drops is not fast, and its
/// rate is of other work than that of one which does not.
pub const LOSSY: f64 = 0.01;

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
    /// Why that round failed, if it did.
    pub metering_failure: Option<String>,
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

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Veth => "veth",
            Self::Forward => "forward",
        })
    }
}

impl Limit {
    /// Without anything measured.
    #[must_use]
    pub const fn new(kind: LimitKind, workload: Workload) -> Self {
        Self { kind, workload, rounds: Vec::new(), measures: Vec::new() }
    }

    /// The values of a measure, a round each; none of a round that has failed.
    #[must_use]
    pub fn values(&self, measure: Measure) -> Vec<Option<f64>> {
        self.rounds.iter().map(|round| round.value(measure)).collect()
    }
}

impl Metered {
    /// Microseconds of CPU that the kernel spent in softirqs on packets of a host, for an
    /// operation, or for a MiB of payload where there are no operations; nothing where that is
    /// not known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a turn are far below 2^52")]
    pub fn of_host(&self, host: &str) -> Option<f64> {
        const MIB: f64 = 1024.0 * 1024.0;
        let seconds = self.hosts.as_ref()?.get(host)?;
        let units = match self.work.operations {
            0 => self.work.bytes as f64 / MIB,
            operations => operations as f64,
        };
        let each = seconds * 1e6 / units;
        each.is_finite().then_some(each)
    }
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
            metering_failure: None,
            measures: Vec::new(),
            generator_bound: false,
        }
    }

    /// The values of a measure, a round each; none of a round that has failed.
    #[must_use]
    pub fn values(&self, measure: Measure) -> Vec<Option<f64>> {
        self.rounds.iter().map(|round| round.value(measure)).collect()
    }

    /// The share of a flood's datagrams that did not come, in all rounds; nothing of others.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        self.workload.is_flood().then(|| loss(&self.rounds)).flatten()
    }

    /// How many rounds have failed.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.rounds.iter().filter(|round| matches!(round, Round::Failed { .. })).count()
    }
}

/// The share of what was sent that did not come, where something was.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
pub fn loss(rounds: &[Round]) -> Option<f64> {
    let [lost, came] = rounds.iter().fold([0, 0], |[lost, came], round| match round {
        Round::Done { work, .. } => [lost + work.lost, came + work.operations],
        Round::Failed { .. } => [lost, came],
    });
    (lost + came > 0).then(|| lost as f64 / (lost + came) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_time_is_for_an_operation_or_else_for_a_mebibyte() {
        let metered = |operations, bytes| Metered {
            work: Work { seconds: 1.0, operations, bytes, ..Work::default() },
            bpf: None,
            hosts: Some(BTreeMap::from([("node-1".to_owned(), 0.5)])),
        };
        assert_eq!(metered(1_000, 64_000).of_host("node-1"), Some(500.0));
        assert_eq!(metered(0, 2 << 20).of_host("node-1"), Some(250_000.0));
        assert_eq!(metered(0, 0).of_host("node-1"), None);
        assert_eq!(metered(1, 1).of_host("node-9"), None);
        assert_eq!(Metered { hosts: None, ..metered(1, 1) }.of_host("node-1"), None);
    }
}
