//! ICMP for IPv6: errors, echo, neighbor and listener discovery, and what is seldom met.

#![expect(clippy::cast_possible_truncation, reason = "the packets here are short")]

/// Ethernet frames.
pub fn packets() -> Vec<Vec<u8>> {
    let mut messages = errors();
    messages.extend(neighbors());
    messages.extend(listeners());
    messages.extend(seldom());
    messages.extend(nodes());
    messages.extend(renumbering());
    messages.extend(rpl());
    let mut frames: Vec<_> = messages.iter().map(|message| frame(&checked(message))).collect();
    frames.extend(damaged());
    frames
}

const HOP: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
const GROUP: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2];

fn errors() -> Vec<Vec<u8>> {
    let ports = [0x9c, 0x40, 0x75, 0x65, 0, 12, 0, 0, b'p', b'i', b'n', b'g'];
    let udp = quoted(17, &ports);
    let mut all = Vec::new();
    for code in 0..=7 {
        all.push(message(1, code, [0; 4], &udp));
    }
    let options = [17, 0, 1, 4, 0, 0, 0, 0];
    let first = [17, 0, 0, 1, 1, 2, 3, 4];
    let later = [17, 0, 0, 9, 1, 2, 3, 4];
    let authentication = [17, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    for (next, header) in [
        (6, &[][..]),
        (58, &[]),
        (0, &options),
        (60, &options),
        (43, &options),
        (44, &first),
        (44, &later),
        (51, &authentication),
        (60, &[17, 200, 0, 0]),
    ] {
        all.push(message(1, 4, [0; 4], &quoted(next, &[header, &ports].concat())));
    }
    all.push(message(2, 0, [0, 0, 5, 0xaa], &udp));
    for code in 0..=2 {
        all.push(message(3, code, [0; 4], &udp));
    }
    for code in 0..=4 {
        all.push(message(4, code, [0, 0, 0, 40], &udp));
    }
    for kind in [128, 129] {
        all.push(message(kind, 0, [0x12, 0x34, 0, 7], &[0x5a; 21]));
    }
    for kind in [0, 5, 100, 127, 148, 151, 152, 153, 156, 200, 201, 255] {
        all.push(message(kind, 1, [1, 2, 3, 4], &[0x5a; 19]));
    }
    all
}

fn neighbors() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let lists = option_lists();
    for list in &lists {
        all.push(message(133, 0, [0; 4], list));
        all.push(message(
            134,
            0,
            [64, 0xc8, 7, 8],
            &[&[0, 0, 0x75, 0x30, 0, 0, 3, 0xe8], &list[..]].concat(),
        ));
    }
    for flags in [0, 0x02, 0x08, 0x10, 0x18, 0x20, 0x01, 0xff] {
        all.push(message(134, 0, [255, flags, 0xff, 0xff], &[0; 8]));
    }
    for list in &lists[..3] {
        all.push(message(135, 0, [0; 4], &[&HOP, &list[..]].concat()));
        all.push(message(137, 0, [0; 4], &[&HOP, &GROUP, &list[..]].concat()));
        for flags in [0x00, 0x20, 0x40, 0x60, 0x80, 0xe0, 0x10] {
            all.push(message(136, 0, [flags, 0, 0, 0], &[&HOP, &list[..]].concat()));
        }
    }
    let redirected = [&[4, 8, 0, 0, 0, 0, 0, 0][..], &quoted(17, &[1; 16])].concat();
    let link = [2, 1, 2, 0, 0, 0, 0, 9];
    for list in [redirected.clone(), [&link[..], &redirected].concat()] {
        all.push(message(137, 0, [0; 4], &[&HOP, &GROUP, &list[..]].concat()));
    }
    all
}

