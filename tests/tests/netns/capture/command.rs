//! What a shell and a person do to a capture.

use std::{
    fs,
    process::{Command, Stdio},
};

use netlab::lab::{Hook, Mode};
use netlab_tests::{
    binary::{self, netlab},
    capture::{Capture, packets},
    lab::Lab,
    privilege::require_lab,
};

use super::{dial, have};

#[test]
fn a_capture_survives_what_a_shell_does_to_it() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, Hook::Xdp);
    let name = lab.name().as_str();

    // Nobody reads what it says at its end.
    let script = format!(
        "{} capture --name {name} --node node-1 -i eth0 -c 3 tcp 2>&1 | head -1; exit ${{PIPESTATUS[0]}}",
        binary::path().display()
    );
    let piped = Command::new("bash").args(["-c", &script]).spawn().unwrap();
    let count = dial_until_done(&lab, piped);
    assert_eq!(count, Some(0));

    // A file is not touched before the capture has begun.
    let directory = tempfile::tempdir().unwrap();
    let precious = directory.path().join("precious.pcap");
    fs::write(&precious, "precious").unwrap();
    let path = precious.to_str().unwrap();
    let args = ["capture", "--name", name, "--node", "node-1", "-i", "nosuch", "-w", path];
    assert!(netlab(&args).expect(2).stderr.contains("nosuch"));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");

    // Broken manifests cost names, not packets; and -Q means the same live and for files.
    let file = directory.path().join("all.pcapng");
    let pods = lab.manifest("pods.yaml");
    lab.write_manifest("pods.yaml", "{");
    let args = ["--node", "node-1", "-i", "eth0", "-w", file.to_str().unwrap()];
    let capture = Capture::start(&lab, &args);
    dial(&lab, 4);
    let ended = capture.end();
    lab.write_manifest("pods.yaml", &pods);
    // They are read once, and told as errors are.
    let stderr = &ended.ran.stderr;
    assert_eq!(stderr.matches("Services are not named").count(), 1, "{stderr}");
    assert!(stderr.starts_with("netlab: cannot use the manifests in "), "{stderr}");
    let all = packets(&file);
    let inbound = all.iter().filter(|packet| packet.place.ends_with("-in")).count();
    assert!(0 < inbound && inbound < all.len());
    let args = ["capture", "-r", file.to_str().unwrap(), "-Q", "in", "--count"];
    let counted = netlab(&args).expect(0).stdout;
    assert_eq!(counted, format!("{inbound} packets\n"));
}

#[test]
fn what_cannot_be_had_is_refused_before_anything_begins() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("untouched");
    for (flags, words) in [
        (&["-I"][..], "netlab: -I: "),
        (&["-Zdaemon"], "netlab: -Z daemon: a capture attaches to what appears"),
        (&["-yRAW"], "netlab: -y RAW: every packet is an Ethernet frame here"),
        (&["-Efile"], "netlab: -E file: ESP is not decrypted; "),
        (&["--drops", "-Qin"], "netlab: -Q in and -Q out: nobody knows which way"),
        (&["--drops", "-Qout"], "netlab: -Q in and -Q out: nobody knows which way"),
        (&["--hook=drop", "-Qin"], "netlab: -Q in and -Q out: nobody knows which way"),
        (&["--hook=tc-out", "-Qin"], "netlab: no hook is left to capture at: "),
    ] {
        let written = ["capture", "-w", file.to_str().unwrap()];
        let refused = netlab(&[&written, flags].concat()).expect(2);
        assert!(refused.stderr.starts_with(words), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
    assert!(!file.exists());
    if have("script") {
        let line = format!("{} capture -i lo -c 1 -w -", binary::path().display());
        let mut script = Command::new("script");
        let output = script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.starts_with("netlab: -w -: a capture file cannot be shown"), "{told:?}");
        assert_eq!(output.status.code(), Some(2));
    }
}

/// Dials until the process has ended; its exit status.
fn dial_until_done(lab: &Lab, mut process: std::process::Child) -> Option<i32> {
    netlab_tests::poll::until("the capture to end", || {
        dial(lab, 1);
        process.try_wait().unwrap()
    })
    .code()
}
