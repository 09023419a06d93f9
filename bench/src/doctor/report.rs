//! The outcome as Markdown: what is asked for, each fault in each lab, and what was missed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    thread::available_parallelism,
    time::Duration,
};

use anyhow::Result;
use netlab::lab::fault;

use super::{
    Cell,
    outcome::{Outcome, Target, Tried},
    trial::{Hit, Mark},
};
use crate::command::succeed;

const INTRODUCTION: &str = "\
# Whether the doctor finds the cause

```console
$ cargo xtask bench doctor                                    # all of it, as root
$ cargo xtask bench doctor --modes vxlan --proxies ebpf       # one kind of lab
$ cargo xtask bench doctor --faults no-endpoints --pairs 0    # one fault
$ cargo xtask bench doctor --write docs/bench-doctor.md       # all of it, into this page
```

In each kind of lab, every [fault](faults.md) that shows there is injected, `netlab doctor` is run,
the fault is cleared, and the doctor is run again; in any order, at any node, as the seed draws
them. A fault is named if the first finding's code is of a row of the catalogue that the fault
imitates ([findings](findings.md)), and the host that it names, if any, is one that something was
done to. The doctor is asked about everything; of the Service that has no IPv6 addresses, about the
IPv6 address that is dialled, as nobody else can know that somebody dials it. In between, the doctor
is run in the lab as it stands, where it has to find nothing, and two faults are injected at a time,
of which both have to be findings.

A time is that of the process, from its start to its end. `--keep DIRECTORY` keeps what the doctor
printed where it was wrong.

";

/// With what, a name and a value each.
pub type Conditions = Vec<(&'static str, String)>;

/// What there is to say of the machine and the programs.
///
/// # Errors
///
/// netlab does not start.
pub fn conditions(netlab: &Path) -> Result<Conditions> {
    let version = succeed(netlab, &["--version"], Duration::from_secs(10))?.stdout;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = available_parallelism().map_or(0, Into::into);
    let mut conditions = vec![
        ("kernel", kernel.trim().to_owned()),
        ("cores", cores.to_string()),
        ("netlab", version.trim().to_owned()),
    ];
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).to_string_lossy();
    // The tree is the user's, who may not be root, which git would mind.
    let git = ["-c", "safe.directory=*", "-C", &top, "describe", "--always", "--dirty"];
    let programs: [(_, _, &[&str]); 4] = [
        ("commit", "git", &git),
        ("nft", "nft", &["--version"]),
        ("iptables", "iptables", &["--version"]),
        ("ip", "ip", &["-V"]),
    ];
    conditions.extend(
        programs.into_iter().filter_map(|(what, name, words)| Some((what, output(name, words)?))),
    );
    Ok(conditions)
}

/// The first line that a program prints, if it is there and succeeds.
fn output(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok()?;
    let printed = String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned();
    output.status.success().then_some(printed)
}

/// The page that is kept.
#[must_use]
pub fn page(outcome: &Outcome, conditions: &Conditions) -> String {
    INTRODUCTION.to_owned() + &told(outcome, conditions)
}

/// Targets, conditions, tables.
#[must_use]
pub fn told(outcome: &Outcome, conditions: &Conditions) -> String {
    let mut text = String::new();
    if !outcome.complete {
        text.push_str("**This did not come to its end: what follows is a part.**\n\n");
    }
    text.push_str("| target | outcome | |\n| --- | --- | --- |\n");
    for Target { what, outcome, met } in outcome.targets() {
        line(&mut text, &[what, &outcome, if met { "met" } else { "**missed**" }]);
    }
    text.push_str("\nParts with their 95% interval.\n\n| condition | |\n| --- | --- |\n");
    for (what, value) in conditions {
        line(&mut text, &[*what, value]);
    }
    let drawn = format!("{}, {} of each fault in each lab", outcome.seed, outcome.rounds);
    line(&mut text, &["seed and rounds", &drawn]);
    if let Some((median, slowest)) = median_and_slowest(outcome) {
        line(&mut text, &["a diagnosis", &format!("{median:.2} s in the median; {slowest}")]);
    }
    faults(&mut text, outcome);
    pairs(&mut text, outcome);
    alarms(&mut text, outcome);
    list(&mut text, "What failed", &outcome.failures());
    unfit(&mut text, outcome);
    text
}

fn line(text: &mut String, columns: &[impl AsRef<str>]) {
    for column in columns {
        // A bar would begin another column, a line break another row.
        let column = column.as_ref().replace('|', "\\|").replace('\n', " ");
        let _ = write!(text, "| {column} ");
    }
    text.push_str("|\n");
}