fn option_lists() -> Vec<Vec<u8>> {
    let link = [1, 1, 2, 0, 0, 0, 0, 1];
    let prefix = [&[3, 4, 64, 0xe0][..], &[0xff; 4], &[0, 0, 0x38, 0x40], &[0; 4], &HOP].concat();
    let mut lists = vec![
        link.to_vec(),
        vec![],
        [&[2, 2, 2, 0, 0, 0, 0, 1][..], &[9; 8], &link].concat(),
        [&link[..], &prefix, &[5, 1, 0, 0, 0, 0, 5, 0xdc]].concat(),
        [&[3, 3, 64, 0x00][..], &[0; 20], &link].concat(),
        [&[3, 5, 64, 0x10][..], &[0; 36], &link].concat(),
        [&[5, 2, 0, 0, 0, 1, 0, 0][..], &[3; 8]].concat(),
        [&[7, 1, 0, 0, 0, 0, 1, 2, 8, 1, 0, 0, 0, 1, 0, 2][..], &link].concat(),
        [&[25, 3, 0, 0, 0, 0, 1, 2][..], &HOP].concat(),
        [&[25, 5, 0, 0, 0, 0, 1, 2][..], &HOP, &GROUP].concat(),
        [&[25, 2, 0, 0, 0, 0, 1, 2][..], &[8; 8]].concat(),
        [&[31, 4, 0, 0, 0, 0, 1, 2][..], b"\x03svc\x07cluster\x05local\x00\x00\x00\x00\x00\x00"]
            .concat(),
        [
            &[31, 4, 0, 0, 0, 0, 1, 2][..],
            b"\x01a\x01b\x00\x01c\xc0\x08\x01d\xc0\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        ]
        .concat(),
        [&[31, 2, 0, 0, 0, 0, 1, 2][..], b"\x07example", &link[..]].concat(),
        [&[31, 1, 0, 0, 0, 0, 1, 2][..], &link].concat(),
        // A nonce, and an option that nobody knows.
        [&[14, 1, 1, 2, 3, 4, 5, 6][..], &link].concat(),
        [&[200, 3][..], &[0x55; 22], &link].concat(),
        // No length, and too great a length.
        vec![1, 0, 2, 0, 0, 0, 0, 1],
        vec![1, 2, 2, 0, 0, 0, 0, 1],
        vec![1],
    ];
    for (size, flags) in [(1u8, 0), (2, 8), (3, 0x10), (4, 0x18)] {
        let mut route = vec![24, size, 48, flags, 0, 0, 1, size];
        route.extend_from_slice(&HOP[..]);
        route.extend([0; 8]);
        route.truncate(usize::from(size) * 8);
        route.extend(link);
        lists.push(route);
    }
    lists
}

fn listeners() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for kind in 130..=132 {
        all.push(message(kind, 0, [0x27, 0x10, 0, 0], &GROUP));
        all.push(message(kind, 0, [0x27, 0x10, 0, 0], &GROUP[..12]));
        all.push(message(kind, 0, [0x27, 0x10, 0, 0], &[&GROUP[..], &[1, 2]].concat()));
    }
    for (delay, flags, interval, count) in
        [(0x03e8u16, 2, 125, 0u8), (0x8001, 0x0f, 0x80, 1), (0xffff, 8, 0xff, 2), (9, 0, 0, 3)]
    {
        let [d0, d1] = delay.to_be_bytes();
        let body = [&GROUP[..], &[flags, interval, 0, count], &HOP, &HOP].concat();
        all.push(message(130, 0, [d0, d1, 0, 0], &body));
    }
    let record = |kind, count, sources: &[u8]| [&[kind, 0, 0, count][..], &GROUP, sources].concat();
    all.push(message(143, 0, [0, 0, 0, 1], &record(4, 0, &[])));
    let kinds: Vec<u8> = (0..8).flat_map(|kind| record(kind, 0, &[])).collect();
    all.push(message(143, 0, [0, 0, 0, 8], &kinds));
    let two = [record(1, 2, &[HOP, GROUP].concat()), record(6, 1, &HOP)].concat();
    all.push(message(143, 0, [0, 0, 0, 2], &two));
    all.push(message(143, 0, [0, 0, 0, 3], &two));
    all.push(message(143, 0, [0, 0, 0, 1], &record(1, 2, &HOP)));
    all.push(message(143, 0, [0, 0, 0, 0], &[]));
    all.push(vec![143, 0, 0, 0, 0, 0]);
    all
}

fn seldom() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for kind in [141, 142, 144, 146] {
        all.push(message(kind, 0, [0x12, 0x34, 0, 0], &[1, 1, 2, 0, 0, 0, 0, 1]));
    }
    all.push(message(145, 0, [0x12, 0x34, 0, 0], &[HOP, GROUP].concat()));
    all.push(message(145, 0, [0x12, 0x34, 0, 0], &[&HOP[..], &[1; 5]].concat()));
    for flags in [0, 0x40, 0x80, 0xc0, 0x20] {
        all.push(message(147, 0, [0x12, 0x34, flags, 0], &[1, 1, 2, 0, 0, 0, 0, 1]));
    }
    all
}

/// Node information (RFC 4620).
fn nodes() -> Vec<Vec<u8>> {
    let nonce = [7; 8];
    let mut all = vec![message(139, 0, [0, 2, 0, 0], &[1; 4]), message(139, 0, [0, 2, 0, 0], &[1])];
    for kind in [139, 140] {
        for code in 0..=3 {
            for query in 0..=5 {
                for subject in [
                    &[][..],
                    &HOP,
                    &[10, 0, 0, 1],
                    b"\x03pod\x04node\x00",
                    b"\x03pod\x04node\x00\x00",
                    b"\x03pod\x04node\x00\x01",
                    b"\x09pod",
                    b"\x03pod",
                    b"\x00\x00\x01\x00\x04\x03pod\x01\x80",
                    b"\x00\x00\x01\x00\x03pod",
                    b"\x00\x00\x01\x00\x03pod\x00",
                    b"\x00\x00\x01\x00\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00",
                ] {
                    let flags = if subject.len() > 6 { 0x7f } else { 0 };
                    let body = [&nonce, subject].concat();
                    all.push(message(kind, code, [0, query, 0, flags], &body));
                }
            }
        }
    }
    all
}

