//! Files of every kind that is to be read, in both byte orders.

use std::io::Cursor;

use super::{
    super::{Damage, Direction, Error, Interface, Precision, Reader, Statistics, order::Order},
    Seen,
    encode::Bytes,
    read, read_on,
};
use crate::capture::LinkType;

const ORDERS: [Order; 2] = [Order::Little, Order::Big];
const SECOND: u64 = 1_000_000_000;

#[test]
fn pcap_is_read_in_both_orders_and_precisions() {
    for order in ORDERS {
        for (precision, unit) in [(Precision::Micro, 1000), (Precision::Nano, 1)] {
            let mut file = Bytes::new(order);
            file.pcap(precision, 4, 1).pcap_packet((7, 13), (3, 60), b"abc");
            let expected = Seen { wire_len: 60, ..Seen::new(7 * SECOND + 13 * unit, b"abc") };
            let mut reader = Reader::new(Cursor::new(file.bytes), "x".into()).unwrap();
            assert_eq!(reader.precision(), precision);
            assert_eq!(reader.link(), Some(LinkType::ETHERNET));
            assert_eq!(reader.interfaces()[0].snaplen, 65_535);
            let (seen, error) = read_on(&mut reader);
            assert_eq!(seen, [expected]);
            assert!(error.is_none());
        }
    }
}

#[test]
fn old_pcap_has_its_lengths_the_other_way_round() {
    for (minor, lengths) in [(4, (3, 60)), (3, (3, 60)), (3, (60, 3)), (2, (60, 3)), (0, (60, 3))] {
        let mut file = Bytes::new(Order::Big);
        file.pcap(Precision::Micro, minor, 1).pcap_packet((7, 0), lengths, b"abc");
        let (seen, _) = read(&file.bytes);
        assert_eq!(seen, [Seen { wire_len: 60, ..Seen::new(7 * SECOND, b"abc") }], "2.{minor}");
    }
}

#[test]
fn the_length_of_a_frame_check_sequence_is_no_part_of_the_link_type() {
    let mut file = Bytes::new(Order::Little);
    file.pcap(Precision::Micro, 4, 0x5400_0071);
    let reader = Reader::new(Cursor::new(file.bytes), "x".into()).unwrap();
    assert_eq!(reader.link(), Some(LinkType::LINUX_SLL));
}

#[test]
fn a_packet_longer_than_on_the_wire_was_that_long_on_the_wire() {
    let mut file = Bytes::new(Order::Little);
    file.pcap(Precision::Micro, 4, 1).pcap_packet((0, 2_000_000), (3, 2), b"abc");
    assert_eq!(read(&file.bytes).0, [Seen::new(2 * SECOND, b"abc")]);
}

#[test]
fn a_packet_longer_than_the_snapshot_length_of_its_pcap_file_is_cut() {
    for order in ORDERS {
        for (snaplen, kept) in [(2, 2), (3, 3), (4, 3), (0, 3), (u32::MAX, 3)] {
            let mut file = Bytes::new(order);
            file.pcap(Precision::Micro, 4, 1).pcap_snaplen(snaplen);
            file.pcap_packet((1, 0), (3, 60), b"abc").pcap_packet((2, 0), (1, 1), b"d");
            let (seen, error) = read(&file.bytes);
            let first = Seen { wire_len: 60, ..Seen::new(SECOND, &b"abc"[..kept]) };
            assert_eq!(seen, [first, Seen::new(2 * SECOND, b"d")], "{snaplen}");
            assert!(error.is_none());
        }
    }
}

#[test]
fn pcapng_is_read_with_everything_that_a_packet_can_say() {
    for order in ORDERS {
        let flags = if order == Order::Little { [1, 0, 0, 0] } else { [0, 0, 0, 1] };
        let mut file = Bytes::new(order);
        file.section()
            .interface(1, 0, |options| {
                options.option(2, b"eth0\0").option(3, b"uplink").option(9, &[9]).u32(0);
            })
            .enhanced(0, 7 * SECOND + 1, b"abc", |options| {
                options.option(1, b"one").option(2, &flags).option(1, b"tw\xff").u32(0);
            });
        let mut reader = Reader::new(Cursor::new(file.bytes), "x".into()).unwrap();
        let (name, description) = ("eth0".to_owned(), Some("uplink".to_owned()));
        let link = LinkType::ETHERNET;
        assert_eq!(reader.interfaces(), [Interface { name, description, link, snaplen: 0 }]);
        assert_eq!(reader.precision(), Precision::Nano);
        let (seen, error) = read_on(&mut reader);
        let expected = Seen {
            wire_len: 13,
            direction: Direction::Inbound,
            comments: vec!["one".into(), "tw\u{fffd}".into()],
            ..Seen::new(7 * SECOND + 1, b"abc")
        };
        assert_eq!(seen, [expected]);
        assert!(error.is_none());
    }
}

