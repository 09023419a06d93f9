//! What is written, as tcpdump and Wireshark's tools see it.

use netlab::capture::{
    LinkType, Packet,
    file::{
        Comments, Direction, Format, Interface, MAX_SNAPLEN, Note, Precision, Reader, Statistics,
        Writer, create,
    },
};

use netlab_tests::binary::netlab;

use crate::tools::{BEGIN, FORMATS, installed, packets, run, write};

#[test]
fn wireshark_reads_every_format_without_complaint() {
    if !installed(&["tshark", "capinfos"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let packets = packets(20);
    for format in FORMATS {
        write(&directory.path().join("file"), format, &packets);
        let fields = ["-e", "frame.time_epoch", "-e", "frame.cap_len", "-e", "frame.len"];
        let arguments = [&["-r", "file", "-T", "fields"], &fields[..]].concat();
        let seen = run(directory.path(), "tshark", &arguments);
        let expected = packets.iter().map(|(time, wire_len, bytes)| {
            let (seconds, rest) = (time / 1_000_000_000, time % 1_000_000_000);
            let rest =
                if format == Format::Pcap(Precision::Micro) { rest / 1000 * 1000 } else { rest };
            format!("{seconds}.{rest:09}\t{}\t{wire_len}\n", bytes.len())
        });
        assert_eq!(seen, expected.collect::<String>(), "{format:?}");
        let about = run(directory.path(), "capinfos", &["-M", "-c", "file"]);
        assert!(about.contains("Number of packets:   20"), "{about}");
    }
}

#[test]
fn a_file_is_not_written_over_while_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (file, link) = (directory.path().join("file"), directory.path().join("link"));
    write(&file, FORMATS[2], &packets(20));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let before = std::fs::read(&file).unwrap();
    let name = file.to_str().unwrap();
    for output in [name, link.to_str().unwrap()] {
        let refused = netlab(&["capture", "-r", name, "-w", output]).expect(2);
        assert!(refused.stderr.contains("the file that is read"), "{}", refused.stderr);
        assert!(before == std::fs::read(&file).unwrap(), "it has changed");
    }
}

#[test]
fn tcpdump_reads_every_format() {
    if !installed(&["tcpdump"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for format in FORMATS {
        write(&directory.path().join("file"), format, &packets(20));
        let lines =
            run(directory.path(), "tcpdump", &["-Z", "root", "-tt", "--nano", "-r", "file"]);
        // The bytes of a type that tcpdump does not know follow, indented.
        assert_eq!(lines.lines().filter(|line| line.starts_with("17000000")).count(), 20);
        let fraction = if format == Format::Pcap(Precision::Micro) { "0" } else { "1" };
        let begin = format!("1700000001.00000100{fraction} 02:00:00:00:00:02 ");
        assert!(lines.lines().any(|line| line.starts_with(&begin)), "{lines}");
    }
}

#[test]
fn wireshark_shows_interfaces_directions_comments_and_statistics() {
    if !installed(&["tshark", "capinfos"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (output, name) = create(&directory.path().join("file")).unwrap();
    let mut writer = Writer::pcapng(output, name).unwrap();
    let interface = |name: &str, link| Interface {
        name: name.to_owned(),
        description: Some(format!("hook of {name}")),
        link,
        snaplen: MAX_SNAPLEN,
    };
    let packet = |link, time| Packet { time, link, wire_len: 60, bytes: &[0x45; 20] };
    let note = |direction, comments| Note { direction, comments: Comments::new(comments) };
    let first = interface("node-1/eth0/xdp-in", LinkType::ETHERNET);
    let first = writer.add_interface(&first).unwrap();
    let inbound = note(Direction::Inbound, &["dnat 10.0.0.1:80", "to pod ü"]);
    writer.packet(first, &packet(LinkType::ETHERNET, BEGIN + 1), &inbound).unwrap();
    let second = writer.add_interface(&interface("node-2/cni0/tc-out", LinkType::RAW)).unwrap();
    let outbound = note(Direction::Outbound, &[]);
    writer.packet(second, &packet(LinkType::RAW, BEGIN + 2), &outbound).unwrap();
    let silent = writer.add_interface(&interface("node-3/eth0", LinkType::ETHERNET)).unwrap();
    let (start, end) = (BEGIN, BEGIN + 3_000_000_000);
    let (received, dropped, accepted) = (Some(9), Some(2), Some(7));
    let statistics = Statistics { start, end, received, dropped, accepted };
    writer.statistics(silent, statistics).unwrap();
    writer.finish().unwrap();

    let fields = ["comment", "interface_name", "interface_description", "packet_flags_direction"];
    let fields = fields.map(|field| format!("frame.{field}"));
    let mut arguments = vec!["-r", "file", "-T", "fields"];
    arguments.extend(fields.iter().flat_map(|field| ["-e", field]));
    let seen = run(directory.path(), "tshark", &arguments);
    assert_eq!(
        seen,
        "dnat 10.0.0.1:80,to pod ü\tnode-1/eth0/xdp-in\thook of node-1/eth0/xdp-in\t0x00000001\n\
         \tnode-2/cni0/tc-out\thook of node-2/cni0/tc-out\t0x00000002\n"
    );
    let about = run(directory.path(), "capinfos", &["file"]);
    for part in ["application: netlab ", "oper-sys:    Linux", "interfaces in file: 3"] {
        assert!(about.contains(part), "{part} is not in {about}");
    }
    assert_eq!(about.matches("Number of stat entries = 1").count(), 3);
    // Wireshark's own view of the blocks: of the file as a file.
    let as_file = ["-X", "read_format:MIME Files Format", "-r", "file", "-V"];
    let blocks = run(directory.path(), "tshark", &as_file);
    for part in [
        "Number of Received Packets = 9",
        "Number of Dropped Packets = 2",
        "Number of Accepted Packets = 7",
        "[Timestamp: Nov 14, 2023 22:13:23.000000000 UTC]",
    ] {
        assert!(blocks.contains(part), "{part} is not in {blocks}");
    }
    let mut reader = Reader::open(&directory.path().join("file")).unwrap();
    while reader.next().unwrap().is_some() {}
    assert_eq!(reader.interfaces().len(), 3);
}
