//! What was observed of an attempt, in the lines of `netlab capture --follow`.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use netlab::{
    doctor::{diagnosis::Told, probe::Attempt},
    trace::follow::{Style, render},
};

/// The telling attempt of a way: the first that failed; else the first. Empty where nobody watched.
pub(super) fn of_way(told: &Told, color: bool) -> String {
    let failed = told.attempts.iter().find(|attempt| !attempt.outcome.is_answer());
    let Some(attempt) = failed.or(told.attempts.first()) else { return String::new() };
    let mut text = draw(attempt, color);
    if let (Some(_), Some(divergence)) = (failed, &told.divergence) {
        let _ = writeln!(text, "  {}", divergence.words());
    }
    text
}

/// An attempt's telling packet, hop by hop, with its answer.
pub(super) fn draw(attempt: &Attempt, color: bool) -> String {
    let style = Style { color, zone: TimeZone::system() };
    attempt.telling().map_or_else(String::new, |journey| render(journey, &style))
}
