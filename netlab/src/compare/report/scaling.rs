//! How it grows: with the number of Services, and with the number of nodes.

use maud::{Markup, html};

use super::{
    judgement::{bracketed, network},
    latency, numbers,
    plot::{
        self, Look,
        lines::{self, Line, Lines, Point},
        scale::Scale,
    },
    table,
};
use crate::{
    compare::{
        options::Proxy,
        plan::Cell,
        properties::state::{Entries, Growth},
        result::{Comparison, Network, Step, Verdict},
        statistics::Estimate,
        wording::{count, list, time},
    },
    lab::Mode,
};

/// Over Services; nothing where that was not measured.
pub(super) fn services(comparison: &Comparison) -> Option<Markup> {
    let steps = &comparison.scaling;
    let mut proxies: Vec<Proxy> = steps.iter().map(|step| step.proxy).collect();
    proxies.sort_unstable();
    proxies.dedup();
    let mut modes: Vec<_> = steps.iter().map(|step| step.mode).collect();
    modes.dedup();
    (!steps.is_empty()).then(|| {
        html! {
            section id="services" {
                h2 { "With many Services" }
                p {
                    "What the first connection pays for the number of Services that there are, "
                    "and how long it takes until both nodes have them all."
                }
                (latency::legend(&modes, &proxies))
                div class="plots" { (first_byte(steps)) (programming(steps)) }
                (table("Services", &SERVICES.map(str::to_owned), &steps.iter().map(step).collect::<Vec<_>>()))
            }
        }
    })
}

const SERVICES: [&str; 5] = ["cell", "Services", "first byte", "to the fewest", "programmed in"];

fn step(step: &Step) -> Vec<String> {
    let cell = Cell { mode: step.mode, proxy: step.proxy };
    let first_byte = step.first_byte.map_or_else(
        || "all rounds failed".to_owned(),
        |Estimate { median, low, high }| bracketed([median, low, high].map(time)),
    );
    vec![
        cell.to_string(),
        step.services.to_string(),
        first_byte,
        numbers::ratio(step.to_least),
        programmed(step).map_or_else(|| "–".to_owned(), time),
    ]
}

fn first_byte(steps: &[Step]) -> Markup {
    let caption = caption(steps);
    over_services(
        steps,
        "services-first-byte",
        "Time to the first byte",
        &caption,
        |step| step.first_byte.map(|estimate| estimate.median),
        |step| step.first_byte,
    )
}

fn programming(steps: &[Step]) -> Markup {
    let most = steps.iter().map(|step| step.services).max().unwrap_or_default();
    let of = steps.iter().filter(|step| step.services == most);
    let mut times: Vec<_> = of.filter_map(|step| Some((programmed(step)?, step))).collect();
    times.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let told = |(micros, step): &(f64, &Step)| {
        format!("{} ({} over {})", time(*micros), step.proxy, network(step.mode))
    };
    let caption = match times.as_slice() {
        [quick, .., slow] => format!(
            "From when the Services were written down to when both nodes had them, the median of \
             all passes, coming from the number before, and the fewest from the most: {most} Services take from {} to {}.",
            told(quick),
            told(slow)
        ),
        [one] => format!("{most} Services take {}.", told(one)),
        [] => String::new(),
    };
    let heading = "Time to program them";
    over_services(steps, "services-programming", heading, &caption, programmed, |_| None)
}

/// Microseconds that programming a step took.
fn programmed(step: &Step) -> Option<f64> {
    step.program_seconds.map(|seconds| seconds * 1e6)
}

/// Who is clearly slower with most Services than with fewest.
fn caption(steps: &[Step]) -> String {
    let most = steps.iter().map(|step| step.services).max().unwrap_or_default();
    let last = || steps.iter().filter(move |step| step.services == most);
    let told = |step: &Step| {
        let ratio = step.to_least.filter(|ratio| ratio.verdict == Verdict::More)?;
        let name = format!("{} over {}", step.proxy, network(step.mode));
        Some(format!("{name} ({:.2} times as long)", ratio.estimate.median))
    };
    let slower: Vec<_> = last().filter_map(told).collect();
    if slower.is_empty() {
        format!("With {most} Services no proxy is clearly slower than with the fewest.")
    } else {
        format!("With {most} Services the first byte takes longer: {}.", list(&slower))
    }
}

