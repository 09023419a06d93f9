//! How a cell stands beside another: the one judgement that sentences, table and page share. Pure.

use super::result::{LOSSY, Measure, Ratio, Series, Verdict};

/// How a cell stands beside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// More of what is good, or less of what is not.
    Better,
    /// The other way round.
    Worse,
    /// Too noisy to tell.
    Unclear,
    /// Too few rounds to tell.
    TooFew,
    /// Either loses packets, so that it is not the same work.
    Lossy,
    /// Both are at the load's own ceiling, so that the ratio is not between the two.
    Bound,
}

impl Standing {
    /// Of a series beside its base, by a ratio of its first measure.
    #[must_use]
    pub fn beside(base: Option<&Series>, series: &Series, measure: Measure, ratio: &Ratio) -> Self {
        let is_lossy = |series: &Series| series.loss().is_some_and(|loss| loss > LOSSY);
        match () {
            () if [Some(series), base].into_iter().flatten().any(is_lossy) => Self::Lossy,
            () if series.generator_bound && base.is_some_and(|base| base.generator_bound) => {
                Self::Bound
            }
            () => Self::of(measure, ratio),
        }
    }

    /// Of a ratio alone.
    #[must_use]
    pub const fn of(measure: Measure, ratio: &Ratio) -> Self {
        match (ratio.verdict, measure.more_is_better()) {
            (Verdict::More, true) | (Verdict::Less, false) => Self::Better,
            (Verdict::Less, true) | (Verdict::More, false) => Self::Worse,
            (Verdict::Unclear, _) => Self::Unclear,
            (Verdict::TooFew, _) => Self::TooFew,
        }
    }

    /// Whether anything may be said.
    #[must_use]
    pub const fn says(self) -> bool {
        matches!(self, Self::Better | Self::Worse)
    }
}
