//! VXLAN in XDP: the fifty bytes in front, and packets that come with them.

use std::collections::BTreeSet;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use netlab_common::{
    host::packets::{Sketch, verify},
    verdict::{Kind, PassReason},
    wire::{
        eth::Mac,
        tcp::flags::{ACK, SYN},
    },
};

use crate::{
    datapath::Hook,
    fixture::{Expect, Fixture, assert_bytes, by_hook, check},
    node::*,
};

#[test]
fn xdp_encapsulates_and_decapsulates() {
    check(fixtures());
}

#[test]
fn the_outer_source_port_belongs_to_the_flow() {
    let mut tables = tables();
    tables.config.snat_ports = [61_000, 61_499];
    on_node(tables, |mut datapath, _| {
        let mut ports = BTreeSet::new();
        for client in 1..=100 {
            let packet = tcp_in(&format!("192.0.2.9:{client}"), TUNNELLED[0], SYN).bytes();
            let port = outer_port(&datapath.run(Hook::Xdp, &packet).bytes);
            assert_eq!(outer_port(&datapath.run(Hook::Xdp, &packet).bytes), port, "stable");
            assert!((32_768..=60_999).contains(&port), "{port} is in ip_local_port_range");
            ports.insert(port);
        }
        assert!(ports.len() > 90, "only {} different ports for 100 flows", ports.len());
    });
}

#[test]
fn tc_at_the_vxlan_device_turns_replies_back() {
    on_node(tables(), |mut datapath, _| {
        let [packet, reply, turned] = exchange(true);
        datapath.run(Hook::TcIngress, &packet.bytes());
        let outcome = datapath.run_at_flannel(Hook::TcIngress, &reply.bytes());
        let expect = Expect::Sent(Kind::Reply, turned.bytes(), GATEWAY_MAC);
        assert_eq!(outcome.action, expect.action(Hook::TcIngress));
        assert_bytes("reply at the VXLAN device", &outcome.bytes, &turned.bytes());
    });
}

fn fixtures() -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    for tcp in [true, false] {
        fixtures.extend(there_and_back(tcp));
    }
    fixtures.extend(not_forwarded());
    fixtures
}

/// A client's first packet, the pod's reply as it arrives, and as it goes on.
fn exchange(tcp: bool) -> [Sketch; 3] {
    let packet = if tcp { tcp_in(CLIENT, TUNNELLED[0], SYN) } else { udp_in(CLIENT, TUNNELLED[0]) };
    let flags = if tcp { SYN | ACK } else { 0 };
    let reply = Sketch { flags, ..packet.clone() }
        .readdressed(at(TUNNELLED[1]), masked(FLANNEL_ADDRESS))
        .macs(VTEP_MAC, FLANNEL_MAC)
        .payload(*b"answer");
    let turned = hop(reply.clone().readdressed(at(TUNNELLED[0]), at(CLIENT)));
    [packet, reply, turned]
}

fn there_and_back(tcp: bool) -> [Fixture; 2] {
    let [packet, reply, turned] = exchange(tcp);
    let sent = hop(packet.clone().readdressed(masked(FLANNEL_ADDRESS), at(TUNNELLED[1]))).bytes();
    [
        Fixture {
            name: "to a pod behind the other VTEP",
            before: vec![],
            packet: packet.bytes(),
            expect: by_hook(
                Expect::Encapsulated(Kind::First, sent.clone()),
                Expect::Sent(Kind::First, sent, VTEP_MAC),
            ),
        },
        Fixture {
            name: "a reply from behind the other VTEP",
            before: vec![packet.bytes()],
            packet: wrapped(&reply.bytes(), 1, VXLAN_PEER),
            expect: by_hook(
                Expect::Decapsulated(Kind::Reply, turned.bytes(), GATEWAY_MAC),
                // The VXLAN device unpacks it and hands it to its own tc hook.
                Expect::Passed(PassReason::NoFlow),
            ),
        },
    ]
}

/// What comes encapsulated and is no reply that goes on from here.
fn not_forwarded() -> Vec<Fixture> {
    let [packet, reply, _] = exchange(true);
    let local = tcp_in(CLIENT, LOCAL[0], SYN);
    let local_reply = local.clone().readdressed(at(LOCAL[1]), at(CLIENT));
    let fixture = |name, xdp, inner: &[u8], vni| Fixture {
        name,
        before: vec![packet.bytes(), local.bytes()],
        packet: wrapped(inner, vni, VXLAN_PEER),
        expect: by_hook(xdp, Expect::Passed(PassReason::NoFlow)),
    };
    let passed = Expect::Passed(PassReason::NoFlow);
    let opening = tcp_in(CLIENT, REMOTE[0], SYN).bytes();
    let last_hop = reply.clone().ttl(1).bytes();
    vec![
        fixture("a new connection to a node port inside VXLAN", passed.clone(), &opening, 1),
        fixture("a reply with another VNI", passed.clone(), &reply.bytes(), 2),
        fixture("ARP inside VXLAN", passed, &[&[0xff; 12][..], &[8, 6], &[0; 28]].concat(), 1),
        fixture("a reply on its last hop inside VXLAN", Expect::Left, &last_hop, 1),
        fixture("a local pod's reply inside VXLAN", Expect::Left, &local_reply.bytes(), 1),
    ]
}

/// A frame as another VTEP sends it, in an outer packet that the kernel would write.
pub fn wrapped(inner: &[u8], vni: u32, from: [u8; 4]) -> Vec<u8> {
    let [_, a, b, c] = vni.to_be_bytes();
    let payload = [&[8, 0, 0, 0, a, b, c, 0], inner].concat();
    let outer = Sketch::udp((from, 45_000).into(), (NODE, 8_472).into());
    let outer = Sketch { checksum: false, dont_fragment: false, ..outer };
    outer.macs(VXLAN_PEER_MAC, NODE_MAC).payload(payload).bytes()
}

/// Checks the fifty bytes in front of the inner frame.
#[track_caller]
pub fn check_outer(name: &str, frame: &[u8]) {
    assert_eq!(verify(frame), Ok(()), "{name}");
    let macs: [Mac; 2] = [VXLAN_PEER_MAC, NODE_MAC];
    assert_eq!(frame[..12], *macs.as_flattened(), "{name}: outer MACs");
    let outer = SlicedPacket::from_ethernet(frame).expect("verified");
    let Some(NetSlice::Ipv4(ip)) = outer.net else { panic!("{name}: no outer IPv4") };
    let ip = ip.header();
    assert_eq!((ip.source(), ip.destination()), (NODE, VXLAN_PEER), "{name}: outer addresses");
    assert_eq!((ip.ttl(), ip.ihl(), ip.dont_fragment()), (64, 5, false), "{name}: outer IP");
    assert_eq!(usize::from(ip.total_len()) + 14, frame.len(), "{name}: outer length");
    let Some(TransportSlice::Udp(udp)) = outer.transport else { panic!("{name}: no outer UDP") };
    assert_eq!(udp.destination_port(), 8_472, "{name}: VXLAN's port");
    assert!((32_768..=60_999).contains(&udp.source_port()), "{name}: {}", udp.source_port());
    // RFC 7348, section 5: zero over IPv4.
    assert_eq!((udp.checksum(), usize::from(udp.length())), (0, frame.len() - 34), "{name}: UDP");
    assert_eq!(frame[42..50], [8, 0, 0, 0, 0, 0, 1, 0], "{name}: VXLAN header");
}

fn outer_port(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[34], frame[35]])
}
