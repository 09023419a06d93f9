//! Questions and answers: which packet of a connection answers which.

use super::{Follower, flows::Way, identity, open::Seen};
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
        let open = &self.open;
        let is_answered =
            |id| open.get(&id).is_some_and(|open| identity::answers(&open.first, &seen.packet));
        let mut answered = Vec::new();
        if let Some(under_way) = self.flows.open(back) {
            answered = under_way.questions.answered(&seen.packet, is_answered);
            if answered.is_empty() && matches!(seen.hop.event, Some(Event::Answer(..))) {
                answered.extend(under_way.questions.last());
            }
            for (id, open) in answered.iter().filter_map(|id| Some((id, self.open.get(id)?))) {
                under_way.questions.remove(*id, &open.first);
            }
        }
        // TCP confirms all that came before the newest; of other protocols there is but one.
        let question = answered.pop();
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
