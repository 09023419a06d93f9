//! What tcpdump 4.99.3 prints for the same headers.

use proptest::prelude::*;

use super::super::tests::part as printed;
use super::*;

/// A header of `list`, which fills it.
fn header(list: &[u8]) -> Vec<u8> {
    let eights = u8::try_from(list.len() / 8).expect("a short list");
    [&[59, eights][..], list].concat()
}

const HOME: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

#[test]
fn options_are_named_under_v() {
    let home = [&[1, 2, 0, 0, HOME_ADDRESS, 16][..], &HOME].concat();
    let nested =
        [&[1, 2, 0, 0, HOME_ADDRESS, 24][..], &HOME, &[0, 1, 1, 0, 0x22, 2, 8, 8]].concat();
    for (list, text) in [
        (&[5, 2, 0, 0, 1, 0][..], "(rtalert: 0x0000) (padn) "),
        (&[1, 4, 0, 0, 0, 0], "(padn) "),
        (&[0; 6], "(pad1)(pad1)(pad1)(pad1)(pad1)(pad1) "),
        (&[0x07, 2, 1, 2, 0x63, 0], "(opt_type 0x07: len=2)(opt_type 0x63: len=0) "),
        (&home, "(padn)(homeaddr: fd00::9) "),
        (&nested, "(padn)(homeaddr: fd00::9, pad1, padn, sopt_type 0x22: len=2) "),
    ] {
        let bytes = header(list);
        let length = bytes.len();
        let hop = Ok(Some(HopByHop { length, jumbo: None }));
        assert_eq!(printed(0, |l| hop_by_hop(l, &bytes, 100)), ("HBH ".into(), hop));
        assert_eq!(printed(1, |l| hop_by_hop(l, &bytes, 100)), (format!("HBH {text}"), hop));
        let end = Ok(Some(length));
        assert_eq!(printed(0, |l| destination(l, &bytes)), ("DSTOPT ".into(), end));
        assert_eq!(printed(1, |l| destination(l, &bytes)), (format!("DSTOPT {text}"), end));
    }
}

#[test]
fn malformed_options_end_the_header() {
    let nested =
        [&[1, 2, 0, 0, HOME_ADDRESS, 24][..], &HOME, &[0x22, 9, 0, 0, 0, 0, 0, 1]].concat();
    for (list, brief, verbose) in [
        (&[0, 0, 0, 0, 0, 5][..], "", "(pad1)(pad1)(pad1)(pad1)(pad1)"),
        (&[0x3e, 9, 1, 2, 3, 4], "", ""),
        (&[5, 4, 0, 0, 0, 0], "(rtalert: invalid len 4)", "(rtalert: invalid len 4)"),
        (&[0, 0, 0, 5, 1, 0], "(rtalert: trunc)", "(pad1)(pad1)(pad1)(rtalert: trunc)"),
        (&[0, 0, 0, 0, 0xc2, 0], "(jumbo: trunc)", "(pad1)(pad1)(pad1)(pad1)(jumbo: trunc)"),
        (&[0xc2, 3, 0, 1, 0, 0], "(jumbo: invalid len 3)", "(jumbo: invalid len 3)"),
        (&[1, 2, 0, 0, 0xc9, 0], "(homeaddr: trunc)", "(padn)(homeaddr: trunc)"),
        (&nested, "", "(padn)(homeaddr: fd00::9"),
    ] {
        let bytes = header(list);
        for (level, text) in [(0, brief), (1, verbose)] {
            let (out, answer) = printed(level, |l| hop_by_hop(l, &bytes, 100));
            // Suboptions are looked at only where they are printed.
            let fails = level > 0 || list.len() < 30;
            assert_eq!(answer.is_ok_and(|header| header.is_none()), fails);
            assert_eq!(out, format!("HBH {text}{}", if fails { " [|hbhopt]" } else { "" }));
        }
        let marked = format!("DSTOPT {verbose} [|dstopt]");
        assert_eq!(printed(1, |l| destination(l, &bytes)), (marked, Ok(None)));
        assert_eq!(
            printed(0, |l| destination(l, &bytes)),
            ("DSTOPT ".into(), Ok(Some(bytes.len())))
        );
    }
}

