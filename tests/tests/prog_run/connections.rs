//! Packets of connections: the first, later ones, replies, over both families.

use netlab_common::{
    host::packets::Sketch,
    verdict::{Kind, PassReason},
    wire::tcp::flags::{ACK, SYN},
};

use crate::{
    fixture::{Expect, Fixture, at_egress, at_ingress, by_hook, check},
    node::*,
};

#[test]
fn packets_of_connections_are_translated() {
    check(fixtures());
}

pub fn fixtures() -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    for tcp in [true, false] {
        fixtures.extend(local(tcp));
        fixtures.extend(remote(tcp));
        fixtures.extend(elsewhere(tcp));
        fixtures.extend(v6(tcp));
    }
    fixtures.push(options());
    fixtures.push(twin());
    fixtures
}

/// What a client sends first to a node port.
fn first(tcp: bool, client: &str, dialled: &str) -> Sketch {
    if tcp { tcp_in(client, dialled, SYN) } else { udp_in(client, dialled) }
}

/// The packet with which `arrived` is answered, on its way through the node's uplink.
fn answer(arrived: &Sketch, flags: u8) -> Sketch {
    let answer = arrived.clone().readdressed(arrived.dst, arrived.src);
    Sketch { flags: if answer.flags == 0 { 0 } else { flags }, ..answer }.payload(*b"answer")
}

fn local(tcp: bool) -> [Fixture; 4] {
    let packet = first(tcp, CLIENT, LOCAL[0]);
    let arrived = packet.clone().readdressed(at(CLIENT), at(LOCAL[1]));
    let reply = answer(&arrived, SYN | ACK);
    let turned = reply.clone().readdressed(at(LOCAL[0]), at(CLIENT)).bytes();
    [
        Fixture {
            name: "first packet to a local pod",
            before: vec![],
            packet: packet.bytes(),
            expect: at_ingress(Expect::Stack(Kind::First, arrived.bytes())),
        },
        Fixture {
            name: "the same packet again",
            before: vec![packet.bytes()],
            packet: packet.bytes(),
            expect: at_ingress(Expect::Stack(Kind::Original, arrived.bytes())),
        },
        Fixture {
            name: "a local pod's reply",
            before: vec![packet.bytes()],
            packet: reply.bytes(),
            expect: at_egress(Expect::Stack(Kind::Reply, turned)),
        },
        Fixture {
            name: "a local pod's own traffic",
            before: vec![],
            packet: reply.bytes(),
            expect: at_egress(Expect::Passed(PassReason::NoFlow)),
        },
    ]
}

fn remote(tcp: bool) -> [Fixture; 4] {
    let packet = first(tcp, CLIENT, REMOTE[0]);
    let arrived = packet.clone().readdressed(masked(NODE), at(REMOTE[1]));
    let reply = answer(&arrived, SYN | ACK).macs(PEER_MAC, NODE_MAC);
    let turned = hop(reply.clone().readdressed(at(REMOTE[0]), at(CLIENT)));
    let flags = if tcp { ACK } else { 0 };
    let later = Sketch { flags, ..packet.clone() }.payload(*b"an odd number of bytes!");
    let later_arrived = later.clone().readdressed(masked(NODE), at(REMOTE[1]));
    let sent = |kind, sketch: Sketch| at_ingress(Expect::Sent(kind, sketch.bytes(), PEER_MAC));
    [
        Fixture {
            name: "first packet to a pod on another node",
            before: vec![],
            packet: packet.bytes(),
            expect: sent(Kind::First, hop(arrived)),
        },
        Fixture {
            name: "a later packet to a pod on another node",
            before: vec![packet.bytes(), reply.bytes()],
            packet: later.bytes(),
            expect: sent(Kind::Original, hop(later_arrived)),
        },
        Fixture {
            name: "the reply of a pod on another node",
            before: vec![packet.bytes()],
            packet: reply.bytes(),
            expect: at_ingress(Expect::Sent(Kind::Reply, turned.bytes(), GATEWAY_MAC)),
        },
        Fixture {
            name: "the reply of a pod on another node, without its connection",
            before: vec![],
            packet: reply.bytes(),
            expect: at_ingress(Expect::Passed(PassReason::NoFlow)),
        },
    ]
}