#[test]
fn interfaces_of_a_section_have_their_own_link_types_and_clocks() {
    let mut file = Bytes::new(Order::Big);
    file.section()
        .interface(1, 0, |_| ())
        .interface(101, 0, |options| {
            options.option(9, &[0x80 | 1]).option(14, &100_u64.to_be_bytes());
        })
        .enhanced(0, 3, b"abc", |_| ())
        .enhanced(1, 3, b"abcd", |_| ());
    let (seen, _) = read(&file.bytes);
    let second = Seen {
        link: LinkType::RAW,
        wire_len: 14,
        interface: 1,
        ..Seen::new(101 * SECOND + SECOND / 2, b"abcd")
    };
    assert_eq!(seen, [Seen { wire_len: 13, ..Seen::new(3000, b"abc") }, second]);
}

#[test]
fn every_section_has_its_own_byte_order_and_interfaces() {
    let mut file = Bytes::new(Order::Big);
    file.section().interface(1, 0, |_| ()).enhanced(0, 1, b"a", |_| ());
    file.order = Order::Little;
    file.section().interface(101, 0, |_| ()).enhanced(0, 2, b"b", |_| ());
    let mut reader = Reader::new(Cursor::new(file.bytes), "x".into()).unwrap();
    let (seen, error) = read_on(&mut reader);
    let second = Seen { link: LinkType::RAW, wire_len: 11, interface: 1, ..Seen::new(2000, b"b") };
    assert_eq!(seen, [Seen { wire_len: 11, ..Seen::new(1000, b"a") }, second]);
    assert!(error.is_none());
    assert_eq!(reader.interfaces().len(), 2);
}

#[test]
fn simple_and_obsolete_packet_blocks_are_read() {
    for order in ORDERS {
        let mut file = Bytes::new(order);
        file.section().interface(1, 4, |_| ());
        file.block(3, |content| {
            content.u32(9).raw(b"abcd");
        });
        file.block(2, |content| {
            content.u16(0).u16(7).stamp(5).u32(2).u32(50).raw(b"xy").pad();
            content.option(1, b"old");
        });
        let (seen, error) = read(&file.bytes);
        let simple = Seen { wire_len: 9, ..Seen::new(0, b"abcd") };
        let comments = vec!["old".to_owned()];
        let obsolete = Seen { wire_len: 50, comments, ..Seen::new(5000, b"xy") };
        assert_eq!(seen, [simple, obsolete]);
        assert!(error.is_none());
    }
}

#[test]
fn other_blocks_are_passed_over_however_long() {
    let mut file = Bytes::new(Order::Little);
    file.section();
    file.block(4, |content| _ = content.u32(0));
    file.interface(1, 0, |_| ());
    file.block(0x0bad, |content| _ = content.raw(&vec![7; 20 << 20]));
    file.block(5, |content| _ = content.u32(0).stamp(1));
    file.enhanced(0, 1, b"a", |_| ());
    let (seen, error) = read(&file.bytes);
    assert_eq!(seen, [Seen { wire_len: 11, ..Seen::new(1000, b"a") }]);
    assert!(error.is_none());
}

#[test]
fn statistics_are_read_of_every_section_and_the_last_counts() {
    let mut file = Bytes::new(Order::Little);
    let told = |file: &mut Bytes, interface, dropped: u64| {
        let count = |file: &Bytes, count: u64| match file.order {
            Order::Little => count.to_le_bytes(),
            Order::Big => count.to_be_bytes(),
        };
        let values = [dropped, 100].map(|value| count(file, value));
        file.block(5, |content| {
            // Begin and end, in microseconds; isb_ifdrop and isb_osdrop.
            content
                .u32(interface)
                .stamp(9)
                .u16(2)
                .u16(8)
                .stamp(1 << 33)
                .u16(3)
                .u16(8)
                .stamp(1 << 34);
            content.option(5, &values[0]).option(7, &values[1]).option(4, b"short").u32(0);
        });
    };
    file.section().interface(1, 0, |_| ()).interface(1, 0, |_| ());
    told(&mut file, 1, 5);
    told(&mut file, 1, 6);
    file.order = Order::Big;
    file.section().interface(1, 0, |_| ()).interface(1, 0, |_| ());
    told(&mut file, 0, u64::MAX);
    // Of no interface, too short for an option, and even for its interface: no damage.
    told(&mut file, 2, 7);
    file.block(5, |content| _ = content.u32(1).stamp(1).u16(5).u16(8).u32(0));
    file.block(5, |content| _ = content.u32(0));
    file.enhanced(0, 1, b"a", |_| ());
    let mut reader = Reader::new(Cursor::new(file.bytes), "x".into()).unwrap();
    let (seen, error) = read_on(&mut reader);
    assert_eq!((seen.len(), error.is_none()), (1, true));
    let (start, end) = ((1 << 33) * 1000, (1 << 34) * 1000);
    let lost = |dropped| Statistics { start, end, dropped: Some(dropped), ..Statistics::default() };
    let told = Vec::from_iter(reader.statistics());
    assert_eq!(told, [(1, lost(106)), (2, lost(u64::MAX)), (3, Statistics::default())]);
}

