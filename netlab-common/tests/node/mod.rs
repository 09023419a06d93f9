//! The node that the tests of the core run on: its tables and the hosts around it.
#![allow(dead_code, reason = "every test binary uses its own part")]

use std::net::SocketAddr;

use netlab_common::{
    abi::{Backend, FrontendKey},
    flow::Addr,
    headers::Headers,
    host::{packets::Sketch, tables::HostTables, translate},
    nodeport::Point,
    verdict::{Forward, Kind, Route, Verdict},
    wire::{tcp, tcp::flags::SYN, udp},
};

pub const CLIENT: &str = "192.0.2.9:40000";
pub const TCP_LOCAL: &str = "172.18.0.2:30080";
pub const TCP_REMOTE: &str = "172.18.0.2:30081";
/// The same local backend again, through another frontend.
pub const TCP_LOCAL_TWIN: &str = "172.18.0.2:30082";
pub const UDP_LOCAL: &str = "172.18.0.2:30053";
pub const UDP_REMOTE: &str = "172.18.0.2:30054";
pub const NOBODY: &str = "172.18.0.2:30090";
pub const MANY: &str = "172.18.0.2:30100";

pub const CLIENT_V6: &str = "[2001:db8::9]:40000";
pub const TCP_LOCAL_V6: &str = "[fd00:18::2]:31080";
pub const TCP_REMOTE_V6: &str = "[fd00:18::2]:31081";
pub const UDP_LOCAL_V6: &str = "[fd00:18::2]:31053";
pub const UDP_REMOTE_V6: &str = "[fd00:18::2]:31054";

pub const LOCAL_POD: &str = "10.244.1.5:8080";
pub const REMOTE_POD: &str = "10.244.2.5:8080";
pub const LOCAL_POD_V6: &str = "[fd00:244:1::5]:8080";
pub const REMOTE_POD_V6: &str = "[fd00:244:2::5]:8080";
pub const NODE: &str = "172.18.0.2:0";
pub const NODE_V6: &str = "[fd00:18::2]:0";

/// A moment long enough after the kernel's start for every timeout to lie before it.
pub const NOW: u64 = 1 << 50;

pub fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address with a port")
}

/// A node port on every node address of the dialled one's family.
pub fn node_port(dialled: &str, proto: u8) -> FrontendKey {
    let dialled = at(dialled);
    let port = dialled.port().to_be_bytes();
    FrontendKey { addr: Addr::any(dialled.is_ipv4()), port, proto, reserved: 0 }
}

pub fn local(pod: &str) -> Backend {
    let pod = at(pod);
    Backend {
        addr: pod.ip().into(),
        port: pod.port().to_be_bytes(),
        flags: Backend::LOCAL,
        id: 1,
        ..Backend::default()
    }
}

pub fn remote(pod: &str, masquerade: &str) -> Backend {
    Backend { masquerade: at(masquerade).ip().into(), flags: 0, id: 2, ..local(pod) }
}

pub fn node() -> HostTables {
    let mut tables = HostTables::new(1);
    tables.node_addresses = [NODE, NODE_V6].map(|node| at(node).ip().into()).into();
    let (here, there) = (local(LOCAL_POD), remote(REMOTE_POD, NODE));
    let (here6, there6) = (local(LOCAL_POD_V6), remote(REMOTE_POD_V6, NODE_V6));
    let services = [
        (TCP_LOCAL, tcp::PROTOCOL, here),
        (TCP_REMOTE, tcp::PROTOCOL, there),
        (TCP_LOCAL_TWIN, tcp::PROTOCOL, here),
        (UDP_LOCAL, udp::PROTOCOL, here),
        (UDP_REMOTE, udp::PROTOCOL, there),
        (TCP_LOCAL_V6, tcp::PROTOCOL, here6),
        (TCP_REMOTE_V6, tcp::PROTOCOL, there6),
        (UDP_LOCAL_V6, udp::PROTOCOL, here6),
        (UDP_REMOTE_V6, udp::PROTOCOL, there6),
    ];
    for (dialled, proto, backend) in services {
        tables.serve(node_port(dialled, proto), &[backend]);
    }
    for proto in [tcp::PROTOCOL, udp::PROTOCOL] {
        tables.serve(node_port(NOBODY, proto), &[]);
    }
    let many: Vec<_> = (1..=8).map(|n| local(&format!("10.244.1.{n}:8080"))).collect();
    tables.serve(node_port(MANY, tcp::PROTOCOL), &many);
    tables
}

/// The verdict about a packet at ingress, and the packet afterwards.
pub fn step(tables: &HostTables, packet: &Sketch, now: u64) -> (Verdict, Vec<u8>) {
    step_bytes(tables, packet.bytes(), now)
}

pub fn step_bytes(tables: &HostTables, mut bytes: Vec<u8>, now: u64) -> (Verdict, Vec<u8>) {
    let verdict = translate(tables, &mut bytes, Point::Ingress, now);
    (verdict, bytes)
}

pub const fn forward(kind: Kind, route: Route) -> Verdict {
    Verdict::Forward(Forward { kind, route })
}

/// A client's SYN.
pub fn syn(client: &str, dialled: &str) -> Sketch {
    Sketch::tcp(at(client), at(dialled), SYN)
}

/// Who talks to whom in a translated packet: source and destination.
pub fn ends(bytes: &[u8]) -> [SocketAddr; 2] {
    let mut headers = Headers::default();
    headers.read(bytes, 0).expect("TCP or UDP");
    let flow = headers.flow;
    [
        SocketAddr::new(flow.src.into(), flow.source_port()),
        SocketAddr::new(flow.dst.into(), flow.destination_port()),
    ]
}

/// What the backend answers to a packet as it arrived there.
pub fn answer(arrived: &[u8], packet: &Sketch, flags: u8) -> Sketch {
    let [src, dst] = ends(arrived);
    Sketch { flags, ..packet.clone() }.readdressed(dst, src)
}
