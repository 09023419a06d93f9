//! Questions and answers: which packet of a connection answers which.

use super::{Follower, flows::Way, identity, open::Seen, transport::Transport};
use crate::trace::Event;

impl Follower {
    /// What a packet that is seen first now answers: the journey, and that journey if it is
    /// still open.
    pub(super) fn question(
        &mut self,
        way: Way,
        seen: &Seen,
        id: u64,
    ) -> (Option<u64>, Option<u64>) {
        let back = way.opposite();
        let unanswered = |id: &u64| {
            let open = self.open.get(id)?;
            let free = open.answers.is_none() && open.reply.is_none() && open.answered_by.is_none();
            free.then_some((*id, open))
        };
        let asked: Vec<_> = self.flows.open(back).iter().filter_map(unanswered).collect();
        let mut answered: Vec<u64> = asked
            .iter()
            .filter(|(_, open)| identity::answers(&open.first, &seen.packet))
            .map(|(id, _)| *id)
            .collect();
        if answered.is_empty() && matches!(seen.hop.event, Some(Event::Answer(..))) {
            answered.extend(asked.last().map(|(id, _)| *id));
        }
        // TCP confirms all that came before the newest; other protocols have one answer each.
        let question = match &seen.packet.transport {
            Transport::Tcp(_) => answered.pop(),
            _ => answered.drain(..).next(),
        };
        for other in answered {
            if let Some(open) = self.open.get_mut(&other) {
                open.answered_by = Some((id, seen.hop.time));
            }
        }
        if let Some(question) = question {
            if let Some(open) = self.open.get_mut(&question) {
                open.reply = Some(id);
            }
            return (Some(question), Some(question));
        }
        let past = self.flows.unanswered(back);
        let past = past.and_then(|past| {
            past.take_if(|past| identity::answers(&past.packet, &seen.packet)).map(|past| past.id)
        });
        (past, None)
    }
}
