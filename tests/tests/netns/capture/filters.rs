//! A filter that runs in the kernel accepts what the same filter accepts of a file.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket},
    os::fd::{FromRawFd as _, OwnedFd},
    path::Path,
    process::Command,
};

use netlab::{
    lab::{Hook, Mode},
    spec::model::Protocol,
};
use netlab_tests::{
    binary::netlab,
    capture::{Capture, Seen, packets},
    lab::{DIAL_LIMIT, DNS, Lab, NODES, WEB},
    privilege::require_lab,
};

use super::have;

/// An expression, and whether tcpdump means the same by it.
#[derive(Clone, Debug)]
pub struct Expression {
    pub args: Vec<String>,
    pub tcpdump: bool,
}

/// Captures of one node at the same time, beside that of everything.
pub const AT_A_TIME: usize = 3;

/// Where each kind of hook is, and no more: a capture begins the sooner.
pub const HOSTS: &str = "client,node-1,node-2";

pub const NODE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x172, 0x18, 0, 0, 0, 0, 2);

/// No Service has this node port, and nobody listens.
const CLOSED: u16 = 30999;

#[test]
fn at_xdp_and_in_vxlan_the_kernel_accepts_what_a_reader_accepts() {
    live_equals_read(Mode::Vxlan, Hook::Xdp);
}

#[test]
fn at_tc_the_kernel_accepts_what_a_reader_accepts() {
    live_equals_read(Mode::HostGw, Hook::Tc);
}

fn live_equals_read(mode: Mode, hook: Hook) {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(mode, hook);
    let tcpdump = have("tcpdump");
    dialogue(&lab);
    let interfaces = match mode {
        Mode::Vxlan => "eth0,cni0,flannel.1,flannel-v6.1",
        Mode::HostGw => "eth0,cni0",
    };
    for round in expressions(mode).chunks(AT_A_TIME) {
        for (live, all) in one_round(&lab, &["-i", interfaces], round, tcpdump, dialogue) {
            assert!(live.len() >= 2, "the dialogue has some: {} of {}", live.len(), all.len());
        }
    }
}

/// What was captured meanwhile by each expression, and what there was. A reader accepts the same.
pub fn one_round(
    lab: &Lab,
    places: &[&str],
    round: &[Expression],
    tcpdump: bool,
    traffic: impl Fn(&Lab),
) -> Vec<(Vec<Seen>, Vec<Seen>)> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: String| directory.path().join(name);
    let begin = |file: &Path, args: &[String]| {
        let common = ["--node", HOSTS, "-w", file.to_str().unwrap()];
        let common: Vec<_> = common.iter().chain(places).map(|word| (*word).to_owned()).collect();
        Capture::begin(lab, &[&common[..], args].concat())
    };
    let all = path("all.pcapng".to_owned());
    let files: Vec<_> = (0..round.len()).map(|at| path(format!("{at}.pcapng"))).collect();
    let everything = begin(&all, &[]);
    let captures: Vec<_> =
        files.iter().zip(round).map(|(file, expression)| begin(file, &expression.args)).collect();
    let everything = everything.ready();
    let captures: Vec<_> = captures.into_iter().map(Capture::ready).collect();
    traffic(lab);
    let mut windows = Vec::new();
    for capture in captures {
        let since = capture.since;
        let ended = capture.end();
        assert_eq!(ended.statistics().dropped, 0, "{}", ended.ran.line);
        windows.push((since, ended.until));
    }
    let ended = everything.end();
    assert_eq!(ended.statistics().dropped, 0, "{}", ended.ran.line);

    let mut rounds = Vec::new();
    let there_was = packets(&all);
    for ((file, expression), (since, until)) in files.iter().zip(round).zip(windows) {
        let wanted = path("wanted.pcapng".to_owned());
        let (from, to) = (all.to_str().unwrap(), wanted.to_str().unwrap());
        let read = ["capture", "-r", from, "-w", to].map(str::to_owned);
        let _ = netlab(&[&read[..], &expression.args].concat()).expect(0);
        let wanted = packets(&wanted);
        if tcpdump && expression.tcpdump {
            assert_eq!(count(&all, &expression.args), wanted.len(), "tcpdump, {expression:?}");
        }
        let within = |packets: Vec<Seen>| {
            let all = packets.into_iter().filter(|it| (since..until).contains(&it.time));
            // What another capture has seen a little later is the same packet.
            let mut all: Vec<_> = all.map(|it| Seen { time: 0, ..it }).collect();
            all.sort();
            all
        };
        let (live, wanted) = (within(packets(file)), within(wanted));
        assert!(live == wanted, "{expression:?}: {} live, {} read", live.len(), wanted.len());
        rounds.push((live, within(there_was.clone())));
    }
    rounds
}

