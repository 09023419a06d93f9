//! What tcpdump 4.99.3 prints for the same messages.

use proptest::prelude::*;

use super::super::tests::text;
use super::*;

fn printed_as(verbose: u8, bytes: &[u8], length: usize, over: Over) -> String {
    text(verbose, |line| print(line, bytes, length, over))
}

fn printed(verbose: u8, bytes: &[u8]) -> String {
    printed_as(verbose, bytes, bytes.len(), Over::Udp)
}

const QUESTION: &[u8] = b"\x07example\x03com\x00\x00\x01\x00\x01";

fn message(flags: u16, counts: [u16; 4], parts: &[&[u8]]) -> Vec<u8> {
    let numbers = [&[0x3039, flags][..], &counts].concat();
    let header: Vec<u8> = numbers.into_iter().flat_map(u16::to_be_bytes).collect();
    [&header[..], &parts.concat()].concat()
}

/// A record about the name in the question.
fn record(kind: u16, class: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("a short value");
    let [k0, k1] = kind.to_be_bytes();
    let [c0, c1] = class.to_be_bytes();
    let [l0, l1] = length.to_be_bytes();
    [&[0xc0, 12, k0, k1, c0, c1, 0, 0, 0x0e, 0x10, l0, l1][..], value].concat()
}

fn answer(record: &[u8]) -> Vec<u8> {
    message(0x8180, [1, 1, 0, 0], &[QUESTION, record])
}

#[test]
fn requests() {
    let address = record(1, 1, &[10, 0, 0, 1]);
    for (flags, counts, text) in [
        (0x0100, [1, 0, 0, 0], "12345+ A? example.com. (77)"),
        (0x0000, [1, 0, 0, 0], "12345 A? example.com. (77)"),
        (0x0110, [1, 0, 0, 0], "12345+% A? example.com. (77)"),
        (0x0480, [1, 0, 0, 0], "12345 [b2&3=0x480] A? example.com. (77)"),
        (0x0900, [1, 0, 0, 0], "12345 inv_q+ [1q] [0a] A? example.com. (77)"),
        (0x2800, [1, 1, 1, 1], "12345 update [1a] [1n] [1au] A? example.com. (77)"),
        (0x0100, [1, 0, 0, 1], "12345+ [1au] A? example.com. (77)"),
        (0x0100, [0, 0, 0, 0], "12345+ [0q] (77)"),
    ] {
        let bytes = message(flags, counts, &[QUESTION, &address, &address, &address]);
        assert_eq!(printed(0, &bytes), text);
        assert_eq!(printed(1, &bytes), text);
    }
    let two = message(0x0100, [2, 0, 0, 0], &[QUESTION, QUESTION]);
    assert_eq!(printed(0, &two), "12345+ [2q] A? example.com. A? example.com. (46)");
    let all = message(0x2800, [1, 1, 1, 1], &[QUESTION, &address, &address, &address]);
    assert_eq!(
        printed(2, &all),
        "12345 update [1a] [1n] [1au] A? example.com. example.com. A 10.0.0.1 ns: example.com. \
         A 10.0.0.1 ar: example.com. A 10.0.0.1 (77)"
    );
}

#[test]
fn types_and_classes() {
    for (kind, class, text) in [
        (28u16, 1u16, "AAAA"),
        (65, 1, "Type65"),
        (256, 1, "URI"),
        (255, 255, "ANY ANY"),
        (16, 3, "TXT CHAOS"),
        (2, 4, "NS HS"),
        (2, 254, "NS (Class 254)"),
    ] {
        let fields = [kind.to_be_bytes(), class.to_be_bytes()].concat();
        let bytes = message(0x0100, [1, 0, 0, 0], &[b"\x01a\x00", &fields]);
        assert_eq!(printed(0, &bytes), format!("12345+ {text}? a. (19)"));
    }
}

