//! From the expected path, the checks and the observed path to a verdict. Pure.
//!
//! Law: what was seen to work is not called broken, whatever the facts say; what was seen to fail
//! is not called well. A finding of the path belongs to the connections on whose way it stands,
//! and the first on the way comes first.

mod dropped;
mod folding;
mod seen;
#[cfg(test)]
mod tests;
mod unexplained;
mod unknown;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use self::seen::{Seen, is_of_itself, parted};
pub use self::unknown::Unknown;
use super::{
    check,
    facts::{Facts, Gap, Source},
    finding::{Code, Confidence, Evidence, Finding, Severity},
    mend,
    observe::Divergence,
    path::{self, Judgement, Path},
    probe::{Attempt, Way},
};
use crate::{spec::Spec, trace::follow::Journey};

/// What is said of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// What was asked about; empty for everything.
    pub asked: String,
    /// Each address and port that was looked at, and who answers there.
    pub ways: Vec<Told>,
    /// The expected path of each connection.
    #[serde(skip)]
    pub paths: Vec<Path>,
    /// The worst first, and of these, what stands first on the way.
    pub findings: Vec<Finding>,
    /// Where nothing was found but risks: what is not known to be well all the same.
    pub unknown: Vec<Unknown>,
    /// Nothing was sent: attempts are what others dialled.
    #[serde(skip)]
    pub passive: bool,
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
    /// What a lab's pods call themselves: who does not is a stranger. Empty where there is no lab.
    #[serde(skip)]
    pub pods: BTreeSet<String>,
    /// Where the first attempt that failed parts from its expected path; None where none failed,
    /// or nobody watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub divergence: Option<Divergence>,
}

impl Told {
    /// Whether an attempt was answered by whom it was for, as far as anybody can know.
    #[must_use]
    pub fn is_answered(&self, attempt: &Attempt) -> bool {
        let outcome = &attempt.outcome;
        outcome.is_answer() && (self.pods.is_empty() || outcome.is_of(&self.pods))
    }
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
        self.findings.is_empty() && self.unknown.is_empty()
    }

    /// Whether something was tried in vain: one probe that was lost, or what a host dials of
    /// itself, is no finding, and is to be seen all the same.
    #[must_use]
    pub fn has_failed_attempts(&self) -> bool {
        let fails = |told: &Told| told.attempts.iter().any(|of| !told.is_answered(of));
        self.ways.iter().any(fails)
    }
}

/// Judges facts, and what became of probes, if there were any.
#[must_use]
pub fn judge(facts: &Facts, spec: &Spec, attempts: &[(Way, Vec<Attempt>)]) -> Diagnosis {
    let judgement = path::judge(facts, spec, &facts.subject);
    let seen = Seen { facts, attempts, parted: parted(facts, &judgement.paths, attempts) };
    let (harmless, mut findings): (Vec<_>, Vec<_>) = of_paths(&judgement, &seen)
        .into_iter()
        .partition(|placed| is_harmless(placed, &judgement.paths, &seen));
    let of_checks = check::all(facts, spec).into_iter();
    findings.extend(of_checks.map(|finding| Placed { finding, at: 0, parts: false, on: None }));
    for placed in &mut findings {
        seen.confirm(&mut placed.finding);
    }
    dropped::add(&seen, &mut findings);
    unexplained::add(&seen, &judgement.paths, spec, &mut findings);
    let mut findings = folding::folded(ranked(findings), facts);
    mend::type_out(&mut findings, facts);
    // What is broken may be why nobody knows; a risk is not.
    let unknown = match findings.iter().all(|of| of.severity == Severity::Risk) {
        true => unknown::all(&seen, &judgement.paths, spec),
        false => Vec::new(),
    };
    let of_harmless = harmless.into_iter().map(|placed| opaque(placed.finding));
    Diagnosis {
        asked: facts.subject.asked.clone(),
        ways: ways(&judgement.paths, &seen),
        paths: judgement.paths,
        findings,
        unknown,
        passive: false,
        gaps: facts.gaps.iter().cloned().chain(of_harmless).collect(),
    }
}

/// A program that nobody can see into, where every probe that passes it was answered.
fn is_harmless(placed: &Placed, paths: &[Path], seen: &Seen<'_>) -> bool {
    let Placed { finding, on: Some(on), .. } = placed else { return false };
    let is_risk = finding.code == Code::ForeignProgram && finding.severity == Severity::Risk;
    let works = |at: &usize| paths.get(*at).is_some_and(|path| seen.all_answered(&path.case));
    is_risk && !on.is_empty() && on.iter().all(works)
}

/// What such a program hides.
fn opaque(finding: Finding) -> Gap {
    Gap {
        host: finding.host,
        source: Source::Programs,
        reason: finding.cause,
        hides: "every probe was answered; what it does to others nobody can read".to_owned(),
    }
}

