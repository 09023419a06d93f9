//! The numbers of each workload: plots of the measures that matter most, curves of latencies,
//! and tables of all.

use maud::{Markup, html};

use super::{
    judgement::{
        BOUND, TOO_FEW, UNCLEAR, bracketed, capital, main, network, noun, of_workload, proxies,
    },
    plot::{
        self, Look,
        dots::{self, Dot, Dots, Row},
        scale::Scale,
    },
    table,
};
use crate::compare::{
    result::{Comparison, LimitKind, Measure, Measured, Ratio, Series, Verdict, first_proxy},
    statistics::Estimate,
    wording::{self, count, number, quantity},
    workload::Workload,
};

/// A limit that is further away than this, in largest values, would press all marks together.
const FARTHEST_LIMIT: f64 = 2.5;

/// Throughput and rates, a plot for each workload that is about them; nothing without any.
pub(super) fn rates(comparison: &Comparison) -> Option<Markup> {
    let is_rate = |workload: &&Workload| {
        Measure::of_workload(**workload).first().is_some_and(|measure| measure.more_is_better())
    };
    let workloads = comparison.conditions.options.workloads.iter().filter(is_rate);
    let plots: Vec<_> = workloads.filter_map(|workload| rate(comparison, *workload)).collect();
    (!plots.is_empty()).then(|| {
        html! {
            section id="rates" {
                h2 { "How much, how fast" }
                p {
                    "Medians of the rounds with their 95% intervals, from zero: twice as far to "
                    "the right is twice as much."
                }
                (super::answer::modes_legend(&comparison.conditions.options.modes))
                div class="plots" { (plot::all(plots)) }
            }
        }
    })
}

fn rate(comparison: &Comparison, workload: Workload) -> Option<Markup> {
    let all = of_workload(comparison, workload);
    let known: Vec<(&Series, Measure, Estimate)> = all
        .iter()
        .filter_map(|series| {
            let measured = main(series)?;
            Some((*series, measured.measure, measured.estimate?))
        })
        .collect();
    let (_, measure, _) = *known.first()?;
    let rows: Vec<Row> = proxies(comparison)
        .iter()
        .map(|proxy| Row {
            name: proxy.to_string(),
            dots: known.iter().filter(|known| known.0.cell.proxy == *proxy).map(dot).collect(),
        })
        .collect();
    let highs = known.iter().map(|known| known.2.high);
    let most = highs.clone().fold(0.0, f64::max);
    let (references, beyond): (Vec<_>, Vec<_>) = limits(comparison, workload, measure)
        .into_iter()
        .partition(|(value, _)| *value <= most * FARTHEST_LIMIT);
    let largest = highs.chain(references.iter().map(|reference| reference.0));
    let scale = Scale::from_zero(largest, dots::ACROSS);
    let mut caption = extremes(&known, measure);
    for (_, name) in beyond {
        caption.push_str(&format!(" Beyond the plot is {name}."));
    }
    let title = format!("{}: {}", workload, noun(measure));
    let plot = Dots {
        id: &format!("rate-{workload}"),
        title: &title,
        description: &caption,
        rows,
        scale,
        tick: &|value| match measure {
            Measure::Throughput => short(value * 1e6),
            _ => short(value),
        },
        ends: if measure == Measure::Throughput {
            ["bit/s of payload", ""]
        } else {
            ["a second", ""]
        },
        references,
    };
    Some(plot::figure(
        &title,
        &plot.draw(),
        &capital(&format!("{}. {caption}", wording::workload(workload))),
    ))
}

