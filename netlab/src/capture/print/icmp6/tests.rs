//! What tcpdump 4.99.3 prints for the same messages.

use proptest::prelude::*;

use netlab_common::checksum::Sum;

use super::super::ip::checksum;
use super::super::tests::{self, text};
use super::*;

const SOURCE: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const DESTINATION: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const HOP: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
const GROUP: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2];
const LINK: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 1];

fn header() -> [u8; 40] {
    let fixed = [0x60, 0, 0, 0, 0, 0, protocol::ICMPV6, 64];
    [&fixed[..], &SOURCE, &DESTINATION].concat().try_into().expect("40 bytes")
}

fn printed(verbose: u8, bytes: &[u8], length: usize) -> String {
    let header = header();
    let ip = Pseudo::v6(&header, false).expect("a header");
    text(verbose, |line| print(line, bytes, length, &ip))
}

/// Prints all of a message; without the verdict on its checksum, which is right.
fn whole(verbose: u8, bytes: &[u8]) -> String {
    let text = printed(verbose, bytes, bytes.len());
    match text.strip_prefix("[icmp6 sum ok] ") {
        Some(rest) if verbose > 0 => rest.into(),
        _ => text,
    }
}

/// A message with its checksum.
fn message(kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0][..], &rest, data].concat();
    let [a, b] = u16::try_from(message.len()).expect("a short message").to_be_bytes();
    let pseudo = Sum::ZERO.with(SOURCE).with(DESTINATION).with([a, b, 0, protocol::ICMPV6]);
    let field = checksum(pseudo, &message).to_be_bytes();
    message[2..4].copy_from_slice(&field);
    message
}

/// A packet to UDP port 30053, with `next` and `headers` in front of the ports.
fn quoted(next: u8, headers: &[u8]) -> Vec<u8> {
    let ports = [0x9c, 0x40, 0x75, 0x65, 0, 12, 0, 0, b'p', b'i', b'n', b'g'];
    let fixed = [0x60, 0, 0, 0, 0, 12, next, 64];
    [&fixed[..], &SOURCE, &DESTINATION, headers, &ports].concat()
}

#[test]
fn errors_and_echo() {
    let udp = quoted(17, &[]);
    for (kind, code, rest, text) in [
        (1, 0, 0, "destination unreachable, unreachable route fd00::2"),
        (1, 1, 0, "destination unreachable,  unreachable prohibited fd00::2"),
        (1, 2, 0, "destination unreachable, beyond scope fd00::2, source address fd00::1"),
        (1, 3, 0, "destination unreachable, unreachable address fd00::2"),
        (1, 4, 0, "destination unreachable, unreachable port, fd00::2 udp port 30053"),
        (2, 0, 1450, "packet too big, mtu 1450"),
        (3, 0, 0, "time exceeded in-transit for fd00::2"),
        (3, 1, 0, "time exceeded in-transit (reassembly)"),
        (3, 2, 0, "time exceeded in-transit, unknown code (2)"),
        (4, 0, 40, "parameter problem, erroneous - octet 40"),
        (4, 1, 40, "parameter problem, next header - octet 40"),
        (4, 2, 40, "parameter problem, option - octet 40"),
        (4, 3, 40, "parameter problem, incomplete header chain - octet 40"),
        (4, 4, 40, "parameter problem, code-#4"),
        (128, 0, 0x0012_0007, "echo request, id 18, seq 7"),
        (129, 0, 0xffff_0007, "echo reply, id 65535, seq 7"),
    ] {
        let bytes = message(kind, code, u32::to_be_bytes(rest), &udp);
        assert_eq!(whole(0, &bytes), format!("ICMP6, {text}, length 60"));
        assert_eq!(whole(1, &bytes), format!("ICMP6, {text}"));
        assert_eq!(whole(2, &bytes), format!("ICMP6, {text}"));
    }
}

