//! Latencies, by percentiles.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest latency that is told from longer ones.
const LONGEST: Duration = Duration::from_secs(60);
/// Digits that are kept of each.
const DIGITS: u8 = 3;

/// Where the curve of a distribution is taken.
pub const QUANTILES: [f64; 15] =
    [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0];

/// Latencies of one turn.
#[derive(Clone, Debug)]
pub struct Histogram(hdrhistogram::Histogram<u64>);

/// What is told of them, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latencies {
    /// How many there are.
    pub count: u64,
    /// Half of them are at most this.
    pub p50: f64,
    /// 90% are.
    pub p90: f64,
    /// 99% are.
    pub p99: f64,
    /// All are.
    pub max: f64,
    /// At each of [`QUANTILES`].
    pub curve: [f64; QUANTILES.len()],
}

impl Histogram {
    /// Without any.
    ///
    /// # Panics
    ///
    /// Never: the bounds are constants that the crate takes, as a test shows.
    #[must_use]
    pub fn new() -> Self {
        let longest = u64::try_from(LONGEST.as_nanos()).unwrap_or(u64::MAX);
        let inner = hdrhistogram::Histogram::new_with_bounds(1, longest, DIGITS);
        Self(inner.expect("1 ns to a minute, with three digits"))
    }

    /// Takes one up.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).max(1));
    }

    /// What is told of them; nothing of none.
    #[must_use]
    pub fn summary(&self) -> Option<Latencies> {
        #[expect(clippy::cast_precision_loss, reason = "at most a minute in nanoseconds")]
        let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        let at = |quantile| microseconds(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Latencies {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: microseconds(self.0.max()),
            curve: QUANTILES.map(at),
        })
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_thousand_known_latencies() {
        let mut histogram = Histogram::new();
        for microseconds in 1..=1_000 {
            histogram.record(Duration::from_micros(microseconds));
        }
        let latencies = histogram.summary().unwrap();
        assert_eq!(latencies.count, 1_000);
        let near = |seen: f64, known: f64| {
            assert!((seen - known).abs() <= known * 1e-3, "{seen}, not {known}");
        };
        near(latencies.p50, 500.0);
        near(latencies.p90, 900.0);
        near(latencies.p99, 990.0);
        near(latencies.max, 1_000.0);
    }

    #[test]
    fn nothing_is_told_of_none_and_what_takes_too_long_counts() {
        assert_eq!(Histogram::new().summary(), None);
        let mut histogram = Histogram::new();
        histogram.record(Duration::from_secs(3_600));
        assert_eq!(histogram.summary().unwrap().count, 1);
    }
}
