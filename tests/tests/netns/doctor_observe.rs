//! The doctor's observed path: packets followed on all hosts, and where they part from the
//! expected one.

use std::{thread, time::Duration};

use netlab::{
    lab::{Hook, Mode},
    proxy::Kind,
};
use netlab_tests::{
    binary::{Ran, netlab, path},
    lab::{By, Lab},
    privilege::require_lab,
};
use serde_json::Value;

#[test]
fn a_healthy_way_is_seen_hop_by_hop_with_vxlan_around_it_and_off_again() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, Hook::Auto);
    let seen = doctor(&lab, &["web"], 0);
    assert_eq!(seen["findings"], Value::Array(vec![]), "{seen:#}");
    assert_eq!(seen["gaps"], Value::Array(vec![]), "{seen:#}");
    let ways = array(&seen["ways"]);
    for attempt in ways.iter().flat_map(|way| array(&way["attempts"])) {
        let journeys = array(&attempt["journeys"]);
        assert_eq!(journeys.len(), 1, "{attempt:#}");
        assert_eq!(journeys[0]["packet"], "TCP SYN");
        assert_eq!(journeys[0]["outcome"]["kind"], "answered", "{attempt:#}");
        let pod = &attempt["outcome"]["answered"]["pod"];
        let accepted = array(&attempt["decisions"]).iter().find(|of| of["kind"] == "accepted");
        assert_eq!(accepted.map(|of| &of["host"]), Some(pod), "{attempt:#}");
    }
    let to_node_1 = ways.iter().find(|way| way["dialled"] == "172.18.0.2:30080").unwrap();
    let is_remote = |attempt: &&Value| attempt["outcome"]["answered"]["pod"] == "web-3";
    let remote = array(&to_node_1["attempts"]).iter().find(is_remote).unwrap();
    let journey = &remote["journeys"][0];
    let there = hosts(journey);
    assert_eq!(there, ["client", "node-1", "node-2", "web-3"], "{journey:#}");
    assert_eq!(hosts(&journey["reply"]), ["web-3", "node-2", "node-1", "client"], "{journey:#}");
    for way in [journey, &journey["reply"]] {
        let hops = array(&way["hops"]);
        let times: Vec<_> = hops.iter().map(|hop| hop["time"].as_u64().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        let is_port =
            |hop: &Value| hop["interface"].as_str().is_some_and(|it| it.starts_with("veth"));
        assert!(!hops.iter().any(is_port), "nothing is attached to ports: {way:#}");
        let tunnel: Vec<bool> = hops.iter().map(|hop| !hop["tunnel"].is_null()).collect();
        assert!(tunnel.contains(&true), "encapsulated: {way:#}");
        assert_eq!((tunnel[0], tunnel[tunnel.len() - 1]), (false, false), "{way:#}");
    }
}

#[test]
fn a_drop_is_told_with_the_kernel_s_word_and_explained_by_the_rule() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, Hook::Auto);
    inject(&lab, "forward-drop");
    let seen = doctor(&lab, &["web"], 1);
    let first = &seen["findings"][0];
    assert_eq!((&first["code"], &first["host"]), (&"forward-dropped".into(), &"node-1".into()));
    let observed = observed(first);
    assert!(observed.contains("NETFILTER_DROP"), "{first:#}");
    assert!(observed.contains("node-1 eth0"), "{first:#}");
    let told = array(&seen["ways"]).iter().find(|way| !way["divergence"].is_null()).unwrap();
    assert_eq!(told["divergence"]["drop"]["host"], "node-1", "{told:#}");
    let failed = array(&told["attempts"]).iter().find(|one| one["outcome"] == "silence").unwrap();
    let last = array(&failed["journeys"][0]["hops"]).last().unwrap();
    assert_eq!((&last["host"], &last["hook"]), (&"node-1".into(), &"drop".into()), "{failed:#}");
}

