//! `lab up` mends whatever is missing, `lab down` removes whatever is left.

use std::{collections::BTreeSet, fs, path::Path};

use netlab::{
    lab::{
        Hook, LabName, Mode,
        processes::{self, Part},
        state::{PIN_DIR, RUN_DIR},
    },
    netlink::{Connection, Netns},
    spec::model::Protocol,
};
use netlab_tests::{
    lab::{DNS, Lab, NODES, WEB, WEB_PODS, unused_name},
    poll::until,
    privilege::require_lab,
};

#[test]
fn up_twice_changes_nothing_and_down_twice_is_fine() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, Hook::Xdp);
    let (before, topology) = (pids(lab.name()), lab.dir().topology().unwrap());
    let again = lab.again(&[]).expect(0);
    assert!(again.stdout.contains("is up; nothing was missing"), "{}", again.stdout);
    assert_eq!(pids(lab.name()), before);
    assert_eq!(lab.dir().topology().unwrap(), topology);
    assert_eq!(lab.status().expect(0).json()["problems"], serde_json::json!([]));

    let directory = tempfile::tempdir().unwrap();
    let all = ["nodes", "pods", "services"].map(|kind| lab.manifest(&format!("{kind}.yaml")));
    let file = directory.path().join("all.yaml");
    fs::write(&file, all.join("---\n").replace("nodePort: 30080", "nodePort: 30081")).unwrap();
    let changed = lab.again(&["-f", file.to_str().unwrap()]).expect(0);
    assert!(changed.stdout.contains("is up again: new services.yaml ("), "{}", changed.stdout);

    assert!(lab.down().expect(0).stdout.contains("is down"));
    nothing_is_left(lab.name());
    assert!(lab.down().expect(0).stdout.contains("there is no lab"));
}

#[test]
fn a_killed_supervisor_is_replaced_by_up() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, Hook::Xdp);
    kill(&lab, |part, _| part == Part::Supervisor);
    until("the end of all processes", || pids(lab.name()).is_empty().then_some(()));
    let problems = lab.status().expect(1).json()["problems"].to_string();
    assert!(problems.contains("the supervisor is not running"), "{problems}");
    let _ = lab.again(&[]).expect(0);
    all_is_well(&lab);
}

#[test]
fn a_killed_agent_is_started_again() {
    if !require_lab() {
        return;
    }
    for (mode, hook) in [(Mode::Vxlan, Hook::Xdp), (Mode::HostGw, Hook::Tc)] {
        let lab = Lab::up(mode, hook);
        let old = lab.dir().agent_status("node-1").unwrap().unwrap().pid;
        kill(&lab, |_, pid| pid == old);
        until("a new agent", || {
            let status = lab.dir().agent_status("node-1").ok().flatten()?;
            (status.pid != old && status.generation > 0).then_some(())
        });
        let status = lab.status().expect(0).json();
        assert_eq!(status["agents"][0]["restarts"], 1);
        all_is_well(&lab);
    }
}

#[test]
fn a_killed_echo_server_is_started_again() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, Hook::Tc);
    let report = || netlab::lab::supervise::Report::read(&lab.dir()).unwrap().unwrap();
    let old = report().processes["echo web-1"].pid.unwrap();
    kill(&lab, |_, pid| pid == old);
    until("a status without problems", || (lab.status().code == 0).then_some(()));
    assert_eq!(report().processes["echo web-1"].restarts, 1);
    all_is_well(&lab);
}

#[test]
fn down_leaves_nothing_after_everything_was_killed() {
    if !require_lab() {
        return;
    }
    for (mode, hook) in [(Mode::Vxlan, Hook::Xdp), (Mode::HostGw, Hook::Tc)] {
        let lab = Lab::up(mode, hook);
        kill(&lab, |_, _| true);
        let _ = lab.down().expect(0);
        nothing_is_left(lab.name());
    }
}

#[test]
fn a_deleted_route_is_a_problem_that_up_mends() {
    if !require_lab() {
        return;
    }
    for (mode, hook) in [(Mode::HostGw, Hook::Tc), (Mode::Vxlan, Hook::Xdp)] {
        let lab = Lab::up(mode, hook);
        delete_route(&lab, "node-1", "10.244.2.0/24");
        let problems = lab.status().expect(1).json()["problems"].to_string();
        assert!(problems.contains("node-1: route 10.244.2.0/24 via"), "{problems}");
        let mended = lab.again(&[]).expect(0);
        assert!(mended.stdout.contains("node-1: route 10.244.2.0/24 via"), "{}", mended.stdout);
        assert!(mended.stdout.contains("is up again: 1 changes"), "{}", mended.stdout);
        all_is_well(&lab);
    }
}

