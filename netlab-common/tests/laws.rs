//! What holds for every packet.

mod node;

use std::net::IpAddr;

use netlab_common::{
    abi::CtEntry,
    flow::{Addr, FlowKey},
    headers::Headers,
    host::{
        packets::{ErrorSketch, Sketch, verify},
        tables::HostTables,
        translate,
    },
    nodeport::{Point, Room, decide},
    rewrite::{Rewrite, decrement_ttl},
    verdict::{Kind, Route, Verdict},
    wire::tcp::flags::{ACK, SYN},
};
use node::*;
use pnet::packet::{
    Packet as _,
    ethernet::{EtherTypes, EthernetPacket},
    ip::IpNextHeaderProtocols,
    ipv4::{self, Ipv4Packet},
    ipv6::Ipv6Packet,
    tcp::TcpPacket,
    udp::UdpPacket,
};
use proptest::prelude::*;

/// Every kind of way: what is dialled, by whom, and how the core sends it on.
const WAYS: [(&str, &str, bool, Route); 8] = [
    (CLIENT, TCP_LOCAL, true, Route::Stack),
    (CLIENT, TCP_REMOTE, true, Route::Fib),
    (CLIENT, UDP_LOCAL, false, Route::Stack),
    (CLIENT, UDP_REMOTE, false, Route::Fib),
    (CLIENT_V6, TCP_LOCAL_V6, true, Route::Stack),
    (CLIENT_V6, TCP_REMOTE_V6, true, Route::Fib),
    (CLIENT_V6, UDP_LOCAL_V6, false, Route::Stack),
    (CLIENT_V6, UDP_REMOTE_V6, false, Route::Fib),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn reverse_of_reverse_is_identity(
        src in any::<[u8; 16]>(), dst in any::<[u8; 16]>(),
        sport in any::<[u8; 2]>(), dport in any::<[u8; 2]>(), proto in any::<u8>(),
    ) {
        let flow =
            FlowKey { src: Addr(src), dst: Addr(dst), sport, dport, proto, reserved: [0; 3] };
        prop_assert_eq!(flow.reverse().reverse(), flow);
    }

    #[test]
    fn a_second_oracle_finds_the_checksums_right((packet, _) in first_packets()) {
        let tables = node();
        let (_, arrived) = step(&tables, &packet, NOW);
        prop_assert!(pnet_agrees(&arrived), "{:02x?}", arrived);
    }

    #[test]
    fn a_translation_there_and_back_changes_no_byte((packet, route) in first_packets()) {
        let tables = node();
        let (verdict, arrived) = step(&tables, &packet, NOW);
        prop_assert_eq!(verdict, forward(Kind::First, route));
        prop_assert_eq!(verify(&arrived), Ok(()));

        let answer = answer(&arrived, &packet, SYN | ACK);
        let (verdict, answered) = step(&tables, &answer, NOW + 1);
        prop_assert_eq!(verdict, forward(Kind::Reply, route));
        prop_assert_eq!(verify(&answered), Ok(()));
        prop_assert_eq!(ends(&answered), [packet.dst, packet.src]);

        let mut undone = arrived.clone();
        apply(&mut undone, &packet.flow());
        prop_assert_eq!(undone, packet.bytes());
        let mut undone = answered;
        apply(&mut undone, &answer.flow());
        prop_assert_eq!(undone, answer.bytes());
    }

    #[test]
    fn a_udp_checksum_of_zero_stays_zero(client_port in 1u16.., payload: Vec<u8>) {
        let tables = node();
        let mut packet = Sketch::udp(at(CLIENT), at(UDP_REMOTE)).payload(payload);
        packet.src.set_port(client_port);
        packet.checksum = false;
        let (_, arrived) = step(&tables, &packet, NOW);
        prop_assert_eq!(&arrived[40..42], &[0, 0]);
        prop_assert_eq!(verify(&arrived), Ok(()));
    }

    #[test]
    fn lowering_the_ttl_keeps_the_checksum(ttl in 2u8.., v6: bool) {
        let (client, dialled) = if v6 { (CLIENT_V6, TCP_LOCAL_V6) } else { (CLIENT, TCP_LOCAL) };
        let packet = syn(client, dialled).ttl(ttl);
        let mut bytes = packet.bytes();
        let mut headers = Headers::default();
        headers.read(bytes.as_slice(), 0).unwrap();
        decrement_ttl(bytes.as_mut_slice(), &headers).unwrap();
        prop_assert_eq!(bytes, packet.ttl(ttl - 1).bytes());
    }

    #[test]
    fn no_bytes_make_the_core_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        translate(&node(), &mut bytes, Point::Ingress, NOW);
    }

    #[test]
    fn no_mutation_makes_the_core_panic(
        (packet, _) in first_packets(),
        error: bool,
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep in 0usize..200,
    ) {
        let tables = node();
        let (_, arrived) = step(&tables, &packet, NOW);
        let mut bytes = if error && packet.src.is_ipv4() {
            ErrorSketch::about(&arrived, 20, [3, 3], [10, 244, 1, 5], [192, 0, 2, 9]).bytes()
        } else {
            packet.bytes()
        };
        for (at, value) in mutations {
            *at.get_mut(&mut bytes) = value;
        }
        bytes.truncate(keep.max(1));
        let before = bytes.clone();
        let verdict = translate(&tables, &mut bytes, Point::Ingress, NOW);
        // Only a translation may touch the packet.
        prop_assert!(matches!(verdict, Verdict::Forward(_)) || bytes == before);
    }

    #[test]
    fn both_entries_of_a_connection_name_each_other((packet, _) in first_packets()) {
        let tables = node();
        step(&tables, &packet, NOW);
        let original = tables.entry(&packet.flow()).unwrap();
        let reply = tables.entry(&original.to.reverse()).unwrap();
        prop_assert_eq!(reply.to, packet.flow().reverse());
        prop_assert_eq!(original.direction, CtEntry::ORIGINAL);
        prop_assert_eq!(reply.direction, CtEntry::REPLY);
    }
}

