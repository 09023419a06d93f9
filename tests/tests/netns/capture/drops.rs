//! Where packets end, and why.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::{FromRawFd as _, OwnedFd},
};

use etherparse::PacketBuilder;
use netlab::{
    lab::{Hook, Mode},
    netlink::sysctl,
};
use netlab_tests::{
    capture::Capture,
    lab::{Lab, NODES, WEB},
    privilege::require_lab,
};

use super::{dial, have};

const NODE: Ipv4Addr = NODES[0].1;

/// Nobody listens here: no Service, no socket.
const CLOSED: u16 = 30999;
/// A rule of the test's own drops what comes here.
const FILTERED: u16 = 30998;
/// Client ports that connections do not use.
const STRAY: u16 = 1025;

#[test]
fn drops_are_told_with_the_kernels_reason_and_with_the_datapaths() {
    if !require_lab() || !have("nft") {
        return;
    }
    for (mode, hook, told_at) in
        [(Mode::Vxlan, Hook::Xdp, "xdp-out"), (Mode::HostGw, Hook::Tc, "nat-in")]
    {
        let lab = Lab::up(mode, hook);
        filter(&lab);
        let capture = Capture::start(&lab, &["--node", "node-1", "--drops"]);
        let chosen = format!("udp port {FILTERED}");
        let chosen = Capture::start(&lab, &["--node", "node-1", "--drops", &chosen]);
        for port in [CLOSED, FILTERED] {
            lab.inside("client", || datagram((NODE, port).into()));
        }
        lab.inside("client", reset_without_a_connection).unwrap();
        lab.inside("client", source_of_another_network).unwrap();
        elsewhere(&lab);
        dial(&lab, 4);
        let ended = capture.end();
        let told = ended.statistics();
        let lines = ended.ran.stdout;
        println!("{mode} {hook}:\n{lines}");
        for (packet, hop, reason) in [
            (format!("> {NODE}.{CLOSED}: UDP"), "drop", "NO_SOCKET (__udp4_lib_rcv+0x"),
            (format!("> {NODE}.{FILTERED}: UDP"), "drop", "NETFILTER_DROP (nft_do_chain"),
            (format!(".{STRAY} > {NODE}.{WEB}: Flags [R]"), told_at, "no-connection"),
            (format!("10.244.1.77.{STRAY} > {NODE}."), "drop", "IP_RPFILTER ("),
        ] {
            let line = lines.lines().find(|line| line.contains(&packet));
            let line = line.unwrap_or_else(|| panic!("{packet}: {lines}"));
            let remark = format!("| node-1 eth0 {hop} | DROP {reason}");
            assert!(line.contains(&remark), "{remark}: {line}");
        }
        assert!(!lines.contains("172.18.255.10.9: UDP"), "of the client: {lines}");
        assert!(lines.lines().all(|line| line.contains(" | DROP ")), "{lines}");
        assert_eq!(told.captured, lines.lines().count() as u64);
        let chosen = chosen.end().ran.expect(0).stdout;
        assert_eq!(chosen.lines().count(), 1, "{chosen}");
        assert!(chosen.contains("NETFILTER_DROP"), "{chosen}");
    }
}

/// What drops packets to one port, and those whose source lies elsewhere.
fn filter(lab: &Lab) {
    let rules = format!(
        "table inet capture_test {{ chain in {{ type filter hook input priority 0; \
         udp dport {FILTERED} drop; }}; }}"
    );
    let ran = lab.netns("node-1").command("nft").arg(rules).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for name in ["all", "eth0"] {
        sysctl::write(&lab.netns("node-1"), &format!("ipv4/conf/{name}/rp_filter"), "1").unwrap();
    }
}

fn datagram(to: SocketAddr) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.send_to(b"?", to).unwrap();
}

/// A drop in a namespace that is not captured in.
fn elsewhere(lab: &Lab) {
    lab.inside("node-2", || datagram("172.18.255.10:9".parse().unwrap()));
}

fn reset_without_a_connection() -> io::Result<()> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4([172, 18, 255, 10], NODE.octets(), 64);
    builder.tcp(STRAY, WEB, 1, 0).rst().write(&mut packet, &[]).map_err(io::Error::other)?;
    raw(&packet)
}

/// From a pod of the node that it is sent to: the way back would be another.
fn source_of_another_network() -> io::Result<()> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4([10, 244, 1, 77], NODE.octets(), 64);
    builder.udp(STRAY, CLOSED).write(&mut packet, b"?").map_err(io::Error::other)?;
    raw(&packet)
}

/// Sends an IPv4 packet as it is.
fn raw(packet: &[u8]) -> io::Result<()> {
    // SAFETY: plain integers; the descriptor that it returns is nobody else's.
    let socket = unsafe {
        let fd =
            libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        UdpSocket::from(OwnedFd::from_raw_fd(fd))
    };
    socket.send_to(packet, (NODE, 0)).map(drop)
}
