//! Where a packet that failed parts from its expected path. Pure.
//!
//! Only places that nothing but a loss keeps a packet from being seen at are compared: where it
//! comes into a host by a link. What is ahead of the last such place that it was seen at is
//! behind it, seen or not: XDP sends packets on past a stack, and bridges are silent.

use serde::Serialize;

use crate::{
    doctor::{
        facts::{Facts, Role},
        path::{self, Path, Stage},
    },
    trace::{
        Decision, Event, Hook,
        decision::Made,
        follow::{Hop, Journey, Outcome},
    },
};

/// The first difference of an expected path and what was observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// What packet parted, in words: `TCP SYN 172.18.255.10:40132 > 172.18.0.2:30080`.
    pub packet: String,
    /// It is the answer to what was sent.
    pub answer: bool,
    /// Position among the hops of the path, and behind them those of its reply, of the last that
    /// it was seen at.
    pub behind: usize,
    /// Of the first that it should have been seen at next.
    pub expected: usize,
    /// That one's host.
    pub host: String,
    /// That one in words.
    pub words: String,
    /// Where it was seen last; None where nothing left the client.
    pub last: Option<Last>,
    /// Who refused it, and with what; then the drop, if there is one, is that of the refusal.
    pub refused: Option<(String, String)>,
    /// What the kernel, or netlab's program, says about its end.
    pub drop: Option<Drop>,
    /// The kernel's last decision where it ended: what is against the packet, or else where the
    /// route that it took led.
    pub decision: Option<Decision>,
}

/// Where a packet was seen last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Last {
    /// The host.
    pub host: String,
    /// The interface; empty where the packet had none.
    pub interface: String,
    /// Where on it.
    pub hook: &'static str,
    /// Nanoseconds after it was first seen.
    pub after: u64,
}

/// The end of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drop {
    /// The host.
    pub host: String,
    /// The interface; may be empty.
    pub interface: String,
    /// The kernel's or the datapath's name for the reason.
    pub reason: String,
    /// Function and offset in the kernel; None of a datapath's drop.
    pub function: Option<String>,
}

/// Who refuses a packet where it is none of the hosts.
const ELSEWHERE: &str = "somebody else";

/// Compares. None where the answer has got to the client.
#[must_use]
pub fn of(facts: &Facts, path: &Path, journey: &Journey) -> Option<Divergence> {
    let there = compare(facts, path, journey, false);
    let refused = matches!(journey.outcome, Outcome::Refused { .. });
    match (there, journey.reply.as_deref()) {
        (Some(divergence), None) => Some(divergence),
        // Whoever refuses answers in the place of the rest of the way.
        (Some(divergence), Some(_)) if refused => Some(divergence),
        (_, Some(reply)) if !refused => compare(facts, path, reply, true),
        // It has got to whom it is for, who says nothing, or no.
        (None, _) => Some(at_the_end(facts, path, journey)),
        (Some(_), Some(_)) => None,
    }
}

/// Nothing was seen of an attempt: it ended in the client's own stack.
#[must_use]
pub fn before_all(path: &Path) -> Option<Divergence> {
    let expected = path.hops.iter().position(|hop| hop.stage == Stage::Arrive)?;
    let hop = path.hops.first()?;
    Some(Divergence {
        packet: format!("a packet to {}", path.case.dialled),
        answer: false,
        behind: 0,
        expected,
        host: hop.host.clone(),
        words: "it should have left".to_owned(),
        last: None,
        refused: None,
        drop: None,
        decision: None,
    })
}

/// The way there, or that of the answer.
fn compare(facts: &Facts, path: &Path, journey: &Journey, answer: bool) -> Option<Divergence> {
    let (hops, offset) = match answer {
        true => (&path.reply, path.hops.len()),
        false => (&path.hops, 0),
    };
    let seen = last_arrival(path, journey, answer);
    let next = seen.map_or(0, |at| at + 1);
    // The wire between hosts is not watched.
    let is_watched = |host: &str| facts.host(host).is_some_and(|host| host.role != Role::Fabric);
    let arrives = |hop: &path::Hop| hop.stage == Stage::Arrive && is_watched(&hop.host);
    let (expected, hop) = hops.iter().enumerate().skip(next).find(|(_, hop)| arrives(hop))?;
    let words = format!("{} on {}", hop.words, hop.host);
    let between = (offset + seen.unwrap_or(0), offset + expected);
    Some(told(facts, path, journey, between, answer, words))
}

