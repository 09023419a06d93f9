//! Journeys that may lack hops.

use super::*;
use crate::trace::follow::LossPlace;

fn lose(scene: &mut Scene, [from, to]: [u64; 2], places: &[(&str, &str, Hook)]) {
    let places = places.iter().map(|(host, interface, hook)| LossPlace {
        host: (*host).to_owned(),
        interface: (*interface).to_owned(),
        hook: *hook,
    });
    scene.follower.lose(START + from * 1000, START + to * 1000, places.collect());
}

/// One packet of three was lost on its way through node-1.
pub(in super::super) fn gap() -> Scene {
    let mut scene = Scene::new();
    let there = |id| udp(CLIENT, LOCAL, b"?").id(id).frame();
    scene.see(0, "client eth0 tc-out", &there(1));
    scene.see(4, "node-1 eth0 tc-in", &there(1));
    scene.see(9, "web-1 eth0 tc-in", &there(1));
    scene.see(500_000, "client eth0 tc-out", &there(2));
    scene.see(500_009, "web-1 eth0 tc-in", &there(2));
    lose(&mut scene, [490_000, 510_000], &[("node-1", "eth0", Hook::TcIn)]);
    scene.see(1_500_000, "client eth0 tc-out", &there(3));
    scene.see(1_500_009, "web-1 eth0 tc-in", &there(3));
    scene
}

#[test]
fn a_journey_tells_where_packets_were_lost_meanwhile() {
    let journeys = gap().end();
    let losses: Vec<_> = journeys.iter().map(|journey| journey.losses.len()).collect();
    assert_eq!(losses, [0, 1, 0]);
    let json = serde_json::to_value(&journeys[1]).unwrap();
    assert_eq!(json["losses"][0]["hook"], "tc-in");
    assert_eq!(json["losses"][0]["host"], "node-1");
    assert_eq!(serde_json::to_value(&journeys[0]).unwrap().get("losses"), None);
}

#[test]
fn where_it_was_seen_it_was_not_lost() {
    let mut scene = Scene::new();
    let frame = udp(CLIENT, LOCAL, b"?").id(1).frame();
    lose(&mut scene, [0, 10], &[("node-1", "eth0", Hook::TcIn), ("web-1", "eth0", Hook::TcIn)]);
    scene.see(5, "node-1 eth0 tc-in", &frame);
    let journeys = scene.end();
    let hosts: Vec<_> = journeys[0].losses.iter().map(|loss| loss.host.as_str()).collect();
    assert_eq!(hosts, ["web-1"]);
}

#[test]
fn what_is_lost_behind_the_last_hop_may_be_the_next() {
    let mut scene = Scene::new();
    let frame = udp(CLIENT, LOCAL, b"?").id(1).frame();
    scene.see(0, "client eth0 tc-out", &frame);
    lose(&mut scene, [100_000, 120_000], &[("node-1", "eth0", Hook::TcIn)]);
    assert_eq!(scene.end()[0].losses.len(), 1);
}
