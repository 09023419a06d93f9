//! From the expected path, the checks and the observed path to a verdict. Pure.
//!
//! Law: what was seen to work is not called broken, whatever the facts say; what was seen to fail
//! is not called well. A finding of the path belongs to the connections on whose way it stands,
//! and the first on the way comes first.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    check,
    facts::{Facts, Gap, Role},
    finding::{Code, Confidence, Finding, Severity},
    path::{self, Case, Path},
    probe::{Attempt, Outcome, Way},
};
use crate::spec::Spec;

/// What is said of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// What was asked about; empty for everything.
    pub asked: String,
    /// Each address and port that was looked at, and who answers there.
    pub ways: Vec<Told>,
    /// The cause first.
    pub findings: Vec<Finding>,
    /// What could not be looked at, and what that hides.
    pub gaps: Vec<Gap>,
}

/// An address and port: what was expected of it and what was observed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// Who dials what.
    #[serde(flatten)]
    pub way: Way,
    /// How each backend fares, by the name of its pod, or its address.
    pub backends: BTreeMap<String, Fate>,
    /// All that was tried; empty where nothing was sent.
    pub attempts: Vec<Attempt>,
}

/// How a backend fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It has answered.
    Answered,
    /// It has not answered, or cannot according to the facts.
    Failing,
    /// Nothing is in its way, and nobody has seen it answer.
    Unseen,
}

impl Diagnosis {
    /// Whether all is well.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Judges facts, and what became of probes, if there were any.
#[must_use]
pub fn judge(facts: &Facts, spec: &Spec, attempts: &[(Way, Vec<Attempt>)]) -> Diagnosis {
    let cases = path::cases(facts, spec, &facts.subject);
    let paths: Vec<_> = cases.iter().map(|case| path::expected(facts, spec, case)).collect();
    let seen = Seen { facts, attempts };
    let mut findings = of_paths(&paths, &seen);
    findings.extend(check::all(facts, spec).into_iter().map(|finding| Placed { finding, at: 0 }));
    let mut findings = folded(ranked(findings));
    let failing = seen.failing();
    if !failing.is_empty() && !findings.iter().any(|one| one.severity < Severity::Risk) {
        findings.insert(0, unexplained(&failing, facts));
    }
    Diagnosis {
        asked: facts.subject.asked.clone(),
        ways: ways(&paths, &seen),
        findings,
        gaps: facts.gaps.clone(),
    }
}

/// What became of probes.
struct Seen<'a> {
    facts: &'a Facts,
    attempts: &'a [(Way, Vec<Attempt>)],
}

impl Seen<'_> {
    fn of(&self, way: &Way) -> &[Attempt] {
        let of_way = self.attempts.iter().find(|(other, _)| other == way);
        of_way.map_or(&[], |(_, attempts)| attempts.as_slice())
    }

    /// The case's own backend was seen to answer.
    fn answered(&self, case: &Case) -> bool {
        let Some(backend) = &case.backend else { return false };
        let host = self.facts.hosts.iter().find(
            |host| matches!(&host.role, Role::Pod { pod, .. } if Some(pod) == backend.pod.as_ref()),
        );
        self.of(&Way::of(case)).iter().any(|attempt| match &attempt.outcome {
            Outcome::Answered { pod, .. } => host.is_some_and(|host| host.name == *pod),
            _ => false,
        })
    }

    /// Every attempt of the case's way was answered, and there were some.
    fn all_answered(&self, case: &Case) -> bool {
        let attempts = self.of(&Way::of(case));
        !attempts.is_empty() && attempts.iter().all(|attempt| attempt.outcome.is_answer())
    }

    fn failing(&self) -> Vec<&(Way, Vec<Attempt>)> {
        let fails = |(_, attempts): &&(Way, Vec<Attempt>)| {
            attempts.iter().any(|attempt| !attempt.outcome.is_answer())
        };
        self.attempts.iter().filter(fails).collect()
    }
}

/// A finding and its place on the way.
struct Placed {
    finding: Finding,
    at: usize,
}

