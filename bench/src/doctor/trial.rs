//! One or more faults at a time, and whether the doctor names them. Pure but for [`trial`].

use std::collections::BTreeSet;

use netlab::lab::fault::Fault;
use serde::Serialize;

use super::{
    answer::{Answer, Named},
    patient::Patient,
};

/// A fault that is to be injected.
#[derive(Clone, Debug)]
pub struct Given {
    /// Which.
    pub fault: &'static Fault,
    /// At which node; None where the fault is not a node's.
    pub node: Option<String>,
}

/// A fault that was injected.
#[derive(Clone, Debug, Serialize)]
pub struct Hit {
    /// Its name.
    pub fault: &'static str,
    /// The rows of the catalogue that it imitates.
    pub rows: &'static [u8],
    /// The node or pod that it was done to; empty where it is neither's.
    pub place: String,
    /// The pod's host name, if it was done to a pod.
    pub pod: Option<String>,
    /// The Service that it keeps from being reached, as `namespace/name`.
    pub service: String,
    /// Hosts that a finding may name: those that something was done to, and the pods of a node.
    /// Empty where the fault is in the objects, and any may be named.
    pub hosts: BTreeSet<String>,
    /// What the doctor has to be asked about to see it; None for everything.
    pub asked: Option<String>,
}

/// What became of a fault in what the doctor said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// It is the first finding.
    First,
    /// It is a finding, and others come before it.
    Later,
    /// It is told as what follows from another finding.
    Folded,
    /// A finding is of its row, but names a host that nothing was done to.
    Elsewhere,
    /// Findings, and none of its row.
    Other,
    /// No finding.
    Nothing,
    /// Not named, and need not be: another fault keeps all packets from what it was done to.
    Hidden,
}

/// What came of a trial.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Trial {
    /// What was injected, in order.
    pub hits: Vec<Hit>,
    /// What the doctor said of it; None after an error.
    pub broken: Option<Answer>,
    /// What became of each of `hits` in that.
    pub marks: Vec<Mark>,
    /// What the doctor said once all was cleared; None after an error.
    #[serde(skip)]
    pub cleared: Option<Answer>,
    /// What could not be done.
    pub errors: Vec<String>,
}

/// Injects, asks the doctor, clears, asks the doctor.
#[must_use]
pub fn trial(patient: &Patient<'_>, given: &[Given]) -> Trial {
    let mut trial = Trial::default();
    for one in given {
        match patient.inject(one) {
            Ok(hit) => trial.hits.push(hit),
            Err(error) => trial.errors.push(format!("{error:#}")),
        }
    }
    if trial.errors.is_empty() {
        let asked = trial.hits.iter().find_map(|hit| hit.asked.clone());
        trial.broken = kept(patient.diagnose(asked.as_deref()), &mut trial.errors);
    }
    if let Some(answer) = &trial.broken {
        trial.marks = trial.hits.iter().map(|hit| Mark::of(hit, answer)).collect();
        if let [_, _, ..] = *trial.hits {
            kept(hide(patient, &trial.hits, &mut trial.marks), &mut trial.errors);
        }
    }
    if !trial.hits.is_empty() && kept(patient.clear(), &mut trial.errors).is_none() {
        return trial;
    }
    trial.cleared = kept(patient.diagnose(None), &mut trial.errors);
    trial
}

/// Of faults that were not named, marks those that cannot be seen beside the others.
fn hide(patient: &Patient<'_>, hits: &[Hit], marks: &mut [Mark]) -> anyhow::Result<()> {
    for (hit, mark) in hits.iter().zip(marks) {
        if !mark.is_named() && patient.is_hidden(hit)? {
            *mark = Mark::Hidden;
        }
    }
    Ok(())
}

fn kept<T>(outcome: anyhow::Result<T>, errors: &mut Vec<String>) -> Option<T> {
    outcome.map_err(|error| errors.push(format!("{error:#}"))).ok()
}

