//! What is said of rounds: numbers, ratios, and how sure one can be of them. Pure.

use serde::{Deserialize, Serialize};

use super::series::Series;
use crate::compare::{
    options::Proxy,
    plan::Cell,
    statistics::{Estimate, ratios},
    usage::Usage,
    workload::{Work, Workload},
};

/// Pairs of rounds below which nothing is claimed: with fewer, all of them fall on one side of
/// the true ratio by chance more often than once in twenty (2 / 2^5), so no interval holds.
pub const LEAST_PAIRS: usize = 6;

/// A number that a round gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Megabits of payload a second.
    Throughput,
    /// Operations a second.
    Rate,
    /// Median latency in microseconds.
    LatencyP50,
    /// Its 90th percentile.
    LatencyP90,
    /// Its 99th percentile.
    LatencyP99,
    /// The longest latency.
    LatencyMax,
    /// CPU time of the machine for an operation, in microseconds.
    CpuPerOperation,
    /// CPU time of the machine for a MiB of payload, in milliseconds.
    CpuPerMib,
}

/// What is said of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Which.
    pub measure: Measure,
    /// Over the rounds; nothing where all have failed.
    pub estimate: Option<Estimate>,
    /// To the same network without a proxy; nothing where that was not measured.
    pub to_none: Option<Ratio>,
    /// To the same proxy over host-gw; nothing where that was not measured.
    pub to_host_gw: Option<Ratio>,
    /// To the first of the proxies, over the same network; nothing of that itself, and of none.
    pub to_first: Option<Ratio>,
    /// To the load's own ceiling; nothing where that was not measured.
    pub to_veth: Option<Ratio>,
    /// To bare forwarding by XDP; nothing where that was not measured.
    pub to_forward: Option<Ratio>,
}

/// The ratio of a cell to another, of rounds of one run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// The median of the rounds' ratios.
    pub estimate: Estimate,
    /// How many rounds both have.
    pub pairs: usize,
    /// What may be said.
    pub verdict: Verdict,
}

/// What a ratio allows to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The whole interval is above 1.
    More,
    /// The whole interval is below 1.
    Less,
    /// Too noisy to tell: 1 is in the interval.
    Unclear,
    /// There are fewer than [`LEAST_PAIRS`] rounds.
    TooFew,
}

impl Measure {
    /// What is told of a workload, the one that matters most first.
    #[must_use]
    pub const fn of_workload(workload: Workload) -> &'static [Self] {
        match workload {
            Workload::Request | Workload::Datagram => &[
                Self::LatencyP50,
                Self::LatencyP90,
                Self::LatencyP99,
                Self::LatencyMax,
                Self::CpuPerOperation,
            ],
            Workload::Connect => &[
                Self::Rate,
                Self::LatencyP50,
                Self::LatencyP90,
                Self::LatencyP99,
                Self::LatencyMax,
                Self::CpuPerOperation,
            ],
            Workload::Pps | Workload::PpsMtu | Workload::PpsRandom => {
                &[Self::Rate, Self::CpuPerOperation]
            }
            Workload::Bulk | Workload::Bulk4 => &[Self::Throughput, Self::CpuPerMib],
            Workload::FirstByte => {
                &[Self::LatencyP50, Self::LatencyP90, Self::LatencyP99, Self::LatencyMax]
            }
        }
    }

    /// Its value in a round that counts.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a turn are far below 2^52")]
    pub fn value(self, work: &Work, usage: &Usage) -> Option<f64> {
        const MIB: f64 = 1024.0 * 1024.0;
        let value = match self {
            Self::Throughput => work.bytes as f64 * 8.0 / work.seconds / 1e6,
            Self::Rate => work.operations as f64 / work.seconds,
            Self::LatencyP50 => work.latencies?.p50,
            Self::LatencyP90 => work.latencies?.p90,
            Self::LatencyP99 => work.latencies?.p99,
            Self::LatencyMax => work.latencies?.max,
            Self::CpuPerOperation => usage.cpu_seconds * 1e6 / work.operations as f64,
            Self::CpuPerMib => usage.cpu_seconds * 1e3 / (work.bytes as f64 / MIB),
        };
        value.is_finite().then_some(value)
    }

    /// Whether more of it is better.
    #[must_use]
    pub const fn more_is_better(self) -> bool {
        matches!(self, Self::Throughput | Self::Rate)
    }
}

impl Ratio {
    /// Of the rounds that both have; nothing where there are none.
    #[must_use]
    pub fn of(of: &[Option<f64>], to: &[Option<f64>]) -> Option<Self> {
        let ratios = ratios(of, to);
        let estimate = Estimate::of(&ratios)?;
        let verdict = match () {
            () if ratios.len() < LEAST_PAIRS => Verdict::TooFew,
            () if estimate.includes(1.0) => Verdict::Unclear,
            () if estimate.median > 1.0 => Verdict::More,
            () => Verdict::Less,
        };
        Some(Self { estimate, pairs: ratios.len(), verdict })
    }
}

