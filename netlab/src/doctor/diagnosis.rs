//! From the expected path, the checks and the observed path to a verdict. Pure.
//!
//! Law: what was seen to work is not called broken, whatever the facts say; what was seen to fail
//! is not called well. A finding of the path belongs to the connections on whose way it stands,
//! and the first on the way comes first.

mod seen;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use self::seen::{Seen, is_of_itself, parted};
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
    /// Where the first attempt that failed parts from its expected path; None where none failed,
    /// or nobody watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub divergence: Option<Divergence>,
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
    let judgement = path::judge(facts, spec, &facts.subject);
    let seen = Seen { facts, attempts, parted: parted(facts, &judgement.paths, attempts) };
    let mut findings = of_paths(&judgement, &seen);
    let of_checks = check::all(facts, spec).into_iter();
    findings.extend(of_checks.map(|finding| Placed { finding, at: 0, parts: false }));
    for placed in &mut findings {
        seen.confirm(&mut placed.finding);
    }
    let is_broken = |placed: &Placed| placed.finding.severity < Severity::Risk;
    let failing = seen.failing();
    if !failing.is_empty() && !findings.iter().any(is_broken) {
        let more = unexplained(&failing, &seen, &mut findings);
        findings.extend(more);
    }
    let mut findings = folded(ranked(findings));
    mend::type_out(&mut findings, facts);
    Diagnosis {
        asked: facts.subject.asked.clone(),
        ways: ways(&judgement.paths, &seen),
        paths: judgement.paths,
        findings,
        gaps: facts.gaps.clone(),
    }
}

/// A finding and its place on the way.
struct Placed {
    finding: Finding,
    at: usize,
    /// Observed packets part from their paths here.
    parts: bool,
}

