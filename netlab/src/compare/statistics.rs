//! Medians and ratios of rounds, and how sure one can be of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Samples drawn for an interval.
const RESAMPLES: usize = 2_000;

/// A median with its 95% bootstrap interval (percentile method).
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
        Some(Self { median: median(rounds)?, low: at(25)?, high: at(975)? })
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

    /// With five samples, the median of a resample is the smallest one with probability
    /// P(at least 3 of 5 draws are it) = 0.0579 and at most the second with 0.317, so the
    /// percentiles 2.5 and 97.5 are the extremes.
    #[test]
    fn an_interval_of_few_samples_is_as_known() {
        let estimate = Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!(estimate, Estimate { median: 3.0, low: 1.0, high: 5.0 });
        // With nine, the smallest is it with 0.0014 and the second or less 0.0304 (binomial, 5 of 9).
        let nine: Vec<f64> = (1..=9).map(f64::from).collect();
        let estimate = Estimate::of(&nine).unwrap();
        assert_eq!((estimate.low, estimate.high), (2.0, 8.0));
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
