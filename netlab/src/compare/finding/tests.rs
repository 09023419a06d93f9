use super::*;
use crate::compare::{
    properties::{
        Beside, Properties,
        overhead::{Example, Overhead, Row, Transported},
        reach::{Reach, Signs},
    },
    result::{Measure, Measured, Ratio, Round, judged, rates},
    statistics::Estimate,
    usage::Usage,
    workload::Work,
};
use crate::lab::Underlay;
use std::collections::BTreeSet;

const XDP: Proxy = Proxy::EbpfXdp;

#[test]
fn what_matters_most_is_one_sentence_with_bytes_and_reach() {
    let all = [
        vxlan(XDP, Workload::Request, 1.06, Verdict::More),
        vxlan(XDP, Workload::Bulk, 0.96, Verdict::Less),
        vxlan(XDP, Workload::Datagram, 1.12, Verdict::More),
        vxlan(XDP, Workload::Bulk4, 0.99, Verdict::Unclear),
        vxlan(XDP, Workload::Pps, 0.69, Verdict::Less),
        vxlan(Proxy::Nftables, Workload::Request, 1.2, Verdict::More),
    ];
    let networks = [network(Mode::HostGw, 0, false), network(Mode::Vxlan, 50, true)];
    let finding = Finding::of(&all, &[], &networks);
    assert_eq!(
        finding.sentence,
        "VXLAN costs 31% of small-packet rate and 4.0% of bulk throughput, and adds 6.0% to \
         request latency here with ebpf-xdp, and adds 50 bytes to each packet; host-gw does not \
         work on a routed underlay."
    );
    assert_eq!(
        finding.details,
        [
            "VXLAN with ebpf-xdp, against host-gw: adds 12% to datagram latency; too noisy to \
             tell: bulk-4 throughput.",
            "VXLAN with nftables, against host-gw: adds 20% to request latency.",
        ]
    );
}

#[test]
fn encapsulation_by_itself_comes_first_where_it_was_measured() {
    let all = [
        vxlan(XDP, Workload::Pps, 0.69, Verdict::Less),
        vxlan(Proxy::None, Workload::Pps, 0.67, Verdict::Less),
    ];
    let finding = Finding::of(&all, &[], &[]);
    assert_eq!(finding.sentence, "VXLAN costs 33% of small-packet rate here without a proxy.");
    let with_proxy = "VXLAN with ebpf-xdp, against host-gw: costs 31% of small-packet rate.";
    assert_eq!(finding.details, [with_proxy]);
}

#[test]
fn what_can_be_counted_stands_alone_where_nothing_is_timed() {
    let networks = [network(Mode::HostGw, 0, false), network(Mode::Vxlan, 50, true)];
    let finding = Finding::of(&[], &[], &networks);
    assert_eq!(
        finding.sentence,
        "VXLAN adds 50 bytes to each packet; host-gw does not work on a routed underlay."
    );
    assert_eq!(finding.details, [""; 0]);
}

#[test]
fn with_one_mode_it_is_what_a_proxy_costs() {
    let all = judged(vec![
        rates(Mode::HostGw, Proxy::Iptables, &[Some(1050); 7]),
        rates(Mode::HostGw, Proxy::None, &[Some(1000); 7]),
    ]);
    assert_eq!(
        Finding::of(&all, &[], &[]).sentence,
        "iptables gains 5.0% of connection rate here over host-gw, against no proxy."
    );
}

#[test]
fn without_a_network_alone_proxies_are_set_beside_the_first() {
    let all = judged(vec![
        rates(Mode::HostGw, Proxy::EbpfTc, &[Some(1000); 7]),
        rates(Mode::HostGw, Proxy::Nftables, &[Some(760); 7]),
    ]);
    assert_eq!(
        Finding::of(&all, &[], &[]).sentence,
        "nftables costs 24% of connection rate here over host-gw, against ebpf-tc."
    );
}

#[test]
fn of_a_wide_interval_the_least_is_claimed() {
    let rounds = [1210, 1220, 1230, 1230, 1230, 2400, 2490].map(Some);
    let all = judged(vec![
        rates(Mode::HostGw, Proxy::Iptables, &rounds),
        rates(Mode::HostGw, Proxy::None, &[Some(1000); 7]),
    ]);
    assert_eq!(
        Finding::of(&all, &[], &[]).sentence,
        "iptables gains at least 21% of connection rate here over host-gw, against no proxy."
    );
}

