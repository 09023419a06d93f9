//! What tcpdump 4.99.3 prints for the same messages.

use proptest::prelude::*;

use super::super::tests::{self, text};
use super::*;

/// Prints a message; in place of a quoted packet how much of it there is.
fn printed(verbose: u8, bytes: &[u8], length: usize) -> String {
    text(verbose, |line| print(line, bytes, length, false, &mut quote))
}

fn quote(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.push(format_args!("<{} of {length}>", bytes.len()));
    Ok(())
}

/// The checksum field of a message in which it is zero.
fn sum(message: &[u8]) -> [u8; 2] {
    checksum(Sum::ZERO, message).to_be_bytes()
}

fn whole(verbose: u8, bytes: &[u8]) -> String {
    printed(verbose, bytes, bytes.len())
}

/// A datagram of 32 bytes to 172.18.0.2, UDP port 30053.
const DATAGRAM: [u8; 32] = [
    0x45, 0, 0, 32, 0x12, 0x34, 0x40, 0, 63, 17, 0xbb, 0x7a, 192, 0, 2, 10, 172, 18, 0, 2, 0x9c,
    0x40, 0x75, 0x65, 0, 12, 0, 0, b'p', b'i', b'n', b'g',
];

/// A message with its checksum.
fn message(kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0][..], &rest, data].concat();
    let field = sum(&message);
    message[2..4].copy_from_slice(&field);
    message
}

#[test]
fn messages_that_quote_nothing() {
    let times: Vec<u8> = [0, 86_399_999, u32::MAX].into_iter().flat_map(u32::to_be_bytes).collect();
    for (kind, code, rest, data, text) in [
        (8, 0, [0x12, 0x34, 0, 7], &[0x5a; 56][..], "echo request, id 4660, seq 7, length 64"),
        (0, 0, [255, 255, 0, 1], &[0x5a; 3], "echo reply, id 65535, seq 1, length 11"),
        (10, 0, [0; 4], &[], "router solicitation, length 8"),
        (13, 0, [0, 1, 0, 2], &times, "time stamp query id 1 seq 2, length 20"),
        (
            14,
            0,
            [0, 1, 0, 2],
            &times,
            "time stamp reply id 1 seq 2: org 00:00:00.000, recv 23:59:59.999, \
             xmit 1193:02:47.295, length 20",
        ),
        (15, 0, [0; 4], &[], "information request, length 8"),
        (16, 0, [0; 4], &[], "information reply, length 8"),
        (17, 0, [0; 4], &[0; 4], "address mask request, length 12"),
        (18, 0, [0; 4], &[255, 255, 240, 0], "address mask is 0xfffff000, length 12"),
        (40, 1, [0; 4], &[], "type-#40, length 8"),
    ] {
        let bytes = message(kind, code, rest, data);
        for verbose in 0..=3 {
            assert_eq!(whole(verbose, &bytes), format!("ICMP {text}"));
        }
    }
}

#[test]
fn errors_speak_of_the_packet_they_quote() {
    for (kind, code, rest, text) in [
        (3, 0, [0; 4], "net 172.18.0.2 unreachable"),
        (3, 1, [0; 4], "host 172.18.0.2 unreachable"),
        (3, 2, [0; 4], "172.18.0.2 protocol 17 unreachable"),
        (3, 3, [0; 4], "172.18.0.2 udp port 30053 unreachable"),
        (3, 4, [0; 4], "172.18.0.2 unreachable - need to frag"),
        (3, 4, [0, 0, 5, 0xaa], "172.18.0.2 unreachable - need to frag (mtu 1450)"),
        (3, 5, [0; 4], "172.18.0.2 unreachable - source route failed"),
        (3, 6, [0; 4], "net 172.18.0.2 unreachable - unknown"),
        (3, 7, [0; 4], "host 172.18.0.2 unreachable - unknown"),
        (3, 8, [0; 4], "172.18.0.2 unreachable - source host isolated"),
        (3, 9, [0; 4], "net 172.18.0.2 unreachable - admin prohibited"),
        (3, 10, [0; 4], "host 172.18.0.2 unreachable - admin prohibited"),
        (3, 11, [0; 4], "net 172.18.0.2 unreachable - tos prohibited"),
        (3, 12, [0; 4], "host 172.18.0.2 unreachable - tos prohibited"),
        (3, 13, [0; 4], "host 172.18.0.2 unreachable - admin prohibited filter"),
        (3, 14, [0; 4], "host 172.18.0.2 unreachable - host precedence violation"),
        (3, 15, [0; 4], "host 172.18.0.2 unreachable - precedence cutoff"),
        (3, 16, [0; 4], "172.18.0.2 unreachable - #16"),
        (4, 0, [0; 4], "source quench"),
        (5, 0, [172, 18, 0, 254], "redirect 172.18.0.2 to net 172.18.0.254"),
        (5, 1, [172, 18, 0, 254], "redirect 172.18.0.2 to host 172.18.0.254"),
        (5, 2, [172, 18, 0, 254], "redirect-tos 172.18.0.2 to net 172.18.0.254"),
        (5, 3, [172, 18, 0, 254], "redirect-tos 172.18.0.2 to host 172.18.0.254"),
        (5, 4, [172, 18, 0, 254], "redirect-#4 172.18.0.2 to 172.18.0.254"),
        (11, 0, [0; 4], "time exceeded in-transit"),
        (11, 1, [0; 4], "ip reassembly time exceeded"),
        (11, 2, [0; 4], "time exceeded-#2"),
        (12, 0, [20, 0, 0, 0], "parameter problem - octet 20"),
        (12, 1, [20, 0, 0, 0], "parameter problem - code 1"),
    ] {
        let bytes = message(kind, code, rest, &DATAGRAM);
        assert_eq!(whole(0, &bytes), format!("ICMP {text}, length 40"));
        assert_eq!(whole(1, &bytes), format!("ICMP {text}, length 40\n\t<32 of 32>"));
    }
}