/// Those of all paths, without those that were seen not to hold: what breaks only some packets may
/// be there although others are answered.
fn of_paths(judgement: &Judgement, seen: &Seen<'_>) -> Vec<Placed> {
    let works = |at: &usize| {
        let case = judgement.paths.get(*at).map(|path| &path.case);
        case.is_some_and(|case| seen.answered(case) || seen.all_answered(case))
    };
    let placed = judgement.findings.iter().filter_map(|found| {
        let finding = found.finding.clone();
        let is_of_paths = !found.paths.is_empty();
        if finding.severity == Severity::Broken && is_of_paths && found.paths.iter().all(works) {
            return None;
        }
        let mut finding = finding;
        let mut on_way = found.paths.iter().filter_map(|at| judgement.paths.get(*at));
        // Few ports are enough until somebody finds them taken.
        if finding.code == Code::SnatPortsExhausted && on_way.any(|path| seen.fails(&path.case)) {
            finding.severity = Severity::Broken;
        }
        let first = found.paths.first().and_then(|at| judgement.paths.get(*at));
        let at = first.and_then(|path| place(path, &finding)).unwrap_or(usize::MAX);
        let parts = seen.parted_at(judgement, found);
        if let Some(divergence) = parts {
            finding.evidence.push(observed(divergence));
        } else if is_of_paths && STOPS_ALL.contains(&finding.code) {
            demote(&mut finding, seen.contradicted(judgement, found));
        }
        Some(Placed { finding, at, parts: parts.is_some() })
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
fn place(path: &Path, finding: &Finding) -> Option<usize> {
    let is_it = |of: &Finding| of.code == finding.code && of.host == finding.host;
    path.hops.iter().chain(&path.reply).position(|hop| hop.findings.iter().any(is_it))
}

fn ranked(mut all: Vec<Placed>) -> Vec<Finding> {
    all.sort_by_key(|placed| {
        let Placed { finding, at, parts } = placed;
        (finding.severity, !parts, finding.confidence, *at, finding.code)
    });
    all.into_iter().map(|placed| placed.finding).collect()
}

/// Makes one of findings of the same cause at the same host, and puts what follows from another
/// below it.
fn folded(all: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in all {
        let is_same = |of: &&mut Finding| of.code == finding.code && of.host == finding.host;
        match kept.iter_mut().find(is_same) {
            Some(known) => {
                let is_new = |evidence: &_| !known.evidence.contains(evidence);
                let evidence: Vec<_> = finding.evidence.into_iter().filter(is_new).collect();
                known.evidence.extend(evidence);
                let is_new = |fix: &_| !known.fixes.contains(fix);
                let fixes: Vec<_> = finding.fixes.into_iter().filter(is_new).collect();
                known.fixes.extend(fixes);
            }
            None => kept.push(finding),
        }
    }
    let follows = |cause: &Finding, effect: &Finding| {
        let is_there = cause.host.is_none() || cause.host == effect.host;
        is_there && FOLLOWS.contains(&(cause.code, effect.code))
    };
    let (effects, mut causes): (Vec<_>, Vec<_>) =
        kept.iter().cloned().partition(|finding| kept.iter().any(|cause| follows(cause, finding)));
    for effect in effects {
        match causes.iter_mut().find(|cause| follows(cause, &effect)) {
            Some(cause) => cause.consequences.push(effect),
            None => causes.push(effect),
        }
    }
    causes
}

/// What brings what with it, on the same host or everywhere.
const FOLLOWS: [(Code, Code); 5] = [
    (Code::LinkDown, Code::RouteMissing),
    (Code::LinkDown, Code::NeighborStale),
    (Code::ProxyGone, Code::ProxyStale),
    (Code::DuplicateNodeAddress, Code::NeighborStale),
    (Code::DuplicatePodAddress, Code::NeighborStale),
];

/// Something fails, and nothing that was read breaks it for sure: a program that nobody can see
/// into is blamed, if one is where packets part from their path, or else nobody is.
fn unexplained(
    failing: &[&(Way, Vec<Attempt>)],
    seen: &Seen<'_>,
    known: &mut [Placed],
) -> Option<Placed> {
    let is_there = |placed: &Placed| match seen.parted.is_empty() {
        true => failing.iter().any(|(way, _)| placed.finding.host.as_deref() == Some(&way.node)),
        false => placed.parts,
    };
    let is_suspect =
        |placed: &&mut Placed| placed.finding.code == Code::ForeignProgram && is_there(placed);
    if let Some(suspect) = known.iter_mut().find(is_suspect) {
        suspect.finding.severity = Severity::Broken;
        suspect.finding.confidence = Confidence::Likely;
        return None;
    }
    let (way, attempts) = failing.first()?;
    let failed: Vec<_> = attempts.iter().filter(|one| !seen.is_right(one)).collect();
    let how = failed.first().map_or_else(String::new, |one| one.outcome.to_string());
    let cause = format!(
        "{} of {} probes of {} {} fail ({how}), and nothing that was looked at says why",
        failed.len(),
        attempts.len(),
        way.protocol,
        way.dialled
    );
    let parted = seen.parted.iter().find(|parted| parted.way == way);
    let divergence = parted.map(|parted| &parted.divergence);
    let place = divergence.map_or(way.node.as_str(), Divergence::place);
    // That it ends there was seen at work; the cause is not known for that.
    let confidence = match divergence.and_then(|divergence| divergence.drop.as_ref()) {
        Some(_) => Confidence::Likely,
        None => Confidence::Possible,
    };
    let cause = match divergence {
        Some(divergence) => format!("{cause}: {}", divergence.words()),
        None => cause,
    };
    let port = way.dialled.port().to_string();
    let mut finding =
        Finding::broken(Code::Unexplained, Some(place), cause).confidence(confidence).looked_into(
            ["netlab", "capture", "--drops", "--follow", "port", &port],
            "Watch a packet, and where it is dropped",
        );
    finding.evidence.extend(divergence.map(observed));
    Some(Placed { finding, at: 0, parts: divergence.is_some() })
}

fn ways(paths: &[Path], seen: &Seen<'_>) -> Vec<Told> {
    let mut ways: Vec<Told> = Vec::new();
    for path in paths {
        let way = Way::of(&path.case);
        let index = ways.iter().position(|told| told.way == way).unwrap_or_else(|| {
            let attempts = seen.of(&way).to_vec();
            let parted = seen.parted.iter().find(|parted| *parted.way == way);
            let divergence = parted.map(|parted| parted.divergence.clone());
            let backends = BTreeMap::new();
            ways.push(Told { way: way.clone(), backends, attempts, divergence });
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
    let own = seen.attempts.iter().filter(|(way, _)| is_of_itself(way));
    ways.extend(own.map(|(way, attempts)| Told {
        way: way.clone(),
        backends: BTreeMap::new(),
        attempts: attempts.clone(),
        divergence: None,
    }));
    ways
}
