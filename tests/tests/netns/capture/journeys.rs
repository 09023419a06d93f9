//! `--follow` and `--service`: one packet, many hops.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, UdpSocket},
};

use netlab_tests::{
    capture::Capture,
    lab::{CELLS, Lab},
    poll::until,
    privilege::require_lab,
};
use serde_json::Value;

use super::{dial, wire::Wire};

/// Dials enough for chance to reach pods of both nodes.
const DIALS: usize = 16;

#[test]
fn a_syn_is_followed_to_its_pod_and_its_answer_back_to_the_client() {
    if !require_lab() {
        return;
    }
    for (mode, hook) in CELLS {
        let lab = Lab::up(mode, hook);
        let args = ["--node", "all", "--follow", "--json", "--service", "web"];
        let capture = Capture::start(&lab, &args);
        dial(&lab, DIALS);
        let ended = capture.end();
        assert_eq!(ended.statistics().dropped, 0, "{}", ended.ran.line);
        let journeys: Vec<Value> =
            ended.ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let syns: Vec<&Value> =
            journeys.iter().filter(|journey| journey["packet"] == "TCP SYN").collect();
        assert_eq!(syns.len(), DIALS, "{mode} {hook}");
        for syn in syns {
            assert_eq!(syn["service"], "default/web");
            assert_eq!(syn["hops"][0]["host"], "client", "{syn:#}");
            let reply = &syn["reply"];
            assert_eq!(reply["packet"], "TCP SYN-ACK", "{syn:#}");
            // Where the answer comes from is where the question went.
            let pod = reply["hops"][0]["host"].as_str().unwrap();
            assert!(pod.starts_with("web-"), "{syn:#}");
            let arrived = |hop: &Value| hop["host"] == pod && hop["hook"] == "tc-in";
            assert!(syn["hops"].as_array().unwrap().iter().any(arrived), "{syn:#}");
            let back = reply["hops"].as_array().unwrap().last().unwrap();
            assert_eq!(back["host"], "client", "{syn:#}");
        }
    }
}

/// Datagrams of a burst, more than the smallest ring has room for.
const BURST: u16 = 20_000;

#[test]
fn losses_are_told_where_they_may_explain_gaps() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let (elsewhere, peer) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(198, 51, 100, 2));
    wire.pair("near1", "far1");
    wire.up("near1", elsewhere, peer);
    let capture = wire.capture(&["-B", "64", "--follow", "udp port 9"]);
    // Nobody empties the ring.
    capture.signal(libc::SIGSTOP);
    wire.inside(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.send_to(b"first", (peer, 9)).unwrap();
        for number in 0..BURST {
            socket.send_to(&number.to_be_bytes(), (Wire::PEER, 9)).unwrap();
        }
    });
    capture.signal(libc::SIGCONT);
    let ended = capture.end();
    assert!(ended.statistics().dropped > 0, "{}", ended.ran.stderr);
    let hint = "a larger ring (-B 256) or a narrower filter";
    assert!(ended.ran.stderr.contains(hint), "{}", ended.ran.stderr);
    // It may have been on the first pair, where all the others went.
    let stdout = &ended.ran.stdout;
    let first = stdout.split("\n\n").find(|block| block.contains("UDP 5 bytes")).unwrap();
    let [near, far] = [("near0", "tc-out"), ("far0", "tc-in")]
        .map(|(interface, hook)| format!("on {} {interface} {hook}", wire.name()));
    for place in [near, far] {
        assert!(first.contains(&place), "{first}");
    }
    assert!(first.contains("the ring lost packets meanwhile"), "{first}");
    // Those were seen wherever there is anything to see.
    let whole = stdout.split("\n\n").find(|block| block.contains("UDP 2 bytes")).unwrap();
    assert!(!whole.contains("meanwhile"), "{whole}");
}

#[test]
fn an_arp_request_is_followed_to_its_reply() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(CELLS[0].0, CELLS[0].1);
    let capture = Capture::start(&lab, &["--node", "all", "--follow", "--json", "arp"]);
    let ask = |address: &str| {
        let tried = lab.netns("client").command("ip").args(["neighbor", "flush", "all"]).output();
        assert!(tried.unwrap().status.success());
        lab.inside("client", || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            let _ = socket.send_to(b"?", (address, 9));
        });
    };
    ask("172.18.0.3");
    let journeys = || -> Vec<Value> {
        let printed = capture.printed();
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let found = until("the request and its reply", || {
        journeys().into_iter().find(|journey| {
            journey["packet"] == "ARP request, who has 172.18.0.3, tell 172.18.255.10"
        })
    });
    assert!(
        found["reply"]["packet"].as_str().is_some_and(|it| it.starts_with("ARP reply, 172.18.0.3")),
        "{found:#}"
    );
    assert_eq!(found["outcome"]["kind"], "answered", "{found:#}");
    // Both nodes got it, straight from the client.
    let hops = found["hops"].as_array().unwrap();
    let roots = hops.iter().filter(|hop| hop["after"] == 0);
    let hosts: BTreeSet<_> = roots.filter_map(|hop| hop["host"].as_str()).collect();
    assert_eq!(hosts, ["node-1", "node-2"].into(), "{found:#}");
    let _ = capture.end().ran.expect(0);
}
