//! A filter accepts from a file what `tcpdump -r FILE EXPR` accepts.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use netlab::capture::{
    LinkType, Packet,
    filter::{Filter, Options},
};
use netlab_tests::{binary::netlab, privilege::skip};

use crate::{
    packets::{Sample, sample},
    random::Random,
};

const EXPRESSIONS: &[&str] = &[
    "",
    "tcp",
    "udp",
    "icmp or icmp6",
    "arp",
    "ip6",
    "not ip",
    "tcp port 80",
    "port 53 or 443",
    "src host 10.0.0.1",
    "dst net 10.244.0.0/16",
    "net 10.0.0.0/8 and not host 10.0.0.2",
    "ether broadcast",
    "ether multicast",
    "ether src 02:00:00:00:00:01",
    "vlan",
    "vlan 5",
    "vlan and tcp",
    "vlan and vlan",
    "mpls",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn|tcp-ack",
    "tcp[13] = 2",
    "icmp[icmptype] = icmp-echo",
    "greater 120",
    "less 80",
    "len > 60 and len < 100",
    "portrange 50-1000",
    "udp dst port 4789 or 8472",
    "ip[6:2] & 0x1fff != 0",
    "ip[0] & 0xf > 5",
    "tcp[(tcp[12] & 0xf0) >> 2] > 128",
    "ip6 host fd00::1",
    "src net fd00::/64",
    "ip proto \\udp",
    "ip6 proto 44",
    "ip6 protochain \\tcp",
    "ip protochain \\udp",
    "src and dst port 80",
    "src or dst host 10.0.0.1 and tcp",
    "not (tcp or udp) and ip",
    "ip broadcast",
    "sctp",
    "igmp",
    "ether[12:2] = 0x86dd",
    "udp[4:2] = 8",
    "geneve and tcp",
];

fn write_file(path: &Path, samples: &[Sample]) {
    let mut file = Vec::new();
    for field in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 262_144, 1] {
        file.extend(field.to_ne_bytes());
    }
    for (index, sample) in samples.iter().enumerate() {
        // The index is in the time, so that it can be read from the output.
        let len = u32::try_from(sample.bytes.len()).expect("it is small");
        for field in [
            u32::try_from(index).expect("it is small"),
            0,
            len,
            len + u32::from(index.is_multiple_of(7)) * 40,
        ] {
            file.extend(field.to_ne_bytes());
        }
        file.extend(&sample.bytes);
    }
    fs::write(path, file).expect("the file is written");
}

/// The indices of the packets that tcpdump takes.
fn by_tcpdump(path: &Path, expression: &str) -> Vec<usize> {
    let output = Command::new("tcpdump")
        .args(["-n", "-tt", "-r"])
        .arg(path)
        .args(["-w", "-", expression])
        .stderr(Stdio::null())
        .output()
        .expect("tcpdump runs");
    let mut indices = Vec::new();
    let mut rest = output.stdout.get(24..).unwrap_or(&[]);
    let field = |header: &[u8], at: usize| {
        let bytes = header[at..].first_chunk().expect("a header has 16 bytes");
        usize::try_from(u32::from_ne_bytes(*bytes)).expect("it is small")
    };
    while let Some((header, behind)) = rest.split_at_checked(16) {
        indices.push(field(header, 0));
        rest = &behind[field(header, 8)..];
    }
    indices
}

#[test]
fn a_filter_takes_what_tcpdump_takes() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        return skip("tcpdump is not installed");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sample.pcap");
    let mut random = Random::new(21);
    let samples: Vec<Sample> = (0..500).map(|_| sample(&mut random)).collect();
    write_file(&path, &samples);
    for expression in EXPRESSIONS {
        let filter = Filter::parse(expression, &Options::default()).unwrap();
        let accepts = |index: &usize| {
            let bytes = &samples[*index].bytes;
            let wire_len = u32::try_from(bytes.len()).expect("it is small")
                + u32::from(index.is_multiple_of(7)) * 40;
            let packet = Packet { time: 0, link: LinkType::ETHERNET, wire_len, bytes };
            filter.accepts(&packet)
        };
        let accepted: Vec<usize> = (0..samples.len()).filter(accepts).collect();
        assert_eq!(accepted, by_tcpdump(&path, expression), "{expression}");
    }
}

#[test]
fn a_dump_is_tcpdumps() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        return skip("tcpdump is not installed");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty.pcap");
    write_file(&path, &[]);
    for expression in EXPRESSIONS {
        for flags in ["-d", "-dd", "-ddd", "-Od", "-Oddd"] {
            let mut command = Command::new("tcpdump");
            let output = command.arg("-r").arg(&path).args([flags, expression]).output();
            let expected = String::from_utf8(output.unwrap().stdout).unwrap();
            let path = path.to_str().unwrap();
            let own = netlab(&["capture", "-r", path, flags, expression]).expect(0).stdout;
            assert_eq!(own, expected, "{flags} {expression}");
        }
    }
}
