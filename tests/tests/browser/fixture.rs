//! Comparisons to make pages of.
//!
//! The file is of a real run, with three proxies; it is made complete here: the other proxies,
//! packets per second, limits, scaling, and what goes wrong.

use std::{collections::BTreeMap, sync::OnceLock};

use netlab::{
    compare::{
        options::Proxy,
        plan::Cell,
        result::{Comparison, Limit, LimitKind, Metered, Ratio, Round, Series, Step, judged},
        statistics::Estimate,
        workload::{Work, Workload},
    },
    lab::Mode,
};

/// What a real run has printed, with the properties of its networks, digits cut.
pub const RUN: &str = include_str!("../../fixtures/comparison.json");
/// Why a round has failed: what a page must not take for its own.
pub const HOSTILE: &str = "</script><img src=x onerror=\"boom()\"> & 'so on'";

const PPS: [Workload; 3] = [Workload::Pps, Workload::PpsMtu, Workload::PpsRandom];
const MODES: [Mode; 2] = [Mode::HostGw, Mode::Vxlan];

/// A real run as it is.
pub fn run() -> Comparison {
    Comparison::read(RUN).unwrap()
}

/// Everything that there can be in a comparison.
pub fn full() -> &'static Comparison {
    static FULL: OnceLock<Comparison> = OnceLock::new();
    FULL.get_or_init(complete)
}

fn complete() -> Comparison {
    let mut comparison = run();
    let options = &mut comparison.conditions.options;
    options.proxies = Proxy::ALL.to_vec();
    options.workloads.extend(PPS);
    options.scaling = vec![1, 10, 100, 1_000, 10_000];
    let measured = std::mem::take(&mut comparison.series);
    let mut series = Vec::new();
    for workload in &comparison.conditions.options.workloads {
        for proxy in Proxy::ALL {
            for mode in MODES {
                series.push(one(&measured, *workload, Cell { mode, proxy }));
            }
        }
    }
    series[3].rounds[2] = Round::Failed { reason: HOSTILE.to_owned() };
    comparison.limits = PPS.map(|workload| limit(&series, workload, LimitKind::Veth)).to_vec();
    comparison.limits.push(limit(&series, Workload::Pps, LimitKind::Forward));
    comparison.series = judged(series);
    let first = comparison.series.iter_mut().find(|series| series.workload == Workload::Pps);
    first.unwrap().generator_bound = true;
    comparison.scaling = scaling(&comparison);
    let xdp = |mode: &str| comparison.conditions.cells[&format!("{mode} ebpf-xdp")].clone();
    for (name, of) in [("host-gw", xdp("host-gw")), ("vxlan", xdp("vxlan"))] {
        for proxy in [Proxy::EbpfTc, Proxy::Iptables] {
            comparison.conditions.cells.insert(format!("{name} {proxy}"), of.clone());
        }
    }
    comparison
}

/// The least that there can be: one network, two rounds, one of them failed, nothing else.
pub fn bare() -> Comparison {
    let mut comparison = run();
    comparison.networks.clear();
    let options = &mut comparison.conditions.options;
    (options.modes, options.workloads) = (vec![Mode::HostGw], vec![Workload::Connect]);
    let mut series = std::mem::take(&mut comparison.series);
    series
        .retain(|series| series.workload == Workload::Connect && series.cell.mode == Mode::HostGw);
    for series in &mut series {
        series.rounds.truncate(2);
    }
    series[1].rounds.fill(Round::Failed { reason: "nothing was answered".to_owned() });
    comparison.series = judged(series);
    comparison
}

/// The series of a cell, or of what is most like it, a little slower.
fn one(measured: &[Series], workload: Workload, cell: Cell) -> Series {
    let like = match cell.proxy {
        Proxy::EbpfTc => Proxy::EbpfXdp,
        Proxy::Iptables => Proxy::Nftables,
        proxy => proxy,
    };
    let source = if PPS.contains(&workload) { Workload::Connect } else { workload };
    let is_source =
        |series: &&Series| series.workload == source && series.cell == Cell { proxy: like, ..cell };
    let mut series = measured.iter().find(is_source).unwrap().clone();
    let slower = if like == cell.proxy { 1.0 } else { 1.17 };
    for round in &mut series.rounds {
        let Round::Done { work, .. } = round else { continue };
        work.seconds *= slower;
        if let Some(latencies) = &mut work.latencies {
            let [p50, p90, p99, max] =
                [&mut latencies.p50, &mut latencies.p90, &mut latencies.p99, &mut latencies.max];
            [p50, p90, p99, max]
                .into_iter()
                .chain(&mut latencies.curve)
                .for_each(|at| *at *= slower);
        }
        if PPS.contains(&workload) {
            *work = Work { operations: work.operations * 211, latencies: None, ..*work };
        }
    }
    let hosts = ["client", "fabric", "node-1", "node-2", "pod"];
    let hosts =
        hosts.into_iter().zip(1_u8..).map(|(host, part)| (host.into(), 0.01 * f64::from(part)));
    let metered = series
        .metered
        .map(|metered| Metered { hosts: Some(hosts.collect::<BTreeMap<_, _>>()), ..metered });
    Series { workload, cell, metered, ..series }
}

/// A ceiling a fifth above a cell.
fn limit(series: &[Series], workload: Workload, kind: LimitKind) -> Limit {
    let higher = if kind == LimitKind::Veth { 1.9 } else { 1.5 };
    let of = series.iter().find(|series| series.workload == workload).unwrap();
    let mut rounds = of.rounds.clone();
    for round in &mut rounds {
        if let Round::Done { work, .. } = round {
            work.seconds /= higher;
        }
    }
    // As a series, for its measures.
    let series = Series { rounds: rounds.clone(), ..of.clone() };
    let measures = judged(vec![series]).remove(0).measures;
    Limit { kind, workload, rounds, measures }
}

/// eBPF and nftables do not care for the number of Services, iptables does.
fn scaling(comparison: &Comparison) -> Vec<Step> {
    let mut steps = Vec::new();
    for proxy in [Proxy::EbpfXdp, Proxy::Nftables, Proxy::Iptables] {
        for mode in MODES {
            for services in &comparison.conditions.options.scaling {
                let number = f64::from(*services);
                let slower = if proxy == Proxy::Iptables { 1.0 + number / 2_000.0 } else { 1.0 };
                let base = if mode == Mode::Vxlan { 230.0 } else { 190.0 };
                let at = |part: f64| base * slower * part;
                let rounds =
                    |to: f64| (0..7_u8).map(move |n| Some(to * (1.0 + f64::from(n) / 100.0)));
                let of = |to: f64| rounds(to).collect::<Vec<_>>();
                let first_byte = (*services != 100 || proxy != Proxy::Iptables).then(|| Estimate {
                    median: at(1.0),
                    low: at(0.93),
                    high: at(1.1),
                });
                let to_least = Ratio::of(&of(at(1.0)), &of(base)).filter(|_| *services > 1);
                let program_seconds = 0.4 + number * if slower > 1.0 { 2e-3 } else { 3e-4 };
                steps.push(Step {
                    mode,
                    proxy,
                    services: *services,
                    program_seconds: Some(program_seconds),
                    rounds: Vec::new(),
                    first_byte,
                    to_least,
                });
            }
        }
    }
    steps
}