#[test]
fn responses_show_their_flags() {
    let address = record(1, 1, &[10, 0, 0, 1]);
    for (flags, counts, text) in [
        (0x8180, [1, 2, 0, 0], "12345 2/0/0 A 10.0.0.1, A 10.0.0.1"),
        (0x8100, [1, 1, 1, 0], "12345- 1/1/0 A 10.0.0.1"),
        (0x8580, [1, 1, 0, 0], "12345* 1/0/0 A 10.0.0.1"),
        (0x87a0, [1, 0, 0, 0], "12345*|$ 0/0/0"),
        (0x8183, [1, 0, 0, 0], "12345 NXDomain 0/0/0"),
        (0x8102, [1, 0, 0, 0], "12345 ServFail- 0/0/0"),
        (0x8185, [1, 0, 0, 0], "12345 Refused 0/0/0"),
        (0xa180, [1, 0, 0, 0], "12345 notify 0/0/0"),
        (0x8180, [2, 0, 0, 0], "12345 [2q], 0/0/0"),
    ] {
        let question = if counts[0] == 2 { QUESTION } else { &[] };
        let bytes = message(flags, counts, &[QUESTION, question, &address, &address]);
        let length = bytes.len();
        assert_eq!(printed(0, &bytes), format!("{text} ({length})"));
    }
}

#[test]
fn verbosity_adds_names_then_sections_then_times() {
    let address = record(1, 1, &[10, 0, 0, 1]);
    let server = record(2, 1, b"\x02ns\xc0\x0c");
    let bytes = message(0x8180, [1, 1, 1, 1], &[QUESTION, &address, &server, &address]);
    for (verbose, text) in [
        (0, "12345 1/1/1 A 10.0.0.1 (78)"),
        (1, "12345 1/1/1 example.com. A 10.0.0.1 (78)"),
        (
            2,
            "12345 q: A? example.com. 1/1/1 example.com. A 10.0.0.1 ns: example.com. NS \
             ns.example.com. ar: example.com. A 10.0.0.1 (78)",
        ),
        (
            3,
            "12345 q: A? example.com. 1/1/1 example.com. [1h] A 10.0.0.1 ns: example.com. [1h] \
             NS ns.example.com. ar: example.com. [1h] A 10.0.0.1 (78)",
        ),
    ] {
        assert_eq!(printed(verbose, &bytes), text);
    }
    for (time, text) in [
        (0u32, "0s"),
        (59, "59s"),
        (3661, "1h1m1s"),
        (32_230_861, "1y1w1d1h1m1s"),
        (u32::MAX, "136y10w6h28m15s"),
    ] {
        let mut record = record(1, 1, &[10, 0, 0, 1]);
        record[6..10].copy_from_slice(&time.to_be_bytes());
        assert!(printed(3, &answer(&record)).contains(&format!(" [{text}] A 10.0.0.1")));
    }
}

