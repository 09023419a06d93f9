//! From the expected path, the checks and the observed path to a verdict. Pure.
//!
//! Law: what was seen to work is not called broken, whatever the facts say; what was seen to fail
//! is not called well. A finding of the path belongs to the connections on whose way it stands,
//! and the first on the way comes first.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    check,
    facts::{Facts, Gap},
    finding::{Code, Confidence, Finding, Severity},
    path::{self, Case, Judgement, Path},
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
    let judgement = path::judge(facts, spec, &facts.subject);
    let seen = Seen { facts, attempts };
    let mut findings = of_paths(&judgement, &seen);
    let of_checks = check::all(facts, spec).into_iter();
    findings.extend(of_checks.map(|finding| Placed { finding, at: 0 }));
    for placed in &mut findings {
        seen.confirm(&mut placed.finding);
    }
    let is_broken = |placed: &Placed| placed.finding.severity < Severity::Risk;
    let failing = seen.failing();
    if !failing.is_empty() && !findings.iter().any(is_broken) {
        let more = unexplained(&failing, &mut findings);
        findings.extend(more);
    }
    let findings = folded(ranked(findings));
    Diagnosis {
        asked: facts.subject.asked.clone(),
        ways: ways(&judgement.paths, &seen),
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
    /// It was answered by whom it was for: in a lab, pods say who they are.
    fn is_right(&self, attempt: &Attempt) -> bool {
        match &attempt.outcome {
            Outcome::Somebody(_) => self.facts.lab.is_none(),
            outcome => outcome.is_answer(),
        }
    }

    /// Makes more of what is a risk by itself, where it was seen at work.
    fn confirm(&self, finding: &mut Finding) {
        let is_there = |way: &Way| finding.host.as_deref() == Some(&way.node);
        let by_stranger = |attempt: &Attempt| matches!(attempt.outcome, Outcome::Somebody(_));
        let strangers = self
            .failing()
            .into_iter()
            .any(|(way, attempts)| is_there(way) && attempts.iter().any(by_stranger));
        if finding.code == Code::PortHeld && strangers {
            finding.severity = Severity::Broken;
        }
    }

    fn of(&self, way: &Way) -> &[Attempt] {
        let of_way = self.attempts.iter().find(|(other, _)| other == way);
        of_way.map_or(&[], |(_, attempts)| attempts.as_slice())
    }

    /// The case's own backend was seen to answer.
    fn answered(&self, case: &Case) -> bool {
        let Some(backend) = &case.backend else { return false };
        let host = backend.pod.as_deref().and_then(|pod| self.facts.pod(pod));
        self.of(&Way::of(case)).iter().any(|attempt| match &attempt.outcome {
            Outcome::Answered { pod, .. } => host.is_some_and(|host| host.name == *pod),
            _ => false,
        })
    }

    /// Every attempt of the case's way was answered, and there were some.
    fn all_answered(&self, case: &Case) -> bool {
        let attempts = self.of(&Way::of(case));
        !attempts.is_empty() && attempts.iter().all(|attempt| self.is_right(attempt))
    }

    fn failing(&self) -> Vec<&(Way, Vec<Attempt>)> {
        let fails = |(way, attempts): &&(Way, Vec<Attempt>)| {
            !is_of_itself(way) && attempts.iter().any(|attempt| !self.is_right(attempt))
        };
        self.attempts.iter().filter(fails).collect()
    }
}

/// A host that dials itself meets other rules than its clients do: what comes of it is shown, and
/// proves nothing.
fn is_of_itself(way: &Way) -> bool {
    way.client == way.node
}

/// A finding and its place on the way.
struct Placed {
    finding: Finding,
    at: usize,
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
        let first = found.paths.first().and_then(|at| judgement.paths.get(*at));
        let at = first.and_then(|path| place(path, &finding)).unwrap_or(usize::MAX);
        Some(Placed { finding, at })
    });
    placed.collect()
}

/// At which hop a finding stands, of both ways.
fn place(path: &Path, finding: &Finding) -> Option<usize> {
    let is_it = |of: &Finding| of.code == finding.code && of.host == finding.host;
    path.hops.iter().chain(&path.reply).position(|hop| hop.findings.iter().any(is_it))
}

fn ranked(mut all: Vec<Placed>) -> Vec<Finding> {
    all.sort_by_key(|placed| {
        (placed.finding.severity, placed.finding.confidence, placed.at, placed.finding.code)
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
    let mut causes: Vec<Finding> = Vec::new();
    let (effects, rest): (Vec<_>, Vec<_>) =
        kept.iter().cloned().partition(|finding| kept.iter().any(|cause| follows(cause, finding)));
    causes.extend(rest);
    for effect in effects {
        match causes.iter_mut().find(|cause| follows(cause, &effect)) {
            Some(cause) => cause.consequences.push(effect),
            None => causes.push(effect),
        }
    }
    causes
}

/// What brings what with it, on the same host or everywhere.
const FOLLOWS: [(Code, Code); 8] = [
    (Code::LinkDown, Code::RouteMissing),
    (Code::LinkDown, Code::NeighborStale),
    (Code::ProxyGone, Code::ProxyStale),
    (Code::DuplicateNodeAddress, Code::NeighborStale),
    (Code::NoEndpoints, Code::InputDropped),
    (Code::NoneReady, Code::InputDropped),
    (Code::NoLocalEndpoint, Code::InputDropped),
    (Code::DuplicatePodAddress, Code::NeighborStale),
];

/// Something fails, and nothing that was read breaks it for sure: a program that nobody can see
/// into is blamed, if one is in the way, or else nobody is.
fn unexplained(failing: &[&(Way, Vec<Attempt>)], known: &mut [Placed]) -> Option<Placed> {
    let is_suspect = |placed: &&mut Placed| {
        placed.finding.code == Code::ForeignProgram
            && failing.iter().any(|(way, _)| placed.finding.host.as_deref() == Some(&way.node))
    };
    if let Some(suspect) = known.iter_mut().find(is_suspect) {
        suspect.finding.severity = Severity::Broken;
        suspect.finding.confidence = Confidence::Likely;
        return None;
    }
    let (way, attempts) = failing.first()?;
    let failed: Vec<_> = attempts.iter().filter(|one| !one.outcome.is_answer()).collect();
    let how = failed.first().map_or_else(String::new, |one| one.outcome.to_string());
    let cause = format!(
        "{} of {} probes of {} {} fail ({how}), and nothing that was looked at says why",
        failed.len(),
        attempts.len(),
        way.protocol,
        way.dialled
    );
    let port = way.dialled.port().to_string();
    let finding = Finding::broken(Code::Unexplained, Some(&way.node), cause)
        .confidence(Confidence::Possible)
        .mended(
            ["netlab", "capture", "--drops", "--follow", "port", &port],
            "Watch a packet, and where it is dropped",
        );
    Some(Placed { finding, at: 0 })
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
    let own = seen.attempts.iter().filter(|(way, _)| is_of_itself(way));
    ways.extend(own.map(|(way, attempts)| Told {
        way: way.clone(),
        backends: BTreeMap::new(),
        attempts: attempts.clone(),
    }));
    ways
}
