//! A comparison for people: the finding, the conditions, then what was measured.

mod networks;
mod scaling;
mod series;

use std::fmt::Write as _;

use netlab::compare::result::{Comparison, Series};

/// Draws it; the first line is the finding.
pub(super) fn draw(comparison: &Comparison) -> String {
    let mut text = format!("{}\n", comparison.finding);
    for detail in &comparison.details {
        let _ = writeln!(text, "  {detail}");
    }
    let _ = writeln!(text, "\n{}", conditions(comparison));
    text.push_str(&networks::section(&comparison.networks));
    for workload in &comparison.conditions.options.workloads {
        let of = |series: &&Series| series.workload == *workload;
        let all: Vec<_> = comparison.series.iter().filter(of).collect();
        text.push_str(&series::section(*workload, &all));
    }
    text.push_str(&scaling::section(&comparison.conditions.options, &comparison.scaling));
    if !comparison.series.is_empty() || !comparison.scaling.is_empty() {
        text.push_str(&series::legend(comparison));
    }
    text
}

fn conditions(comparison: &Comparison) -> String {
    let conditions = &comparison.conditions;
    let (machine, options) = (&conditions.machine, &conditions.options);
    let services = if options.services == 1 { "Service" } else { "Services" };
    let place = if options.local { "the dialled node" } else { "the other node" };
    let mut text = format!(
        "Linux {}, {} cores{}, load {:.2}; netlab {}\n\
         MTU {}, {} {services}, pod on {place}; {} rounds of {} s after a warm-up\n",
        machine.kernel,
        machine.cores,
        if machine.model.is_empty() { String::new() } else { format!(" of {}", machine.model) },
        machine.load,
        conditions.netlab,
        options.mtu,
        options.services,
        options.rounds,
        options.duration.as_secs_f64(),
    );
    for (cell, of) in &conditions.cells {
        let hook = if of.hook.is_empty() { "-" } else { &of.hook };
        let _ = write!(text, "  {cell}: {hook}, pod MTU {}", of.pod_mtu);
        let off = |(place, on): (&String, &Vec<String>)| format!("{place} {}", on.join(" "));
        let offloads: Vec<_> = of.offloads.iter().map(off).collect();
        let _ = writeln!(text, "; on: {}", offloads.join(", "));
    }
    text
}