#[test]
fn records() {
    let soa =
        [&b"\x02ns\xc0\x0c\x04root\xc0\x0c"[..], &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3], &[0; 8]]
            .concat();
    let tsig =
        [&b"\x04hmac\x00"[..], &[0, 0, 1, 2, 3, 4, 1, 44, 0, 2, 9, 9, 0x12, 0x34, 0, 17, 0, 0]]
            .concat();
    let mut suffix = vec![64];
    suffix.extend([0x20; 8]);
    suffix.extend(b"\x06prefix\xc0\x0c");
    for (kind, value, brief, verbose) in [
        (1, &[10, 0, 0, 1][..], "A 10.0.0.1", ""),
        (28, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "AAAA fd00::1", ""),
        (5, b"\x03pod\xc0\x0c", "CNAME pod.example.com.", ""),
        (12, b"\x00", "PTR .", ""),
        (6, &soa, "SOA", "SOA ns.example.com. root.example.com. 1 2 3 0 0"),
        (15, b"\x00\x0a\x04mail\xc0\x0c", "MX mail.example.com. 10", ""),
        (16, b"\x05hello\x03\x01\xff\x7f\x00", "TXT \"hello\" \"^AM-^?^?\" \"\"", ""),
        (33, b"\x00\x01\x00\x02\x1f\x90\x03pod\xc0\x0c", "SRV pod.example.com.:8080 1 2", ""),
        (38, &suffix, "A6 64 ::2020:2020:2020:2020 prefix.example.com.", ""),
        (38, &[129], "A6 129(bad plen)", ""),
        (256, b"\x00\x01\x00\x02https://example.com/", "URI 1 2 https://example.com/", ""),
        (104, b"one string", "UNSPECAone string", ""),
        (250, &tsig, "TSIG", "TSIG hmac. fudge=300 maclen=2 origid=4660 error=17 otherlen=0"),
        (46, &[1, 2, 3], "RRSIG", ""),
        (4711, &[1, 2, 3], "Type4711", ""),
    ] {
        let bytes = answer(&record(kind, 1, value));
        let length = bytes.len();
        assert_eq!(printed(0, &bytes), format!("12345 1/0/0 {brief} ({length})"));
        let verbose = if verbose.is_empty() { brief } else { verbose };
        assert_eq!(printed(1, &bytes), format!("12345 1/0/0 example.com. {verbose} ({length})"));
    }
    let chaos = answer(&record(1, 3, &[10, 0, 0, 1]));
    assert_eq!(printed(0, &chaos), "12345 1/0/0 CHAOS A 10.0.0.1 (45)");
}

#[test]
fn edns_options() {
    let option = |code: u8, value: &[u8]| {
        let length = u8::try_from(value.len()).expect("a short value");
        [&[0, code, 0, length][..], value].concat()
    };
    for (options, text) in [
        (vec![], ""),
        ([option(12, &[0; 6]), option(3, b"ns")].concat(), " [PADDING (6),NSID 6e73]"),
        (option(8, &[0, 1, 20, 32, 10, 1, 0xff]), " [ECS 10.1.255.0/20/32]"),
        (option(8, &[0, 2, 24, 0, 0x20, 1, 0xd]), " [ECS 2001:d00::/24/0]"),
        (option(8, &[0, 1, 33, 0, 1, 2, 3, 4, 5]), " [ECS  (invalid)]"),
        (option(8, &[0, 3, 0, 0]), " [ECS  (invalid)]"),
        (option(9, &[0, 0, 1, 0]), " [EXPIRE 256 sec]"),
        (option(10, &[1, 2, 3, 4, 5, 6, 7, 8]), " [COOKIE 0102030405060708]"),
        (option(10, &[9; 16]), " [COOKIE 0909090909090909 0909090909090909]"),
        (option(10, &[9; 12]), " [COOKIE  (invalid)]"),
        (option(11, &[0x27, 0x0f]), " [KEEPALIVE 999.9 sec]"),
        (option(11, &[]), " [KEEPALIVE]"),
        (option(13, b"\x03pod\x00"), " [CHAIN pod.]"),
        (option(14, &[0, 1, 1, 0]), " [KEY-TAG 1 256]"),
        (option(14, &[0]), " [KEY-TAG  (invalid)]"),
        (option(5, &[8, 13, 4]), " [DAU RSASHA256 ECDSAP256SHA256 Alg_4]"),
        (option(6, &[1, 2, 9]), " [DHU SHA-1 SHA-256 Alg_9]"),
        (option(7, &[1, 2]), " [N3U SHA-1 Alg_2]"),
        (option(99, &[1, 2]), " [Opt99 0102]"),
    ] {
        let length = u8::try_from(options.len()).expect("a few options");
        let fixed = [0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, length];
        let bytes = message(0x8180, [1, 0, 0, 1], &[QUESTION, &fixed, &options]);
        let total = bytes.len();
        let begin = "12345 q: A? example.com. 0/0/1 ar: . OPT UDPsize=1232 DO";
        assert_eq!(printed(2, &bytes), format!("{begin}{text} ({total})"));
    }
}

