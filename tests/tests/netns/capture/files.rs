//! Files that other tools read, live and afterwards.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use etherparse::PacketBuilder;
use netlab::{
    lab::{Hook, Mode},
    spec::model::Protocol,
};
use netlab_tests::{
    capture::{Capture, Seen, Statistics, packets},
    lab::{DNS, Lab, NODES, WEB},
    poll::until,
    privilege::require_lab,
    wire,
};

use super::{
    dial, have, listens,
    wire::{NEAR, Wire},
};

const NODE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x172, 0x18, 0, 0, 0, 0, 2);

/// Enough to tell packets apart by. tcpdump's ring has room for few that are longer.
const SNAPLEN: &str = "2000";

/// What comes last.
const LAST: &[u8] = b"that is all, folks";

#[test]
fn wireshark_reads_where_packets_were_and_what_happened_to_them() {
    if !require_lab() || !have("tshark") {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, Hook::Xdp);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("all.pcapng");
    let args = ["--node", "client,node-1", "-i", "eth0", "-w", file.to_str().unwrap()];
    let capture = Capture::start(&lab, &args);
    dial(&lab, 32);
    let told = capture.end().statistics();
    let fields = ["frame.interface_name", "frame.comment", "tcp.dstport", "vxlan.vni"];
    let fields = fields.iter().flat_map(|field| ["-e", field]);
    let mut command = Command::new("tshark");
    command.args(["-T", "fields", "-d", "udp.port==8472,vxlan", "-r"]).arg(&file).args(fields);
    let output = command.output().unwrap();
    quiet(&output);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.lines().count() as u64, told.captured);
    for (place, words) in [
        ("client/eth0/tc-out\t\t", "30080"),
        ("node-1/eth0/xdp-in\t\t", "30080"),
        ("node-1/eth0/xdp-out\tdnat 172.18.0.2:30080 -> 10.244.1.", "8080"),
        (
            "node-1/eth0/xdp-out\tsnat 172.18.255.10:",
            "encap vni 1 -> 172.18.0.3,service default/web\t8080\t1",
        ),
        ("node-1/eth0/xdp-out\tdecap, snat 10.244.2.", ""),
        ("node-1/eth0/nat-out\tsnat 10.244.1.", "172.18.0.2:30080"),
    ] {
        let line = text.lines().find(|line| line.starts_with(place) && line.contains(words));
        assert!(line.is_some(), "{place:?} {words:?}: {text}");
    }
}

/// tshark complains of nothing but who runs it.
fn quiet(output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    let mut complaints = errors.lines().filter(|line| !line.starts_with("Running as user"));
    assert_eq!(complaints.next(), None, "{errors}");
    assert!(output.status.success());
}

#[test]
fn a_pcap_file_of_the_stacks_hooks_is_what_tcpdump_captures() {
    if !require_lab() || !have("tcpdump") {
        return;
    }
    for hook in [Hook::Xdp, Hook::Tc] {
        let lab = Lab::up(Mode::Vxlan, hook);
        // The addresses are known before, so that both see the same.
        dialogue(&lab);
        let directory = tempfile::tempdir().unwrap();
        for host in ["client", "node-1", "web-1"] {
            let [own, others] = ["own.pcap", "others.pcap"].map(|name| directory.path().join(name));
            let tcpdump = tcpdump(&lab, host, &others);
            let common = ["-i", "eth0", "--hook", "tc-in,tc-out", "-s", SNAPLEN, "tcp or udp"];
            let written = ["--node", host, "-w", own.to_str().unwrap()];
            let capture = Capture::start(&lab, &[&written[..], &common[..]].concat());
            dialogue(&lab);
            lab.inside(host, last);
            until("the last packet in tcpdump's file", || {
                let bytes = fs::read(&others).unwrap_or_default();
                bytes.windows(LAST.len()).any(|bytes| bytes == LAST).then_some(())
            });
            let told = capture.end().statistics();
            let errors = String::from_utf8_lossy(&end(tcpdump).stderr).into_owned();
            assert!(errors.contains("\n0 packets dropped by kernel"), "{errors}");
            let (own, others) = (packets(&own), packets(&others));
            assert_eq!(told.captured, own.len() as u64);
            assert!(own.len() > 20, "{host}: {}", own.len());
            same(own, others, host);
        }
    }
}

