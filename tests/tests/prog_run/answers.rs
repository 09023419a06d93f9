//! Packets that the datapath answers itself, so that the sender learns at once.

use netlab_common::{
    host::packets::{ErrorSketch, Sketch, verify},
    verdict::{Answer, DropReason, Kind, PassReason},
    wire::tcp::flags::{ACK, FIN, RST, SYN},
};

use crate::{
    datapath::Hook,
    fixture::{Expect, Fixture, assert_bytes, at_ingress, by_hook, check},
    node::*,
};

#[test]
fn senders_are_answered() {
    check(fixtures());
}

#[test]
fn every_answer_has_a_fixture_and_right_checksums() {
    let fixtures = fixtures();
    for answer in Answer::ALL {
        let mut given =
            fixtures.iter().flat_map(|fixture| &fixture.expect).filter_map(|(_, expect)| {
                match expect {
                    Expect::Answered(given, bytes) if given == answer => Some(bytes),
                    _ => None,
                }
            });
        assert_eq!(given.next().map(|bytes| verify(bytes)), Some(Ok(())), "{answer}");
    }
}

/// A large packet that the kernel will cut into segments fits, whatever its own length.
#[test]
fn segments_are_measured_one_by_one() {
    on_node(tables(), |mut datapath, _| {
        let packet = tcp_in(CLIENT, NARROW[0], SYN).payload([5; 2_000]);
        let arrived = hop(packet.clone().readdressed(masked(NODE), at(NARROW[1])));
        let outcome = datapath.run_segmented(Hook::TcIngress, &packet.bytes(), 1_000);
        let expect = Expect::Sent(Kind::First, arrived.bytes(), PEER_MAC);
        assert_eq!(outcome.action, expect.action(Hook::TcIngress));
        assert_bytes("segments", &outcome.bytes, &arrived.bytes());
    });
}

pub fn fixtures() -> Vec<Fixture> {
    let mut fixtures = refusals();
    fixtures.extend(resets());
    fixtures.extend(expired());
    fixtures.extend(too_large());
    fixtures
}

fn refusals() -> Vec<Fixture> {
    let syn = Sketch { numbers: [0xffff_ffff, 0], ..tcp_in(CLIENT, NOBODY, SYN) };
    let datagram = udp_in(CLIENT, NOBODY).payload([9; 300]);
    vec![
        Fixture {
            name: "a SYN to a Service without endpoints",
            before: vec![],
            packet: syn.bytes(),
            // Sequence numbers wrap.
            expect: at_ingress(reset(&syn, RST | ACK, [0, 0])),
        },
        Fixture {
            name: "a SYN with data to a Service without endpoints",
            before: vec![],
            packet: syn.clone().payload([1; 10]).bytes(),
            expect: at_ingress(reset(&syn, RST | ACK, [0, 10])),
        },
        Fixture {
            name: "a datagram to a Service without endpoints",
            before: vec![],
            packet: datagram.bytes(),
            expect: at_ingress(error(Answer::PortUnreachable, &datagram.bytes(), 0)),
        },
        Fixture {
            name: "a datagram without payload to a Service without endpoints",
            before: vec![],
            packet: datagram.clone().payload([]).bytes(),
            expect: at_ingress(error(
                Answer::PortUnreachable,
                &datagram.clone().payload([]).bytes(),
                0,
            )),
        },
        Fixture {
            name: "a SYN with IP options to a Service without endpoints",
            before: vec![],
            packet: Sketch { options: vec![1; 4], ..syn.clone() }.bytes(),
            expect: at_ingress(Expect::Passed(PassReason::StackAnswers)),
        },
    ]
}

/// RFC 9293, section 3.5.2.
fn resets() -> Vec<Fixture> {
    let ack = Sketch { numbers: [77, 4_000_000_000], ..tcp_in(CLIENT, LOCAL[0], ACK) };
    let fin = Sketch { numbers: [77, 0], ..tcp_in(CLIENT, LOCAL[0], FIN) };
    vec![
        Fixture {
            name: "an ACK without a connection",
            before: vec![],
            packet: ack.clone().payload([3; 100]).bytes(),
            expect: at_ingress(reset(&ack, RST, [4_000_000_000, 0])),
        },
        Fixture {
            name: "a FIN without an ACK, and without a connection",
            before: vec![],
            packet: fin.clone().payload([3; 100]).bytes(),
            expect: at_ingress(reset(&fin, RST | ACK, [0, 77 + 100 + 1])),
        },
    ]
}