fn over_services(
    steps: &[Step],
    id: &str,
    title: &str,
    caption: &str,
    value: impl Fn(&Step) -> Option<f64>,
    interval: impl Fn(&Step) -> Option<Estimate>,
) -> Markup {
    let mut cells: Vec<Cell> = Vec::new();
    for step in steps {
        let cell = Cell { mode: step.mode, proxy: step.proxy };
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    let line = |cell: &Cell| {
        let of = steps.iter().filter(|step| step.mode == cell.mode && step.proxy == cell.proxy);
        let point = |step: &Step| {
            let y = value(step)?;
            let words = format!("{cell}, {} Services: {}", step.services, time(y));
            let x = f64::from(step.services);
            Some(Point { x, y, interval: interval(step), words: Some(words) })
        };
        Line { look: Look::of_cell(*cell), points: of.filter_map(point).collect() }
    };
    let lines: Vec<_> = cells.iter().map(line).collect();
    let ends = steps.iter().filter_map(&interval).flat_map(|e| [e.low, e.high]);
    let values = steps.iter().filter_map(&value).chain(ends);
    let mut numbers: Vec<u32> = steps.iter().map(|step| step.services).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let plot = Lines {
        id,
        title,
        description: caption,
        up: "time",
        across: "Services",
        lines,
        x: Scale::log(numbers.iter().copied().map(f64::from), lines::ACROSS),
        y: Scale::log(values, lines::UPWARDS),
        x_ticks: numbers
            .iter()
            .map(|n| (f64::from(*n), count(f64::from(*n)).replace(".0 ", " ")))
            .collect(),
        y_tick: &latency::tick,
    };
    plot::figure(title, &plot.draw(), caption)
}

/// Over nodes.
pub(super) fn nodes(networks: &[Network]) -> Markup {
    let all = |network: &Network| {
        Some((network.properties.mode, network.properties.state.as_ref()?.growth.clone()))
    };
    let growth: Vec<(Mode, Vec<Growth>)> = networks.iter().filter_map(all).collect();
    let last = |of: &dyn Fn(&Growth) -> String| {
        let one = |(mode, growth): &(Mode, Vec<Growth>)| {
            Some(format!("{} with {}", of(growth.last()?), network(*mode)))
        };
        list(&growth.iter().filter_map(one).collect::<Vec<_>>())
    };
    let most = growth.iter().flat_map(|(_, growth)| growth).map(|growth| growth.nodes).max();
    let most = most.unwrap_or_default();
    let entries = format!(
        "In a cluster of {most} nodes each is told {}.",
        last(&|growth| format!("{} entries", sum(growth.entries.measured)))
    );
    let times = format!(
        "To set them one after the other, each waited for, takes {}.",
        last(&|growth| time(micros(growth)))
    );
    html! {
        (super::answer::modes_legend(&growth.iter().map(|(mode, _)| *mode).collect::<Vec<_>>()))
        div class="plots" {
            (over_nodes(&growth, ["nodes-entries", "Entries of a node", "entries"], &entries,
                &|growth| precise(sum(growth.entries.measured)), &count))
            (over_nodes(&growth, ["nodes-time", "Time to set them", "time"], &times, &micros, &latency::tick))
        }
    }
}

fn over_nodes(
    growth: &[(Mode, Vec<Growth>)],
    [id, title, up]: [&str; 3],
    caption: &str,
    value: &dyn Fn(&Growth) -> f64,
    tick: &dyn Fn(f64) -> String,
) -> Markup {
    let line = |(mode, growth): &(Mode, Vec<Growth>)| {
        let point = |growth: &Growth| {
            let y = value(growth);
            let words = format!("{}, {} nodes: {}", network(*mode), growth.nodes, tick(y));
            Point { x: precise(growth.nodes), y, interval: None, words: Some(words) }
        };
        Line { look: Look::of_mode(*mode), points: growth.iter().map(point).collect() }
    };
    let all = || growth.iter().flat_map(|(_, growth)| growth);
    let mut sizes: Vec<usize> = all().map(|growth| growth.nodes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let plot = Lines {
        id,
        title,
        description: caption,
        up,
        across: "nodes",
        lines: growth.iter().map(line).collect(),
        x: Scale::log(sizes.iter().map(|nodes| precise(*nodes)), lines::ACROSS),
        y: Scale::log(all().map(value), lines::UPWARDS),
        x_ticks: sizes.iter().map(|nodes| (precise(*nodes), nodes.to_string())).collect(),
        y_tick: tick,
    };
    plot::figure(title, &plot.draw(), caption)
}

pub(super) const fn sum(entries: Entries) -> usize {
    entries.routes + entries.neighbors + entries.fdb
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a measurement")]
const fn micros(growth: &Growth) -> f64 {
    growth.micros as f64
}

#[expect(clippy::cast_precision_loss, reason = "nodes and entries")]
const fn precise(number: usize) -> f64 {
    number as f64
}
