//! What changed between two comparisons, for people.

use std::{fmt::Write as _, path::Path};

use netlab::compare::{
    diff::{Base, Change, Compared, Diff, Lone, Subject, Verdict},
    result::LEAST_PAIRS,
};

use super::{read, table};
use crate::{
    cli::compare::Output,
    cmd::{Outcome, output},
};

/// Prints what changed from the old one to the new one, of files of JSON.
///
/// # Errors
///
/// A file cannot be read, or is no comparison.
pub(super) fn run([old, new]: [&Path; 2], format: Output) -> anyhow::Result<Outcome> {
    let diff = Diff::of(&read(old)?, &read(new)?);
    match format {
        Output::Table => output::print(&draw(&diff)),
        Output::Json => output::print_json(&diff),
    }?;
    Ok(if diff.is_empty() { Outcome::Fine } else { Outcome::Findings })
}

fn draw(diff: &Diff) -> String {
    let count = |wanted| diff.ratios.iter().filter(|ratio| ratio.verdict == wanted).count();
    let mut text = format!(
        "Of {} ratios that both have, {} changed, {} did not as far as can be told, {} cannot be \
         judged; of what is counted, {} changed.\n",
        diff.ratios.len(),
        diff.changed().count(),
        count(Verdict::Same),
        count(Verdict::TooFew),
        diff.counts.len(),
    );
    text.push_str(&changes("Made under other conditions", "CONDITION", &diff.conditions));
    text.push_str(&changes("Counted otherwise", "COUNT", &diff.counts));
    text.push_str(&ratios(diff));
    text.push_str(&lone(&diff.lone));
    let _ = writeln!(
        text,
        "\nRatios are each of one run, of the first measure of each workload, with 95% bootstrap \
         intervals; changed are those\nwhose intervals have nothing in common. Absolute numbers of two runs are not compared. With \
         fewer than {LEAST_PAIRS} rounds nothing is judged. -o json has all of them."
    );
    text
}

fn changes(title: &str, what: &str, changes: &[Change]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut table = output::table(&[what, "OLD", "NEW"]);
    let value = |value: &Option<String>| match value.as_deref() {
        None => "-".to_owned(),
        Some("") => "none".to_owned(),
        Some(value) => value.to_owned(),
    };
    for change in changes {
        table.add_row([change.what.clone(), value(&change.old), value(&change.new)]);
    }
    section(title, &table)
}

fn ratios(diff: &Diff) -> String {
    if diff.changed().next().is_none() {
        return String::new();
    }
    let mut table = output::table(&["WORKLOAD", "CELL", "MEASURE", "TO", "OLD", "NEW", "CHANGE"]);
    for Compared { subject, old, new, .. } in diff.changed() {
        let Subject { workload, cell, measure, to, services } = subject;
        let services = services.map(|services| format!(", {services} Services"));
        let percent = (new.median / old.median - 1.0) * 100.0;
        table.add_row([
            format!("{workload}{}", services.unwrap_or_default()),
            cell.to_string(),
            table::heading(*measure).to_owned(),
            base(*to).to_owned(),
            format!("{old:.2}"),
            format!("{new:.2}"),
            format!("{percent:+.1}%"),
        ]);
    }
    section("Ratios that changed", &table)
}

fn lone(lone: &[Lone]) -> String {
    let count = |is_new| lone.iter().filter(|lone| lone.is_new == is_new).count();
    match (count(false), count(true)) {
        (0, 0) => String::new(),
        (old, new) => {
            format!("\nOnly the old run has {old} more ratios, only the new one {new}.\n")
        }
    }
}

fn section(title: &str, table: &comfy_table::Table) -> String {
    format!("\n{title}:\n{}", output::drawn(table))
}

const fn base(base: Base) -> &'static str {
    match base {
        Base::None => "none",
        Base::HostGw => "host-gw",
        Base::First => "first proxy",
        Base::Veth => "veth",
        Base::Forward => "forward",
        Base::Least => "least Services",
    }
}
