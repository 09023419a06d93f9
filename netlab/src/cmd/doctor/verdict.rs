//! Findings: the cause, where it is, what shows it, how sure that is, and what mends it.

use std::fmt::Write as _;

use netlab::doctor::{
    facts::Facts,
    finding::{Confidence, Evidence, Finding, Fix, Severity},
    mend::{self, Unfit},
};

use super::paint::Paint;
use crate::cmd::output::wrapped;

/// One, with all that belongs to it.
pub(super) fn told(finding: &Finding, facts: &Facts, paint: Paint) -> String {
    let mut text = format!("{}\n", head(finding, paint));
    let _ = writeln!(text, "  {}", wrapped(&finding.cause, paint.width - 2, "  "));
    for Evidence { host, text: shown, .. } in &finding.evidence {
        let host = host.as_deref().unwrap_or("objects");
        let line = wrapped(&format!("{host}: {shown}"), paint.width - 4, "      ");
        let _ = writeln!(text, "    {line}");
    }
    for fix in &finding.fixes {
        text.push_str(&mended(fix, facts, paint));
    }
    for effect in &finding.consequences {
        let line = format!("hence: {} ({})", effect.cause, effect.code);
        let _ = writeln!(text, "  {}", wrapped(&line, paint.width - 2, "    "));
    }
    text
}

/// `broken: forward-dropped at node-1 (certain; row 1)`.
pub(super) fn head(finding: &Finding, paint: Paint) -> String {
    let at = finding.host.as_ref().map(|host| format!(" at {host}")).unwrap_or_default();
    let row = match finding.row {
        0 => String::new(),
        row => format!("; row {row}"),
    };
    let sure = match finding.confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::Possible => "possible",
    };
    let head = format!("{}: {}{at}", finding.severity, finding.code);
    let head =
        if finding.severity == Severity::Risk { paint.strong(&head) } else { paint.bad(&head) };
    format!("{head} ({sure}{row})")
}

fn mended(fix: &Fix, facts: &Facts, paint: Paint) -> String {
    let mut text = String::new();
    let verb = if fix.mends || fix.command.is_empty() { "mend" } else { "look" };
    let _ = writeln!(text, "  {verb}: {}", wrapped(&sentence(&fix.words), paint.width - 8, "    "));
    text.push_str(&commands(fix, paint));
    if let Some(why @ (Unfit::NoApiServer { .. } | Unfit::OtherObjects)) = mend::unfit(fix, facts) {
        let _ = writeln!(text, "    ({})", wrapped(&why.to_string(), paint.width - 6, "    "));
    }
    text
}

/// All commands of a fix, a line each, as they are typed; what each after the first is for, where
/// that is something else.
pub(super) fn commands(fix: &Fix, paint: Paint) -> String {
    let mut text = String::new();
    let mut said = &fix.words;
    for (at, line) in fix.lines().enumerate() {
        let words = at.checked_sub(1).and_then(|at| fix.then.get(at)).map(|step| &step.words);
        if let Some(words) = words.filter(|words| *words != said) {
            let _ =
                writeln!(text, "  then: {}", wrapped(&sentence(words), paint.width - 8, "    "));
            said = words;
        }
        let _ = writeln!(text, "    # {}", paint.strong(line));
    }
    text
}

/// Words with a full stop at their end.
pub(super) fn sentence(words: &str) -> String {
    format!("{}.", words.trim_end_matches('.'))
}