#[test]
fn a_port_is_behind_the_extension_headers_of_the_quoted_packet() {
    let options = [17, 0, 1, 4, 0, 0, 0, 0];
    let begin = "ICMP6, destination unreachable, unreachable port";
    for (next, header, text) in [
        (6, &[][..], ", fd00::2 tcp port 30053, length 60"),
        (0, &options, ", fd00::2 udp port 30053, length 68"),
        (60, &options, ", fd00::2 udp port 30053, length 68"),
        (43, &options, ", fd00::2 udp port 30053, length 68"),
        (44, &[17, 0, 0, 1, 1, 2, 3, 4], ", fd00::2 udp port 30053, length 68"),
        (44, &[17, 0, 0, 9, 1, 2, 3, 4], " [|icmp6]"),
        (51, &[17, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], ", fd00::2 udp port 30053, length 72"),
        (58, &[], " [|icmp6]"),
        (60, &[17, 200, 0, 0], " [|icmp6]"),
    ] {
        let bytes = message(1, 4, [0; 4], &quoted(next, header));
        assert_eq!(whole(0, &bytes), format!("{begin}{text}"));
    }
}

#[test]
fn messages_that_nobody_knows_show_their_bytes() {
    let hex = "\n\t0x0000:  c801 34a9 0102 0304 0506";
    for (bytes, brief, verbose) in [
        (message(200, 1, [1, 2, 3, 4], &[5, 6]), "mtrace response, length 10", hex),
        (
            message(5, 1, [1, 2, 3, 4], &[5]),
            "unknown icmp6 type (5), length 9",
            "\n\t0x0000:  0501 f7b0 0102 0304 05",
        ),
        (
            message(1, 7, [0; 4], &[9; 9]),
            "destination unreachable, unknown unreach code (7)",
            "\n\t0x0000:  0107 d784 0000 0000 0909 0909 0909 0909\n\t0x0010:  09",
        ),
    ] {
        for level in [0, 1] {
            assert_eq!(whole(level, &bytes), format!("ICMP6, {brief}{verbose}"));
        }
        assert_eq!(whole(2, &bytes), format!("ICMP6, {brief}"));
    }
}

#[test]
fn checksums_are_judged_under_v() {
    let mut bytes = message(128, 0, [0, 1, 0, 2], &[1; 16]);
    let text = "ICMP6, echo request, id 1, seq 2";
    assert_eq!(printed(1, &bytes, 24), format!("[icmp6 sum ok] {text}"));
    assert_eq!(printed(1, &bytes[..20], 24), text);
    bytes[2] ^= 0x40;
    assert_eq!(printed(1, &bytes, 24), format!("[bad icmp6 cksum 0x3d9d -> 0x7d9d!] {text}"));
    assert_eq!(printed(0, &bytes, 24), format!("{text}, length 24"));
    let header = header();
    let fragment = Pseudo::v6(&header, true).expect("a header");
    assert_eq!(tests::text(1, |line| print(line, &bytes, 24, &fragment)), text);
}

#[test]
fn neighbor_discovery() {
    let link = "\n\t  source link-address option (1), length 8 (1): 02:00:00:00:00:01";
    let nd = |kind, flags, addresses: &[u8]| {
        message(kind, 0, [flags, 0, 0, 0], &[addresses, &LINK].concat())
    };
    let both = [HOP, GROUP].concat();
    for (bytes, name, brief, verbose) in [
        (nd(133, 0, &[]), "router solicitation", "", ""),
        (nd(135, 0, &HOP), "neighbor solicitation", ", who has fd00::9", ""),
        (nd(136, 0, &HOP), "neighbor advertisement", ", tgt is fd00::9", ", Flags [none]"),
        (
            nd(136, 0xe0, &HOP),
            "neighbor advertisement",
            ", tgt is fd00::9",
            ", Flags [router, solicited, override]",
        ),
        (nd(137, 0, &both), "redirect", ", ff02::1:ff00:2 to fd00::9", ""),
    ] {
        let length = bytes.len();
        assert_eq!(whole(0, &bytes), format!("ICMP6, {name}{brief}, length {length}"));
        let text = format!("ICMP6, {name}, length {length}{brief}{verbose}{link}");
        assert_eq!(whole(1, &bytes), text);
        let hex = "\n\t    0x0000:  0200 0000 0001";
        assert_eq!(whole(2, &bytes), format!("{text}{hex}"));
    }
}

