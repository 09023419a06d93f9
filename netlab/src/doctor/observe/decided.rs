//! Which of the kernel's decisions are about which attempt.
//!
//! Refusals and sockets know a packet's ports. Route lookups often do not: one belongs to the
//! attempt whose packet, between the same addresses, was seen last on that host before it; what a
//! host asks before it sends belongs to the packet that it sends next. Of lookups for one packet
//! at one place that count which led somewhere, or else the last: those before it were sent on to
//! the next table.

use std::net::IpAddr;

use crate::{
    doctor::probe::{Attempt, Way},
    trace::{
        Decision, Hook,
        decision::Made,
        follow::{Flow, Hop, Journey},
    },
};

/// Nanoseconds that a busy machine takes at most between a packet and a decision about it.
const NEAR: u64 = 10_000_000;

/// Gives each attempt the decisions about its telling packet.
pub(super) fn tie(ways: &mut [(Way, Vec<Attempt>)], decisions: &[Decision]) {
    let mut given: Vec<(usize, usize, u64, &Decision)> = Vec::new();
    for decision in decisions {
        let about = all(ways).filter_map(|(at, of, attempt)| {
            let journey = attempt.telling()?;
            let anchor = anchor(journey, decision)?;
            Some((at, of, anchor, decision, is_seen_for(journey, decision)))
        });
        let nearest = about.max_by_key(|(_, _, anchor, _, is_for)| (*is_for, *anchor));
        let nearest = nearest.map(|(at, of, anchor, decision, _)| (at, of, anchor, decision));
        // What a process asks for in vain leaves no packet.
        let found = nearest.or_else(|| {
            let taken = |at, of| given.iter().any(|(a, o, ..)| (*a, *o) == (at, of));
            let (at, of, _) = all(ways).find(|(at, of, attempt)| {
                attempt.journeys.is_empty() && in_vain(&ways[*at].0, decision) && !taken(*at, *of)
            })?;
            Some((at, of, decision.time, decision))
        });
        given.extend(found);
    }
    for (way, attempt, anchor, decision) in given {
        let known = &mut ways[way].1[attempt].decisions;
        let is_known = |before: &&mut Decision| {
            (before.time >= anchor || before.source.is_none()) && is_same(before, decision)
        };
        match known.iter_mut().find(is_known) {
            // It was sent on to the next table.
            Some(before) if before.made.is_against() => before.clone_from(decision),
            Some(_) => {}
            None => known.push(decision.clone()),
        }
    }
}

/// Lookups for the same packet, which may have got its source's address in between.
fn is_same(before: &Decision, decision: &Decision) -> bool {
    let is_lookup = |of: &Decision| matches!(of.made, Made::Route { .. });
    is_lookup(before)
        && is_lookup(decision)
        && (&before.host, before.destination) == (&decision.host, decision.destination)
        && (before.source.is_none() || before.source == decision.source)
}

fn all(ways: &[(Way, Vec<Attempt>)]) -> impl Iterator<Item = (usize, usize, &Attempt)> {
    ways.iter().enumerate().flat_map(|(at, (_, attempts))| {
        attempts.iter().enumerate().map(move |(of, attempt)| (at, of, attempt))
    })
}

/// A lookup that ends a connection before its first packet.
fn in_vain(way: &Way, decision: &Decision) -> bool {
    decision.host == way.client
        && decision.destination == way.dialled.ip()
        && decision.made.is_against()
}

/// The time of the sighting that a decision about a journey follows; None where it is not about
/// this journey.
fn anchor(journey: &Journey, decision: &Decision) -> Option<u64> {
    let reply = journey.reply.as_deref();
    if let Some(ports) = decision.ports {
        let mut hops = journey.hops.iter().filter(|hop| is_of_host(hop, decision));
        return hops.rfind(|hop| is_exactly(hop, decision, ports)).map(|hop| hop.time);
    }
    let end = reply.unwrap_or(journey);
    if decision.time + NEAR < journey.time || decision.time > end.time + end.duration + NEAR {
        return None;
    }
    let Some(source) = decision.source else { return before(journey, decision) };
    let until = reply.map_or(u64::MAX, |reply| reply.time);
    let there = Some((journey, until)).filter(|(leg, _)| is_from(leg, source));
    let back = reply.map(|reply| (reply, u64::MAX)).filter(|(leg, _)| is_from(leg, source));
    let legs = [there, back].into_iter().flatten();
    let on_way = legs.filter_map(|(leg, until)| {
        let is_answer = leg.time > journey.time;
        let ask = || before(leg, decision).filter(|_| !is_answer || decision.time > journey.time);
        behind(leg, decision, until).or_else(ask)
    });
    on_way.max().or_else(|| {
        // An answer that was never sent.
        let flow = journey.hops.last()?.flow.filter(|_| reply.is_none())?;
        let is_answer =
            (flow.source().ip(), flow.destination().ip()) == (decision.destination, source);
        is_answer.then(|| behind(journey, decision, u64::MAX)).flatten()
    })
}

/// The last time that a packet was seen before that, if it was on this host: it is there still.
fn behind(leg: &Journey, decision: &Decision, until: u64) -> Option<u64> {
    let hop = leg.hops.iter().rfind(|hop| hop.time <= decision.time)?;
    let is_soon = decision.time < until && decision.time - hop.time <= NEAR;
    let is_there = is_of_host(hop, decision) && hop.hook != Hook::Drop;
    (is_there && is_soon).then_some(hop.time)
}

/// A packet that the host sends next.
fn before(leg: &Journey, decision: &Decision) -> Option<u64> {
    let first = leg.hops.first().filter(|hop| is_of_host(hop, decision))?;
    let is_to = first.flow.is_some_and(|flow| flow.destination().ip() == decision.destination);
    let wait = first.time.checked_sub(decision.time)?;
    // The nearer the packet, the later this is.
    (is_to && wait <= NEAR).then(|| decision.time.saturating_sub(wait))
}

fn is_of_host(hop: &Hop, decision: &Decision) -> bool {
    hop.host == decision.host
}

/// Whose packet it is, as far as addresses tell: what is translated may be looked for under a
/// destination that no sighting has.
fn is_from(leg: &Journey, source: IpAddr) -> bool {
    flows(leg).any(|flow| flow.source().ip() == source)
}

fn is_seen_for(journey: &Journey, decision: &Decision) -> bool {
    let replies = journey.reply.iter().flat_map(|reply| flows(reply));
    let mut all = flows(journey).chain(replies);
    all.any(|flow| flow.destination().ip() == decision.destination)
}

fn flows(leg: &Journey) -> impl Iterator<Item = Flow> {
    leg.hops.iter().filter_map(|hop| hop.flow)
}

/// Addresses and ports.
fn is_exactly(hop: &Hop, decision: &Decision, ports: (u16, u16)) -> bool {
    let Some(flow) = hop.flow else { return false };
    let (from, to) = (flow.source(), flow.destination());
    (Some(from.ip()), to.ip()) == (decision.source, decision.destination)
        && (from.port(), to.port()) == ports
}