#[test]
fn comments_that_do_not_fit_their_block_cost_no_packet() {
    let mut file = Bytes::new(Order::Little);
    file.section().interface(1, 0, |_| ()).enhanced(0, 1, b"a", |options| {
        options.option(1, b"fits").u16(1).u16(99).u32(0);
    });
    let (seen, error) = read(&file.bytes);
    assert_eq!(seen[0].comments, ["fits"]);
    assert!(error.is_none());
}

#[test]
fn what_is_no_capture_file_is_told_apart() {
    let message = |bytes: &[u8]| read(bytes).1.unwrap().to_string();
    assert_eq!(
        message(b""),
        "x.pcap ends too soon: at byte 0 begins the magic number of 4 bytes, and only 0 of them \
         are there; it was not written by a capture that got as far as its first packet"
    );
    assert_eq!(
        message(b"\x1f\x8b\x08\0\0"),
        "x.pcap is compressed with gzip; decompress it first: gzip -dc FILE | netlab capture -r -"
    );
    assert_eq!(
        message(b"#!/bin/sh\n"),
        "x.pcap is not a capture file: it begins with 23 21 2f 62, and neither pcap nor pcapng \
         does; `file` may say what it is"
    );
}

#[test]
fn other_versions_are_refused() {
    let mut pcap = Bytes::new(Order::Little);
    pcap.u32(0xa1b2_c3d4).u16(3).u16(0).raw(&[0; 16]);
    let mut pcapng = Bytes::new(Order::Big);
    pcapng.block(0x0a0d_0d0a, |content| _ = content.u32(0x1a2b_3c4d).u16(2).u16(0).raw(&[0; 8]));
    for (file, format) in [(pcap, "pcap"), (pcapng, "pcapng")] {
        let error = read(&file.bytes).1.unwrap();
        assert!(
            matches!(error, Error::Version { format: found, minor: 0, .. } if found == format),
            "{error}"
        );
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let damage = |file: &Bytes| match read(&file.bytes).1 {
        Some(Error::Damaged { offset, damage, .. }) => (offset, damage),
        other => panic!("{other:?}"),
    };
    let mut file = Bytes::new(Order::Little);
    file.pcap(Precision::Micro, 4, 1).pcap_packet((0, 0), (1, 1), b"a");
    file.pcap_packet((0, 0), (1 << 20, 1), b"a");
    let limit = 262_144;
    assert_eq!(damage(&file), (41, Damage::PacketLength { length: 1 << 20, limit }));

    let begin = |order| {
        let mut file = Bytes::new(order);
        file.section().interface(1, 0, |_| ());
        file
    };
    let mut file = begin(Order::Big);
    file.enhanced(1, 0, b"a", |_| ());
    assert_eq!(damage(&file), (48, Damage::Interface { interface: 1, known: 1 }));

    let mut file = begin(Order::Big);
    file.block(6, |content| _ = content.u32(0).stamp(0).u32(5).u32(5).raw(b"abcd"));
    assert_eq!(damage(&file), (48, Damage::PacketInBlock { length: 5, room: 4 }));

    let mut file = begin(Order::Little);
    file.u32(6).u32(33).raw(&[0; 60]);
    assert_eq!(damage(&file), (48, Damage::BlockLength { length: 33, least: 32 }));

    let mut file = begin(Order::Little);
    file.u32(99).u32(16).raw(&[0; 60]);
    assert_eq!(damage(&file), (48, Damage::BlockLengths { first: 16, last: 0 }));

    let mut file = begin(Order::Little);
    file.interface(1, 0, |options| _ = options.option(9, b"ab"));
    assert_eq!(damage(&file), (48, Damage::InterfaceOption("if_tsresol")));
}

#[test]
fn interfaces_are_not_collected_without_end() {
    let mut file = Bytes::new(Order::Little);
    file.section();
    let name = vec![b'x'; 60_000];
    for _ in 0..300 {
        file.interface(1, 0, |options| _ = options.option(2, &name));
    }
    let Some(Error::Damaged { damage, .. }) = read(&file.bytes).1 else { panic!("read") };
    assert_eq!(damage, Damage::Interfaces);
}
