//! What the datapath counts, one set a hook and CPU.

use crate::verdict::{Answer, DropReason, Forward, Kind, PassReason, Verdict};

/// Room for reasons to pass a packet, so that a new one does not change the map's layout.
pub const PASSES: usize = 16;
/// Room for reasons to drop one.
pub const DROPS: usize = 20;

/// Packets, by what became of them. 448 bytes.
///
/// Law: every packet is in `seen`, and in exactly one of `first`, `original`,
/// `reply`, `error`, `answered`, `passed` and `dropped`, of the hook that dealt with
/// it last. A packet that a hook could not forward itself is taken back from there
/// and is in `left_to_stack`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Every packet that the hook looked at.
    pub seen: u64,
    /// First packets of a connection, translated.
    pub first: u64,
    /// Later packets from clients, translated.
    pub original: u64,
    /// Packets from backends, translated back.
    pub reply: u64,
    /// ICMP errors, translated.
    pub error: u64,
    /// Of the translated ones: encapsulated by the hook itself.
    pub encapsulated: u64,
    /// Of the translated ones: decapsulated by the hook itself.
    pub decapsulated: u64,
    /// Left untouched to the next hook, because the way on is not one that this hook can take.
    pub left_to_stack: u64,
    /// Zero.
    pub reserved: [u64; 4],
    /// Sent back to the sender, by [`Answer`].
    pub answered: [u64; 8],
    /// Left untouched, by [`PassReason`].
    pub passed: [u64; PASSES],
    /// Dropped, by [`DropReason`].
    pub dropped: [u64; DROPS],
}

const _: () = assert!(
    PassReason::ALL.len() <= PASSES && DropReason::ALL.len() <= DROPS && Answer::ALL.len() <= 8
);

impl Counters {
    /// Counts a packet by its verdict.
    #[inline(always)]
    pub const fn record(&mut self, verdict: &Verdict) {
        self.seen += 1;
        match verdict {
            Verdict::Pass(reason) => self.passed[*reason as usize] += 1,
            Verdict::Forward(Forward { kind, .. }) => match kind {
                Kind::First => self.first += 1,
                Kind::Original => self.original += 1,
                Kind::Reply => self.reply += 1,
                Kind::Error => self.error += 1,
            },
            Verdict::Answer(answer) => self.answered[*answer as usize] += 1,
            Verdict::Drop(reason) => self.dropped[*reason as usize] += 1,
        }
    }

    /// Counts a packet that the hook decided about but has to leave to the next one.
    #[inline(always)]
    pub const fn record_left(&mut self) {
        self.seen += 1;
        self.left_to_stack += 1;
    }

    /// Adds another set, for instance that of another CPU.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.cells_mut().zip(other.cells()) {
            *mine += theirs;
        }
    }

    /// Names and values of everything that is named, in a fixed order.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let Self { seen, first, original, reply, error, encapsulated, decapsulated, .. } = *self;
        let plain = [
            ("packets", "seen", seen),
            ("forwarded", "first", first),
            ("forwarded", "original", original),
            ("forwarded", "reply", reply),
            ("forwarded", "icmp-error", error),
            ("forwarded", "encapsulated", encapsulated),
            ("forwarded", "decapsulated", decapsulated),
            ("packets", "left-to-stack", self.left_to_stack),
        ];
        let (answered, passed, dropped) = (self.answered, self.passed, self.dropped);
        plain
            .into_iter()
            .chain(Answer::ALL.iter().map(move |a| ("answered", a.name(), answered[*a as usize])))
            .chain(PassReason::ALL.iter().map(move |r| ("passed", r.name(), passed[*r as usize])))
            .chain(DropReason::ALL.iter().map(move |r| ("dropped", r.name(), dropped[*r as usize])))
    }

    fn cells(&self) -> impl Iterator<Item = &u64> {
        let plain = [
            &self.seen,
            &self.first,
            &self.original,
            &self.reply,
            &self.error,
            &self.encapsulated,
            &self.decapsulated,
            &self.left_to_stack,
        ];
        plain.into_iter().chain(&self.answered).chain(&self.passed).chain(&self.dropped)
    }

    fn cells_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let plain = [
            &mut self.seen,
            &mut self.first,
            &mut self.original,
            &mut self.reply,
            &mut self.error,
            &mut self.encapsulated,
            &mut self.decapsulated,
            &mut self.left_to_stack,
        ];
        plain.into_iter().chain(&mut self.answered).chain(&mut self.passed).chain(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_is_counted_once() {
        let mut counters = Counters::default();
        counters.record(&Verdict::Pass(PassReason::NoFlow));
        counters.record(&Verdict::Drop(DropReason::NoRoute));
        counters.record(&Verdict::Answer(Answer::TcpReset));
        counters.record_left();
        let mut twice = counters;
        twice.merge(&counters);
        assert_eq!(twice.seen, 8);
        assert_eq!(twice.named().map(|(_, _, count)| count).sum::<u64>(), 16);
    }
}
