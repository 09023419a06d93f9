//! A table for each workload: one row a cell.

use std::fmt::Write as _;

use netlab::compare::{
    options::Proxy,
    result::{
        Comparison, LEAST_PAIRS, LOSSY, Limit, LimitKind, Measure, Measured, Ratio, Round, Series,
        Verdict, first_proxy, loss,
    },
    statistics::{Estimate, median},
    traffic::Flood,
    wording::{self, number},
    workload::Workload,
};

use crate::cmd::output;

/// One workload in all cells, and the limits beside it.
pub(super) fn section(workload: Workload, all: &[&Series], limits: &[&Limit]) -> String {
    let measures = Measure::of_workload(workload);
    let Some((main, others)) = measures.split_first() else { return String::new() };
    let ceiling = limits.iter().find(|limit| limit.kind == LimitKind::Veth);
    let ceiling = ceiling.map_or(&[][..], |limit| &limit.rounds);
    let rows = all.iter().map(|series| Row::of_series(series));
    let rows = rows.chain(limits.iter().map(|limit| Row::of_limit(limit)));
    let rows: Vec<_> = rows.map(|row| row.cells(workload, ceiling)).collect();
    let table = filled(&header(workload, *main, others, first_proxy(all.iter().copied())), &rows);
    let rounds = all.iter().flat_map(|series| &series.rounds);
    let (name, frames) = (wording::workload(workload), frames(workload, rounds));
    let mut text = format!("{workload}: {name}{frames}\n{}", output::drawn(&table));
    let places = all.iter().map(|series| (series.cell.to_string(), &series.rounds));
    let limits = limits.iter().map(|limit| (limited(limit.kind).to_owned(), &limit.rounds));
    for (place, rounds) in places.chain(limits) {
        for (at, round) in rounds.iter().enumerate() {
            if let Round::Failed { reason } = round {
                let _ = writeln!(text, "  {place}: round {} failed: {reason}", at + 1);
            }
        }
    }
    for series in all {
        if let Some(reason) = &series.metering_failure {
            let _ = writeln!(text, "  {}: metering failed: {reason}", series.cell);
        }
    }
    text.push('\n');
    text
}

/// All columns that a workload may have.
fn header(
    workload: Workload,
    main: Measure,
    others: &[Measure],
    first: Option<Proxy>,
) -> Vec<String> {
    let first = first.map_or_else(String::new, |first| first.to_string().to_uppercase());
    let looked_at = match workload {
        Workload::Bulk | Workload::Bulk4 => ["BPF us/MiB", "node-1 us/MiB", "node-2 us/MiB"],
        _ => ["BPF ns/OP", "node-1 us/OP", "node-2 us/OP"],
    };
    let ratios = ["TO NONE", "TO HOST-GW", &format!("TO {first}"), "TO FORWARD", "ns OVER VETH"];
    let mut header = vec!["CELL".to_owned(), heading(main).to_owned()];
    header.extend(ratios.map(str::to_owned));
    header.extend(others.iter().map(|measure| heading(*measure).to_owned()));
    header.push(if workload.is_udp() { "LOST %" } else { "RETRANSMITS" }.to_owned());
    header.extend(looked_at.map(str::to_owned));
    header.push("FAILED".to_owned());
    header
}

/// A table of the columns that anything is in.
fn filled(header: &[String], rows: &[Vec<String>]) -> comfy_table::Table {
    let is_filled =
        |at: &usize| rows.iter().any(|row| row.get(*at).is_some_and(|cell| cell != "-"));
    let columns: Vec<_> = (0..header.len()).filter(is_filled).collect();
    let header: Vec<_> = columns.iter().map(|at| header[*at].as_str()).collect();
    let mut table = output::table(&header);
    for row in rows {
        table.add_row(columns.iter().filter_map(|at| row.get(*at)));
    }
    table
}

/// What a row of a section is made of.
struct Row<'a> {
    place: String,
    measures: &'a [Measured],
    rounds: &'a [Round],
    /// What the metering round tells.
    metered: [String; 3],
}

impl<'a> Row<'a> {
    fn of_series(series: &'a Series) -> Self {
        let mark = if series.generator_bound { " *" } else { "" };
        Self {
            place: format!("{}{mark}", series.cell),
            measures: &series.measures,
            rounds: &series.rounds,
            metered: [bpf(series), of_host(series, "node-1"), of_host(series, "node-2")],
        }
    }

    fn of_limit(limit: &'a Limit) -> Self {
        let place = limited(limit.kind).to_owned();
        let metered = ["-"; 3].map(str::to_owned);
        Self { place, measures: &limit.measures, rounds: &limit.rounds, metered }
    }

    /// One for each column of the header.
    fn cells(self, workload: Workload, ceiling: &[Round]) -> Vec<String> {
        let mut measures = self.measures.iter();
        let main = measures.next();
        let to = |of: fn(&Measured) -> Option<Ratio>| ratio(main.and_then(of));
        let mut row = vec![self.place, interval(main)];
        row.extend([to(|m| m.to_none), to(|m| m.to_host_gw), to(|m| m.to_first)]);
        row.push(to(|m| m.to_forward));
        row.push(match workload.is_flood() {
            true => over(self.rounds, ceiling),
            false => "-".to_owned(),
        });
        row.extend(measures.map(|measured| {
            measured.estimate.map_or_else(|| "-".to_owned(), |estimate| number(estimate.median))
        }));
        let astray = match workload.is_udp() {
            true => wording::lost(self.rounds),
            false => wording::retransmits(self.rounds).map(number),
        };
        row.push(astray.unwrap_or_else(|| "-".to_owned()));
        row.extend(self.metered);
        let has_failed = |round: &&Round| matches!(round, Round::Failed { .. });
        row.push(match self.rounds.iter().filter(has_failed).count() {
            0 => "-".to_owned(),
            failed => format!("{failed} of {}", self.rounds.len()),
        });
        row
    }
}