/// A tick's value, with as few letters as it takes.
fn short(value: f64) -> String {
    let trimmed = |value: f64, unit: &str| {
        let text = format!("{value:.2}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match value {
        value if value >= 1e9 => trimmed(value / 1e9, " G"),
        value if value >= 1e6 => trimmed(value / 1e6, " M"),
        value if value >= 1e3 => trimmed(value / 1e3, " k"),
        value => trimmed(value, ""),
    }
}

fn dot((series, measure, estimate): &(&Series, Measure, Estimate)) -> Dot {
    let [median, low, high] =
        [estimate.median, estimate.low, estimate.high].map(|value| quantity(*measure, value));
    let bound = if series.generator_bound { BOUND } else { "" };
    // The unit is at the axis.
    let value = match measure {
        Measure::Throughput => median.replace("bit/s", ""),
        _ => count(estimate.median),
    };
    Dot {
        look: Look::of_mode(series.cell.mode),
        estimate: *estimate,
        value: format!("{value}{bound}"),
        words: format!("{}: {median} [{low}, {high}]", series.cell),
        says: !series.generator_bound,
    }
}

/// The ceilings that were measured.
fn limits(comparison: &Comparison, workload: Workload, measure: Measure) -> Vec<(f64, String)> {
    let of = comparison.limits.iter().filter(|limit| limit.workload == workload);
    of.filter_map(|limit| {
        let measured = limit.measures.iter().find(|measured| measured.measure == measure)?;
        let name = match limit.kind {
            LimitKind::Veth => "the load's own ceiling",
            LimitKind::Forward => "bare XDP forwarding",
        };
        let median = measured.estimate?.median;
        Some((median, format!("{name}: {}", quantity(measure, median))))
    })
    .collect()
}

/// The most and the least, where they can be told apart.
fn extremes(known: &[(&Series, Measure, Estimate)], measure: Measure) -> String {
    let by_median = |a: &&(&Series, Measure, Estimate), b: &&(&Series, Measure, Estimate)| {
        a.2.median.total_cmp(&b.2.median)
    };
    let (Some(most), Some(least)) =
        (known.iter().max_by(by_median), known.iter().min_by(by_median))
    else {
        return String::new();
    };
    let name =
        |series: &Series| format!("{} over {}", series.cell.proxy, network(series.cell.mode));
    if known.len() < 2 {
        return format!("{}: {}.", capital(&name(most.0)), quantity(measure, most.2.median));
    }
    if most.2.overlaps(&least.2) {
        return "No difference is clear: the intervals of the most and the least overlap."
            .to_owned();
    }
    format!(
        "Most: {}, {}; least: {}, {}.",
        name(most.0),
        quantity(measure, most.2.median),
        name(least.0),
        quantity(measure, least.2.median)
    )
}

/// A table for each workload.
pub(super) fn tables(comparison: &Comparison) -> Markup {
    html! {
        section id="numbers" {
            h2 { "All numbers" }
            p {
                "Medians of the rounds, with 95% bootstrap intervals in brackets. Ratios are "
                "taken round by round and belong to the first number. CPU time is that of the whole "
                "machine, other programs too; eBPF is what both nodes' programs ran for, in one "
                "turn that counts for nothing else. What was sent again is that of a round, the "
                "median; ! marks what loses so much that it is not the same work."
            }
            @for workload in &comparison.conditions.options.workloads {
                @let all = of_workload(comparison, *workload);
                @if !all.is_empty() { (of(comparison, *workload, &all)) }
            }
        }
    }
}

/// One of a measure's ratios.
type OfMeasured = fn(&Measured) -> Option<Ratio>;

fn of(comparison: &Comparison, workload: Workload, all: &[&Series]) -> Markup {
    let measures = Measure::of_workload(workload);
    let Some((first, others)) = measures.split_first() else { return html! {} };
    let bulk = matches!(workload, Workload::Bulk | Workload::Bulk4);
    let to_first = first_proxy(&comparison.series).map(|proxy| format!("to {proxy}"));
    let ratio_columns: [(&str, OfMeasured); 5] = [
        ("to no proxy", |m| m.to_none),
        ("to host-gw", |m| m.to_host_gw),
        (to_first.as_deref().unwrap_or_default(), |m| m.to_first),
        ("to the load's ceiling", |m| m.to_veth),
        ("to bare forwarding", |m| m.to_forward),
    ];
    // A column that nothing is in would only take room.
    let has =
        |of: fn(&Measured) -> Option<Ratio>| all.iter().any(|s| main(s).and_then(of).is_some());
    let ratios: Vec<_> = ratio_columns.into_iter().filter(|(_, of)| has(*of)).collect();
    let mut header = vec!["cell".to_owned(), noun(*first).to_owned()];
    header.extend(ratios.iter().map(|(name, _)| (*name).to_owned()));
    header.extend(others.iter().map(|measure| noun(*measure).to_owned()));
    let udp = workload.is_udp();
    header.push(if udp { "lost, %" } else { "sent again" }.to_owned());
    let has_bpf = all.iter().any(|series| wording::bpf(series).is_some());
    if has_bpf {
        header.push(if bulk { "eBPF a MiB".to_owned() } else { "eBPF an operation".to_owned() });
    }
    header.push("failed".to_owned());
    let row = |series: &&Series| {
        let mut measures = series.measures.iter();
        let first = measures.next();
        let bound = if series.generator_bound { format!(" {BOUND}") } else { String::new() };
        let mut row = vec![series.cell.to_string(), format!("{}{bound}", interval(first))];
        row.extend(ratios.iter().map(|(_, of)| ratio(first.and_then(of))));
        row.extend(measures.map(value));
        let astray = match udp {
            true => wording::lost(&series.rounds),
            false => wording::retransmits(&series.rounds).map(count),
        };
        row.push(astray.unwrap_or_else(|| "–".to_owned()));
        if has_bpf {
            let unit = if bulk { "µs" } else { "ns" };
            let bpf = wording::bpf(series);
            row.push(bpf.map_or_else(|| "–".to_owned(), |bpf| format!("{} {unit}", number(bpf))));
        }
        row.push(match series.failures() {
            0 => "0".to_owned(),
            failed => format!("{failed} of {}", series.rounds.len()),
        });
        row
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    html! {
        h3 { (workload) }
        p class="about" { (capital(wording::workload(workload))) "." }
        (table(&format!("Numbers of {workload}"), &header, &rows))
        (hosts(all))
    }
}

/// Where the kernel spent its time, by host; nothing where that is not known.
fn hosts(all: &[&Series]) -> Markup {
    let metered =
        |series: &&&Series| series.metered.as_ref().is_some_and(|metered| metered.hosts.is_some());
    let known: Vec<_> = all.iter().filter(metered).collect();
    let mut names: Vec<&String> = known
        .iter()
        .filter_map(|series| series.metered.as_ref()?.hosts.as_ref())
        .flat_map(|hosts| hosts.keys())
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return html! {};
    }
    let row = |series: &&&Series| {
        let time = |name: &&String| {
            let time = series.metered.as_ref().and_then(|metered| metered.of_host(name));
            time.map_or_else(|| "–".to_owned(), wording::time)
        };
        [series.cell.to_string()].into_iter().chain(names.iter().map(time)).collect::<Vec<_>>()
    };
    let rows: Vec<_> = known.iter().map(row).collect();
    let header = ["cell".to_owned()].into_iter().chain(names.iter().map(|name| (*name).clone()));
    let unit = if all
        .iter()
        .any(|series| main(series).is_some_and(|m| m.measure == Measure::Throughput))
    {
        "a MiB"
    } else {
        "an operation"
    };
    html! {
        p class="about" { "Where it goes: the kernel's time on packets of each host, for " (unit) "." }
        (table("CPU time by host", &header.collect::<Vec<_>>(), &rows))
    }
}

fn interval(measured: Option<&Measured>) -> String {
    let Some((measure, Estimate { median, low, high })) =
        measured.and_then(|measured| Some((measured.measure, measured.estimate?)))
    else {
        return "–".to_owned();
    };
    bracketed([median, low, high].map(|value| quantity(measure, value)))
}

fn value(measured: &Measured) -> String {
    let estimate = measured.estimate;
    estimate.map_or_else(|| "–".to_owned(), |estimate| quantity(measured.measure, estimate.median))
}

pub(super) fn ratio(ratio: Option<Ratio>) -> String {
    let Some(ratio) = ratio else { return "–".to_owned() };
    let mark = match ratio.verdict {
        Verdict::More | Verdict::Less => String::new(),
        Verdict::Unclear => format!(" {UNCLEAR}"),
        Verdict::TooFew => format!(" {TOO_FEW}"),
    };
    let Estimate { median, low, high } = ratio.estimate;
    format!("{median:.2} [{low:.2} – {high:.2}]{mark}")
}
