//! Every hop of a connection is seen, with what was done to it there.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    process::{Child, Stdio},
};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use netlab::{
    lab::{Hook, Mode, dial::Answer},
    spec::model::Protocol,
};
use netlab_tests::{
    capture::{Capture, Seen, packets},
    lab::{Lab, NODES, WEB, masquerade_address},
    privilege::require_lab,
};

use super::{dial, have, listens};

/// What has to be in a filter to see a dial at every hop.
const EVERY_HOP: &str = "tcp port 30080 or tcp port 8080 or vxlan 1";

/// UDP port and header length of VXLAN (RFC 7348, 5; the port is flannel's).
const VXLAN: (u16, usize) = (8472, 8);

/// A packet's connection, and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    from: SocketAddr,
    to: SocketAddr,
    syn: bool,
    ack: bool,
}

#[test]
fn every_hop_is_seen_in_host_gw_through_xdp() {
    every_hop_is_seen(Mode::HostGw, Hook::Xdp);
}

#[test]
fn every_hop_is_seen_in_host_gw_through_tc() {
    every_hop_is_seen(Mode::HostGw, Hook::Tc);
}

#[test]
fn every_hop_is_seen_in_vxlan_through_xdp() {
    every_hop_is_seen(Mode::Vxlan, Hook::Xdp);
}

#[test]
fn every_hop_is_seen_in_vxlan_through_tc() {
    every_hop_is_seen(Mode::Vxlan, Hook::Tc);
}

fn every_hop_is_seen(mode: Mode, hook: Hook) {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(mode, hook);
    // XDP leaves a packet to the stack as long as the neighbor is not known.
    dial(&lab, 24);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("all.pcapng");
    let capture = Capture::start(&lab, &["--node", "all", "-w", file.to_str().unwrap(), EVERY_HOP]);
    let others = if hook == Hook::Xdp { tcpdump(&lab) } else { None };
    let answers = lab.dials(Protocol::Tcp, (NODES[0].1, WEB), 64, 24);
    println!("{mode} {hook}: {:?} until it saw packets", capture.start);
    let ended = capture.end();
    assert_eq!(ended.statistics().dropped, 0);
    let seen = packets(&file);
    let near = answers.iter().find(|answer| answer.node == "node-1").expect("one of many");
    let far = answers.iter().find(|answer| answer.node == "node-2").expect("one of many");
    a_near_pod(&seen, near, hook);
    a_far_pod(&seen, far, mode, hook);
    if let Some(tcpdump) = others {
        tcpdump_does_not_see_it(tcpdump, far);
    }
}

/// The SYN to a pod of the node that was dialled, and its answer.
fn a_near_pod(seen: &[Seen], answer: &Answer, hook: Hook) {
    let node: SocketAddr = (NODES[0].1, WEB).into();
    let veth = format!("node-1/veth{}", answer.pod);
    let pod = backend(seen, answer);
    let dnat = format!("dnat {node} -> {pod}");
    let snat = format!("snat {pod} -> {node}");
    let inside = format!("{}/eth0", answer.pod);
    let mut expected = vec![
        ("client/eth0/tc-out".to_owned(), String::new()),
        ("node-1/cni0/tc-out".to_owned(), String::new()),
        (format!("{veth}/tc-out"), String::new()),
        (format!("{inside}/tc-in"), String::new()),
    ];
    expected.extend(on_the_way_in("node-1", hook, &dnat));
    let syn = hops(seen, |it| it.syn && !it.ack && it.from == answer.from);
    same(&syn, expected, "the SYN to a near pod");
    let expected = [
        (format!("{inside}/tc-out"), String::new()),
        (format!("{veth}/tc-in"), String::new()),
        ("node-1/cni0/tc-in".to_owned(), String::new()),
        ("node-1/eth0/nat-out".to_owned(), snat),
        ("node-1/eth0/tc-out".to_owned(), String::new()),
        ("client/eth0/tc-in".to_owned(), String::new()),
    ];
    let reply = hops(seen, |it| it.syn && it.ack && it.to == answer.from);
    same(&reply, expected, "the answer of a near pod");
}

