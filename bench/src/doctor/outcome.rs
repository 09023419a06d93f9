//! What came of all trials, and whether that is what is asked for. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Cell,
    answer::Answer,
    plan::{Plan, Unfit, Wish},
    trial::{Mark, Trial},
};

/// The part of runs in which the first finding has to name the cause.
const NAMED: f64 = 0.95;

/// Seconds that a diagnosis may take.
pub const SECONDS: f64 = 5.0;

/// Everything that was tried.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// What the order was drawn by.
    pub seed: u64,
    /// How often each fault was to be tried in each lab.
    pub rounds: usize,
    /// The kinds of labs.
    pub cells: Vec<Cell>,
    /// Faults and pairs of faults, as they were tried.
    pub trials: Vec<Tried>,
    /// Labs that are well.
    pub healthy: Vec<Healthy>,
    /// Faults that a lab would not show.
    pub unfit: Vec<Unfit>,
    /// Pairs that were not among those drawn from: why, and how many.
    pub unjudged: BTreeMap<&'static str, usize>,
    /// Pairs drawn from.
    pub judged: usize,
    /// What went wrong beside the trials: a lab that does not stand.
    pub errors: Vec<String>,
    /// Whether it came to its end.
    pub complete: bool,
}

/// A trial and its lab.
#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    /// The lab.
    pub cell: Cell,
    /// One fault, or two.
    #[serde(flatten)]
    pub trial: Trial,
}

/// What the doctor said of a lab that is well.
#[derive(Clone, Debug, Serialize)]
pub struct Healthy {
    /// The lab.
    pub cell: Cell,
    /// The faults that had just been cleared; empty of a lab at rest.
    pub after: Vec<&'static str>,
    /// What it said; None after an error.
    pub answer: Option<Answer>,
    /// Asked again, it found something again.
    pub lasting: bool,
    /// What went wrong.
    pub error: Option<String>,
}

/// Something that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// What.
    pub what: &'static str,
    /// What was met.
    pub outcome: String,
    /// Whether that will do.
    pub met: bool,
}

impl Outcome {
    /// Of nothing yet.
    #[must_use]
    pub fn of(wish: &Wish, plan: &Plan) -> Self {
        Self {
            seed: wish.seed,
            rounds: wish.rounds,
            cells: wish.cells.clone(),
            unfit: plan.unfit.clone(),
            unjudged: plan.unjudged.clone(),
            judged: plan.judged,
            ..Self::default()
        }
    }

    /// Trials of one fault, which the doctor has said something of.
    pub fn singles(&self) -> impl Iterator<Item = &Tried> {
        self.trials.iter().filter(|tried| tried.trial.marks.len() == 1)
    }

    /// Trials of two faults, which the doctor has said something of, and none hides the other.
    pub fn pairs(&self) -> impl Iterator<Item = &Tried> {
        let is_hidden = |tried: &Tried| tried.trial.marks.contains(&Mark::Hidden);
        self.trials.iter().filter(move |tried| tried.trial.marks.len() > 1 && !is_hidden(tried))
    }

    /// Trials of two faults of which one hides the other.
    pub fn hidden(&self) -> impl Iterator<Item = &Tried> {
        self.trials.iter().filter(|tried| tried.trial.marks.contains(&Mark::Hidden))
    }

