//! What the time stamps of an interface count (if_tsresol and if_tsoffset of
//! draft-ietf-opsawg-pcapng, section 4.2).

use super::super::Precision;

/// How to make nanoseconds since 1970 from a count of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    unit: Unit,
    /// What must be added, in seconds.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Multiple(u64),
    /// One nanosecond in so many units.
    Fraction(u128),
    /// One second divided by two, so many times.
    Binary(u8),
}

impl Clock {
    /// `resolution` as if_tsresol has it: the exponent of a negative power of 10, or of 2
    /// where the highest bit is set; microseconds where it is missing.
    pub(super) fn new(resolution: Option<u8>, offset: i64) -> Self {
        let resolution = resolution.unwrap_or(6);
        let exponent = resolution & 0x7f;
        let unit = if resolution & 0x80 != 0 {
            Unit::Binary(exponent)
        } else if let Some(more) = 9_u32.checked_sub(exponent.into()) {
            Unit::Multiple(10_u64.pow(more))
        } else {
            // From 10^-48 s on, all that 64 bits can count is no nanosecond.
            let finer = u32::from(exponent) - 9;
            Unit::Fraction(10_u128.checked_pow(finer).unwrap_or(u128::MAX))
        };
        Self { unit, offset }
    }

    /// The time of a stamp, as near as 64 bits of nanoseconds since 1970 can say it.
    pub(super) fn nanoseconds(self, count: u64) -> u64 {
        let count = i128::from(count);
        // None of this overflows: count < 2^64, a factor <= 10^9 < 2^30.
        let since_offset = match self.unit {
            Unit::Multiple(factor) => count * i128::from(factor),
            Unit::Fraction(divisor) => i128::try_from(divisor).map_or(0, |divisor| count / divisor),
            Unit::Binary(shift) => (count * 1_000_000_000) >> shift,
        };
        let time = since_offset + i128::from(self.offset) * 1_000_000_000;
        u64::try_from(time.max(0)).unwrap_or(u64::MAX)
    }

    pub(super) fn precision(self) -> Precision {
        let micro = match self.unit {
            Unit::Multiple(factor) => factor >= 1000,
            Unit::Fraction(_) => false,
            // 2^-20 s is just below a microsecond.
            Unit::Binary(shift) => shift < 20,
        };
        if micro { Precision::Micro } else { Precision::Nano }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn units_are_powers_of_ten_or_of_two() {
        let time = |resolution, count| Clock::new(resolution, 0).nanoseconds(count);
        assert_eq!(time(None, 3), 3000);
        assert_eq!(time(Some(0), 3), 3 * SECOND);
        assert_eq!(time(Some(6), 3), 3000);
        assert_eq!(time(Some(9), 3), 3);
        assert_eq!(time(Some(12), 3999), 3);
        assert_eq!(time(Some(0x80), 3), 3 * SECOND);
        assert_eq!(time(Some(0x80 | 10), 512), SECOND / 2);
    }

    #[test]
    fn no_resolution_and_no_offset_overflows() {
        for resolution in 0..=u8::MAX {
            for offset in [i64::MIN, -1, 0, 1, i64::MAX] {
                let clock = Clock::new(Some(resolution), offset);
                assert!(clock.nanoseconds(0) <= clock.nanoseconds(u64::MAX));
            }
        }
    }

    #[test]
    fn an_offset_is_in_seconds_and_time_does_not_pass_1970() {
        assert_eq!(Clock::new(Some(9), 2).nanoseconds(5), 2 * SECOND + 5);
        assert_eq!(Clock::new(Some(0), -2).nanoseconds(5), 3 * SECOND);
        assert_eq!(Clock::new(Some(0), -7).nanoseconds(5), 0);
    }

    #[test]
    fn precision_is_micro_down_to_a_microsecond() {
        let precision = |resolution| Clock::new(resolution, 0).precision();
        assert_eq!(precision(None), Precision::Micro);
        assert_eq!(precision(Some(7)), Precision::Nano);
        assert_eq!(precision(Some(0x80 | 19)), Precision::Micro);
        assert_eq!(precision(Some(0x80 | 30)), Precision::Nano);
        assert_eq!(precision(Some(12)), Precision::Nano);
    }
}