/// What a packet takes longer than on a wire alone, in nanoseconds, the median of the rounds;
/// nothing where packets are lost, since what comes is then not all that time is spent on.
fn over(rounds: &[Round], ceiling: &[Round]) -> String {
    let each = |round: &Round| match round {
        Round::Done { work, usage } => Some(1e9 / Measure::Rate.value(work, usage)?),
        Round::Failed { .. } => None,
    };
    let pairs = rounds.iter().zip(ceiling);
    let all: Vec<_> = pairs.filter_map(|(of, to)| Some(each(of)? - each(to)?)).collect();
    match median(&all) {
        Some(over) if loss(rounds).is_none_or(|loss| loss <= LOSSY) => format!("{over:.0}"),
        _ => "-".to_owned(),
    }
}

/// How long a flood's frames are.
fn frames<'a>(workload: Workload, mut rounds: impl Iterator<Item = &'a Round>) -> String {
    let payload = |round: &Round| match round {
        Round::Done { work, .. } => work.bytes.checked_div(work.operations),
        Round::Failed { .. } => None,
    };
    match rounds.find_map(payload).filter(|_| workload.is_flood()) {
        Some(payload) => format!(", {} bytes a frame", payload + Flood::HEADERS as u64),
        None => String::new(),
    }
}

const fn limited(kind: LimitKind) -> &'static str {
    match kind {
        LimitKind::Veth => "limit: veth alone",
        LimitKind::Forward => "limit: bare XDP forwarding",
    }
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

/// Microseconds an operation, or a MiB where there are no operations.
fn of_host(series: &Series, host: &str) -> String {
    let metered = series.metered.as_ref();
    metered.and_then(|metered| metered.of_host(host)).map_or_else(|| "-".to_owned(), number)
}

fn bpf(series: &Series) -> String {
    wording::bpf(series).map_or_else(|| "-".to_owned(), number)
}

/// What a column of it is called.
pub(in crate::cmd::compare) const fn heading(measure: Measure) -> &'static str {
    match measure {
        Measure::Throughput => "Mbit/s [95%]",
        Measure::Rate => "PER SECOND [95%]",
        Measure::LatencyP50 => "p50 us",
        Measure::LatencyP90 => "p90 us",
        Measure::LatencyP99 => "p99 us",
        Measure::LatencyMax => "max us",
        Measure::CpuPerOperation => "CPU us/OP",
        Measure::CpuPerMib => "CPU ms/MiB",
    }
}

/// How to read the tables.
pub(super) fn legend(comparison: &Comparison) -> String {
    let mut text = "Medians of rounds with 95% bootstrap intervals. TO: ratio, round by round, of \
         the first column's numbers. TO NONE: to the same network\nwithout a proxy; TO HOST-GW: to \
         the same proxy over host-gw; TO a proxy: to that over the same network. CPU: of the whole\n\
         machine, other programs too. BPF: of both nodes' programs; node-1, node-2: of the kernel in \
         softirqs, on packets of that\nnode; both in one turn of their own, without an interval. \
         RETRANSMITS: of a round, the median.\n"
        .to_owned();
    let verdicts = |wanted| {
        let all = comparison.series.iter().filter_map(|series| series.measures.first());
        let mut ratios =
            all.flat_map(|main| [main.to_none, main.to_host_gw, main.to_first]).flatten();
        ratios.any(|ratio| ratio.verdict == wanted)
    };
    if verdicts(Verdict::Unclear) {
        text.push_str("~ too noisy to tell: the interval includes 1\n");
    }
    if comparison.series.iter().any(|series| series.generator_bound) {
        text.push_str(
            "* bound by the load: within a tenth of what it does on a veth alone, so it tells \
             more of the load than of the cell\n",
        );
    }
    if comparison.series.iter().any(|series| series.loss().is_some_and(|loss| loss > LOSSY)) {
        text.push_str("! drops packets: what came is told, but it is not the same work\n");
    }
    if comparison.conditions.options.workloads.iter().any(|workload| workload.is_flood()) {
        text.push_str(
            "TO FORWARD: ratio to bare XDP forwarding; ns OVER VETH: what a packet takes longer \
             than on a veth alone, of the one\nCPU that sends it and carries it\n",
        );
    }
    if verdicts(Verdict::TooFew) {
        let _ = writeln!(text, "? fewer than {LEAST_PAIRS} rounds: nothing can be claimed");
    }
    text
}

#[cfg(test)]
mod tests {
    use netlab::compare::workload::Work;

    use super::*;

    fn round(came: u64, lost: u64) -> Round {
        let work = Work { seconds: 1.0, operations: came, lost, ..Work::default() };
        Round::Done { work, usage: Default::default() }
    }

    #[test]
    fn what_a_packet_takes_longer_is_the_difference_of_the_rates_inverses() {
        let [fast, slow] = [4_000_000, 1_000_000].map(|rate| vec![round(rate, 0); 3]);
        assert_eq!(over(&slow, &fast), "750");
        assert_eq!(over(&slow, &[]), "-");
        assert_eq!(over(&[round(1_000_000, 20_000)], &fast), "-");
    }

    #[test]
    fn columns_that_nothing_is_in_are_left_out() {
        let strings = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [strings(["x", "-", "-"]), strings(["y", "-", "1"])];
        let table = filled(&strings(["A", "B", "C"]), &rows).to_string();
        assert!(table.contains('C') && !table.contains('B'), "{table}");
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
