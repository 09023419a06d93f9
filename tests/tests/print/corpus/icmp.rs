//! ICMP for IPv4: every type and code, quoted packets, extensions, wrong checksums.

#![expect(clippy::cast_possible_truncation, reason = "the packets here are short")]

/// Ethernet frames.
pub fn packets() -> Vec<Vec<u8>> {
    let mut messages = informational();
    messages.extend(errors());
    messages.extend(extended());
    let mut frames: Vec<_> = messages.into_iter().map(|message| frame(&message)).collect();
    frames.extend(damaged());
    frames
}

fn informational() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for kind in [0, 8] {
        all.push(message(kind, 0, [0x12, 0x34, 0, 7], &[0x5a; 56]));
    }
    all.push(message(8, 0, [0xff, 0xff, 0xff, 0xff], b"odd"));
    for kind in [1, 2, 6, 7, 10, 15, 16, 17, 19, 30, 40, 42, 43, 255] {
        all.push(message(kind, 3, [0, 1, 0, 2], &[0; 4]));
    }
    all.push(message(18, 0, [0, 1, 0, 2], &[255, 255, 240, 0]));
    let times: Vec<u8> =
        [0u32, 86_399_999, u32::MAX].into_iter().flat_map(u32::to_be_bytes).collect();
    all.push(message(13, 0, [0, 1, 0, 2], &times));
    all.push(message(14, 0, [0, 1, 0, 2], &times));
    for lifetime in [59u16, 60, 1800, 3599, 3600, 65_535] {
        let [high, low] = lifetime.to_be_bytes();
        all.push(message(9, 0, [1, 2, high, low], &router(1)));
    }
    all.push(message(9, 0, [2, 3, 7, 8], &router(2)));
    all.push(message(9, 16, [0, 2, 7, 8], &[]));
    // More routers than tcpdump's buffer takes.
    all.push(message(9, 0, [9, 2, 7, 8], &router(9)));
    all.push(message(9, 0, [9, 2, 7, 8], &router(3)));
    all
}

fn router(count: u8) -> Vec<u8> {
    (0..count).flat_map(|i| [192, 168, 100, 100 + i, 0x80, 0, 0, i]).collect()
}

fn errors() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let udp = quoted(17, &[0x9c, 0x40, 0x75, 0x65, 0, 12, 0, 0, b'p', b'i', b'n', b'g']);
    let tcp = quoted(6, &segment());
    for code in 0..=17 {
        all.push(message(3, code, [0; 4], &udp));
    }
    all.push(message(3, 3, [0; 4], &tcp));
    all.push(message(3, 3, [0; 4], &quoted(200, &[0, 1, 0, 2, 0, 0, 0, 0])));
    all.push(message(3, 3, [0; 4], &quoted(1, &message(8, 0, [0, 1, 0, 2], &[]))));
    all.push(message(3, 4, [0, 0, 5, 0xaa], &tcp));
    all.push(message(3, 4, [0, 0, 5, 0xaa], &tcp[..28]));
    for code in 0..=4 {
        all.push(message(5, code, [172, 18, 0, 254], &udp));
    }
    for code in 0..=2 {
        all.push(message(11, code, [0; 4], &udp));
    }
    all.push(message(12, 0, [20, 0, 0, 0], &udp));
    all.push(message(12, 1, [20, 0, 0, 0], &udp));
    all.push(message(4, 0, [0; 4], &udp));
    // Options in the quoted header move the ports.
    let mut options = udp.clone();
    options[0] = 0x46;
    options.splice(20..20, [1, 1, 1, 0]);
    all.push(message(3, 3, [0; 4], &options));
    // An error about an error, and a query quoted in full.
    let inner = message(3, 3, [0; 4], &udp);
    all.push(message(11, 0, [0; 4], &quoted(1, &inner)));
    all.push(message(3, 3, [0; 4], &quoted(17, &query())));
    all
}

