//! A comparison for people: the finding, the conditions, a table for each workload.

use std::fmt::Write as _;

use netlab::compare::{
    result::{Comparison, LEAST_PAIRS, Measure, Measured, Ratio, Round, Series, Verdict},
    statistics::Estimate,
    wording::{self, number, retransmits},
    workload::Workload,
};

use crate::cmd::output;

/// Draws it; the first line is the finding.
pub(super) fn draw(comparison: &Comparison) -> String {
    let mut text = format!("{}\n\n{}\n", comparison.finding, conditions(comparison));
    for workload in &comparison.conditions.options.workloads {
        let of = |series: &&Series| series.workload == *workload;
        let all: Vec<_> = comparison.series.iter().filter(of).collect();
        text.push_str(&section(*workload, &all));
    }
    text.push_str(&legend(comparison));
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

fn section(workload: Workload, all: &[&Series]) -> String {
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
    let (name, lines) = (wording::workload(workload), lines.join("\n"));
    let mut text = format!("{workload}: {name}\n{lines}\n");
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

fn ratio(ratio: Option<Ratio>) -> String {
    let Some(ratio) = ratio else { return "-".to_owned() };
    let mark = match ratio.verdict {
        Verdict::More | Verdict::Less => "",
        Verdict::Unclear => " ~",
        Verdict::TooFew => " ?",
    };
    format!("{:.2}{mark}", ratio.estimate)
}

fn bpf(series: &Series) -> String {
    wording::bpf(series).map_or_else(|| "-".to_owned(), number)
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

fn legend(comparison: &Comparison) -> String {
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