impl Mark {
    /// What became of a fault.
    #[must_use]
    pub fn of(hit: &Hit, answer: &Answer) -> Self {
        let is_row = |named: &Named| hit.rows.contains(&named.row);
        let is_there = |named: &Named| match &named.host {
            Some(host) => hit.hosts.is_empty() || hit.hosts.contains(host),
            None => true,
        };
        let is_it = |named: &Named| is_row(named) && is_there(named);
        let top = answer.findings.iter().position(is_it);
        let is_any = |is_so: &dyn Fn(&Named) -> bool| {
            answer.findings.iter().any(|named| named.any(&|named| is_so(named)))
        };
        match top {
            Some(0) => Self::First,
            Some(_) => Self::Later,
            None if is_any(&is_it) => Self::Folded,
            None if is_any(&is_row) => Self::Elsewhere,
            None if answer.findings.is_empty() => Self::Nothing,
            None => Self::Other,
        }
    }

    /// Whether the fault is among the findings.
    #[must_use]
    pub const fn is_named(self) -> bool {
        matches!(self, Self::First | Self::Later)
    }

    /// Whether the fault is the first finding, told as a risk or as merely possible.
    #[must_use]
    pub fn is_reserved(self, answer: &Answer) -> bool {
        self == Self::First && answer.findings.first().is_some_and(Named::is_reserved)
    }

    /// In a word or two, for tables.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::First => "named",
            Self::Later => "named later",
            Self::Folded => "folded",
            Self::Elsewhere => "wrong host",
            Self::Other => "missed",
            Self::Nothing => "no finding",
            Self::Hidden => "hidden",
        }
    }
}

#[cfg(test)]
impl Hit {
    /// One for tests.
    pub(super) fn example() -> Self {
        Self {
            fault: "bridge-down",
            rows: &[31],
            place: "node-1".to_owned(),
            pod: None,
            service: "default/web".to_owned(),
            hosts: ["node-1".to_owned()].into(),
            asked: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(code: &str, row: u8, host: Option<&str>) -> Named {
        let (code, host) = (code.into(), host.map(str::to_owned));
        let (severity, confidence) = ("broken".to_owned(), "certain".to_owned());
        Named { code, row, host, severity, confidence, ..Named::default() }
    }

    fn mark(findings: Vec<Named>) -> Mark {
        let hosts = ["node-1", "web-1"].map(str::to_owned).into();
        let hit = Hit { hosts, ..Hit::example() };
        Mark::of(&hit, &Answer { findings, seconds: 0.0, text: String::new() })
    }

    #[test]
    fn the_first_finding_has_to_be_of_the_row_and_of_a_host_that_was_hit() {
        let right = named("link-down", 31, Some("node-1"));
        let other = named("route-missing", 18, Some("node-1"));
        let elsewhere = named("link-down", 31, Some("node-2"));
        assert_eq!(mark(vec![right.clone(), other.clone()]), Mark::First);
        assert_eq!(mark(vec![named("link-down", 31, Some("web-1"))]), Mark::First);
        assert_eq!(mark(vec![named("link-down", 31, None)]), Mark::First);
        assert_eq!(mark(vec![other.clone(), right.clone()]), Mark::Later);
        assert_eq!(mark(vec![elsewhere.clone(), right.clone()]), Mark::Later);
        assert_eq!(mark(vec![elsewhere]), Mark::Elsewhere);
        assert_eq!(mark(vec![other.clone()]), Mark::Other);
        assert_eq!(mark(Vec::new()), Mark::Nothing);
        let over = Named { consequences: vec![right], ..other };
        assert_eq!(mark(vec![over]), Mark::Folded);
    }

    #[test]
    fn a_fault_that_is_told_as_a_risk_is_named_with_reserve() {
        let certain = named("link-down", 31, Some("node-1"));
        let risk = Named { severity: "risk".to_owned(), ..certain.clone() };
        let told = |findings| Answer { findings, seconds: 0.0, text: String::new() };
        assert!(Mark::First.is_reserved(&told(vec![risk.clone(), certain.clone()])));
        assert!(!Mark::First.is_reserved(&told(vec![certain, risk.clone()])));
        assert!(!Mark::Later.is_reserved(&told(vec![risk])));
    }

    #[test]
    fn of_a_fault_in_the_objects_any_host_may_be_named() {
        let hit = Hit { rows: &[7], hosts: BTreeSet::new(), ..Hit::example() };
        let findings = vec![named("nothing-listens", 7, Some("web-3"))];
        let answer = Answer { findings, seconds: 0.0, text: String::new() };
        assert_eq!(Mark::of(&hit, &answer), Mark::First);
    }
}
