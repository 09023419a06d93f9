//! From what was measured to a sentence. Pure.

use super::{
    options::Proxy,
    plan::Cell,
    result::{LOSSY, Measure, Measured, Ratio, Series, Verdict},
    workload::Workload,
};
use crate::lab::Mode;

/// The finding in one sentence: what VXLAN costs with the first proxy that was measured in both
/// modes, or else what proxies cost. Only what is clear is claimed.
#[must_use]
pub fn sentence(all: &[Series]) -> String {
    encapsulation(all).or_else(|| proxies(all)).unwrap_or_else(|| {
        "Nothing is compared: there is one cell only, or every round has failed.".to_owned()
    })
}

fn encapsulation(all: &[Series]) -> Option<String> {
    let first = all.iter().find(|series| {
        series.cell.mode == Mode::Vxlan && main(series).is_some_and(|m| m.to_host_gw.is_some())
    })?;
    let of = all.iter().filter(|series| series.cell == first.cell);
    let objection = |series: &Series| objection(all, series, Cell::without_encapsulation);
    let tell = |series| tell(series, objection(series), |m| m.to_host_gw);
    let told: Vec<_> = of.filter_map(tell).collect();
    let with = match first.cell.proxy {
        Proxy::None => "without a proxy".to_owned(),
        proxy => format!("with {proxy}"),
    };
    Some(say("VXLAN", "host-gw", &with, &told))
}

fn proxies(all: &[Series]) -> Option<String> {
    let first = all.iter().find(|series| main(series).is_some_and(|m| m.to_none.is_some()))?;
    let of = all.iter().filter(|series| series.cell == first.cell);
    let objection = |series: &Series| objection(all, series, Cell::without_proxy);
    let tell = |series| tell(series, objection(series), |m| m.to_none);
    let told: Vec<_> = of.filter_map(tell).collect();
    let (proxy, mode) = (first.cell.proxy, first.cell.mode);
    Some(say(&proxy.to_string(), "no proxy", &format!("over {mode}"), &told))
}

/// What is clear, or that nothing is.
fn say(who: &str, than: &str, with: &str, told: &[Told]) -> String {
    let sum = |wanted: fn(&Told) -> Option<&str>| -> Vec<&str> {
        told.iter().filter_map(wanted).collect()
    };
    let clear = sum(|told| match told {
        Told::Clear(text) => Some(text),
        Told::Not(_) | Told::Bound(_) | Told::Lossy(_) => None,
    });
    let unclear = sum(|told| match told {
        Told::Not(subject) => Some(subject),
        Told::Clear(_) | Told::Bound(_) | Told::Lossy(_) => None,
    });
    let bound = sum(|told| match told {
        Told::Bound(subject) => Some(subject),
        Told::Clear(_) | Told::Not(_) | Told::Lossy(_) => None,
    });
    let lossy = sum(|told| match told {
        Told::Lossy(subject) => Some(subject),
        Told::Clear(_) | Told::Not(_) | Told::Bound(_) => None,
    });
    let said = match (clear.as_slice(), unclear.as_slice()) {
        ([], _) => format!(
            "Between {who} and {than}, {with}, no difference is clear here: too few rounds, or \
             too noisy to tell."
        ),
        (clear, []) => format!("{who} {} here, against {than}, {with}.", list(clear)),
        (clear, unclear) => format!(
            "{who} {} here, against {than}, {with}; too noisy to tell: {}.",
            list(clear),
            unclear.join(", ")
        ),
    };
    let besides = [("bound by the load itself in both", bound), ("drops packets", lossy)];
    let besides = besides.iter().filter(|(_, subjects)| !subjects.is_empty());
    besides.fold(said, |said, (why, subjects)| {
        format!("{}; {why}: {}.", said.trim_end_matches('.'), subjects.join(", "))
    })
}

/// What a workload tells.
enum Told {
    /// `costs 12% of bulk throughput`.
    Clear(String),
    /// What nothing can be said of.
    Not(String),
    /// What tells of the load rather than of either side.
    Bound(String),
    /// Where packets are lost, so that it is not the same work.
    Lossy(String),
}

/// Why nothing is claimed of a workload, whatever the ratio: it is the load's own ceiling in the
/// cell and in what that is compared with, or either drops.
fn objection(
    all: &[Series],
    series: &Series,
    base: impl Fn(Cell) -> Option<Cell>,
) -> Option<fn(String) -> Told> {
    let base = base(series.cell);
    let of_base = |other: &&Series| other.workload == series.workload && Some(other.cell) == base;
    let both = [series, all.iter().find(of_base)?];
    if both.iter().any(|one| one.loss().is_some_and(|loss| loss > LOSSY)) {
        return Some(Told::Lossy);
    }
    both.iter().all(|one| one.generator_bound).then_some(Told::Bound)
}

