//! `netlab lab fault`.

use std::fmt::Write as _;

use netlab::lab::{
    LabDir, LabName, Options,
    fault::{self, Fault, Injected, NotShown, Request},
};
use serde::Serialize;

use super::{Outcome, output, runtime};
use crate::cli::{
    Output,
    fault::{InjectArgs, ListArgs, Verb},
};

pub(super) fn run(verb: Verb) -> anyhow::Result<Outcome> {
    match verb {
        Verb::List(args) => list(&args),
        Verb::Inject(args) => inject(args),
        Verb::Clear(args) => clear(&args.name.name, args.fault.as_deref()),
    }
}

/// What `list` prints.
#[derive(Serialize)]
struct List {
    faults: Vec<Row>,
    not_shown: &'static [NotShown],
}

/// A fault, and how it stands in the lab.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    fault: &'static Fault,
    /// Why it would show nothing in this lab.
    unfit: Option<String>,
    /// As it is in the lab.
    injected: Vec<Injected>,
}

/// Works without a lab too: then nothing is injected, and everything may be fit.
fn list(args: &ListArgs) -> anyhow::Result<Outcome> {
    let lab = &args.name.name;
    let options = LabDir::new(lab).record()?.map(|record| record.options);
    let injected = fault::injected(lab)?;
    let row = |fault: &'static Fault| Row {
        fault,
        unfit: options.as_ref().and_then(|options| fault.unfit(options)),
        injected: injected.iter().filter(|one| one.name == fault.name).cloned().collect(),
    };
    let faults = fault::all().into_iter().map(row).collect();
    let list = List { faults, not_shown: fault::not_shown() };
    match args.output {
        Output::Table => output::print(&table(&list, options.as_ref())),
        Output::Json => output::print_json(&list),
        Output::Yaml => output::print_yaml(&list),
    }
}

fn table(list: &List, options: Option<&Options>) -> String {
    let mut table = output::table(&["ROW", "FAULT", "STATE", "MODE / PROXY", "IMITATES"]);
    for row in &list.faults {
        let places = row.injected.iter().map(|one| one.place().to_owned());
        let places: Vec<_> = places.collect();
        let state = match (places.as_slice(), &row.unfit) {
            ([], None) => String::new(),
            ([], Some(_)) => "not here".to_owned(),
            (places, _) => format!("injected {}", places.join(", ")),
        };
        let fault = row.fault;
        table.add_row([
            fault.row_list(),
            fault.name.to_owned(),
            state.trim_end().to_owned(),
            fault.applies(),
            fault.imitates.to_owned(),
        ]);
    }
    let mut text = output::drawn(&table) + "\n";
    for not in list.not_shown {
        let _ = writeln!(text, "row {}: not shown: {}: {}", not.row, not.what, not.reason);
    }
    if let Some(options) = options {
        let (name, mode, proxy) = (&options.name, options.mode, options.proxy);
        let _ = writeln!(text, "\"not here\": shows nothing in lab {name} ({mode}, {proxy})");
    }
    text
}

fn inject(args: InjectArgs) -> anyhow::Result<Outcome> {
    let request = Request {
        node: args.node,
        pod: args.pod,
        service: args.service,
        dry_run: args.dry_run,
        ..Request::new(args.name.name, &args.fault)
    };
    let injected = runtime()?.block_on(fault::inject(&request))?;
    let mut text: String = injected.done.iter().map(|line| format!("{line}\n")).collect();
    if !request.dry_run {
        text.push_str(&format!("injected {injected}\n"));
    }
    output::print(&text)
}

fn clear(lab: &LabName, name: Option<&str>) -> anyhow::Result<Outcome> {
    let cleared = runtime()?.block_on(fault::clear(lab, name))?;
    let gone = cleared.faults.iter().map(|fault| format!("cleared {fault}\n"));
    let back = cleared.put_back.iter().map(|fault| format!("put back {fault}\n"));
    let text: String = gone.chain(back).collect();
    output::print(if text.is_empty() { "nothing is injected\n" } else { &text })
}
