//! ICMP errors about translated packets (RFC 5508, section 4.2): translated outside
//! and inside, in both directions, with every checksum right.

mod node;

use netlab_common::{
    host::{
        packets::{ErrorSketch, Sketch, verify},
        tables::HostTables,
    },
    verdict::{Kind, PassReason, Route, Verdict},
    wire::tcp::flags::{ACK, SYN},
};
use node::*;

const ROUTER: [u8; 4] = [198, 51, 100, 1];
const CLIENT_IP: [u8; 4] = [192, 0, 2, 9];
const NODE_IP: [u8; 4] = [172, 18, 0, 2];

/// Port unreachable, fragmentation needed, time exceeded.
const KINDS: [[u8; 2]; 3] = [[3, 3], [3, 4], [11, 0]];
/// Bytes quoted behind the IP header: the least (RFC 792), a TCP header, more.
const QUOTES: [usize; 3] = [8, 20, 100];

#[test]
fn an_error_about_the_clients_packet_reaches_the_client_as_about_what_it_sent() {
    for case in cases() {
        let Case { tables, packet, arrived, route, pod, .. } = &case;
        // From the backend itself, and from a router on the way to it.
        for (from, seen_from) in [(*pod, NODE_IP), (ROUTER, ROUTER)] {
            case.each(|kind, quote| {
                let [sender, _] = ips(arrived);
                let error = sketch(arrived, quote, kind, from, sender);
                let wanted = sketch(&packet.bytes(), quote, kind, seen_from, CLIENT_IP);
                let (verdict, bytes) = step_bytes(tables, error.bytes(), NOW);
                assert_eq!(verdict, forward(Kind::Error, *route));
                assert_eq!(verify(&bytes), Ok(()));
                assert_eq!(bytes, wanted.bytes(), "kind {kind:?}, {quote} bytes quoted");
            });
        }
    }
}

#[test]
fn an_error_about_the_backends_packet_reaches_the_backend_as_about_what_it_sent() {
    for case in cases() {
        let Case { tables, answer, answered, route, pod, .. } = &case;
        let [client_as_pod_sees_it, _] = ips(&case.arrived);
        for (from, seen_from) in [(CLIENT_IP, client_as_pod_sees_it), (ROUTER, ROUTER)] {
            case.each(|kind, quote| {
                let error = sketch(answered, quote, kind, from, NODE_IP);
                let wanted = sketch(&answer.bytes(), quote, kind, seen_from, *pod);
                let (verdict, bytes) = step_bytes(tables, error.bytes(), NOW);
                assert_eq!(verdict, forward(Kind::Error, *route));
                assert_eq!(verify(&bytes), Ok(()));
                assert_eq!(bytes, wanted.bytes(), "kind {kind:?}, {quote} bytes quoted");
            });
        }
    }
}

#[test]
fn a_quoted_udp_checksum_of_zero_stays_zero() {
    let tables = node();
    let packet = Sketch { checksum: false, ..Sketch::udp(at(CLIENT), at(UDP_REMOTE)) };
    let (_, arrived) = step(&tables, &packet, NOW);
    let error = sketch(&arrived, 12, [3, 3], [10, 244, 2, 5], NODE_IP);
    let wanted = sketch(&packet.bytes(), 12, [3, 3], NODE_IP, CLIENT_IP);
    assert_eq!(step_bytes(&tables, error.bytes(), NOW).1, wanted.bytes());
}

#[test]
fn an_error_does_not_keep_a_connection_alive() {
    let tables = node();
    let packet = syn(CLIENT, TCP_REMOTE);
    let (_, arrived) = step(&tables, &packet, NOW);
    let before = tables.conntrack.borrow().clone();
    step_bytes(&tables, sketch(&arrived, 8, [3, 3], ROUTER, NODE_IP).bytes(), NOW + 1);
    assert_eq!(*tables.conntrack.borrow(), before);
}

#[test]
fn an_error_about_a_flow_that_nobody_knows_passes() {
    let packet = syn(CLIENT, "203.0.113.1:443").bytes();
    let error = sketch(&packet, 8, [3, 3], ROUTER, CLIENT_IP).bytes();
    let (verdict, bytes) = step_bytes(&node(), error.clone(), NOW);
    assert_eq!(verdict, Verdict::Pass(PassReason::NoFlow));
    assert_eq!(bytes, error);
}

/// A connection with one packet of each direction, before and after its translation.
struct Case {
    tables: HostTables,
    packet: Sketch,
    arrived: Vec<u8>,
    answer: Sketch,
    answered: Vec<u8>,
    route: Route,
    pod: [u8; 4],
}

impl Case {
    fn each(&self, mut check: impl FnMut([u8; 2], usize)) {
        for kind in KINDS {
            QUOTES.iter().for_each(|quote| check(kind, *quote));
        }
    }
}

fn cases() -> Vec<Case> {
    let local = (Route::Stack, [10, 244, 1, 5]);
    let remote = (Route::Fib, [10, 244, 2, 5]);
    let packets = [
        (syn(CLIENT, TCP_LOCAL), local),
        (syn(CLIENT, TCP_REMOTE), remote),
        (Sketch::udp(at(CLIENT), at(UDP_LOCAL)), local),
        (Sketch::udp(at(CLIENT), at(UDP_REMOTE)), remote),
    ];
    let cases = packets.into_iter().map(|(packet, (route, pod))| {
        let tables = node();
        let packet = packet.payload([7; 90]);
        let (_, arrived) = step(&tables, &packet, NOW);
        let answer = answer(&arrived, &packet, SYN | ACK);
        let (_, answered) = step(&tables, &answer, NOW);
        Case { tables, packet, arrived, answer, answered, route, pod }
    });
    cases.collect()
}

fn sketch(about: &[u8], quote: usize, kind: [u8; 2], from: [u8; 4], to: [u8; 4]) -> ErrorSketch {
    ErrorSketch { mtu: 1400, ..ErrorSketch::about(about, quote, kind, from, to) }
}

fn ips(frame: &[u8]) -> [[u8; 4]; 2] {
    [26, 30].map(|at| frame[at..].first_chunk().copied().expect("an IPv4 header"))
}
