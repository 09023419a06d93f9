//! What `netlab compare` does besides rounds of workloads: it counts what the pod networks do to
//! packets, and has the number of Services grow.

use std::{io::Read as _, time::Instant};

use netlab::{
    compare::{
        options::Proxy,
        properties::{Beside, mtu::Way},
        result::{Comparison, Round},
    },
    lab::{Family, Mode},
};
use netlab_tests::{poll::until, privilege::require_lab};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::compare::{
    DESCRIPTION, REMOVAL, assert_nothing_is_left, complaint, fields, labs, prefix, start,
};

#[test]
fn packets_are_counted_and_services_grow_without_any_workload() {
    if !require_lab() {
        return;
    }
    let lists = ["--workloads", "properties,scaling", "--proxies", "ebpf-xdp,nftables,none"];
    let sizes = ["--services", "20", "--rounds", "2", "--duration", "0.15", "-o", "json"];
    let began = Instant::now();
    let mut child = start(&[&lists[..], &sizes].concat());
    let prefix = prefix(&child);
    let mut json = String::new();
    child.stdout.take().unwrap().read_to_string(&mut json).unwrap();
    let status = child.wait().unwrap();
    eprintln!("over after {:?}", began.elapsed());
    assert_eq!(status.code(), Some(0), "{}{json}", complaint(&mut child));
    assert_nothing_is_left(&prefix);
    for field in fields(&serde_json::from_str(&json).unwrap()) {
        assert!(DESCRIPTION.contains(&format!("`{field}`")), "{field} is not in docs/compare.md");
    }
    let comparison: Comparison = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(comparison.series, []);
    assert_eq!(
        comparison.finding,
        "VXLAN adds 50 bytes to each packet; host-gw does not work on a routed underlay."
    );
    networks_differ_by_what_headers_take(&comparison);
    steps_rise_for_each_proxy(&comparison);
    xdp_shows_at_the_far_end_of_the_veth(&comparison);
}

fn xdp_shows_at_the_far_end_of_the_veth(comparison: &Comparison) {
    for (cell, segments) in [("host-gw ebpf-xdp", false), ("host-gw nftables", true)] {
        let offloads = &comparison.conditions.cells[cell].offloads;
        for place in ["fabric node-1", "fabric node-2"] {
            let on = &offloads[place];
            assert_eq!(on.iter().any(|name| name == "tso"), segments, "{cell} {place}: {on:?}");
        }
        for place in ["client eth0", "node-1 eth0", "node-2 eth0", "fabric client"] {
            assert!(offloads.contains_key(place), "{cell}: {offloads:?}");
        }
    }
}

fn networks_differ_by_what_headers_take(comparison: &Comparison) {
    let networks = &comparison.networks;
    let modes: Vec<_> = networks.iter().map(|network| network.properties.mode).collect();
    assert_eq!(modes, [Mode::HostGw, Mode::Vxlan]);
    for (network, [added, mss]) in networks.iter().zip([[0, 1460], [50, 1410]]) {
        let properties = &network.properties;
        assert_eq!(properties.failures, []);
        // The one of those asked for that leaves to the pod network what becomes of fragments.
        assert_eq!(properties.proxy, Proxy::Nftables);
        assert!(properties.too_large.iter().all(|attempt| attempt.fate.agrees()), "{properties:?}");
        let rows = properties.overhead.iter().flat_map(|overhead| &overhead.rows);
        for row in rows.filter(|row| row.family == Family::V4) {
            assert_eq!(Vec::from_iter(&row.added.measured), [&added], "{row:?}");
        }
        let through = properties.mtu.iter().find(|fit| fit.way == Way::NodePort);
        let through = through.map(|fit| fit.mss.measured);
        assert_eq!(through.map(i64::from), Some(mss), "{:?}", properties.mtu);
        let routed = network.routed.as_ref().map(|reach| reach.reached);
        let reached = properties.mode == Mode::Vxlan;
        assert_eq!(routed, Some(Beside { measured: reached, predicted: reached }));
    }
}

fn steps_rise_for_each_proxy(comparison: &Comparison) {
    let steps: Vec<_> =
        comparison.scaling.iter().map(|step| (step.services, step.mode, step.proxy)).collect();
    let proxies = [Proxy::EbpfXdp, Proxy::Nftables];
    let expected: Vec<_> = [1, 10, 20]
        .into_iter()
        .flat_map(|services| proxies.map(|proxy| (services, Mode::HostGw, proxy)))
        .collect();
    assert_eq!(steps, expected);
    for step in &comparison.scaling {
        assert!(step.program_seconds.is_some_and(|seconds| seconds > 0.0), "{step:?}");
        assert_eq!(step.rounds.len(), 2, "{step:?}");
        assert!(step.rounds.iter().all(|round| matches!(round, Round::Done { .. })), "{step:?}");
        assert!(step.first_byte.is_some_and(|micros| micros.median > 0.0), "{step:?}");
        assert_eq!(step.to_least.is_some(), step.services > 1, "{step:?}");
    }
}

#[test]
fn an_interrupted_look_at_the_networks_leaves_nothing() {
    if !require_lab() {
        return;
    }
    let mut child = start(&["--workloads", "properties"]);
    let prefix = prefix(&child);
    until("the labs of both modes", || (labs(&prefix) == 2).then_some(()));
    let asked = Instant::now();
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let status = child.wait().unwrap();
    assert!(asked.elapsed() < REMOVAL, "{:?}", asked.elapsed());
    assert_eq!(status.code(), Some(2));
    assert!(complaint(&mut child).contains("interrupted"));
    assert_nothing_is_left(&prefix);
}
