//! The machine's own network is not touched.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use netlab::{
    lab::{Hook, Mode},
    spec::model::Protocol,
};
use netlab_tests::{
    lab::{CELLS, Lab, NODES, PEERS, WEB},
    privilege::{require_lab, skip},
};

/// What a netlab that leaves its namespaces would change.
const COMMANDS: [&[&str]; 7] = [
    &["-o", "link"],
    &["-o", "address"],
    &["route", "show", "table", "all"],
    &["-6", "route", "show", "table", "all"],
    &["rule"],
    &["-6", "rule"],
    &["neighbor", "show", "nud", "permanent"],
];

/// Switches below /proc/sys that a stray write would change; elsewhere there are gauges.
const SYSCTLS: [&str; 5] =
    ["net/ipv4/conf", "net/ipv6/conf", "net/ipv4/neigh", "net/core", "net/bridge"];

/// Switches beside gauges.
const FILES: [&str; 4] = [
    "net/ipv4/ip_forward",
    "net/ipv4/ip_local_port_range",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
];

#[test]
fn the_machines_own_network_stays_as_it_is() {
    if !require_lab() {
        return;
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return skip("ip(8), which tells what the network is, is not installed");
    }
    let before = snapshot();
    assert!(before.len() > 50, "there is something to compare: {}", before.len());
    for (mode, hook) in CELLS {
        let lab = Lab::up(mode, hook);
        let _ = lab.dials(Protocol::Tcp, (NODES[0].1, WEB), 64, 16);
        same(&before, &format!("while a lab stands ({mode}, {hook})"));
    }
    for (mode, by) in PEERS {
        let lab = Lab::up(mode, by);
        let _ = lab.dials(Protocol::Tcp, (NODES[0].1, WEB), 64, 16);
        same(&before, &format!("while a lab stands ({mode}, {by:?})"));
    }
    same(&before, "after the labs");
    let lab = Lab::up_with(&["--mode", &Mode::Vxlan.to_string(), "--underlay", "routed"]);
    same(&before, "while a routed lab stands");
    drop(lab);
    same(&before, &format!("after it ({})", Hook::Auto));
}

fn same(before: &BTreeMap<String, String>, when: &str) {
    let now = snapshot();
    for (what, was) in before {
        assert_eq!(now.get(what), Some(was), "{what} {when}");
    }
    assert_eq!(now.len(), before.len(), "{when}");
}

fn snapshot() -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for args in COMMANDS {
        let output = Command::new("ip").args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        seen.insert(format!("ip {}", args.join(" ")), without_times(&text));
    }
    for directory in SYSCTLS {
        files(&Path::new("/proc/sys").join(directory), &mut seen);
    }
    for file in FILES {
        let path = Path::new("/proc/sys").join(file);
        seen.insert(file.to_owned(), fs::read_to_string(path).unwrap());
    }
    let rules = Command::new("nft").args(["list", "ruleset"]).output();
    seen.insert("nft".to_owned(), String::from_utf8(rules.unwrap().stdout).unwrap());
    seen
}

/// Lifetimes count down by themselves.
fn without_times(text: &str) -> String {
    let mut words = Vec::new();
    let mut skipped = false;
    for word in text.split_whitespace() {
        if !skipped && !["valid_lft", "preferred_lft", "expires"].contains(&word) {
            words.push(word);
        }
        skipped = ["valid_lft", "preferred_lft", "expires"].contains(&word);
    }
    words.join(" ")
}

fn files(directory: &Path, seen: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, seen);
        } else if let Ok(value) = fs::read_to_string(&path) {
            // Some can only be written, and some not be read before they are set.
            seen.insert(path.display().to_string(), value);
        }
    }
}
