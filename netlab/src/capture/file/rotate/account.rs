//! What each file of a series has, and lacks, of an interface's packets.
//!
//! Losses are told as totals since the series was begun; a file is charged with what was told
//! while it was the current one. So the files' counts add up to the totals.

use super::Statistics;

/// From when until when a file goes, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u64,
    /// The latest packet's time, which is that of the next file's first one where one follows.
    end: u64,
    /// When losses were told last. Packets come later than they were seen, so this is ahead.
    told: u64,
}

impl Span {
    pub(super) const fn new(now: u64) -> Self {
        Self { start: now, end: now, told: now }
    }

    /// A packet comes, for this file or the next.
    pub(super) fn packet(&mut self, time: u64) {
        self.end = self.end.max(time);
    }

    /// Losses are told.
    pub(super) const fn told(&mut self, now: u64) {
        self.told = now;
    }

    /// No packet will come.
    pub(super) fn finish(&mut self) {
        self.end = self.end.max(self.told);
    }

    /// A file ends, and the next begins.
    pub(super) const fn next(&mut self) {
        self.start = self.end;
    }
}

/// An interface's packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    /// In the current file.
    written: u64,
    /// Lost since the series was begun.
    lost: u64,
    /// Of these, those that earlier files were charged with.
    charged: u64,
}

impl Account {
    pub(super) const fn written(&mut self) {
        self.written += 1;
    }

    /// So many since the series was begun. Fewer than before is a mistake, and changes nothing.
    pub(super) fn lost(&mut self, total: u64) {
        self.lost = self.lost.max(total);
    }

    /// For the current file.
    pub(super) const fn statistics(&self, span: Span) -> Statistics {
        let dropped = self.lost - self.charged;
        Statistics {
            start: span.start,
            end: span.end,
            received: None,
            dropped: Some(dropped),
            accepted: Some(self.written + dropped),
        }
    }

    /// A file ends, and the next begins.
    pub(super) const fn next(&mut self) {
        *self = Self { written: 0, lost: self.lost, charged: self.lost };
    }
}
