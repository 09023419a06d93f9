//! DNS over UDP and TCP, and multicast DNS: flags, codes, every kind of record, EDNS
//! options, names that point to themselves.

#![expect(clippy::cast_possible_truncation, reason = "the packets here are short")]

/// Ethernet frames.
pub fn packets() -> Vec<Vec<u8>> {
    let mut messages = requests();
    messages.extend(responses());
    messages.extend(records().iter().map(|record| answer(record)));
    messages.extend(options().iter().map(|option| edns(option)));
    messages.extend(names());
    let mut frames = Vec::new();
    for message in &messages {
        frames.push(udp(53, message));
    }
    for message in &messages[..12] {
        frames.push(udp(5353, message));
        frames.push(tcp(message, 0));
    }
    frames.extend(multicast());
    frames.push(tcp(&messages[0], 1));
    frames.push(tcp(&[], 0));
    frames.push(tcp(&[0; 5], 0));
    for length in [0, 1, 11] {
        frames.push(udp(53, &messages[0][..length]));
    }
    // Bytes behind the datagram.
    let mut longer = udp(53, &messages[0]);
    longer.extend([0; 20]);
    frames.push(longer);
    frames
}

const QUESTION: &[u8] = b"\x07example\x03com\x00\x00\x01\x00\x01";

fn requests() -> Vec<Vec<u8>> {
    let mut all = vec![message(0x0100, [1, 0, 0, 0], &[QUESTION])];
    for flags in [0, 0x0110, 0x0010, 0x0120, 0x0480, 0x0203, 0x0140] {
        all.push(message(flags, [1, 0, 0, 0], &[QUESTION]));
    }
    for opcode in 1..16 {
        all.push(message(opcode << 11, [1, 0, 0, 0], &[QUESTION]));
    }
    let record = record(1, 1, &[10, 0, 0, 1]);
    for counts in [
        [0, 0, 0, 0],
        [1, 1, 1, 1],
        [0, 1, 0, 0],
        [1, 0, 1, 0],
        [1, 0, 0, 2],
        [2, 0, 0, 0],
        [1, 2, 0, 0],
    ] {
        for flags in [0x0100, 0x0900, 0x2800] {
            all.push(message(flags, counts, &[QUESTION, &record, &record, &record]));
        }
    }
    for kind in [
        2u16, 5, 6, 12, 15, 16, 28, 33, 35, 41, 43, 46, 48, 49, 64, 65, 99, 249, 252, 255, 256,
        257, 0xffff,
    ] {
        let [k0, k1] = kind.to_be_bytes();
        for class in [0, 1, 3, 4, 254, 255] {
            all.push(message(0x0100, [1, 0, 0, 0], &[b"\x01a\x00", &[k0, k1, 0, class]]));
        }
    }
    all
}

fn responses() -> Vec<Vec<u8>> {
    let address = record(1, 1, &[10, 0, 0, 1]);
    let server = record(2, 1, b"\x02ns\xc0\x0c");
    let parts = [QUESTION, &address, &address, &server, &address];
    let mut all = Vec::new();
    for flags in [0x8180, 0x8080, 0x8000, 0x8580, 0x8380, 0x81a0, 0x8790, 0xa800] {
        all.push(message(flags, [1, 2, 1, 1], &parts));
    }
    for code in 0..16 {
        all.push(message(0x8180 | code, [1, 0, 0, 0], &[QUESTION]));
        let opt = [&[0, 0, 41, 4, 0xd0, code as u8, 0, 0, 0, 0, 0][..]].concat();
        all.push(message(0x8180 | code, [1, 1, 0, 1], &[QUESTION, &address, &opt]));
    }
    for counts in [
        [0, 1, 0, 0],
        [2, 1, 0, 0],
        [1, 0, 0, 0],
        [1, 5, 0, 0],
        [1, 1, 9, 0],
        [1, 1, 1, 9],
        [3, 0, 0, 0],
        [0, 0, 0, 0],
    ] {
        all.push(message(0x8180, counts, &parts));
    }
    for time in [0u32, 1, 59, 60, 3661, 86_400, 694_861, 32_230_861, u32::MAX] {
        let mut record = record(1, 1, &[10, 0, 0, 1]);
        record[6..10].copy_from_slice(&time.to_be_bytes());
        all.push(message(0x8180, [1, 1, 0, 0], &[QUESTION, &record]));
    }
    for class in [0, 3, 4, 255, 0x8001] {
        all.push(message(0x8180, [1, 1, 0, 0], &[QUESTION, &record(1, class, &[10, 0, 0, 1])]));
    }
    all
}

