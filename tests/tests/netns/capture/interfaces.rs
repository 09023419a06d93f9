//! Which interfaces are captured on, and what their packets look like.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    net::{Ipv4Addr, UdpSocket},
    os::fd::AsRawFd as _,
    path::Path,
    thread::sleep,
    time::Duration,
};

use etherparse::PacketBuilder;
use netlab_tests::{
    binary::netlab,
    capture::{Capture, packets},
    lab::{Lab, unused_name},
    poll::until,
    privilege::require_lab,
    wire::send as send_frame,
};

use super::wire::{FAR, NEAR, Wire};

#[test]
fn interfaces_that_appear_are_captured_on() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let everywhere = wire.capture(&["-l", "-i", "any", "udp"]);
    let (address, peer) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(198, 51, 100, 2));
    wire.pair("late0", "late1");
    wire.up("late0", address, peer);
    let hop = format!("| {} late0 tc-out", wire.name());
    until("a packet on the new interface", || {
        wire.inside(|| send(peer));
        everywhere.printed().contains(&hop).then_some(())
    });
    // One that goes and comes again is another.
    wire.ip(&["link", "delete", "late0"]);
    wire.pair("late0", "late1");
    wire.up("late0", address, peer);
    everywhere.printed().clear();
    until("a packet on the interface that came again", || {
        wire.inside(|| send(peer));
        everywhere.printed().contains(&hop).then_some(())
    });
    let _ = everywhere.end().statistics();
}

#[test]
fn only_the_interfaces_that_are_named_are_captured_on() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    wire.pair("other0", "other1");
    let (address, peer) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(198, 51, 100, 2));
    wire.up("other0", address, peer);
    let both = || [peer, Wire::PEER].map(|to| wire.inside(|| send(to)));
    for (named, expected) in [
        (&["-i", FAR][..], [0, 0, 1]),
        (&["-i", "near0,far0"], [1, 0, 1]),
        (&["-i", NEAR, "-i", "other0"], [1, 1, 0]),
    ] {
        let capture = wire.capture(&[named, &["udp"]].concat());
        let _ = both();
        let lines = capture.end().ran.expect(0).stdout;
        let on = |name: &str| lines.matches(&format!(" {name} tc-")).count();
        assert_eq!([NEAR, "other0", FAR].map(on), expected, "{named:?}: {lines}");
    }
}

#[test]
fn an_interface_that_gets_another_name_is_let_go_of() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let drops = wire.capture(&["-l", "-i", FAR, "--drops", "udp"]);
    let lines = || drops.printed().matches(" drop | ").count();
    until("a drop at the interface", || {
        wire.inside(|| send(Wire::PEER));
        (lines() > 0).then_some(())
    });
    wire.ip(&["link", "set", FAR, "name", "another"]);
    until("no drop any more", || {
        let before = lines();
        wire.inside(|| send(Wire::PEER));
        // Longer than a drop takes to be printed.
        sleep(Duration::from_millis(200));
        (lines() == before).then_some(())
    });
    let _ = drops.end().statistics();
}

#[test]
fn places_that_are_not_there_are_refused_with_those_that_are() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let lab = Lab::up_with(&["--nodes", "1"]);
    let (lab, nobody) = (lab.name().as_str(), unused_name());
    for (args, words) in [
        (&["--name", lab, "--node", "node-9"][..], &["node-9", "client, node-1, "][..]),
        (&["--name", nobody.as_str(), "--node", "all"], &[nobody.as_str(), "netlab lab up"]),
        (&["--netns", nobody.as_str()], &[nobody.as_str(), wire.name()]),
        (&["--netns", wire.name(), "-i", "near"], &["interface: near ", "far0, lo, near0"]),
        (&["--netns", wire.name(), "-i", "far0,near"], &["interface: near ", wire.name()]),
        (&["--name", lab, "--node", "all", "-i", "eth1"], &["interface: eth1 ", "cni0"]),
    ] {
        let refused = netlab(&[&["capture"], args].concat()).expect(2);
        for word in words {
            assert!(refused.stderr.contains(word), "{word}: {}: {}", refused.line, refused.stderr);
        }
    }
    // One host is enough.
    let capture = ["capture", "--name", lab, "--node", "all", "-i", "cni0"];
    let _ = Capture::spawn(&capture, true).ready().end().statistics();
}

