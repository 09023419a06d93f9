//! A diagnosis for people: what was dialled and who answers, then the cause, what shows it, and
//! what mends it.

use std::{fmt::Write as _, time::Duration};

use netlab::doctor::{
    diagnosis::{Diagnosis, Fate, Told},
    facts::{Facts, Role},
    finding::{Code, Confidence, Evidence, Finding, Fix, Severity},
};

use crate::cmd::output;

/// Columns of running text.
const WIDTH: usize = 100;

/// What a finding means.
pub(super) fn explained(code: Code) -> String {
    let row = match code.row() {
        0 => String::new(),
        row => format!(" (row {row} of docs/faults.md)"),
    };
    format!("{code}{row}\n\n{}\n", output::wrapped(&code.about(), WIDTH, ""))
}

/// The whole of it.
pub(super) fn draw(diagnosis: &Diagnosis, facts: &Facts, took: Duration, color: bool) -> String {
    let paint = Paint(color);
    let mut text = String::new();
    for told in &diagnosis.ways {
        let _ = writeln!(text, "{}", way(told, &paint));
    }
    if !diagnosis.ways.is_empty() {
        text.push('\n');
    }
    let seconds = took.as_secs_f64();
    let asked = match diagnosis.asked.as_str() {
        "" => "every node port",
        asked => asked,
    };
    if diagnosis.is_healthy() {
        let attempts = diagnosis.ways.iter().flat_map(|told| &told.attempts);
        let answers: Vec<_> =
            attempts.filter(|one| one.outcome.is_answer()).map(|one| one.micros).collect();
        let slowest = answers.iter().max();
        let slowest = slowest.map_or_else(
            || "nothing was dialled".to_owned(),
            |micros| {
                let milliseconds = Duration::from_micros(*micros).as_secs_f64() * 1e3;
                format!("{} probes answered, the slowest in {milliseconds:.1} ms", answers.len())
            },
        );
        let line = format!("healthy: {asked}: {slowest}; {seconds:.1} s");
        let _ = writeln!(text, "{}", paint.good(&line));
    }
    for (at, finding) in diagnosis.findings.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        text.push_str(&told(finding, facts, &paint));
    }
    if !diagnosis.findings.is_empty() {
        let _ =
            writeln!(text, "\n{} findings for {asked}; {seconds:.1} s", diagnosis.findings.len());
    }
    for gap in &diagnosis.gaps {
        let host = gap.host.as_deref().unwrap_or("all hosts");
        let line = format!("not seen: {host}: {}. {}", gap.reason, gap.hides);
        let _ = writeln!(text, "{}", output::wrapped(&line, WIDTH, "  "));
    }
    text
}

/// `TCP 172.18.0.2:30080 at node-1: web-1 answers, web-3 fails`.
fn way(told: &Told, paint: &Paint) -> String {
    let fate = |(name, fate): (&String, &Fate)| {
        let name = name.rsplit('/').next().unwrap_or(name);
        match fate {
            Fate::Answered => paint.good(&format!("{name} answers")),
            Fate::Failing => paint.bad(&format!("{name} fails")),
            Fate::Unseen => format!("{name} not seen"),
        }
    };
    let backends: Vec<_> = told.backends.iter().map(fate).collect();
    let backends = if backends.is_empty() { "no endpoint".to_owned() } else { backends.join(", ") };
    let failed = told.attempts.iter().find(|attempt| !attempt.outcome.is_answer());
    let count = told.attempts.iter().filter(|attempt| !attempt.outcome.is_answer()).count();
    let failed = failed.map_or_else(String::new, |attempt| {
        format!(
            "; {count} of {} probes: {}",
            told.attempts.len(),
            paint.bad(&attempt.outcome.to_string())
        )
    });
    let way = &told.way;
    format!("{} {} at {}: {backends}{failed}", way.protocol, way.dialled, way.node)
}

fn told(finding: &Finding, facts: &Facts, paint: &Paint) -> String {
    let row = match finding.code.row() {
        0 => String::new(),
        row => format!(", row {row}"),
    };
    let sure = match finding.confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::Possible => "possible",
    };
    let head = format!("{}: {} ({sure}{row})", finding.severity, finding.code);
    let head = if finding.severity == Severity::Risk { head } else { paint.bad(&head) };
    let mut text = format!("{head}\n  {}\n", output::wrapped(&finding.cause, WIDTH - 2, "  "));
    for Evidence { host, text: shown, .. } in &finding.evidence {
        let host = host.as_deref().unwrap_or("objects");
        let _ = writeln!(text, "    {host}: {}", output::wrapped(shown, WIDTH - 4, "      "));
    }
    for fix in &finding.fixes {
        let _ = writeln!(text, "  mend: {}", output::wrapped(&fix.words, WIDTH - 2, "    "));
        if !fix.command.is_empty() {
            let _ = writeln!(text, "    # {}", paint.strong(&command(fix, facts)));
        }
    }
    for effect in &finding.consequences {
        let _ = writeln!(
            text,
            "  hence: {} ({})",
            output::wrapped(&effect.cause, WIDTH - 2, "    "),
            effect.code
        );
    }
    text
}

/// As it is typed on this machine: in a lab's namespace, where the host is one.
fn command(fix: &Fix, facts: &Facts) -> String {
    let host = fix.host.as_deref().and_then(|name| facts.host(name));
    let netns = host.filter(|host| host.role != Role::Plain).and_then(|host| host.netns.as_deref());
    let inside = netns.map(|netns| ["ip", "netns", "exec", netns].map(str::to_owned));
    let words = inside.into_iter().flatten().chain(fix.command.iter().cloned());
    words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./:=@,+%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Colours, where they are wanted.
struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn good(&self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(&self, text: &str) -> String {
        self.with("31", text)
    }

    fn strong(&self, text: &str) -> String {
        self.with("1", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(quoted("net.ipv4.ip_forward=1"), "net.ipv4.ip_forward=1");
        assert_eq!(quoted("it's {x}"), r"'it'\''s {x}'");
        assert_eq!(quoted(""), "''");
    }
}