/// The same packets of each flow. Their order is that of the CPUs that they are on, which pass
/// the two captures as they come.
fn same(own: Vec<Seen>, others: Vec<Seen>, host: &str) {
    let ways = |packets: Vec<Seen>| {
        let mut ways: BTreeMap<Vec<u8>, Vec<(Vec<u8>, u32)>> = BTreeMap::new();
        for packet in packets {
            // Addresses and ports, or as much of a packet that has none.
            let flow = if packet.bytes[12..14] == [0x86, 0xdd] { 22..58 } else { 26..38 };
            let way = [&packet.bytes[6..12], &packet.bytes[flow]].concat();
            ways.entry(way).or_default().push((packet.bytes, packet.wire_len));
        }
        ways.values_mut().for_each(|packets| packets.sort());
        ways
    };
    let (own, others) = (ways(own), ways(others));
    assert!(own.keys().eq(others.keys()), "{host}");
    for (source, own) in own {
        let others = &others[&source];
        let differ = own.iter().zip(others).position(|(own, other)| own != other);
        assert_eq!((differ, own.len()), (None, others.len()), "{host}, from {source:02x?}");
    }
}

fn dialogue(lab: &Lab) {
    for address in [IpAddr::from(NODES[0].1), NODE_V6.into()] {
        // So many that each of four pods is drawn.
        let _ = lab.dials(Protocol::Tcp, (address, WEB), 30_000, 20);
        let _ = lab.dials(Protocol::Udp, (address, DNS), 64, 6);
    }
}

/// A packet to tell the end by, out of eth0, to nobody.
fn last() {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 0x98], [2, 0, 0, 0, 0, 0x99]);
    let builder = builder.ipv4([192, 0, 2, 98], [192, 0, 2, 99], 64).udp(9, 9);
    builder.write(&mut frame, LAST).unwrap();
    wire::send("eth0", &frame).unwrap();
}

/// tcpdump, once it listens.
fn tcpdump(lab: &Lab, host: &str, file: &Path) -> Child {
    let mut command = lab.netns(host).command("tcpdump");
    // -Z would change to a user who may not write the file.
    command.args(["-Z", "root", "-i", "eth0", "-U", "--immediate-mode"]);
    command.args(["-B", "16384", "-s", SNAPLEN, "-w"]).arg(file);
    command.arg("tcp or udp").stdout(Stdio::null()).stderr(Stdio::piped());
    listens(command.spawn().unwrap())
}

fn end(child: Child) -> Output {
    let pid = i32::try_from(child.id()).unwrap();
    // SAFETY: plain integers; it has not been waited for, so the id is its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    child.wait_with_output().unwrap()
}

#[test]
fn a_pipe_into_wireshark_shows_packets_while_the_capture_runs() {
    if !require_lab() || !have("tshark") {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let args = ["capture", "--netns", wire.name(), "-i", NEAR, "-U", "-w", "-", "udp port 9"];
    let mut capture = Capture::spawn(&args, false);
    let mut command = Command::new("tshark");
    command.args(["-l", "-r", "-", "-T", "fields", "-e", "frame.interface_name"]);
    command.stdin(capture.stdout()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tshark = command.spawn().unwrap();
    let capture = capture.ready();
    wire.inside(|| datagrams(1, b"?"));
    let mut stdout = BufReader::new(tshark.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), format!("{}/{NEAR}/tc-out", wire.name()));
    // It runs, and there may be more.
    wire.inside(|| datagrams(1, b"?"));
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line.lines().count(), 2);
    assert_eq!(capture.end().statistics().captured, 2);
    quiet(&tshark.wait_with_output().unwrap());
}

