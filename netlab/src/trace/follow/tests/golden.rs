//! What people read.

use std::sync::Arc;

use jiff::tz::TimeZone;
use netlab_common::verdict::DropReason;

use super::*;
use crate::trace::{
    Decision,
    decision::Made,
    follow::{Style, render, render_decided},
};

fn text(journeys: &[Journey]) -> String {
    let style = Style { color: false, zone: TimeZone::UTC };
    journeys.iter().map(|journey| render(journey, &style)).collect()
}

#[test]
fn the_way_through_vxlan_and_back() {
    let mut scene = paths::remote_vxlan();
    scene.follower.name(6, FRONTEND.parse().unwrap(), "default/web");
    assert_eq!(text(&scene.end()), include_str!("golden/vxlan.txt"));
}

#[test]
fn a_packet_that_the_kernel_drops() {
    let mut scene = Scene::new();
    let request = udp(CLIENT, FRONTEND, b"hello").id(5).frame();
    scene.see(0, "client eth0 tc-out", &request);
    scene.see(12, "node-1 eth0 tc-in", &request);
    let event = Event::KernelDrop {
        reason: Arc::from("NETFILTER_DROP"),
        function: Arc::from("nf_hook_slow+0xa1"),
    };
    scene.event(15, "node-1 eth0 drop", &request, Some(event));
    assert_eq!(text(&scene.end()), include_str!("golden/kernel_drop.txt"));
}

#[test]
fn a_decision_stands_below_the_hop_that_it_followed() {
    let mut scene = Scene::new();
    let request = udp(CLIENT, FRONTEND, b"hello").id(5).frame();
    scene.see(0, "client eth0 tc-out", &request);
    scene.see(12, "node-1 eth0 tc-in", &request);
    let journeys = scene.end();
    let [journey] = &journeys[..] else { panic!("{journeys:?}") };
    let route = |host: &str, time: u64, error| Decision {
        time,
        host: host.to_owned(),
        source: None,
        destination: [172, 18, 0, 2].into(),
        ports: None,
        made: Made::Route { table: 254, error, gateway: None, interface: None },
    };
    let decisions = [
        route("client", journey.time - 1, None),
        route("node-1", journey.hops[1].time + 1, Some("unreachable")),
    ];
    let style = Style { color: false, zone: TimeZone::UTC };
    let text = render_decided(journey, &decisions, &style);
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    assert_eq!(lines[1], "client  route: table main", "{text}");
    assert!(lines[3].contains("node-1  eth0"), "{text}");
    assert_eq!(lines[4], "node-1  route: table main: unreachable", "{text}");
}

#[test]
fn a_packet_that_the_datapath_drops() {
    let mut scene = Scene::new();
    let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0).id(9);
    scene.see(0, "client eth0 tc-out", &syn.frame());
    scene.see(1500, "node-1 eth0 xdp-in", &syn.frame());
    let event = Event::Drop(DropReason::NoRoute, syn.flow());
    scene.event(1501, "node-1 eth0 xdp-out", &syn.frame(), Some(event));
    assert_eq!(text(&scene.end()), include_str!("golden/datapath_drop.txt"));
}

#[test]
fn a_refusal() {
    assert_eq!(text(&replies::reset_by_the_datapath().end()), include_str!("golden/refusal.txt"));
}

#[test]
fn colours_are_only_added() {
    let journeys = paths::remote_vxlan().end();
    let style = Style { color: true, zone: TimeZone::UTC };
    let colored = render(&journeys[0], &style);
    assert!(colored.contains("\x1b[33mreverse nat\x1b[0m"), "{colored}");
    let mut plain = String::new();
    let mut rest = colored.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, text(&journeys[..1]));
}

#[test]
fn json_has_plain_names() {
    let journeys = paths::remote_vxlan().end();
    let json = serde_json::to_value(&journeys[0]).unwrap();
    assert_eq!(json["packet"], "TCP SYN");
    assert_eq!(json["outcome"]["kind"], "answered");
    assert_eq!(json["hops"][2]["hook"], "xdp-out");
    assert_eq!(json["hops"][2]["event"]["encap"]["vni"], 1);
    assert_eq!(json["hops"][2]["flow"]["destination"], REMOTE);
    assert_eq!(json["reply"]["answers"], 1);
    assert_eq!(json["reply"]["hops"][6]["host"], "client");
}

#[test]
fn a_segment_that_was_split_on_its_way() {
    assert_eq!(text(&repetitions::split().end()), include_str!("golden/segments.txt"));
}

#[test]
fn a_request_that_a_bridge_copies_to_all_its_ports() {
    let text = text(&branches::flooded_request().end());
    assert_eq!(text, include_str!("golden/flood.txt"));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn a_packet_that_may_have_been_lost_at_a_place() {
    assert_eq!(text(&losses::gap().end()[1..2]), include_str!("golden/gap.txt"));
}
