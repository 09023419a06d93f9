//! A table for each workload: one row a cell.

use std::fmt::Write as _;

use netlab::compare::{
    result::{Comparison, LEAST_PAIRS, Measure, Measured, Ratio, Round, Series, Verdict},
    statistics::Estimate,
    workload::Workload,
};

use crate::cmd::output;

/// One workload in all cells.
pub(super) fn section(workload: Workload, all: &[&Series]) -> String {
    let measures = Measure::of_workload(workload);
    let Some((main, others)) = measures.split_first() else { return String::new() };
    let mut header = vec!["CELL".to_owned(), heading(*main), "TO NONE".to_owned()];
    header.push("TO HOST-GW".to_owned());
    header.extend(others.iter().map(|measure| heading(*measure)));
    let bpf = match workload {
        Workload::Bulk | Workload::Bulk4 => "BPF us/MiB",
        _ => "BPF ns/OP",
    };
    header.extend(["RETRANSMITS", bpf, "FAILED"].map(str::to_owned));
    let header: Vec<_> = header.iter().map(String::as_str).collect();
    let mut table = output::table(&header);
    for series in all {
        table.add_row(row(series));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let mut text = format!("{}\n{}\n", title(workload), lines.join("\n"));
    for series in all {
        for (at, round) in series.rounds.iter().enumerate() {
            if let Round::Failed { reason } = round {
                let _ = writeln!(text, "  {}: round {} failed: {reason}", series.cell, at + 1);
            }
        }
    }
    text.push('\n');
    text
}

fn row(series: &Series) -> Vec<String> {
    let mut measures = series.measures.iter();
    let main = measures.next();
    let mut row = vec![series.cell.to_string()];
    row.push(interval(main));
    row.push(ratio(main.and_then(|main| main.to_none)));
    row.push(ratio(main.and_then(|main| main.to_host_gw)));
    row.extend(measures.map(|measured| {
        measured.estimate.map_or_else(|| "-".to_owned(), |estimate| number(estimate.median))
    }));
    row.push(retransmits(series).to_string());
    row.push(bpf(series));
    row.push(match series.failures() {
        0 => "0".to_owned(),
        failed => format!("{failed} of {}", series.rounds.len()),
    });
    row
}

fn interval(measured: Option<&Measured>) -> String {
    let Some(Estimate { median, low, high }) = measured.and_then(|one| one.estimate) else {
        return "-".to_owned();
    };
    format!("{} [{}, {}]", number(median), number(low), number(high))
}

pub(super) fn ratio(ratio: Option<Ratio>) -> String {
    let Some(ratio) = ratio else { return "-".to_owned() };
    let mark = match ratio.verdict {
        Verdict::More | Verdict::Less => "",
        Verdict::Unclear => " ~",
        Verdict::TooFew => " ?",
    };
    format!("{:.2}{mark}", ratio.estimate)
}

/// Three digits or so.
pub(super) fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn retransmits(series: &Series) -> u64 {
    let of = |round: &Round| match round {
        Round::Done { usage, .. } => usage.retransmits,
        Round::Failed { .. } => 0,
    };
    series.rounds.iter().map(of).sum()
}

/// Nanoseconds an operation, or microseconds a MiB where there are no operations.
#[expect(clippy::cast_precision_loss, reason = "counts of one turn are far below 2^52")]
fn bpf(series: &Series) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    let metered = series.metered.as_ref();
    let Some((work, bpf)) = metered.and_then(|metered| Some((metered.work, metered.bpf?))) else {
        return "-".to_owned();
    };
    if work.operations > 0 {
        return number(bpf.seconds * 1e9 / work.operations as f64);
    }
    number(bpf.seconds * 1e6 / (work.bytes as f64 / MIB))
}

fn title(workload: Workload) -> String {
    let what = match workload {
        Workload::Request => "64 bytes there and back, one TCP connection",
        Workload::Connect => "TCP connections with a request each, one after the other",
        Workload::Datagram => "64 bytes there and back, UDP",
        Workload::Bulk => "one TCP stream to the pod",
        Workload::Bulk4 => "four TCP streams to the pod",
        Workload::Pps => "the smallest datagrams one way, source ports in turn",
        Workload::PpsMtu => "the largest datagrams one way, source ports in turn",
        Workload::PpsRandom => "the smallest datagrams one way, source ports at random",
        Workload::FirstByte => "from a connection's first packet to the answer's first byte",
    };
    format!("{workload}: {what}")
}

fn heading(measure: Measure) -> String {
    match measure {
        Measure::Throughput => "Mbit/s [95%]",
        Measure::Rate => "PER SECOND [95%]",
        Measure::LatencyP50 => "p50 us",
        Measure::LatencyP90 => "p90 us",
        Measure::LatencyP99 => "p99 us",
        Measure::CpuPerOperation => "CPU us/OP",
        Measure::CpuPerMib => "CPU ms/MiB",
    }
    .to_owned()
}

/// How to read the tables.
pub(super) fn legend(comparison: &Comparison) -> String {
    let mut text = "Medians of rounds with 95% bootstrap intervals. TO NONE: ratio to the same \
         network without a proxy; TO HOST-GW: to the same\nproxy over host-gw; both of the first \
         column's numbers, round by round. CPU: of the whole machine, other programs too.\nBPF: \
         of both nodes' programs, in the warm-up.\n"
        .to_owned();
    let verdicts = |wanted| {
        let all = comparison.series.iter().filter_map(|series| series.measures.first());
        let mut ratios = all.flat_map(|main| [main.to_none, main.to_host_gw]).flatten();
        ratios.any(|ratio| ratio.verdict == wanted)
    };
    if verdicts(Verdict::Unclear) {
        text.push_str("~ too noisy to tell: the interval includes 1\n");
    }
    if verdicts(Verdict::TooFew) {
        let _ = writeln!(text, "? fewer than {LEAST_PAIRS} rounds: nothing can be claimed");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_so() {
        assert_eq!([1234.5, 99.96, 12.34, 1.234].map(number), ["1234", "100.0", "12.3", "1.23"]);
    }

    #[test]
    fn ratios_are_marked_where_they_say_nothing() {
        let of = |verdict| {
            let estimate = Estimate { median: 1.1, low: 0.9, high: 1.2 };
            ratio(Some(Ratio { estimate, pairs: 7, verdict }))
        };
        assert_eq!(of(Verdict::More), "1.10 [0.90, 1.20]");
        assert_eq!(of(Verdict::Unclear), "1.10 [0.90, 1.20] ~");
        assert_eq!(of(Verdict::TooFew), "1.10 [0.90, 1.20] ?");
        assert_eq!(ratio(None), "-");
    }
}