/// The SYN to a pod of the other node, and its answer.
fn a_far_pod(seen: &[Seen], answer: &Answer, mode: Mode, hook: Hook) {
    let node: SocketAddr = (NODES[0].1, WEB).into();
    let (pod, client) = (backend(seen, answer), answer.from);
    let masquerade = answer.seen_as;
    assert_eq!(masquerade.ip(), masquerade_address(mode, "node-1"));
    let overlay = mode == Mode::Vxlan;
    let (encap, decap) = if overlay && hook == Hook::Xdp {
        (format!(", encap vni 1 -> {}", NODES[1].1), "decap, ")
    } else {
        (String::new(), "")
    };
    let there = format!("snat {client} -> {masquerade}, dnat {node} -> {pod}{encap}");
    let back = format!("{decap}snat {pod} -> {node}, dnat {masquerade} -> {client}");
    let syn = hops(seen, |it| {
        it.syn && !it.ack && (it.from == client || it.from == masquerade && it.to == pod)
    });
    let veth = format!("node-2/veth{}", answer.pod);
    let inside = format!("{}/eth0", answer.pod);
    let plain = |place: String| (place, String::new());
    let mut expected: Vec<_> = ["client/eth0/tc-out", "node-2/cni0/tc-out"].map(into_plain).into();
    expected.extend([format!("{veth}/tc-out"), format!("{inside}/tc-in")].map(plain));
    expected.extend(passing("node-1", mode, hook, &there));
    expected.extend(arriving("node-2", mode, hook));
    same(&syn, expected, "the SYN to a far pod");

    let reply = hops(seen, |it| {
        it.syn && it.ack && (it.to == client || it.to == masquerade && it.from == pod)
    });
    let mut expected: Vec<_> = ["client/eth0/tc-in", "node-2/cni0/tc-in"].map(into_plain).into();
    expected.extend([format!("{veth}/tc-in"), format!("{inside}/tc-out")].map(plain));
    expected.push(into_plain("node-2/eth0/tc-out"));
    if overlay {
        expected.push(into_plain("node-2/flannel.1/tc-out"));
    }
    expected.extend(returning("node-1", mode, hook, &back));
    same(&reply, expected, "the answer of a far pod");
}

fn into_plain(place: &str) -> (String, String) {
    (place.to_owned(), String::new())
}

type Hops = Vec<(String, String)>;

/// What a node sees of a packet that it hands to a pod of its own.
fn on_the_way_in(node: &str, hook: Hook, dnat: &str) -> Hops {
    let at = |hook: &str| format!("{node}/eth0/{hook}");
    if hook == Hook::Xdp {
        let plain = ["xdp-in", "tc-in"].map(|hook| (at(hook), String::new()));
        [&plain[..], &[(at("xdp-out"), dnat.to_owned())]].concat()
    } else {
        vec![(at("tc-in"), String::new()), (at("nat-in"), dnat.to_owned())]
    }
}

/// What it sees of one that it sends on to another node.
fn passing(node: &str, mode: Mode, hook: Hook, event: &str) -> Hops {
    let at = |hook: &str| format!("{node}/eth0/{hook}");
    if hook == Hook::Xdp {
        return vec![(at("xdp-in"), String::new()), (at("xdp-out"), event.to_owned())];
    }
    let mut hops = vec![(at("tc-in"), String::new()), (at("nat-in"), event.to_owned())];
    hops.push((at("tc-out"), String::new()));
    if mode == Mode::Vxlan {
        hops.push((format!("{node}/flannel.1/tc-out"), String::new()));
    }
    hops
}

/// What a node sees of a packet for its pod that another node has translated.
fn arriving(node: &str, mode: Mode, hook: Hook) -> Hops {
    let mut places = vec![format!("{node}/eth0/tc-in")];
    if hook == Hook::Xdp {
        places.push(format!("{node}/eth0/xdp-in"));
    }
    if mode == Mode::Vxlan {
        places.push(format!("{node}/flannel.1/tc-in"));
    }
    places.into_iter().map(|place| (place, String::new())).collect()
}

