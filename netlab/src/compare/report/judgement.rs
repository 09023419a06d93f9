//! What the ratios allow to say, in the words of the page. Pure.

use maud::{Markup, html};

use crate::{
    compare::{
        options::Proxy,
        plan::Cell,
        result::{Comparison, Measure, Measured, Ratio, Series},
        standing::Standing,
        workload::Workload,
    },
    lab::Mode,
};

/// Mark of what is too noisy to tell.
pub(super) const UNCLEAR: &str = "~";
/// Mark of what has too few rounds.
pub(super) const TOO_FEW: &str = "?";
/// Mark of what tells more of the load than of the cell.
pub(super) const BOUND: &str = "†";

/// Mark of what loses packets.
pub(super) const LOSSY: &str = "!";

/// The measure of a series that matters most.
pub(super) fn main(series: &Series) -> Option<&Measured> {
    series.measures.first()
}

/// By how much a ratio is off 1, and which way: `31% less`, or `31% worse` where that may be said.
pub(super) fn change(ratio: &Ratio, standing: Standing) -> String {
    let part = ratio.estimate.median - 1.0;
    let by = match part.abs() {
        _ if ratio.estimate.median >= 2.0 => {
            return format!("{} ×", crate::compare::wording::number(ratio.estimate.median));
        }
        part if part < 0.1 => format!("{:.1}%", part * 100.0),
        part => format!("{:.0}%", part * 100.0),
    };
    let way = match standing {
        Standing::Better => "better",
        Standing::Worse => "worse",
        _ if part < 0.0 => "less",
        _ => "more",
    };
    format!("{by} {way}")
}

/// The name of what the measure of a workload tells.
pub(super) fn subject(workload: Workload, measure: Measure) -> String {
    match measure {
        Measure::LatencyP50 => format!("{workload} latency"),
        measure => format!("{workload} {}", noun(measure)),
    }
}

/// The name of a measure.
pub(super) const fn noun(measure: Measure) -> &'static str {
    match measure {
        Measure::Throughput => "throughput",
        Measure::Rate => "rate",
        Measure::LatencyP50 => "median latency",
        Measure::LatencyP90 => "p90 latency",
        Measure::LatencyP99 => "p99 latency",
        Measure::LatencyMax => "longest latency",
        Measure::CpuPerOperation => "CPU time an operation",
        Measure::CpuPerMib => "CPU time a MiB",
    }
}

/// A network's name as it is written.
pub(super) const fn network(mode: Mode) -> &'static str {
    match mode {
        Mode::HostGw => "host-gw",
        Mode::Vxlan => "VXLAN",
    }
}

/// A proxy's name in a sentence.
pub(super) fn with(proxy: Proxy) -> String {
    match proxy {
        Proxy::None => "without a proxy".to_owned(),
        proxy => format!("with {proxy}"),
    }
}

/// Proxies in the order in which they were measured.
pub(super) fn proxies(comparison: &Comparison) -> &[Proxy] {
    &comparison.conditions.options.proxies
}

/// The series of a workload, in the order of the cells.
pub(super) fn of_workload(comparison: &Comparison, workload: Workload) -> Vec<&Series> {
    comparison.series.iter().filter(|series| series.workload == workload).collect()
}

/// The series of a workload in a cell.
pub(super) fn find(comparison: &Comparison, workload: Workload, cell: Cell) -> Option<&Series> {
    comparison.series.iter().find(|series| series.workload == workload && series.cell == cell)
}

/// A value and its interval, with their unit once where it is the same.
pub(super) fn bracketed([median, low, high]: [String; 3]) -> String {
    let unit = |text: &str| text.split_once(' ').map(|(_, unit)| unit.to_owned());
    let same = unit(&low) == unit(&high) && unit(&median) == unit(&low);
    let number = |text: &String| match text.split_once(' ') {
        Some((number, _)) if same => number.to_owned(),
        _ => text.clone(),
    };
    format!("{median} [{} – {}]", number(&low), number(&high))
}

/// Text whose words are not broken at their hyphens, as `host-gw`.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (at, word) in text.split(' ').enumerate() {
            @if at > 0 { " " }
            @if word.contains('-') && word.chars().count() < 24 { span class="whole" { (word) } } @else { (word) }
        }
    }
}

/// A sentence with a capital at its beginning.
pub(super) fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_written_once_where_it_is_the_same() {
        let of = |texts: [&str; 3]| bracketed(texts.map(str::to_owned));
        assert_eq!(of(["2 µs", "1 µs", "3 µs"]), "2 µs [1 – 3]");
        assert_eq!(of(["2 µs", "1 µs", "3 ms"]), "2 µs [1 µs – 3 ms]");
        assert_eq!(of(["20/s", "10/s", "30/s"]), "20/s [10/s – 30/s]");
    }
}
