//! When the next file begins, and what is in each.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use super::*;
use crate::capture::file::{
    MAX_SNAPLEN, Precision, Reader,
    order::{Order, options},
};

const PCAP: Format = Format::Pcap(Precision::Micro);
const SECOND: u64 = 1_000_000_000;

/// Packets of 100 bytes, 116 in the file, at these seconds; says how many were written.
fn write(rotation: &Rotation, format: Format, seconds: &[u64]) -> usize {
    let link = LinkType::ETHERNET;
    let mut rotating =
        Rotating::create(rotation.clone(), format, link, MAX_SNAPLEN, seconds[0]).unwrap();
    let name = "node-1/eth0/xdp-in".to_owned();
    let interface = Interface { name, description: None, link, snaplen: MAX_SNAPLEN };
    rotating.add_interface(&interface).unwrap();
    let mut written = 0;
    for second in seconds {
        let time = second * 1_000_000_000;
        let packet = Packet { time, link, wire_len: 100, bytes: &[7; 100] };
        match rotating.packet(*second, 0, &packet, &Note::default()).unwrap() {
            Progress::Written => written += 1,
            Progress::Complete => assert_eq!(rotation.size, None),
        }
    }
    rotating.finish().unwrap();
    written
}

/// The files of a directory, and the seconds of the packets in each.
fn files(directory: &Path) -> BTreeMap<String, Vec<u64>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let read = entries.map(|entry| {
        let mut reader = Reader::open(&entry.path()).unwrap();
        assert_eq!(reader.interfaces().len(), 1);
        let mut seconds = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            seconds.push(record.packet.time / 1_000_000_000);
        }
        (entry.file_name().into_string().unwrap(), seconds)
    });
    read.collect()
}

fn expected<const N: usize>(files: [(&str, &[u64]); N]) -> BTreeMap<String, Vec<u64>> {
    files.map(|(name, seconds)| (name.to_owned(), seconds.to_vec())).into()
}

fn rotation(directory: &Path, name: &str) -> Rotation {
    Rotation { zone: TimeZone::UTC, ..Rotation::none(directory.join(name)) }
}

#[test]
fn one_file_is_enough_for_everything() {
    let directory = tempfile::tempdir().unwrap();
    let one = rotation(directory.path(), "f-%H");
    assert_eq!(write(&one, PCAP, &[1, 2, 99_999]), 3);
    assert_eq!(files(directory.path()), expected([("f-%H", &[1, 2, 99_999])]));
}

#[test]
fn a_file_that_has_grown_too_large_is_followed_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    // 24 + 2 * 116 = 256 is not more than 256.
    let by_size = Rotation { size: NonZeroU64::new(256), ..rotation(directory.path(), "f") };
    write(&by_size, PCAP, &[1, 2, 3, 4, 5, 6, 7]);
    let all = [("f", &[1, 2, 3][..]), ("f1", &[4, 5, 6]), ("f2", &[7])];
    assert_eq!(files(directory.path()), expected(all));
}

#[test]
fn a_ring_of_files_keeps_the_latest() {
    let directory = tempfile::tempdir().unwrap();
    let ring = Rotation {
        size: NonZeroU64::new(1),
        count: NonZeroU32::new(3),
        ..rotation(directory.path(), "f")
    };
    write(&ring, Format::Pcapng, &[1, 2, 3, 4, 5]);
    // The headers alone are more than one byte, so f0 has no packet at first.
    let latest = files(directory.path());
    assert_eq!(latest, expected([("f0", &[3]), ("f1", &[4]), ("f2", &[5])]));
}

#[test]
fn a_period_ends_with_the_first_packet_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let timed = Rotation { every: NonZeroU64::new(10), ..rotation(directory.path(), "f%S") };
    write(&timed, PCAP, &[0, 9, 10, 35, 44, 40, 45]);
    let all = [("f00", &[0, 9][..]), ("f10", &[10]), ("f35", &[35, 44, 40]), ("f45", &[45])];
    assert_eq!(files(directory.path()), expected(all));
}

#[test]
fn after_so_many_periods_the_series_is_complete() {
    let directory = tempfile::tempdir().unwrap();
    let timed = Rotation {
        every: NonZeroU64::new(10),
        count: NonZeroU32::new(2),
        ..rotation(directory.path(), "f%S")
    };
    assert_eq!(write(&timed, PCAP, &[0, 10, 20, 21]), 2);
    assert_eq!(files(directory.path()), expected([("f00", &[0]), ("f10", &[10])]));
}

