//! What a file lacks is told when it is read, and told on by its copies.

use std::path::Path;

use netlab::capture::{
    LinkType, Packet,
    file::{Format, Interface, MAX_SNAPLEN, Note, Reader, Statistics, Writer, create},
};
use netlab_tests::binary::netlab;

use crate::tools::{BEGIN, packets};

/// What the capture of [`lossy`] was like, by interface; the last has no packet.
const TOLD: [(&str, Statistics); 3] = [
    ("eth0", Statistics { received: Some(4010), accepted: Some(4000), ..told(3957) }),
    ("eth1", told(0)),
    ("eth2", told(20)),
];

const fn told(dropped: u64) -> Statistics {
    let (start, end) = (BEGIN, BEGIN + 90_000_000_000);
    Statistics { start, end, received: None, dropped: Some(dropped), accepted: None }
}

/// A file of 43 packets of the first interface and one of the second. The first 30 are shorter.
fn lossy(path: &Path) {
    let (output, name) = create(path).unwrap();
    let (link, snaplen) = (LinkType::ETHERNET, MAX_SNAPLEN);
    let mut writer = Writer::new(Format::Pcapng, output, name, link, snaplen).unwrap();
    for (number, (name, statistics)) in TOLD.into_iter().enumerate() {
        let interface = Interface { name: name.to_owned(), description: None, link, snaplen };
        assert_eq!(writer.add_interface(&interface).unwrap(), number);
        writer.statistics(number, statistics).unwrap();
    }
    for (number, (time, wire_len, bytes)) in packets(44).into_iter().enumerate() {
        let packet = Packet { time, link, wire_len, bytes: &bytes };
        writer.packet(usize::from(number == 43), &packet, &Note::default()).unwrap();
    }
    writer.finish().unwrap();
}

/// What a file tells of its interfaces, by name, after so many packets.
fn statistics(path: &Path) -> (usize, Vec<(String, Statistics)>) {
    let mut reader = Reader::open(path).unwrap();
    let mut count = 0;
    while reader.next().unwrap().is_some() {
        count += 1;
    }
    let named = |(number, told): (usize, _)| (reader.interfaces()[number].name.clone(), told);
    (count, reader.statistics().map(named).collect())
}

/// How many packets these lines are of. Those that begin with a tab have its bytes.
fn lines(printed: &str) -> usize {
    printed.lines().filter(|line| !line.starts_with('\t')).count()
}

fn expected<const N: usize>(told: [(&str, Statistics); N]) -> Vec<(String, Statistics)> {
    told.map(|(name, statistics)| (name.to_owned(), statistics)).into()
}

#[test]
fn a_copy_tells_of_the_losses_of_its_original() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    lossy(&path("lossy"));
    let copy = |to: &str, more: &[&str]| {
        let [from, to] = ["lossy", to].map(path);
        let args = ["capture", "-r", from.to_str().unwrap(), "-w", to.to_str().unwrap()];
        let ran = netlab(&[&args, more].concat()).expect(0);
        let words = format!("3977 packets dropped while {} was captured\n", from.display());
        assert!(ran.stderr.ends_with(&words), "{}: {}", ran.line, ran.stderr);
        assert_eq!(ran.stdout, "");
    };
    copy("copy", &[]);
    assert_eq!(statistics(&path("copy")), (44, expected(TOLD)));

    // Nobody knows how many the filter would have accepted, of all that there were.
    copy("part", &["less 100"]);
    let (count, of_part) = statistics(&path("part"));
    assert!(0 < count && count < 44, "{count}");
    let eth0 = ("eth0", told(3957));
    assert_eq!(of_part, expected([eth0, TOLD[2]]));

    // The last of a series has it.
    copy("series", &["-C", "1"]);
    assert_eq!(statistics(&path("series")), (44, expected([eth0, TOLD[1], TOLD[2]])));

    // pcap has no place for it, and the copy of that nothing to tell.
    copy("copy.pcap", &[]);
    let pcap = netlab(&["capture", "-r", path("copy.pcap").to_str().unwrap()]).expect(0);
    assert!(!pcap.stderr.contains("dropped"), "{}", pcap.stderr);
    assert_eq!(lines(&pcap.stdout), 44);
}

#[test]
fn losses_are_told_beside_the_lines_once_the_file_has_told_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lossy");
    lossy(&path);
    let read = |more: &[&str]| {
        let args = ["capture", "-r", path.to_str().unwrap()];
        netlab(&[&args, more].concat()).expect(0)
    };
    let tells = |stderr: &str| stderr.contains("3977 packets dropped while ");
    let all = read(&[]);
    assert_eq!((lines(&all.stdout), tells(&all.stderr)), (44, true));
    let counted = read(&["--count"]);
    assert_eq!((counted.stdout.as_str(), tells(&counted.stderr)), ("44 packets\n", true));
    // They stand behind the packets.
    let first = read(&["-c", "1"]);
    assert_eq!((lines(&first.stdout), tells(&first.stderr)), (1, false));
}