/// How many packets tcpdump accepts.
fn count(file: &Path, expression: &[String]) -> usize {
    // -Z would change to a user who may not read the file.
    let mut command = Command::new("tcpdump");
    let output = command.args(["-Z", "root", "--count", "-r"]).arg(file).args(expression).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split_once(" packet")?.0.parse().ok());
    count.unwrap_or_else(|| panic!("{expression:?}: {text}"))
}

fn expressions(mode: Mode) -> Vec<Expression> {
    let many: Vec<_> = (1..=120).map(|at| format!("host 172.18.0.{at}")).collect();
    let many = format!("({}) and not udp", many.join(" or "));
    let known = [
        "tcp port 30080",
        "udp",
        "icmp or arp or icmp6",
        "ip6",
        "tcp[tcpflags] & tcp-syn != 0",
        // "pod=", which the servers begin with.
        "tcp[(tcp[12] & 0xf0) >> 2:4] = 0x706f643d",
        "greater 1000",
        &many,
    ];
    let own: &[&[&str]] = match mode {
        Mode::Vxlan => &[
            &["vxlan 1"],
            &["vxlan 1 and tcp port 8080"],
            &["--inner", "tcp port 8080"],
            &["--inner", "udp", "dst host 172.18.0.3"],
        ],
        Mode::HostGw => &[],
    };
    let words = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect();
    let known = known.iter().map(|text| Expression { args: words(&[text]), tcpdump: true });
    known.chain(own.iter().map(|args| Expression { args: words(args), tcpdump: false })).collect()
}

/// Some of everything that crosses node ports, in both families.
pub fn dialogue(lab: &Lab) {
    for address in [IpAddr::from(NODES[0].1), NODE_V6.into()] {
        let _ = lab.dials(Protocol::Tcp, (address, WEB), 4000, 6);
        let _ = lab.dials(Protocol::Udp, (address, DNS), 64, 6);
        lab.inside("client", || nobody_answers(address));
    }
    lab.inside("client", || echo(NODES[0].1)).unwrap();
}

/// A port unreachable and a reset.
pub fn nobody_answers(address: IpAddr) {
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap();
    socket.connect((address, CLOSED)).unwrap();
    socket.set_read_timeout(Some(DIAL_LIMIT)).unwrap();
    socket.send(b"?").unwrap();
    assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let refused = TcpStream::connect((address, CLOSED)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

/// One ping, answered.
pub fn echo(address: Ipv4Addr) -> io::Result<()> {
    // SAFETY: plain integers; the descriptor that it returns is nobody else's.
    let socket = unsafe {
        let fd =
            libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_ICMP);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let mut request = Vec::new();
    let builder = etherparse::PacketBuilder::ipv4([0; 4], address.octets(), 64);
    builder.icmpv4_echo_request(7, 1).write(&mut request, b"ping").map_err(io::Error::other)?;
    // The kernel writes the IP header.
    let request = &request[20..];
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(DIAL_LIMIT))?;
    socket.send_to(request, (address, 0))?;
    let mut answer = [0; 128];
    let len = socket.recv(&mut answer)?;
    assert!(answer[..len].ends_with(b"ping"));
    Ok(())
}
