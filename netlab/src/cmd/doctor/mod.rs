//! `netlab doctor`.

mod expected;
mod explain;
mod fix;
mod gaps;
mod healthy;
mod matrix;
mod nothing;
mod observed;
mod paint;
mod place;
mod report;
mod verdict;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use netlab::{
    doctor::{
        diagnosis::{self, Diagnosis},
        facts::Facts,
        report::Report,
    },
    spec::Spec,
};

use self::paint::Paint;
use super::{Outcome, output};
use crate::cli::{DoctorArgs, Output};

/// Gathers facts, probes, and says what is wrong; [`Outcome::Findings`] where something is.
///
/// # Errors
///
/// Where there is nothing to look into, or the facts cannot be read or written.
pub fn run(args: &DoctorArgs, color: bool) -> anyhow::Result<Outcome> {
    let paint = Paint::new(color);
    match args.explain {
        Some(Some(code)) => return output::print(&explain::page(code, paint)),
        Some(None) => return output::print(&explain::list()),
        None => {}
    }
    if args.fix || args.dry_run {
        return fix::run(args, paint);
    }
    if let Some(file) = &args.save_facts {
        return write(&place::look(args)?.0, file);
    }
    let diagnosed = Diagnosed::of(args)?;
    let report = diagnosed.report(args.paths);
    match args.output {
        Output::Table => paint.print(&report::draw(&report, paint)),
        Output::Json => output::print_json(&report),
        Output::Yaml => output::print_yaml(&report),
    }?;
    Ok(outcome(&diagnosed.diagnosis))
}

fn outcome(diagnosis: &Diagnosis) -> Outcome {
    match diagnosis {
        of if of.is_healthy() => Outcome::Fine,
        of if of.findings.is_empty() => Outcome::Unknown,
        _ => Outcome::Findings,
    }
}

/// One run: what was observed, and what follows from it.
struct Diagnosed {
    facts: Facts,
    spec: Spec,
    diagnosis: Diagnosis,
    /// When it began.
    begun: Instant,
    took: Duration,
}

impl Diagnosed {
    /// Looks, probes unless that is not wanted, and judges.
    fn of(args: &DoctorArgs) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let (mut facts, spec) = place::look(args)?;
        let outcome = judged(&mut facts, &spec, args);
        if outcome.is_err() {
            tell_gaps(&facts);
        }
        let diagnosis = outcome?;
        Ok(Self { facts, spec, diagnosis, begun, took: begun.elapsed() })
    }

    fn report(&self, all_paths: bool) -> Report<'_> {
        let Self { facts, spec, diagnosis, took, .. } = self;
        Report { facts, spec, diagnosis, took: *took, all_paths }
    }
}

fn judged(facts: &mut Facts, spec: &Spec, args: &DoctorArgs) -> anyhow::Result<Diagnosis> {
    let attempts = match args.facts.is_some() || args.no_probe {
        true => Vec::new(),
        false => {
            let observed = place::observed(facts, spec, args)?;
            facts.gaps.extend(observed.gaps);
            observed.ways
        }
    };
    let mut diagnosis = diagnosis::judge(facts, spec, &attempts);
    diagnosis.passive = args.passive.is_some();
    if diagnosis.paths.is_empty() && diagnosis.findings.is_empty() {
        bail!(nothing::why(facts, spec));
    }
    Ok(diagnosis)
}

/// To stderr.
fn tell_gaps(facts: &Facts) {
    let paint = Paint::new(false);
    eprint!("{}", paint.plain(&gaps::lines(&facts.gaps, paint)));
}

fn write(facts: &Facts, file: &Path) -> anyhow::Result<Outcome> {
    tell_gaps(facts);
    let text = facts.write();
    if file == Path::new("-") {
        return output::print(&text);
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Outcome::Fine)
}
