//! Ethernet: tags, lengths in place of an EtherType, and types that nobody knows.

use crate::fixtures::{MACS, Tcp, ethernet, length};

/// A tag in front of `rest`, which begins with an EtherType.
fn tagged(ethertype: u16, tag: u16, rest: &[u8]) -> Vec<u8> {
    [&MACS[..], &ethertype.to_be_bytes(), &tag.to_be_bytes(), rest].concat()
}

/// A frame with its length, padded to the smallest that there is.
fn with_length(payload: &[u8]) -> Vec<u8> {
    let mut frame = [&MACS[..], &length(payload.len()), payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A spanning tree configuration.
fn configuration(version: u8, kind: u8, flags: u8) -> Vec<u8> {
    let mut unit = vec![0x42, 0x42, 3, 0, 0, version, kind, flags];
    unit.extend([0x80, 0x01, 2, 0x42, 0xac, 0x12, 0, 1, 0, 0, 0, 4]);
    unit.extend([0x80, 0x00, 2, 0x42, 0xac, 0x12, 0, 9, 0x80, 0x02]);
    unit.extend([1, 0x40, 0x14, 0, 2, 0, 0x0f, 0, 0]);
    unit
}

pub fn packets() -> Vec<Vec<u8>> {
    let segment = Tcp { payload: b"tagged".to_vec(), ..Tcp::new(0x18) }.frame();
    let rest = &segment[12..];
    let twice = [&[0x81, 0x00, 0x00, 0x07][..], rest].concat();
    let ip = rest[2..].to_vec();
    let snap = |organisation: [u8; 3], kind: u16, rest: &[u8]| {
        [&[0xaa, 0xaa, 3][..], &organisation, &kind.to_be_bytes(), rest].concat()
    };
    let mut packets = vec![
        tagged(0x8100, 7, rest),
        tagged(0x8100, 0xf00a, rest),
        tagged(0x88a8, 100, &twice),
        tagged(0x9100, 100, &twice),
        tagged(0x9200, 0x2005, rest),
        tagged(0x8100, 7, &with_length(&configuration(0, 0, 1))[12..]),
        tagged(0x8100, 7, &[0x88, 0xb5, 1, 2, 3, 4, 5]),
        ethernet(0x88b5, b"for a local experiment, 802.1Q"),
        ethernet(0x88cc, &[2, 7, 4, 2, 0, 0, 0, 0, 1][..5]),
        ethernet(0x1234, &[]),
        ethernet(0x8870, &snap([0, 0, 0], 0x0800, &ip)),
        // Neither a length nor a type.
        ethernet(1501, &[0; 46]),
    ];
    packets.retain(|packet| packet[12..14] != [0x88, 0xcc]);
    packets.extend(
        [
            configuration(0, 0, 0),
            configuration(0, 0, 0x81),
            configuration(2, 2, 0x3c),
            configuration(2, 2, 0x7e),
            configuration(0, 0x80, 0)[..7].to_vec(),
            configuration(0, 0x33, 0),
            configuration(9, 0, 0),
            configuration(0, 0, 0)[..20].to_vec(),
            snap([0, 0, 0], 0x0800, &ip),
            snap([0, 0, 0], 0x1234, b"nobody knows"),
            snap([0, 0, 0x0c], 0x010b, &configuration(0, 0, 0)[3..]),
            snap([0, 0x80, 0xc2], 0x000e, &configuration(0, 0, 0)[3..]),
            snap([0, 0, 0x0c], 0x4321, b"nobody knows"),
            snap([1, 2, 3], 0x4321, b"nobody knows"),
            [&[0x06, 0x06, 3][..], &ip].concat(),
            vec![0x00, 0x01, 0xaf, 0x81, 1, 0],
            vec![0x00, 0x01, 0xbf, 0x81, 1, 0],
            vec![0x04, 0x04, 0xaf],
            vec![0x04, 0x05, 0xe3, 1, 2, 3],
            vec![0x0e, 0x08, 0x03, 1, 2, 3],
            vec![0x12, 0x12, 0x73, 1, 2, 3],
            vec![0x12, 0x12, 0x01, 0x05, 2, 3],
            vec![0x12, 0x13, 0x05, 0x04, 2, 3],
            vec![0x12, 0x14, 0x0d, 0x04, 2, 3],
            vec![0x12, 0x14, 0x44, 0x07, 2, 3],
            vec![0x42],
            vec![],
        ]
        .iter()
        .map(|payload| with_length(payload)),
    );
    packets
}
