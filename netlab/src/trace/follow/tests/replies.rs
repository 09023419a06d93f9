//! What answers what.

use netlab_common::verdict::{Answer, DropReason};

use super::*;

#[test]
fn a_handshake_and_a_request_make_a_block_for_each_question() {
    let mut scene = Scene::new();
    let there = |flags, seq, ack| tcp(CLIENT, FRONTEND, flags, seq, ack);
    let back = |flags, seq, ack| tcp(FRONTEND, CLIENT, flags, seq, ack);
    let out = "client eth0 tc-out";
    let into = "client eth0 tc-in";
    scene.see(0, out, &there("S", 100, 0).frame());
    scene.see(10, into, &back("SA", 900, 101).frame());
    scene.see(20, out, &there("A", 101, 901).frame());
    scene.see(30, out, &there("A", 101, 901).bytes(101, 64).frame());
    scene.see(40, into, &back("A", 901, 165).frame());
    scene.see(50, into, &back("A", 901, 165).bytes(901, 64).frame());
    scene.see(60, out, &there("A", 165, 965).frame());
    let journeys = scene.end();
    let blocks: Vec<_> = journeys
        .iter()
        .map(|journey| {
            let reply = journey.reply.as_ref().map_or("-", |reply| reply.packet.as_str());
            (journey.packet.as_str(), reply)
        })
        .collect();
    assert_eq!(
        blocks,
        [
            ("TCP SYN", "TCP SYN-ACK"),
            ("TCP ACK", "-"),
            ("TCP 64 bytes", "TCP ACK"),
            ("TCP 64 bytes", "TCP ACK"),
        ]
    );
}

#[test]
fn one_acknowledgment_answers_all_segments_before_it() {
    let mut scene = Scene::new();
    let data = |seq| tcp(CLIENT, FRONTEND, "A", seq, 900).bytes(seq, 100);
    scene.see(0, "client eth0 tc-out", &data(0).frame());
    scene.see(1, "client eth0 tc-out", &data(100).frame());
    scene.see(2, "client eth0 tc-out", &data(200).frame());
    scene.see(9, "client eth0 tc-in", &tcp(FRONTEND, CLIENT, "A", 900, 200).frame());
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(1, 0), (1, 1), (1, 0)]);
    assert_eq!(journeys[0].outcome, Outcome::Answered { by: 4, after: 9000 });
    assert_eq!(journeys[1].outcome, Outcome::Answered { by: 4, after: 8000 });
    assert!(matches!(journeys[2].outcome, Outcome::LastSeen { .. }));
}

#[test]
fn datagrams_are_answered_in_their_order() {
    let mut scene = Scene::new();
    for number in 0..3_u8 {
        let request = udp(CLIENT, FRONTEND, &[number; 4]).id(u16::from(number) + 1);
        scene.see(number.into(), "client eth0 tc-out", &request.frame());
    }
    for number in 0..2_u8 {
        let answer = udp(FRONTEND, CLIENT, &[number; 8]).id(u16::from(number) + 90);
        scene.see(10 + u64::from(number), "client eth0 tc-in", &answer.frame());
    }
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(1, 1), (1, 1), (1, 0)]);
    assert_eq!(journeys[0].outcome, Outcome::Answered { by: 4, after: 10_000 });
}

#[test]
fn pings_are_answered_by_their_number() {
    let mut scene = Scene::new();
    let ping = |reply, sequence| {
        let (from, to) = ("172.18.255.10:7", "172.18.0.2:7");
        let (from, to) = if reply { (to, from) } else { (from, to) };
        Build { what: What::Ping(reply, sequence), ..udp(from, to, b"abcdefgh") }
    };
    scene.see(0, "client eth0 tc-out", &ping(false, 1).frame());
    scene.see(1, "client eth0 tc-out", &ping(false, 2).frame());
    scene.see(5, "client eth0 tc-in", &ping(true, 2).frame());
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(1, 0), (1, 1)]);
    assert_eq!(journeys[1].packet, "ICMP echo request 2");
}

