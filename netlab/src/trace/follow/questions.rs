//! Packets under way in one direction of a connection that nothing has answered yet, by what
//! their answers would say.

use std::collections::BTreeSet;

use super::{
    identity,
    packet::Packet,
    transport::{Transport, flag},
};

/// Half of the sequence numbers: what is no further back is before (RFC 1982).
const HALF: u32 = 1 << 31;

/// Journeys without an answer.
#[derive(Debug, Default)]
pub(super) struct Questions {
    all: BTreeSet<u64>,
    /// TCP segments by the number that confirms them.
    ends: BTreeSet<(u32, u64)>,
    /// Others by [`identity::subject`].
    subjects: BTreeSet<(u64, u64)>,
    /// By IPv4 identification, which ICMP errors quote.
    ids: BTreeSet<(u16, u64)>,
}

impl Questions {
    pub fn insert(&mut self, id: u64, packet: &Packet) {
        self.all.insert(id);
        self.ids.insert((packet.id, id));
        self.ends.extend(end(packet).map(|end| (end, id)));
        self.subjects.extend(identity::subject(packet).map(|subject| (subject, id)));
    }

    pub fn remove(&mut self, id: u64, packet: &Packet) {
        if !self.all.remove(&id) {
            return;
        }
        self.ids.remove(&(packet.id, id));
        if let Some(end) = end(packet) {
            self.ends.remove(&(end, id));
        }
        if let Some(subject) = identity::subject(packet) {
            self.subjects.remove(&(subject, id));
        }
    }

    /// The newest.
    pub fn last(&self) -> Option<u64> {
        self.all.last().copied()
    }

    /// Those that a packet answers, oldest first: TCP confirms many at once, everything else
    /// answers one.
    pub fn answered(&self, answer: &Packet, is_answered: impl Fn(u64) -> bool) -> Vec<u64> {
        let first = |ids: &mut dyn Iterator<Item = u64>| {
            let mut answered = ids.filter(|id| is_answered(*id));
            answered.next()
        };
        match &answer.transport {
            Transport::Tcp(segment) if segment.has(flag::RST) => {
                self.all.iter().copied().filter(|id| is_answered(*id)).collect()
            }
            Transport::Tcp(segment) if segment.has(flag::ACK) => {
                let mut found = self.confirmed(segment.ack);
                found.retain(|id| is_answered(*id));
                found
            }
            Transport::Tcp(_) => Vec::new(),
            Transport::Error(error) if error.id != 0 => {
                let quoted = |id| self.ids.range((id, 0)..=(id, u64::MAX)).map(|(_, id)| *id);
                let found = [first(&mut quoted(error.id)), first(&mut quoted(0))];
                found.into_iter().flatten().min().into_iter().collect()
            }
            Transport::Error(_) => first(&mut self.all.iter().copied()).into_iter().collect(),
            _ => {
                let subject = identity::subject(answer);
                let about = subject.map(|at| self.subjects.range((at, 0)..=(at, u64::MAX)));
                let mut about = about.into_iter().flatten().map(|(_, id)| *id);
                first(&mut about).into_iter().collect()
            }
        }
    }

    /// Those whose end is not behind an acknowledgment number, oldest first.
    fn confirmed(&self, ack: u32) -> Vec<u64> {
        let back = ack.wrapping_sub(HALF - 1);
        let between = |from, to| self.ends.range((from, 0)..=(to, u64::MAX)).map(|(_, id)| *id);
        let mut found: Vec<u64> = if back <= ack {
            between(back, ack).collect()
        } else {
            between(back, u32::MAX).chain(between(0, ack)).collect()
        };
        found.sort_unstable();
        found
    }
}

/// The acknowledgment number that a TCP segment waits for.
fn end(packet: &Packet) -> Option<u32> {
    match &packet.transport {
        Transport::Tcp(segment) if segment.asks() => Some(segment.end()),
        _ => None,
    }
}
