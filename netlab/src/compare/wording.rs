//! What is said of a comparison wherever it is shown: names, and numbers as people read them.
//! Pure.

use super::{
    result::{LOSSY, Measure, Round, Series, loss},
    statistics::median,
    workload::Workload,
};

/// What is done, in a few words.
#[must_use]
pub const fn workload(workload: Workload) -> &'static str {
    match workload {
        Workload::Request => "64 bytes there and back, one TCP connection",
        Workload::Connect => "TCP connections with a request each, one after the other",
        Workload::Datagram => "64 bytes there and back, UDP",
        Workload::Bulk => "one TCP stream to the pod",
        Workload::Bulk4 => "four TCP streams to the pod",
        Workload::Pps => "the smallest datagrams one way, source ports in turn",
        Workload::PpsMtu => "the largest datagrams one way, source ports in turn",
        Workload::PpsRandom => "the smallest datagrams one way, source ports at random",
        Workload::FirstByte => "from a connection's first packet to the answer's first byte",
    }
}

/// `a`, `a and b`, `a, b and c`.
#[must_use]
pub fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// Three digits or so.
#[must_use]
pub fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// A number with its unit, scaled so that it is short: `1.23 Gbit/s`, `45.6 µs`.
#[must_use]
pub fn quantity(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Throughput if value >= 1e3 => format!("{} Gbit/s", number(value / 1e3)),
        Measure::Throughput => format!("{} Mbit/s", number(value)),
        Measure::Rate => format!("{}/s", count(value)),
        Measure::LatencyP50
        | Measure::LatencyP90
        | Measure::LatencyP99
        | Measure::LatencyMax
        | Measure::CpuPerOperation => time(value),
        Measure::CpuPerMib => time(value * 1e3),
    }
}

/// Microseconds, in the unit that makes the number short.
#[must_use]
pub fn time(microseconds: f64) -> String {
    match microseconds {
        value if value >= 1e6 => format!("{} s", number(value / 1e6)),
        value if value >= 1e3 => format!("{} ms", number(value / 1e3)),
        value => format!("{} µs", number(value)),
    }
}

/// A count, in thousands or millions where it is large.
#[must_use]
pub fn count(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", number(value / 1e6)),
        value if value >= 1e4 => format!("{} k", number(value / 1e3)),
        value if value.fract() == 0.0 => format!("{value:.0}"),
        value => number(value),
    }
}

/// Segments that were sent again in a round, the median of those that count; nothing where none
/// does.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "segments of one turn are far below 2^52")]
pub fn retransmits(rounds: &[Round]) -> Option<f64> {
    let of = |round: &Round| match round {
        Round::Done { usage, .. } => Some(usage.retransmits as f64),
        Round::Failed { .. } => None,
    };
    median(&rounds.iter().filter_map(of).collect::<Vec<_>>())
}

/// In percent of what was sent, in all rounds that count; nothing where nothing was.
#[must_use]
pub fn lost(rounds: &[Round]) -> Option<String> {
    let loss = loss(rounds)?;
    let mark = if loss > LOSSY { " !" } else { "" };
    Some(format!("{:.2}{mark}", loss * 100.0))
}

/// What both nodes' programs run for: nanoseconds an operation, or microseconds a MiB where
/// there are no operations. Nothing where there are no programs.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of one turn are far below 2^52")]
pub fn bpf(series: &Series) -> Option<f64> {
    const MIB: f64 = 1024.0 * 1024.0;
    let metered = series.metered.as_ref()?;
    let (work, bpf) = (metered.work, metered.bpf?);
    Some(if work.operations > 0 {
        bpf.seconds * 1e9 / work.operations as f64
    } else {
        bpf.seconds * 1e6 / (work.bytes as f64 / MIB)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::workload::Work;

    #[test]
    fn numbers_have_three_digits_or_so() {
        assert_eq!([1234.5, 99.96, 12.34, 1.234].map(number), ["1234", "100.0", "12.3", "1.23"]);
    }

    #[test]
    fn loss_is_of_all_rounds_and_marked_where_it_is_much() {
        let round = |came, lost| {
            let work = Work { operations: came, lost, ..Work::default() };
            Round::Done { work, usage: Default::default() }
        };
        let failed = || Round::Failed { reason: "it broke".into() };
        let told = |rounds: &[Round]| lost(rounds).unwrap_or_default();
        assert_eq!(told(&[round(500, 0), failed(), round(480, 20)]), "2.00 !");
        assert_eq!(told(&[round(9_999, 1)]), "0.01");
        assert_eq!(told(&[failed()]), "");
    }

    #[test]
    fn quantities_are_in_the_unit_that_makes_them_short() {
        assert_eq!(quantity(Measure::Throughput, 9412.0), "9.41 Gbit/s");
        assert_eq!(quantity(Measure::Throughput, 941.2), "941 Mbit/s");
        assert_eq!(quantity(Measure::Rate, 1_234_567.0), "1.23 M/s");
        assert_eq!(quantity(Measure::LatencyP50, 45.61), "45.6 µs");
        assert_eq!(quantity(Measure::LatencyP99, 4561.0), "4.56 ms");
        assert_eq!(quantity(Measure::CpuPerMib, 1.5), "1.50 ms");
        assert_eq!([7.0, 1000.0, 25_000.0].map(count), ["7", "1000", "25.0 k"]);
    }
}