#[test]
fn an_answer_that_comes_late_says_what_it_answers() {
    let mut scene = Scene::new();
    let request = udp(CLIENT, FRONTEND, b"?").id(4);
    scene.see(0, "client eth0 tc-out", &request.frame());
    scene.see(900_000, "client eth0 tc-in", &request.between(FRONTEND, CLIENT).id(8).frame());
    scene.see(900_001, "client eth0 tc-in", &request.between(FRONTEND, CLIENT).id(9).frame());
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(1, 0), (1, 0), (1, 0)]);
    let answers: Vec<_> = journeys.iter().map(|journey| journey.answers).collect();
    assert_eq!(answers, [None, Some(1), None]);
}

/// No ready endpoint: XDP turns the packet into its answer.
pub(super) fn reset_by_the_datapath() -> Scene {
    let mut scene = Scene::new();
    let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0).id(9);
    let reset = tcp(FRONTEND, CLIENT, "RA", 0, 1001);
    scene.see(0, "client eth0 tc-out", &syn.frame());
    scene.see(6, "node-1 eth0 xdp-in", &syn.frame());
    let event = Event::Answer(Answer::TcpReset, syn.flow());
    scene.event(8, "node-1 eth0 xdp-out", &reset.frame(), Some(event));
    scene.see(21, "client eth0 tc-in", &reset.frame());
    scene
}

#[test]
fn the_datapaths_reset_is_a_packet_of_its_own() {
    let journeys = reset_by_the_datapath().end();
    assert_eq!(shape(&journeys), [(2, 2)]);
    let refused = Outcome::Refused { by: 2, after: 21_000, with: "TCP RST".into() };
    assert_eq!(journeys[0].outcome, refused);
}

#[test]
fn an_icmp_error_answers_the_packet_that_it_quotes() {
    let mut scene = Scene::new();
    let request = |id| udp(CLIENT, FRONTEND, b"hello").id(id);
    scene.see(0, "client eth0 tc-out", &request(1).frame());
    scene.see(1, "client eth0 tc-out", &request(2).frame());
    let error = icmp_error(NODE_1, [172, 18, 255, 10], (3, 3), &request(2).frame());
    scene.see(5, "node-1 eth0 xdp-out", &error);
    scene.see(9, "client eth0 tc-in", &error);
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(1, 0), (1, 2)]);
    let with = "ICMP port unreachable".to_owned();
    assert_eq!(journeys[1].outcome, Outcome::Refused { by: 3, after: 8000, with });
    let reply = journeys[1].reply.as_ref().unwrap();
    assert_eq!(reply.flow().unwrap().to_string(), "172.18.0.2 > 172.18.255.10");
    assert_eq!(reply.about.unwrap().destination().to_string(), FRONTEND);
}

#[test]
fn an_icmp_error_is_followed_through_translation() {
    let mut scene = Scene::new();
    let request = udp(CLIENT, FRONTEND, b"hello").id(1);
    let inside = request.between("172.18.0.2:5704", REMOTE);
    scene.see(0, "client eth0 tc-out", &request.frame());
    let event = translated(Kind::First, &request, &inside);
    scene.event(2, "node-1 eth0 xdp-out", &inside.frame(), Some(event));
    let error = icmp_error(NODE_2, NODE_1, (3, 1), &inside.frame());
    scene.see(9, "node-2 eth0 tc-out", &error);
    let outside = icmp_error(NODE_2, [172, 18, 255, 10], (3, 1), &request.frame());
    let (from, to) = (inside.flow().reverse(), request.flow().reverse());
    let event =
        Event::Forward { kind: Kind::Error, from, to, encap: None, decap: false, past_stack: true };
    scene.event(14, "node-1 eth0 xdp-out", &outside, Some(event));
    scene.see(19, "client eth0 tc-in", &outside);
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(2, 3)]);
    assert!(matches!(journeys[0].outcome, Outcome::Refused { .. }));
}

#[test]
fn a_drop_ends_a_journey_with_its_reason() {
    let mut scene = Scene::new();
    let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0).id(9);
    scene.see(0, "node-1 eth0 tc-in", &syn.frame());
    let event = Event::Drop(DropReason::NoRoute, syn.flow());
    scene.event(1, "node-1 eth0 nat-in", &syn.frame(), Some(event));
    let freed = Event::KernelDrop { reason: "TC_INGRESS".into(), function: "sch_handle".into() };
    scene.event(2, "node-1 eth0 drop", &syn.frame(), Some(freed));
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(3, 0)]);
    let Outcome::Dropped { reason, explanation, .. } = &journeys[0].outcome else {
        panic!("{:?}", journeys[0].outcome)
    };
    assert_eq!(reason, "no-route");
    assert!(explanation.as_ref().unwrap().contains("Check the routes"), "{explanation:?}");
}

