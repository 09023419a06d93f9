//! `netlab doctor --fix`: a mend at a time, each asked about and each proved by a new diagnosis.
//!
//! Law: nothing is changed that has not been shown and consented to. One mend is carried out, all
//! commands of it, then all is looked at anew, because a command may be about a number (of a rule,
//! of a process) that the one before it has moved. A mend that stops halfway ends the session: what
//! would be found then is its own doing.

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    iter, thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use netlab::doctor::{
    facts::Source,
    finding::{Confidence, Finding, Fix},
    mend::{self, MendError, Stopped, Unfit},
};

use super::{Diagnosed, Paint, healthy, outcome, report, verdict};
use crate::{
    cli::DoctorArgs,
    cmd::{Outcome, output},
};

/// How long agents and neighbors may take to follow a mend.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long the next mend of the same finding is not offered yet: the one before it may work.
const SOON: Duration = Duration::from_secs(2);
/// How often it is looked in between.
const AGAIN: Duration = Duration::from_millis(400);
/// Facts that are older may not hold any more when their question is answered.
const FRESH: Duration = Duration::from_secs(10);
/// More mends than these are no mending.
const MOST: usize = 64;

/// Mends what can be mended, with consent.
///
/// # Errors
///
/// Where nobody can be asked, and as a diagnosis.
pub(super) fn run(args: &DoctorArgs, paint: Paint) -> anyhow::Result<Outcome> {
    if args.dry_run {
        return dry_run(args, paint);
    }
    if !args.yes && !io::stdin().is_terminal() {
        anyhow::bail!(
            "cannot ask before each command: stdin is no terminal; nothing is done (--yes mends \
             without asking, --dry-run prints the commands)"
        );
    }
    let mut session = Session { args, paint, tried: BTreeSet::new() };
    let mut diagnosed = Diagnosed::of(args)?;
    for _ in 0..MOST {
        let Some(chosen) = session.next(&diagnosed) else { break };
        match session.consent(&chosen)? {
            Consent::Quit => break,
            Consent::No => {
                session.tried.insert(chosen.key());
                continue;
            }
            Consent::Yes => {}
        }
        if diagnosed.begun.elapsed() > FRESH {
            diagnosed = Diagnosed::of(args)?;
            if session.next(&diagnosed).is_none_or(|next| next.key() != chosen.key()) {
                output::print("it is not the same any more, and is looked at anew\n")?;
                continue;
            }
        }
        session.tried.insert(chosen.key());
        match session.mend(diagnosed, &chosen)? {
            Some(after) => diagnosed = after,
            None => return Ok(Outcome::Findings),
        }
    }
    session.end(&diagnosed)
}

/// The commands of all findings, one a line, as they would be run.
fn dry_run(args: &DoctorArgs, paint: Paint) -> anyhow::Result<Outcome> {
    let diagnosed = Diagnosed::of(args)?;
    let mut text = String::new();
    for (finding, fix) in offered(&diagnosed.diagnosis.findings) {
        match mend::unfit(fix, &diagnosed.facts) {
            None => text.extend(fix.lines().map(|line| format!("{line}\n"))),
            Some(why) => {
                let text = format!("netlab: {}: {}", finding.code, advice(fix, &why, paint));
                eprint!("{}", paint.plain(&text));
            }
        }
    }
    output::print(&text)?;
    Ok(outcome(&diagnosed.diagnosis))
}

/// All mends that a session may come to, each once: those of findings that are folded into
/// another of their code come up when that one is mended.
fn offered(findings: &[Finding]) -> Vec<(&Finding, &Fix)> {
    let mut all: Vec<(&Finding, &Fix)> = Vec::new();
    for finding in findings.iter().flat_map(with_folded) {
        for fix in &finding.fixes {
            if !all.iter().any(|(_, known)| *known == fix) {
                all.push((finding, fix));
            }
        }
    }
    all
}

fn with_folded(finding: &Finding) -> Vec<&Finding> {
    let alike = finding.consequences.iter().filter(|one| one.code == finding.code);
    iter::once(finding).chain(alike.flat_map(with_folded)).collect()
}

/// A finding, and which of its fixes comes next.
#[derive(Clone, Debug)]
struct Chosen {
    finding: Finding,
    fix: Fix,
}