fn first_packets() -> impl Strategy<Value = (Sketch, Route)> {
    let payload = prop::collection::vec(any::<u8>(), 0..64);
    let options = prop_oneof![Just(0usize), 1usize..=10];
    (0..WAYS.len(), 1u16.., payload, 2u8.., options, any::<[u32; 2]>()).prop_map(
        |(way, port, payload, ttl, options, numbers)| {
            let (client, dialled, tcp, route) = WAYS[way];
            let sketch =
                if tcp { syn(client, dialled) } else { Sketch::udp(at(client), at(dialled)) };
            let mut sketch = Sketch { numbers, ..sketch.ttl(ttl).payload(payload) };
            sketch.src.set_port(port);
            // No-operation options.
            sketch.options = vec![1; options * 4];
            (sketch, route)
        },
    )
}

/// Rewrites a packet to `to`, without any table.
fn apply(bytes: &mut [u8], to: &FlowKey) {
    let mut headers = Headers::default();
    headers.read(bytes, 0).expect("TCP or UDP");
    Rewrite { headers: &headers, to }.apply(bytes).expect("a whole packet");
}

#[test]
fn the_core_decides_about_empty_tables_too() {
    let tables = HostTables::new(0);
    let mut headers = Headers::default();
    headers.read(syn(CLIENT, TCP_LOCAL).bytes().as_slice(), 0).unwrap();
    let verdict = decide(&headers, Point::Ingress, 0, &tables, &mut Room::default());
    assert!(matches!(verdict, Verdict::Pass(_)));
}

/// Whether pnet computes the checksums that a TCP or UDP packet carries.
fn pnet_agrees(frame: &[u8]) -> bool {
    let frame = EthernetPacket::new(frame).expect("a whole header");
    let (ends, proto, payload) = match frame.get_ethertype() {
        EtherTypes::Ipv4 => {
            let ip = Ipv4Packet::new(frame.payload()).expect("a whole header");
            assert_eq!(ipv4::checksum(&ip), ip.get_checksum());
            let ends = (ip.get_source().into(), ip.get_destination().into());
            (ends, ip.get_next_level_protocol(), ip.payload().to_vec())
        }
        _ => {
            let ip = Ipv6Packet::new(frame.payload()).expect("a whole header");
            let ends = (ip.get_source().into(), ip.get_destination().into());
            (ends, ip.get_next_header(), ip.payload().to_vec())
        }
    };
    if proto == IpNextHeaderProtocols::Tcp {
        let tcp = TcpPacket::new(&payload).expect("a whole header");
        let computed = match ends {
            (IpAddr::V4(a), IpAddr::V4(b)) => pnet::packet::tcp::ipv4_checksum(&tcp, &a, &b),
            (IpAddr::V6(a), IpAddr::V6(b)) => pnet::packet::tcp::ipv6_checksum(&tcp, &a, &b),
            _ => return false,
        };
        return computed == tcp.get_checksum();
    }
    let udp = UdpPacket::new(&payload).expect("a whole header");
    let computed = match ends {
        _ if udp.get_checksum() == 0 => return true,
        (IpAddr::V4(a), IpAddr::V4(b)) => pnet::packet::udp::ipv4_checksum(&udp, &a, &b),
        (IpAddr::V6(a), IpAddr::V6(b)) => pnet::packet::udp::ipv6_checksum(&udp, &a, &b),
        _ => return false,
    };
    // RFC 768: a sum of zero is sent as all ones.
    computed == udp.get_checksum() || (computed == 0 && udp.get_checksum() == 0xffff)
}
