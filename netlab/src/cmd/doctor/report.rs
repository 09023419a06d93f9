//! A diagnosis for people: the three steps, facts, expected path and observed path, and the
//! verdict: where they part, what shows it, and what mends it.

use std::{fmt::Write as _, time::Duration};

use netlab::doctor::{
    facts::{Facts, Gap},
    reach::Reach,
    report::{Report, Shown, representative},
};

use super::{expected, healthy, matrix, observed, paint::Paint, verdict};
use crate::cmd::output;

/// Gaps that are told one by one.
const MOST_GAPS: usize = 8;

/// The whole of it.
pub(super) fn draw(report: &Report<'_>, paint: Paint) -> String {
    let Report { facts, spec, diagnosis, took, all_paths } = *report;
    let mut text = String::new();
    if diagnosis.is_healthy() && !all_paths {
        text.push_str(&gaps(&diagnosis.gaps, paint));
        text.push_str(&healthy::lines(report, paint));
        return text;
    }
    section(&mut text, paint, "Facts", &observed_facts(facts), &gaps(&diagnosis.gaps, paint));
    if all_paths {
        for path in &diagnosis.paths {
            let lines = expected::lines(&Shown { path, until: None }, true, paint);
            section(&mut text, paint, "Expected path", &expected::title(path), &lines);
        }
    } else if let Some(shown) = representative(diagnosis) {
        let lines = expected::lines(&shown, false, paint);
        section(&mut text, paint, "Expected path", &expected::title(shown.path), &lines);
    }
    let seen = observed::draw(diagnosis, paint);
    if !seen.is_empty() {
        section(&mut text, paint, "Observed path", "", &seen);
    }
    if diagnosis.is_healthy() {
        text.push_str(&healthy::lines(report, paint));
        return text;
    }
    let count = match diagnosis.findings.len() {
        1 => "1 finding".to_owned(),
        many => format!("{many} findings, the cause first"),
    };
    let seconds = took.as_secs_f64();
    let reach = matrix::draw(&Reach::of(diagnosis, spec), paint);
    section(&mut text, paint, "Verdict", &format!("{count}; {seconds:.1} s"), &reach);
    for (at, finding) in diagnosis.findings.iter().enumerate() {
        if at > 0 || !reach.is_empty() {
            text.push('\n');
        }
        text.push_str(&verdict::told(finding, facts, paint));
    }
    let code = diagnosis.findings[0].code;
    let _ =
        writeln!(text, "\n{}", paint.faint(&format!("netlab doctor --explain {code} tells more")));
    text
}

/// A heading with what is in it; an empty line stands before all but the first.
fn section(text: &mut String, paint: Paint, name: &str, title: &str, body: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    let head = paint.strong(name);
    let _ = writeln!(text, "{}", format!("{head}  {title}").trim_end());
    text.push_str(body);
}

/// `9 hosts of lab lab (vxlan, ebpf) in 0.21 s, 2 gaps`.
fn observed_facts(facts: &Facts) -> String {
    let hosts = match facts.hosts.len() {
        1 => "1 host".to_owned(),
        many => format!("{many} hosts"),
    };
    let of = match &facts.lab {
        Some(lab) => format!(" of lab {} ({}, {})", lab.name, lab.mode, lab.proxy),
        None => String::new(),
    };
    let gaps = match facts.gaps.len() {
        0 => "nothing hidden".to_owned(),
        1 => "1 gap".to_owned(),
        many => format!("{many} gaps"),
    };
    let seconds = Duration::from_millis(facts.took_ms).as_secs_f64();
    format!("{hosts}{of} in {seconds:.2} s, {gaps}")
}

/// What could not be looked at, and what that hides.
pub(super) fn gaps(gaps: &[Gap], paint: Paint) -> String {
    let mut text = String::new();
    for gap in gaps.iter().take(MOST_GAPS) {
        let host = gap.host.as_deref().unwrap_or("all hosts");
        let line = format!("not seen: {host}: {}. {}", gap.reason.trim_end_matches('.'), gap.hides);
        let line = output::wrapped(&line, output::width() - 2, "    ");
        let _ = writeln!(text, "  {}", paint.strong(&line));
    }
    if let Some(more) = gaps.len().checked_sub(MOST_GAPS).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more gaps; --save-facts writes all of them");
    }
    text
}
