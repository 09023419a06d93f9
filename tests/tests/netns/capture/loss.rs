//! Every packet is accounted for: captured, or counted as lost.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    path::Path,
};

use netlab_tests::{
    capture::{Seen, packets},
    poll::until,
    privilege::require_lab,
};

use super::{
    files::{Counts, statistics},
    wire::{FAR, NEAR, Wire},
};

/// Packets of a burst.
const BURST: u64 = 20_000;

#[test]
fn captured_and_lost_packets_together_are_those_that_were_received() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let capture = wire.capture(&["-B", "64", "-w", "/dev/null", "udp port 9"]);
    // Nobody empties the ring.
    capture.signal(libc::SIGSTOP);
    burst(&wire);
    capture.signal(libc::SIGCONT);
    let told = capture.end().statistics();
    println!("{told:?}");
    // On its way out of one end and into the other.
    assert_eq!(told.received, 2 * BURST);
    assert_eq!(told.captured + told.dropped, told.received);
    assert!(told.captured > 0 && told.dropped > 0, "{told:?}");
}

#[test]
fn a_large_ring_loses_nothing_and_agrees_with_the_interfaces() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("all.pcapng");
    let capture = wire.capture(&["-B", "32768", "-w", file.to_str().unwrap()]);
    let before = counters(&wire);
    burst(&wire);
    let after = counters(&wire);
    let told = capture.end().statistics();
    let seen = packets(&file);
    assert_eq!(told.dropped, 0);
    assert_eq!((told.captured, told.received), (seen.len() as u64, seen.len() as u64));
    for (at, place) in [format!("{NEAR}/tc-out"), format!("{FAR}/tc-in")].iter().enumerate() {
        let place = format!("{}/{place}", wire.name());
        let count = seen.iter().filter(|packet| packet.place == place).count() as u64;
        assert_eq!(count, after[at] - before[at], "{place}");
        assert_eq!(count, BURST, "{place}");
    }
    in_order(&seen, &format!("{}/{FAR}/tc-in", wire.name()));
}

#[test]
fn the_files_of_a_series_lack_together_what_the_capture_lost() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let first = directory.path().join("series");
    // Of a million bytes each, which are not many packets.
    let args = ["-B", "64", "-C", "1", "-w", first.to_str().unwrap(), "udp port 9"];
    let capture = wire.capture(&args);
    let files = || fs::read_dir(directory.path()).unwrap().count();
    let mut sent = 0;
    until("some files", || {
        // Lost, for the most part; then taken as fast as it can.
        capture.signal(libc::SIGSTOP);
        large(&wire, 200);
        capture.signal(libc::SIGCONT);
        large(&wire, 400);
        sent += 600;
        (files() > 4).then_some(())
    });
    let told = capture.end().statistics();
    let (mut dropped, mut delivered, mut charged) = (0, 0, 0);
    for entry in fs::read_dir(directory.path()).unwrap() {
        let of_file = statistics(&fs::read(entry.unwrap().path()).unwrap());
        let lost = of_file.iter().map(|(_, counts)| counts.dropped).sum::<u64>();
        dropped += lost;
        charged += u32::from(lost > 0);
        delivered += of_file.iter().map(|(_, counts)| counts.delivered).sum::<u64>();
        for (place, Counts { accepted, dropped, delivered }) in of_file {
            assert_eq!(accepted, dropped + delivered, "{place}");
        }
    }
    println!("{told:?}, {} files, of which {charged} lack packets", files());
    assert_eq!(told.received, 2 * sent);
    assert_eq!((delivered, dropped), (told.captured, told.dropped));
    assert!(charged > 1, "losses belong to the files that they were meanwhile");
}

/// So many large packets to nobody.
fn large(wire: &Wire, count: usize) {
    wire.inside(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        for _ in 0..count {
            socket.send_to(&[7; 1400], (Wire::PEER, 9)).unwrap();
        }
    });
}

/// The burst's packets are numbered.
fn in_order(seen: &[Seen], place: &str) {
    let numbers = seen.iter().filter(|packet| packet.place == place).map(|packet| {
        let number = packet.bytes.last_chunk().expect("a number");
        u64::from_be_bytes(*number)
    });
    assert!(numbers.eq(0..BURST), "{place}");
}

fn burst(wire: &Wire) {
    wire.inside(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        for number in 0..BURST {
            socket.send_to(&number.to_be_bytes(), (Wire::PEER, 9)).unwrap();
        }
    });
}

/// Packets out of one end, into the other, as the kernel counts them.
fn counters(wire: &Wire) -> [u64; 2] {
    let text = wire.inside(|| fs::read_to_string(Path::new("/proc/thread-self/net/dev"))).unwrap();
    // Name, eight columns of what was received, and eight of what was sent: proc_net_dev(5).
    [(NEAR, 10), (FAR, 2)].map(|(name, column)| {
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{name}:")));
        let word = line.and_then(|line| {
            line.replace(':', " ").split_whitespace().nth(column).map(str::to_owned)
        });
        word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{name}: {text}"))
    })
}