/// Position, on its own way, of the last arrival that the packet was seen at.
fn last_arrival(path: &Path, journey: &Journey, answer: bool) -> Option<usize> {
    let hops = if answer { &path.reply } else { &path.hops };
    let is_seen = |hop: &path::Hop| {
        let at = |seen: &&Hop| {
            seen.host == hop.host
                && hop.interface.as_deref() == Some(&seen.interface)
                && seen.hook.is_inbound() == Some(true)
        };
        hop.stage == Stage::Arrive && journey.hops.iter().any(|seen| at(&seen))
    };
    hops.iter().rposition(is_seen)
}

/// Whether a journey got beyond a position of a path: it was seen to arrive at a later one.
#[must_use]
pub fn is_beyond(path: &Path, journey: &Journey, position: usize) -> bool {
    match position.checked_sub(path.hops.len()) {
        None => {
            last_arrival(path, journey, false).is_some_and(|at| at > position)
                || (journey.reply.is_some() && !matches!(journey.outcome, Outcome::Refused { .. }))
        }
        Some(position) => journey
            .reply
            .as_deref()
            .and_then(|reply| last_arrival(path, reply, true))
            .is_some_and(|at| at > position),
    }
}

fn at_the_end(facts: &Facts, path: &Path, journey: &Journey) -> Divergence {
    let end = path.hops.len().saturating_sub(1);
    let behind = last_arrival(path, journey, false).unwrap_or(0);
    told(facts, path, journey, (behind, end), false, "an answer to it".to_owned())
}

fn told(
    facts: &Facts,
    path: &Path,
    journey: &Journey,
    (behind, expected): (usize, usize),
    answer: bool,
    words: String,
) -> Divergence {
    let host = path.hops.iter().chain(&path.reply).nth(expected).map(|hop| hop.host.clone());
    let flow = journey.flow().map_or_else(String::new, |flow| format!(" {flow}"));
    Divergence {
        packet: format!("{}{flow}", journey.packet),
        answer,
        behind,
        expected,
        host: host.unwrap_or_default(),
        words,
        last: last(path, journey),
        refused: refused(facts, path, journey),
        drop: drop_of(journey).or_else(|| drop_of_answer(path, journey)),
        decision: None,
    }
}

/// Of an answer that has got to the client no drop matters: a socket that is closed throws away
/// what it was told.
fn drop_of_answer(path: &Path, journey: &Journey) -> Option<Drop> {
    drop_of(journey.reply.as_deref()?).filter(|drop| drop.host != path.case.client)
}

/// Whoever the refusal set out from. Where the client was the first to see it, that is whoever
/// joins the hosts, which nobody watches, or somebody who is none of them.
fn refused(facts: &Facts, path: &Path, journey: &Journey) -> Option<(String, String)> {
    let Outcome::Refused { with, .. } = &journey.outcome else { return None };
    let hop = journey.reply.as_deref()?.hops.first()?;
    let is_theirs = hop.host == path.case.client && hop.hook.is_inbound() == Some(true);
    let fabric = || facts.hosts.iter().find(|host| host.role == Role::Fabric);
    let host = match is_theirs {
        true => fabric().map_or(ELSEWHERE, |host| host.name.as_str()),
        false => &hop.host,
    };
    Some((host.to_owned(), with.clone()))
}

