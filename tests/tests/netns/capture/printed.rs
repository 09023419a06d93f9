//! Files of the lab's traffic are printed as tcpdump prints them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
};

use netlab::{
    lab::{Hook, Mode},
    spec::model::Protocol,
};
use netlab_tests::{
    binary::netlab,
    capture::Capture,
    lab::{DNS, Lab, NODES, WEB},
    privilege::require_lab,
};

use super::{
    filters::{NODE_V6, echo, nobody_answers},
    have,
};

/// On both sides of the overlay, and of a node's bridge.
const HOSTS: [&str; 4] = ["client", "node-1", "node-2", "web-1"];

/// What has to be in the files, for the comparison to be about something.
const KINDS: [&str; 12] = [
    "Flags [S]",
    "Flags [S.]",
    "Flags [R.]",
    "UDP, length",
    "ICMP echo request",
    "ICMP echo reply",
    "udp port 30999 unreachable",
    "ICMP time exceeded in-transit",
    "ARP, Request",
    "neighbor solicitation",
    "unreachable port, ",
    "VXLAN, flags [I] (0x08), vni 77",
];

/// The port that tcpdump takes for VXLAN too, and a network of the test's own in it.
const OVERLAY: [&str; 6] = ["type", "vxlan", "id", "77", "dstport", "4789"];

#[test]
fn files_of_the_lab_are_printed_as_tcpdump_prints_them() {
    if !require_lab() || !have("tcpdump") || !have("ip") {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, Hook::Tc);
    overlay(&lab);
    let directory = tempfile::tempdir().unwrap();
    let files = HOSTS.map(|host| directory.path().join(format!("{host}.pcap")));
    let begin = |(host, file): (&str, &PathBuf)| {
        let args = ["--node", host, "-i", "eth0", "--hook", "tc-in,tc-out", "-w"];
        Capture::begin(&lab, &[&args[..], &[file.to_str().unwrap()]].concat())
    };
    let captures: Vec<_> = HOSTS.into_iter().zip(&files).map(begin).collect();
    let captures: Vec<_> = captures.into_iter().map(Capture::ready).collect();
    traffic(&lab);
    for capture in captures {
        assert_eq!(capture.end().statistics().dropped, 0);
    }
    let mut all = String::new();
    for file in &files {
        // This tcpdump takes the kernel's port for another protocol.
        for way in
            [&["-nn"][..], &["-nn", "-v"], &["-nn", "-vv", "-e", "-X"], &["-nn", "-tttt", "-S"]]
        {
            all += &same(file, way, &[], "not udp port 8472");
        }
        // Told that it is VXLAN, it tells no checksum, and nothing of what TCP and UDP carry: these
        // are segments without a payload.
        for way in [&["-nn"][..], &["-nn", "-e", "-X"], &["-nn", "-tttt", "-S"]] {
            all += &same(file, way, &["-T", "vxlan"], "udp port 8472 and less 125");
        }
    }
    for kind in KINDS.into_iter().chain(["VXLAN, flags [I] (0x08), vni 1\n"]) {
        assert!(all.contains(kind), "no packet of this kind: {kind}");
    }
}

/// What both print of a file; tcpdump has to be told more.
fn same(file: &Path, way: &[&str], more: &[&str], filter: &str) -> String {
    let read = ["-r", file.to_str().unwrap()];
    let own = netlab(&[&["capture"], way, &read, &[filter]].concat()).expect(0).stdout;
    // -Z would change to a user who may not read the file.
    let mut command = Command::new("tcpdump");
    let output = command.args(["-Z", "root"]).args(way).args(more).args(read).arg(filter).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = String::from_utf8(output.stdout).unwrap();
    let differ = own.lines().zip(theirs.lines()).find(|(own, theirs)| own != theirs);
    assert_eq!(differ, None, "{way:?} {filter} {}", file.display());
    assert!(own == theirs, "{way:?} {filter} {}: one is longer", file.display());
    own
}

/// Another overlay between the nodes.
fn overlay(lab: &Lab) {
    let [first, second] = NODES.map(|(_, address)| address.to_string());
    for (node, remote, address) in
        [("node-1", &second, "192.0.2.1/24"), ("node-2", &first, "192.0.2.2/24")]
    {
        let add = ["link", "add", "test77"].into_iter().chain(OVERLAY);
        let add = add.chain(["remote", remote, "dev", "eth0"]).collect();
        let address = vec!["address", "add", address, "dev", "test77"];
        for args in [add, address, vec!["link", "set", "test77", "up"]] {
            let output = lab.netns(node).command("ip").args(&args).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "ip {args:?}: {errors}");
        }
    }
}

/// Handshakes and resets, datagrams, pings, errors of ICMP, and addresses that are looked for,
/// since nobody has spoken before.
fn traffic(lab: &Lab) {
    for address in [IpAddr::from(NODES[0].1), NODE_V6.into()] {
        let _ = lab.dials(Protocol::Tcp, (address, WEB), 4000, 6);
        let _ = lab.dials(Protocol::Udp, (address, DNS), 64, 4);
        lab.inside("client", || nobody_answers(address));
    }
    lab.inside("client", || echo(NODES[0].1)).unwrap();
    lab.inside("node-1", || echo(Ipv4Addr::new(192, 0, 2, 2))).unwrap();
    lab.inside("web-1", || short_lived((NODES[1].1, 9).into())).unwrap();
}

/// A datagram that gets no further than the first router.
fn short_lived(to: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_ttl(1)?;
    socket.send_to(b"?", to).map(drop)
}