#[test]
fn a_port_is_behind_the_options_of_the_quoted_packet() {
    let mut tcp = DATAGRAM.to_vec();
    tcp[9] = 6;
    let mut other = DATAGRAM.to_vec();
    other[9] = 132;
    let mut options = DATAGRAM.to_vec();
    options[0] = 0x46;
    options.splice(20..20, [1; 4]);
    for (quoted, text) in [
        (tcp, "ICMP 172.18.0.2 tcp port 30053 unreachable, length 40"),
        (other, "ICMP 172.18.0.2 protocol 132 port 30053 unreachable, length 40"),
        (options, "ICMP 172.18.0.2 udp port 30053 unreachable, length 44"),
    ] {
        assert_eq!(whole(0, &message(3, 3, [0; 4], &quoted)), text);
    }
}

#[test]
fn router_advertisements_end_where_tcpdumps_buffer_does() {
    let routers: Vec<u8> = (0..9).flat_map(|i| [192, 168, 100, 100 + i, 0x80, 0, 0, i]).collect();
    for (rest, count, text) in [
        ([1, 2, 0, 59], 1, "lifetime 59 1: {192.168.100.100 2147483648}, length 16"),
        ([1, 2, 7, 8], 1, "lifetime 30:00 1: {192.168.100.100 2147483648}, length 16"),
        ([1, 2, 255, 255], 1, "lifetime 18:12:15 1: {192.168.100.100 2147483648}, length 16"),
        ([2, 3, 7, 8], 2, "lifetime 30:00 2: [size 3], length 24"),
        (
            [9, 2, 7, 8],
            9,
            "lifetime 30:00 9: {192.168.100.100 2147483648} {192.168.100.101 2147483649} \
             {192.168.100.102 2147483650} {192.168.100.103 2147483651} {192.168, length 80",
        ),
    ] {
        let bytes = message(9, 0, rest, &routers[..count * 8]);
        assert_eq!(whole(0, &bytes), format!("ICMP router advertisement {text}"));
    }
    assert_eq!(whole(0, &message(9, 0, [9, 2, 7, 8], &routers[..24])), " [|icmp]");
}

#[test]
fn a_wrong_checksum_is_told_unless_bytes_are_missing() {
    let mut bytes = message(8, 0, [0, 1, 0, 2], &[1; 17]);
    bytes[2] ^= 0x40;
    let text = "ICMP echo request, id 1, seq 2, length 25";
    let verdict = " (wrong icmp cksum aef4 (->eef4)!)";
    assert_eq!(whole(0, &bytes), text);
    assert_eq!(whole(1, &bytes), format!("{text}{verdict}"));
    assert_eq!(printed(1, &bytes[..24], 25), text);
    assert_eq!(tests::text(1, |l| print(l, &bytes, 25, true, &mut quote)), text);
}

#[test]
fn a_message_cut_short_prints_as_nothing() {
    let bytes = message(3, 3, [0; 4], &DATAGRAM);
    for kept in 0..28 {
        assert_eq!(printed(0, &bytes[..kept], 40), " [|icmp]", "{kept} bytes");
    }
    let text = "ICMP 172.18.0.2 udp port 30053 unreachable, length 40";
    assert_eq!(printed(0, &bytes[..32], 40), text);
    assert_eq!(printed(1, &bytes[..32], 40), format!("{text}\n\t<24 of 32>"));
    let quench = message(4, 0, [0; 4], &DATAGRAM);
    assert_eq!(printed(1, &quench[..11], 40), "ICMP source quench, length 40\n\t [|icmp]");
}