#[test]
fn copies_that_a_bridge_floods_do_not_hide_where_the_packet_went() {
    let mut scene = Scene::new();
    let frame = udp(CLIENT, LOCAL, b"hello").id(5).frame();
    let other = || {
        let reason = "OTHERHOST".into();
        Some(Event::KernelDrop { reason, function: "ip_rcv_core+0x1f".into() })
    };
    scene.see(0, "node-1 cni0 tc-out", &frame);
    scene.see(1, "web-1 eth0 tc-in", &frame);
    scene.see(2, "web-2 eth0 tc-in", &frame);
    scene.event(3, "web-2 eth0 drop", &frame, other());
    scene.follower.locate("10.244.1.2".parse().unwrap(), "web-1");
    assert_eq!(scene.end()[0].outcome, Outcome::Delivered { host: "web-1".into() });
}

#[test]
fn a_packet_that_is_dropped_where_it_belongs_is_not_delivered() {
    let mut scene = Scene::new();
    let frame = udp(CLIENT, LOCAL, b"hello").id(5).frame();
    let reason = || Event::KernelDrop { reason: "NO_SOCKET".into(), function: "udp_rcv".into() };
    scene.see(1, "web-1 eth0 tc-in", &frame);
    scene.event(2, "web-1 eth0 drop", &frame, Some(reason()));
    scene.follower.locate("10.244.1.2".parse().unwrap(), "web-1");
    let outcome = scene.end().remove(0).outcome;
    assert!(matches!(&outcome, Outcome::Dropped { reason, .. } if reason == "NO_SOCKET"));
}

#[test]
fn a_frontend_is_not_where_a_translated_packet_is_delivered() {
    let mut scene = Scene::new();
    let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0);
    let inside = syn.between(MASQUERADE, REMOTE);
    scene.see(0, "node-1 eth0 tc-in", &syn.frame());
    let event = translated(Kind::First, &syn, &inside);
    scene.event(1, "node-1 eth0 nat-in", &inside.frame(), Some(event));
    let freed = Event::KernelDrop { reason: "IP_RPFILTER".into(), function: "ip_rcv".into() };
    scene.event(9, "node-2 eth0 drop", &inside.frame(), Some(freed));
    scene.follower.locate("172.18.0.2".parse().unwrap(), "node-1");
    scene.follower.locate("10.244.2.3".parse().unwrap(), "web-4");
    let outcome = scene.end().remove(0).outcome;
    assert!(matches!(&outcome, Outcome::Dropped { host, .. } if host == "node-2"), "{outcome:?}");
}

#[test]
fn a_packet_to_a_frontend_is_not_delivered_where_its_translation_was_not_seen() {
    let mut scene = Scene::new();
    let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0);
    scene.see(0, "client eth0 tc-out", &syn.frame());
    scene.see(1, "node-1 eth0 xdp-in", &syn.frame());
    scene.follower.locate("172.18.0.2".parse().unwrap(), "node-1");
    scene.follower.front(6, "172.18.0.2:30080".parse().unwrap());
    let outcome = scene.end().remove(0).outcome;
    assert!(matches!(&outcome, Outcome::LastSeen { host, .. } if host == "node-1"), "{outcome:?}");
}

#[test]
fn directions_are_those_of_the_connection_wherever_the_capture_begins() {
    let mut scene = Scene::new();
    let data = tcp(REMOTE, MASQUERADE, "A", 5000, 1001).bytes(5000, 10);
    let outside = data.between(FRONTEND, CLIENT);
    let event = translated(Kind::Reply, &data, &outside);
    scene.event(0, "node-1 eth0 xdp-out", &outside.frame(), Some(event));
    scene.see(5, "client eth0 tc-in", &outside.frame());
    scene.see(9, "client eth0 tc-out", &tcp(CLIENT, FRONTEND, "A", 1001, 5010).frame());
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(2, 1)]);
    assert_eq!(journeys[0].direction, Direction::Reply);
    assert_eq!(journeys[0].reply.as_ref().unwrap().direction, Direction::Original);
}
