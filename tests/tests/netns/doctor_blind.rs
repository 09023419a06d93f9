//! A healthy lab, seen by a doctor that cannot look everywhere: what is not seen is said, and
//! nothing is concluded from it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
};

use netlab::{
    lab::{Hook, Mode},
    netlink::NETNS_DIR,
    proxy::Kind,
};
use netlab_tests::{
    binary,
    lab::{By, Lab, unused_name},
    privilege::require_lab,
};
use serde_json::Value;

const ASKED: &str = "172.18.0.2:30080";

/// Runs a script of bash in a mount namespace of its own; `$0` is netlab.
fn hidden(script: &str) -> Output {
    let args = ["--mount", "bash", "-c", script];
    Command::new("unshare").args(args).arg(binary::path()).output().unwrap()
}

/// What was not seen: nothing may be found.
fn healthy(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let json: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert_eq!(json["findings"], Value::Array(Vec::new()), "{json:#}");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    json["gaps"].to_string()
}

/// What was not seen, where that leaves nobody to know how it fares.
fn unknown(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let json: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert_eq!(json["findings"], Value::Array(Vec::new()), "{json:#}");
    assert_eq!(json["healthy"], false, "{json:#}");
    assert_eq!(json["unknown"][0]["dialled"], ASKED, "{json:#}");
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    json["gaps"].to_string()
}

/// What was not seen, where that leaves nothing to judge.
fn blind(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(stderr.contains("nothing to judge: no Service has a node port"), "{stderr}");
    stderr.into_owned()
}

fn without(programs: &str) -> String {
    format!("for p in $(type -ap {programs}); do mount --bind /dev/null $p; done;")
}

#[test]
fn rules_that_no_program_shows_are_no_finding() {
    if !require_lab() {
        return;
    }
    let savers = "iptables-nft-save ip6tables-nft-save iptables-legacy-save ip6tables-legacy-save";
    for (kind, programs, told) in [
        (Kind::Nftables, "nft".to_owned(), "nft is not installed"),
        (Kind::Iptables, format!("nft {savers}"), "is not installed"),
    ] {
        let lab = Lab::up(Mode::HostGw, By::KubeProxy(kind));
        let run = format!("{} exec $0 doctor --name {} -o json", without(&programs), lab.name());
        let gaps = healthy(&hidden(&run));
        assert!(gaps.contains(told), "{kind:?}: {gaps}");
        let node = lab.name().netns("node-1");
        for (args, gaps_of) in [(ASKED, unknown as fn(&Output) -> String), ("", blind)] {
            let doctor = format!("{} exec $0 doctor {args} --here -o json", without(&programs));
            let run = format!("ip netns exec {node} bash -c '{doctor}' $0");
            let gaps = gaps_of(&hidden(&run));
            assert!(gaps.contains(told), "{kind:?}: {gaps}");
        }
    }
}

#[test]
fn who_may_look_at_little_finds_nothing_and_who_may_look_at_nothing_is_told_so() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, By::KubeProxy(Kind::Nftables));
    let node = lab.name().netns("node-1");
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let own = directory.path().join("netlab");
    fs::copy(binary::path(), &own).unwrap();
    let nobody = format!(
        "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all {} doctor",
        own.display()
    );
    for (args, gaps_of) in [(ASKED, unknown as fn(&Output) -> String), ("", blind)] {
        let run = format!("ip netns exec {node} {nobody} {args} --here -o json");
        let gaps = gaps_of(&hidden(&run));
        for source in ["nft", "namespaces"] {
            assert!(gaps.contains(source), "{source}: {gaps}");
        }
    }
    let output = hidden(&format!("{nobody} --name {}", lab.name()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
fn a_kernel_without_btf_and_maps_of_another_netlab_are_no_finding() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, Hook::Xdp);
    let btf = "mount --bind /dev/null /sys/kernel/btf/vmlinux;";
    let run = format!("exec $0 doctor --name {} -o json", lab.name());
    healthy(&hidden(&format!("{btf} {run}")));
    let pins = lab.dir().pins().join("node-1");
    let version = netlab::datapath::pins::versioned(&pins);
    fs::rename(&version, pins.join("v0")).unwrap();
    let output = hidden(&run);
    fs::rename(pins.join("v0"), &version).unwrap();
    let gaps = healthy(&output);
    assert!(gaps.contains("the maps are of another netlab (v0 and not v"), "{gaps}");
}

#[test]
fn a_name_that_is_no_namespace_is_said_and_passed_over() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, By::KubeProxy(Kind::Nftables));
    let name = format!("{NETNS_DIR}/{}", unused_name());
    fs::write(&name, "").unwrap();
    let node = lab.name().netns("node-1");
    let output = hidden(&format!("ip netns exec {node} $0 doctor {ASKED} --here -o json"));
    fs::remove_file(&name).unwrap();
    let gaps = healthy(&output);
    assert!(gaps.contains("cannot be opened"), "{gaps}");
}

#[test]
fn files_that_are_no_facts_are_refused_with_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("facts.json");
    let path = file.to_str().unwrap();
    for (text, told) in [
        ("{\"version\": 1, \"taken\": \"20", "these are no facts of netlab"),
        ("\u{0}\u{1}garbage", "these are no facts of netlab"),
        ("{\"version\": 99, \"netlab\": \"9.9\"}", "of version 99, gathered by netlab 9.9"),
        ("", "these are no facts of netlab"),
    ] {
        fs::write(&file, text).unwrap();
        let ran = binary::netlab(&["doctor", "--facts", path]).expect(2);
        assert!(ran.stderr.contains(told), "{text}: {}", ran.stderr);
    }
    fs::File::create(&file).unwrap().set_len(600 << 20).unwrap();
    let ran = binary::netlab(&["doctor", "--facts", path]).expect(2);
    assert!(ran.stderr.contains("MiB"), "{}", ran.stderr);
}
