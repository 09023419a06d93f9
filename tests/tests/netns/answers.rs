//! Node ports are answered: by every backend, on every node, in every mode and hook, and the
//! backends see the client that the semantics promise.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    thread,
};

use netlab::{
    lab::{Hook, Mode, dial::Answer},
    spec::model::Protocol,
};
use netlab_tests::{
    lab::{
        By, DIAL_LIMIT, DNS, DNS_PODS, Lab, NODES, PEERS, WEB, WEB_PODS, bridge_address,
        masquerade_address,
    },
    privilege::require_lab,
};

/// Dials of one protocol at one node.
const DIALS: usize = 100;
/// Bytes that go through one connection.
const BULK: usize = 1 << 20;

#[test]
fn host_gw_through_xdp_is_answered() {
    every_node_port_is_answered(Mode::HostGw, Hook::Xdp);
}

#[test]
fn host_gw_through_tc_is_answered() {
    every_node_port_is_answered(Mode::HostGw, Hook::Tc);
}

#[test]
fn vxlan_through_xdp_is_answered() {
    every_node_port_is_answered(Mode::Vxlan, Hook::Xdp);
}

#[test]
fn vxlan_through_tc_is_answered() {
    every_node_port_is_answered(Mode::Vxlan, Hook::Tc);
}

#[test]
fn kube_proxys_rules_answer() {
    for (mode, by) in PEERS {
        every_node_port_is_answered(mode, by);
    }
}

fn every_node_port_is_answered(mode: Mode, by: impl Into<By>) {
    if !require_lab() {
        return;
    }
    let by = by.into();
    let lab = Lab::up(mode, by);
    the_agents_use(by, &lab);
    for (protocol, port, pods) in
        [(Protocol::Tcp, WEB, WEB_PODS.as_slice()), (Protocol::Udp, DNS, DNS_PODS.as_slice())]
    {
        for (node, address) in NODES {
            let answers = lab.dials(protocol, (address, port), 64, DIALS);
            let answered: BTreeSet<_> = answers.iter().map(|answer| answer.pod.as_str()).collect();
            assert_eq!(answered, pods.iter().copied().collect(), "{protocol} at {node}");
            for answer in &answers {
                the_backend_sees_whom_it_should(answer, mode, by, node);
            }
            bulk_reaches_both_places(&lab, protocol, (address, port).into(), node);
        }
    }
    if let By::Ebpf(hook) = by {
        the_hook_did_the_work(mode, hook, &lab);
    }
    assert_eq!(lab.drops(), [""; 0]);
}

/// A remote backend sees the entry node. A local one sees the client itself, but for
/// kube-proxy's, which shows the entry node to all.
fn the_backend_sees_whom_it_should(answer: &Answer, mode: Mode, by: By, entry: &str) {
    match (answer.node == entry, by) {
        (true, By::Ebpf(_)) => assert_eq!(answer.seen_as, answer.from, "{answer:?}"),
        (true, By::KubeProxy(_)) => {
            assert_eq!(answer.seen_as.ip(), bridge_address(entry), "{answer:?}");
        }
        (false, _) => {
            assert_eq!(answer.seen_as.ip(), masquerade_address(mode, entry), "{answer:?}");
            let own = (1024..=29999).contains(&answer.seen_as.port());
            assert!(own || matches!(by, By::KubeProxy(_)), "{answer:?}");
        }
    }
}

/// 1 MiB through one connection comes back bit by bit, from this node's pods and from others'.
fn bulk_reaches_both_places(lab: &Lab, protocol: Protocol, to: SocketAddr, entry: &str) {
    let mut places = BTreeSet::new();
    for _ in 0..64 {
        // Which backend it is shows before the bulk, so that only two are sent.
        places.extend(lab.inside("client", || {
            match protocol {
                Protocol::Tcp => tcp_bulk(to, |node| !places.contains(&(node == entry))),
                Protocol::Udp => udp_bulk(to, |node| !places.contains(&(node == entry))),
            }
            .map(|node| node == entry)
        }));
        if places.len() == 2 {
            return;
        }
    }
    panic!("{protocol} {to}: backends on this node ({entry}) and another: {places:?}");
}

fn tcp_bulk(to: SocketAddr, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(DIAL_LIMIT)).unwrap();
    stream.set_write_timeout(Some(DIAL_LIMIT)).unwrap();
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let node = word(&line, "node");
    if !wanted(&node) {
        return None;
    }
    let sent = pattern(BULK);
    let mut received = vec![0; BULK];
    thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&sent).unwrap());
        reader.read_exact(&mut received).unwrap();
    });
    assert!(sent == received, "{to}: the echo differs");
    Some(node)
}

/// A flow of datagrams, each sent when the one before has come back.
fn udp_bulk(to: SocketAddr, wanted: impl Fn(&str) -> bool) -> Option<String> {
    const PIECE: usize = 1024;
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(DIAL_LIMIT)).unwrap();
    let exchange = |piece: &[u8]| {
        let mut buffer = [0; 2 * PIECE];
        socket.send(piece).unwrap();
        let len = socket.recv(&mut buffer).unwrap();
        let end = buffer.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        assert!(buffer[end..len] == *piece, "{to}: the echo differs");
        String::from_utf8_lossy(&buffer[..end]).into_owned()
    };
    let first = exchange(b"?");
    let node = word(&first, "node");
    if !wanted(&node) {
        return None;
    }
    for piece in pattern(BULK).chunks(PIECE) {
        assert_eq!(exchange(piece), first, "the flow changed its backend or source");
    }
    Some(node)
}

/// The value of `key=value` in a greeting.
fn word(line: &str, key: &str) -> String {
    let value = |word: &str| word.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
    line.split_whitespace().find_map(value).unwrap_or_else(|| panic!("no {key} in {line:?}"))
}

/// Bytes with a period that is prime.
fn pattern(len: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(len).collect()
}

fn the_agents_use(by: By, lab: &Lab) {
    let status = lab.status().expect(0).json();
    for (at, (node, _)) in NODES.iter().enumerate() {
        let agent = &status["agents"][at];
        assert_eq!(agent["node"], *node);
        assert_eq!(agent["status"]["proxy"], by.proxy());
        match by {
            By::Ebpf(hook) => assert_eq!(agent["status"]["hook"], hook.to_string()),
            By::KubeProxy(_) => {
                let tool = agent["status"]["tool"].as_str().unwrap();
                assert!(tool.starts_with(&by.proxy()) && tool.contains(" v1."), "{tool}");
            }
        }
    }
}

/// Nearly all connections were opened in the hook that was asked for, none in another.
fn the_hook_did_the_work(mode: Mode, hook: Hook, lab: &Lab) {
    let connections = u64::try_from(2 * NODES.len() * DIALS).unwrap();
    let opened = |hook| lab.counter(hook, "first");
    if hook == Hook::Xdp {
        assert!(opened("xdp") * 10 > connections * 9, "{}", opened("xdp"));
        for name in ["encapsulated", "decapsulated"] {
            let count = lab.counter("xdp", name);
            assert_eq!(mode == Mode::Vxlan, count > connections, "{name}: {count}");
        }
    } else {
        assert_eq!(lab.counter("xdp", "seen"), 0);
        assert!(opened("tc-ingress") >= connections, "{}", opened("tc-ingress"));
    }
    assert_eq!(opened("tc-egress"), 0);
}