fn tell(
    series: &Series,
    objection: Option<fn(String) -> Told>,
    ratio: impl Fn(&Measured) -> Option<Ratio>,
) -> Option<Told> {
    let measured = main(series)?;
    let ratio = ratio(measured)?;
    let subject = subject(series.workload, measured.measure);
    if let Some(told) = objection {
        return Some(told(subject));
    }
    let percent = (ratio.estimate.median - 1.0).abs() * 100.0;
    let percent = if percent < 10.0 { format!("{percent:.1}%") } else { format!("{percent:.0}%") };
    let better = measured.measure.more_is_better();
    Some(match (ratio.verdict, better) {
        (Verdict::Less, true) => Told::Clear(format!("costs {percent} of {subject}")),
        (Verdict::More, _) => Told::Clear(format!("adds {percent} to {subject}")),
        (Verdict::Less, false) => Told::Clear(format!("takes {percent} off {subject}")),
        (Verdict::Unclear | Verdict::TooFew, _) => Told::Not(subject),
    })
}

/// The measure that matters most.
fn main(series: &Series) -> Option<&Measured> {
    series.measures.first()
}

fn subject(workload: Workload, measure: Measure) -> String {
    let what = match measure {
        Measure::Throughput => "throughput",
        Measure::Rate => "rate",
        Measure::LatencyP50 | Measure::LatencyP90 | Measure::LatencyP99 => "latency",
        Measure::CpuPerOperation | Measure::CpuPerMib => "CPU time",
    };
    match workload {
        Workload::FirstByte => "the time to the first byte".to_owned(),
        Workload::Pps => "small-packet rate".to_owned(),
        Workload::PpsMtu => "MTU-sized packet rate".to_owned(),
        Workload::PpsRandom => "small-packet rate from random ports".to_owned(),
        workload => format!("{workload} {what}"),
    }
}

fn list(parts: &[&str]) -> String {
    match parts {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{
        result::{Round, judged, rates},
        usage::Usage,
        workload::Work,
    };

    #[test]
    fn what_vxlan_costs_is_said_first() {
        let all = judged(vec![
            rates(Mode::HostGw, Proxy::EbpfXdp, &[Some(1000); 7]),
            rates(Mode::Vxlan, Proxy::EbpfXdp, &[Some(690); 7]),
            rates(Mode::HostGw, Proxy::None, &[Some(2000); 7]),
        ]);
        assert_eq!(
            sentence(&all),
            "VXLAN costs 31% of connect rate here, against host-gw, with ebpf-xdp."
        );
    }

    #[test]
    fn with_one_mode_it_is_what_a_proxy_costs() {
        let all = judged(vec![
            rates(Mode::HostGw, Proxy::Iptables, &[Some(1050); 7]),
            rates(Mode::HostGw, Proxy::None, &[Some(1000); 7]),
        ]);
        assert_eq!(
            sentence(&all),
            "iptables adds 5.0% to connect rate here, against no proxy, over host-gw."
        );
    }

    #[test]
    fn what_the_load_bounds_on_both_sides_is_not_claimed() {
        let pps = |mode, rate, generator_bound| {
            let series = rates(mode, Proxy::None, &[Some(rate); 7]);
            Series { workload: Workload::Pps, generator_bound, ..series }
        };
        let said = |bound| {
            sentence(&judged(vec![
                rates(Mode::HostGw, Proxy::None, &[Some(1000); 7]),
                rates(Mode::Vxlan, Proxy::None, &[Some(690); 7]),
                pps(Mode::HostGw, 100, true),
                pps(Mode::Vxlan, 95, bound),
            ]))
        };
        assert_eq!(
            said(true),
            "VXLAN costs 31% of connect rate here, against host-gw, without a proxy; bound by the \
             load itself in both: small-packet rate."
        );
        let clear = "costs 31% of connect rate and costs 5.0% of small-packet rate here";
        assert!(said(false).contains(clear), "{}", said(false));
    }

    #[test]
    fn what_drops_packets_is_not_claimed_whoever_drops() {
        let pps = |mode, lost| {
            let round = |work| Round::Done { work, usage: Usage::default() };
            let work = Work { seconds: 1.0, operations: 1000, lost, ..Work::default() };
            let series = rates(mode, Proxy::EbpfTc, &[]);
            Series { workload: Workload::PpsRandom, rounds: vec![round(work); 7], ..series }
        };
        let said = |host_gw, vxlan| {
            sentence(&judged(vec![pps(Mode::HostGw, host_gw), pps(Mode::Vxlan, vxlan)]))
        };
        for (host_gw, vxlan) in [(20, 0), (0, 20)] {
            let said = said(host_gw, vxlan);
            assert!(
                said.ends_with("; drops packets: small-packet rate from random ports."),
                "{said}"
            );
        }
        assert!(!said(5, 5).contains("drops"), "{}", said(5, 5));
    }

    #[test]
    fn what_is_not_clear_is_not_claimed() {
        let all = judged(vec![
            rates(Mode::HostGw, Proxy::None, &[Some(1000); 2]),
            rates(Mode::Vxlan, Proxy::None, &[Some(500); 2]),
        ]);
        assert!(sentence(&all).contains("no difference is clear"), "{}", sentence(&all));
        let alone = judged(vec![rates(Mode::HostGw, Proxy::None, &[Some(1); 7])]);
        assert!(sentence(&alone).starts_with("Nothing is compared"));
    }
}