#[test]
fn the_opt_record_extends_the_response_code() {
    for (flags, high, text) in [
        (0x8183u16, 0u8, " NXDomain"),
        (0x8180, 1, " BadVers"),
        (0x8181, 1, "Resp17"),
        (0x8187, 1, " BadCookie"),
        (0x8180, 0xff, " Resp4080"),
    ] {
        let opt = [0, 0, 41, 4, 0xd0, high, 0, 0, 0, 0, 0];
        let address = record(1, 1, &[10, 0, 0, 1]);
        let bytes = message(flags, [1, 1, 0, 1], &[QUESTION, &address, &opt]);
        assert_eq!(printed(0, &bytes), format!("12345{text} 1/0/1 A 10.0.0.1 (56)"));
    }
}

#[test]
fn names() {
    let long: Vec<u8> = (0..5).flat_map(|i| [&[63][..], &[b'a' + i; 63]].concat()).collect();
    let long_text: String = ('a'..'e').map(|c| format!("{}.", c.to_string().repeat(63))).collect();
    let too_long = format!("{long_text}<DOMAIN NAME TOO LONG>");
    for (name, text) in [
        (&b"\x00"[..], "."),
        (b"\x03a\x00b\x05\x7f\x80\xff \\\x00", "a^@b.^?M-^@M-^? \\."),
        (b"\x41\x08\xab\x00", "\\[xab/8]."),
        (b"\x41\x03\xff\x00", "\\[xe/3]."),
        (b"\x41\x0d\xab\xcd\x01z\x00", "\\[xabc8/13].z."),
        (&[&long[..], &[0]].concat(), &too_long),
    ] {
        let bytes = message(0x0100, [1, 0, 0, 0], &[name, &[0, 1, 0, 1]]);
        let length = bytes.len();
        assert_eq!(printed(0, &bytes), format!("12345+ A? {text} ({length})"));
    }
}

#[test]
fn names_that_lead_nowhere_end_the_line() {
    for (name, text) in [
        (&b"\xc0\x0c"[..], " A? <BAD PTR>"),
        (b"\xc0\x0e", " A? <BAD PTR>"),
        (b"\xff\xff", " A? <BAD PTR>"),
        (b"\x01a\xc0\x0c", " A? a.<BAD PTR>"),
        (b"\x01a\xc0\x0e", " A? a.<BAD PTR>"),
        (b"\x80\x00", ""),
        (b"\x40\x00", ""),
        (b"\x3fshort", ""),
    ] {
        let bytes = message(0x0100, [1, 0, 0, 0], &[name, &[0, 1, 0, 1]]);
        assert_eq!(printed(0, &bytes), format!("12345+{text} [|domain]"));
    }
    for (name, text) in [
        (&b"\x01a\xbf"[..], "a.<BAD LABEL TYPE>"),
        (b"\x7f\x00", "<ELT 63>"),
        // To itself, and by way of a name that leads back.
        (b"\xc0\x29", "<BAD PTR>"),
        (b"\x01a\xc0\x29", "a.<BAD PTR>"),
    ] {
        let bytes = answer(&record(5, 1, name));
        assert_eq!(printed(0, &bytes), format!("12345 1/0/0 CNAME {text} [|domain]"));
    }
}

#[test]
fn what_is_missing_is_marked() {
    let bytes = answer(&record(1, 1, &[10, 0, 0, 1]));
    for (kept, brief, verbose) in [
        (11, " [|domain]", " [|domain]"),
        (12, "12345 [|domain]", "12345 [|domain]"),
        (28, "12345 1/0/0 (45)", "12345 1/0/0  [|domain]"),
        (40, "12345 1/0/0 (45)", "12345 1/0/0 example.com. (45)"),
        (41, "12345 1/0/0 A [|domain]", "12345 1/0/0 example.com. A [|domain]"),
        (44, "12345 1/0/0 A [|domain]", "12345 1/0/0 example.com. A [|domain]"),
    ] {
        let part = &bytes[..kept];
        assert_eq!(printed_as(0, part, 45, Over::Udp), brief, "{kept} bytes");
        assert_eq!(printed_as(1, part, 45, Over::Udp), verbose, "{kept} bytes");
    }
    let more = message(0x8180, [1, 2, 0, 0], &[QUESTION, &record(1, 1, &[10, 0, 0, 1])]);
    assert_eq!(printed(0, &more), "12345 2/0/0 A 10.0.0.1 [|domain]");
    assert_eq!(printed(0, &bytes[..11]), "domain [length 11 < 12] (invalid)");
}

