//! A comparison as it came out: everything measured, with the conditions it was measured under.
//!
//! This is the JSON of `netlab compare -o json`. Fields are never taken away or given another
//! meaning within a [`VERSION`]. Times are in the unit that the field or the measure names.

mod bound;
mod measure;
mod series;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    options::{Options, Proxy},
    properties::{Properties, reach::Reach},
    statistics::Estimate,
};
use crate::lab::Mode;

pub use bound::{BOUND, beside, limited};
#[cfg(test)]
pub(super) use measure::tests::rates;
pub use measure::{LEAST_PAIRS, Measure, Measured, Ratio, Verdict, first_proxy, judged};
pub use series::{LOSSY, Limit, LimitKind, Metered, Round, Series, loss};

/// Version of the JSON.
pub const VERSION: u32 = 3;

/// A comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// [`VERSION`].
    pub version: u32,
    /// The finding in one sentence.
    pub finding: String,
    /// What else is clear, and what is too noisy to tell, a sentence each.
    pub details: Vec<String>,
    /// What it was measured with.
    pub conditions: Conditions,
    /// Each workload in each cell, in the order in which they were measured.
    pub series: Vec<Series>,
    /// What the load itself is capable of, and the least that a node can do.
    pub limits: Vec<Limit>,
    /// What a new connection pays for the number of Services, in the order of that number;
    /// empty where that was not asked for.
    pub scaling: Vec<Step>,
    /// What differs between the pod networks and can be counted, one a mode; empty where that
    /// was not asked for.
    pub networks: Vec<Network>,
}

/// Why text is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not the JSON of a comparison.
    #[error("it is not what `netlab compare -o json` prints")]
    Json(#[from] serde_json::Error),
    /// Another netlab has made it.
    #[error(
        "it is version {0} of the JSON, and this netlab reads version {VERSION}; compare again, \
         or take the netlab that made it"
    )]
    Version(u64),
}

impl Comparison {
    /// Reads what `netlab compare -o json` prints.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read(text: &str) -> Result<Self, ReadError> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version != u64::from(VERSION) => Err(ReadError::Version(version)),
            // From the text and not from the value, so that an error tells its line.
            _ => Ok(serde_json::from_str(text)?),
        }
    }
}

/// What it was measured with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// netlab's version.
    pub netlab: String,
    /// What was asked for. The duration is `{secs, nanos}`.
    pub options: Options,
    /// The machine.
    pub machine: Machine,
    /// By name of the cell, `vxlan ebpf-xdp`.
    pub cells: BTreeMap<String, CellConditions>,
    /// Connections beside each other, by workload.
    pub flows: BTreeMap<String, u32>,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The kernel's release and architecture.
    pub kernel: String,
    /// Its CPUs' model; empty where the kernel does not say.
    pub model: String,
    /// How many there are for this process.
    pub cores: usize,
    /// Processes that ran or wanted to, averaged over the minute before the first turn.
    pub load: f64,
}

/// What a cell is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellConditions {
    /// `xdp` or `tc`, or the program that loads kube-proxy's rules; empty for none.
    pub hook: String,
    /// Largest L3 packet of a pod, in octets.
    pub pod_mtu: u32,
    /// Offloads that are on, as ethtool calls them, by host and interface.
    pub offloads: BTreeMap<String, Vec<String>>,
}

/// One proxy with so many Services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Pod network.
    pub mode: Mode,
    /// Who answers node ports.
    pub proxy: Proxy,
    /// Services that there are, the dialled one among them.
    pub services: u32,
    /// Seconds from when the Services were written down to when both nodes had programmed
    /// them, after the step before, or the least after the largest: the median over the rounds;
    /// nothing where that did not happen.
    pub program_seconds: Option<f64>,
    /// As in a series of the workload `first-byte`, without the warm-up.
    pub rounds: Vec<Round>,
    /// Median microseconds to the first byte, over the rounds; nothing where all have failed.
    pub first_byte: Option<Estimate>,
    /// To the same proxy with the least number of Services; nothing of that itself.
    pub to_least: Option<Ratio>,
}

/// What a pod network is, without a clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// On a switch: bytes, MTU, entropy, state.
    pub properties: Properties,
    /// Whether pods reach each other on a routed underlay; nothing where that could not be
    /// measured, which is then among the failures of `properties`.
    pub routed: Option<Reach>,
}

impl Comparison {
    /// Whether there is a number, at least one, for everything that was asked for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let any = |rounds: &[Round]| rounds.iter().any(|round| matches!(round, Round::Done { .. }));
        let is_known = |series: &Series| any(&series.rounds) && series.metering_failure.is_none();
        self.series.iter().all(is_known)
            && self.limits.iter().all(|limit| any(&limit.rounds))
            && self.scaling.iter().all(|step| any(&step.rounds))
            && self.networks.iter().all(|network| network.properties.failures.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_and_other_files_are_refused() {
        let refused = |text: &str| Comparison::read(text).unwrap_err().to_string();
        assert!(refused(r#"{"version": 1, "series": []}"#).contains("version 1 of the JSON"));
        assert!(refused("{}").contains("netlab compare -o json"));
        assert!(refused("PK").contains("netlab compare -o json"));
    }
}
