//! Real traffic as attempts: what others dialled while somebody watched.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::tie;
use crate::{
    doctor::{
        facts::{Facts, Role},
        path::Case,
        probe::{Attempt, Outcome, Way},
    },
    trace::follow::{Direction, Journey, Outcome as Fate},
};

/// Connections of a way that are kept: of more, the first.
const MOST: usize = 64;
/// How long before the end, in nanoseconds, one must have begun for its silence to count: a SYN
/// that was lost is sent again after a second.
const LATEST: u64 = 1_500_000_000;

/// What was dialled of these connections. Of TCP only connections that began meanwhile are told
/// of: nobody knows what an earlier one has waited for. Nor are those told of that `end`, in nanoseconds
/// since 1970, has cut off.
pub(super) fn ways(
    facts: &Facts,
    cases: &[Case],
    journeys: &[Journey],
    end: u64,
) -> Vec<(Way, Vec<Attempt>)> {
    let mut ways: BTreeMap<Way, Vec<Attempt>> = BTreeMap::new();
    let mut begun = BTreeSet::new();
    for journey in journeys.iter().filter(|journey| is_first(journey)) {
        if is_cut_off(journey, end) {
            continue;
        }
        let Some(connection @ (protocol, from, dialled)) = tie::connection(journey) else {
            continue;
        };
        let is_it = |case: &&Case| case.dialled == dialled && case.protocol.number() == protocol;
        let Some(case) = cases.iter().find(is_it) else { continue };
        let way = Way { client: client(facts, case, from), ..Way::of(case) };
        let attempts = ways.entry(way).or_default();
        // A SYN that is sent again is the same attempt, seen already at its first failure.
        if begun.insert(connection) && attempts.len() < MOST {
            attempts.push(attempt(facts, from, journey));
        }
    }
    ways.into_iter().collect()
}

fn is_first(journey: &Journey) -> bool {
    let opens = journey.packet.starts_with("UDP") || journey.packet == "TCP SYN";
    opens && journey.direction == Direction::Original
}

/// It began so late that nobody can know whether it is answered.
fn is_cut_off(journey: &Journey, end: u64) -> bool {
    let is_over = matches!(
        journey.outcome,
        Fate::Answered { .. } | Fate::Refused { .. } | Fate::Dropped { .. }
    );
    !is_over && journey.time > end.saturating_sub(LATEST)
}

/// The host that has the address; the way's own where none has it.
fn client(facts: &Facts, case: &Case, from: SocketAddr) -> String {
    let host = facts.hosts.iter().find(|host| host.has_address(from.ip()));
    host.map_or_else(|| case.client.clone(), |host| host.name.clone())
}

fn attempt(facts: &Facts, from: SocketAddr, journey: &Journey) -> Attempt {
    let (outcome, after) = match &journey.outcome {
        Fate::Answered { after, .. } => (answered(facts, journey), *after),
        Fate::Refused { after, .. } => (Outcome::Refused, *after),
        _ => (Outcome::Silence, journey.duration),
    };
    Attempt {
        from: Some(from),
        outcome,
        micros: after / 1000,
        journeys: vec![journey.clone()],
        decisions: Vec::new(),
    }
}

/// By the pod that the answer set out from, where it is one.
fn answered(facts: &Facts, journey: &Journey) -> Outcome {
    let origin = journey.reply.as_ref().and_then(|reply| reply.hops.first());
    let host = origin.and_then(|hop| facts.host(&hop.host));
    let pod = host.filter(|host| matches!(host.role, Role::Pod { .. }));
    let seen_as = journey.hops.last().and_then(|hop| hop.flow).map(|flow| flow.source());
    match (pod, seen_as) {
        (Some(pod), Some(seen_as)) => Outcome::Answered { pod: pod.name.clone(), seen_as },
        _ => Outcome::Somebody(String::new()),
    }
}