#[test]
fn router_advertisements() {
    for (flags, text) in [
        (0xc8, "managed, other stateful], pref high"),
        (0x22, "home agent, ipv6 only], pref medium"),
        (0x10, "none], pref rsv"),
        (0x18, "none], pref low"),
    ] {
        let bytes = message(134, 0, [64, flags, 7, 8], &[0, 0, 0x75, 0x30, 0, 0, 3, 0xe8]);
        assert_eq!(whole(0, &bytes), "ICMP6, router advertisement, length 16");
        let begin = "ICMP6, router advertisement, length 16\n\thop limit 64, Flags [";
        let end = ", router lifetime 1800s, reachable time 30000ms, retrans timer 1000ms";
        assert_eq!(whole(1, &bytes), format!("{begin}{text}{end}"));
    }
}

#[test]
fn options_of_neighbor_discovery() {
    let prefix = [&[3, 4, 64, 0xe0][..], &[255; 4], &[0, 0, 0x38, 0x40, 0, 0, 0, 0], &HOP].concat();
    let search = b"\x1f\x04\0\0\0\0\x01\x02\x03svc\x07cluster\x05local\0\0\0\0\0\0";
    let servers = [&[25, 5, 0, 0, 0, 0, 1, 2][..], &HOP, &GROUP].concat();
    let route = [&[24, 3, 48, 0x10, 0, 0, 1, 3][..], &HOP].concat();
    for (option, text) in [
        (
            &[2, 1, 2, 0, 0, 0, 0, 1][..],
            "destination link-address option (2), length 8 (1): 02:00:00:00:00:01",
        ),
        (
            &prefix,
            "prefix info option (3), length 32 (4): fd00::9/64, Flags [onlink, auto, router], \
             valid time infinity, pref. time 14400s",
        ),
        (&[5, 1, 0, 0, 0, 0, 5, 0xdc], "mtu option (5), length 8 (1):  1500"),
        (
            &[5, 2, 0, 0, 0, 1, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3],
            "mtu option (5), length 16 (2):  65536bad option length",
        ),
        (&[7, 1, 0, 0, 0, 0, 1, 2], "advertisement interval option (7), length 8 (1):  258ms"),
        (
            &[8, 1, 0, 0, 0, 1, 0, 2],
            "homeagent information option (8), length 8 (1):  preference 1, lifetime 2",
        ),
        (
            &servers,
            "rdnss option (25), length 40 (5):  lifetime 258s, addr: fd00::9 addr: ff02::1:ff00:2",
        ),
        (search, "dnssl option (31), length 32 (4):  lifetime 258s, domain(s): svc.cluster.local."),
        (
            &[24, 1, 48, 0, 0, 0, 1, 1],
            "route info option (24), length 8 (1):  ::/48, pref=medium, lifetime=257s",
        ),
        (&route, "route info option (24), length 24 (3):  fd00::9/48, pref=rsv, lifetime=259s"),
    ] {
        let bytes = message(133, 0, [0; 4], option);
        let length = bytes.len();
        assert_eq!(
            whole(1, &bytes),
            format!("ICMP6, router solicitation, length {length}\n\t  {text}")
        );
    }
}

#[test]
fn options_that_cannot_be_read_end_the_line() {
    for (option, text) in [
        (&[1, 0, 2, 0, 0, 0, 0, 1][..], " [|icmp6]"),
        (&[1, 2, 2, 0, 0, 0, 0, 1], " [|icmp6]"),
        (&[1], " [|icmp6]"),
        (
            &[14, 1, 1, 2, 3, 4, 5, 6, 1, 1, 2, 0, 0, 0, 0, 1],
            "\n\t  unknown option (14), length 8 (1): \n\t  0x0000:  0102 0304 0506",
        ),
        (
            &[4, 1, 0, 0, 0, 0, 0, 0],
            "\n\t  redirected header option (4), length 8 (1): \
             \n\t    0x0000:  0401 0000 0000 0000",
        ),
    ] {
        let bytes = message(133, 0, [0; 4], option);
        let length = bytes.len();
        assert_eq!(whole(1, &bytes), format!("ICMP6, router solicitation, length {length}{text}"));
    }
}

