//! VXLAN, on the assigned port and on the one that Linux uses.

use super::{Corpus, arp};
use crate::fixtures::{Ipv4, Tcp, ethernet, ipv6, summed6, udp, udp_frame};

fn header(flags: u8, vni: u32) -> Vec<u8> {
    [&[flags, 0, 0, 0][..], &(vni << 8).to_be_bytes()].concat()
}

fn on(port: u16) -> Vec<Vec<u8>> {
    // Of -T vxlan comes that nothing else is decoded, either.
    let dport = if port == 4789 { 8080 } else { 30080 };
    let inner = Tcp { payload: b"GET / HTTP/1.1\r\n\r\n".to_vec(), dport, ..Tcp::new(0x18) };
    let carried = |flags, vni, frame: &[u8]| {
        udp_frame(51234, port, &[&header(flags, vni)[..], frame].concat())
    };
    let datagram = udp(51234, port, &[header(8, 1), inner.frame()].concat());
    let mut packets = vec![
        carried(8, 1, &inner.frame()),
        carried(8, 0x00ff_ffff, &inner.reply()),
        carried(0, 1, &inner.frame()),
        carried(0xff, 1, &inner.frame()),
        carried(8, 1, &[]),
        carried(8, 1, &[1, 2, 3]),
        carried(8, 1, &ethernet(0x88b5, b"for a local experiment")),
        carried(8, 1, &ethernet(0x0800, &Ipv4::new(200).packet(b"x"))),
        udp_frame(51234, port, &header(8, 1)[..7]),
        udp_frame(51234, port, &[]),
        udp_frame(port, 51234, &[header(8, 1), inner.frame()].concat()),
        ethernet(0x86dd, &ipv6(17, &datagram)),
        // A UDP length that ends within the inner frame.
        Ipv4::new(17).frame(&[&datagram[..4], &[0, 40], &datagram[6..]].concat()),
    ];
    if port == 4789 {
        packets.push(ethernet(0x86dd, &ipv6(17, &summed6(17, datagram, 6))));
    }
    packets.extend(arp::packets().iter().take(3).map(|frame| carried(8, 1, frame)));
    packets
}

pub fn packets() -> Vec<Vec<u8>> {
    on(4789)
}

/// What tcpdump has to be told about.
pub fn on_linux_port() -> Corpus {
    let arguments = &["-T", "vxlan"];
    Corpus { arguments, ..Corpus::ethernet("vxlan on 8472", on(8472)) }
}