fn expired() -> Vec<Fixture> {
    let syn = tcp_in(CLIENT, REMOTE[0], SYN).ttl(1);
    let datagram = udp_in(CLIENT, REMOTE[0]).ttl(1);
    let local = tcp_in(CLIENT, LOCAL[0], SYN).ttl(1);
    let reply = Sketch::udp(at(REMOTE[1]), masked(NODE)).macs(PEER_MAC, NODE_MAC).ttl(1);
    let back = ErrorSketch {
        macs: [NODE_MAC, PEER_MAC],
        ..ErrorSketch::about(&reply.bytes(), 8, [11, 0], NODE, [10, 244, 2, 5])
    };
    vec![
        Fixture {
            name: "a segment on its last hop to a pod on another node",
            before: vec![],
            packet: syn.bytes(),
            expect: at_ingress(error(Answer::TimeExceeded, &syn.bytes(), 0)),
        },
        Fixture {
            name: "a datagram on its last hop to a pod on another node",
            before: vec![],
            packet: datagram.bytes(),
            expect: at_ingress(error(Answer::TimeExceeded, &datagram.bytes(), 0)),
        },
        Fixture {
            name: "a packet on its last hop to a local pod goes up the stack",
            before: vec![],
            packet: local.bytes(),
            expect: at_ingress(Expect::Stack(
                Kind::First,
                local.clone().readdressed(at(CLIENT), at(LOCAL[1])).bytes(),
            )),
        },
        Fixture {
            name: "a pod's reply on its last hop",
            before: vec![udp_in(CLIENT, REMOTE[0]).bytes()],
            packet: reply.bytes(),
            expect: at_ingress(Expect::Answered(Answer::TimeExceeded, back.bytes())),
        },
        Fixture {
            name: "a packet on its last hop over IPv6",
            before: vec![],
            packet: tcp_in(CLIENT_V6, REMOTE_V6[0], SYN).ttl(1).bytes(),
            expect: at_ingress(Expect::Dropped(DropReason::TtlExpired)),
        },
    ]
}

fn too_large() -> Vec<Fixture> {
    let datagram = udp_in(CLIENT, NARROW[0]).payload([5; 1_400]);
    let exact = udp_in(CLIENT, NARROW[0]).payload([5; 1_400 - 28]);
    let exact_arrived = hop(exact.clone().readdressed(masked(NODE), at(NARROW[1])));
    let segment = tcp_in(CLIENT, TUNNELLED[0], SYN).payload([5; 1_440]);
    vec![
        Fixture {
            name: "as large as the way allows",
            before: vec![],
            packet: exact.bytes(),
            expect: at_ingress(Expect::Sent(Kind::First, exact_arrived.bytes(), PEER_MAC)),
        },
        Fixture {
            name: "too large for the way, and must not be fragmented",
            before: vec![],
            packet: datagram.bytes(),
            expect: at_ingress(error(Answer::FragmentationNeeded, &datagram.bytes(), 1400)),
        },
        Fixture {
            name: "too large for VXLAN, and must not be fragmented",
            before: vec![],
            packet: segment.bytes(),
            expect: at_ingress(error(Answer::FragmentationNeeded, &segment.bytes(), 1450)),
        },
        Fixture {
            name: "too large for the way, with IP options",
            before: vec![],
            packet: Sketch { options: vec![1; 4], ..datagram.clone() }.bytes(),
            expect: by_hook(
                Expect::Left,
                Expect::Sent(
                    Kind::First,
                    hop(Sketch { options: vec![1; 4], ..datagram.clone() }
                        .readdressed(masked(NODE), at(NARROW[1])))
                    .bytes(),
                    PEER_MAC,
                ),
            ),
        },
    ]
}

/// The reset that answers a segment, from the address that it was sent to.
fn reset(segment: &Sketch, flags: u8, numbers: [u32; 2]) -> Expect {
    let answer = Sketch {
        macs: [NODE_MAC, GATEWAY_MAC],
        flags,
        numbers,
        window: 0,
        identification: 0,
        ttl: 64,
        payload: vec![],
        ..segment.clone()
    };
    let answer = answer.readdressed(segment.dst, segment.src);
    Expect::Answered(Answer::TcpReset, answer.bytes())
}

/// The ICMP error that answers a client's packet, from the node's address.
fn error(answer: Answer, packet: &[u8], mtu: u16) -> Expect {
    let kind = match answer {
        Answer::TimeExceeded => [11, 0],
        Answer::FragmentationNeeded => [3, 4],
        Answer::PortUnreachable | Answer::TcpReset => [3, 3],
    };
    const AT_PROTOCOL: usize = 23;
    let quote = if packet[AT_PROTOCOL] == 6 { 20 } else { 8 };
    let sketch = ErrorSketch {
        macs: [NODE_MAC, GATEWAY_MAC],
        mtu,
        ..ErrorSketch::about(packet, quote, kind, NODE, [192, 0, 2, 9])
    };
    Expect::Answered(answer, sketch.bytes())
}
