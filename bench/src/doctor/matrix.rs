//! Carries a plan out, one lab after another.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use netlab::lab::LabName;

use super::{
    Cell,
    answer::Answer,
    outcome::{Healthy, Outcome, Tried},
    patient::Patient,
    plan::{Plan, Step},
    trial::{Mark, Trial, trial},
};
use crate::{interrupt, lab::Lab};

/// How long to wait before a finding in a lab that is well is asked for again.
const AGAIN: Duration = Duration::from_secs(2);

/// With what.
#[derive(Clone, Debug)]
pub struct Site {
    /// The netlab binary.
    pub netlab: PathBuf,
    /// The name of the labs, one at a time.
    pub name: LabName,
    /// A directory for what the doctor printed where it was wrong.
    pub keep: Option<PathBuf>,
}

/// Carries a plan out; `outcome` has what was tried also where this fails. `tell` is told each
/// step in a line.
///
/// # Errors
///
/// A lab does not stand, or someone asks this process to stop. The lab is gone then.
pub fn run(
    plan: &Plan,
    site: &Site,
    outcome: &mut Outcome,
    tell: &mut dyn FnMut(String),
) -> Result<()> {
    if let Some(keep) = &site.keep {
        let failed = || format!("cannot make the directory {}", keep.display());
        fs::create_dir_all(keep).with_context(failed)?;
    }
    let mut progress = Progress { begun: Instant::now(), done: 0, all: plan.diagnoses() };
    for (cell, steps) in &plan.cells {
        let mut lab = None;
        for step in steps {
            interrupt::check()?;
            if lab.is_none() {
                lab = Some(up(site, *cell)?);
            }
            let turn = Turn { site, cell: *cell, patient: Patient::new(&site.netlab, &site.name) };
            let (is_well, words) = turn.take(step, outcome)?;
            if !is_well {
                // What follows is not to suffer for it.
                lab = None;
            }
            progress.done += step.diagnoses();
            tell(format!("{progress} {cell} {step}: {words}"));
        }
    }
    outcome.complete = true;
    Ok(())
}

fn up(site: &Site, cell: Cell) -> Result<Lab> {
    let (mode, proxy) = (cell.mode.to_string(), cell.proxy.to_string());
    let words = ["--mode", &*mode, "--proxy", &*proxy];
    Lab::up(&site.netlab, site.name.as_str(), &words)
        .with_context(|| format!("a lab {cell} does not stand"))
}

/// One step in one lab.
struct Turn<'a> {
    site: &'a Site,
    cell: Cell,
    patient: Patient<'a>,
}

impl Turn<'_> {
    /// Whether the lab is well afterwards, and what came of the step, in words.
    fn take(&self, step: &Step, outcome: &mut Outcome) -> Result<(bool, String)> {
        let given = match step {
            Step::Healthy => {
                let (answer, error) = match self.patient.diagnose(None) {
                    Ok(answer) => (Some(answer), None),
                    Err(error) => (None, Some(format!("{error:#}"))),
                };
                let healthy = Healthy { error, ..self.healthy(Vec::new(), answer)? };
                let words = healthy_words(&healthy);
                let is_well = is_well(&healthy);
                outcome.healthy.push(healthy);
                return Ok((is_well, words));
            }
            Step::Break(given) => given,
        };
        let mut trial = trial(&self.patient, given);
        let after: Vec<_> = given.iter().map(|given| given.fault.name).collect();
        self.keep_misses(&trial)?;
        let mut words = trial_words(&trial);
        let mut is_clear = trial.errors.is_empty();
        if let Some(cleared) = trial.cleared.take() {
            let healthy = self.healthy(after, Some(cleared))?;
            is_clear &= is_well(&healthy);
            if !is_well(&healthy) || healthy.lasting {
                words = format!("{words}; then {}", healthy_words(&healthy));
            }
            outcome.healthy.push(healthy);
        }
        outcome.trials.push(Tried { cell: self.cell, trial });
        Ok((is_clear, words))
    }

    fn healthy(&self, after: Vec<&'static str>, answer: Option<Answer>) -> Result<Healthy> {
        let mut lasting = false;
        if let Some(alarm) = answer.as_ref().filter(|answer| !answer.findings.is_empty()) {
            let what = if after.is_empty() { "well".to_owned() } else { after.join("+") };
            self.keep("false", &what, alarm)?;
            std::thread::sleep(AGAIN);
            let again = self.patient.diagnose(None).ok();
            lasting = again.is_none_or(|again| !again.findings.is_empty());
        }
        Ok(Healthy { cell: self.cell, after, answer, lasting, error: None })
    }

    fn keep_misses(&self, trial: &Trial) -> Result<()> {
        let is_missed = match &*trial.marks {
            [single] => *single != Mark::First,
            pair => pair.iter().any(|mark| !mark.is_named() && *mark != Mark::Hidden),
        };
        let names: Vec<_> = trial.hits.iter().map(|hit| hit.fault).collect();
        match &trial.broken {
            Some(answer) if is_missed => self.keep("missed", &names.join("+"), answer),
            _ => Ok(()),
        }
    }

    fn keep(&self, kind: &str, what: &str, answer: &Answer) -> Result<()> {
        let Some(directory) = &self.site.keep else { return Ok(()) };
        let Cell { mode, proxy } = self.cell;
        let file = unused(directory, &format!("{kind}-{mode}-{proxy}-{what}"));
        fs::write(&file, &answer.text).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// A file that is not there yet.
fn unused(directory: &Path, name: &str) -> PathBuf {
    let numbered = |number: u32| match number {
        1 => directory.join(format!("{name}.json")),
        number => directory.join(format!("{name}-{number}.json")),
    };
    let free = (1..).map(numbered).find(|file| !file.exists());
    free.unwrap_or_else(|| numbered(1))
}

fn is_well(healthy: &Healthy) -> bool {
    !healthy.lasting && healthy.error.is_none()
}

fn healthy_words(healthy: &Healthy) -> String {
    match (&healthy.answer, &healthy.error) {
        (Some(answer), _) if answer.findings.is_empty() => format!("well, {}", seconds(answer)),
        (Some(answer), _) => {
            let again = if healthy.lasting { "again" } else { "once" };
            format!("FALSE ALARM {again}: {}, {}", answer.words(), seconds(answer))
        }
        (None, error) => format!("ERROR {}", error.as_deref().unwrap_or_default()),
    }
}

fn trial_words(trial: &Trial) -> String {
    if !trial.errors.is_empty() {
        return format!("ERROR {}", trial.errors.join("; "));
    }
    let marks: Vec<_> = trial.marks.iter().map(|mark| mark.words()).collect();
    let answer = trial.broken.as_ref();
    let said = answer.map(|answer| format!("{}, {}", answer.words(), seconds(answer)));
    format!("{}: {}", marks.join(" + "), said.unwrap_or_default())
}

fn seconds(answer: &Answer) -> String {
    format!("{:.1} s", answer.seconds)
}

/// How far it is.
struct Progress {
    begun: Instant,
    done: usize,
    all: usize,
}

impl std::fmt::Display for Progress {
    /// `[12/340, 8 min left]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { begun, done, all } = self;
        let remaining = u32::try_from(all - done).unwrap_or(u32::MAX);
        let each = begun.elapsed() / u32::try_from(*done).unwrap_or(u32::MAX).max(1);
        let left = each.saturating_mul(remaining).as_secs();
        let left = if left < 60 { format!("{left} s") } else { format!("{} min", left / 60) };
        write!(f, "[{done}/{all}, {left} left]")
    }
}
