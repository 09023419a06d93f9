//! `netlab compare`.

mod diff;
mod progress;
mod report;
mod table;

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use netlab::compare::{
    self,
    options::{Options, scaling},
    result::Comparison,
    stop::Stop,
};

use self::{progress::Progress, report::Page};
use super::{Outcome, output, signals::Signals};
use crate::cli::compare::{CompareArgs, Output, Workload};

/// Compares, and prints what came out; [`Outcome::Findings`] where something that was asked for
/// has no number at all.
///
/// # Errors
///
/// Bad input, a lab that cannot be built, a signal; nothing is left behind in any case.
pub fn run(args: CompareArgs) -> anyhow::Result<Outcome> {
    let format = args.output;
    if let Some([old, new]) = args.diff.as_deref() {
        return diff::run([old, new], format);
    }
    // Before anything is built: a run of ten minutes must not end for want of a folder.
    let page = args.report.as_deref().map(Page::create).transpose()?;
    let comparison = match &args.from {
        Some(from) => read(from)?,
        None => measure(args)?,
    };
    if let Some(page) = page {
        page.write(&comparison)?;
    }
    let printed = match format {
        Output::Table => output::print(&table::draw(&comparison)),
        Output::Json => output::print_json(&comparison),
    }?;
    Ok(if comparison.is_complete() { printed } else { Outcome::Findings })
}

/// An earlier comparison, from its JSON.
fn read(path: &Path) -> anyhow::Result<Comparison> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the comparison {}", path.display()))?;
    Comparison::read(&text)
        .with_context(|| format!("cannot take {} for a comparison", path.display()))
}

fn measure(args: CompareArgs) -> anyhow::Result<Comparison> {
    let options = options(args)?;
    let stop = Stop::default();
    ask_at_signal(&stop)?;
    let mut progress = Progress::new(&options);
    let outcome = compare::run(&options, &stop, |event| progress.tell(event));
    progress.finish();
    Ok(outcome?)
}

fn options(args: CompareArgs) -> anyhow::Result<Options> {
    let asked = |workload| args.workloads.contains(&workload);
    let duration = Duration::try_from_secs_f64(args.duration);
    Ok(Options {
        modes: args.modes.into_iter().map(Into::into).collect(),
        proxies: args.proxies.into_iter().map(Into::into).collect(),
        workloads: args.workloads.iter().filter_map(|workload| workload.in_rounds()).collect(),
        services: args.services,
        scaling: if asked(Workload::Scaling) { scaling(args.services) } else { Vec::new() },
        flows: args.flows,
        properties: asked(Workload::Properties),
        mtu: args.mtu,
        rounds: args.rounds,
        duration: duration.ok().with_context(|| {
            format!("--duration {:?} does not do: it is a number of seconds", args.duration)
        })?,
        local: args.local,
    })
}

/// From now on SIGINT, SIGTERM and SIGHUP ask for the end, also the second time: what was built
/// has to be taken down.
fn ask_at_signal(stop: &Stop) -> anyhow::Result<()> {
    let stop = stop.clone();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().context("cannot start the async runtime")?;
    let guard = runtime.enter();
    let mut signals = Signals::new()?;
    drop(guard);
    let wait = move || {
        runtime.block_on(async {
            loop {
                signals.next().await;
                stop.ask();
            }
        });
    };
    let thread = std::thread::Builder::new().name("signals".into()).spawn(wait);
    thread.map(drop).context("cannot listen for signals")
}
