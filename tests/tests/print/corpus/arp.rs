//! ARP: requests, replies, and what is neither.

use crate::fixtures::{CLIENT, MACS, SERVER, ethernet};

fn arp(operation: u16, sender: ([u8; 6], [u8; 4]), target: ([u8; 6], [u8; 4])) -> Vec<u8> {
    let header = [0, 1, 8, 0, 6, 4];
    [&header[..], &operation.to_be_bytes(), &sender.0, &sender.1, &target.0, &target.1].concat()
}

pub fn packets() -> Vec<Vec<u8>> {
    let mac: [u8; 6] = *MACS.last_chunk().expect("two MAC addresses");
    let (client, server) = ((mac, CLIENT), ([2, 0, 0, 0, 0, 1], SERVER));
    let nobody = [0; 6];
    let mut packets = vec![
        arp(1, client, (nobody, SERVER)),
        // Unicast, as for a neighbor that is probed.
        arp(1, client, server),
        arp(2, server, client),
        // Gratuitous.
        arp(1, client, (nobody, CLIENT)),
        arp(2, client, ([0xff; 6], CLIENT)),
        // A probe (RFC 5227).
        arp(1, (mac, [0; 4]), (nobody, CLIENT)),
        arp(3, client, server),
        arp(4, client, server),
        arp(8, client, server),
        arp(9, client, server),
        arp(10, client, server),
        arp(77, client, server),
    ];
    let changed = |at: usize, value: &[u8]| {
        let mut packet = arp(1, client, server);
        packet[at..at + value.len()].copy_from_slice(value);
        packet
    };
    packets.extend([
        // Hardware type, protocol type, and both lengths.
        changed(0, &[0, 6]),
        changed(0, &[1, 2]),
        changed(2, &[0x86, 0xdd]),
        changed(2, &[0x12, 0x34]),
        changed(2, &[0x10, 0x00]),
        changed(4, &[0]),
        changed(4, &[2]),
        changed(4, &[8]),
        changed(5, &[3]),
        changed(5, &[0]),
        changed(6, &[0, 2]),
    ]);
    let mut empty = changed(4, &[0]);
    empty[7] = 2;
    packets.push(empty);
    let mut frames: Vec<_> = packets.iter().map(|packet| ethernet(0x0806, packet)).collect();
    // Padded to the smallest frame.
    frames.push(ethernet(0x0806, &[arp(1, client, (nobody, SERVER)), vec![0; 18]].concat()));
    frames.push(ethernet(0x8035, &arp(3, client, client)));
    frames
}
