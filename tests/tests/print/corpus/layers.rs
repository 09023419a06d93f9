//! Protocols in one another: what ends inside of a quoted or an encapsulated packet, and what
//! stands behind extension headers.

use crate::fixtures::{Ipv4, Tcp, ethernet, ipv6, length, summed, summed6, udp, udp_frame};

const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\x07default\x03svc\0\0\x01\0\x01";
/// The pointer in its name leads to itself.
const LOOP: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\xc0\x10\0\x01\0\x01";
/// A name of bits, of which some are missing.
const BITS: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x41\x20ab\0\0\x01\0\x01";

const UDP: u8 = 17;
const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Packets that an error may quote, or a tunnel carry.
fn inner() -> Vec<Vec<u8>> {
    let options = vec![2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7];
    let segment = Tcp { options, payload: b"GET / HTTP/1.1\r\n\r\n".to_vec(), ..Tcp::new(0x18) };
    let over_tcp = [&length(QUERY.len())[..], QUERY].concat();
    let web = Tcp { dport: 80, ..segment.clone() };
    let dns = Tcp { dport: 53, payload: over_tcp, ..Tcp::new(0x18) };
    let ip = Ipv4::new;
    let mut packets: Vec<_> = [QUERY, LOOP, BITS]
        .into_iter()
        .flat_map(|message| {
            let ports = [(40000, 53), (5353, 5353), (40000, 4789)];
            ports.map(|(sport, dport)| ip(UDP).packet(&udp(sport, dport, message)))
        })
        .collect();
    packets.extend([segment, web, dns].map(|tcp| ip(TCP).packet(&tcp.bytes())));
    packets.push(ip(ICMP).packet(&error(3, 3, &ip(UDP).packet(&udp(1, 53, QUERY)))));
    packets.push(ip(41).packet(&ipv6(UDP, &udp(40000, 53, QUERY))));
    packets.push(ip(41).packet(&ipv6(ICMPV6, &solicitation())));
    packets
}

fn error(kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    summed([&[kind, code, 0, 0, 0, 0, 0, 0][..], quoted].concat(), 2)
}

fn solicitation() -> Vec<u8> {
    let message = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &[0xfd; 16], &[1, 1, 2, 0, 0, 0, 0, 1]];
    summed6(ICMPV6, message.concat(), 2)
}

/// Extension headers in front of `next`: each alone, and all that may stand together.
fn chains(next: u8) -> Vec<(u8, Vec<u8>)> {
    let options = |next| vec![next, 0, 5, 2, 0, 0, 1, 0];
    let route = |next| [&[next, 2, 0, 1, 0, 0, 0, 0][..], &[0xfe; 16]].concat();
    let segments = |next| [&[next, 4, 4, 1, 1, 0, 0, 7][..], &[0xfe; 16], &[0xfc; 16]].concat();
    let fragment = |next, offset: u8| vec![next, 0, 0, offset, 0x12, 0x34, 0x56, 0x78];
    vec![
        (0, options(next)),
        (60, options(next)),
        (43, route(next)),
        (43, segments(next)),
        (44, fragment(next, 0)),
        (44, fragment(next, 1)),
        (44, fragment(next, 8)),
        (0, [options(60), options(43), route(44), fragment(60, 1), options(next)].concat()),
        (0, [options(43), route(43), segments(next)].concat()),
        (60, [options(0), options(next)].concat()),
        (0, [options(0), options(next)].concat()),
    ]
}

fn extended() -> Vec<Vec<u8>> {
    let payloads = [
        (UDP, summed6(UDP, udp(40000, 53, QUERY), 6)),
        (UDP, summed6(UDP, udp(40000, 30053, b"ping"), 6)),
        (TCP, summed6(TCP, Tcp::new(0x02).bytes(), 16)),
        (ICMPV6, solicitation()),
        (4, Ipv4::new(UDP).packet(&udp(1, 2, b"ping"))),
    ];
    let chained = payloads.iter().flat_map(|(next, payload)| {
        chains(*next).into_iter().map(move |(first, headers)| {
            ethernet(0x86dd, &ipv6(first, &[&headers[..], payload].concat()))
        })
    });
    chained.collect()
}

/// Jumbo payloads (RFC 2675) of more bytes than there are.
fn jumbo() -> Vec<Vec<u8>> {
    let lengths =
        [65_535u32, 65_536, 100_000, u32::MAX - 40, u32::MAX - 39, u32::MAX - 8, u32::MAX];
    let packet = |length: u32| {
        let header = [&[UDP, 0, 0xc2, 4][..], &length.to_be_bytes()].concat();
        let mut packet = ipv6(0, &[&header[..], &udp(40000, 30053, b"ping")].concat());
        packet[4..6].fill(0);
        let mut unsaid = packet.clone();
        // Nor does the datagram say its length.
        unsaid[40 + 8 + 4..40 + 8 + 6].fill(0);
        [ethernet(0x86dd, &packet), ethernet(0x86dd, &unsaid)]
    };
    lengths.into_iter().flat_map(packet).collect()
}

pub fn packets() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for inner in inner() {
        for kind in [3, 5, 11] {
            packets.push(Ipv4::new(ICMP).frame(&error(kind, 0, &inner)));
        }
        let vxlan = [&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet(0x0800, &inner)].concat();
        packets.push(udp_frame(40000, 4789, &vxlan));
        packets.push(Ipv4::new(4).frame(&inner));
    }
    packets.extend(extended());
    packets.extend(jumbo());
    packets
}
