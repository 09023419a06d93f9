//! How captures begin and end, and that nothing stays behind.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use aya::programs::loaded_programs;
use netlab::{
    capture::file::Reader,
    lab::{Hook, Mode, processes},
    spec::model::Protocol,
};
use netlab_tests::{
    binary::netlab,
    capture::{Capture, Statistics, packets},
    lab::{Lab, NODES, WEB},
    poll::until,
    privilege::require_lab,
};

use super::{
    dial,
    wire::{NEAR, Wire},
};

/// The datapath's own hooks at the node that is dialled.
const NODE: [&str; 6] = ["--node", "node-1", "-i", "eth0", "-l", "tcp port 30080"];

/// Longest that beginning and ending may take on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// How soon nothing is left of one that was killed: the agent looks every 250 ms.
const GONE: Duration = Duration::from_secs(3);

#[test]
fn a_signal_ends_a_capture_in_good_order() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, Hook::Xdp);
    let directory = tempfile::tempdir().unwrap();
    for (name, signal) in
        [("SIGINT", libc::SIGINT), ("SIGTERM", libc::SIGTERM), ("SIGHUP", libc::SIGHUP)]
    {
        let file = directory.path().join(name);
        let capture = Capture::start(&lab, &["--node", "node-1", "-w", file.to_str().unwrap()]);
        let start = capture.start;
        dial(&lab, 8);
        let ended = capture.end_by(signal);
        println!("{name}: {start:?} until it saw packets, {:?} until it had ended", ended.stop);
        assert!(start < SOON && ended.stop < SOON, "{start:?}, {:?}", ended.stop);
        let told = ended.statistics();
        let seen = packets(&file);
        let complete =
            Statistics { captured: seen.len() as u64, received: seen.len() as u64, dropped: 0 };
        assert_eq!(told, complete);
        let sent = seen.iter().filter(|packet| packet.place == "node-1/eth0/xdp-in");
        assert!(sent.count() >= 8 * 4, "connections are opened and closed");
    }
}

#[test]
fn the_counts_are_told_when_they_are_asked_for() {
    if !require_lab() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let capture = wire.capture(&["-l", "-i", NEAR, "udp"]);
    for count in 1..=2 {
        wire.inside(|| {
            let socket = UdpSocket::bind((Wire::ADDRESS, 0)).unwrap();
            socket.send_to(b"?", (Wire::PEER, 9)).unwrap();
        });
        until("the packet", || (capture.printed().lines().count() == count).then_some(()));
        capture.signal(libc::SIGUSR2);
        capture.signal(libc::SIGUSR1);
        let words = format!("\n{count} packet");
        until("the counts", || capture.errors().contains(&words).then_some(()));
    }
    let ran = capture.end().ran.expect(0);
    assert_eq!(ran.stderr.matches("\n2 packets captured").count(), 2, "{}", ran.stderr);
}

#[test]
fn a_signal_during_the_start_ends_a_capture_in_good_order() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up_with(&["--mode", "vxlan"]);
    // Wherever it has got to by then; from the first line on it listens for signals.
    for pause in [60, 200] {
        let capture = Capture::begin(&lab, &["--node", "all"]);
        let began = Instant::now();
        until("its catching signals", || {
            catches(capture.pid(), libc::SIGINT).then_some(())?;
            (began.elapsed() > Duration::from_millis(pause)).then_some(())
        });
        let ended = capture.end();
        let _ = ended.statistics();
        println!("after {pause} ms: {:?} until it had ended", ended.stop);
        assert!(ended.stop < SOON, "{:?}", ended.stop);
    }
}

