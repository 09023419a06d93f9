//! IPv6: the header, TCP and UDP on it, addresses of all kinds.

use crate::fixtures::{Ipv4, Tcp, ethernet, ipv6, summed6, udp};

fn changed(at: usize, value: &[u8]) -> Vec<u8> {
    let mut packet = ipv6(6, &summed6(6, Tcp::new(0x10).bytes(), 16));
    packet[at..at + value.len()].copy_from_slice(value);
    ethernet(0x86dd, &packet)
}

pub fn packets() -> Vec<Vec<u8>> {
    let segment = |tcp: &Tcp| ethernet(0x86dd, &ipv6(6, &summed6(6, tcp.bytes(), 16)));
    let datagram = |bytes: Vec<u8>| ethernet(0x86dd, &ipv6(17, &bytes));
    let inner = Ipv4::new(17).packet(&udp(1, 2, b"inner"));
    let mut packets = vec![
        segment(&Tcp::new(0x02)),
        segment(&Tcp { payload: b"GET / HTTP/1.1\r\n\r\n".to_vec(), ..Tcp::new(0x18) }),
        segment(&Tcp { seq: 1018, ..Tcp::new(0x10) }),
        datagram(summed6(17, udp(40000, 30053, b"whole"), 6)),
        datagram(udp(40000, 30053, b"without a checksum")),
        datagram(udp(40000, 30053, b"odd")),
        changed(0, &[0x45]),
        changed(0, &[0x6b, 0x9a, 0xbc, 0xde]),
        changed(0, &[0x60, 0x02, 0, 1]),
        changed(4, &[0, 0]),
        changed(4, &[0, 3]),
        changed(4, &[1, 0]),
        changed(6, &[59]),
        changed(6, &[200]),
        changed(6, &[1]),
        changed(6, &[2]),
        changed(7, &[0]),
        ethernet(0x86dd, &ipv6(4, &inner)),
        ethernet(0x86dd, &ipv6(41, &ipv6(17, &udp(1, 2, b"inner")))),
        ethernet(0x86dd, &ipv6(143, &ethernet(0x0800, &inner))),
        ethernet(0x86dd, &ipv6(59, &[])),
        ethernet(0x86dd, &inner),
        [changed(7, &[1]), vec![0; 10]].concat(),
    ];
    let addresses = [
        "::",
        "::1",
        "::2:3",
        "::1:0",
        "::ffff:10.0.0.1",
        "::ffff:0:0",
        "::ffff:0:1",
        "1::",
        "fe80::1",
        "1:0:2::3:0",
        "1:0:0:2:0:0:0:3",
        "1:0:0:2:3:0:0:4",
        "1:2:3:4:5:6:7:8",
        "0:1:2:3:4:5:6:7",
        "64:ff9b::1.2.3.4",
        "0:0:0:0:0:1:2:3",
    ];
    packets.extend(addresses.map(|address| {
        changed(8, &address.parse::<std::net::Ipv6Addr>().expect("an address").octets())
    }));
    packets
}