#[test]
fn the_quoted_packet_is_no_longer_than_it_says() {
    let mut quoted = DATAGRAM;
    for (length, text) in [(20, "<20 of 20>"), (200, "<32 of 200>"), (4, "<4 of 4>")] {
        quoted[3] = length;
        let bytes = message(4, 0, [0; 4], &quoted);
        assert_eq!(whole(1, &bytes), format!("ICMP source quench, length 40\n\t{text}"));
    }
    quoted[3] = 3;
    let bytes = message(4, 0, [0; 4], &quoted);
    assert_eq!(whole(1, &bytes), "ICMP source quench, length 40\n\t [|icmp]");
}

#[test]
fn nothing_follows_a_quoted_packet_that_ends_the_line() {
    let bytes = message(11, 0, [0; 4], &[&DATAGRAM[..], &[0; 200]].concat());
    let mut quoted = |line: &mut Line<'_>, _: &[u8], _: usize| {
        line.protocol("tcp");
        Err(Truncated)
    };
    let (out, answer) = tests::part(1, |line| print(line, &bytes[..90], 240, false, &mut quoted));
    assert_eq!(out, "ICMP time exceeded in-transit, length 240\n\t");
    assert_eq!(answer, Err(Truncated));
    let text = "ICMP time exceeded in-transit, length 240\n\t<32 of 32> [|icmp]";
    assert_eq!(printed(1, &bytes[..90], 240), text);
}

/// A message that quotes 128 bytes, and `extension` with its checksum behind them.
fn extended(words: u8, extension: &[u8]) -> Vec<u8> {
    let mut extension = extension.to_vec();
    let field = sum(&extension);
    extension[2..4].copy_from_slice(&field);
    let mut quoted = DATAGRAM.to_vec();
    quoted[3] = 128;
    quoted.resize(128, 7);
    message(11, 0, [0, words, 0, 0], &[quoted, extension].concat())
}

#[test]
fn extensions_stand_behind_the_quoted_packet() {
    let mpls = [0x20, 0, 0, 0, 0, 8, 1, 1, 0x06, 0x42, 0x1f, 0x01];
    let begin = "ICMP time exceeded in-transit, length 148\n\t<128 of 128>";
    let text = "\n\tICMP Multi-Part extension v2, checksum 0xb9b3 (correct), length 12\
                \n\t  MPLS Stack Entry Object (1), Class-Type: 1, length 8\
                \n\t    label 25633, tc 7, [S], ttl 1";
    for words in [0, 32] {
        assert_eq!(whole(1, &extended(words, &mpls)), format!("{begin}{text}"));
    }
    assert_eq!(whole(0, &extended(32, &mpls)), "ICMP time exceeded in-transit, length 148");
    // Without a length the checksum decides whether it is an extension.
    let mut wrong = extended(0, &mpls);
    wrong[139] ^= 1;
    assert!(!whole(1, &wrong).contains("Multi-Part"));
    wrong[5] = 32;
    assert!(whole(1, &wrong).contains("checksum 0xb9b2 (incorrect), length 12"));
    let other = extended(32, &[0x30, 0, 0, 0, 0, 8, 1, 1, 0, 0, 0, 0]);
    let text = "\n\tICMP Multi-Part extension v3 packet not supported";
    assert_eq!(whole(1, &other), format!("{begin}{text}"));
}

#[test]
fn extension_objects_that_nobody_knows_show_their_bytes() {
    let objects = [0x20, 0, 0, 0, 0, 8, 2, 9, 10, 0, 0, 1, 0, 5, 9, 0, 0x77, 0, 4, 0, 0];
    let text = "ICMP time exceeded in-transit, length 157\n\t<128 of 128>\
                \n\tICMP Multi-Part extension v2, checksum 0x4fe8 (correct), length 21\
                \n\t  Interface Identification Object (2), Class-Type: 9, length 8\
                \n\t    0x0000:  0a00 0001\
                \n\t  unknown Object (9), Class-Type: 0, length 5\
                \n\t    0x0000:  77";
    assert_eq!(whole(1, &extended(32, &objects)), text);
}

proptest! {
    #[test]
    fn no_message_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        kind in prop::sample::select(vec![0u8, 3, 4, 5, 8, 9, 11, 12, 13, 14, 17, 18]),
        code in 0u8..20,
        more in 0usize..300,
        verbose in 0u8..4,
    ) {
        let bytes = [&[kind, code][..], &bytes].concat();
        printed(verbose, &bytes, bytes.len() + more);
        printed(verbose, &bytes, bytes.len().saturating_sub(more));
    }
}
