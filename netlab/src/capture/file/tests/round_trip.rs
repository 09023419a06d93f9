//! What the writer wrote, the reader gives back.

use proptest::prelude::*;

use super::{
    super::{
        Comments, Direction, Error, Format, Interface, MAX_SNAPLEN, Note, Precision, Reader,
        Statistics, Writer, order::Order,
    },
    Seen, Shared,
    encode::Bytes,
    read,
};
use crate::capture::LinkType;

const LINKS: [LinkType; 2] = [LinkType::ETHERNET, LinkType::RAW];

fn interfaces() -> [Interface; 2] {
    LINKS.map(|link| Interface {
        name: format!("node-1/eth{}/xdp-in", link.0),
        description: (link == LinkType::RAW).then(|| "tunnel".to_owned()),
        link,
        snaplen: 0,
    })
}

fn write(format: Format, packets: &[Seen]) -> Vec<u8> {
    let output = Shared::default();
    let mut writer = Writer::new(format, output.clone(), "x".into(), LINKS[0], 0).unwrap();
    for interface in &interfaces() {
        let added = writer.add_interface(interface);
        assert!(added.is_ok() || (format != Format::Pcapng && interface.link == LINKS[1]));
    }
    for seen in packets {
        let texts = Vec::from_iter(seen.comments.iter().map(String::as_str));
        let note = Note { direction: seen.direction, comments: Comments::new(&texts) };
        writer.packet(seen.interface, &seen.packet(), &note).unwrap();
    }
    let position = writer.position();
    writer.flush().unwrap();
    assert_eq!(output.bytes().len() as u64, position);
    writer.finish().unwrap();
    output.bytes()
}