#[test]
fn a_jumbo_payload_counts_where_there_is_no_other_length() {
    let bytes = header(&[0xc2, 4, 0, 1, 0, 0]);
    let valid = Ok(Some(HopByHop { length: 8, jumbo: Some(65_536) }));
    let ignored = Ok(Some(HopByHop { length: 8, jumbo: None }));
    for (payload, text, answer) in [
        (0, "HBH (jumbo: 65536)  ", valid),
        (9, "HBH (jumbo: 65536 - payload len != 0)  ", ignored),
    ] {
        assert_eq!(printed(1, |l| hop_by_hop(l, &bytes, payload)), (text.into(), answer));
        assert_eq!(printed(0, |l| hop_by_hop(l, &bytes, payload)), ("HBH ".into(), answer));
    }
    let text = "DSTOPT (jumbo: 65536 - not a hop-by-hop option)  ";
    assert_eq!(printed(1, |l| destination(l, &bytes)), (text.into(), Ok(Some(8))));
    let twice = header(&[0xc2, 4, 0, 1, 0, 0, 0xc2, 4, 0, 2, 0, 0, 0, 0]);
    let text = "HBH (jumbo: 65536) (jumbo: 131072 - already seen) (pad1)(pad1) ";
    let answer = Ok(Some(HopByHop { length: 16, jumbo: Some(65_536) }));
    assert_eq!(printed(1, |l| hop_by_hop(l, &twice, 0)), (text.into(), answer));
}

#[test]
fn a_packet_without_any_length_is_invalid() {
    let fault = "[No valid Jumbo Payload Hop-by-Hop option found] (invalid)";
    for (bytes, text) in [
        (header(&[5, 2, 0, 0, 1, 0]), "HBH (rtalert: 0x0000) (padn) "),
        (header(&[0xc2, 4, 0, 0, 255, 255]), "HBH (jumbo: 65535 - < 65536)  "),
        (header(&[5, 4, 0, 0, 0, 0]), "HBH (rtalert: invalid len 4) [|hbhopt]"),
        (vec![59, 1, 1, 4], " [|hbhopt]"),
    ] {
        assert_eq!(printed(1, |l| hop_by_hop(l, &bytes, 0)), (format!("{text}{fault}"), Ok(None)));
    }
    assert_eq!(printed(1, |l| hop_by_hop(l, &[59], 0)), (String::new(), Err(Truncated)));
}

#[test]
fn routing_headers_list_where_the_packet_goes() {
    let mut other = HOME;
    other[15] = 1;
    let hops = [HOME, other].concat();
    for (begin, brief, verbose) in [
        (
            [59, 4, 0, 1, 0, 0, 0, 0],
            "RT6 (len=4, type=0 [Deprecated], segleft=1, [0]fd00::9, [1]fd00::1) ",
            "RT6 (len=4, type=0 [Deprecated], segleft=1, rsv=0x0, [0]fd00::9, [1]fd00::1) ",
        ),
        (
            [59, 4, 2, 1, 1, 0, 0, 2],
            "RT6 (len=4, type=2, segleft=1, rsv=0x1000002, [0]fd00::9, [1]fd00::1) ",
            "RT6 (len=4, type=2, segleft=1, rsv=0x1000002, [0]fd00::9, [1]fd00::1) ",
        ),
        (
            [59, 4, 4, 1, 1, 0, 0xab, 0xcd],
            "RT6 (len=4, type=4, segleft=1, last-entry=1, tag=abcd, [0]fd00::9, [1]fd00::1) ",
            "RT6 (len=4, type=4, segleft=1, last-entry=1, flags=0x0, tag=abcd, [0]fd00::9, \
             [1]fd00::1) ",
        ),
    ] {
        let bytes = [&begin[..], &hops].concat();
        let answer = Ok(Some(40));
        assert_eq!(printed(0, |l| routing(l, &bytes)), (brief.into(), answer));
        assert_eq!(printed(1, |l| routing(l, &bytes)), (verbose.into(), answer));
    }
}

