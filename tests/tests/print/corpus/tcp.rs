//! TCP: connections, flags, options, and headers that cannot be.

use crate::fixtures::{Ipv4, Tcp};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

pub fn packets() -> Vec<Vec<u8>> {
    let mut packets = connection(40000);
    packets.extend(connection(20000));
    // The port is reused.
    packets.extend(connection(40000).iter().take(4).cloned());
    packets.extend((0..=255).map(|flags| Tcp { urgent: 9, ..Tcp::new(flags) }.frame()));
    packets.extend(equal_ports());
    packets.extend(bad_headers());
    packets.extend(options());
    packets.extend(multipath_options());
    packets
}

fn connection(sport: u16) -> Vec<Vec<u8>> {
    let syn_options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 4, 0xd2, 0, 0, 0, 0, 1, 3, 3, 7];
    let stamps = [1, 1, 8, 10, 0, 0, 4, 0xd3, 0, 0, 0x16, 0x2e];
    let sack = [1, 1, 5, 10, 0, 0, 0x13, 0x8f, 0, 0, 0x13, 0x99];
    let client = |flags, seq, ack, options: &[u8], payload: &[u8]| {
        let (options, payload) = (options.to_vec(), payload.to_vec());
        Tcp { sport, seq, ack, options, payload, ..Tcp::new(flags) }
    };
    // A server's numbers are those of the other direction.
    let server = |flags, seq, ack, options: &[u8], payload: &[u8]| {
        client(flags, seq, ack, options, payload).reply()
    };
    vec![
        client(SYN, 999, 0, &syn_options, b"").frame(),
        client(SYN, 999, 0, &syn_options, b"").frame(),
        server(SYN | ACK, 4999, 1000, &syn_options, b""),
        client(ACK, 1000, 5000, &stamps, b"").frame(),
        client(PSH | ACK, 1000, 5000, &stamps, b"request").frame(),
        client(PSH | ACK, 1000, 5000, &stamps, b"request").frame(),
        server(ACK, 5000, 1007, &stamps, b""),
        server(PSH | ACK, 5000, 1007, &stamps, b"an answer"),
        client(ACK, 1007, 5000, &sack, b"").frame(),
        server(ACK, 5009, 1007, &sack, b""),
        client(ACK, 999, 5009, &stamps, b"\0").frame(),
        client(FIN | ACK, 1007, 5009, &stamps, b"").frame(),
        server(FIN | ACK, 5009, 1008, &stamps, b""),
        server(RST, 5010, 0, &[], b""),
        client(RST | ACK, 1008, 5010, &[], b"").frame(),
        client(RST | ACK, 1008, 5010, &[], b"why\x01\xff it was reset").frame(),
        client(RST | ACK, 1008, 5010, &[], &[b'w'; 31]).frame(),
    ]
}

/// Then the addresses tell which direction is which.
fn equal_ports() -> Vec<Vec<u8>> {
    let tcp = Tcp { sport: 179, dport: 179, ..Tcp::new(ACK) };
    let tcp = Tcp { sport: 7777, dport: 7777, ..tcp };
    let next = Tcp { seq: 1001, ack: 5002, payload: b"x".to_vec(), ..tcp.clone() };
    vec![
        tcp.frame(),
        Tcp { seq: 5000, ack: 1000, ..tcp.clone() }.reply(),
        next.frame(),
        next.reply(),
    ]
}

fn bad_headers() -> Vec<Vec<u8>> {
    let ip = Ipv4::new(6);
    let changed = |at: usize, value: u8| {
        let segment = Tcp { payload: b"payload".to_vec(), ..Tcp::new(ACK) };
        let mut bytes = ip.summed(segment.bytes(), 16);
        bytes[at] = value;
        ip.frame(&bytes)
    };
    vec![
        changed(12, 0x00),
        changed(12, 0x40),
        changed(12, 0x60),
        changed(12, 0xf0),
        changed(16, 0xee),
        ip.frame(&[]),
        ip.frame(&[0, 80, 0]),
        ip.frame(&[0, 80, 0, 81]),
        ip.frame(&Tcp::new(ACK).bytes()[..19]),
        ip.frame(&[Tcp::new(ACK).bytes(), b"odd".to_vec()].concat()),
    ]
}

