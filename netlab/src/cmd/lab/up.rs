//! `netlab lab up`.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use netlab::lab::up::{Event, Outcome as Built, Request, up};

use super::{Outcome, output, runtime};
use crate::cli::UpArgs;

/// More steps than this are counted, not listed.
const LISTED: usize = 20;

pub(super) fn run(args: UpArgs) -> anyhow::Result<Outcome> {
    let request = Request {
        files: args.files,
        nodes: args.nodes.map(Into::into),
        mode: args.mode.map(Into::into),
        underlay: args.underlay.map(Into::into),
        proxy: args.proxy.map(Into::into),
        hook: args.hook.map(Into::into),
        mtu: args.mtu,
        force: args.force,
        ..Request::new(args.name.name)
    };
    let bar = progress();
    let built = runtime()?.block_on(up(&request, |event| tell(&bar, event)));
    bar.finish_and_clear();
    output::print(&summary(&built?))
}

/// A spinner on a terminal, nothing elsewhere.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} steps  {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn tell(bar: &ProgressBar, event: Event<'_>) {
    match event {
        Event::Step(step) => {
            bar.inc(1);
            bar.set_message(step.to_string());
        }
        Event::Removed(netns) => bar.set_message(format!("removed {netns}")),
        Event::Supervisor => bar.set_message("starting the processes"),
        Event::Waiting(waiting) => {
            let lines: Vec<_> = waiting.iter().map(ToString::to_string).collect();
            bar.set_message(format!("waiting: {}", lines.join("; ")));
        }
    }
}

fn summary(built: &Built) -> String {
    let options = &built.options;
    let changes = built.steps.len() + built.removed.len();
    let mut text = String::new();
    if !built.created && changes <= LISTED {
        let removed = built.removed.iter().map(|netns| format!("no namespace {netns}"));
        let ended = built.ended.iter().map(|name| format!("ended {name}"));
        let started = built.processes.iter().map(|name| format!("started {name}"));
        let steps = built.steps.iter().map(ToString::to_string);
        for line in steps.chain(removed).chain(ended).chain(started) {
            text.push_str(&format!("{line}\n"));
        }
    }
    let mut counts = Vec::new();
    if changes > 0 {
        counts.push(format!("{changes} changes"));
    }
    if !built.created && !built.manifests.is_empty() {
        counts.push(format!("new {}", built.manifests.join(" and ")));
    }
    if !built.processes.is_empty() {
        counts.push(format!("{} processes started", built.processes.len()));
    }
    if !built.ended.is_empty() {
        counts.push(format!("{} processes ended", built.ended.len()));
    }
    let what = match (built.created, counts.join(", ")) {
        (true, counts) => format!("is up: {counts}"),
        (false, counts) if counts.is_empty() => "is up; nothing was missing".to_owned(),
        (false, counts) => format!("is up again: {counts}"),
    };
    let (name, mode, underlay) = (&options.name, options.mode, options.underlay);
    text.push_str(&format!("lab {name} {what} ({mode} over {underlay}, MTU {})\n", options.mtu));
    if built.created {
        let flag = if name.as_str() == "lab" { String::new() } else { format!(" --name {name}") };
        text.push_str(&format!("see it: netlab lab status{flag}\n"));
    }
    text
}
