//! What other programs write, in all the formats they know.

use std::fs;

use netlab::capture::file::{Format, Precision, Reader};

use crate::tools::{in_micro, installed, packets, read, run, write};

#[test]
fn files_of_wiresharks_tools_are_read() {
    if !installed(&["editcap", "mergecap"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    let expected = packets(20);
    write(&path("in"), Format::Pcap(Precision::Nano), &expected);
    for format in ["pcap", "nsecpcap", "pcapng"] {
        run(directory.path(), "editcap", &["-F", format, "in", format]);
        let read = read(&path(format));
        assert!(read == if format == "pcap" { in_micro(&expected) } else { expected.clone() });
    }
    // Snapshot lengths cut more; capture comments and interfaces of two files are merged.
    run(directory.path(), "editcap", &["-F", "pcapng", "-s", "40", "in", "short"]);
    assert!(read(&path("short")).iter().all(|(_, _, bytes)| bytes.len() == 40));
    run(directory.path(), "mergecap", &["-a", "-I", "none", "-w", "both", "pcapng", "short"]);
    let mut reader = Reader::open(&path("both")).unwrap();
    let mut interfaces = [0; 2];
    while let Some(record) = reader.next().unwrap() {
        interfaces[record.interface] += 1;
    }
    assert_eq!(interfaces, [20, 20]);
}

#[test]
fn comments_of_other_programs_are_read() {
    if !installed(&["editcap"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("in"), Format::Pcapng, &packets(2));
    run(directory.path(), "editcap", &["-a", "2:seen twice", "in", "out"]);
    let mut reader = Reader::open(&directory.path().join("out")).unwrap();
    let mut comments = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        comments.push(record.note.comments.iter().collect::<String>());
    }
    assert_eq!(comments, ["", "seen twice"]);
}

#[test]
fn packets_longer_than_announced_are_cut_as_by_tcpdump() {
    if !installed(&["tcpdump"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    write(&path("in"), Format::Pcap(Precision::Micro), &packets(20));
    let mut file = fs::read(path("in")).unwrap();
    for snaplen in [96_u32, 0, u32::MAX] {
        file[16..20].copy_from_slice(&snaplen.to_ne_bytes());
        fs::write(path("in"), &file).unwrap();
        run(directory.path(), "tcpdump", &["-Z", "root", "-r", "in", "-w", "out"]);
        let ours = read(&path("in"));
        assert_eq!(ours.iter().all(|(_, _, bytes)| bytes.len() <= 96), snaplen == 96);
        assert!(ours == read(&path("out")), "{snaplen}");
    }
}

#[test]
fn files_of_tcpdump_are_read() {
    if !installed(&["tcpdump"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    let expected = packets(20);
    write(&path("in"), Format::Pcap(Precision::Nano), &expected);
    run(directory.path(), "tcpdump", &["-Z", "root", "-r", "in", "-w", "micro"]);
    let nano = ["-Z", "root", "--nano", "-r", "in", "-w", "nano"];
    run(directory.path(), "tcpdump", &nano);
    assert!(read(&path("micro")) == in_micro(&expected));
    assert!(read(&path("nano")) == expected);
    // And it writes what we do.
    let bytes = |name| fs::read(path(name)).unwrap();
    write(&path("ours"), Format::Pcap(Precision::Micro), &expected);
    assert!(bytes("ours") == bytes("micro"));
    assert!(bytes("in") == bytes("nano"));
}
