//! What became of probes, beside what was expected of them.

use std::collections::BTreeSet;

use super::place;
use crate::{
    doctor::{
        facts::{Facts, HostFacts, Role, Source},
        finding::{Code, Finding, Severity},
        observe::{Divergence, divergence},
        path::{Case, Found, Judgement, Path},
        probe::{Attempt, Outcome, Way},
    },
    spec::model::Protocol,
    trace::follow::Journey,
};

/// What became of probes.
pub(super) struct Seen<'a> {
    pub facts: &'a Facts,
    pub attempts: &'a [(Way, Vec<Attempt>)],
    /// Where each attempt that failed parts from its path.
    pub parted: Vec<Parted<'a>>,
}

/// An attempt that failed, and was watched.
pub(super) struct Parted<'a> {
    pub way: &'a Way,
    /// Position of the path, among all.
    pub path: usize,
    pub divergence: Divergence,
}

impl Seen<'_> {
    /// It was answered by whom it was for: in a lab, pods say who they are.
    pub fn is_right(&self, attempt: &Attempt) -> bool {
        is_right(self.facts, attempt)
    }

    /// What a lab's pods call themselves; none where there is no lab.
    pub fn pods(&self) -> BTreeSet<String> {
        pods(self.facts)
    }

    /// It failed, as far as anybody can know.
    pub fn is_wrong(&self, way: &Way, attempt: &Attempt) -> bool {
        is_wrong(self.facts, way, attempt)
    }

    /// Makes more of what is a risk by itself, where it was seen at work.
    pub fn confirm(&self, finding: &mut Finding) {
        if finding.code != Code::PortHeld {
            return;
        }
        let is_there = |way: &Way| finding.host.as_deref() == Some(&way.node);
        let by_stranger =
            |attempt: &Attempt| attempt.outcome.is_answer() && !self.is_right(attempt);
        let strangers = self
            .failing()
            .into_iter()
            .any(|(way, attempts)| is_there(way) && attempts.iter().any(by_stranger));
        if strangers {
            finding.severity = Severity::Broken;
            let text = "probes were answered by a stranger, which is no pod";
            *finding = finding.clone().shown(Source::Observed, text);
        }
    }

    /// What was observed at a finding's place on its paths: where packets part from them.
    pub fn parted_at(&self, judgement: &Judgement, found: &Found) -> Option<&Divergence> {
        let is_at = |parted: &&Parted<'_>| {
            let path = judgement.paths.get(parted.path);
            let of_way = |at: &usize| {
                let other = judgement.paths.get(*at);
                other.is_some_and(|other| Way::of(&other.case) == *parted.way)
            };
            let position = path.and_then(|path| place(path, &found.finding));
            found.paths.iter().any(of_way)
                && position.is_some_and(|position| parted.divergence.covers(position))
        };
        self.parted.iter().find(is_at).map(|parted| &parted.divergence)
    }

    /// A packet that was seen beyond a finding's place, on every one of its paths.
    pub fn contradicted(&self, judgement: &Judgement, found: &Found) -> Option<&Journey> {
        let beyond = |at: &usize| {
            let path = judgement.paths.get(*at)?;
            let position = place(path, &found.finding)?;
            let journeys = self.of(&Way::of(&path.case)).iter().flat_map(|one| &one.journeys);
            let mut own = journeys.filter(|journey| is_of(path, journey));
            own.find(|journey| divergence::is_beyond(path, journey, position))
        };
        let seen: Option<Vec<&Journey>> = found.paths.iter().map(beyond).collect();
        seen?.first().copied()
    }

    pub fn of(&self, way: &Way) -> &[Attempt] {
        let of_way = self.attempts.iter().find(|(other, _)| other == way);
        of_way.map_or(&[], |(_, attempts)| attempts.as_slice())
    }

    /// The case's own backend was seen to answer.
    pub fn answered(&self, case: &Case) -> bool {
        let Some(backend) = &case.backend else { return false };
        let host = backend.pod.as_deref().and_then(|pod| self.facts.pod(pod));
        self.of(&Way::of(case)).iter().any(|attempt| match &attempt.outcome {
            Outcome::Answered { pod, .. } => host.is_some_and(|host| host.name == *pod),
            _ => false,
        })
    }

    /// Every attempt of the case's way was answered, and there were some.
    pub fn all_answered(&self, case: &Case) -> bool {
        let attempts = self.of(&Way::of(case));
        !attempts.is_empty() && attempts.iter().all(|attempt| self.is_right(attempt))
    }

    /// Some attempt of the case's way was not answered.
    pub fn fails(&self, case: &Case) -> bool {
        let way = Way::of(case);
        self.of(&way).iter().any(|attempt| self.is_wrong(&way, attempt))
    }

    pub fn failing(&self) -> Vec<&(Way, Vec<Attempt>)> {
        let fails = |(way, attempts): &&(Way, Vec<Attempt>)| {
            !is_of_itself(way) && attempts.iter().any(|attempt| self.is_wrong(way, attempt))
        };
        self.attempts.iter().filter(fails).collect()
    }
}