fn list(text: &mut String, title: &str, all: &[String]) {
    if all.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## {title}\n");
    for one in all {
        let _ = writeln!(text, "- {}", one.replace('\n', " "));
    }
}

fn median_and_slowest(outcome: &Outcome) -> Option<(f64, String)> {
    let times = outcome.times();
    let seconds: Vec<f64> = times.iter().map(|(seconds, _)| *seconds).collect();
    let slowest = times.iter().take(3).map(|(seconds, what)| format!("{seconds:.1} s, {what}"));
    let slowest: Vec<_> = slowest.collect();
    let median = netlab::compare::statistics::median(&seconds)?;
    Some((median, format!("the slowest: {}", slowest.join("; "))))
}

/// A row for each fault, a column for each kind of lab.
fn faults(text: &mut String, outcome: &Outcome) {
    let tried: BTreeSet<_> = outcome
        .singles()
        .flat_map(|tried| tried.trial.hits.iter().map(|hit| hit.fault))
        .chain(outcome.unfit.iter().map(|unfit| unfit.fault))
        .collect();
    if tried.is_empty() {
        return;
    }
    text.push_str(
        "\n## Faults\n\nThe first finding where it is the cause, and how long the diagnosis took, \
         the longest of several; a dash where the lab does not show the fault.\n\n",
    );
    let cells = outcome.cells.iter().map(ToString::to_string);
    let head: Vec<_> = ["row".to_owned(), "fault".to_owned()].into_iter().chain(cells).collect();
    line(text, &head);
    line(text, &vec!["---"; head.len()]);
    for fault in fault::all().into_iter().filter(|fault| tried.contains(fault.name)) {
        let mut columns = vec![fault.row_list(), format!("`{}`", fault.name)];
        columns.extend(outcome.cells.iter().map(|cell| in_cell(outcome, fault.name, *cell)));
        line(text, &columns);
    }
}

fn in_cell(outcome: &Outcome, fault: &str, cell: Cell) -> String {
    let is_of = |tried: &&Tried| tried.cell == cell && tried.trial.hits[0].fault == fault;
    // By what was said, how often and for how long at most.
    let mut said: BTreeMap<String, (usize, f64)> = BTreeMap::new();
    for tried in outcome.singles().filter(is_of) {
        let (Some(answer), Some(mark)) = (&tried.trial.broken, tried.trial.marks.first()) else {
            continue;
        };
        let first = answer.findings.first().map_or("nothing", |named| &named.code);
        let words = match mark {
            Mark::First => format!("`{first}`"),
            Mark::Nothing => "**no finding**".to_owned(),
            mark => format!("**{}**: `{first}`", mark.words()),
        };
        let entry = said.entry(words).or_default();
        *entry = (entry.0 + 1, entry.1.max(answer.seconds));
    }
    let all: usize = said.values().map(|(count, _)| count).sum();
    let words = said.into_iter().map(|(words, (count, seconds))| match all {
        1 => format!("{words} {seconds:.1} s"),
        all => format!("{words} {count} of {all}, {seconds:.1} s"),
    });
    let words: Vec<_> = words.collect();
    let is_unfit = outcome.unfit.iter().any(|unfit| unfit.cell == cell && unfit.fault == fault);
    match words.is_empty() {
        false => words.join("; "),
        true if is_unfit => "—".to_owned(),
        true => "**failed**, or not tried".to_owned(),
    }
}

/// The pairs of which one was not named, and those that were not judged.
fn pairs(text: &mut String, outcome: &Outcome) {
    let tried = outcome.pairs().count();
    if tried == 0 {
        return;
    }
    let marks = || outcome.pairs().flat_map(|tried| &tried.trial.marks);
    let folded = marks().filter(|mark| **mark == Mark::Folded).count();
    let missed = marks().filter(|mark| !mark.is_named() && **mark != Mark::Folded).count();
    let _ = writeln!(
        text,
        "\n## Two faults at a time\n\n{tried} pairs, drawn from {} that can be judged. Of their \
         faults, {folded} told as what follows from another, {missed} not named.\n",
        outcome.judged
    );
    for (why, number) in &outcome.unjudged {
        let _ = writeln!(text, "Not drawn from are {number}: {why}.\n");
    }
    let hidden = outcome.hidden().map(|Tried { cell, trial }| {
        let faults = trial.hits.iter().map(words);
        format!("{} in {cell}", faults.collect::<Vec<_>>().join(" and "))
    });
    let hidden: Vec<_> = hidden.collect();
    if !hidden.is_empty() {
        let _ = writeln!(
            text,
            "Tried, and not judged, as one takes the pod that the other was done to, or all pods, \
             from the Service's endpoints, so that no packet comes there: {}.\n",
            hidden.join("; ")
        );
    }
    let is_missed = |tried: &&Tried| tried.trial.marks.iter().any(|mark| !mark.is_named());
    if outcome.pairs().any(|tried| is_missed(&tried)) {
        text.push_str("| lab | faults | of which | the doctor's words |\n");
        text.push_str("| --- | --- | --- | --- |\n");
    }
    for Tried { cell, trial } in outcome.pairs().filter(is_missed) {
        let faults = trial.hits.iter().map(words);
        let faults: Vec<_> = faults.collect();
        let marks: Vec<_> = trial.marks.iter().map(|mark| mark.words()).collect();
        let said = trial.broken.as_ref().map(super::answer::Answer::words).unwrap_or_default();
        line(text, &[cell.to_string(), faults.join(", "), marks.join(", "), said]);
    }
}

