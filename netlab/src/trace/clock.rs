//! From the kernel's clock to the time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds by which a clock may be off before it is set: below, two packets must not change
/// their order for the sake of a better time.
const TOLERANCE: u64 = 1_000_000;

/// What CLOCK_MONOTONIC has to be given to be the time of day.
#[derive(Debug)]
pub(super) struct Clock {
    /// Nanoseconds since 1970-01-01 00:00 UTC at which CLOCK_MONOTONIC was zero.
    zero: u64,
}

impl Clock {
    pub fn new() -> Self {
        Self { zero: zero() }
    }

    /// The time of day, in nanoseconds since 1970, of a time of CLOCK_MONOTONIC.
    pub const fn time_of_day(&self, monotonic: u64) -> u64 {
        self.zero.wrapping_add(monotonic)
    }

    /// Follows the time of day where that was set, or stood still while the machine slept.
    pub fn follow(&mut self) {
        let now = zero();
        if now.abs_diff(self.zero) > TOLERANCE {
            self.zero = now;
        }
    }
}

/// Taken a few times, since anything may come between the two clocks: the quickest is the best.
fn zero() -> u64 {
    const TRIES: usize = 5;
    let monotonic = || {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
        now.unwrap_or_default()
    };
    let take = |_| {
        let before = monotonic();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let took = monotonic().saturating_sub(before);
        (took, now.saturating_sub(before + took / 2))
    };
    let best = (0..TRIES).map(take).min_by_key(|(took, _)| *took);
    best.and_then(|(_, zero)| u64::try_from(zero.as_nanos()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_runs_is_left_alone_and_one_that_was_set_is_followed() {
        let mut clock = Clock::new();
        let right = clock.zero;
        clock.zero = right + TOLERANCE / 2;
        clock.follow();
        assert_eq!(clock.zero, right + TOLERANCE / 2);
        clock.zero = right + 3_600_000_000_000;
        clock.follow();
        assert!(clock.zero.abs_diff(right) < 100 * TOLERANCE, "{} {right}", clock.zero);
        assert_eq!(clock.time_of_day(5), clock.zero + 5);
    }
}
