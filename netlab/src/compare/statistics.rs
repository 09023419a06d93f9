//! Medians and ratios of rounds, and how sure one can be of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Samples drawn for an interval.
const RESAMPLES: usize = 2_000;

/// A median with its 95% bootstrap interval: the percentile method, widened to the ranks that
/// are known to hold ([`rank`]), since of few samples the percentiles alone promise too much. With
/// 7 samples, say, they lie around the true median 88 times in 100.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Estimate {
    /// Of one sample a round; none of no rounds.
    #[must_use]
    pub fn of(rounds: &[f64]) -> Option<Self> {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut medians = Vec::with_capacity(RESAMPLES);
        for _ in 0..RESAMPLES {
            let drawn: Option<Vec<f64>> =
                rounds.iter().map(|_| random.pick(rounds).copied()).collect();
            medians.push(median(&drawn?)?);
        }
        medians.sort_by(f64::total_cmp);
        let at = |part: usize| medians.get((RESAMPLES - 1) * part / 1_000).copied();
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = rank(sorted.len()).unwrap_or(0);
        let (least, most) = (*sorted.get(rank)?, *sorted.iter().nth_back(rank)?);
        Some(Self { median: median(rounds)?, low: at(25)?.min(least), high: at(975)?.max(most) })
    }

    /// Whether the interval has a value in it, its ends included.
    #[must_use]
    pub fn includes(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Whether two intervals have a value in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

impl fmt::Display for Estimate {
    /// `12 [10, 15]`; the precision is that of each number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        let Self { median, low, high } = self;
        write!(f, "{median:.digits$} [{low:.digits$}, {high:.digits$}]")
    }
}

/// How many samples may be left out at either end of the sorted ones, so that what is between the
/// others has the true median in it with a probability of 95% at least, whatever they are
/// distributed like. None of fewer than 6: not even all of them are enough.
///
/// The true median is below the least of the others if as many samples or fewer are below it as
/// were left out, and samples fall below it as a coin falls (binomial, 1/2).
#[must_use]
pub fn rank(samples: usize) -> Option<usize> {
    let n = i32::try_from(samples).ok().filter(|n| *n > 0)?;
    let (mut term, mut tail, mut rank) = (0.5_f64.powi(n), 0.0, None);
    for left_out in 0..n {
        tail += term;
        if 2.0 * tail > 0.05 {
            break;
        }
        rank = usize::try_from(left_out).ok();
        term *= f64::from(n - left_out) / f64::from(left_out + 1);
    }
    rank
}

/// The ratio of one side to another in each round where both were measured. Rounds are matched
/// by their place; a side that failed in a round takes the other's out of the count too.
#[must_use]
pub fn ratios(of: &[Option<f64>], to: &[Option<f64>]) -> Vec<f64> {
    let pairs = of.iter().zip(to).filter_map(|(of, to)| of.zip(*to));
    pairs.map(|(of, to)| of / to).filter(|ratio| ratio.is_finite()).collect()
}

/// The middle of the samples, or the mean of the two in the middle.
#[must_use]
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(sorted.len() / 2 - 1)?, upper))
}

/// Xorshift (Marsaglia 2003): the same draws in every run, so a report can be computed again.
struct Random(u64);

impl Random {
    fn pick<'a>(&mut self, of: &'a [f64]) -> Option<&'a f64> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let index = (self.0 >> 33).checked_rem(of.len() as u64)?;
        of.get(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers_of_samples() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn an_interval_lies_within_the_samples_and_around_the_median() {
        let samples = [10.0, 11.0, 9.0, 30.0, 10.5, 9.5, 10.2];
        let estimate = Estimate::of(&samples).unwrap();
        assert_eq!(estimate.median, 10.2);
        assert!(9.0 <= estimate.low && estimate.low <= 10.2, "{estimate:?}");
        assert!(10.2 <= estimate.high && estimate.high <= 30.0, "{estimate:?}");
        assert_eq!(Estimate::of(&[]), None);
    }

    #[test]
    fn equal_samples_leave_no_doubt() {
        assert_eq!(Estimate::of(&[7.0; 7]).unwrap().to_string(), "7 [7, 7]");
    }

    #[test]
    fn ratios_are_of_rounds_that_both_sides_have() {
        let of = [Some(2.0), None, Some(9.0), Some(1.0), Some(1.0)];
        let to = [Some(1.0), Some(1.0), Some(3.0), None, Some(0.0)];
        assert_eq!(ratios(&of, &to), [2.0, 3.0]);
    }

    #[test]
    fn the_ratio_of_medians_is_not_the_median_of_ratios() {
        // The machine was twice as slow in the last rounds, for both sides alike.
        let slow = [Some(10.0), Some(10.0), Some(5.0), Some(5.0), Some(5.0)];
        let fast = [Some(20.0), Some(20.0), Some(10.0), Some(10.0), Some(10.0)];
        let estimate = Estimate::of(&ratios(&slow, &fast)).unwrap();
        assert_eq!(estimate, Estimate { median: 0.5, low: 0.5, high: 0.5 });
    }

    /// From tables of the binomial distribution: with 9 samples, one or none of them is below
    /// the median with 0.0195, two or fewer with 0.0898.
    #[test]
    fn ranks_are_as_known() {
        let known = [
            (0, None),
            (5, None),
            (6, Some(0)),
            (7, Some(0)),
            (8, Some(0)),
            (9, Some(1)),
            (11, Some(1)),
            (12, Some(2)),
            (20, Some(5)),
            (100, Some(39)),
        ];
        assert_eq!(known.map(|(samples, _)| (samples, rank(samples))), known);
    }

    #[test]
    fn an_interval_of_few_samples_is_no_shorter_than_what_is_sure() {
        let ends = |samples: u32| {
            let all: Vec<f64> = (1..=samples).map(f64::from).collect();
            let estimate = Estimate::of(&all).unwrap();
            (estimate.low, estimate.high)
        };
        // The percentiles alone would be 2 and 6.
        assert_eq!(ends(7), (1.0, 7.0));
        assert_eq!(ends(9), (2.0, 8.0));
        assert_eq!(ends(5), (1.0, 5.0));
    }

    #[test]
    fn intervals_overlap_where_they_share_a_value() {
        let interval = |low, high| Estimate { median: low, low, high };
        assert!(interval(1.0, 2.0).overlaps(&interval(2.0, 3.0)));
        assert!(interval(2.0, 3.0).overlaps(&interval(1.0, 2.0)));
        assert!(interval(0.0, 9.0).overlaps(&interval(1.0, 2.0)));
        assert!(!interval(1.0, 2.0).overlaps(&interval(2.1, 3.0)));
        assert!(interval(0.9, 1.0).includes(1.0) && !interval(0.9, 0.99).includes(1.0));
    }
}