#[test]
fn what_the_load_bounds_on_both_sides_is_not_claimed() {
    let pps = |mode, rate, generator_bound| {
        let series = rates(mode, Proxy::None, &[Some(rate); 7]);
        Series { workload: Workload::Pps, generator_bound, ..series }
    };
    let said = |bound| {
        let all = judged(vec![
            rates(Mode::HostGw, Proxy::None, &[Some(1000); 7]),
            rates(Mode::Vxlan, Proxy::None, &[Some(690); 7]),
            pps(Mode::HostGw, 100, true),
            pps(Mode::Vxlan, 95, bound),
        ]);
        Finding::of(&all, &[], &[])
    };
    let bound = said(true);
    assert_eq!(bound.sentence, "VXLAN costs 31% of connection rate here without a proxy.");
    assert_eq!(
        bound.details,
        ["VXLAN without a proxy, against host-gw: bound by the load itself in both: small-packet \
          rate."]
    );
    let clear = "VXLAN costs 5.0% of small-packet rate and 31% of connection rate here";
    assert!(said(false).sentence.starts_with(clear), "{:?}", said(false));
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
        let all = judged(vec![pps(Mode::HostGw, host_gw), pps(Mode::Vxlan, vxlan)]);
        Finding::of(&all, &[], &[]).sentence
    };
    let lossy = "packets are lost: small-packet rate from random ports";
    for (host_gw, vxlan) in [(20, 0), (0, 20)] {
        assert!(said(host_gw, vxlan).contains(lossy), "{}", said(host_gw, vxlan));
    }
    assert!(!said(5, 5).contains("lost"), "{}", said(5, 5));
}

#[test]
fn what_is_not_clear_is_not_claimed() {
    let all = judged(vec![
        rates(Mode::HostGw, Proxy::None, &[Some(1000); 2]),
        rates(Mode::Vxlan, Proxy::None, &[Some(500); 2]),
    ]);
    let finding = Finding::of(&all, &[], &[network(Mode::Vxlan, 50, true)]);
    assert_eq!(
        finding.sentence,
        "Between VXLAN and host-gw no difference of speed is clear here without a proxy, too few \
         rounds to tell: connection rate; VXLAN adds 50 bytes to each packet."
    );
    let alone = judged(vec![rates(Mode::HostGw, Proxy::None, &[Some(1); 7])]);
    assert!(Finding::of(&alone, &[], &[]).sentence.starts_with("Nothing is compared"));
}

#[test]
fn growth_names_who_pays_and_of_whom_nothing_is_known() {
    let steps = [
        step(XDP, 1, None),
        step(Proxy::Iptables, 1, None),
        step(XDP, 1000, Some((1.0, Verdict::Unclear))),
        step(Proxy::Iptables, 1000, Some((2.5, Verdict::More))),
    ];
    let told = "A new connection's first byte, with 1000 Services against 1, takes 2.50 times as \
                long with iptables; no difference is clear with ebpf-xdp.";
    assert_eq!(Finding::of(&[], &steps, &[]).sentence, told);
    let with_more = Finding::of(&[], &steps, &[network(Mode::Vxlan, 50, true)]);
    assert_eq!(with_more.sentence, "VXLAN adds 50 bytes to each packet.");
    assert_eq!(with_more.details, [told]);
}

fn ratio(median: f64, verdict: Verdict) -> Ratio {
    Ratio { estimate: Estimate { median, low: median, high: median }, pairs: 7, verdict }
}

fn vxlan(proxy: Proxy, workload: Workload, median: f64, verdict: Verdict) -> Series {
    let mut series = Series::new(workload, Cell { mode: Mode::Vxlan, proxy });
    series.measures = vec![Measured {
        measure: Measure::of_workload(workload)[0],
        estimate: None,
        to_none: None,
        to_host_gw: Some(ratio(median, verdict)),
        to_first: None,
        to_veth: None,
        to_forward: None,
    }];
    series
}

fn step(proxy: Proxy, services: u32, to_least: Option<(f64, Verdict)>) -> Step {
    Step {
        mode: Mode::HostGw,
        proxy,
        services,
        program_seconds: Some(0.1),
        rounds: Vec::new(),
        first_byte: None,
        to_least: to_least.map(|(median, verdict)| ratio(median, verdict)),
    }
}

fn network(mode: Mode, added: i64, routed: bool) -> Network {
    let row = Row {
        family: Family::V4,
        protocol: Transported::Udp,
        payload: 1,
        packets: 10,
        added: Beside { measured: BTreeSet::from([added]), predicted: BTreeSet::from([added]) },
        pod_bytes: 0,
        underlay_bytes: Beside { measured: 0, predicted: 0 },
        per_payload_byte: Beside { measured: 0.0, predicted: 0.0 },
    };
    let example = Example { pod: String::new(), underlay: String::new() };
    let reached = Beside { measured: routed, predicted: routed };
    Network {
        properties: Properties {
            mode,
            underlay: Underlay::L2,
            proxy: Proxy::Nftables,
            underlay_mtu: 1500,
            overhead: Some(Overhead { rows: vec![row], example }),
            mtu: Vec::new(),
            too_large: Vec::new(),
            entropy: None,
            state: None,
            reach: None,
            failures: Vec::new(),
        },
        routed: Some(Reach { reached, error: None, micros: 1, signs: Signs::default() }),
    }
}