#[test]
fn over_tcp_the_length_stands_in_front() {
    let request = message(0x0100, [1, 0, 0, 0], &[QUESTION]);
    let bytes = [&[0, 29][..], &request].concat();
    let tcp = |length| printed_as(0, &bytes, length, Over::Tcp);
    assert_eq!(tcp(31), " 12345+ A? example.com. (29)");
    assert_eq!(tcp(30), " [prefix length(29) != length(28)] (invalid)");
    assert_eq!(tcp(1), " [DNS over TCP: length 1 < 2] (invalid)");
    assert_eq!(printed_as(0, &[0, 0], 2, Over::Tcp), " domain [length 0 < 12] (invalid)");
    assert_eq!(printed_as(0, &[0], 31, Over::Tcp), " [|domain]");
}

#[test]
fn multicast_has_flags_in_the_class() {
    for (class, asked, said) in [
        (1u16, " (QM)", ""),
        (0x8001, " (QU)", " (Cache flush)"),
        (0x8003, " CHAOS (QU)", " CHAOS (Cache flush)"),
    ] {
        let [c0, c1] = class.to_be_bytes();
        let question = [&b"\x05local\x00\x00\x0c"[..], &[c0, c1]].concat();
        let bytes = message(0, [1, 0, 0, 0], &[&question]);
        assert_eq!(
            printed_as(0, &bytes, 23, Over::Multicast),
            format!("12345 PTR{asked}? local. (23)")
        );
        let address = record(1, class, &[10, 0, 0, 1]);
        let bytes = message(0x8400, [0, 1, 0, 0], &[&address]);
        let text = format!("12345*- [0q] 1/0/0{said} A 10.0.0.1 (28)");
        assert_eq!(printed_as(0, &bytes, 28, Over::Multicast), text);
    }
}

/// A message of bytes that look like names, pointers and records.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => 0u8..64,
        2 => 0xc0u8..0xc2,
        1 => Just(41u8),
        1 => any::<u8>(),
    ];
    let header = (any::<u16>(), prop::array::uniform4(0u16..4));
    (header, prop::collection::vec(byte, 0..300))
        .prop_map(|((flags, counts), rest)| message(flags, counts, &[&rest]))
}

proptest! {
    #[test]
    fn every_message_ends_without_panic(
        bytes in plausible(),
        verbose in 0u8..4,
        over in prop::sample::select(vec![Over::Udp, Over::Multicast, Over::Tcp]),
    ) {
        let text = printed_as(verbose, &bytes, bytes.len(), over);
        prop_assert!(text.len() < 100_000);
    }

    #[test]
    fn every_record_ends_without_panic(
        kind in prop::sample::select(vec![
            1u16, 2, 6, 15, 16, 28, 33, 38, 41, 104, 250, 256]),
        value in prop::collection::vec(prop_oneof![0u8..64, Just(0xc0u8), any::<u8>()], 0..100),
        kept in 0usize..160,
        verbose in 0u8..4,
    ) {
        let bytes = answer(&record(kind, 1, &value));
        let part = bytes.get(..kept).unwrap_or(&bytes);
        printed_as(verbose, part, bytes.len(), Over::Udp);
    }

    #[test]
    fn pointers_in_a_circle_are_refused(pointers in prop::collection::vec(0u8..40, 1..20)) {
        let name: Vec<u8> = pointers.iter().flat_map(|p| [0xc0, 12 + p]).collect();
        let bytes = message(0x0100, [1, 0, 0, 0], &[&name, &[0, 1, 0, 1]]);
        prop_assert!(printed(3, &bytes).ends_with("<BAD PTR> [|domain]"));
    }
}