#[test]
fn multicast_listeners() {
    let record = |kind, count, sources: &[u8]| [&[kind, 0, 0, count][..], &GROUP, sources].concat();
    let query = [&GROUP[..], &[0x0f, 0x80, 0, 1], &HOP].concat();
    let two = [record(1, 2, &[HOP, GROUP].concat()), record(6, 1, &HOP)].concat();
    let short = record(4, 2, &HOP);
    let group = "[gaddr ff02::1:ff00:2";
    for (bytes, texts) in [
        (
            message(130, 0, [0x27, 0x10, 0, 0], &GROUP),
            ["querymax resp delay: 10000 addr: ff02::1:ff00:2", "", ""].map(String::from),
        ),
        (
            message(130, 0, [0; 4], &[0; 4]),
            ["query unknown-version (len 12) ", "", ""].map(String::from),
        ),
        (
            message(130, 0, [0x80, 1, 0, 0], &query),
            [
                format!("query v2 {group}, 1 source(s)]"),
                format!(
                    "query v2 [max resp delay=32776] {group} sflag robustness=7 qqi=128, 1 source(s)]"
                ),
                format!(
                    "query v2 [max resp delay=32776] {group} sflag robustness=7 qqi=128 {{ fd00::9 }}]"
                ),
            ],
        ),
        (message(131, 0, [0; 4], &GROUP[..4]), ["report", "", ""].map(String::from)),
        (
            message(132, 0, [0; 4], &GROUP),
            ["donemax resp delay: 0 addr: ff02::1:ff00:2", "", ""].map(String::from),
        ),
        (
            message(143, 0, [0, 0, 0, 2], &two),
            [
                "report v2, 2 group record(s)".into(),
                format!(
                    "report v2, 2 group record(s) {group} is_in, 2 source(s)] {group} block, 1 source(s)]"
                ),
                format!(
                    "report v2, 2 group record(s) {group} is_in {{ fd00::9 ff02::1:ff00:2 }}] \
                     {group} block {{ fd00::9 }}]"
                ),
            ],
        ),
        (
            message(143, 0, [0, 0, 0, 1], &short),
            [
                "report v2, 1 group record(s)".into(),
                format!("report v2, 1 group record(s) {group} to_ex [invalid number of sources 2]"),
                String::new(),
            ],
        ),
        (
            message(143, 0, [0, 0, 0, 1], &record(7, 0, &[])),
            [
                "report v2, 1 group record(s)".into(),
                format!("report v2, 1 group record(s) {group}  [v2-report-#7], 0 source(s)]"),
                format!("report v2, 1 group record(s) {group}  [v2-report-#7] {{ }}]"),
            ],
        ),
    ] {
        let length = bytes.len();
        let mut text = &texts[0];
        assert_eq!(whole(0, &bytes), format!("ICMP6, multicast listener {text}, length {length}"));
        for (level, next) in (1..).zip(&texts[1..]) {
            text = if next.is_empty() { text } else { next };
            assert_eq!(whole(level, &bytes), format!("ICMP6, multicast listener {text}"));
        }
    }
}

