//! The same lines live and from the file that was written meanwhile.

use std::{path::Path, process::Command};

use netlab::lab::{Hook, Mode};
use netlab_tests::{binary::netlab, capture::Capture, lab::Lab, privilege::require_lab};

use super::{dial, have};

#[test]
fn a_file_is_printed_as_the_capture_was() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, Hook::Xdp);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("all.pcapng");
    let path = file.to_str().unwrap();
    let args =
        ["--node", "client,node-1,node-2", "--print", "-e", "-v", "-w", path, "tcp or vxlan"];
    let capture = Capture::start(&lab, &args);
    dial(&lab, 32);
    let live = capture.end().ran.stdout;
    for (words, place) in [
        (" | node-1 eth0 xdp-out | ", "dnat 172.18.0.2:30080 -> 10.244."),
        (" | node-1 eth0 xdp-out | ", "encap vni 1 -> 172.18.0.3\n"),
        (" | client eth0 tc-out\n", ""),
    ] {
        assert!(live.contains(words) && live.contains(place), "{words}{place}: {live}");
    }
    let again = netlab(&["capture", "-r", path, "-e", "-v"]).expect(0).stdout;
    same(&again, &live);

    // Copied, they still say it.
    let copy = directory.path().join("copy.pcapng");
    let copy = copy.to_str().unwrap();
    let _ = netlab(&["capture", "-r", path, "-w", copy]).expect(0);
    same(&netlab(&["capture", "-r", copy, "-e", "-v"]).expect(0).stdout, &live);

    let plain = netlab(&["capture", "-r", path, "-e", "-v", "--plain"]).expect(0).stdout;
    assert!(!plain.contains(" | "), "{plain}");
    if have("tcpdump") {
        // It knows VXLAN only at the other port.
        let filter = "not udp port 8472";
        let plain = ["capture", "-r", path, "-e", "-v", "--plain", filter];
        same(&netlab(&plain).expect(0).stdout, &tcpdump(&file, filter));
    }
}

fn tcpdump(file: &Path, filter: &str) -> String {
    let mut command = Command::new("tcpdump");
    let output = command.args(["-Z", "root", "-nn", "-e", "-v", filter, "-r"]).arg(file).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

fn same(one: &str, other: &str) {
    let differ = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert_eq!(differ, None);
    assert_eq!(one.lines().count(), other.lines().count());
    assert!(one.lines().count() > 100, "{one}");
}
