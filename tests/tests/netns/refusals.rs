//! A dial that nobody can answer is refused at once, not left in silence.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    net::{Ipv4Addr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use netlab::{
    lab::{Hook, Mode},
    netlink::sysctl,
    spec::model::Protocol,
};
use netlab_tests::{
    lab::{By, DIAL_LIMIT, DNS, DNS_PODS, Lab, NODES, WEB, WEB_PODS, cells_and_peers},
    privilege::require_lab,
};

/// No Service has this node port.
const UNUSED: u16 = 30999;
/// Node port of [`SILENT`].
const SILENT_PORT: u16 = 30054;

/// A Service towards a port where the pods do not listen.
const SILENT: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: silent
spec:
  type: NodePort
  clusterIP: 10.96.0.99
  clusterIPs:
  - 10.96.0.99
  selector:
    app: echo-udp
  ports:
  - protocol: UDP
    port: 9
    targetPort: 9
    nodePort: 30054
";

#[test]
fn without_endpoints_a_dial_is_refused_at_once() {
    if !require_lab() {
        return;
    }
    for (mode, by) in cells_and_peers() {
        let lab = Lab::up(mode, by);
        lab.write_manifest("pods.yaml", &lab.with_unready(&[&WEB_PODS[..], &DNS_PODS].concat()));
        lab.wait_for_agents();
        for (protocol, port) in [(Protocol::Tcp, WEB), (Protocol::Udp, DNS)] {
            refused(&lab, protocol, port);
        }
        if let By::Ebpf(hook) = by {
            assert!(lab.show("backends").is_empty());
            let answered =
                ["tcp-reset", "port-unreachable"].map(|name| lab.counter(ingress(hook), name));
            assert_eq!(answered, [2, 2], "{mode} {hook}");
        }
        assert_eq!(lab.drops(), [""; 0]);
    }
}

#[test]
fn the_stack_refuses_a_node_port_that_no_service_has() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, Hook::Xdp);
    refused(&lab, Protocol::Tcp, UNUSED);
    refused(&lab, Protocol::Udp, UNUSED);
    assert_eq!(lab.counter("xdp", "tcp-reset") + lab.counter("xdp", "port-unreachable"), 0);
}

#[test]
fn a_backend_that_does_not_listen_refuses_through_the_datapath() {
    if !require_lab() {
        return;
    }
    for (mode, by) in cells_and_peers() {
        let lab = Lab::up(mode, by);
        for pod in DNS_PODS {
            // Or the kernel answers only the first few datagrams of each second.
            sysctl::write(&lab.netns(pod), "ipv4/icmp_ratelimit", "0").unwrap();
        }
        lab.write_manifest("silent.yaml", SILENT);
        lab.wait_for_agents();
        for (_, address) in NODES {
            for _ in 0..16 {
                let outcome = lab.inside("client", || udp(address, SILENT_PORT));
                assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionRefused);
            }
        }
        if let By::Ebpf(hook) = by {
            reached_both_pods_on_both_nodes(&lab);
            assert!(lab.counter(ingress(hook), "icmp-error") > 0, "{mode} {hook}");
        }
        assert_eq!(lab.drops(), [""; 0]);
    }
}

fn reached_both_pods_on_both_nodes(lab: &Lab) {
    let rows = lab.show("conntrack");
    let frontend = format!(":{SILENT_PORT}");
    let mine = rows.iter().filter(|row| {
        row["frontend"].as_str().is_some_and(|frontend_of| frontend_of.ends_with(&frontend))
    });
    let ways: BTreeSet<_> =
        mine.map(|row| (row["node"].as_str(), row["backend"].as_str())).collect();
    assert_eq!(ways.len(), 4, "{ways:?}");
}

/// Refused by every node, well before a retransmission would be due (RFC 6298, 2.1: 1 s).
fn refused(lab: &Lab, protocol: Protocol, port: u16) {
    for (node, address) in NODES {
        let start = Instant::now();
        let outcome = lab.inside("client", || match protocol {
            Protocol::Tcp => tcp(address, port),
            Protocol::Udp => udp(address, port),
        });
        let error = outcome.expect_err("nobody can answer");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{protocol} at {node}");
        let took = start.elapsed();
        assert!(took < Duration::from_secs(1), "{protocol} at {node}: after {took:?}");
    }
}

fn tcp(address: Ipv4Addr, port: u16) -> io::Result<()> {
    TcpStream::connect_timeout(&(address, port).into(), DIAL_LIMIT).map(|_| ())
}

fn udp(address: Ipv4Addr, port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Connected sockets are told of ICMP errors.
    socket.connect((address, port))?;
    socket.set_read_timeout(Some(DIAL_LIMIT))?;
    socket.send(b"?")?;
    socket.recv(&mut [0; 64]).map(|_| ())
}

/// The hook that packets from the client meet first, as the counters name it.
fn ingress(hook: Hook) -> &'static str {
    if hook == Hook::Xdp { "xdp" } else { "tc-ingress" }
}