/// Errors with what stands, or seems to stand, behind the quoted packet (RFC 4884).
fn extended() -> Vec<Vec<u8>> {
    let mut quote = quoted(17, &[7; 108]);
    assert_eq!(quote.len(), 128, "the quoted packet fills its place");
    let mpls = [0x20, 0, 0, 0, 0, 8, 1, 1, 0x06, 0x42, 0x1f, 0x01];
    let mut all = vec![
        message(11, 0, [0, 32, 0, 0], &[&quote, &checked(&mpls)[..]].concat()),
        message(3, 3, [0, 0, 0, 0], &[&quote, &checked(&mpls)[..]].concat()),
        message(3, 3, [0, 0, 0, 0], &[&quote, &mpls[..]].concat()),
        message(11, 0, [0, 32, 0, 0], &[&quote, &mpls[..]].concat()),
        // Not an error that takes extensions.
        message(5, 0, [0, 32, 0, 0], &[&quote, &checked(&mpls)[..]].concat()),
    ];
    for objects in [
        &[0, 12, 2, 1, 0, 0, 0, 1, 10, 0, 0, 1, 0, 8, 1, 1, 0, 0, 0, 0xff][..],
        &[0, 8, 1, 2, 1, 2, 3, 4, 0, 5, 9, 0, 0x77, 0],
        &[0, 3, 9, 0, 0, 0],
        &[0, 8, 0, 0, 1, 2, 3, 4],
        &[0, 200, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0, 4, 2, 0],
        &[],
    ] {
        let extension = checked(&[&[0x20, 0, 0, 0][..], objects].concat());
        all.push(message(12, 0, [0, 32, 0, 0], &[&quote[..], &extension].concat()));
    }
    for version in [0x10, 0x30] {
        let extension = [&[version][..], &mpls[1..]].concat();
        all.push(message(11, 1, [0, 32, 0, 0], &[&quote[..], &extension].concat()));
    }
    // The quoted packet was longer than its place.
    quote[2..4].copy_from_slice(&1400u16.to_be_bytes());
    all.push(message(11, 0, [0, 32, 0, 0], &[&quote, &checked(&mpls)[..]].concat()));
    let zeros = [0; 12];
    all.push(message(11, 0, [0; 4], &[&quote[..], &zeros].concat()));
    // A quoted TCP segment and query, longer than what snapshots usually hold.
    let long = quoted(6, &[&segment()[..], &[b'x'; 200]].concat());
    all.push(message(3, 1, [0; 4], &long));
    all
}

/// Frames whose IP header has something to say.
fn damaged() -> Vec<Vec<u8>> {
    let whole = frame(&message(8, 0, [0, 1, 0, 2], &[1; 16]));
    let mut wrong = whole.clone();
    wrong[14 + 20 + 2] ^= 0x40;
    let mut fragment = whole.clone();
    fragment[14 + 6] = 0x20;
    seal(&mut fragment[14..]);
    let mut empty = frame(&[]);
    empty.extend([0; 26]);
    let mut short = frame(&[8]);
    short.extend([0; 25]);
    vec![wrong, fragment, empty, short]
}

/// A message with its checksum.
fn message(kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Vec<u8> {
    checked(&[&[kind, code, 0, 0][..], &rest, data].concat())
}

/// `bytes` with the checksum at offset 2.
fn checked(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[2..4].fill(0);
    let sum = checksum(&bytes);
    bytes[2..4].copy_from_slice(&sum);
    bytes
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

fn packet(protocol: u8, source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (20 + payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x45, 0, l0, l1, 0x12, 0x34, 0x40, 0, 63, protocol, 0, 0];
    packet.extend(source);
    packet.extend(destination);
    packet.extend(payload);
    seal(&mut packet);
    packet
}

/// Writes the header checksum.
fn seal(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let sum = checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum);
}

/// The packet that provoked an error.
fn quoted(protocol: u8, payload: &[u8]) -> Vec<u8> {
    packet(protocol, [192, 0, 2, 10], [172, 18, 0, 2], payload)
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend(packet(1, [172, 18, 0, 2], [192, 0, 2, 10], message));
    frame
}

fn segment() -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40, 0x75, 0x30];
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0xfa, 0xf0, 0, 0, 0, 0, 2, 4, 5, 0xb4]);
    segment
}

/// A DNS query in UDP.
fn query() -> Vec<u8> {
    let mut datagram = vec![0x9c, 0x40, 0, 53, 0, 37, 0, 0];
    datagram.extend([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    datagram.extend(b"\x07example\x03com\x00\x00\x01\x00\x01");
    datagram
}