#[test]
fn vlan_tags_are_where_they_are_on_the_wire() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vlan.pcapng");
    let capture = wire.capture(&["-w", file.to_str().unwrap(), "vlan"]);
    let filtered = wire.capture(&["vlan 5 and udp port 9"]);
    let mut untagged = Vec::new();
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let builder = builder.ipv4(Wire::ADDRESS.octets(), Wire::PEER.octets(), 64);
    builder.udp(1, 9).write(&mut untagged, b"?").unwrap();
    // TPID and TCI behind the addresses (IEEE 802.1Q), of one tag and of two.
    let tags = [&[0x81, 0, 0xa0, 5][..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 6]];
    let frames = tags.map(|tag| [&untagged[..12], tag, &untagged[12..]].concat());
    wire.inside(|| frames.iter().try_for_each(|frame| send_frame(NEAR, frame))).unwrap();
    let _ = capture.end().statistics();
    let seen = packets(&file);
    // The kernel takes a tag out of the frame on its way in, and keeps it beside it.
    for place in ["near0/tc-out", "far0/tc-in"] {
        let place = format!("{}/{place}", wire.name());
        let at: Vec<_> = seen.iter().filter(|it| it.place == place).collect();
        assert_eq!(at.len(), 2, "{place}: {seen:?}");
        for (packet, frame) in at.iter().zip(&frames) {
            assert_eq!((&packet.bytes, packet.wire_len as usize), (frame, frame.len()), "{place}");
        }
    }
    let filtered = filtered.end();
    assert_eq!(filtered.statistics().captured, 2, "{}", filtered.ran.stdout);
}

#[test]
fn a_device_without_ethernet_has_frames_all_the_same() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let mut device = wire.inside(|| tun("tun7"));
    let (address, peer) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(198, 51, 100, 2));
    wire.ip(&["link", "set", "tun7", "up"]);
    wire.ip(&["address", "add", &format!("{address}/24"), "dev", "tun7"]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tun.pcapng");
    let capture =
        wire.capture(&["-i", "tun7", "-w", file.to_str().unwrap(), "udp port 9 or udp port 10"]);
    wire.inside(|| send(peer));
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4(peer.octets(), address.octets(), 64);
    builder.udp(9, 10).write(&mut packet, b"in").unwrap();
    device.write_all(&packet).unwrap();
    let _ = capture.end().statistics();
    let seen = packets(&file);
    let at = |hook: &str| {
        let place = format!("{}/tun7/{hook}", wire.name());
        let found = seen.iter().find(|packet| packet.place == place);
        found.unwrap_or_else(|| panic!("{place}: {seen:?}"))
    };
    // No addresses, and IPv4's EtherType.
    let header = [&[0; 12][..], &[0x08, 0x00]].concat();
    assert_eq!(at("tc-in").bytes, [&header[..], &packet].concat());
    let out = at("tc-out");
    assert_eq!((&out.bytes[..14], out.bytes.len()), (&header[..], 14 + 20 + 8 + 1));
    assert_eq!(out.wire_len as usize, out.bytes.len());
    assert_eq!(out.bytes[30..34], peer.octets());
}

/// One byte to the discard port.
fn send(to: Ipv4Addr) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    // It may not be up yet, or be gone.
    let _ = socket.send_to(b"?", (to, 9));
}

/// A tun device of the calling thread's namespace; it is there as long as the file.
fn tun(name: &str) -> File {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open(Path::new("/dev/net/tun")).unwrap();
    // SAFETY: plain data, of which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI).unwrap();
    // SAFETY: the request that TUNSETIFF reads and writes.
    let outcome = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    assert_eq!(outcome, 0, "{}", std::io::Error::last_os_error());
    file
}