/// Works out what may be said of all series, each beside the others of its workload.
#[must_use]
pub fn judged(mut all: Vec<Series>) -> Vec<Series> {
    let measures: Vec<Vec<Measured>> = all.iter().map(|series| judge(series, &all)).collect();
    for (series, measures) in all.iter_mut().zip(measures) {
        series.measures = measures;
    }
    all
}

/// The first of those that answer node ports.
#[must_use]
pub fn first_proxy<'a>(all: impl IntoIterator<Item = &'a Series>) -> Option<Proxy> {
    all.into_iter().map(|series| series.cell.proxy).find(|proxy| *proxy != Proxy::None)
}

fn judge(series: &Series, all: &[Series]) -> Vec<Measured> {
    let find = |cell: Option<Cell>| {
        let cell = cell?;
        all.iter().find(|other| other.workload == series.workload && other.cell == cell)
    };
    let first = first_proxy(all).filter(|first| series.cell.is_beside(*first));
    let measured = |measure: &Measure| {
        let measure = *measure;
        let values = series.values(measure);
        let to = |cell| Ratio::of(&values, &find(cell)?.values(measure));
        let there: Vec<f64> = values.iter().copied().flatten().collect();
        Measured {
            measure,
            estimate: Estimate::of(&there),
            to_none: to(series.cell.without_proxy()),
            to_host_gw: to(series.cell.without_encapsulation()),
            to_first: to(first.map(|proxy| Cell { proxy, ..series.cell })),
            to_veth: None,
            to_forward: None,
        }
    };
    Measure::of_workload(series.workload).iter().map(measured).collect()
}

#[cfg(test)]
pub(in crate::compare) mod tests {
    use super::{super::Round, *};
    use crate::lab::Mode;

    /// A series of connections at these rates; none is a round that failed.
    pub fn rates(mode: Mode, proxy: Proxy, rates: &[Option<u32>]) -> Series {
        let round = |rate: &Option<u32>| match rate {
            Some(rate) => Round::Done {
                work: Work { seconds: 1.0, operations: (*rate).into(), ..Work::default() },
                usage: Usage { cpu_seconds: 1.0, ..Usage::default() },
            },
            None => Round::Failed { reason: "it broke".into() },
        };
        let rounds = rates.iter().map(round).collect();
        Series { rounds, ..Series::new(Workload::Connect, Cell { mode, proxy }) }
    }

    #[test]
    fn values_are_in_their_units() {
        let work = Work { seconds: 2.0, operations: 4, bytes: 2 << 20, ..Work::default() };
        let usage = Usage { cpu_seconds: 1.0, ..Usage::default() };
        assert_eq!(Measure::Throughput.value(&work, &usage), Some(8.388_608));
        assert_eq!(Measure::Rate.value(&work, &usage), Some(2.0));
        assert_eq!(Measure::CpuPerOperation.value(&work, &usage), Some(250_000.0));
        assert_eq!(Measure::CpuPerMib.value(&work, &usage), Some(500.0));
        assert_eq!(Measure::LatencyP50.value(&work, &usage), None);
        assert_eq!(Measure::Rate.value(&Work::default(), &usage), None);
    }

    #[test]
    fn verdicts_need_enough_rounds_and_an_interval_off_one() {
        let verdict = |of: &[f64]| {
            let of: Vec<_> = of.iter().copied().map(Some).collect();
            Ratio::of(&of, &vec![Some(1.0); of.len()]).map(|ratio| ratio.verdict)
        };
        assert_eq!(verdict(&[1.1; 7]), Some(Verdict::More));
        assert_eq!(verdict(&[0.9; 7]), Some(Verdict::Less));
        assert_eq!(verdict(&[0.9, 1.1, 0.9, 1.1, 0.9, 1.1, 1.1]), Some(Verdict::Unclear));
        assert_eq!(verdict(&[1.1; 5]), Some(Verdict::TooFew));
        assert_eq!(verdict(&[]), None);
    }

    #[test]
    fn proxies_are_set_beside_the_first_of_them() {
        let cells = [Proxy::None, Proxy::EbpfTc, Proxy::Nftables];
        let all = judged(cells.map(|proxy| rates(Mode::HostGw, proxy, &[Some(100); 7])).into());
        let to_first = all.iter().map(|series| series.measures[0].to_first.is_some());
        assert_eq!(to_first.collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn a_failed_round_is_in_no_number() {
        let failing = [Some(50), None, Some(50), Some(50), Some(50), Some(50), Some(50)];
        let all = judged(vec![
            rates(Mode::Vxlan, Proxy::Nftables, &failing),
            rates(Mode::HostGw, Proxy::Nftables, &[Some(100); 7]),
        ]);
        let rate = all[0].measures[0];
        assert_eq!(rate.measure, Measure::Rate);
        assert_eq!(rate.estimate.unwrap().low, 50.0);
        assert_eq!(rate.to_none, None);
        let ratio = rate.to_host_gw.unwrap();
        assert_eq!((ratio.estimate.median, ratio.pairs, ratio.verdict), (0.5, 6, Verdict::Less));
        assert_eq!(all[0].failures(), 1);
        assert_eq!(all[1].measures[0].to_host_gw, None);
    }
}
