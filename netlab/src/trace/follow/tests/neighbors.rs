//! Who has an address, and who answers.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const ASKER: [u8; 4] = [10, 244, 1, 2];
const OWNER: [u8; 4] = [10, 244, 1, 3];
const NOBODY: [u8; 4] = [10, 244, 1, 9];

/// An ARP packet: operation, who sends it, and whom it is about or for.
pub(super) fn arp(operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, sender[3]]);
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend([2, 0, 0, 0, 0, sender[3]]);
    frame.extend(sender);
    frame.extend([0; 6]);
    frame.extend(target);
    frame
}

/// A neighbor solicitation (135) or advertisement (136).
fn discovery(kind: u8, from: &str, to: &str, target: &str) -> Vec<u8> {
    let [from, to, target] = [from, to, target].map(|it| it.parse::<Ipv6Addr>().unwrap().octets());
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6(from, to, 255)
        .icmpv6_raw(kind, 0, [0; 4])
        .write(&mut frame, &target)
        .unwrap();
    frame
}

#[test]
fn an_arp_reply_answers_its_request_and_no_other() {
    let mut scene = Scene::new();
    scene.see(0, "web-1 eth0 tc-out", &arp(1, ASKER, OWNER));
    scene.see(1, "web-1 eth0 tc-out", &arp(1, ASKER, NOBODY));
    scene.see(5, "web-2 eth0 tc-in", &arp(1, ASKER, OWNER));
    scene.see(7, "web-2 eth0 tc-out", &arp(2, OWNER, ASKER));
    scene.see(9, "web-1 eth0 tc-in", &arp(2, OWNER, ASKER));
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(2, 2), (1, 0)]);
    let (question, reply) = (&journeys[0], journeys[0].reply.as_ref().unwrap());
    assert_eq!(question.packet, "ARP request, who has 10.244.1.3, tell 10.244.1.2");
    assert_eq!(reply.packet, "ARP reply, 10.244.1.3 is at 02:00:00:00:00:03");
    assert_eq!(question.outcome, Outcome::Answered { by: reply.id, after: 9000 });
    assert_eq!((question.direction, reply.direction), (Direction::Original, Direction::Reply));
    assert_eq!(question.flow(), None);
}

#[test]
fn an_arp_reply_that_comes_late_says_what_it_answers() {
    let mut scene = Scene::new();
    scene.see(0, "web-1 eth0 tc-out", &arp(1, ASKER, OWNER));
    scene.see(900_000, "web-1 eth0 tc-in", &arp(2, OWNER, ASKER));
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(1, 0), (1, 0)]);
    assert_eq!(journeys[1].answers, Some(1));
}

#[test]
fn who_announces_his_address_asks_nothing() {
    let mut scene = Scene::new();
    scene.see(0, "web-1 eth0 tc-out", &arp(1, ASKER, ASKER));
    scene.see(3, "web-2 eth0 tc-in", &arp(1, ASKER, ASKER));
    scene.see(5, "web-2 eth0 tc-out", &arp(2, ASKER, ASKER));
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(2, 0), (1, 0)]);
    assert!(journeys[0].packet.starts_with("ARP announcement of "), "{}", journeys[0].packet);
}

#[test]
fn an_arp_probe_is_answered_to_nobody() {
    let mut scene = Scene::new();
    let nobody = Ipv4Addr::UNSPECIFIED.octets();
    scene.see(0, "web-1 eth0 tc-out", &arp(1, nobody, OWNER));
    scene.see(5, "web-1 eth0 tc-in", &arp(2, OWNER, nobody));
    assert_eq!(shape(&scene.end()), [(1, 1)]);
}

#[test]
fn a_tagged_request_is_the_same_request() {
    let mut scene = Scene::new();
    let plain = arp(1, ASKER, OWNER);
    let tagged = [&plain[..12], &[0x81, 0, 0, 42], &plain[12..], &[0; 14]].concat();
    scene.see(0, "web-1 eth0 tc-out", &plain);
    scene.see(5, "node-1 eth0 tc-in", &tagged);
    assert_eq!(shape(&scene.end()), [(2, 0)]);
}

#[test]
fn an_advertisement_answers_its_solicitation() {
    let mut scene = Scene::new();
    let asks = |target| discovery(135, "fd00::1", "ff02::1:ff00:2", target);
    let tells = |target: &str, to| discovery(136, target, to, target);
    scene.see(0, "web-1 eth0 tc-out", &asks("fd00::9"));
    scene.see(1, "web-1 eth0 tc-out", &asks("fd00::2"));
    scene.see(5, "web-2 eth0 tc-in", &asks("fd00::2"));
    scene.see(7, "web-2 eth0 tc-out", &tells("fd00::2", "fd00::1"));
    scene.see(9, "web-1 eth0 tc-in", &tells("fd00::2", "fd00::1"));
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(1, 0), (2, 2)]);
    let (question, reply) = (&journeys[1], journeys[1].reply.as_ref().unwrap());
    assert_eq!(question.packet, "ICMPv6 neighbor solicitation, who has fd00::2");
    assert_eq!(reply.packet, "ICMPv6 neighbor advertisement of fd00::2");
    assert!(is_answered(question), "{:?}", question.outcome);
}

#[test]
fn who_has_no_address_yet_is_answered_to_all() {
    let mut scene = Scene::new();
    scene.see(0, "web-1 eth0 tc-out", &discovery(135, "::", "ff02::1:ff00:2", "fd00::2"));
    scene.see(5, "web-1 eth0 tc-in", &discovery(136, "fd00::2", "ff02::1", "fd00::2"));
    // An announcement that answers nobody.
    scene.see(9, "web-1 eth0 tc-in", &discovery(136, "fd00::5", "ff02::1", "fd00::5"));
    assert_eq!(shape(&scene.end()), [(1, 1), (1, 0)]);
}