/// Those of all paths, each once, without those that were seen not to hold.
fn of_paths(paths: &[Path], seen: &Seen<'_>) -> Vec<Placed> {
    let mut all: Vec<(Placed, bool)> = Vec::new();
    for path in paths {
        let works = seen.answered(&path.case) || seen.all_answered(&path.case);
        let hops = path.hops.iter().chain(&path.reply).enumerate();
        for (at, finding) in hops.flat_map(|(at, hop)| hop.findings.iter().map(move |f| (at, f))) {
            // What breaks only some packets may be there although others are answered.
            let refuted = works && finding.severity == Severity::Broken;
            match all.iter_mut().find(|(placed, _)| placed.finding == *finding) {
                Some((placed, all_refuted)) => {
                    placed.at = placed.at.min(at);
                    *all_refuted &= refuted;
                }
                None => all.push((Placed { finding: finding.clone(), at }, refuted)),
            }
        }
    }
    all.into_iter().filter(|(_, refuted)| !refuted).map(|(placed, _)| placed).collect()
}

fn ranked(mut all: Vec<Placed>) -> Vec<Finding> {
    all.sort_by_key(|placed| {
        (placed.finding.severity, placed.finding.confidence, placed.at, placed.finding.code)
    });
    all.into_iter().map(|placed| placed.finding).collect()
}

/// Puts what follows from another finding below it.
fn folded(all: Vec<Finding>) -> Vec<Finding> {
    let causes: BTreeSet<(Code, Option<String>)> =
        all.iter().map(|finding| (finding.code, finding.host.clone())).collect();
    let cause = |effect: &Finding| {
        let at_host = |code: Code| causes.contains(&(code, effect.host.clone()));
        FOLLOWS
            .iter()
            .find(|(_, of)| *of == effect.code)
            .map(|(cause, _)| *cause)
            .filter(|cause| at_host(*cause))
    };
    let mut kept: Vec<Finding> = Vec::new();
    let mut effects = Vec::new();
    for finding in all {
        match cause(&finding) {
            Some(cause) => effects.push((cause, finding)),
            None => kept.push(finding),
        }
    }
    for (cause, effect) in effects {
        let of = |finding: &&mut Finding| finding.code == cause && finding.host == effect.host;
        match kept.iter_mut().find(of) {
            Some(finding) => finding.consequences.push(effect),
            None => kept.push(effect),
        }
    }
    kept
}

/// What brings what with it, on the same host.
const FOLLOWS: [(Code, Code); 4] = [
    (Code::LinkDown, Code::RouteMissing),
    (Code::LinkDown, Code::NeighborStale),
    (Code::ProxyGone, Code::ProxyStale),
    (Code::DuplicateNodeAddress, Code::NeighborStale),
];

/// Something fails, and nothing says why.
fn unexplained(failing: &[&(Way, Vec<Attempt>)], facts: &Facts) -> Finding {
    let (way, attempts) = failing[0];
    let failed: Vec<_> = attempts.iter().filter(|one| !one.outcome.is_answer()).collect();
    let how = failed.first().map_or_else(String::new, |one| one.outcome.to_string());
    let cause = format!(
        "{} of {} probes of {} {} fail ({how}), and nothing that was looked at says why",
        failed.len(),
        attempts.len(),
        way.protocol,
        way.dialled
    );
    let mut finding =
        Finding::broken(Code::Unexplained, Some(&way.node), cause).confidence(Confidence::Possible);
    for gap in &facts.gaps {
        finding = finding.shown(gap.source, gap.hides.clone());
    }
    finding.mended(
        ["netlab", "capture", "--drops", "--follow", "port", &way.dialled.port().to_string()],
        "Watch a packet, and where it is dropped",
    )
}

fn ways(paths: &[Path], seen: &Seen<'_>) -> Vec<Told> {
    let mut ways: Vec<Told> = Vec::new();
    for path in paths {
        let way = Way::of(&path.case);
        let index = ways.iter().position(|told| told.way == way).unwrap_or_else(|| {
            let attempts = seen.of(&way).to_vec();
            ways.push(Told { way: way.clone(), backends: BTreeMap::new(), attempts });
            ways.len() - 1
        });
        let Some(backend) = &path.case.backend else { continue };
        let name = backend.pod.clone().unwrap_or_else(|| backend.address.to_string());
        let fate = match () {
            () if seen.answered(&path.case) => Fate::Answered,
            () if !path.passes() => Fate::Failing,
            () => Fate::Unseen,
        };
        ways[index].backends.insert(name, fate);
    }
    ways
}