#[test]
fn messages_that_are_seldom_met() {
    let nonce = [7; 8];
    let name = [&nonce[..], b"\x03pod\x04node\x00"].concat();
    let ttl = [&nonce[..], b"\x00\x00\x01\x00\x03pod"].concat();
    for (bytes, brief, verbose) in [
        (message(141, 0, [0; 4], &[]), "inverse neighbor solicitation", ""),
        (message(144, 0, [0x12, 0x34, 0, 0], &[]), "ha discovery request, id 0x1234", ""),
        (
            message(145, 0, [0x12, 0x34, 0, 0], &HOP),
            "ha discovery reply",
            "ha discovery reply, length 24, id 0x1234, fd00::9",
        ),
        (
            message(147, 0, [0x12, 0x34, 0xc0, 0], &[]),
            "mobile router advertisement",
            "mobile router advertisement, length 8, id 0x1234 MO",
        ),
        (
            message(139, 1, [0, 2, 0, 0], &name),
            "who-are-you request node information query (DNS name, subject=DNS name, \"pod.node.\")",
            "",
        ),
        (
            message(140, 0, [0, 2, 0, 1], &ttl),
            "who-are-you reply node information reply (DNS name, \"pod\" [TTL=256])",
            "who-are-you reply node information reply (success, DNS name, 03 draft, \"pod\" [TTL=256])",
        ),
        (
            message(138, 1, [0, 0, 0, 5], &[1, 0x88, 0, 9, 0, 0, 0, 0]),
            "router renumbering, result, seq=5",
            "router renumbering, result, seq=5[TP,seg=1,maxdelay=9]",
        ),
        (
            message(
                138,
                0,
                [0, 0, 0, 5],
                &[&[1, 0, 0, 9, 0, 0, 0, 0, 1, 4, 1, 48, 40, 64, 0, 0][..], &HOP].concat(),
            ),
            "router renumbering, command, seq=5 match(add,fd00::9/48) [|icmp6]",
            "router renumbering, command, seq=5[seg=1,maxdelay=9] \
             match(add,ord=1,min=40,max=64,fd00::9/48) [|icmp6]",
        ),
        (
            message(155, 1, [30, 240, 1, 2], &[&[0x90, 9, 0, 0][..], &HOP].concat()),
            "RPL, (CLR)DODAG Information Object",
            "RPL, (CLR)DODAG Information Object [dagid:fd00::9,seq:9,instance:30,rank:258,\
             grounded,mop:nonstoring-multicast,prf:0]",
        ),
    ] {
        let length = bytes.len();
        assert_eq!(whole(0, &bytes), format!("ICMP6, {brief}, length {length}"));
        let verbose = if verbose.is_empty() { brief } else { verbose };
        assert_eq!(whole(1, &bytes), format!("ICMP6, {verbose}"));
    }
}

#[test]
fn a_message_cut_short_is_marked() {
    let error = message(1, 4, [0; 4], &quoted(17, &[]));
    let begin = "ICMP6, destination unreachable";
    let advertisement = message(136, 0, [0; 4], &[HOP.to_vec(), LINK.to_vec()].concat());
    for (bytes, kept, verbose, text) in [
        (&error, 0, 0, " [|icmp6]".to_string()),
        (&error, 1, 0, format!("{begin} [|icmp6]")),
        (&error, 51, 0, format!("{begin}, unreachable port [|icmp6]")),
        (&error, 52, 0, format!("{begin}, unreachable port, fd00::2 udp port 30053, length 60")),
        (&advertisement, 23, 0, "ICMP6, neighbor advertisement [|icmp6]".into()),
        (
            &advertisement,
            24,
            1,
            "ICMP6, neighbor advertisement, length 32, tgt is fd00::9, Flags [none]".into(),
        ),
        (
            &advertisement,
            31,
            1,
            "ICMP6, neighbor advertisement, length 32, tgt is fd00::9, Flags [none] [|icmp6]"
                .into(),
        ),
    ] {
        assert_eq!(printed(verbose, &bytes[..kept], bytes.len()), text, "{kept} bytes");
    }
    assert_eq!(printed(0, &[], 0), "ICMP6, length 0 (invalid)");
}

proptest! {
    #[test]
    fn no_message_panics(
        kind in prop_oneof![
            1u8..5, 128u8..148, Just(155u8), any::<u8>()],
        code in prop_oneof![0u8..6, any::<u8>()],
        bytes in prop::collection::vec(prop_oneof![0u8..6, any::<u8>()], 0..160),
        more in 0usize..100,
        verbose in 0u8..4,
    ) {
        let bytes = [&[kind, code][..], &bytes].concat();
        printed(verbose, &bytes, bytes.len() + more);
        printed(verbose, &bytes, bytes.len().saturating_sub(more));
    }

    #[test]
    fn no_options_panic(
        options in prop::collection::vec(
            (prop::sample::select(vec![1u8, 3, 4, 5, 24, 25, 31, 99]), 0u8..5,
             prop::collection::vec(any::<u8>(), 38)), 0..5),
        verbose in 0u8..4,
    ) {
        let mut list = Vec::new();
        for (kind, eights, content) in options {
            let size = (usize::from(eights) * 8).max(2);
            list.extend([kind, eights]);
            list.extend(&content[..size - 2]);
        }
        whole(verbose, &message(133, 0, [0; 4], &list));
    }
}