impl Chosen {
    /// What makes it the same mend in another diagnosis. The same command may be right twice, where
    /// it is about another rule of the same text, so what was read belongs to it; what was seen of
    /// packets does not, since that has other ports and counts each time.
    fn key(&self) -> String {
        const PASSING: [Source; 4] =
            [Source::Observed, Source::Probe, Source::Counters, Source::Conntrack];
        let Self { finding, fix } = self;
        let mut key = vec![finding.code.name(), finding.host.as_deref().unwrap_or_default()];
        key.extend(fix.lines());
        let read = finding.evidence.iter().filter(|shown| !PASSING.contains(&shown.source));
        key.extend(read.map(|shown| shown.text.as_str()));
        key.join("\n")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consent {
    Yes,
    No,
    Quit,
}

/// What an answer means; None where nobody can know.
fn consent(answer: &str) -> Option<Consent> {
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(Consent::Yes),
        "" | "n" | "no" => Some(Consent::No),
        "q" | "quit" => Some(Consent::Quit),
        _ => None,
    }
}

struct Session<'a> {
    args: &'a DoctorArgs,
    paint: Paint,
    /// What was run or refused.
    tried: BTreeSet<String>,
}

impl Session<'_> {
    /// The first command that was not tried. Without somebody to ask, what is merely possible is
    /// left alone.
    fn next(&self, diagnosed: &Diagnosed) -> Option<Chosen> {
        let may = |finding: &&Finding| !self.args.yes || finding.confidence != Confidence::Possible;
        let findings = diagnosed.diagnosis.findings.iter().filter(may);
        let all = findings.flat_map(|finding| {
            let fixes = finding.fixes.iter();
            fixes.map(|fix| Chosen { finding: finding.clone(), fix: fix.clone() })
        });
        all.filter(|chosen| mend::unfit(&chosen.fix, &diagnosed.facts).is_none())
            .find(|chosen| !self.tried.contains(&chosen.key()))
    }

    /// Shows what is wrong and what would be run, and asks.
    fn consent(&self, chosen: &Chosen) -> anyhow::Result<Consent> {
        let Chosen { finding, fix } = chosen;
        let width = self.paint.width;
        self.paint.print(&format!(
            "{}\n  {}\n  {}\n{}",
            verdict::head(finding, self.paint),
            output::wrapped(&finding.cause, width - 2, "  "),
            output::wrapped(&verdict::sentence(&fix.words), width - 2, "  "),
            verdict::commands(fix, self.paint)
        ))?;
        if self.args.yes {
            return Ok(Consent::Yes);
        }
        let question = match fix.commands().count() {
            1 => "run it?".to_owned(),
            many => format!("run all {many}, in this order?"),
        };
        loop {
            eprint!("  {question} [y/N/q] ");
            io::stderr().flush().context("cannot ask")?;
            let mut answer = String::new();
            let length =
                io::stdin().lock().read_line(&mut answer).context("cannot read an answer")?;
            // At the end of the input nobody is there any more.
            match if length == 0 { Some(Consent::Quit) } else { consent(&answer) } {
                Some(consent) => return Ok(consent),
                None => {
                    eprintln!("  y runs it, n (or Enter) leaves it and goes on to the next, q ends")
                }
            }
        }
    }

    /// Carries it out, and looks until the finding has gone or has had its time; None where it
    /// stopped between two of its commands.
    fn mend(&self, before: Diagnosed, chosen: &Chosen) -> anyhow::Result<Option<Diagnosed>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the async runtime")?;
        match runtime.block_on(mend::run(&chosen.fix, &before.facts)) {
            Ok(complaint) => self.paint.print(&indented(&complaint))?,
            Err(stopped) => {
                self.paint.print(&failed(&chosen.fix, &stopped, self.paint))?;
                let is_whole = stopped.done == 0;
                return Ok(is_whole.then_some(before));
            }
        };
        self.look(chosen).map(Some)
    }

    fn look(&self, chosen: &Chosen) -> anyhow::Result<Diagnosed> {
        let begun = Instant::now();
        loop {
            let now = match Diagnosed::of(self.args) {
                Ok(now) => now,
                // What is programmed anew may not be seen for a moment.
                Err(_) if begun.elapsed() <= PATIENCE => {
                    thread::sleep(AGAIN);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !is_there(&now, &chosen.finding) {
                let line = format!("gone: {}", named(&chosen.finding));
                self.paint.print(&format!("  {}\n", self.paint.good(&line)))?;
                return Ok(now);
            }
            let has_more = self.next(&now).is_some_and(|next| goes_on(chosen, &next));
            if has_more && begun.elapsed() > SOON {
                let line = format!("{} needs more than that:", named(&chosen.finding));
                self.paint.print(&format!("  {line}\n"))?;
                return Ok(now);
            }
            if begun.elapsed() > PATIENCE {
                let line = format!("still there: {}", named(&chosen.finding));
                self.paint.print(&format!("  {line}\n"))?;
                return Ok(now);
            }
            thread::sleep(AGAIN);
        }
    }

    /// What is left, and whether that is nothing.
    fn end(&self, diagnosed: &Diagnosed) -> anyhow::Result<Outcome> {
        let mut text = String::new();
        if diagnosed.diagnosis.findings.is_empty() {
            text.push_str(&report::draw(&diagnosed.report(false), self.paint));
        }
        for finding in &diagnosed.diagnosis.findings {
            text.push_str(&format!("left: {}\n", verdict::head(finding, self.paint)));
            let width = self.paint.width - 2;
            text.push_str(&format!("  {}\n", output::wrapped(&finding.cause, width, "  ")));
            for fix in &finding.fixes {
                let Some(why) = mend::unfit(fix, &diagnosed.facts) else {
                    text.push_str(&verdict::commands(fix, self.paint));
                    continue;
                };
                text.push_str(&format!("  {}", advice(fix, &why, self.paint)));
            }
        }
        if !diagnosed.diagnosis.findings.is_empty() {
            text.push_str(&healthy::unknown(&diagnosed.diagnosis, self.paint));
        }
        self.paint.print(&text)?;
        Ok(outcome(&diagnosed.diagnosis))
    }
}

/// Which command has failed and why, and, of several, what that leaves to be done.
fn failed(fix: &Fix, stopped: &Stopped, paint: Paint) -> String {
    let mut text = format!("  {}\n", paint.bad(&format!("failed: {stopped}")));
    if let MendError::Failed { printed, .. } = &stopped.error {
        text.push_str(&indented(printed));
    }
    if stopped.done > 0 {
        let section = |name: &str, lines: Vec<&str>| {
            let lines = lines.into_iter().map(|line| format!("    # {line}\n"));
            format!("  {name}:\n{}", lines.collect::<String>())
        };
        text.push_str(&section("done before it", fix.lines().take(stopped.done).collect()));
        let left = fix.lines().skip(stopped.done).collect();
        text.push_str(&section("left halfway; it still needs, in this order", left));
    }
    text
}

/// What a command has printed, below it.
fn indented(printed: &str) -> String {
    printed.lines().map(|line| format!("    {line}\n")).collect()
}

/// The finding has more mends than this one, and the next is due.
fn goes_on(chosen: &Chosen, next: &Chosen) -> bool {
    is_same(&chosen.finding, &next.finding)
}

fn is_there(diagnosed: &Diagnosed, finding: &Finding) -> bool {
    let all = diagnosed.diagnosis.findings.iter();
    all.flat_map(|one| iter::once(one).chain(&one.consequences)).any(|one| is_same(one, finding))
}

/// Numbers in the words may change while a mend begins to work, and commands where others have
/// mended a part; where both are others, it is another finding of the same code.
fn is_same(one: &Finding, other: &Finding) -> bool {
    let has_same_mend = !one.fixes.is_empty() && one.fixes == other.fixes;
    one.code == other.code && one.host == other.host && (one.cause == other.cause || has_same_mend)
}

fn named(finding: &Finding) -> String {
    let at = finding.host.as_ref().map(|host| format!(" at {host}")).unwrap_or_default();
    format!("{}{at}", finding.code)
}

/// The words of a mend that is not run; then its commands, a line each and never broken, and why
/// they are not.
fn advice(fix: &Fix, why: &Unfit, paint: Paint) -> String {
    let words = output::wrapped(&verdict::sentence(&fix.words), paint.width - 2, "    ");
    let mut text = format!("{words}\n");
    if *why != Unfit::Advice {
        text.extend(fix.lines().map(|line| format!("    # {line}\n")));
        let why = output::wrapped(&format!("({why})"), paint.width - 4, "     ");
        text.push_str(&format!("    {why}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use netlab::doctor::finding::Code;

    use super::*;

    fn chosen(rule: &str, seen: &str) -> Chosen {
        let finding = Finding::broken(Code::ForwardDropped, Some("node-1"), "")
            .shown(Source::Nft, rule)
            .shown(Source::Observed, seen)
            .mended(["nft", "delete", "rule"], "");
        let mut fix = finding.fixes[0].clone();
        fix.typed = fix.command.join(" ");
        Chosen { finding, fix }
    }

    #[test]
    fn a_mend_is_the_same_whatever_port_the_probe_had_and_another_for_another_rule() {
        let one = chosen("handle 5", "from port 40000").key();
        assert_eq!(one, chosen("handle 5", "from port 40001").key());
        assert_ne!(one, chosen("handle 6", "from port 40000").key());
    }

    #[test]
    fn another_cause_of_the_same_code_is_another_finding() {
        let of = |cause: &str, command: &str| {
            Finding::broken(Code::NoEndpoints, None, cause).mended([command], "")
        };
        let one = of("Service default/a has no endpoints", "a");
        assert!(is_same(&one, &of("Service default/a has no endpoints", "x")));
        assert!(is_same(&one, &of("counted once more", "a")));
        assert!(!is_same(&one, &of("Service default/b has no endpoints", "b")));
        let (a, b) = (one.clone(), of("Service default/b has no endpoints", "b"));
        let without = |finding: Finding| Finding { fixes: Vec::new(), ..finding };
        assert!(!is_same(&without(a), &without(b)), "no mend is not the same mend");
    }

    #[test]
    fn what_is_folded_into_a_finding_of_its_code_is_mended_as_well_and_each_mend_once() {
        let of = |code, command: &str| Finding::broken(code, None, "").mended([command], "");
        let mut first = of(Code::ForwardDropped, "a");
        let mut below = of(Code::ForwardDropped, "b");
        below.consequences = vec![of(Code::ForwardDropped, "c"), of(Code::ForwardDropped, "a")];
        first.consequences = vec![below, of(Code::NeighborStale, "of what follows")];
        let all = [first, of(Code::ForwardDropped, "b"), of(Code::ForwardingOff, "d")];
        let offered = offered(&all).into_iter();
        let commands: Vec<_> = offered.map(|(_, fix)| fix.command.join(" ")).collect();
        assert_eq!(commands, ["a", "b", "c", "d"]);
    }

    #[test]
    fn an_answer_that_is_none_is_asked_for_again() {
        assert_eq!(consent("y\n"), Some(Consent::Yes));
        assert_eq!(consent("\n"), Some(Consent::No));
        assert_eq!(consent("Quit\n"), Some(Consent::Quit));
        assert_eq!(consent("?\n"), None);
    }

    #[test]
    fn commands_that_are_not_run_stand_on_lines_of_their_own() {
        let chosen = chosen("", "");
        let fix = Fix { words: "Do it".into(), typed: "a ".repeat(60), ..chosen.fix };
        let text = advice(&fix, &Unfit::OtherObjects, Paint { color: false, width: 60 });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["Do it.", &format!("    # {}", fix.typed)]);
        assert!(lines[2].starts_with("    (the objects were read") && lines.len() > 3, "{text}");
        let text = advice(&fix, &Unfit::Advice, Paint { color: false, width: 60 });
        assert_eq!(text, "Do it.\n");
    }

    #[test]
    fn what_has_stopped_halfway_says_what_is_done_and_what_is_not() {
        let finding = Finding::broken(Code::VxlanMismatch, None, "").mended(["a"], "");
        let mut fix = finding.then(["b"], "").then(["c"], "").fixes.remove(0);
        fix.typed = "a".to_owned();
        for step in &mut fix.then {
            step.typed = step.command.join(" ");
        }
        let paint = Paint { color: false, width: 80 };
        let stopped = |done| Stopped { done, error: MendError::Missing("b".to_owned()) };
        let text = failed(&fix, &stopped(1), paint);
        let (done, left) = text.split_once("left halfway").unwrap();
        assert!(done.ends_with("done before it:\n    # a\n  "), "{text}");
        assert!(left.ends_with(":\n    # b\n    # c\n"), "{text}");
        assert_eq!(failed(&fix, &stopped(0), paint), "  failed: b is not installed\n");
    }
}