#[test]
fn what_the_kernel_decided_is_named_where_a_packet_ends() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, By::KubeProxy(Kind::Nftables));
    for (fault, host, kind, words) in [
        (
            "pod-network-blackhole",
            "node-1",
            "route",
            "node-1 looked for a route: table main: blackhole",
        ),
        ("listener-missing", "web-1", "refused", "no socket of web-1 takes it"),
    ] {
        inject(&lab, fault);
        let seen = doctor(&lab, &["web"], 1);
        let first = &seen["findings"][0];
        assert!(observed(first).ends_with(words), "{fault}: {first:#}");
        let parted = array(&seen["ways"]).iter().map(|way| &way["divergence"]["decision"]);
        let mut decided = parted.filter(|decision| decision["host"] == host);
        assert!(decided.any(|decision| decision["kind"] == kind), "{fault}: {seen:#}");
        let _ = netlab(&["lab", "fault", "clear", "--name", lab.name().as_str()]).expect(0);
    }
}

#[test]
fn a_program_that_nobody_can_see_into_is_found_by_where_packets_end() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, By::KubeProxy(Kind::Nftables));
    for (fault, last) in [("tc-drop", "node-1 eth0"), ("xdp-drop", "client eth0")] {
        inject(&lab, fault);
        let seen = doctor(&lab, &["web"], 1);
        let first = &seen["findings"][0];
        assert_eq!(first["code"], "foreign-program", "{fault}: {:#}", seen["findings"]);
        assert_eq!((&first["host"], &first["severity"]), (&"node-1".into(), &"broken".into()));
        assert!(observed(first).contains(last), "{fault}: {first:#}");
        let _ = netlab(&["lab", "fault", "clear", "--name", lab.name().as_str()]).expect(0);
    }
    let seen = doctor(&lab, &["web"], 0);
    assert_eq!(seen["findings"], Value::Array(vec![]), "{seen:#}");
}

#[test]
fn real_traffic_is_judged_without_a_probe() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, By::KubeProxy(Kind::Nftables));
    let silent = run(&lab, &["web", "--passive=1"]).expect(2);
    assert!(silent.stderr.contains("nobody has dialled web in 1 s"), "{}", silent.stderr);
    let seen = meanwhile(&lab, 0);
    assert_eq!(seen["findings"], Value::Array(vec![]), "{seen:#}");
    let attempts: usize =
        array(&seen["ways"]).iter().map(|way| array(&way["attempts"]).len()).sum();
    assert!(attempts > 0, "{seen:#}");
    inject(&lab, "forward-drop");
    let seen = meanwhile(&lab, 1);
    let first = &seen["findings"][0];
    assert_eq!(first["code"], "forward-dropped", "{seen:#}");
    assert!(observed(first).contains("NETFILTER_DROP"), "{first:#}");
}

/// What a passive doctor says while the client dials.
fn meanwhile(lab: &Lab, code: i32) -> Value {
    thread::scope(|scope| {
        let doctor = scope.spawn(|| doctor(lab, &["web", "--passive=8"], code));
        let program = path().to_str().unwrap();
        while !doctor.is_finished() {
            let dial =
                [program, "dial", "tcp", "172.18.0.2:30080", "--count", "4", "--timeout", "500"];
            // It may fail: that is what is looked at.
            let _ = lab.exec("client", &dial);
            thread::sleep(Duration::from_millis(100));
        }
        doctor.join().unwrap()
    })
}

fn run(lab: &Lab, args: &[&str]) -> Ran {
    let all = ["doctor", "--name", lab.name().as_str(), "-o", "json"];
    netlab(&[&all[..], args].concat())
}

fn doctor(lab: &Lab, args: &[&str], code: i32) -> Value {
    run(lab, args).expect(code).json()
}

fn inject(lab: &Lab, fault: &str) {
    let _ = netlab(&["lab", "fault", "inject", "--name", lab.name().as_str(), fault]).expect(0);
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Each host once, in the order of its first hop.
fn hosts(journey: &Value) -> Vec<&str> {
    let mut hosts: Vec<&str> =
        array(&journey["hops"]).iter().filter_map(|hop| hop["host"].as_str()).collect();
    hosts.dedup();
    hosts
}

/// The evidence that was observed, in words.
fn observed(finding: &Value) -> &str {
    let shown = array(&finding["evidence"]).iter().find(|of| of["source"] == "observed");
    shown.and_then(|of| of["text"].as_str()).unwrap_or_default()
}
