//! The programs to compare with, and the packets they are given.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use netlab::capture::{
    LinkType, Packet,
    file::{Format, Interface, MAX_SNAPLEN, Note, Precision, Reader, Writer, create},
};
use netlab_tests::privilege::skip;

/// 2023-11-14 22:13:20 UTC, in nanoseconds.
pub const BEGIN: u64 = 1_700_000_000_000_000_000;

/// Whether these programs are here.
///
/// # Panics
///
/// As [`skip`].
pub fn installed(programs: &[&str]) -> bool {
    for program in programs {
        let version = Command::new(program).arg("--version").stdin(Stdio::null()).output();
        if !version.is_ok_and(|output| output.status.success()) {
            skip(&format!("{program} is not installed"));
            return false;
        }
    }
    true
}

/// Runs a program on files in `directory`; what it printed.
///
/// # Panics
///
/// If it fails, or has anything to complain about.
pub fn run(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).stdin(Stdio::null()).env("TZ", "UTC");
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    let complaints = stderr.lines().filter(|line| {
        // What Wireshark's tools say to root, and tcpdump to everyone.
        !line.contains("This could be dangerous") && !line.starts_with("reading from file")
    });
    let complaints = Vec::from_iter(complaints);
    let call = format!("{program} {}", arguments.join(" "));
    assert!(status.success() && complaints.is_empty(), "{call}: {status}: {stderr}");
    String::from_utf8(stdout).unwrap()
}

/// Time, length on the wire and bytes.
pub type Owned = (u64, u32, Vec<u8>);

/// Ethernet frames of an experimental type, one a second and nanosecond, cut now and then.
pub fn packets(count: u32) -> Vec<Owned> {
    let frame = |number: u32| {
        let length = 60 + number * 37 % 1400;
        let mut bytes = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x88\xb5".to_vec();
        bytes.extend((14..length).map(|at| (at + number).to_le_bytes()[0]));
        let wire_len = length + 10 * u32::from(number % 5 == 4);
        (BEGIN + u64::from(number) * 1_000_001_001, wire_len, bytes)
    };
    (0..count).map(frame).collect()
}

/// The packets of a file.
pub fn read(path: &Path) -> Vec<Owned> {
    let mut reader = Reader::open(path).unwrap();
    let mut packets = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        let Packet { time, wire_len, bytes, .. } = record.packet;
        packets.push((time, wire_len, bytes.to_vec()));
    }
    packets
}

/// What is left of packets where times are microseconds.
pub fn in_micro(packets: &[Owned]) -> Vec<Owned> {
    packets.iter().map(|(time, wire, bytes)| (time / 1000 * 1000, *wire, bytes.clone())).collect()
}

/// Writes packets of Ethernet to a file.
pub fn write(path: &Path, format: Format, packets: &[Owned]) {
    let (output, name) = create(path).unwrap();
    let link = LinkType::ETHERNET;
    let mut writer = Writer::new(format, output, name, link, MAX_SNAPLEN).unwrap();
    let (name, snaplen) = ("eth0".to_owned(), MAX_SNAPLEN);
    let interface = Interface { name, description: None, link, snaplen };
    let interface = writer.add_interface(&interface).unwrap();
    for (time, wire_len, bytes) in packets {
        let packet = Packet { time: *time, link, wire_len: *wire_len, bytes };
        writer.packet(interface, &packet, &Note::default()).unwrap();
    }
    writer.finish().unwrap();
}

pub const FORMATS: [Format; 3] =
    [Format::Pcap(Precision::Micro), Format::Pcap(Precision::Nano), Format::Pcapng];