#[test]
fn links_that_are_made_anew_are_answered_on() {
    if !require_lab() {
        return;
    }
    for hook in [Hook::Xdp, Hook::Tc] {
        let lab = Lab::up(Mode::Vxlan, hook);
        for link in ["flannel.1", "eth0", "cni0"] {
            delete_link(&lab, "node-1", link);
            let _ = lab.status().expect(1);
            let _ = lab.again(&[]).expect(0);
            all_is_well(&lab);
        }
    }
}

#[test]
fn a_lab_changes_its_mode_and_hook_while_it_stands() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, Hook::Tc);
    for (mode, hook) in [("vxlan", "tc"), ("vxlan", "xdp"), ("host-gw", "xdp"), ("host-gw", "tc")] {
        let _ = lab.again(&["--mode", mode, "--hook", hook]).expect(0);
        let status = lab.status().expect(0).json();
        assert_eq!(status["agents"][0]["status"]["hook"], hook);
        all_is_well(&lab);
    }
}

#[test]
fn two_labs_live_and_die_apart() {
    if !require_lab() {
        return;
    }
    let first = Lab::up(Mode::HostGw, Hook::Xdp);
    let longer = format!("{}-2", unused_name()).parse::<LabName>().unwrap();
    let shorter = longer.as_str().strip_suffix("-2").unwrap().parse::<LabName>().unwrap();
    let longer = Lab::named(longer, &["--mode", "vxlan"]);
    let shorter = Lab::named(shorter, &["--mode", "vxlan", "--hook", "tc"]);
    for lab in [&first, &longer, &shorter] {
        all_is_well(lab);
    }
    let _ = shorter.down().expect(0);
    nothing_is_left_but(shorter.name(), longer.name());
    for lab in [&first, &longer] {
        all_is_well(lab);
    }
}

/// No problems, and all pods answer on all nodes.
fn all_is_well(lab: &Lab) {
    let status = lab.status().expect(0).json();
    assert_eq!(status["problems"], serde_json::json!([]));
    for (node, address) in NODES {
        let answers = lab.dials(Protocol::Tcp, (address, WEB), 64, 48);
        let pods: BTreeSet<_> = answers.iter().map(|answer| answer.pod.as_str()).collect();
        assert_eq!(pods, WEB_PODS.into(), "at {node}");
        let _ = lab.dials(Protocol::Udp, (address, DNS), 64, 8);
    }
}

fn pids(lab: &LabName) -> BTreeSet<i32> {
    processes::running(lab).unwrap().iter().map(|process| process.pid).collect()
}

fn kill(lab: &Lab, which: impl Fn(Part, u32) -> bool) {
    let mut killed = 0;
    for process in processes::running(lab.name()).unwrap() {
        if which(process.part, process.pid.try_into().unwrap()) {
            process.signal(libc::SIGKILL).unwrap();
            killed += 1;
        }
    }
    assert!(killed > 0, "there was nothing to kill");
}

fn nothing_is_left(lab: &LabName) {
    let prefix = format!("{lab}-");
    let netns = Netns::list().unwrap();
    assert!(!netns.iter().any(|name| name.starts_with(&prefix)), "{netns:?}");
    no_files_and_processes(lab);
}

fn nothing_is_left_but(lab: &LabName, other: &LabName) {
    let (prefix, others) = (format!("{lab}-"), format!("{other}-"));
    let netns = Netns::list().unwrap();
    let mine = |name: &&String| name.starts_with(&prefix) && !name.starts_with(&others);
    assert_eq!(netns.iter().find(mine), None);
    no_files_and_processes(lab);
}

fn no_files_and_processes(lab: &LabName) {
    for directory in [RUN_DIR, PIN_DIR] {
        let path = Path::new(directory).join(lab.as_str());
        assert!(!path.exists(), "{}", path.display());
    }
    assert_eq!(pids(lab), BTreeSet::new());
}

fn delete_route(lab: &Lab, host: &str, destination: &str) {
    on_network(lab, host, async |connection| {
        let routes = connection.routes().await.unwrap();
        let doomed = routes.iter().find(|route| route.destination.to_string() == destination);
        connection.remove_route(doomed.unwrap()).await.unwrap();
    });
}

fn delete_link(lab: &Lab, host: &str, link: &str) {
    on_network(lab, host, async |connection| {
        let index = connection.link(link).await.unwrap().index;
        connection.delete_link(index).await.unwrap();
    });
}

fn on_network(lab: &Lab, host: &str, work: impl AsyncFnOnce(&Connection)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = Connection::open(&lab.netns(host)).unwrap();
        work(&connection).await;
    });
}
