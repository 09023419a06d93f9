//! What it was measured with.

use maud::{Markup, html};

use super::table;
use crate::compare::{
    offloads::{Shared, words},
    result::{CellConditions, Comparison},
};

/// The section.
pub(super) fn section(comparison: &Comparison) -> Markup {
    html! {
        section id="conditions" {
            h2 { "Conditions" }
            dl class="conditions" {
                @for (name, value) in facts(comparison) { div { dt { (name) } dd { (value) } } }
            }
            (cells(comparison))
            h3 { "How it was measured" }
            p {
                "All labs stand on one machine at the same time, and every round has every "
                "workload in every lab, one lab right after the other; the first round warms up "
                "and is thrown away. So whatever else the machine does meets all of them, and a "
                "ratio is taken within a round. Its median is reported with a 95% bootstrap "
                "interval. Only ratios of this run mean anything: numbers of two runs, or of two "
                "machines, must not be held beside each other."
            }
        }
    }
}

fn facts(comparison: &Comparison) -> Vec<(&'static str, String)> {
    let conditions = &comparison.conditions;
    let (machine, options) = (&conditions.machine, &conditions.options);
    let model =
        if machine.model.is_empty() { String::new() } else { format!(" of {}", machine.model) };
    let place = if options.local { "the node that is dialled" } else { "the other node" };
    let flows: Vec<_> = conditions.flows.iter().map(|(name, of)| format!("{name} {of}")).collect();
    let mut facts = vec![
        ("Kernel", format!("Linux {}", machine.kernel)),
        ("Processors", format!("{}{model}", machine.cores)),
        ("Load before", format!("{:.2}", machine.load)),
        ("netlab", conditions.netlab.clone()),
        ("Rounds", format!("{}, of {} s each", options.rounds, options.duration.as_secs_f64())),
        ("Underlay", format!("MTU {}", options.mtu)),
        ("Services", options.services.to_string()),
        ("The pod", format!("on {place}")),
    ];
    if !flows.is_empty() {
        facts.push(("Connections beside each other", flows.join(", ")));
    }
    facts
}

fn cells(comparison: &Comparison) -> Markup {
    let conditions = &comparison.conditions;
    let shared = Shared::of(&conditions.cells);
    let row = |(name, cell): (&String, &CellConditions)| {
        let or_none = |text: String| if text.is_empty() { "–".to_owned() } else { text };
        let own = shared.some.iter().find(|(cells, _)| cells.contains(name));
        let own = own.map(|(_, offloads)| words(offloads)).unwrap_or_default();
        vec![name.clone(), or_none(cell.hook.clone()), cell.pod_mtu.to_string(), or_none(own)]
    };
    let rows: Vec<_> = conditions.cells.iter().map(row).collect();
    let header = ["cell", "program", "pod MTU", "offloads that not all cells have"];
    html! {
        (table("What the cells are made of", &header.map(str::to_owned), &rows))
        @if !shared.all.is_empty() {
            p { "Offloads that are on in all cells: " (words(&shared.all)) "." }
        }
    }
}
