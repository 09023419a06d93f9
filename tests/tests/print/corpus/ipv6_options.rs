//! Extension headers of IPv6, one and several, whole and malformed.

#![expect(clippy::cast_possible_truncation, reason = "the packets here are short")]

/// Next-header numbers.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const NONE: u8 = 59;
const DESTINATION: u8 = 60;

/// Ethernet frames.
pub fn packets() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for list in option_lists() {
        frames.push(frame(HOP_BY_HOP, &header(NONE, &list)));
        frames.push(frame(DESTINATION, &header(NONE, &list)));
        let both = [header(DESTINATION, &list), header(NONE, &list)].concat();
        frames.push(frame(HOP_BY_HOP, &both));
        // A length of zero in the IPv6 header.
        let mut jumbo = frame(HOP_BY_HOP, &header(NONE, &list));
        jumbo[14 + 4..14 + 6].fill(0);
        frames.push(jumbo);
    }
    for header in routing_headers() {
        frames.push(frame(ROUTING, &[&header[..], &[0xaa; 8]].concat()));
        frames.push(frame(ROUTING, &header));
    }
    for offset in [0u16, 1, 8, 1448, 0xfff8] {
        let [o0, o1] = offset.to_be_bytes();
        let fragment = [NONE, 0, o0, o1, 0x12, 0x34, 0x56, 0x78];
        frames.push(frame(FRAGMENT, &[&fragment[..], &[0xaa; 24]].concat()));
        frames.push(frame(FRAGMENT, &fragment));
        let behind = [&header(FRAGMENT, &[1, 4, 0, 0, 0, 0])[..], &fragment, &[1; 8]].concat();
        frames.push(frame(DESTINATION, &behind));
        let mut empty = frame(FRAGMENT, &[&fragment[..], &[0xaa; 24]].concat());
        empty[14 + 4..14 + 6].fill(0);
        frames.push(empty);
    }
    // A header that says to be longer than the packet.
    for next in [HOP_BY_HOP, DESTINATION, ROUTING] {
        frames.push(frame(next, &[NONE, 9, 1, 4, 0, 0, 0, 0]));
        frames.push(frame(next, &[NONE]));
    }
    frames
}

fn option_lists() -> Vec<Vec<u8>> {
    let home = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let mut lists: Vec<Vec<u8>> = [
        &[5, 2, 0, 0, 1, 0][..],
        &[1, 4, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 5],
        &[0, 0, 0, 0, 1, 0],
        &[0, 0, 5, 3, 0, 0],
        &[5, 4, 0, 0, 0, 0],
        &[0, 0, 0, 5, 1, 0],
        &[0, 0, 0, 0, 5, 0],
        &[0, 0, 0, 0, 0xc2, 0],
        &[0, 0, 0, 0, 0xc9, 0],
        &[0xc2, 4, 0, 1, 0, 0],
        &[0xc2, 4, 0, 0, 0xff, 0xff],
        &[0xc2, 3, 0, 1, 0, 0],
        &[0xc2, 4, 0, 1, 0, 0, 0xc2, 4, 0, 2, 0, 0, 0, 0],
        &[0xc2, 4, 0, 0, 0, 1, 0xc2, 4, 0, 2, 0, 0, 0, 0],
        &[0x26, 4, 1, 2, 3, 4],
        &[0x07, 2, 1, 2, 0x63, 0],
        &[0x3e, 9, 1, 2, 3, 4],
        &[0xc9, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 6, 0, 0, 0, 0, 0, 0],
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    let mut exact = vec![1, 2, 0, 0, 0xc9, 16];
    exact.extend(home);
    lists.push(exact);
    for rest in
        [&[0, 1, 1, 0, 0x22, 2, 8, 8][..], &[0, 1, 0, 0, 0, 0, 0, 1], &[0x22, 9, 0, 0, 0, 0, 0, 1]]
    {
        let mut nested = vec![1, 2, 0, 0, 0xc9, 16 + rest.len() as u8];
        nested.extend(home);
        nested.extend(rest);
        lists.push(nested);
    }
    lists
}

fn routing_headers() -> Vec<Vec<u8>> {
    let hop = |last| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let mut all = Vec::new();
    for kind in [0, 2, 4, 1, 3, 254] {
        for rest in [[0; 4], [1, 0, 0, 2], [1, 0x80, 0xab, 0xcd]] {
            let begin = [&[NONE, 4, kind, 1][..], &rest].concat();
            all.push([&begin[..], &hop(1), &hop(2)].concat());
        }
        all.push([&[NONE, 3, kind, 1, 0, 0, 0, 0][..], &[7; 24]].concat());
        all.push(vec![NONE, 0, kind, 0, 0, 0, 0, 0]);
    }
    all
}

/// An options header; `list` fills it to a multiple of eight bytes.
fn header(next: u8, list: &[u8]) -> Vec<u8> {
    assert_eq!((list.len() + 2) % 8, 0, "options fill their header");
    let mut header = vec![next, (list.len() / 8) as u8];
    header.extend(list);
    header
}

fn frame(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd];
    let [l0, l1] = (payload.len() as u16).to_be_bytes();
    frame.extend([0x60, 0, 0, 0, l0, l1, next, 64]);
    for last in [1, 2] {
        frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    frame.extend(payload);
    frame
}