#[test]
fn time_and_size_together_number_the_files_of_each_period() {
    let directory = tempfile::tempdir().unwrap();
    let both = Rotation {
        every: NonZeroU64::new(10),
        size: NonZeroU64::new(100),
        count: NonZeroU32::new(12),
        ..rotation(directory.path(), "f%S-")
    };
    assert_eq!(write(&both, PCAP, &[0, 1, 10, 11, 30]), 5);
    let all = [
        ("f00-00", &[0][..]),
        ("f00-01", &[1]),
        ("f10-00", &[10]),
        ("f10-01", &[11]),
        ("f30-00", &[30]),
    ];
    assert_eq!(files(directory.path()), expected(all));
}

#[test]
fn a_command_runs_on_every_file_but_the_last() {
    let directory = tempfile::tempdir().unwrap();
    let by_size = Rotation {
        size: NonZeroU64::new(100),
        command: Some("gzip".into()),
        ..rotation(directory.path(), "f; exit 1 #")
    };
    write(&by_size, PCAP, &[1, 2, 3]);
    let wanted = ["f; exit 1 #.gz", "f; exit 1 #1.gz", "f; exit 1 #2"];
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let names = fs::read_dir(directory.path()).unwrap();
        let mut names = Vec::from_iter(names.map(|entry| entry.unwrap().file_name()));
        names.sort();
        if names == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{names:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_command_that_is_not_there_costs_no_packet() {
    let directory = tempfile::tempdir().unwrap();
    let by_size = Rotation {
        size: NonZeroU64::new(100),
        command: Some("/nonexistent/command".into()),
        ..rotation(directory.path(), "f")
    };
    write(&by_size, PCAP, &[1, 2]);
    assert_eq!(files(directory.path()), expected([("f", &[1]), ("f1", &[2])]));
}

#[test]
fn packets_are_there_at_once_if_that_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let at_once = Rotation { packet_buffered: true, ..rotation(directory.path(), "f") };
    let link = LinkType::ETHERNET;
    let mut rotating = Rotating::create(at_once, PCAP, link, 0, 0).unwrap();
    let length = |rotating: &Rotating| fs::metadata(rotating.path()).unwrap().len();
    assert_eq!(length(&rotating), 24);
    let packet = Packet { time: 0, link, wire_len: 100, bytes: &[7; 100] };
    assert_eq!(rotating.packet(0, 0, &packet, &Note::default()).unwrap(), Progress::Written);
    assert_eq!(length(&rotating), 24 + 116);
}

#[test]
fn each_file_tells_what_it_lacks_itself() {
    let directory = tempfile::tempdir().unwrap();
    let timed = Rotation { every: NonZeroU64::new(10), ..rotation(directory.path(), "f%S") };
    let mut rotating = counted(timed, 100);
    assert_eq!(see(&mut rotating, 0, 0), Progress::Written);
    assert_eq!(see(&mut rotating, 9, 0), Progress::Written);
    rotating.lost(SECOND * 9 + 7, [(0, 5)]);
    // Of this one no packet is left.
    let silent = rotating.add_interface(&interface("silent")).unwrap();
    rotating.lost(SECOND * 9 + 8, [(silent, 3)]);
    assert_eq!(see(&mut rotating, 12, 0), Progress::Written);
    rotating.lost(SECOND * 13, [(0, 5), (silent, 4)]);
    assert_eq!(see(&mut rotating, 30, 0), Progress::Written);
    rotating.lost(SECOND * 31, [(0, 7), (silent, 4)]);
    rotating.finish().unwrap();
    let told = |name: &str| statistics(&directory.path().join(name));
    assert_eq!(told("f00"), [account(100, 12 * SECOND, 2, 5), account(100, 12 * SECOND, 0, 3)]);
    let (start, end) = (12 * SECOND, 30 * SECOND);
    assert_eq!(told("f12"), [account(start, end, 1, 0), account(start, end, 0, 1)]);
    let (start, end) = (30 * SECOND, 31 * SECOND);
    assert_eq!(told("f30"), [account(start, end, 1, 2), account(start, end, 0, 0)]);
}

#[test]
fn the_last_of_so_many_periods_tells_what_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let timed = Rotation {
        every: NonZeroU64::new(10),
        count: NonZeroU32::new(1),
        ..rotation(directory.path(), "f%S")
    };
    let mut rotating = counted(timed, 100);
    assert_eq!(see(&mut rotating, 1, 0), Progress::Written);
    rotating.lost(9 * SECOND, [(0, 5)]);
    assert_eq!(see(&mut rotating, 10, 0), Progress::Complete);
    rotating.lost(11 * SECOND, [(0, 9)]);
    rotating.finish().unwrap();
    let told = statistics(&directory.path().join("f00"));
    assert_eq!(told, [account(100, 10 * SECOND, 1, 5)]);
}

