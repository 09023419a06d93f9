//! Packets that are alike, and packets that are seen in pieces, twice, or in disorder.

use super::*;

#[test]
fn a_retransmission_is_a_journey_of_its_own() {
    let mut scene = Scene::new();
    for (time, id) in [(0, 20), (200_000, 21)] {
        let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0).id(id);
        let inside = syn.between(CLIENT, LOCAL);
        scene.see(time, "client eth0 tc-out", &syn.frame());
        scene.see(time + 5, "node-1 eth0 xdp-in", &syn.frame());
        let event = translated(Kind::Original, &syn, &inside);
        scene.event(time + 9, "node-1 eth0 xdp-out", &inside.frame(), Some(event));
    }
    assert_eq!(shape(&scene.end()), [(3, 0), (3, 0)]);
}

#[test]
fn a_retransmission_that_nothing_tells_apart_takes_the_hops_that_follow_it() {
    let mut scene = Scene::new();
    let request = udp("[fd00::1]:4000", "[fd00::2]:53", b"?");
    scene.see(0, "client eth0 tc-out", &request.frame());
    scene.see(200_000, "client eth0 tc-out", &request.frame());
    scene.see(200_009, "node-1 eth0 tc-in", &request.frame());
    assert_eq!(shape(&scene.end()), [(1, 0), (2, 0)]);
}

#[test]
fn equal_datagrams_in_a_row_keep_their_order() {
    let mut scene = Scene::new();
    let request = udp("[fd00::1]:4000", "[fd00::2]:53", b"?");
    for place in ["client eth0 tc-out", "node-1 eth0 tc-in"] {
        for time in [0, 10] {
            let time = time + if place.starts_with("node") { 5 } else { 0 };
            scene.see(time, place, &request.frame());
        }
    }
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(2, 0), (2, 0)]);
    assert_eq!((journeys[0].duration, journeys[1].duration), (5000, 5000));
}

/// Sees equal datagrams, sent at these microseconds, at two places that they take so long between.
fn forwarded(sent: &[u64], delay: u64, build: &Build) -> Vec<Journey> {
    let mut scene = Scene::new();
    let place = |place, delay| sent.iter().map(move |time| (time + delay, place));
    let there = place("client eth0 tc-out", 0);
    let mut seen: Vec<_> = there.chain(place("node-1 eth0 tc-in", delay)).collect();
    seen.sort();
    for (time, place) in seen {
        scene.see(time, place, &build.frame());
    }
    scene.end()
}

fn took(journeys: &[Journey]) -> Vec<(usize, u64)> {
    journeys.iter().map(|journey| (journey.hops.len(), journey.duration / 1000)).collect()
}

#[test]
fn equal_datagrams_keep_their_order_however_long_a_hop_takes() {
    let datagram = udp(CLIENT, FRONTEND, b"?");
    for delay in [100, 20_000, 49_000, 80_000, 160_000, 240_000] {
        for (spacing, count) in [(10_000, 20), (60_000, 5), (0, 20), (0, 60), (7, 60), (5000, 60)] {
            let sent: Vec<_> = (0..count).map(|number| number * spacing).collect();
            let journeys = forwarded(&sent, delay, &datagram);
            let all = vec![(2, delay); sent.len()];
            assert_eq!(took(&journeys), all, "{count} each {spacing} us, {delay} us on the way");
        }
    }
}

#[test]
fn acknowledgments_that_nothing_tells_apart_keep_their_order_too() {
    let ack = tcp("[fd00::1]:4000", "[fd00::2]:80", "A", 7, 900);
    let journeys = forwarded(&[0, 10_000, 20_000, 79_000], 80_000, &ack);
    assert_eq!(took(&journeys), [(2, 80_000); 4]);
}

#[test]
fn a_segment_that_is_sent_again_goes_on_as_the_newest() {
    let mut scene = Scene::new();
    let data = tcp("[fd00::1]:4000", "[fd00::2]:80", "A", 7, 900).bytes(7, 100);
    scene.see(0, "client eth0 tc-out", &data.frame());
    scene.see(100_000, "client eth0 tc-out", &data.frame());
    scene.see(180_000, "node-1 eth0 tc-in", &data.frame());
    assert_eq!(took(&scene.end()), [(1, 0), (2, 80_000)]);
}

#[test]
fn a_packet_that_comes_around_in_a_loop_is_one_packet() {
    let mut scene = Scene::new();
    let request = udp(CLIENT, FRONTEND, b"hello").id(5);
    for (time, ttl) in [(0, 64), (10, 63), (20, 62)] {
        scene.see(time, "node-1 eth0 tc-in", &request.clone().ttl(ttl).frame());
        scene.see(time + 1, "node-1 eth0 tc-out", &request.clone().ttl(ttl - 1).frame());
    }
    assert_eq!(shape(&scene.end()), [(6, 0)]);
}

