//! tcpdump, and the files that it reads.

use std::process::{Command, Stdio};

use netlab::capture::LinkType;
use tempfile::NamedTempFile;

use super::Sample;

/// The version that is installed, if one is.
pub fn version() -> Option<String> {
    let output = Command::new("tcpdump").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let version = text.lines().find_map(|line| line.strip_prefix("tcpdump version "))?;
    Some(version.to_owned())
}

/// A capture file with times in nanoseconds (draft-ietf-opsawg-pcap).
pub fn file(link: LinkType, samples: &[Sample]) -> NamedTempFile {
    let mut bytes = Vec::new();
    let word = |bytes: &mut Vec<u8>, value: u64| {
        bytes.extend(u32::try_from(value).expect("32 bits").to_ne_bytes());
    };
    word(&mut bytes, 0xa1b2_3c4d);
    bytes.extend(2u16.to_ne_bytes());
    bytes.extend(4u16.to_ne_bytes());
    for value in [0, 0, 262_144, link.0.into()] {
        word(&mut bytes, value);
    }
    for sample in samples {
        word(&mut bytes, sample.time / 1_000_000_000);
        word(&mut bytes, sample.time % 1_000_000_000);
        word(&mut bytes, sample.kept as u64);
        word(&mut bytes, sample.packet.len() as u64);
        bytes.extend(&sample.packet[..sample.kept]);
    }
    let file = NamedTempFile::new().expect("a file can be made");
    std::fs::write(file.path(), bytes).expect("the file can be written");
    file
}

/// What tcpdump prints of a file.
pub fn read(file: &NamedTempFile, arguments: &[&str]) -> Vec<u8> {
    // -Z would change to a user who may not read the file.
    let output = Command::new("tcpdump")
        .env("TZ", "UTC")
        .args(["-nn", "-Z", "root", "-r"])
        .arg(file.path())
        .args(arguments)
        .stderr(Stdio::piped())
        .output()
        .expect("tcpdump runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tcpdump {arguments:?}: {errors}");
    output.stdout
}
