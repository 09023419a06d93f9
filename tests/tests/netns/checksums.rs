//! Checksums are right wherever the packets of a dial can be seen.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
};

use etherparse::{NetSlice, SlicedPacket};
use netlab::{
    lab::{Hook, Mode},
    netlink::ethtool::{self, Offload},
    spec::model::Protocol,
};
use netlab_tests::{
    lab::{By, DIAL_LIMIT, DNS, Lab, NODES, WEB, cells_and_peers},
    privilege::require_lab,
    wire::{Frame, Tap, Verified},
};

/// Dials of one protocol at one node: enough for local and remote backends.
const DIALS: usize = 16;

#[test]
fn checksums_are_right_on_every_wire() {
    if !require_lab() {
        return;
    }
    for (mode, by) in cells_and_peers() {
        let lab = Lab::up(mode, by);
        if by == By::Ebpf(Hook::Xdp) {
            a_wire_shows_xdp_no_partial_checksum(&lab);
        }
        complete_at_the_source(&lab);
        on_every_wire(&lab, mode, by);
    }
}

/// With the offloads as the lab has them: the fabric completes what the client left to it.
fn a_wire_shows_xdp_no_partial_checksum(lab: &Lab) {
    let (near, far) = (Tap::open(lab, "client", "eth0"), Tap::open(lab, "fabric", "node-1"));
    let _ = lab.dials(Protocol::Tcp, (NODES[0].1, WEB), 64, DIALS);
    let to_node = |frame: &&Frame| is_to(&frame.bytes, NODES[0].1);
    let partial = |tap: &Tap| {
        let frames = tap.take();
        let frames: Vec<_> = frames.iter().filter(to_node).collect();
        assert!(frames.len() > DIALS);
        frames.iter().filter(|frame| frame.partial).count()
    };
    assert!(partial(&near) > DIALS, "the client offloads checksums");
    assert_eq!(partial(&far), 0);
}

fn is_to(frame: &[u8], address: Ipv4Addr) -> bool {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    matches!(sliced.net, Some(NetSlice::Ipv4(ip)) if ip.header().destination_addr() == address)
}

/// A link shows a packet of a local socket before its checksum is complete. Senders that do
/// not offload it complete it themselves.
fn complete_at_the_source(lab: &Lab) {
    for host in ["client", "node-1", "node-2", "web-1", "web-3", "dns-1", "dns-2"] {
        ethtool::set(&lab.netns(host), "eth0", Offload::TxChecksum, false).unwrap();
    }
}

fn on_every_wire(lab: &Lab, mode: Mode, by: By) {
    let taps = [
        ("fabric", "client"),
        ("fabric", "node-1"),
        ("fabric", "node-2"),
        ("client", "eth0"),
        ("web-1", "eth0"),
        ("web-3", "eth0"),
    ];
    let taps = taps.map(|(host, link)| ((host, link), Tap::open(lab, host, link)));
    let refused = lab.inside("client", refused_datagram);
    assert!(refused, "nobody answers node port 30999");
    for (_, address) in NODES {
        // Enough for each pod to get several by chance.
        let _ = lab.dials(Protocol::Tcp, (address, WEB), 3000, 4 * DIALS);
        let _ = lab.dials(Protocol::Udp, (address, DNS), 64, DIALS);
    }
    for ((host, link), tap) in taps {
        let verified = tap.verify();
        println!("{mode} {by:?}: {link} of {host}: {verified:?}");
        let Verified { tcp, udp, icmp, inner, .. } = verified;
        assert!(tcp > DIALS, "{link} of {host}: {verified:?}");
        if host == "fabric" || host == "client" {
            assert!(udp > DIALS, "{link} of {host}: {verified:?}");
            // The refusal comes from node-1 alone.
            assert_eq!(icmp > 0, link != "node-2", "{link} of {host}: {verified:?}");
        }
        let carries = mode == Mode::Vxlan && host == "fabric" && link != "client";
        assert_eq!(inner > DIALS, carries, "{link} of {host}: {verified:?}");
    }
}

/// Sends a datagram to a node port that no Service has, and waits for the ICMP error.
fn refused_datagram() -> bool {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect((NODES[0].1, 30999)).unwrap();
    socket.set_read_timeout(Some(DIAL_LIMIT)).unwrap();
    socket.send(b"?").unwrap();
    let error = socket.recv(&mut [0]).unwrap_err();
    error.kind() == io::ErrorKind::ConnectionRefused
}
