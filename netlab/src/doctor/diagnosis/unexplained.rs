//! What fails although nothing that was read breaks it.

use super::{
    Placed, observed,
    seen::{Parted, Seen},
};
use crate::{
    doctor::{
        finding::{Code, Confidence, Finding, Severity},
        observe::Divergence,
        path::Path,
        probe::{AT_ONCE, Attempt, Outcome, Way},
    },
    spec::Spec,
};

/// Looks at each way that fails. Where no finding explains that, a program that nobody can see
/// into is blamed, if one is where packets part from their path, or else nobody is.
pub(super) fn add(seen: &Seen<'_>, paths: &[Path], spec: &Spec, findings: &mut Vec<Placed>) {
    for (way, attempts) in seen.failing() {
        let own: Vec<usize> = (0..paths.len()).filter(|at| is_of(way, &paths[*at])).collect();
        let of = Failing { seen, way, attempts, paths, own };
        let is_cause = |placed: &Placed| placed.finding.severity < Severity::Risk;
        if findings.iter().any(|placed| is_cause(placed) && of.is_explained_by(placed, spec)) {
            continue;
        }
        if of.was_once() {
            continue;
        }
        if let Some(suspect) = findings.iter_mut().find(|placed| of.suspects(placed)) {
            suspect.finding.severity = Severity::Broken;
            suspect.finding.confidence = Confidence::Likely;
            continue;
        }
        let new = of.told();
        let is_known = |known: &Placed| {
            known.finding.code == new.finding.code && known.finding.host == new.finding.host
        };
        if !findings.iter().any(is_known) {
            findings.push(new);
        }
    }
}

/// Whether a path is of a way, whoever dials.
fn is_of(way: &Way, path: &Path) -> bool {
    let case = &path.case;
    (case.dialled, case.protocol, case.node.as_str()) == (way.dialled, way.protocol, &*way.node)
}

/// A way of which an attempt fails.
struct Failing<'a> {
    seen: &'a Seen<'a>,
    way: &'a Way,
    attempts: &'a [Attempt],
    paths: &'a [Path],
    /// Positions of the way's own paths.
    own: Vec<usize>,
}

impl Failing<'_> {
    fn is_explained_by(&self, placed: &Placed, spec: &Spec) -> bool {
        if let Some(on) = &placed.on {
            return on.iter().any(|at| self.own.contains(at));
        }
        let Some(host) = &placed.finding.host else { return self.is_about(&placed.finding, spec) };
        let own = self.own.iter().filter_map(|at| self.paths.get(*at));
        let mut hops = own.flat_map(|path| path.hops.iter().chain(&path.reply));
        [&self.way.node, &self.way.client].contains(&host) || hops.any(|hop| hop.host == *host)
    }

    /// A finding of the objects: of the way's Service, or of none in particular.
    fn is_about(&self, finding: &Finding, spec: &Spec) -> bool {
        let has_word = |name: &str| {
            let mut words = finding
                .cause
                .split(|letter: char| !letter.is_alphanumeric() && !"-./".contains(letter));
            words.any(|word| word.trim_end_matches('.') == name)
        };
        let mut named = spec.services.iter().filter(|of| has_word(&of.name.to_string())).peekable();
        let (port, protocol) = (self.way.dialled.port(), self.way.protocol);
        named.peek().is_none()
            || named.flat_map(|service| &service.ports).any(|of| {
                of.protocol == protocol && of.node_port.is_some_and(|of| of.get() == port)
            })
    }

    /// One attempt was lost, or nobody knew a way for it, and all were answered that came after it, by
    /// every pod where pods say who they are: that proves nothing (a neighbor may just have been
    /// found), and is shown among what was observed.
    fn was_once(&self) -> bool {
        let is_wrong = |attempt: &&Attempt| self.seen.is_wrong(self.way, attempt);
        let last = self.attempts.iter().rposition(|attempt| is_wrong(&attempt));
        let after = last.map_or(0, |last| self.attempts.len() - last - 1);
        let count = self.attempts.iter().filter(is_wrong).count();
        let is_lost =
            |of: &Attempt| matches!(of.outcome, Outcome::Silence | Outcome::Unreachable(_));
        let was_lost = last.is_some_and(|at| is_lost(&self.attempts[at]));
        let mut own = self.own.iter().filter_map(|at| self.paths.get(*at));
        count == 1
            && was_lost
            && after >= AT_ONCE
            && (self.seen.facts.lab.is_none() || own.all(|path| self.seen.answered(&path.case)))
    }

    fn parted(&self) -> Option<&Parted<'_>> {
        self.seen.parted.iter().find(|parted| parted.way == self.way)
    }

    fn suspects(&self, placed: &Placed) -> bool {
        let Some(on) = &placed.on else { return false };
        let is_on_way = on.iter().any(|at| self.own.contains(at));
        let is_there = match self.parted() {
            None => placed.finding.host.as_deref() == Some(&self.way.node),
            Some(_) => placed.parts,
        };
        placed.finding.code == Code::ForeignProgram && is_on_way && is_there
    }

    fn told(&self) -> Placed {
        let Self { seen, way, attempts, .. } = self;
        let failed: Vec<_> = attempts.iter().filter(|one| seen.is_wrong(way, one)).collect();
        let how = failed.first().map_or_else(String::new, |one| one.outcome.in_vain());
        let cause = format!(
            "{} of {} attempts at {} {} fail ({how}), and nothing that was looked at says why",
            failed.len(),
            attempts.len(),
            way.protocol,
            way.dialled
        );
        let divergence = self.parted().map(|parted| &parted.divergence);
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
        let mut finding = Finding::broken(Code::Unexplained, Some(place), cause)
            .confidence(confidence)
            .looked_into(
                ["netlab", "capture", "--drops", "--follow", "port", &port],
                "Watch a packet, and where it is dropped",
            );
        finding.evidence.extend(divergence.map(observed));
        Placed { finding, at: 0, parts: divergence.is_some(), on: Some(self.own.clone()) }
    }
}
