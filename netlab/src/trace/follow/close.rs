//! The end of a journey: what became of the packet.

use super::{
    Follower, branches, identity,
    journey::{Direction, Flow, Hop, Journey, Outcome},
    nanoseconds,
    open::Open,
    transport::Transport,
};
use crate::trace::Event;

impl Follower {
    /// Ends a journey, and that of its reply with it.
    pub(super) fn close(&mut self, id: u64) -> Option<Journey> {
        let question = self.remove(id)?;
        self.last.remove(&(question.group_last, id));
        let reply = question.reply.and_then(|reply| Some((reply, self.remove(reply)?)));
        let reply = reply.map(|(number, reply)| {
            let outcome = self.outcome(&reply, question.hops.first());
            let refuses = identity::refuses(&reply.first);
            (self.journey(number, reply, outcome), refuses)
        });
        let outcome = match &reply {
            Some((reply, refuses)) => answered(&question, reply, *refuses),
            None => self.outcome(&question, None),
        };
        let mut journey = self.journey(id, question, outcome);
        journey.reply = reply.map(|(reply, _)| Box::new(reply));
        Some(journey)
    }

    /// Takes a journey out of all indexes.
    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.held = self.held.saturating_sub(open.hops.len());
        self.prints.remove(open.print, open.last_flow(), id);
        let waits =
            open.lacks_answer() && open.merged.is_none() && identity::expects_answer(&open.first);
        self.flows.end(open.way, id, &open, waits);
        Some(open)
    }

    fn journey(&self, id: u64, mut open: Open, outcome: Outcome) -> Journey {
        branches::tell(&mut open.hops, &self.ports, open.first.group);
        let time = open.hops.first().map_or(0, |hop| hop.time);
        let end = open.hops.last().map_or(0, |hop| hop.time);
        let about = match &open.first.transport {
            Transport::Error(error) => error.quoted.map(Flow),
            _ => None,
        };
        let wait = nanoseconds(self.options.wait);
        Journey {
            losses: self.losses.between(time, end.saturating_add(wait), &open.hops),
            id,
            answers: open.answers,
            service: self.service(&open, about),
            packet: open.first.transport.to_string(),
            direction: match self.flows.is_reply(open.way) {
                true => Direction::Reply,
                false => Direction::Original,
            },
            time,
            duration: end - time,
            about,
            hops: open.hops,
            outcome,
            reply: None,
        }
    }

    /// Whose packet it is, by the addresses that it had anywhere.
    fn service(&self, open: &Open, about: Option<Flow>) -> Option<String> {
        let flows = open.hops.iter().filter_map(|hop| hop.flow).chain(about);
        flows
            .flat_map(|flow| [flow.destination(), flow.source()].map(|end| (flow.0.proto, end)))
            .find_map(|key| self.services.get(&key).cloned())
    }

    /// What became of a packet that nothing answers. `origin` is where what it answers was
    /// first seen.
    fn outcome(&self, open: &Open, origin: Option<&Hop>) -> Outcome {
        if let Some(into) = open.merged {
            return Outcome::Merged { into };
        }
        let Some(last) = open.hops.last() else {
            return Outcome::LastSeen {
                host: String::new(),
                interface: String::new(),
                hook: super::Hook::Drop,
            };
        };
        if let Some((by, time)) = open.answered_by {
            let first = open.hops.first().map_or(time, |hop| hop.time);
            return Outcome::Answered { by, after: time.saturating_sub(first) };
        }
        // Where it was translated once more, it was only passing through.
        let arrived = |hop: &&Hop| hop.flow == last.flow && self.is_home(hop, origin);
        if let Some(arrived) = open.hops.iter().rev().find(arrived) {
            let mut later = open.hops.iter().rev().take_while(|hop| hop.time >= arrived.time);
            let lost = later.find(|hop| hop.host == arrived.host && hop.is_drop());
            return match lost {
                Some(hop) => dropped(hop),
                None => Outcome::Delivered { host: arrived.host.clone() },
            };
        }
        let own = || open.hops.iter().rev().filter(|hop| !is_of_others(hop));
        // A datapath's drop may be followed by the kernel's word that it freed the packet.
        if let Some(hop) = own().take_while(|hop| hop.is_drop()).last() {
            return dropped(hop);
        }
        let last = own().next().unwrap_or(last);
        Outcome::LastSeen {
            host: last.host.clone(),
            interface: last.interface.clone(),
            hook: last.hook,
        }
    }

    /// Whether a packet comes in where its destination is; or, if it answers one that was
    /// first seen at `origin`, where that was sent.
    fn is_home(&self, hop: &Hop, origin: Option<&Hop>) -> bool {
        let destination = hop.flow.map(|flow| flow.destination().ip());
        let is_front = |flow: Flow| self.fronts.contains(&(flow.0.proto, flow.destination()));
        let known = destination
            .filter(|_| !hop.flow.is_some_and(is_front))
            .and_then(|address| self.hosts.get(&address));
        let returned = origin.is_some_and(|origin| {
            origin.hook.is_inbound() == Some(false)
                && origin.host == hop.host
                && origin.interface == hop.interface
                && origin.flow.map(|flow| flow.source().ip()) == destination
        });
        hop.hook.is_inbound() == Some(true)
            && hop.tunnel.is_none()
            && (returned || known == Some(&hop.host))
    }
}

fn answered(question: &Open, reply: &Journey, refuses: bool) -> Outcome {
    let first = question.hops.first().map_or(0, |hop| hop.time);
    let after = reply.hops.last().map_or(0, |hop| hop.time.saturating_sub(first));
    let by = reply.id;
    if refuses {
        Outcome::Refused { by, after, with: reply.packet.clone() }
    } else {
        Outcome::Answered { by, after }
    }
}

fn dropped(hop: &Hop) -> Outcome {
    let (reason, explanation) = match &hop.event {
        Some(Event::Drop(reason, _)) => {
            (reason.name().to_owned(), Some(reason.explanation().trim().to_owned()))
        }
        Some(Event::KernelDrop { reason, .. }) => (reason.to_string(), None),
        _ => ("unknown".to_owned(), None),
    };
    Outcome::Dropped {
        host: hop.host.clone(),
        interface: hop.interface.clone(),
        reason,
        explanation,
    }
}

/// Whether a copy was dropped because its Ethernet address is another's: a bridge that does
/// not know where a packet belongs floods it, which says nothing of the packet.
fn is_of_others(hop: &Hop) -> bool {
    matches!(&hop.event, Some(Event::KernelDrop { reason, .. }) if &**reason == "OTHERHOST")
}
