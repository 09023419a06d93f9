//! `netlab doctor`.

mod place;
mod report;

use std::{fs, path::Path, time::Instant};

use anyhow::Context as _;
use netlab::doctor::{diagnosis, facts::Facts};

use super::{Outcome, output};
use crate::cli::{DoctorArgs, Output};

/// Gathers facts, probes, and says what is wrong; [`Outcome::Findings`] where something is.
///
/// # Errors
///
/// Where there is nothing to look into, or the facts cannot be read or written.
pub fn run(args: &DoctorArgs, color: bool) -> anyhow::Result<Outcome> {
    if let Some(code) = args.explain {
        return output::print(&report::explained(code));
    }
    let begun = Instant::now();
    let (facts, spec) = place::observe(args)?;
    if let Some(file) = &args.save_facts {
        return write(&facts, file);
    }
    let attempts = match args.facts.is_some() || args.no_probe {
        true => Vec::new(),
        false => place::probed(&facts, &spec)?,
    };
    let diagnosis = diagnosis::judge(&facts, &spec, &attempts);
    match args.output {
        Output::Table => output::print(&report::draw(&diagnosis, &facts, begun.elapsed(), color)),
        Output::Json => output::print_json(&diagnosis),
        Output::Yaml => output::print_yaml(&diagnosis),
    }?;
    Ok(if diagnosis.is_healthy() { Outcome::Fine } else { Outcome::Findings })
}

fn write(facts: &Facts, file: &Path) -> anyhow::Result<Outcome> {
    for gap in &facts.gaps {
        let host = gap.host.as_deref().unwrap_or("all hosts");
        log::warn!("{host}: {}. {}", gap.reason, gap.hides);
    }
    let text = facts.write();
    if file == Path::new("-") {
        return output::print(&text);
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Outcome::Fine)
}