/// A finding and its place on the way.
struct Placed {
    finding: Finding,
    at: usize,
    /// Observed packets part from their paths here.
    parts: bool,
    /// Positions of the paths that it is on: none where it is of pods that dial their own node.
    /// None where it is of no path, but of a host or of the objects.
    on: Option<Vec<usize>>,
}

/// Those of all paths, without those that were seen not to hold: what breaks only some packets may
/// be there although others are answered.
fn of_paths(judgement: &Judgement, seen: &Seen<'_>) -> Vec<Placed> {
    let works = |at: &usize| {
        let case = judgement.paths.get(*at).map(|path| &path.case);
        case.is_some_and(|case| seen.answered(case) || seen.all_answered(case))
    };
    let placed = judgement.findings.iter().filter_map(|found| {
        let mut finding = found.finding.clone();
        let is_of_paths = !found.paths.is_empty();
        let parts = seen.parted_at(judgement, found);
        if finding.severity == Severity::Broken && is_of_paths && found.paths.iter().all(works) {
            // Each backend has answered; where others fail at this very place, it comes and goes.
            parts?;
            finding.severity = Severity::Impaired;
            finding.confidence = finding.confidence.max(Confidence::Likely);
        }
        let mut on_way = found.paths.iter().filter_map(|at| judgement.paths.get(*at));
        // Few ports are enough until somebody finds them taken.
        if finding.code == Code::SnatPortsExhausted && on_way.any(|path| seen.fails(&path.case)) {
            finding.severity = Severity::Broken;
        }
        let first = found.paths.first().and_then(|at| judgement.paths.get(*at));
        let at = first.and_then(|path| place(path, &finding)).unwrap_or(usize::MAX);
        if let Some(divergence) = parts {
            finding.evidence.push(observed(divergence));
        } else if is_of_paths && STOPS_ALL.contains(&finding.code) {
            demote(&mut finding, seen.contradicted(judgement, found));
        }
        Some(Placed { finding, at, parts: parts.is_some(), on: Some(found.paths.clone()) })
    });
    placed.collect()
}

/// Causes that let no packet of a connection pass their place: where one is seen beyond, they are
/// none.
const STOPS_ALL: [Code; 7] = [
    Code::ForwardDropped,
    Code::ForwardingOff,
    Code::ReversePathFilter,
    Code::InputDropped,
    Code::PolicyDropped,
    Code::RouteMissing,
    Code::VxlanFiltered,
];

/// Makes less of a cause that a packet has passed.
fn demote(finding: &mut Finding, passed: Option<&Journey>) {
    let Some(journey) = passed.filter(|_| finding.severity == Severity::Broken) else { return };
    finding.severity = Severity::Risk;
    finding.confidence = Confidence::Possible;
    let text = format!("{} was seen beyond it", journey.packet);
    finding.evidence.push(Evidence { host: finding.host.clone(), source: Source::Observed, text });
}

fn observed(divergence: &Divergence) -> Evidence {
    let host = Some(divergence.place().to_owned());
    Evidence { host, source: Source::Observed, text: divergence.words() }
}

/// At which hop a finding stands, of both ways.
pub(super) fn place(path: &Path, finding: &Finding) -> Option<usize> {
    let is_here = |of: &Finding| finding.host.is_none() || of.host == finding.host;
    let is_it = |of: &Finding| of.code == finding.code && is_here(of);
    path.hops.iter().chain(&path.reply).position(|hop| hop.findings.iter().any(is_it))
}

fn ranked(mut all: Vec<Placed>) -> Vec<Finding> {
    all.sort_by_key(|placed| {
        let Placed { finding, at, parts, .. } = placed;
        (finding.severity, !parts, finding.confidence, *at, finding.code)
    });
    all.into_iter().map(|placed| placed.finding).collect()
}

fn ways(paths: &[Path], seen: &Seen<'_>) -> Vec<Told> {
    let pods = seen.pods();
    let mut ways: Vec<Told> = Vec::new();
    for path in paths {
        let way = Way::of(&path.case);
        let index = ways.iter().position(|told| told.way == way).unwrap_or_else(|| {
            let attempts = seen.of(&way).to_vec();
            let parted = seen.parted.iter().find(|parted| *parted.way == way);
            let divergence = parted.map(|parted| parted.divergence.clone());
            let backends = BTreeMap::new();
            ways.push(Told {
                way: way.clone(),
                backends,
                attempts,
                pods: pods.clone(),
                divergence,
            });
            ways.len() - 1
        });
        let Some(backend) = &path.case.backend else { continue };
        let name = backend.name();
        let fate = match () {
            () if seen.answered(&path.case) => Fate::Answered,
            () if !path.passes() => Fate::Failing,
            () => Fate::Unseen,
        };
        ways[index].backends.insert(name, fate);
    }
    let own = seen.attempts.iter().filter(|(way, _)| is_of_itself(way));
    ways.extend(own.map(|(way, attempts)| Told {
        way: way.clone(),
        backends: BTreeMap::new(),
        attempts: attempts.clone(),
        pods: pods.clone(),
        divergence: None,
    }));
    ways
}
