//! Medians, and how sure one can be of them.

use std::fmt;

/// Samples drawn for an interval.
const RESAMPLES: usize = 2_000;

/// A median with its 95% bootstrap interval (percentile method).
#[derive(Clone, Copy, Debug, PartialEq)]
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
}

impl fmt::Display for Estimate {
    /// `12 [10, 15]`; the precision is that of each number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        let Self { median, low, high } = self;
        write!(f, "{median:.digits$} [{low:.digits$}, {high:.digits$}]")
    }
}

/// The middle of the samples, or the mean of the two in the middle.
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
}
