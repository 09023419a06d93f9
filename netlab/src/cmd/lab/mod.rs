//! `netlab lab`.

mod exec;
mod fault;
mod sketch;
mod up;

use anyhow::Context as _;
use netlab::{
    lab::{LabDir, LabName, down::down, status::status, supervise::supervise},
    spec,
};

use super::{Outcome, output};
use crate::cli::{Lab, ManifestArgs, Output, StatusArgs};

/// Runs a verb of `netlab lab`.
///
/// # Errors
///
/// Whatever the verb fails with.
pub fn run(verb: Lab, color: bool) -> anyhow::Result<Outcome> {
    match verb {
        Lab::Up(args) => up::run(args),
        Lab::Status(args) => show_status(&args, color),
        Lab::Down(args) => take_down(&args.name),
        Lab::Manifest(args) => manifest(&args),
        Lab::Exec(args) => exec::run(args),
        Lab::Fault(verb) => fault::run(verb),
        Lab::Supervise(args) => {
            // On one thread, as the supervisor needs it.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(supervise(&args.name))?;
            Ok(Outcome::Fine)
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().context("cannot start the async runtime")
}

fn show_status(args: &StatusArgs, color: bool) -> anyhow::Result<Outcome> {
    let status = runtime()?.block_on(status(&args.name.name))?;
    match args.output {
        Output::Table => output::print(&sketch::draw(&status, color))?,
        Output::Json => output::print_json(&status)?,
        Output::Yaml => output::print_yaml(&status)?,
    };
    Ok(if status.problems.is_empty() { Outcome::Fine } else { Outcome::Findings })
}

fn take_down(name: &LabName) -> anyhow::Result<Outcome> {
    let removed = runtime()?.block_on(down(name))?;
    for foreign in &removed.foreign {
        eprintln!(
            "netlab: {} (pid {}) still runs in what was {}; that namespace ends with it",
            foreign.command, foreign.pid, foreign.netns
        );
    }
    output::print(&if removed.existed {
        format!(
            "lab {name} is down: {} namespaces, {} processes removed\n",
            removed.namespaces.len(),
            removed.processes
        )
    } else {
        format!("there is no lab {name}\n")
    })
}

fn manifest(args: &ManifestArgs) -> anyhow::Result<Outcome> {
    let Some(name) = &args.name else {
        return output::print(&spec::builtin_yaml(args.nodes.into()));
    };
    let dir = LabDir::new(name);
    anyhow::ensure!(dir.record()?.is_some(), "there is no lab {name}");
    let objects = spec::read_files(&[dir.manifests()])?;
    let documents: Vec<_> = objects.to_yaml_by_kind().into_iter().map(|(_, text)| text).collect();
    output::print(&documents.join("---\n"))
}