fn options() -> Vec<Vec<u8>> {
    let all: &[&[u8]] = &[
        &[0],
        &[1, 0, 2, 4],
        &[2, 4, 5, 0xb4],
        &[2, 3, 5],
        &[2, 6, 5, 0xb4, 1, 1],
        &[3, 3, 14],
        &[3, 2],
        &[4, 2],
        &[4, 4, 0, 0],
        &[5, 2],
        &[5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4],
        &[5, 9, 0, 0, 0, 1, 0, 0, 0],
        &[6, 6, 0, 0, 0, 1],
        &[7, 6, 0, 0, 0, 1],
        &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        &[8, 8, 0, 0, 0, 1, 0, 0],
        &[9, 2],
        &[11, 6, 0, 0, 0, 1],
        &[12, 6, 0, 0, 0, 1],
        &[13, 6, 0, 0, 0, 1],
        &[14, 3, 1],
        &[19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        &[19, 4, 1, 2],
        &[20, 4, 1, 2],
        &[28, 4, 0x80, 0x03],
        &[28, 4, 0x00, 0x14],
        &[29, 4, 1, 2],
        &[29, 8, 1, 2, 3, 4, 5, 6],
        &[29, 3, 1],
        &[34, 2],
        &[34, 3, 1],
        &[34, 6, 1, 2, 3, 4],
        &[34, 10, 1, 2, 3, 4, 5, 6, 7, 8],
        &[34, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18],
        &[69, 2],
        &[69, 6, 1, 2, 3, 4],
        &[253, 4, 1, 2],
        &[254, 4, 0xf9, 0x89],
        &[254, 8, 0xf9, 0x89, 1, 2, 3, 4],
        &[254, 7, 0xf9, 0x89, 1, 2, 3],
        &[254, 4, 1, 2],
        &[254, 3, 1],
        &[254, 2],
        &[1, 1, 1, 2],
        &[1, 99, 1],
        &[99, 1],
        &[99, 0],
        &[99, 200],
        &[1, 1, 99, 200],
        &[1, 1, 2, 2],
    ];
    let segment = |options: &&[u8]| Tcp { options: options.to_vec(), ..Tcp::new(ACK) }.frame();
    let loaded = |options: &&[u8]| {
        let payload = b"payload".to_vec();
        Tcp { options: options.to_vec(), payload, ..Tcp::new(ACK) }.frame()
    };
    all.iter().map(segment).chain(all.iter().map(loaded)).collect()
}

fn multipath_options() -> Vec<Vec<u8>> {
    // Of each subtype every length, with all flags that play a role.
    let mut packets = Vec::new();
    for subtype in 0..10u8 {
        for len in [2, 3, 4, 8, 10, 12, 16, 18, 20, 22, 24, 28, 30u8] {
            for (low, flags) in [(0, SYN), (1, SYN | ACK), (1, ACK), (4, ACK), (6, ACK), (9, ACK)] {
                let mut options = vec![30, len, subtype << 4 | low, 0x80 | len];
                options.extend((4..len).map(|byte| byte * 3));
                options.truncate(len.into());
                packets.push(Tcp { options, ..Tcp::new(flags) }.frame());
            }
        }
    }
    // Data sequence signals with every combination of fields.
    for fields in 0..32u8 {
        for len in [4, 8, 12, 14, 18, 20, 22, 24, 26, 28, 30] {
            let mut options = vec![30, len, 0x20, fields];
            options.extend(4..len);
            packets.push(Tcp { options, ..Tcp::new(ACK) }.frame());
        }
    }
    packets
}