#[test]
fn routing_headers_that_cannot_be_read_end_the_line() {
    for (bytes, text, answer) in [
        (
            &[59, 3, 2, 1, 0, 0, 0, 0][..],
            "RT6 (len=3, type=2, segleft=1 (invalid length 3) (invalid)",
            Ok(None),
        ),
        (&[59, 4, 1, 1], "RT6 (len=4, type=1, segleft=1 (unknown type) (invalid)", Ok(None)),
        (&[59, 2, 0, 1, 0, 0, 0, 0], "RT6 (len=2, type=0 [Deprecated], segleft=1", Err(Truncated)),
        (&[59, 2, 4], "RT6 (len=2, type=4", Err(Truncated)),
        (&[59], "RT6", Err(Truncated)),
    ] {
        assert_eq!(printed(0, |l| routing(l, bytes)), (text.into(), answer));
    }
}

#[test]
fn only_a_first_fragment_goes_on() {
    let bytes = |offset: u16| {
        let [o0, o1] = offset.to_be_bytes();
        [59, 0, o0, o1, 0x12, 0x34, 0x56, 0x78, 0xaa]
    };
    for (offset, brief, verbose, answer) in [
        (1, "frag (0|1448) ", "frag (0x12345678:0|1448) ", Ok(Some(8))),
        (1448, "frag (1448|1448)", "frag (0x12345678:1448|1448)", Ok(None)),
        (0xfff9, "frag (65528|1448)", "frag (0x12345678:65528|1448)", Ok(None)),
    ] {
        let bytes = bytes(offset);
        assert_eq!(printed(0, |l| fragment(l, &bytes, 1456)), (brief.into(), answer));
        assert_eq!(printed(1, |l| fragment(l, &bytes, 1456)), (verbose.into(), answer));
    }
    let bytes = bytes(0);
    assert_eq!(printed(0, |l| fragment(l, &bytes[..8], 8)), ("frag (0|0) ".into(), Ok(None)));
    assert_eq!(printed(0, |l| fragment(l, &bytes[..4], 8)), ("frag (0|0) ".into(), Ok(None)));
    assert_eq!(printed(1, |l| fragment(l, &bytes[..7], 8)), (String::new(), Err(Truncated)));
    let wrapped = "frag (0|18446744073709551608) ";
    assert_eq!(printed(0, |l| fragment(l, &bytes, 0)), (wrapped.into(), Ok(Some(8))));
}

proptest! {
    #[test]
    fn no_header_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), verbose in 0u8..3) {
        let payload = usize::from(bytes.first().is_some_and(|b| b & 1 == 0));
        printed(verbose, |l| hop_by_hop(l, &bytes, payload)).0.clear();
        printed(verbose, |l| destination(l, &bytes)).0.clear();
        printed(verbose, |l| routing(l, &bytes)).0.clear();
        printed(verbose, |l| fragment(l, &bytes, bytes.len())).0.clear();
    }

    #[test]
    fn no_options_panic(
        kinds in prop::collection::vec(
            (prop::sample::select(vec![0u8, 1, 5, 0xc2, 0xc9, 9]), 0u8..20), 1..20),
        verbose in 0u8..3,
    ) {
        let mut bytes = vec![59, 7];
        for (kind, length) in kinds {
            bytes.extend([kind, length]);
            bytes.extend(vec![0; length.into()]);
        }
        printed(verbose, |l| hop_by_hop(l, &bytes, 0)).0.clear();
        printed(verbose, |l| destination(l, &bytes)).0.clear();
    }
}