/// A fault and where it was: `` `bridge-down` node-1 ``.
fn words(hit: &Hit) -> String {
    format!("`{}` {}", hit.fault, hit.place).trim_end().to_owned()
}

/// What was said of faults that were missed, and of labs that are well.
fn alarms(text: &mut String, outcome: &Outcome) {
    let missed = outcome.singles().filter(|tried| tried.trial.marks != [Mark::First]);
    let missed = missed.map(|Tried { cell, trial }| {
        let said = trial.broken.as_ref().map(super::answer::Answer::words).unwrap_or_default();
        let (hit, mark) = (words(&trial.hits[0]), trial.marks[0].words());
        format!("{hit} in {cell}: {mark}: {said}")
    });
    list(text, "Missed", &missed.collect::<Vec<_>>());
    let alarms = outcome.alarms().map(|(healthy, answer)| {
        let when = match &*healthy.after {
            [] => "at rest".to_owned(),
            after => format!("after {}", after.join(" and ")),
        };
        let again = if healthy.lasting { "and again" } else { "once" };
        format!("{} {when}, {again}: {}", healthy.cell, answer.words())
    });
    list(text, "False alarms", &alarms.collect::<Vec<_>>());
}

/// Why a lab would not show a fault, by reason.
fn unfit(text: &mut String, outcome: &Outcome) {
    let mut by_reason: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for unfit in &outcome.unfit {
        let cells = by_reason.entry((unfit.fault, &unfit.why)).or_default();
        cells.push(unfit.cell.to_string());
    }
    let lines = by_reason
        .into_iter()
        .map(|((fault, why), cells)| format!("`{fault}` in {}: {why}", cells.join(" and ")));
    list(text, "Not shown", &lines.collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use netlab::lab::{Mode, Proxy};

    use super::*;
    use crate::doctor::{
        answer::{Answer, Named},
        outcome::Healthy,
        trial::Trial,
    };

    const CELL: Cell = Cell { mode: Mode::Vxlan, proxy: Proxy::Ebpf };

    fn tried(mark: Mark, seconds: f64) -> Tried {
        let code = "link-down".to_owned();
        let named = Named { code, row: 31, host: None, consequences: Vec::new() };
        let broken = Some(Answer { findings: vec![named], seconds, text: String::new() });
        let (hits, marks) = (vec![Hit::example()], vec![mark]);
        Tried { cell: CELL, trial: Trial { hits, marks, broken, ..Trial::default() } }
    }

    #[test]
    fn a_miss_is_in_the_table_and_in_the_list() {
        let mut outcome = Outcome { cells: vec![CELL], complete: true, ..Outcome::default() };
        outcome.trials = vec![tried(Mark::First, 1.0), tried(Mark::Other, 6.0)];
        let text = told(&outcome, &vec![("kernel", "1.0 | x".to_owned())]);
        let row = "| 31 | `bridge-down` | **missed**: `link-down` 1 of 2, 6.0 s; \
                   `link-down` 1 of 2, 1.0 s |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("- `bridge-down` node-1 in vxlan/ebpf: missed: link-down\n"));
        assert!(text.contains("| kernel | 1.0 \\| x |"));
        assert!(text.contains("1 of 2, 50.0%") && text.contains("**missed**"));
        assert!(!text.contains("False alarms") && !text.contains("did not come to its end"));
    }

    #[test]
    fn a_false_alarm_is_told_with_the_fault_before_it() {
        let mut outcome = Outcome { cells: vec![CELL], ..Outcome::default() };
        let (answer, after) = (tried(Mark::First, 1.0).trial.broken, vec!["low-ttl"]);
        outcome.healthy.push(Healthy { cell: CELL, after, answer, lasting: true, error: None });
        let text = told(&outcome, &Vec::new());
        assert!(text.contains("- vxlan/ebpf after low-ttl, and again: link-down\n"), "{text}");
        assert!(text.contains("did not come to its end"));
    }
}
