//! Packets that are not the datapath's: untouched to the stack, with their reason.

use etherparse::PacketBuilder;
use netlab_common::{
    host::packets::ErrorSketch,
    verdict::PassReason,
    wire::tcp::flags::{ACK, RST, SYN},
};

use crate::{
    datapath::Hook,
    fixture::{Expect, Fixture, check},
    node::*,
};

#[test]
fn what_is_not_ours_passes_untouched() {
    check(fixtures());
}

#[test]
fn every_pass_reason_has_a_fixture() {
    let all: Vec<Fixture> =
        [fixtures(), crate::answers::fixtures()].into_iter().flatten().collect();
    for reason in PassReason::ALL {
        let provoked = all
            .iter()
            .flat_map(|fixture| &fixture.expect)
            .any(|(_, expect)| matches!(expect, Expect::Passed(passed) if passed == reason));
        assert!(provoked, "no fixture provokes {reason}");
    }
}

pub fn fixtures() -> Vec<Fixture> {
    let syn = tcp_in(CLIENT, LOCAL[0], SYN).bytes();
    let unknown = tcp_in(CLIENT, "172.18.0.2:22", SYN);
    let elsewhere = tcp_in(CLIENT, "198.51.100.7:30080", SYN);
    let error = ErrorSketch::about(&elsewhere.bytes(), 8, [3, 3], [198, 51, 100, 7], NODE);
    let passes = [
        ("ARP", PassReason::NotIp, arp()),
        ("a VLAN tag", PassReason::NotIp, tagged(&syn)),
        ("IPv6 neighbor discovery", PassReason::OtherProtocol, neighbor_solicitation()),
        ("ICMP echo", PassReason::OtherProtocol, echo()),
        ("a first fragment", PassReason::Fragment, fragment(&syn, 0x2000)),
        ("a later fragment", PassReason::Fragment, fragment(&syn, 0x0010)),
        ("a frame that ends inside TCP's header", PassReason::Malformed, syn[..50].to_vec()),
        ("an IP length below its header's", PassReason::Malformed, edited(&syn, 17, 19)),
        ("IPv4 that says it is version 6", PassReason::Malformed, edited(&syn, 14, 0x65)),
        ("another port of the node", PassReason::NoFlow, unknown.bytes()),
        ("a node port on an address that is not the node's", PassReason::NoFlow, elsewhere.bytes()),
        (
            "a node port of the other family",
            PassReason::NoFlow,
            tcp_in(CLIENT_V6, "[fd00:18::2]:30080", SYN).bytes(),
        ),
        (
            "an ACK to another port of the node",
            PassReason::NoFlow,
            tcp_in(CLIENT, "172.18.0.2:22", ACK).bytes(),
        ),
        (
            "a RST to another port of the node",
            PassReason::NoFlow,
            tcp_in(CLIENT, "172.18.0.2:22", RST).bytes(),
        ),
        ("an ICMP error about somebody else's flow", PassReason::NoFlow, error.bytes()),
    ];
    passes.into_iter().map(|(name, reason, packet)| passed(name, reason, packet)).collect()
}

fn passed(name: &'static str, reason: PassReason, packet: Vec<u8>) -> Fixture {
    let hooks = [Hook::Xdp, Hook::TcIngress, Hook::TcEgress];
    let expect = hooks.map(|hook| (hook, Expect::Passed(reason))).to_vec();
    Fixture { name, before: vec![], packet, expect }
}

fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(GATEWAY_MAC);
    // Ethernet and IPv4, request: who has 172.18.0.2?
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(GATEWAY_MAC);
    frame.extend([172, 18, 0, 1, 0, 0, 0, 0, 0, 0, 172, 18, 0, 2]);
    frame
}

fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0, 7], &frame[12..]].concat()
}

fn neighbor_solicitation() -> Vec<u8> {
    let node: [u8; 16] = [0xfd, 0, 0, 0x18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(GATEWAY_MAC, NODE_MAC)
        .ipv6([0xfe; 16], node, 255)
        .icmpv6_raw(135, 0, [0; 4])
        .write(&mut frame, &node)
        .expect("a Vec takes everything");
    frame
}

fn echo() -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(GATEWAY_MAC, NODE_MAC)
        .ipv4([192, 0, 2, 9], NODE, 64)
        .icmpv4_echo_request(1, 1)
        .write(&mut frame, b"hello")
        .expect("a Vec takes everything");
    frame
}

/// The packet with these fragment bits.
fn fragment(frame: &[u8], bits: u16) -> Vec<u8> {
    let [high, low] = bits.to_be_bytes();
    edited(&edited(frame, 20, high), 21, low)
}

fn edited(frame: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at] = value;
    frame
}