/// A segment of 3000 bytes becomes three on the wire, which GRO makes one again.
pub(super) fn split() -> Scene {
    let mut scene = Scene::new();
    let data = |from, len| tcp(CLIENT, LOCAL, "A", 0, 7).bytes(from, len);
    scene.see(0, "client eth0 tc-out", &data(100, 3000).id(5).frame());
    for (at, (from, len)) in [(100, 1400), (1500, 1400), (2900, 200)].into_iter().enumerate() {
        let id = u16::try_from(at).unwrap() + 5;
        let segment = data(from, len).id(id).frame();
        scene.see(10 + 2 * u64::from(id), "node-1 eth0 xdp-in", &segment);
    }
    scene.see(40, "web-1 eth0 tc-in", &data(100, 3000).id(5).frame());
    scene
}

#[test]
fn a_segment_that_is_split_takes_its_parts_along() {
    let journeys = split().end();
    assert_eq!(shape(&journeys), [(5, 0)]);
    let parts: Vec<_> = journeys[0].hops.iter().map(|hop| hop.part.map(|p| p.offset)).collect();
    assert_eq!(parts, [None, Some(0), Some(1400), Some(2800), None]);
}

#[test]
fn segments_that_are_merged_go_on_in_the_first() {
    let mut scene = Scene::new();
    let data = |from, len| tcp(CLIENT, LOCAL, "A", 0, 7).bytes(from, len);
    for (at, from) in [100, 200, 300].into_iter().enumerate() {
        let id = u16::try_from(at).unwrap() + 5;
        scene.see(at as u64, "client eth0 tc-out", &data(from, 100).id(id).frame());
    }
    scene.see(40, "web-1 eth0 tc-in", &data(100, 300).id(5).frame());
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(2, 0), (1, 0), (1, 0)]);
    assert_eq!(journeys[1].outcome, Outcome::Merged { into: 1 });
    assert_eq!(journeys[2].outcome, Outcome::Merged { into: 1 });
    assert_eq!(journeys[0].hops[1].part.map(|part| part.length), Some(300));
}

#[test]
fn copies_cut_to_different_lengths_are_one_packet() {
    let mut scene = Scene::new();
    let frame = udp(CLIENT, FRONTEND, &[7; 500]).id(5).frame();
    let mut see = |time, host, len: usize| {
        let sighting = Sighting {
            time: START + time,
            host,
            interface: "eth0",
            hook: Hook::TcOut,
            event: None,
            wire_len: 542,
            bytes: &frame[..len],
        };
        scene.journeys.extend(scene.follower.see(&sighting));
    };
    see(0, "client", 542);
    see(1, "node-1", 60);
    see(2, "node-2", 42);
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(3, 0)]);
    assert_eq!(journeys[0].packet, "UDP 500 bytes");
}

#[test]
fn sightings_that_arrive_in_disorder_are_put_in_order() {
    // The hops of the whole round trip, told backwards.
    let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0).id(9);
    let inside = syn.between(MASQUERADE, REMOTE);
    let answer = tcp(REMOTE, MASQUERADE, "SA", 5000, 1001);
    let event = translated(Kind::First, &syn, &inside);
    let mut scene = Scene::new();
    scene.see(30, "web-4 eth0 tc-out", &answer.frame());
    scene.see(20, "web-4 eth0 tc-in", &inside.frame());
    scene.see(10, "node-2 eth0 tc-in", &inside.frame());
    scene.event(7, "node-1 eth0 xdp-out", &inside.frame(), Some(event));
    scene.see(5, "node-1 eth0 xdp-in", &syn.frame());
    scene.see(0, "client eth0 tc-out", &syn.frame());
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(5, 1)]);
    assert_eq!(
        places(&journeys[0]),
        [
            "client eth0 tc-out",
            "node-1 eth0 xdp-in",
            "node-1 eth0 xdp-out",
            "node-2 eth0 tc-in",
            "web-4 eth0 tc-in",
        ]
    );
}

#[test]
fn at_one_time_the_way_through_a_host_decides() {
    let mut scene = Scene::new();
    let frame = udp(CLIENT, FRONTEND, b"hello").id(5).frame();
    for hook in ["tc-out", "nat-out", "nat-in", "tc-in", "xdp-out", "xdp-in"] {
        scene.see(0, &format!("node-1 eth0 {hook}"), &frame);
    }
    let hooks: Vec<_> = scene.end()[0].hops.iter().map(|hop| hop.hook).collect();
    assert_eq!(hooks, &Hook::ALL[..6]);
}

#[test]
fn a_sighting_that_is_far_too_late_still_finds_its_journey() {
    let mut scene = Scene::new();
    let frame = udp(CLIENT, FRONTEND, b"hello").id(5).frame();
    scene.see(0, "client eth0 tc-out", &frame);
    scene.see(40_000, "web-1 eth0 tc-in", &frame);
    scene.see(90_000, "web-1 lo tc-in", &frame);
    scene.see(10, "node-1 eth0 tc-in", &frame);
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(4, 0)]);
    assert_eq!(places(&journeys[0])[1], "node-1 eth0 tc-in");
}
