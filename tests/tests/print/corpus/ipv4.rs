//! IPv4: options, fragments, lengths that cannot be, packets in packets.

use crate::fixtures::{Ipv4, Tcp, ethernet, ipv6, udp};

fn with_options(options: &[u8]) -> Vec<u8> {
    let mut options = options.to_vec();
    options.resize(options.len().next_multiple_of(4), 0);
    let mut ip = Ipv4::new(17);
    ip.options = options;
    ip.frame(&ip.summed(udp(40000, 30053, b"with options"), 6))
}

fn changed(at: usize, value: &[u8]) -> Vec<u8> {
    let ip = Ipv4::new(6);
    let mut packet = ip.packet(&ip.summed(Tcp::new(0x10).bytes(), 16));
    packet[at..at + value.len()].copy_from_slice(value);
    ethernet(0x0800, &packet)
}

fn fragment(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    Ipv4 { fragment, ..Ipv4::new(protocol) }.frame(payload)
}

pub fn packets() -> Vec<Vec<u8>> {
    let mut packets = vec![
        // Version, header length, total length.
        changed(0, &[0x65]),
        changed(0, &[0x35]),
        changed(0, &[0x44]),
        changed(0, &[0x4f]),
        changed(2, &[0, 0]),
        changed(2, &[0, 19]),
        changed(2, &[0, 20]),
        changed(2, &[0, 23]),
        changed(2, &[0, 30]),
        changed(2, &[1, 0]),
        changed(2, &[0xff, 0xff]),
        // TOS with ECN, TTL 0, a bad checksum, protocols.
        changed(1, &[0xb9]),
        changed(1, &[0x02]),
        changed(1, &[0x03]),
        changed(8, &[0]),
        changed(10, &[0xde, 0xad]),
        changed(9, &[200]),
        changed(9, &[253]),
        changed(9, &[59]),
        changed(9, &[58]),
        changed(9, &[143]),
        // Padded to the smallest frame.
        [changed(8, &[1]), vec![0; 6]].concat(),
    ];
    let segment = Tcp { payload: vec![b'x'; 40], ..Tcp::new(0x10) }.bytes();
    let datagram = udp(40000, 30053, &[b'y'; 40]);
    for flags in [0x0000, 0x2000, 0x6000, 0x8000, 0xe000, 0x0003, 0x2003, 0x1fff] {
        packets.push(fragment(6, flags, &segment));
        packets.push(fragment(17, flags, &datagram));
        packets.push(fragment(17, flags, &datagram[..24]));
        packets.push(fragment(200, flags, &datagram));
    }
    let hop = [10, 0, 0, 1, 10, 0, 0, 2];
    let all = [
        &[0][..],
        &[1, 1, 1, 0],
        &[148, 4, 0, 0],
        &[148, 4, 0, 5],
        &[148, 3, 0, 1],
        &[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0],
        &[&[7, 11, 8][..], &hop].concat(),
        &[&[131, 11, 12][..], &hop].concat(),
        &[&[137, 11, 4][..], &hop, &[1]].concat(),
        &[&[137, 10, 5][..], &hop].concat(),
        &[7, 2, 1, 1],
        &[68, 12, 5, 0, 0, 0, 0, 1, 0, 0, 0, 2],
        &[68, 12, 9, 0x20, 0, 0, 0, 1, 0, 0, 0, 2],
        &[68, 12, 13, 0x01, 10, 0, 0, 1, 0, 0, 0, 2],
        &[68, 12, 5, 0x13, 10, 0, 0, 1, 0, 0, 0, 2],
        &[68, 12, 5, 0x02, 10, 0, 0, 1, 0, 0, 0, 2],
        &[68, 10, 0, 0x01, 10, 0, 0, 1, 0, 0, 0, 2],
        &[68, 3, 5, 1],
        &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[82, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[99, 4, 1, 2],
        &[99, 1, 1, 2],
        &[99, 40, 1, 2],
        &[1, 1, 1, 7],
    ];
    packets.extend(all.iter().map(|options| with_options(options)));
    // IP in IP, both versions, and one that is not what the header says.
    let inner = Ipv4::new(17).packet(&udp(1, 2, b"inner"));
    packets.extend([
        Ipv4::new(4).frame(&inner),
        Ipv4::new(41).frame(&ipv6(17, &udp(1, 2, b"inner"))),
        Ipv4::new(41).frame(&inner),
        Ipv4::new(4).frame(&Ipv4::new(4).packet(&inner)),
        Ipv4::new(4).frame(&[]),
        ethernet(0x0800, &ipv6(59, &[])),
        ethernet(0x0800, &[]),
        ethernet(0x0800, &[0x45, 0, 0]),
    ]);
    packets
}