prop_compose! {
    fn packet()(
        time in any::<u64>(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cut in 0..100_u32,
        interface in 0..2_usize,
        direction in prop_oneof![
            Just(Direction::Unknown), Just(Direction::Inbound), Just(Direction::Outbound)
        ],
        comments in prop::collection::vec("[^\0]{1,20}", 0..3),
    ) -> Seen {
        let wire_len = u32::try_from(bytes.len()).unwrap() + cut;
        Seen { time, link: LINKS[interface], wire_len, bytes, interface, direction, comments }
    }
}

proptest! {
    #[test]
    fn pcapng_keeps_everything(packets in prop::collection::vec(packet(), 0..20)) {
        let (seen, error) = read(&write(Format::Pcapng, &packets));
        prop_assert!(error.is_none());
        prop_assert_eq!(seen, packets);
    }

    #[test]
    fn pcap_keeps_packets_to_its_precision(
        packets in prop::collection::vec(packet(), 0..20),
        nano in any::<bool>(),
    ) {
        let (precision, unit) =
            if nano { (Precision::Nano, 1) } else { (Precision::Micro, 1000) };
        let packets = Vec::from_iter(packets.into_iter().map(|packet| Seen {
            time: packet.time % (4_294_967_296 * 1_000_000_000),
            link: LINKS[0],
            interface: 0,
            ..packet
        }));
        let (seen, error) = read(&write(Format::Pcap(precision), &packets));
        prop_assert!(error.is_none());
        let expected = Vec::from_iter(packets.into_iter().map(|packet| Seen {
            time: packet.time / unit * unit,
            direction: Direction::Unknown,
            comments: Vec::new(),
            ..packet
        }));
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn interfaces_come_back_and_may_be_added_between_packets() {
    let output = Shared::default();
    let mut writer = Writer::pcapng(output.clone(), "x".into()).unwrap();
    let [first, second] = interfaces();
    assert_eq!(writer.add_interface(&first).unwrap(), 0);
    writer.packet(0, &Seen::new(1, b"a").packet(), &Note::default()).unwrap();
    assert_eq!(writer.add_interface(&second).unwrap(), 1);
    let late = Seen { link: LinkType::RAW, ..Seen::new(2, b"b") };
    writer.packet(1, &late.packet(), &Note::default()).unwrap();
    writer.statistics(1, Statistics::default()).unwrap();
    writer.finish().unwrap();
    let mut reader = Reader::new(std::io::Cursor::new(output.bytes()), "x".into()).unwrap();
    assert_eq!(reader.interfaces(), std::slice::from_ref(&first));
    while reader.next().unwrap().is_some() {}
    assert_eq!(reader.interfaces(), [first, second]);
}

#[test]
fn statistics_stand_at_the_end() {
    let output = Shared::default();
    let mut writer = Writer::pcapng(output.clone(), "x".into()).unwrap();
    let interface = writer.add_interface(&interfaces()[0]).unwrap();
    writer.packet(interface, &Seen::new(1, b"a").packet(), &Note::default()).unwrap();
    let (start, end) = (1 << 40 | 2, 3 << 40 | 4);
    let (received, dropped) = (Some(5), Some(6));
    let statistics = Statistics { start, end, received, dropped, accepted: None };
    writer.statistics(interface, statistics).unwrap();
    writer.finish().unwrap();
    let order = if cfg!(target_endian = "little") { Order::Little } else { Order::Big };
    let mut expected = Bytes::new(order);
    expected.block(5, |content| {
        content.u32(0).stamp(end);
        content.u16(2).u16(8).stamp(start).u16(3).u16(8).stamp(end);
        content.option(4, &5_u64.to_ne_bytes()).option(5, &6_u64.to_ne_bytes());
        content.option(8, &1_u64.to_ne_bytes()).u32(0);
    });
    assert!(output.bytes().ends_with(&expected.bytes));
}

#[test]
fn statistics_come_back() {
    let output = Shared::default();
    let mut writer = Writer::pcapng(output.clone(), "x".into()).unwrap();
    for interface in interfaces() {
        writer.add_interface(&interface).unwrap();
    }
    let (received, dropped, accepted) = (Some(9), Some(u64::MAX), Some(7));
    let statistics = Statistics { start: 1 << 40 | 2, end: 3 << 40, received, dropped, accepted };
    writer.statistics(1, statistics).unwrap();
    writer.finish().unwrap();
    let mut reader = Reader::new(std::io::Cursor::new(output.bytes()), "x".into()).unwrap();
    assert_eq!(reader.statistics().count(), 0);
    while reader.next().unwrap().is_some() {}
    let told = Vec::from_iter(reader.statistics());
    assert_eq!(told, [(0, Statistics::default()), (1, statistics)]);
}

#[test]
fn what_was_read_can_be_written_with_its_note() {
    let comments = vec!["one".to_owned(), "two".to_owned()];
    let packet = Seen { comments, direction: Direction::Outbound, ..Seen::new(1, b"a") };
    let file = write(Format::Pcapng, std::slice::from_ref(&packet));
    let mut reader = Reader::new(std::io::Cursor::new(file), "x".into()).unwrap();
    let output = Shared::default();
    let mut writer = Writer::pcapng(output.clone(), "y".into()).unwrap();
    writer.add_interface(&interfaces()[0]).unwrap();
    while let Some(record) = reader.next().unwrap() {
        writer.packet(record.interface, &record.packet, &record.note).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(read(&output.bytes()).0, [packet]);
}

#[test]
fn a_copy_in_pcap_keeps_what_the_interface_with_the_longest_packets_kept() {
    let copied = |file: &[u8]| {
        let mut reader = Reader::new(std::io::Cursor::new(file.to_vec()), "x".into()).unwrap();
        let (output, snaplen) = (Shared::default(), reader.snaplen());
        let mut writer =
            Writer::pcap(output.clone(), "y".into(), LINKS[0], snaplen, Precision::Nano).unwrap();
        while let Some(record) = reader.next().unwrap() {
            writer.packet(record.interface, &record.packet, &record.note).unwrap();
        }
        writer.finish().unwrap();
        let lengths = read(&output.bytes()).0.iter().map(|seen| seen.bytes.len()).collect();
        (snaplen, lengths)
    };
    let mut file = Bytes::new(Order::Little);
    file.section().interface(1, 96, |_| ()).enhanced(0, 1, &[7; 96], |_| ());
    file.interface(1, 65_535, |_| ()).enhanced(1, 2, &[7; 200], |_| ());
    assert_eq!(copied(&file.bytes), (MAX_SNAPLEN, vec![96, 200]));
    // A copy of pcap announces what its source does.
    for (announced, snaplen) in [(0, MAX_SNAPLEN), (96, 96)] {
        let mut file = Bytes::new(Order::Little);
        file.pcap(Precision::Micro, 4, 1).pcap_snaplen(announced);
        file.pcap_packet((1, 0), (96, 200), &[7; 96]);
        assert_eq!(copied(&file.bytes), (snaplen, vec![96]));
    }
}

#[test]
fn packets_are_cut_to_the_snapshot_length() {
    let long = vec![7; MAX_SNAPLEN as usize + 5];
    for format in [Format::Pcapng, Format::Pcap(Precision::Nano)] {
        let (seen, error) = read(&write(format, &[Seen::new(1, &long)]));
        assert!(error.is_none());
        assert_eq!((seen[0].bytes.len(), seen[0].wire_len), (MAX_SNAPLEN as usize, 262_149));
    }
}

#[test]
fn overlong_comments_are_cut_between_characters() {
    let comments = vec!["ü".repeat(40_000), "b".to_owned()];
    let (seen, _) = read(&write(Format::Pcapng, &[Seen { comments, ..Seen::new(1, b"a") }]));
    assert_eq!(seen[0].comments, ["ü".repeat(32_767), "b".to_owned()]);
}

#[test]
fn comments_without_end_do_not_make_a_block_that_nobody_reads() {
    let comments = vec!["x".repeat(65_535); 400];
    let (seen, error) = read(&write(Format::Pcapng, &[Seen { comments, ..Seen::new(1, b"a") }]));
    assert!(error.is_none());
    assert!(seen[0].comments.len() > 200);
}

#[test]
fn a_pcap_file_takes_one_link_type_and_time_until_2106() {
    let mut writer =
        Writer::pcap(Shared::default(), "x.pcap".into(), LinkType::ETHERNET, 0, Precision::Micro)
            .unwrap();
    let other = Seen { link: LinkType::RAW, ..Seen::new(1, b"a") };
    let error = writer.packet(0, &other.packet(), &Note::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write a packet of link type 101 to x.pcap, which has link type 1; write pcapng, \
         with an interface for each"
    );
    let late = Seen::new(u64::MAX, b"a");
    let error = writer.packet(0, &late.packet(), &Note::default()).unwrap_err();
    assert!(matches!(error, Error::Time { .. }));
}

#[test]
fn a_packet_needs_an_interface_of_its_link_type() {
    let mut writer = Writer::pcapng(Shared::default(), "x".into()).unwrap();
    let packet = Seen::new(1, b"a");
    let error = writer.packet(0, &packet.packet(), &Note::default()).unwrap_err();
    assert!(matches!(error, Error::Interface { interface: 0, known: 0, .. }));
    writer.add_interface(&interfaces()[1]).unwrap();
    let error = writer.packet(0, &packet.packet(), &Note::default()).unwrap_err();
    assert!(matches!(error, Error::Link { .. }));
}
