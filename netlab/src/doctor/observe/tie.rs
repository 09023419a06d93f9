//! Which journeys are of which attempt.

use std::{collections::BTreeMap, net::SocketAddr};

use crate::{
    doctor::probe::{Attempt, Way},
    trace::follow::{Direction, Journey, Outcome},
};

/// Protocol, client and what it dialled.
type Connection = (u8, SocketAddr, SocketAddr);

/// Gives each attempt the journeys that tell of it.
pub(super) fn tie(ways: &mut [(Way, Vec<Attempt>)], journeys: &[Journey]) {
    let mut all: BTreeMap<Connection, Vec<&Journey>> = BTreeMap::new();
    for journey in journeys.iter().filter(|journey| journey.direction == Direction::Original) {
        if let Some(connection) = connection(journey) {
            all.entry(connection).or_default().push(journey);
        }
    }
    for (way, attempts) in ways {
        for attempt in attempts {
            let Some(from) = attempt.from else { continue };
            let key = (way.protocol.number(), from, way.dialled);
            let own = all.get(&key).map_or(&[][..], Vec::as_slice);
            attempt.journeys = chosen(own, attempt.outcome.is_answer());
        }
    }
}

/// By the addresses that a packet had where it was first seen.
pub(super) fn connection(journey: &Journey) -> Option<Connection> {
    let flow = journey.flow()?;
    Some((flow.0.proto, flow.source(), flow.destination()))
}

/// The first; and of a connection that failed the first that did not get through, if that is
/// another.
fn chosen(all: &[&Journey], works: bool) -> Vec<Journey> {
    let Some(first) = all.first() else { return Vec::new() };
    let mut chosen = vec![(*first).clone()];
    if !works && !is_lost(first) {
        chosen.extend(all.iter().find(|journey| is_lost(journey)).map(|lost| (*lost).clone()));
    }
    chosen
}

/// It, or its answer, ended on the way.
fn is_lost(journey: &Journey) -> bool {
    let ended = |of: &Journey| {
        matches!(
            of.outcome,
            Outcome::Dropped { .. } | Outcome::LastSeen { .. } | Outcome::Refused { .. }
        )
    };
    ended(journey) || journey.reply.as_deref().is_some_and(ended)
}