    /// Everything that could not be done, by lab.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let of_trials = self.trials.iter().flat_map(|Tried { cell, trial }| {
            trial.errors.iter().map(move |error| format!("{cell}: {error}"))
        });
        let of_healthy = self.healthy.iter().filter_map(|Healthy { cell, error, .. }| {
            error.as_ref().map(|error| format!("{cell}: {error}"))
        });
        of_trials.chain(of_healthy).chain(self.errors.iter().cloned()).collect()
    }

    /// Findings where there should be none.
    pub fn alarms(&self) -> impl Iterator<Item = (&Healthy, &Answer)> {
        self.healthy.iter().filter_map(|healthy| {
            let answer = healthy.answer.as_ref().filter(|answer| !answer.findings.is_empty());
            answer.map(|answer| (healthy, answer))
        })
    }

    /// Wall time of every diagnosis with what it was of, the slowest first.
    #[must_use]
    pub fn times(&self) -> Vec<(f64, String)> {
        let broken = self.trials.iter().filter_map(|Tried { cell, trial }| {
            let names: Vec<_> = trial.hits.iter().map(|hit| hit.fault).collect();
            Some((trial.broken.as_ref()?.seconds, format!("{} in {cell}", names.join(" + "))))
        });
        let healthy = self.healthy.iter().filter_map(|healthy| {
            let when = match &*healthy.after {
                [] => "well".to_owned(),
                after => format!("after {}", after.join(" + ")),
            };
            Some((healthy.answer.as_ref()?.seconds, format!("{when} in {}", healthy.cell)))
        });
        let mut times: Vec<_> = broken.chain(healthy).collect();
        times.sort_by(|one, other| other.0.total_cmp(&one.0));
        times
    }

    /// What is asked for, and what was met.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let marks: Vec<_> = self.singles().filter_map(|tried| tried.trial.marks.first()).collect();
        let first = marks.iter().filter(|mark| ***mark == Mark::First).count();
        let silent = self.trials.iter().flat_map(|tried| &tried.trial.marks);
        let silent = silent.filter(|mark| **mark == Mark::Nothing).count();
        let reserved = self.singles().filter(|tried| {
            let said = tried.trial.broken.as_ref().zip(tried.trial.marks.first());
            said.is_some_and(|(answer, mark)| mark.is_reserved(answer))
        });
        let reserved = match reserved.count() {
            0 => String::new(),
            number => format!("; {number} of them as a risk, or as merely possible"),
        };
        let both = self.pairs().filter(|tried| tried.trial.marks.iter().all(|m| m.is_named()));
        let (both, pairs) = (both.count(), self.pairs().count());
        let times = self.times();
        let slow = times.iter().filter(|(seconds, _)| *seconds > SECONDS).count();
        let failures = self.failures().len();
        let target = |what, outcome, met| Target { what, outcome, met };
        vec![
            target(
                "the first finding names the fault in 95% of runs",
                part(first, marks.len()) + &reserved,
                ratio(first, marks.len()) >= NAMED,
            ),
            target("no fault without a finding", count(silent, "without"), silent == 0),
            self.quiet("no finding in a lab that is well", |healthy| healthy.after.is_empty()),
            self.quiet("no finding once a fault is cleared", |healthy| !healthy.after.is_empty()),
            target("of two faults at a time, both are named", part(both, pairs), both == pairs),
            target(
                "a diagnosis takes 5 s or less",
                match times.first() {
                    Some((slowest, _)) => format!("{slow} longer; the slowest {slowest:.1} s"),
                    None => "none was made".to_owned(),
                },
                slow == 0,
            ),
            target("all can be injected and cleared", count(failures, "failed"), failures == 0),
        ]
    }

    fn quiet(&self, what: &'static str, is_of: impl Fn(&Healthy) -> bool) -> Target {
        let is_asked = |healthy: &&Healthy| healthy.answer.is_some() && is_of(healthy);
        let all = self.healthy.iter().filter(is_asked).count();
        let alarms = self.alarms().filter(|(healthy, _)| is_of(healthy)).count();
        Target { what, outcome: part(all - alarms, all), met: alarms == 0 }
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 0 { "none".to_owned() } else { format!("{number} {what}") }
}

/// `19 of 20, 95.0% [76.4, 99.1]`.
fn part(of: usize, all: usize) -> String {
    if all == 0 {
        return "none tried".to_owned();
    }
    let (low, high) = interval(of, all);
    let percent = |part: f64| 100.0 * part;
    let (low, high) = (percent(low), percent(high));
    format!("{of} of {all}, {:.1}% [{low:.1}, {high:.1}]", percent(ratio(of, all)))
}

/// 1 of nothing: what was not tried has not failed.
#[expect(clippy::cast_precision_loss, reason = "numbers of runs are far below 2^52")]
fn ratio(of: usize, all: usize) -> f64 {
    if all == 0 { 1.0 } else { of as f64 / all as f64 }
}