/// The last place; copies that a bridge floods to those whom they are not for do not count.
fn last(path: &Path, journey: &Journey) -> Option<Last> {
    let is_end = |host: &str| match &journey.outcome {
        Outcome::Delivered { host: end }
        | Outcome::Dropped { host: end, .. }
        | Outcome::LastSeen { host: end, .. } => end == host,
        _ => false,
    };
    let is_on_path = |seen: &&Hop| {
        let mut expected = path.hops.iter().chain(&path.reply);
        is_end(&seen.host) || expected.any(|hop| hop.host == seen.host)
    };
    let places = || journey.hops.iter().rev().filter(|hop| hop.hook != Hook::Drop);
    let hop = places().find(is_on_path).or_else(|| places().next())?;
    Some(Last {
        host: hop.host.clone(),
        interface: hop.interface.clone(),
        hook: hop.hook.name(),
        after: hop.time.saturating_sub(journey.time),
    })
}

fn drop_of(journey: &Journey) -> Option<Drop> {
    let Outcome::Dropped { host, interface, reason, .. } = &journey.outcome else { return None };
    let function = journey.hops.iter().rev().find_map(|hop| match &hop.event {
        Some(Event::KernelDrop { function, reason: of })
            if hop.host == *host && **of == **reason =>
        {
            Some(function.to_string())
        }
        _ => None,
    });
    let (host, interface, reason) = (host.clone(), interface.clone(), reason.clone());
    Some(Drop { host, interface, reason, function })
}

impl Divergence {
    /// The same, knowing what the kernel decided about the attempt.
    #[must_use]
    pub fn decided(mut self, decisions: &[Decision]) -> Self {
        let place = match self.last {
            Some(_) => self.place().to_owned(),
            // It ended in the client's own stack.
            None => self.host.clone(),
        };
        let there = || decisions.iter().rev().filter(|decision| decision.host == place);
        let against = there().find(|decision| decision.made.is_against());
        // Beyond a drop nothing is decided, and whoever is refused has had its route.
        let is_lost = self.drop.is_none() && self.refused.is_none();
        let route = |decision: &&Decision| matches!(decision.made, Made::Route { .. });
        self.decision = against.or_else(|| there().find(route).filter(|_| is_lost)).cloned();
        self
    }

    /// Where it ended, as far as anybody knows.
    #[must_use]
    pub fn place(&self) -> &str {
        let refused = self.refused.as_ref().map(|(host, _)| host.as_str());
        let refused = refused.filter(|host| *host != ELSEWHERE);
        let dropped = self.drop.as_ref().map(|drop| drop.host.as_str());
        refused
            .or(dropped)
            .or(self.last.as_ref().map(|last| last.host.as_str()))
            .unwrap_or(&self.host)
    }

    /// Whether a position of the path is where they part.
    #[must_use]
    pub fn covers(&self, position: usize) -> bool {
        (self.behind..=self.expected).contains(&position)
    }

    /// In one sentence: where it was seen last, what became of it, and what was decided there.
    #[must_use]
    pub fn words(&self) -> String {
        let end = self.end();
        let Some(Decision { host, made, .. }) = &self.decision else { return end };
        match made {
            Made::Refused => format!("{end}; no socket of {host} takes it"),
            Made::Accepted => format!("{end}; a socket of {host} took it"),
            Made::Route { error: Some(_), .. } => format!("{end}; {host} looked for a {made}"),
            Made::Route { .. } => format!("{end}; {host} found a {made}"),
        }
    }

    fn end(&self) -> String {
        let Some(last) = &self.last else {
            return format!("{} was not seen to leave {}", self.packet, self.host);
        };
        let place = match last.interface.as_str() {
            "" => last.host.clone(),
            interface => format!("{} {interface}", last.host),
        };
        let mut text = format!("{} was last seen at {place} ({})", self.packet, last.hook);
        if let Some((host, with)) = &self.refused {
            text = format!("{text}; {host} refuses it with {with}");
        }
        match &self.drop {
            Some(Drop { host, interface, reason, function }) => {
                let at = if interface.is_empty() { host } else { &format!("{host} {interface}") };
                let of = function.as_ref().map_or_else(String::new, |of| format!(" in {of}"));
                let what = if self.refused.is_some() { "that is dropped" } else { "dropped" };
                format!("{text}; {what} at {at}: {reason}{of}")
            }
            None if self.refused.is_some() => text,
            None => format!("{text}; not seen: {}", self.words),
        }
    }
}