/// What the node that was dialled sees of an answer that comes back from another node.
fn returning(node: &str, mode: Mode, hook: Hook, event: &str) -> Hops {
    let at = |hook: &str| format!("{node}/eth0/{hook}");
    if hook == Hook::Xdp {
        return vec![(at("xdp-in"), String::new()), (at("xdp-out"), event.to_owned())];
    }
    let mut hops = vec![(at("tc-in"), String::new()), (at("tc-out"), String::new())];
    if mode == Mode::Vxlan {
        hops.push((format!("{node}/flannel.1/tc-in"), String::new()));
        hops.push((format!("{node}/flannel.1/nat-in"), event.to_owned()));
    } else {
        hops.push((at("nat-in"), event.to_owned()));
    }
    hops
}

fn same(
    seen: &BTreeSet<(String, String)>,
    expected: impl IntoIterator<Item = (String, String)>,
    what: &str,
) {
    let expected: BTreeSet<_> = expected.into_iter().collect();
    let missing: Vec<_> = expected.difference(seen).collect();
    let unexpected: Vec<_> = seen.difference(&expected).collect();
    assert!(
        missing.is_empty() && unexpected.is_empty(),
        "{what}: missing {missing:#?}, unexpected {unexpected:#?}"
    );
}

/// Places and events of the segments that a question is about.
fn hops(seen: &[Seen], wanted: impl Fn(&Segment) -> bool) -> BTreeSet<(String, String)> {
    seen.iter()
        .filter(|packet| segment(&packet.bytes).is_some_and(|segment| wanted(&segment)))
        .map(|packet| (packet.place.clone(), packet.event.clone()))
        .collect()
}

/// Address and port of the pod that answered, as the SYN got there.
fn backend(seen: &[Seen], answer: &Answer) -> SocketAddr {
    let place = format!("{}/eth0/tc-in", answer.pod);
    let mut segments =
        seen.iter().filter(|it| it.place == place).filter_map(|it| segment(&it.bytes));
    segments.find(|it| it.syn && it.from == answer.seen_as).expect("the SYN reached the pod").to
}

/// The TCP segment of an Ethernet frame, or of one in VXLAN in it.
fn segment(frame: &[u8]) -> Option<Segment> {
    let sliced = SlicedPacket::from_ethernet(frame).ok()?;
    let NetSlice::Ipv4(ip) = sliced.net? else { return None };
    let [from, to] = [ip.header().source_addr(), ip.header().destination_addr()].map(IpAddr::from);
    match sliced.transport? {
        TransportSlice::Tcp(tcp) => Some(Segment {
            from: (from, tcp.source_port()).into(),
            to: (to, tcp.destination_port()).into(),
            syn: tcp.syn(),
            ack: tcp.ack(),
        }),
        TransportSlice::Udp(udp) if udp.destination_port() == VXLAN.0 => {
            segment(udp.payload().get(VXLAN.1..)?)
        }
        _ => None,
    }
}

/// tcpdump beside it, at the node that is dialled.
fn tcpdump(lab: &Lab) -> Option<Child> {
    if !have("tcpdump") {
        return None;
    }
    let mut command = lab.netns("node-1").command("tcpdump");
    command.args(["-i", "eth0", "-nn", "-l", "-U", "tcp or udp port 8472"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    Some(listens(child))
}

/// It is blind to what XDP sends on itself.
fn tcpdump_does_not_see_it(tcpdump: Child, answer: &Answer) {
    let pid = i32::try_from(tcpdump.id()).unwrap();
    // SAFETY: plain integers; it has not been waited for, so the id is its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let output = tcpdump.wait_with_output().unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(lines.contains("Flags [S.]"), "it sees near pods' answers: {lines}");
    assert!(!lines.contains(&format!(".{} ", answer.from.port())), "{answer:?}: {lines}");
}