/// Router renumbering (RFC 2894).
fn renumbering() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for code in [1, 2, 255] {
        all.push(message(138, code, [0, 0, 0, 5], &[1, 0xf8, 0, 9, 0, 0, 0, 0]));
        all.push(message(138, code, [0, 0, 0, 5], &[1, 0, 0, 9, 0, 0, 0, 1]));
    }
    for (code, length) in [(1, 3), (2, 7), (3, 11), (4, 5), (1, 0)] {
        let mut body = vec![1, 0x88, 0, 9, 0, 0, 0, 0];
        body.extend([code, length, 1, 48, 40, 64, 0, 0]);
        body.extend(HOP);
        for (i, flags) in [0u8, 0xc0].into_iter().enumerate() {
            body.extend([64, 48, 0xc0, 0x80]);
            body.extend(if i == 0 { [0xff; 8] } else { [0, 0, 1, 2, 0, 0, 3, 4] });
            body.extend([flags, 0, 0, 0]);
            body.extend(HOP);
        }
        all.push(message(138, 0, [0, 0, 0, 5], &body));
    }
    all
}

/// RPL (RFC 6550).
fn rpl() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let options =
        [&[0, 1, 2, 0, 0, 7, 1, 9, 8, 18, 64, 0, 0, 0, 1, 0][..], &HOP[..12], &[9, 3, 1, 2, 3]]
            .concat();
    let object = |mode| [&[7, mode, 9, 0][..], &HOP, &options].concat();
    for code in [0, 1, 2, 3, 4, 0x80, 0x81] {
        for mode in [0x00, 0x88, 0x97, 0x1f, 0x20] {
            all.push(message(155, code, [30, 240, 1, 2], &object(mode)));
            all.push(message(155, code, [30, 0x40 | mode, 1, 2], &object(mode)[4..]));
        }
        all.push(message(155, code, [30, 0xc0, 1, 2], &[]));
        all.push(message(155, code, [30, 0xc0, 1, 2], &HOP));
        all.push(message(155, code, [30, 0x00, 1, 2], &[2, 9, 1]));
    }
    all
}

fn damaged() -> Vec<Vec<u8>> {
    let whole = checked(&message(128, 0, [0, 1, 0, 2], &[1; 16]));
    let mut wrong = frame(&whole);
    wrong[14 + 40 + 2] ^= 0x40;
    // A fragment has no checksum of its own.
    let fragment = [&[58, 0, 0, 1, 1, 2, 3, 4][..], &whole].concat();
    let mut fragment = frame(&fragment);
    fragment[14 + 6] = 44;
    fragment[14 + 40 + 8 + 2] ^= 0x40;
    let mut all = vec![wrong, fragment, frame(&[]), frame(&[128]), frame(&[135, 0, 0])];
    // The checksum covers where the packet goes in the end, or does not.
    for kind in [0, 2, 4] {
        for destination in [ADDRESSES[1], HOP, GROUP] {
            let message = checked_to(destination, &message(129, 0, [0, 1, 0, 2], &[1; 16]));
            for (length, addresses) in [(4, [HOP, GROUP].concat()), (2, HOP.to_vec()), (0, vec![])]
            {
                let routing = [&[58, length, kind, 1, 0, 0, 0, 0][..], &addresses].concat();
                let mut routed = frame(&[&routing[..], &message].concat());
                routed[14 + 6] = 43;
                all.push(routed);
            }
        }
    }
    all
}

fn message(kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0][..], &rest, data].concat()
}

/// A message with its checksum (RFC 8200, section 8.1).
fn checked(message: &[u8]) -> Vec<u8> {
    checked_to(ADDRESSES[1], message)
}

fn checked_to(destination: [u8; 16], message: &[u8]) -> Vec<u8> {
    let [l0, l1] = (message.len() as u16).to_be_bytes();
    let mut sum = 0u32;
    for part in [&ADDRESSES[0][..], &destination, &[l0, l1, 0, 58], message] {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let mut message = message.to_vec();
    message[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    message
}

const ADDRESSES: [[u8; 16]; 2] = [
    [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
];

fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd];
    frame.extend(packet(58, message));
    frame
}

/// The packet that provoked an error.
fn quoted(next: u8, payload: &[u8]) -> Vec<u8> {
    packet(next, payload)
}

fn packet(next: u8, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, l0, l1, next, 64];
    packet.extend(ADDRESSES.concat());
    packet.extend(payload);
    packet
}
