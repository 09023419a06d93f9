//! All addresses and ports that a diagnosis is about, each dialled until every backend has
//! answered or it is plain that some do not.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde::Serialize;

use super::dial::{Attempt, Outcome, Probe, dial};
use crate::{doctor::path::Case, netlink::Netns, spec::model::Protocol};

/// How long one probe may take: one SYN that was lost is sent again after a second, and three rounds
/// of probes leave a diagnosis its five seconds.
const PATIENCE: Duration = Duration::from_millis(1_250);
/// Probes of one way at a time, and at most.
pub const AT_ONCE: usize = 4;
const MOST: usize = 16;
/// Ways that are dialled at the same time.
const WAYS_AT_ONCE: usize = 16;
/// Most ways that are dialled at all.
pub const MOST_WAYS: usize = 256;
/// Bytes that are echoed: more than two packets.
const PAYLOAD: usize = 4_000;

/// Who dials what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Way {
    /// The host that dials.
    pub client: String,
    /// The host that is dialled.
    pub node: String,
    /// Address and port.
    pub dialled: SocketAddr,
    /// TCP or UDP.
    #[serde(serialize_with = "as_word")]
    pub protocol: Protocol,
}

fn as_word<S: serde::Serializer>(protocol: &Protocol, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(protocol)
}

impl Way {
    /// That of a connection, whoever answers it.
    #[must_use]
    pub fn of(case: &Case) -> Self {
        Self {
            client: case.client.clone(),
            node: case.node.clone(),
            dialled: case.dialled,
            protocol: case.protocol,
        }
    }
}

/// Addresses and ports that these connections dial.
#[must_use]
pub fn count(cases: &[Case]) -> usize {
    cases.iter().map(Way::of).collect::<BTreeSet<_>>().len()
}

/// Dials the first [`MOST_WAYS`] ways of these connections from a namespace, some at a time. Those
/// of a lab's servers are sent something to echo, strangers nothing.
#[must_use]
pub fn probe(netns: &Netns, cases: &[Case], in_lab: bool) -> Vec<(Way, Vec<Attempt>)> {
    let ways: BTreeSet<Way> = cases.iter().map(Way::of).collect();
    let ways: Vec<Way> = ways.into_iter().take(MOST_WAYS).collect();
    let backends = |way: &Way| {
        cases.iter().filter(|case| case.backend.is_some() && Way::of(case) == *way).count()
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(way) = ways.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((way.clone(), all(netns, way, backends(way), in_lab)));
        }
        done
    };
    let mut dialled: Vec<_> = thread::scope(|scope| {
        let count = ways.len().min(WAYS_AT_ONCE);
        let running: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    dialled.sort_by(|(one, _), (other, _)| one.cmp(other));
    dialled
}

/// Round by round, until it is enough.
fn all(netns: &Netns, way: &Way, backends: usize, in_lab: bool) -> Vec<Attempt> {
    let payload = if in_lab && way.protocol == Protocol::Tcp { PAYLOAD } else { 0 };
    let probe = Probe { to: way.dialled, protocol: way.protocol, payload, patience: PATIENCE };
    let mut attempts: Vec<Attempt> = Vec::new();
    while attempts.len() < MOST && !is_enough(&attempts, backends) {
        let some: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> =
                (0..AT_ONCE).map(|_| scope.spawn(|| dial(netns, &probe))).collect();
            running.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        if some.is_empty() {
            break;
        }
        attempts.extend(some);
    }
    attempts
}

/// So many pods have answered, or a stranger has, who does not say which he is, or probes have
/// failed. After one that was lost alone it goes on with a round more at least, which shows
/// whether that repeats.
fn is_enough(attempts: &[Attempt], backends: usize) -> bool {
    let pods: BTreeSet<_> = attempts
        .iter()
        .filter_map(|attempt| match &attempt.outcome {
            Outcome::Answered { pod, .. } => Some(pod),
            _ => None,
        })
        .collect();
    let is_lost = |attempt: &&Attempt| !attempt.outcome.is_answer();
    let lost = attempts.iter().filter(is_lost).count();
    let last = attempts.iter().rposition(|attempt| is_lost(&attempt));
    let is_clean = last.is_none_or(|last| attempts.len() - last > AT_ONCE);
    match lost {
        _ if attempts.is_empty() => false,
        0 | 1 if lost < attempts.len() => is_clean && (pods.is_empty() || pods.len() >= backends),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(outcomes: &str) -> Vec<Attempt> {
        let seen_as = "10.0.0.1:5".parse().unwrap();
        let of = |letter: char| match letter {
            '-' => Outcome::Silence,
            '?' => Outcome::Somebody(String::new()),
            pod => Outcome::Answered { pod: pod.to_string(), seen_as },
        };
        let attempt = |outcome| Attempt {
            from: None,
            outcome,
            micros: 1,
            journeys: Vec::new(),
            decisions: Vec::new(),
        };
        outcomes.chars().map(of).map(attempt).collect()
    }

    #[test]
    fn it_is_dialled_until_all_have_answered_or_some_fail() {
        let is_enough = |outcomes| is_enough(&attempts(outcomes), 2);
        assert!(!is_enough(""));
        assert!(!is_enough("aaaa") && is_enough("aaab"));
        assert!(is_enough("----") && is_enough("ab--"));
    }

    #[test]
    fn one_that_was_lost_alone_is_dialled_once_more() {
        let is_enough = |outcomes| is_enough(&attempts(outcomes), 2);
        assert!(!is_enough("-aab") && is_enough("-aabaaab"));
        assert!(!is_enough("-aaaaaaa"), "the other may be the one that is lost");
        assert!(is_enough("-aaba-ab"), "it repeats");
    }

    #[test]
    fn a_stranger_is_asked_in_one_round() {
        let is_enough = |outcomes| is_enough(&attempts(outcomes), 2);
        assert!(is_enough("????"));
        assert!(!is_enough("???-") && is_enough("???-????"));
    }
}
