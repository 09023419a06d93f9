//! A packet's time.
//!
//! Unlike tcpdump 4.99, which prints `[Error converting time]` from 2038-01-19 03:14:08 UTC
//! on, this goes on counting.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};

use super::{Options, TimeFormat};

/// What a packet's time is told relative to.
#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    /// Time of the previous or the first packet, in the unit that is printed.
    reference: Option<u64>,
}

impl Clock {
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, reference: None }
    }

    /// Appends what `options` want of `time`, in nanoseconds since 1970, and a space.
    pub fn print(&mut self, time: u64, options: &Options, out: &mut String) {
        let unit = Unit { nanoseconds: options.nanoseconds };
        let time = unit.of(time);
        match options.time {
            TimeFormat::None => return,
            TimeFormat::Clock | TimeFormat::Date => {
                self.civil(unit.seconds(time), options.time == TimeFormat::Date, out);
            }
            TimeFormat::Unix => {
                let _ = write!(out, "{}", unit.seconds(time));
            }
            TimeFormat::SincePrevious | TimeFormat::SinceFirst => {
                let reference = *self.reference.get_or_insert(time);
                if options.time == TimeFormat::SincePrevious {
                    self.reference = Some(time);
                }
                out.push(if time < reference { '-' } else { ' ' });
                let passed = time.abs_diff(reference);
                let seconds = unit.seconds(passed) % (24 * 60 * 60);
                let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
                let _ = write!(out, "{hours:02}:{minutes:02}:{:02}", seconds % 60);
                unit.fraction(passed, out);
                return;
            }
        }
        unit.fraction(time, out);
    }

    fn civil(&self, seconds: u64, date: bool, out: &mut String) {
        let seconds = i64::try_from(seconds).ok();
        let Some(time) = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()) else {
            // Not before the year 9999.
            return;
        };
        let time = self.zone.to_datetime(time);
        if date {
            let _ = write!(out, "{:04}-{:02}-{:02} ", time.year(), time.month(), time.day());
        }
        let _ = write!(out, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    }
}

/// Microseconds, or nanoseconds.
#[derive(Clone, Copy)]
struct Unit {
    nanoseconds: bool,
}

impl Unit {
    const fn of(self, nanoseconds: u64) -> u64 {
        if self.nanoseconds { nanoseconds } else { nanoseconds / 1000 }
    }

    const fn a_second(self) -> u64 {
        if self.nanoseconds { 1_000_000_000 } else { 1_000_000 }
    }

    const fn seconds(self, time: u64) -> u64 {
        time / self.a_second()
    }

    fn fraction(self, time: u64, out: &mut String) {
        let width = if self.nanoseconds { 9 } else { 6 };
        let _ = write!(out, ".{:0width$} ", time % self.a_second());
    }
}
