//! What is said of rounds beside the limits: how near a cell comes to what can be measured. Pure.

use super::{
    measure::{Measure, Measured, Ratio},
    series::{Limit, LimitKind, Series},
};
use crate::compare::statistics::Estimate;

/// Share of the load's own ceiling from which on a number is more the load's than the cell's.
pub const BOUND: f64 = 0.9;

/// Works out what may be said of limits.
#[must_use]
pub fn limited(mut limits: Vec<Limit>) -> Vec<Limit> {
    for limit in &mut limits {
        let measured = |measure: &Measure| {
            let there: Vec<f64> = limit.values(*measure).into_iter().flatten().collect();
            Measured {
                measure: *measure,
                estimate: Estimate::of(&there),
                to_none: None,
                to_host_gw: None,
                to_first: None,
                to_veth: None,
                to_forward: None,
            }
        };
        limit.measures = Measure::of_workload(limit.workload).iter().map(measured).collect();
    }
    limits
}

/// Sets series that were judged beside each other beside the limits too.
#[must_use]
pub fn beside(mut all: Vec<Series>, limits: &[Limit]) -> Vec<Series> {
    for series in &mut all {
        let ratio = |kind: LimitKind, measure: Measure| {
            let of = |limit: &&Limit| limit.kind == kind && limit.workload == series.workload;
            let limit = limits.iter().find(of)?;
            Ratio::of(&series.values(measure), &limit.values(measure))
        };
        let set = |measured: &Measured| Measured {
            to_veth: ratio(LimitKind::Veth, measured.measure),
            to_forward: ratio(LimitKind::Forward, measured.measure),
            ..*measured
        };
        series.measures = series.measures.iter().map(set).collect();
        series.generator_bound = series.measures.first().is_some_and(is_bound);
    }
    all
}

fn is_bound(measured: &Measured) -> bool {
    measured.to_veth.is_some_and(|ratio| {
        let median = ratio.estimate.median;
        if measured.measure.more_is_better() { median >= BOUND } else { median <= 1.0 / BOUND }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compare::{
            histogram::{Latencies, QUANTILES},
            options::Proxy,
            result::{LEAST_PAIRS, Round, Verdict, judged, rates},
            workload::{Work, Workload},
        },
        lab::Mode,
    };

    /// A limit at these rates.
    fn limit(kind: LimitKind, of: &[Option<u32>]) -> Limit {
        let Series { workload, rounds, .. } = rates(Mode::HostGw, Proxy::None, of);
        Limit { rounds, ..Limit::new(kind, workload) }
    }

    fn alone(of: &[Option<u32>], limits: &[Limit]) -> Series {
        let series = judged(vec![rates(Mode::Vxlan, Proxy::Nftables, of)]);
        beside(series, limits).remove(0)
    }

    #[test]
    fn ratios_to_limits_are_of_each_round() {
        let veth = limit(LimitKind::Veth, &[Some(200), Some(100), None, Some(400)]);
        let forward = limit(LimitKind::Forward, &[Some(200); 4]);
        let series = alone(&[Some(100), Some(50), Some(7), Some(200)], &[veth, forward]);
        let rate = series.measures[0];
        let to_veth = rate.to_veth.unwrap();
        assert_eq!((to_veth.estimate.median, to_veth.pairs), (0.5, 3));
        assert_eq!(to_veth.verdict, Verdict::TooFew);
        assert_eq!(rate.to_forward.unwrap().pairs, 4);
        assert_eq!(rate.to_forward.unwrap().estimate.median, 0.375);
        // One CPU second each: the rate's inverse, and not the rate's ratio.
        let cpu = series.measures.iter().find(|m| m.measure == Measure::CpuPerOperation).unwrap();
        assert_eq!(cpu.to_veth.unwrap().estimate.median, 2.0);
        assert!(alone(&[Some(1)], &[]).measures[0].to_veth.is_none());
    }

    #[test]
    fn a_limit_of_another_workload_is_none() {
        let other =
            Limit { workload: Workload::Pps, ..limit(LimitKind::Veth, &[Some(100); LEAST_PAIRS]) };
        let series = alone(&[Some(100); LEAST_PAIRS], &[other]);
        assert!(series.measures[0].to_veth.is_none() && !series.generator_bound);
    }

    #[test]
    fn within_a_tenth_of_the_ceiling_it_is_the_generator_that_is_measured() {
        let veth = || vec![limit(LimitKind::Veth, &[Some(1000); 7])];
        assert!(alone(&[Some(900); 7], &veth()).generator_bound);
        assert!(!alone(&[Some(899); 7], &veth()).generator_bound);
        let forward = vec![limit(LimitKind::Forward, &[Some(1000); 7])];
        assert!(!alone(&[Some(999); 7], &forward).generator_bound);
    }

    #[test]
    fn of_what_had_better_be_less_the_ceiling_is_below() {
        let at = |p50: f64, workload| {
            let latencies = Some(Latencies {
                count: 1,
                p50,
                p90: p50,
                p99: p50,
                max: p50,
                curve: [p50; QUANTILES.len()],
            });
            let work = Work { seconds: 1.0, operations: 1, latencies, ..Work::default() };
            let round = Round::Done { work, usage: Default::default() };
            let cell = rates(Mode::HostGw, Proxy::None, &[]).cell;
            Series { rounds: vec![round; 7], ..Series::new(workload, cell) }
        };
        let bound = |p50| {
            let Series { rounds, workload, .. } = at(10.0, Workload::Request);
            let veth = Limit { rounds, ..Limit::new(LimitKind::Veth, workload) };
            beside(judged(vec![at(p50, workload)]), &[veth]).remove(0).generator_bound
        };
        assert!(bound(11.0));
        assert!(!bound(11.2));
    }

    #[test]
    fn limits_are_told_without_ratios() {
        let all = limited(vec![limit(LimitKind::Veth, &[Some(100), None, Some(300)])]);
        assert_eq!(all[0].measures[0].estimate.unwrap().median, 200.0);
        assert_eq!(all[0].measures.len(), Measure::of_workload(Workload::Connect).len());
        assert!(all[0].measures.iter().all(|m| m.to_veth.is_none() && m.to_none.is_none()));
    }
}