/// Ways that XDP cannot take leave the packet to tc, which can.
fn elsewhere(tcp: bool) -> [Fixture; 3] {
    let fixture = |name, [dialled, pod]: [&str; 2], sketch: Sketch| {
        let arrived = hop(sketch.clone().readdressed(masked(NODE), at(pod)));
        assert_eq!(sketch.dst, at(dialled));
        Fixture {
            name,
            before: vec![],
            packet: sketch.bytes(),
            expect: by_hook(Expect::Left, Expect::Sent(Kind::First, arrived.bytes(), [0; 6])),
        }
    };
    let to = |way: [&str; 2]| first(tcp, CLIENT, way[0]);
    let large = Sketch { dont_fragment: false, ..to(NARROW).payload([5; 1400]) };
    [
        fixture("a next hop that ARP has not found", UNRESOLVED, to(UNRESOLVED)),
        fixture("a pod behind another uplink", ASIDE, to(ASIDE)),
        fixture("too large for the way, and may be fragmented", NARROW, large),
    ]
}

fn v6(tcp: bool) -> [Fixture; 4] {
    let packet = first(tcp, CLIENT_V6, LOCAL_V6[0]);
    let arrived = packet.clone().readdressed(at(CLIENT_V6), at(LOCAL_V6[1]));
    let reply = answer(&arrived, SYN | ACK);
    let turned = reply.clone().readdressed(at(LOCAL_V6[0]), at(CLIENT_V6));
    let far = first(tcp, CLIENT_V6, REMOTE_V6[0]);
    let mut node = at(NODE_V6);
    node.set_port(SNAT_PORT);
    let far_arrived = far.clone().readdressed(node, at(REMOTE_V6[1]));
    let far_reply = answer(&far_arrived, SYN | ACK).macs(PEER_MAC, NODE_MAC);
    let far_turned = hop(far_reply.clone().readdressed(at(REMOTE_V6[0]), at(CLIENT_V6)));
    [
        Fixture {
            name: "first packet to a local pod over IPv6",
            before: vec![],
            packet: packet.bytes(),
            expect: at_ingress(Expect::Stack(Kind::First, arrived.bytes())),
        },
        Fixture {
            name: "a local pod's reply over IPv6",
            before: vec![packet.bytes()],
            packet: reply.bytes(),
            expect: at_egress(Expect::Stack(Kind::Reply, turned.bytes())),
        },
        Fixture {
            name: "first packet to a pod on another node over IPv6",
            before: vec![],
            packet: far.bytes(),
            expect: at_ingress(Expect::Sent(Kind::First, hop(far_arrived).bytes(), PEER_MAC)),
        },
        Fixture {
            name: "the reply of a pod on another node over IPv6",
            before: vec![far.bytes()],
            packet: far_reply.bytes(),
            expect: at_ingress(Expect::Sent(Kind::Reply, far_turned.bytes(), GATEWAY_MAC)),
        },
    ]
}

fn options() -> Fixture {
    let packet = Sketch { options: vec![1; 8], ..first(true, CLIENT, REMOTE[0]) };
    let arrived = hop(packet.clone().readdressed(masked(NODE), at(REMOTE[1])));
    Fixture {
        name: "IP options stay",
        before: vec![],
        packet: packet.bytes(),
        expect: at_ingress(Expect::Sent(Kind::First, arrived.bytes(), PEER_MAC)),
    }
}

/// The reply's tuple is taken, so the client's port is replaced.
fn twin() -> Fixture {
    let packet = first(true, CLIENT, TWIN[0]);
    let mut client = at(CLIENT);
    client.set_port(SNAT_PORT);
    let arrived = packet.clone().readdressed(client, at(TWIN[1]));
    Fixture {
        name: "the same client port to the same local pod through another frontend",
        before: vec![first(true, CLIENT, LOCAL[0]).bytes()],
        packet: packet.bytes(),
        expect: at_ingress(Expect::Stack(Kind::First, arrived.bytes())),
    }
}
