//! The node that the programs run on: links, routes and neighbors in a network
//! namespace, and the Services in the tables.
//!
//! One uplink leads to clients behind a gateway and to pods on other nodes: by
//! host-gw, by VXLAN, by a narrower route, by a neighbor that does not answer; another
//! uplink to more of them; a bridge's stand-in to the local pods.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
};

use netlab_common::{
    abi::{Backend, FrontendKey},
    flow::Addr,
    host::{packets::Sketch, tables::HostTables},
    wire::{eth::Mac, tcp, udp},
};
use netlab_tests::privilege::{Privilege, require};
use nix::sched::{CloneFlags, unshare};

use crate::datapath::Datapath;

/// The device that clients and other nodes are behind, and its MAC.
pub const UPLINK: &str = "eth0";
pub const NODE_MAC: Mac = [2, 0, 0, 0, 0x12, 2];
/// Next hop towards the client.
pub const GATEWAY_MAC: Mac = [2, 0, 0, 0, 0x12, 1];
/// Next hop towards pods by host-gw.
pub const PEER_MAC: Mac = [2, 0, 0, 0, 0x12, 3];
/// Next hop towards the other VTEP.
pub const VXLAN_PEER_MAC: Mac = [2, 0, 0, 0, 0x12, 4];
/// This node's VXLAN device, and the other VTEP's.
pub const FLANNEL: &str = "flannel.1";
pub const FLANNEL_MAC: Mac = [2, 0, 0, 0, 0x44, 1];
pub const VTEP_MAC: Mac = [2, 0, 0, 0, 0x44, 3];

pub const NODE: [u8; 4] = [172, 18, 0, 2];
pub const VXLAN_PEER: [u8; 4] = [172, 18, 0, 4];
/// Masquerade address of what leaves by the VXLAN device.
pub const FLANNEL_ADDRESS: [u8; 4] = [10, 244, 1, 0];
pub const NODE_V6: &str = "[fd00:18::2]:0";

pub const CLIENT: &str = "192.0.2.9:40000";
pub const CLIENT_V6: &str = "[2001:db8::9]:40000";

/// What is dialled, over TCP and over UDP, and the pod behind it.
pub const LOCAL: [&str; 2] = ["172.18.0.2:30080", "10.244.1.5:8080"];
pub const REMOTE: [&str; 2] = ["172.18.0.2:30081", "10.244.2.5:8080"];
pub const TUNNELLED: [&str; 2] = ["172.18.0.2:30082", "10.244.3.5:8080"];
/// By a route with an MTU of 1400; forwarding heeds only a locked one.
pub const NARROW: [&str; 2] = ["172.18.0.2:30083", "10.244.4.5:8080"];
/// By a next hop that ARP has not found.
pub const UNRESOLVED: [&str; 2] = ["172.18.0.2:30084", "10.244.5.5:8080"];
/// By the other uplink.
pub const ASIDE: [&str; 2] = ["172.18.0.2:30085", "10.244.6.5:8080"];
pub const UNROUTED: [&str; 2] = ["172.18.0.2:30086", "10.244.99.5:8080"];
/// Remote, without an address to masquerade with.
pub const UNMASKED: [&str; 2] = ["172.18.0.2:30087", "10.244.2.6:8080"];
/// The local pod again.
pub const TWIN: [&str; 2] = ["172.18.0.2:30089", "10.244.1.5:8080"];
/// A Service whose slot is empty, and one without endpoints.
pub const HOLLOW: &str = "172.18.0.2:30088";
pub const NOBODY: &str = "172.18.0.2:30090";
pub const LOCAL_V6: [&str; 2] = ["[fd00:18::2]:31080", "[fd00:244:1::5]:8080"];
pub const REMOTE_V6: [&str; 2] = ["[fd00:18::2]:31081", "[fd00:244:2::5]:8080"];

/// Runs a test on a fresh node with these tables, in the kernel and on the host; skips
/// it where that is not allowed.
pub fn on_node(tables: HostTables, test: impl FnOnce(Datapath, HostTables) + Send) {
    if !require(&[Privilege::Bpf, Privilege::Namespaces]) {
        return;
    }
    let outcome = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            // The namespace ends with this thread, and its links with it.
            unshare(CloneFlags::CLONE_NEWNET).expect("a new network namespace");
            build();
            test(Datapath::load(&tables), tables);
        });
        thread.join()
    });
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// The tables, with one port for masquerading so that every rewrite is known beforehand.
pub fn tables() -> HostTables {
    let mut tables = HostTables::new(1);
    tables.config.snat_ports = [SNAT_PORT, SNAT_PORT];
    tables.config.vxlan_port = 8472u16.to_be_bytes();
    tables.config.vxlan_source_ports = [32_768, 60_999];
    tables.config.vni = 1;
    tables.config.vtep = Addr::v4(NODE);
    tables.node_addresses = [Addr::v4(NODE), at(NODE_V6).ip().into()].into();
    let (node, flannel, node6) = (Addr::v4(NODE), Addr::v4(FLANNEL_ADDRESS), at(NODE_V6).ip());
    let local = |[_, pod]: [&str; 2]| Backend { flags: Backend::LOCAL, ..backend(pod) };
    let remote = |[_, pod]: [&str; 2], masquerade| Backend { masquerade, ..backend(pod) };
    let services = [
        (LOCAL[0], local(LOCAL)),
        (REMOTE[0], remote(REMOTE, node)),
        (TUNNELLED[0], remote(TUNNELLED, flannel)),
        (NARROW[0], remote(NARROW, node)),
        (UNRESOLVED[0], remote(UNRESOLVED, node)),
        (ASIDE[0], remote(ASIDE, node)),
        (UNROUTED[0], remote(UNROUTED, node)),
        (UNMASKED[0], remote(UNMASKED, Addr::UNSPECIFIED)),
        (HOLLOW, Backend::default()),
        (TWIN[0], local(TWIN)),
        (LOCAL_V6[0], local(LOCAL_V6)),
        (REMOTE_V6[0], remote(REMOTE_V6, node6.into())),
    ];
    for proto in [tcp::PROTOCOL, udp::PROTOCOL] {
        for (dialled, backend) in services {
            tables.serve(node_port(dialled, proto), &[backend]);
        }
        tables.serve(node_port(NOBODY, proto), &[]);
    }
    tables.backends.retain(|_, backend| *backend != Backend::default());
    tables
}