#[test]
fn as_much_is_kept_as_was_asked_for() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("short.pcapng");
    let path = file.to_str().unwrap();
    let capture = wire.capture(&["-i", NEAR, "-s", "64", "-w", path, "udp port 9"]);
    wire.inside(|| {
        datagrams(3, &[7; 1000]);
        datagrams(2, b"?");
    });
    let ended = capture.end();
    assert_eq!(ended.statistics().captured, 5);
    assert!(ended.ran.stderr.contains("3 packets truncated\n"), "{}", ended.ran.stderr);
    let lengths: Vec<_> =
        packets(&file).iter().map(|packet| (packet.bytes.len(), packet.wire_len)).collect();
    assert_eq!(lengths, [(64, 1042), (64, 1042), (64, 1042), (43, 43), (43, 43)]);

    let capture = wire.capture(&["-i", NEAR, "-c", "3", "-w", path, "udp port 9"]);
    // Meanwhile it takes none out.
    capture.signal(libc::SIGSTOP);
    wire.inside(|| datagrams(10, b"?"));
    capture.signal(libc::SIGCONT);
    let ran = capture.wait();
    let expected = Statistics { captured: 3, received: 10, dropped: 0 };
    assert_eq!(Statistics::of(&ran), expected);
    assert!(ran.stderr.contains("\n7 packets left, when the"), "{}", ran.stderr);
    assert_eq!(packets(&file).len(), 3);
}

#[test]
fn a_file_tells_of_each_interface_how_many_packets_it_lacks() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("loss.pcapng");
    let capture = wire.capture(&["-B", "64", "-w", file.to_str().unwrap(), "udp port 9"]);
    capture.signal(libc::SIGSTOP);
    wire.inside(|| datagrams(1000, b"?"));
    capture.signal(libc::SIGCONT);
    let told = capture.end().statistics();
    assert!(told.dropped > 0, "{told:?}");
    let seen = packets(&file);
    let mut lost = 0;
    let mut places = Vec::new();
    for block in statistics(&fs::read(&file).unwrap()) {
        let (place, Counts { accepted, dropped, delivered }) = block;
        assert_eq!((accepted, accepted - dropped), (1000, delivered), "{place}");
        assert_eq!(seen.iter().filter(|it| it.place == place).count() as u64, delivered, "{place}");
        lost += dropped;
        places.push(place);
    }
    places.sort();
    let expected = ["far0/tc-in", "near0/tc-out"].map(|place| format!("{}/{place}", wire.name()));
    assert_eq!((places, lost), (expected.to_vec(), told.dropped));
}

/// So many datagrams to nobody.
fn datagrams(count: usize, payload: &[u8]) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    for _ in 0..count {
        socket.send_to(payload, (Wire::PEER, 9)).unwrap();
    }
}

/// Of an interface.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub accepted: u64,
    pub dropped: u64,
    pub delivered: u64,
}

/// What a pcapng file of this machine's byte order says of each interface at its end
/// (draft-ietf-opsawg-pcapng, 4.2 and 4.6).
pub fn statistics(mut file: &[u8]) -> Vec<(String, Counts)> {
    const INTERFACE: u32 = 1;
    const STATISTICS: u32 = 5;
    const NAME: u16 = 2;
    let word = |bytes: &[u8]| u32::from_ne_bytes(*bytes.first_chunk().unwrap());
    let (mut names, mut statistics) = (Vec::new(), Vec::new());
    while !file.is_empty() {
        let len = word(&file[4..]) as usize;
        let (block, rest) = file.split_at(len);
        match word(block) {
            INTERFACE => names.push(options(&block[16..])[&NAME].clone()),
            STATISTICS => {
                let options = options(&block[20..]);
                let count = |code| u64::from_ne_bytes(*options[&code].first_chunk().unwrap());
                // isb_filteraccept, isb_ifdrop and isb_usrdeliv.
                let counts = Counts { accepted: count(6), dropped: count(5), delivered: count(8) };
                let name = String::from_utf8(names[word(&block[8..]) as usize].clone()).unwrap();
                statistics.push((name, counts));
            }
            _ => {}
        }
        file = rest;
    }
    statistics
}

fn options(mut bytes: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    let half = |bytes: &[u8]| u16::from_ne_bytes(*bytes.first_chunk().unwrap());
    let mut options = BTreeMap::new();
    while half(bytes) != 0 {
        let (code, len) = (half(bytes), usize::from(half(&bytes[2..])));
        options.insert(code, bytes[4..4 + len].to_vec());
        bytes = &bytes[4 + len.next_multiple_of(4)..];
    }
    options
}