fn records() -> Vec<Vec<u8>> {
    let soa = [
        &b"\x02ns\xc0\x0c\x04root\xc0\x0c"[..],
        &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5],
    ]
    .concat();
    let tsig = [
        &b"\x04hmac\x03md5\x00"[..],
        &[0, 0, 1, 2, 3, 4, 1, 44, 0, 4, 9, 9, 9, 9, 0x12, 0x34, 0, 17, 0, 0],
    ]
    .concat();
    let mut all: Vec<Vec<u8>> = vec![
        record(1, 1, &[10, 0, 0, 1]),
        record(1, 1, &[10, 0, 0]),
        record(28, 1, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        record(28, 1, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1]),
        record(6, 1, &soa),
        record(6, 1, &soa[..20]),
        record(15, 1, b"\x00\x0a\x04mail\xc0\x0c"),
        record(15, 1, b"\x00"),
        record(16, 1, b"\x05hello\x03\x01\xff\x7f\x00"),
        record(16, 1, b"\x09short"),
        record(16, 1, b""),
        record(33, 1, b"\x00\x01\x00\x02\x1f\x90\x03pod\xc0\x0c"),
        record(33, 1, b"\x00\x01\x00"),
        record(256, 1, b"\x00\x01\x00\x02https://example.com/"),
        record(256, 1, b"\x00\x01"),
        record(104, 1, b"one long string"),
        record(250, 255, &tsig),
        record(250, 255, &tsig[..16]),
    ];
    for kind in [2, 5, 12, 39] {
        all.push(record(kind, 1, b"\x03pod\xc0\x0c"));
    }
    for kind in [13, 35, 43, 46, 47, 48, 65, 257, 4711] {
        all.push(record(kind, 1, &[1, 2, 3, 4]));
    }
    for bits in [0, 1, 8, 64, 127, 128, 129, 255] {
        let suffix = 16 - usize::from(bits / 8).min(16);
        all.push(record(
            38,
            1,
            &[&[bits][..], &vec![0x20; suffix], b"\x06prefix\xc0\x0c"].concat(),
        ));
    }
    all.push(record(38, 1, &[64, 1]));
    all
}

fn options() -> Vec<Vec<u8>> {
    let option = |code: u16, value: &[u8]| {
        let [l0, l1] = (value.len() as u16).to_be_bytes();
        [&code.to_be_bytes()[..], &[l0, l1], value].concat()
    };
    let mut all = vec![vec![], [option(12, &[0; 6]), option(3, b"ns1")].concat()];
    for code in 0..20 {
        for length in [0, 1, 2, 4, 8, 12, 16, 41] {
            all.push(option(code, &(0..length).collect::<Vec<u8>>()));
        }
    }
    for value in [
        &[0, 1, 24, 0, 10, 1, 2][..],
        &[0, 1, 20, 32, 10, 1, 0xff],
        &[0, 1, 0, 0],
        &[0, 1, 33, 0, 1, 2, 3, 4, 5],
        &[0, 1, 24, 33, 1, 2, 3],
        &[0, 2, 56, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 1],
        &[0, 2, 24, 0, 1, 2],
        &[0, 3, 24, 0, 1, 2, 3],
        &[0, 1, 24],
    ] {
        all.push(option(8, value));
    }
    all.push(option(13, b"\x03pod\x00"));
    all.push(option(13, b"\x03pod\xc0\x00"));
    all.push(option(11, &[0x27, 0x0f]));
    all.push(vec![0, 10, 0, 99, 1]);
    all.push(vec![0, 10, 0]);
    all
}