/// The 95% interval of a part of all: Wilson's (1927), which holds near 0 and 1 too.
#[expect(clippy::cast_precision_loss, reason = "numbers of runs are far below 2^52")]
fn interval(of: usize, all: usize) -> (f64, f64) {
    /// 97.5% of the standard normal distribution are below it.
    const Z: f64 = 1.959_964;
    let (part, all) = (ratio(of, all), all.max(1) as f64);
    let whole = 1.0 + Z * Z / all;
    let middle = (part + Z * Z / (2.0 * all)) / whole;
    let half = Z / whole * (part * (1.0 - part) / all + Z * Z / (4.0 * all * all)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use netlab::lab::{Mode, Proxy};

    use super::*;
    use crate::doctor::{answer::Named, trial::Hit};

    const CELL: Cell = Cell { mode: Mode::Vxlan, proxy: Proxy::Ebpf };

    fn answer(findings: usize, seconds: f64) -> Answer {
        let named = Named { code: "link-down".into(), row: 31, ..Named::default() };
        Answer { findings: vec![named; findings], seconds, text: String::new() }
    }

    fn tried(marks: &[Mark], seconds: f64) -> Tried {
        let hits = marks.iter().map(|_| Hit::example()).collect();
        let broken = Some(answer(1, seconds));
        let trial = Trial { hits, broken, marks: marks.into(), ..Trial::default() };
        Tried { cell: CELL, trial }
    }

    fn healthy(findings: usize, after: &[&'static str]) -> Healthy {
        let (answer, after) = (Some(answer(findings, 0.2)), after.into());
        Healthy { cell: CELL, after, answer, lasting: false, error: None }
    }

    fn met(outcome: &Outcome) -> Vec<bool> {
        outcome.targets().into_iter().map(|target| target.met).collect()
    }

    #[test]
    fn each_target_is_missed_by_what_it_forbids() {
        let good = Outcome {
            trials: vec![tried(&[Mark::First], 1.0), tried(&[Mark::Later, Mark::First], 1.0)],
            healthy: vec![healthy(0, &[]), healthy(0, &["bridge-down"])],
            ..Outcome::default()
        };
        assert_eq!(met(&good), [true; 7]);
        let spoilt = |spoil: &dyn Fn(&mut Outcome)| {
            let mut outcome = good.clone();
            spoil(&mut outcome);
            met(&outcome).iter().map(|met| if *met { '+' } else { '-' }).collect::<String>()
        };
        assert_eq!(spoilt(&|of| of.trials.push(tried(&[Mark::Later], 1.0))), "-++++++");
        assert_eq!(spoilt(&|of| of.trials.push(tried(&[Mark::Nothing], 1.0))), "--+++++");
        assert_eq!(spoilt(&|of| of.healthy.push(healthy(1, &[]))), "++-++++");
        assert_eq!(spoilt(&|of| of.healthy.push(healthy(1, &["bridge-down"]))), "+++-+++");
        let folded = [Mark::First, Mark::Folded];
        assert_eq!(spoilt(&|of| of.trials.push(tried(&folded, 1.0))), "++++-++");
        let hidden = [Mark::First, Mark::Hidden];
        assert_eq!(spoilt(&|of| of.trials.push(tried(&hidden, 1.0))), "+++++++");
        assert_eq!(spoilt(&|of| of.trials.push(tried(&[Mark::First], 5.1))), "+++++-+");
        assert_eq!(spoilt(&|of| of.trials[0].trial.errors.push("why".into())), "++++++-");
    }

    #[test]
    fn one_miss_in_twenty_is_within_the_target_and_two_are_not() {
        let outcome = |missed: usize| {
            let all = (0..20).map(|at| if at < missed { Mark::Other } else { Mark::First });
            let trials = all.map(|mark| tried(&[mark], 1.0)).collect();
            Outcome { trials, ..Outcome::default() }
        };
        assert_eq!(outcome(1).targets()[0].outcome, "19 of 20, 95.0% [76.4, 99.1]");
        assert!(outcome(1).targets()[0].met && !outcome(2).targets()[0].met);
    }

    /// From the literature: 0 of 10 is [0, 0.278], 10 of 10 its mirror image.
    #[test]
    fn intervals_are_as_known() {
        let (low, high) = interval(0, 10);
        assert!(low.abs() < 1e-9 && (high - 0.278).abs() < 1e-3, "{low} {high}");
        let (low, high) = interval(10, 10);
        assert!((low - 0.722).abs() < 1e-3 && (high - 1.0).abs() < 1e-9, "{low} {high}");
    }
}
