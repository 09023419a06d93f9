//! A comparison for people: the finding, the conditions, then what was measured.

mod networks;
mod scaling;
mod series;

pub(super) use self::series::heading;

use std::fmt::Write as _;

use netlab::compare::{
    offloads::{Shared, words},
    options::with_node_port,
    result::{Comparison, Limit, Series},
};

use crate::cmd::output;

/// Columns of running text.
const WIDTH: usize = 120;

/// Draws it; the first line is the finding, the last say all of it in words.
pub(super) fn draw(comparison: &Comparison) -> String {
    let mut text = format!("{}\n", comparison.finding);
    let _ = writeln!(text, "\n{}", conditions(comparison));
    text.push_str(&networks::section(&comparison.networks));
    for workload in &comparison.conditions.options.workloads {
        let of = |series: &&Series| series.workload == *workload;
        let all: Vec<_> = comparison.series.iter().filter(of).collect();
        let beside = |limit: &&Limit| limit.workload == *workload;
        let limits: Vec<_> = comparison.limits.iter().filter(beside).collect();
        text.push_str(&series::section(*workload, &all, &limits));
    }
    text.push_str(&scaling::section(&comparison.conditions.options, &comparison.scaling));
    if !comparison.series.is_empty() || !comparison.scaling.is_empty() {
        text.push_str(&series::legend(comparison));
    }
    if !comparison.details.is_empty() {
        text.push_str("\nIn words:\n");
        for detail in &comparison.details {
            let _ = writeln!(text, "- {}", output::wrapped(detail, WIDTH, "  "));
        }
    }
    text
}

fn conditions(comparison: &Comparison) -> String {
    let conditions = &comparison.conditions;
    let (machine, options) = (&conditions.machine, &conditions.options);
    let services = match (options.services, with_node_port(options.services)) {
        (1, _) => "1 Service".to_owned(),
        (all, ports) if ports == all => format!("{all} Services"),
        (all, ports) => format!("{all} Services, {ports} of them with a node port"),
    };
    let place = if options.local { "the dialled node" } else { "the other node" };
    let rounds = match options.workloads.is_empty() && options.scaling.is_empty() {
        true => String::new(),
        false => {
            let each = options.duration.as_secs_f64();
            format!("; {} rounds of {each} s after a warm-up", options.rounds)
        }
    };
    let mut text = format!(
        "Linux {}, {} cores{}, load {:.2}; netlab {}\n\
         MTU {}, {services}, pod on {place}{rounds}\n",
        machine.kernel,
        machine.cores,
        if machine.model.is_empty() { String::new() } else { format!(" of {}", machine.model) },
        machine.load,
        conditions.netlab,
        options.mtu,
    );
    for (cell, of) in &conditions.cells {
        let hook = if of.hook.is_empty() { "-" } else { &of.hook };
        let _ = writeln!(text, "  {cell}: {hook}, pod MTU {}", of.pod_mtu);
    }
    // Most links have the same offloads in all cells, so they are told once.
    let shared = Shared::of(&conditions.cells);
    let all = (!shared.all.is_empty()).then(|| (vec!["all".to_owned()], shared.all));
    for (cells, on) in all.into_iter().chain(shared.some) {
        let _ = writeln!(text, "  offloads of {}: {}", cells.join(", "), words(&on));
    }
    text
}
