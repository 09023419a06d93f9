//! What it was measured with.

use maud::{Markup, html};

use super::table;
use crate::compare::result::{CellConditions, Comparison};

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
    let row = |(name, cell): (&String, &CellConditions)| {
        let hook = if cell.hook.is_empty() { "–".to_owned() } else { cell.hook.clone() };
        vec![name.clone(), hook, cell.pod_mtu.to_string(), offloads(cell)]
    };
    let rows: Vec<_> = comparison.conditions.cells.iter().map(row).collect();
    let header = ["cell", "program", "pod MTU", "offloads that are on"].map(str::to_owned);
    table("What the cells are made of", &header, &rows)
}

/// Places with the same offloads come together.
fn offloads(cell: &CellConditions) -> String {
    let mut groups: Vec<(&Vec<String>, Vec<&str>)> = Vec::new();
    for (place, on) in &cell.offloads {
        match groups.iter_mut().find(|(of, _)| *of == on) {
            Some((_, places)) => places.push(place),
            None => groups.push((on, vec![place])),
        }
    }
    let say = |(on, places): (&Vec<String>, Vec<&str>)| {
        let on = if on.is_empty() { "none".to_owned() } else { on.join(" ") };
        format!("{}: {on}", places.join(", "))
    };
    groups.into_iter().map(say).collect::<Vec<_>>().join("; ")
}