/// The port that masqueraded connections get.
pub const SNAT_PORT: u16 = 61_000;

/// The node as masqueraded connections show it.
pub fn masked(address: [u8; 4]) -> SocketAddr {
    SocketAddr::from((address, SNAT_PORT))
}

pub fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address with a port")
}

/// A segment from the gateway to the node.
pub fn tcp_in(src: &str, dst: &str, flags: u8) -> Sketch {
    Sketch::tcp(at(src), at(dst), flags).macs(GATEWAY_MAC, NODE_MAC)
}

/// A datagram from the gateway to the node.
pub fn udp_in(src: &str, dst: &str) -> Sketch {
    Sketch::udp(at(src), at(dst)).macs(GATEWAY_MAC, NODE_MAC)
}

/// The same packet one hop further.
pub fn hop(sketch: Sketch) -> Sketch {
    let ttl = sketch.ttl - 1;
    sketch.ttl(ttl)
}

fn backend(pod: &str) -> Backend {
    let pod = at(pod);
    Backend { addr: pod.ip().into(), port: pod.port().to_be_bytes(), id: 7, ..Backend::default() }
}

fn node_port(dialled: &str, proto: u8) -> FrontendKey {
    let dialled = at(dialled);
    let port = dialled.port().to_be_bytes();
    FrontendKey { addr: Addr::any(dialled.is_ipv4()), port, proto, reserved: 0 }
}

/// Lines for `ip -batch`.
const LINKS: &str = "
link set lo up
link add eth0 address 02:00:00:00:12:02 type veth peer name wire0
link add eth1 type veth peer name wire1
link add cni0 type veth peer name wire2
link add flannel.1 address 02:00:00:00:44:01 type vxlan id 1 dstport 8472 nolearning local 172.18.0.2 dev eth0
link set flannel.1 mtu 1450
link set wire0 up
link set wire1 up
link set wire2 up
link set eth0 up
link set eth1 up
link set cni0 up
link set flannel.1 up
address add 172.18.0.2/24 dev eth0
address add 192.168.7.2/24 dev eth1
address add 10.244.1.1/24 dev cni0
address add 10.244.1.0/32 dev flannel.1
address add fd00:18::2/64 dev eth0 nodad
address add fd00:244:1::1/64 dev cni0 nodad
neighbor add 172.18.0.1 lladdr 02:00:00:00:12:01 dev eth0 nud permanent
neighbor add 172.18.0.3 lladdr 02:00:00:00:12:03 dev eth0 nud permanent
neighbor add 172.18.0.4 lladdr 02:00:00:00:12:04 dev eth0 nud permanent
neighbor add 192.168.7.3 lladdr 02:00:00:00:07:03 dev eth1 nud permanent
neighbor add 10.244.3.0 lladdr 02:00:00:00:44:03 dev flannel.1 nud permanent
neighbor add fd00:18::1 lladdr 02:00:00:00:12:01 dev eth0 nud permanent
neighbor add fd00:18::3 lladdr 02:00:00:00:12:03 dev eth0 nud permanent
route add 192.0.2.0/24 via 172.18.0.1 dev eth0
route add 10.244.2.0/24 via 172.18.0.3 dev eth0
route add 10.244.3.0/24 via 10.244.3.0 dev flannel.1 onlink
route add 10.244.4.0/24 via 172.18.0.3 dev eth0 mtu lock 1400
route add 10.244.5.0/24 via 172.18.0.77 dev eth0
route add 10.244.6.0/24 via 192.168.7.3 dev eth1
route add 2001:db8::/64 via fd00:18::1 dev eth0
route add fd00:244:2::/64 via fd00:18::3 dev eth0
";

/// Builds the links of the calling thread's namespace.
fn build() {
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        fs::write(format!("/proc/sys/net/{switch}"), "1").expect("a switch of the namespace");
    }
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("ip, of iproute2, starts");
    let mut stdin = ip.stdin.take().expect("it is piped");
    stdin.write_all(LINKS.as_bytes()).expect("ip reads its batch");
    drop(stdin);
    assert!(ip.wait().expect("ip ends").success(), "ip refuses the links");
}
