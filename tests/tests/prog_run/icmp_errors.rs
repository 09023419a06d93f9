//! ICMP errors about translated packets, in both directions and every hook.

use netlab_common::{
    host::packets::{ErrorSketch, Sketch},
    verdict::Kind,
    wire::tcp::flags::{ACK, SYN},
};

use crate::{
    fixture::{Expect, Fixture, at_egress, at_ingress, check},
    node::*,
};

const ROUTER: [u8; 4] = [198, 51, 100, 1];
const CLIENT_IP: [u8; 4] = [192, 0, 2, 9];
const LOCAL_POD_IP: [u8; 4] = [10, 244, 1, 5];
const REMOTE_POD_IP: [u8; 4] = [10, 244, 2, 5];

#[test]
fn icmp_errors_are_translated_outside_and_inside() {
    check(fixtures());
}

fn fixtures() -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    for tcp in [true, false] {
        for (kind, mtu) in [([3, 3], 0), ([3, 4], 1400), ([11, 0], 0)] {
            for quote in [8, 20, 60] {
                let about = |about: &Sketch, from, to| ErrorSketch {
                    macs: [GATEWAY_MAC, NODE_MAC],
                    mtu,
                    ..ErrorSketch::about(&about.bytes(), quote, kind, from, to)
                };
                fixtures.extend(remote(tcp, about));
                fixtures.extend(local(tcp, about));
            }
        }
    }
    fixtures
}

fn first(tcp: bool, dialled: &str) -> Sketch {
    let sketch = if tcp { tcp_in(CLIENT, dialled, SYN) } else { udp_in(CLIENT, dialled) };
    sketch.payload([6; 41])
}

fn answer(arrived: &Sketch) -> Sketch {
    let flags = if arrived.flags == 0 { 0 } else { SYN | ACK };
    Sketch { flags, ..arrived.clone() }.readdressed(arrived.dst, arrived.src)
}

fn last_hop(error: ErrorSketch) -> Vec<u8> {
    ErrorSketch { ttl: error.ttl - 1, ..error }.bytes()
}

fn remote(tcp: bool, about: impl Fn(&Sketch, [u8; 4], [u8; 4]) -> ErrorSketch) -> [Fixture; 3] {
    let packet = first(tcp, REMOTE[0]);
    let arrived = packet.clone().readdressed(masked(NODE), at(REMOTE[1]));
    let reply = answer(&arrived);
    let turned = reply.clone().readdressed(at(REMOTE[0]), at(CLIENT));
    let fixture = |name, before, error: ErrorSketch, wanted, next_hop| Fixture {
        name,
        before,
        packet: error.bytes(),
        expect: at_ingress(Expect::Sent(Kind::Error, last_hop(wanted), next_hop)),
    };
    [
        fixture(
            "an error from a pod on another node",
            vec![packet.bytes()],
            about(&arrived, REMOTE_POD_IP, NODE),
            about(&packet, NODE, CLIENT_IP),
            GATEWAY_MAC,
        ),
        fixture(
            "an error from a router before a pod on another node",
            vec![packet.bytes()],
            about(&arrived, ROUTER, NODE),
            about(&packet, ROUTER, CLIENT_IP),
            GATEWAY_MAC,
        ),
        fixture(
            "an error from the client about the reply of a pod on another node",
            vec![packet.bytes(), reply.bytes()],
            about(&turned, CLIENT_IP, NODE),
            about(&reply, NODE, REMOTE_POD_IP),
            PEER_MAC,
        ),
    ]
}

fn local(tcp: bool, about: impl Fn(&Sketch, [u8; 4], [u8; 4]) -> ErrorSketch) -> [Fixture; 2] {
    let packet = first(tcp, LOCAL[0]);
    let arrived = packet.clone().readdressed(at(CLIENT), at(LOCAL[1]));
    let reply = answer(&arrived);
    let turned = reply.clone().readdressed(at(LOCAL[0]), at(CLIENT));
    [
        Fixture {
            name: "an error from a local pod",
            before: vec![packet.bytes()],
            packet: about(&arrived, LOCAL_POD_IP, CLIENT_IP).bytes(),
            expect: at_egress(Expect::Stack(Kind::Error, about(&packet, NODE, CLIENT_IP).bytes())),
        },
        Fixture {
            name: "an error from a router about a local pod's reply",
            before: vec![packet.bytes()],
            packet: about(&turned, ROUTER, NODE).bytes(),
            expect: at_ingress(Expect::Stack(
                Kind::Error,
                about(&reply, ROUTER, LOCAL_POD_IP).bytes(),
            )),
        },
    ]
}
