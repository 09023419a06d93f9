//! Very many packets under way: if each sighting were compared with all of them, nobody would
//! wait for these tests to end.

use super::*;

/// Packets under way; twice as many sightings are held without ending any before its time.
const MANY: u32 = 30_000;

/// One microsecond apart at each place.
fn parade(scene: &mut Scene, places: &[&str], frame: impl Fn(u32) -> Vec<u8>) {
    for (at, place) in (0..).zip(places) {
        for number in 0..MANY {
            scene.see(at * u64::from(MANY) + u64::from(number), place, &frame(number));
        }
    }
}

#[test]
fn datagrams_of_one_flow_that_nothing_tells_apart() {
    let mut scene = Scene::new();
    let frame = udp("[fd00::1]:4000", "[fd00::2]:53", b"?").frame();
    parade(&mut scene, &["client eth0 tc-out", "node-1 eth0 tc-in"], |_| frame.clone());
    let journeys = scene.end();
    assert_eq!(journeys.len(), MANY as usize);
    let whole = |journey: &Journey| journey.hops.len() == 2 && journey.duration == 30_000_000;
    assert!(journeys.iter().all(whole));
}

#[test]
fn datagrams_of_one_flow_that_are_told_apart_by_what_they_carry() {
    let mut scene = Scene::new();
    let frame = |number: u32| udp("[fd00::1]:4000", "[fd00::2]:53", &number.to_be_bytes()).frame();
    parade(&mut scene, &["client eth0 tc-out", "node-1 eth0 tc-in"], frame);
    let journeys = scene.end();
    assert!(journeys.len() == MANY as usize && journeys.iter().all(|it| it.hops.len() == 2));
}

#[test]
fn segments_of_one_flow_and_what_confirms_them() {
    let mut scene = Scene::new();
    // Around the end of the sequence numbers.
    let seq = |number: u32| number.wrapping_mul(1000).wrapping_sub(10_000_000);
    let frame = |number: u32| tcp(CLIENT, FRONTEND, "A", 0, 7).bytes(seq(number), 1000).frame();
    parade(&mut scene, &["client eth0 tc-out"], frame);
    for number in 0..MANY {
        let ack = tcp(FRONTEND, CLIENT, "A", 7, seq(number + 1)).frame();
        scene.see(u64::from(MANY + number), "client eth0 tc-in", &ack);
    }
    let journeys = scene.end();
    assert_eq!(journeys.len(), MANY as usize);
    assert!(journeys.iter().all(|journey| journey.reply.is_some()));
}

#[test]
fn equal_datagrams_of_many_clients() {
    let mut scene = Scene::new();
    let frame = |number: u32| {
        let client = format!("[fd00::{:x}]:4000", number + 1);
        udp(&client, "[fd01::2]:53", b"?").frame()
    };
    parade(&mut scene, &["client eth0 tc-out", "node-1 eth0 tc-in"], frame);
    let journeys = scene.end();
    assert!(journeys.len() == MANY as usize && journeys.iter().all(|it| it.hops.len() == 2));
}
