//! The same packets on other link layers.

use netlab::capture::LinkType;

use super::{Corpus, arp, ipv4, ipv6};

/// Puts `header` in front of what follows a frame's header.
fn on(header: impl Fn([u8; 2], usize) -> Vec<u8>) -> Vec<Vec<u8>> {
    let frames = [arp::packets(), ipv4::packets(), ipv6::packets()].concat();
    let cooked = |(number, frame): (usize, &Vec<u8>)| {
        let header = header([frame[12], frame[13]], number);
        [&header[..], &frame[14..]].concat()
    };
    frames.iter().enumerate().map(cooked).collect()
}

fn v1([a, b]: [u8; 2], number: usize) -> Vec<u8> {
    let kind = [0, 1, 2, 3, 4, 5][number % 6];
    let address_len = if number.is_multiple_of(4) { 0 } else { 6 };
    vec![0, kind, 0, 1, 0, address_len, 2, 0x42, 0xac, 0x12, 0, 2, 0, 0, a, b]
}

fn v2([a, b]: [u8; 2], number: usize) -> Vec<u8> {
    let kind = [0, 1, 2, 3, 4, 5][number % 6];
    // The loopback interface is the first one everywhere; the other is nowhere.
    let interface = if number.is_multiple_of(2) { [0, 0, 0, 1] } else { [0x7f, 0, 0, 1] };
    let address_len = if number.is_multiple_of(4) { 0 } else { 6 };
    let mut header = vec![a, b, 0, 0];
    header.extend(interface);
    header.extend([0, 1, kind, address_len, 2, 0x42, 0xac, 0x12, 0, 2, 0, 0]);
    header
}

fn null(ethertype: [u8; 2], number: usize) -> Vec<u8> {
    let family: u32 = match ethertype {
        [0x08, 0x00] => 2,
        [0x86, 0xdd] => [24, 28, 30][number % 3],
        _ => 5,
    };
    if number.is_multiple_of(2) { family.to_ne_bytes() } else { family.swap_bytes().to_ne_bytes() }
        .to_vec()
}

pub fn corpora() -> Vec<Corpus> {
    let corpus = |name, link, packets| Corpus { name, link, arguments: &[], packets };
    let other = |header: fn([u8; 2], usize) -> Vec<u8>| {
        // Tags, 802.3, LLC, and types that nobody knows.
        let rest = on(header).into_iter().find(|packet| packet.len() > 60).expect("one is longer");
        let payload = &rest[header([0, 0], 0).len()..];
        let types = [[0x81, 0], [0, 4], [0, 9], [0x88, 0xb5]];
        let tag = [&[0, 7, 0x08, 0x00][..], payload].concat();
        let untyped = [&[0x20, 7, 0x00, 0x05][..], &[0x12, 0x12, 3, 1, 2]].concat();
        let lines = [
            &tag,
            &untyped,
            &b"\x42\x42\x03\0\0\x09".to_vec(),
            &b"\xaa\xaa\x03\0\0\0\x08\x06".to_vec(),
        ];
        let all = types.iter().flat_map(|kind| lines.iter().map(move |line| (*kind, line)));
        let all = all
            .enumerate()
            .map(|(number, (kind, line))| [&header(kind, number)[..], line].concat());
        all.collect::<Vec<_>>()
    };
    let mut raw = on(|_, _| Vec::new());
    raw.retain(|packet| !packet.is_empty());
    vec![
        corpus("cooked, version 1", LinkType::LINUX_SLL, [on(v1), other(v1)].concat()),
        corpus("cooked, version 2", LinkType::LINUX_SLL2, [on(v2), other(v2)].concat()),
        corpus("loopback", LinkType::NULL, on(null)),
        corpus("raw", LinkType::RAW, raw),
    ]
}