/// Names: the root, escapes, long ones, pointers of every kind.
fn names() -> Vec<Vec<u8>> {
    let long: Vec<u8> = (0..5).flat_map(|i| [&[63][..], &[b'a' + i; 63]].concat()).collect();
    let exact =
        [&[63][..], &[b'x'; 63], &[63], &[b'y'; 63], &[63], &[b'z'; 63], &[61], &[b'w'; 61]]
            .concat();
    let mut all = Vec::new();
    for name in [
        &[0][..],
        b"\x03a\x00b\x05\x7f\x80\xff \\\x00",
        b"\xc0\x0c",
        b"\xc0\x00",
        b"\xc0\x0e",
        b"\xff\xff",
        b"\x01a\xc0\x0c",
        b"\x01a\xc0\x0d",
        b"\x01a\xc0\x10",
        b"\x80\x00",
        b"\x01a\xbf",
        b"\x40\x00",
        b"\x7f\x00",
        b"\x41\x08\xab\x00",
        b"\x41\x03\xff\x00",
        b"\x41\x0d\xab\xcd\x00",
        b"\x41\x0b\xab\xff\x00",
        b"\x01a\x41\x04\xf0\x01b\x00",
        b"\x3fshort",
        &[&long[..], &[0]].concat(),
        &[&exact[..], &[0]].concat(),
        &[&exact[..], &[1, b'v', 0]].concat(),
        &[&[0x41, 0][..], &[0x5a; 32], &[0]].concat(),
    ] {
        all.push(message(0x0100, [1, 0, 0, 0], &[name, &[0, 1, 0, 1]]));
        let fields = [0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 0x0c];
        all.push(message(0x8180, [1, 1, 0, 0], &[QUESTION, name, &fields]));
        all.push(answer(&record(5, 1, name)));
    }
    // Pointers that go back step by step, and one that does not.
    let chain = [0, 0xc0, 12, 0xc0, 13, 0xc0, 15, 1, b'a', 0xc0, 17, 0xc0, 19, 0xc0, 21];
    for start in [13u8, 15, 17, 19, 21, 23, 25, 27] {
        let record = [0xc0, start, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4];
        all.push(message(0x8180, [1, 1, 0, 0], &[&chain[..1], &[0, 1, 0, 1], &chain, &record]));
    }
    all
}

fn multicast() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for class in [0x0001, 0x8001, 0x8003, 0x80ff, 0xffff] {
        let [c0, c1] = u16::to_be_bytes(class);
        let question = [&b"\x04_ssh\x04_tcp\x05local\x00\x00\x0c"[..], &[c0, c1]].concat();
        let address = record(1, class, &[10, 0, 0, 1]);
        let opt = [&[0, 0, 41][..], &[c0, c1], &[0, 0, 0x80, 0, 0, 0]].concat();
        all.push(udp(5353, &message(0, [1, 0, 0, 0], &[&question])));
        all.push(udp(5353, &message(0, [2, 0, 0, 0], &[&question, &question])));
        all.push(udp(5353, &message(0x8400, [0, 1, 0, 1], &[&address, &opt])));
        all.push(udp(5353, &message(0x8400, [1, 1, 1, 1], &[&question, &address, &address, &opt])));
        all.push(udp(5353, &message(0, [1, 0, 1, 1], &[&question, &address, &opt])));
    }
    all
}

fn message(flags: u16, counts: [u16; 4], parts: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![0x30, 0x39];
    message.extend(flags.to_be_bytes());
    message.extend(counts.into_iter().flat_map(u16::to_be_bytes));
    message.extend(parts.concat());
    message
}

/// A response with one record.
fn answer(record: &[u8]) -> Vec<u8> {
    message(0x8180, [1, 1, 0, 0], &[QUESTION, record])
}

/// A response with these EDNS options.
fn edns(options: &[u8]) -> Vec<u8> {
    let [l0, l1] = (options.len() as u16).to_be_bytes();
    let fixed = [0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, l0, l1];
    message(0x8180, [1, 0, 0, 1], &[QUESTION, &fixed, options])
}

/// A record about the name in the question.
fn record(kind: u16, class: u16, value: &[u8]) -> Vec<u8> {
    let mut record = vec![0xc0, 0x0c];
    record.extend(kind.to_be_bytes());
    record.extend(class.to_be_bytes());
    record.extend([0, 0, 0x0e, 0x10]);
    record.extend((value.len() as u16).to_be_bytes());
    record.extend(value);
    record
}

fn udp(port: u16, message: &[u8]) -> Vec<u8> {
    let [p0, p1] = port.to_be_bytes();
    let [l0, l1] = (8 + message.len() as u16).to_be_bytes();
    frame(17, &[&[0x9c, 0x40, p0, p1, l0, l1, 0, 0][..], message].concat())
}

/// A message in one TCP segment; its length in front is `off` too great.
fn tcp(message: &[u8], off: u16) -> Vec<u8> {
    let header = [0x9c, 0x40, 0, 53, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0];
    let prefix = (message.len() as u16 + off).to_be_bytes();
    frame(6, &[&header[..], &prefix, message].concat())
}

fn frame(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let [l0, l1] = (20 + payload.len() as u16).to_be_bytes();
    frame.extend([0x45, 0, l0, l1, 0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(payload);
    frame
}