/// Whether an attempt was answered by whom it was for: in a lab, pods say who they are.
fn is_right(facts: &Facts, attempt: &Attempt) -> bool {
    let outcome = &attempt.outcome;
    outcome.is_answer() && (facts.lab.is_none() || outcome.is_of(&pods(facts)))
}

/// What a lab's pods call themselves.
fn pods(facts: &Facts) -> BTreeSet<String> {
    let is_pod = |host: &&HostFacts| matches!(host.role, Role::Pod { .. });
    let pods = facts.hosts.iter().filter(|_| facts.lab.is_some()).filter(is_pod);
    pods.map(|host| host.name.clone()).collect()
}

/// Whether an attempt failed. A datagram obliges nobody to answer: of a stranger's server silence
/// says nothing.
fn is_wrong(facts: &Facts, way: &Way, attempt: &Attempt) -> bool {
    let may_be_silent = facts.lab.is_none() && way.protocol == Protocol::Udp;
    !(is_right(facts, attempt) || may_be_silent && attempt.outcome == Outcome::Silence)
}

/// Where the attempts that failed part from the paths of their connections.
pub(super) fn parted<'a>(
    facts: &Facts,
    paths: &[Path],
    attempts: &'a [(Way, Vec<Attempt>)],
) -> Vec<Parted<'a>> {
    // Where nothing was seen of anything, nobody watched.
    if attempts.iter().flat_map(|(_, all)| all).all(|attempt| attempt.journeys.is_empty()) {
        return Vec::new();
    }
    let mut parted = Vec::new();
    for (way, attempts) in attempts.iter().filter(|(way, _)| !is_of_itself(way)) {
        for attempt in attempts.iter().filter(|attempt| is_wrong(facts, way, attempt)) {
            let own = || paths.iter().enumerate().filter(|(_, path)| Way::of(&path.case) == *way);
            let telling = attempt.telling();
            let chosen = telling.and_then(|journey| own().find(|(_, path)| is_of(path, journey)));
            let Some((at, path)) = chosen.or_else(|| own().next()) else { continue };
            let divergence = match telling {
                Some(journey) => divergence::of(facts, path, journey),
                None => divergence::before_all(path),
            };
            let divergence = divergence.map(|found| found.decided(&attempt.decisions));
            parted.extend(divergence.map(|divergence| Parted { way, path: at, divergence }));
        }
    }
    parted
}

/// Whether a packet was translated to the backend of a path.
fn is_of(path: &Path, journey: &Journey) -> bool {
    let Some(backend) = &path.case.backend else { return false };
    let flows = journey.hops.iter().filter_map(|hop| hop.flow);
    flows.map(|flow| flow.destination()).any(|to| to == backend.address)
}

/// A host that dials itself meets other rules than its clients do: what comes of it is shown, and
/// proves nothing.
pub(super) fn is_of_itself(way: &Way) -> bool {
    way.client == way.node
}
