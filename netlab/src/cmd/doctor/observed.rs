//! The observed path: what became of the probes, and the way of one, in the lines of
//! `netlab capture --follow`.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use netlab::{
    doctor::{
        diagnosis::{Diagnosis, Told},
        observe::Divergence,
        probe::Attempt,
    },
    trace::follow::{Style, render_decided},
};

use super::paint::Paint;
use crate::cmd::output;

/// Addresses that are told one by one.
const MOST: usize = 12;

/// A line for each address that was dialled, then the packet that tells most; empty where nothing
/// was sent.
pub(super) fn draw(diagnosis: &Diagnosis, paint: Paint) -> String {
    let dialled: Vec<_> = diagnosis.ways.iter().filter(|told| !told.attempts.is_empty()).collect();
    let mut text = String::new();
    for told in dialled.iter().take(MOST) {
        let line = format!("  {}\n", way(told, diagnosis.passive, paint));
        text.push_str(&paint.fitted(&line, 4));
    }
    if let Some(more) = dialled.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more addresses");
    }
    if let Some(told) = dialled.iter().find(|told| told.divergence.is_some()) {
        let lines = trace(told, paint);
        let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
        text.push_str(&paint.fitted(&lines, 14));
        let words = told.divergence.as_ref().map(Divergence::words).unwrap_or_default();
        let words = output::wrapped(&words, paint.width - 2, "    ");
        let _ = writeln!(text, "  {}", paint.strong(&words));
    }
    text
}

/// `TCP 172.18.0.2:30080 at node-1: 4 of 4 probes answered, slowest 1.2 ms`.
fn way(told: &Told, passive: bool, paint: Paint) -> String {
    let is_answer = |attempt: &&Attempt| told.is_answered(attempt);
    let all = told.attempts.len();
    let good = told.attempts.iter().filter(is_answer).count();
    let failed = told.attempts.iter().find(|attempt| !is_answer(attempt));
    let slowest = told.attempts.iter().filter(is_answer).map(|attempt| attempt.micros).max();
    let slowest = slowest.map(|micros| format!(", slowest {:.1} ms", micros as f64 / 1e3));
    let what = attempts(passive);
    // It meets other rules there than what comes from elsewhere.
    let by = if told.way.client == told.way.node { " from this host itself" } else { "" };
    let slowest = slowest.unwrap_or_default();
    let count = format!("{good} of {all} {what}{by} answered{slowest}");
    let count = match failed {
        Some(attempt) => paint.bad(&format!("{count}; {}", attempt.outcome.in_vain())),
        None => paint.good(&count),
    };
    format!("{} {} at {}: {count}", told.way.protocol, told.way.dialled, told.way.node)
}

/// What attempts are called: others' are no probes.
pub(super) const fn attempts(passive: bool) -> &'static str {
    if passive { "connections of others" } else { "probes" }
}

/// The first attempt that failed, hop by hop.
fn trace(told: &Told, paint: Paint) -> String {
    let style = Style { color: paint.color, zone: TimeZone::system() };
    let is_failed = |attempt: &&Attempt| !told.is_answered(attempt);
    let mut failed = told.attempts.iter().filter(is_failed);
    let drawn =
        |attempt: &Attempt| Some(render_decided(attempt.telling()?, &attempt.decisions, &style));
    failed.find_map(drawn).unwrap_or_default()
}