/// Whether a process has a handler for a signal.
fn catches(pid: u32, signal: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[test]
fn nothing_stays_behind_a_capture_that_was_killed() {
    if !require_lab() {
        return;
    }
    for hook in [Hook::Xdp, Hook::Tc] {
        let lab = Lab::up(Mode::HostGw, hook);
        let capture = Capture::start(&lab, &["--node", "node-1", "--drops", "--hook", ALL_HOOKS]);
        let programs = programs_of(capture.pid());
        assert!(programs.len() >= 7, "{programs:?}");
        assert!(programs.is_subset(&loaded()));
        dial(&lab, 8);
        let began = Instant::now();
        let ended = capture.end_by(libc::SIGKILL);
        assert_eq!(ended.ran.code, -1);
        while began.elapsed() < GONE {
            dial(&lab, 1);
            if programs.is_disjoint(&loaded()) {
                break;
            }
        }
        println!("{hook}: {:?} until all programs were gone", began.elapsed());
        let left: BTreeSet<_> = programs.intersection(&loaded()).copied().collect();
        assert_eq!(left, BTreeSet::new(), "of {programs:?}");
        dial(&lab, 8);
        sees_the_datapath(&lab, &Capture::start(&lab, &NODE), hook);
    }
}

const ALL_HOOKS: &str = "xdp-in,xdp-out,tc-in,nat-in,nat-out,tc-out";

#[test]
fn four_captures_of_a_node_see_the_same_and_a_fifth_is_refused() {
    if !require_lab() {
        return;
    }
    for hook in [Hook::Xdp, Hook::Tc] {
        let lab = Lab::up(Mode::Vxlan, hook);
        let captures: Vec<_> = (0..4).map(|_| Capture::begin(&lab, &NODE)).collect();
        let mut captures: Vec<_> = captures.into_iter().map(Capture::ready).collect();
        let named = ["capture", "--name", lab.name().as_str()];
        let refused = netlab(&[&named, &NODE[..]].concat()).expect(2);
        let words =
            "4 captures watch the datapath of node-1 already, and there is no room for more";
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        // At the stack's hooks there is.
        let stack = [&["--hook", "tc-in,tc-out"], &NODE[..]].concat();
        let _ = Capture::start(&lab, &stack).end().statistics();
        // The second ends, and another takes its place: in the middle of those that are called.
        let _ = captures.remove(1).end().statistics();
        captures.push(Capture::start(&lab, &NODE));
        dial(&lab, 8);
        let ended: Vec<_> = captures.into_iter().map(Capture::end).collect();
        let sights = ended.iter().map(|ended| sights(&ended.ran.stdout));
        let sights: Vec<_> = sights.collect();
        assert!(sights[0].len() > 8 * 4, "{:?}", sights[0]);
        assert!(sights.windows(2).all(|two| two[0] == two[1]), "{sights:#?}");
        dial(&lab, 8);
    }
}

/// Lines without their times, of the dials alone.
fn sights(lines: &str) -> Vec<String> {
    let mut sights: Vec<_> =
        lines.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect();
    sights.sort();
    sights
}

#[test]
fn the_datapath_of_an_agent_that_was_started_again_is_watched_again() {
    if !require_lab() {
        return;
    }
    for hook in [Hook::Xdp, Hook::Tc] {
        let lab = Lab::up(Mode::HostGw, hook);
        let capture = Capture::start(&lab, &NODE);
        sees_the_datapath(&lab, &capture, hook);
        let status = || lab.dir().agent_status("node-1").ok().flatten();
        let old = status().unwrap().pid;
        let processes = processes::running(lab.name()).unwrap();
        let agent = processes.iter().find(|it| u32::try_from(it.pid) == Ok(old)).unwrap();
        agent.signal(libc::SIGKILL).unwrap();
        until("a new agent", || {
            status().filter(|status| status.pid != old && status.generation > 0)
        });
        capture.printed().clear();
        sees_the_datapath(&lab, &capture, hook);
        assert_eq!(capture.end().statistics().dropped, 0);
    }
}

/// Dials until the capture has seen what became of a packet.
fn sees_the_datapath(lab: &Lab, capture: &Capture, hook: Hook) {
    let hop = if hook == Hook::Xdp { "node-1 eth0 xdp-in" } else { "node-1 eth0 nat-out" };
    until(hop, || {
        // Nobody may be there to answer: an agent takes the node ports with it.
        let _ = lab.dial(Protocol::Tcp, (NODES[0].1, WEB), 64);
        capture.printed().contains(hop).then_some(())
    });
}

#[test]
fn a_namespace_that_is_made_anew_is_captured_in_again() {
    if !require_lab() {
        return;
    }
    let (Some(wire), Some(other)) = (Wire::new(), Wire::new()) else { return };
    let name = wire.name().to_owned();
    // The end in the other namespace goes when this one does.
    wire.ip(&["link", "add", "here0", "type", "veth", "peer", "there0", "netns", other.name()]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("all.pcapng");
    let all = ["-i", "any", "--hook", "tc-out,drop", "-w", file.to_str().unwrap(), "udp port 9"];
    let all = wire.capture(&all);
    let named = wire.capture(&["-i", NEAR, "--hook", "tc-out", "-l", "udp port 9"]);
    datagrams(&wire);
    until("the first packet", || named.printed().contains("UDP").then_some(()));
    named.printed().clear();

    drop(wire);
    for capture in [&all, &named] {
        let gone = format!("the namespace of {name} is gone");
        until("the namespace to be gone", || capture.errors().contains(&gone).then_some(()));
    }
    until("the captures to let go of it", || {
        let lists = other.inside(|| fs::read_to_string("/proc/thread-self/net/dev")).unwrap();
        (!lists.contains("there0")).then_some(())
    });
    let wire = Wire::named(name.clone());
    for capture in [&all, &named] {
        let there = format!("netlab: {name} is another namespace now; the capture goes on there");
        until("the new namespace", || capture.errors().contains(&there).then_some(()));
    }
    // The interface may have come later.
    until("packets of the new one", || {
        datagrams(&wire);
        named.printed().contains(&format!(" | {name} {NEAR} tc-out\n")).then_some(())
    });
    let lines = {
        let ended = named.end();
        assert_eq!(ended.statistics().captured, ended.ran.stdout.lines().count() as u64 + 1);
        ended.ran.stdout
    };
    assert!(lines.lines().all(|line| line.contains(NEAR)), "{lines}");

    // Drops are attributed by the namespace's number in the kernel.
    let told = all.end().statistics();
    let seen = packets(&file);
    assert_eq!((seen.len() as u64, told.dropped), (told.captured, 0));
    let places: BTreeSet<_> = seen.iter().map(|packet| packet.place.as_str()).collect();
    let mut reader = Reader::open(&file).unwrap();
    while reader.next().unwrap().is_some() {}
    let described: Vec<_> = reader.interfaces().iter().map(|it| it.name.as_str()).collect();
    assert_eq!(described.len(), places.len(), "each place is described once: {described:?}");
    let drops = format!("{name}/lo/drop");
    let drops = seen.iter().filter(|packet| packet.place == drops).count();
    assert!(drops > 1, "{drops} in {places:?}");
}

/// One to nobody at the far end, and one to nobody here, which is dropped.
fn datagrams(wire: &Wire) {
    wire.inside(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        for address in [Wire::PEER, Wire::ADDRESS] {
            // Refused, where it was known before that nobody is there.
            let _ = socket.send_to(b"?", (address, 9));
        }
    });
}

#[test]
fn a_lab_that_is_built_anew_is_captured_in_again() {
    if !require_lab() {
        return;
    }
    let built = ["--mode", "vxlan", "--hook", "xdp"];
    let lab = Lab::up_with(&built);
    let capture = Capture::start(&lab, &["--node", "all", "-i", "eth0", "-l", "tcp port 30080"]);
    for _ in 0..2 {
        let _ = lab.down().expect(0);
        let _ = lab.again(&built).expect(0);
        capture.printed().clear();
        // By then the datapaths of the new agents are watched too.
        for hop in ["client eth0 tc-out", "node-1 eth0 xdp-in", "node-1 eth0 xdp-out | "] {
            until(hop, || {
                dial(&lab, 1);
                capture.printed().contains(hop).then_some(())
            });
        }
    }
    let ended = capture.end();
    assert_eq!(ended.statistics().dropped, 0);
    let back = "netlab: node-1 is another namespace now; the capture goes on there\n";
    assert_eq!(ended.ran.stderr.matches(back).count(), 2, "{}", ended.ran.stderr);
}

/// Numbers of the programs that a process holds, itself or by a link.
fn programs_of(pid: u32) -> BTreeSet<u32> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = descriptors.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    texts
        .filter_map(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("prog_id:"))?;
            line.trim().parse().ok()
        })
        .collect()
}

/// Numbers of all programs in the kernel.
fn loaded() -> BTreeSet<u32> {
    loaded_programs().filter_map(|program| Some(program.ok()?.id())).collect()
}