#[test]
fn files_of_a_ring_begin_to_count_anew() {
    let directory = tempfile::tempdir().unwrap();
    let ring = Rotation {
        size: NonZeroU64::new(1),
        count: NonZeroU32::new(2),
        ..rotation(directory.path(), "f")
    };
    let mut rotating = counted(ring, 0);
    for second in 1..=3 {
        assert_eq!(see(&mut rotating, second, 0), Progress::Written);
        rotating.lost(second * SECOND, [(0, second * second)]);
    }
    rotating.finish().unwrap();
    let told = |name: &str| statistics(&directory.path().join(name));
    assert_eq!(told("f0"), [account(2 * SECOND, 3 * SECOND, 1, 3)]);
    assert_eq!(told("f1"), [account(3 * SECOND, 3 * SECOND, 1, 5)]);
}

#[test]
fn a_copy_tells_nothing_of_losses() {
    let directory = tempfile::tempdir().unwrap();
    let by_size = Rotation { size: NonZeroU64::new(1), ..rotation(directory.path(), "f") };
    write(&by_size, Format::Pcapng, &[7]);
    let told = statistics(&directory.path().join("f1"));
    let (start, end) = (7 * SECOND, 7 * SECOND);
    assert_eq!(told, [Statistics { start, end, ..Statistics::default() }]);
}

#[test]
fn standard_output_has_no_successor() {
    let by_size = Rotation { size: NonZeroU64::new(1), ..Rotation::none("-".into()) };
    let Err(error) = Rotating::create(by_size, PCAP, LinkType::ETHERNET, 0, 0) else {
        panic!("it was taken");
    };
    assert!(matches!(error, Error::RotatedStream));
}

/// A capture's series with one interface.
fn counted(rotation: Rotation, began: u64) -> Rotating {
    let link = LinkType::ETHERNET;
    let mut rotating = Rotating::create(rotation, Format::Pcapng, link, 0, 0).unwrap();
    rotating.lost(began, []);
    assert_eq!(rotating.add_interface(&interface("eth0")).unwrap(), 0);
    rotating
}

fn interface(name: &str) -> Interface {
    let (name, link) = (name.to_owned(), LinkType::ETHERNET);
    Interface { name, description: None, link, snaplen: MAX_SNAPLEN }
}

fn see(rotating: &mut Rotating, second: u64, interface: usize) -> Progress {
    let (time, link) = (second * SECOND, LinkType::ETHERNET);
    let packet = Packet { time, link, wire_len: 100, bytes: &[7; 100] };
    rotating.packet(second, interface, &packet, &Note::default()).unwrap()
}

fn account(start: u64, end: u64, written: u64, dropped: u64) -> Statistics {
    let accepted = Some(written + dropped);
    Statistics { start, end, received: None, dropped: Some(dropped), accepted }
}

/// What a pcapng file says at its end, interface by interface
/// (draft-ietf-opsawg-pcapng, section 4.6).
fn statistics(path: &Path) -> Vec<Statistics> {
    const STATISTICS: u32 = 5;
    let order = if cfg!(target_endian = "little") { Order::Little } else { Order::Big };
    let file = fs::read(path).unwrap();
    let (mut rest, mut found) = (&file[..], Vec::new());
    while !rest.is_empty() {
        let (block, others) = rest.split_at(order.u32(rest, 4) as usize);
        rest = others;
        if order.u32(block, 0) != STATISTICS {
            continue;
        }
        assert_eq!(order.u32(block, 8) as usize, found.len());
        let mut told = Statistics::default();
        for option in options(&block[20..block.len() - 4], order) {
            let option = option.unwrap();
            let count = order.u64(option.value, 0);
            let high = u64::from(order.u32(option.value, 0));
            let time = high << 32 | u64::from(order.u32(option.value, 4));
            match option.code {
                2 => told.start = time,
                3 => told.end = time,
                4 => told.received = Some(count),
                5 => told.dropped = Some(count),
                6 => told.accepted = Some(count),
                _ => {}
            }
        }
        found.push(told);
    }
    found
}
