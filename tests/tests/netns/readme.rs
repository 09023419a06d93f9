//! The README's tour, command by command.

use std::{env, fs, path::Path, process::Command};

use netlab::lab::{LabDir, LabName};
use netlab_tests::{
    binary,
    privilege::{require_lab, skip},
};

/// The labs that the tour makes, under names that a person may be using.
const LABS: [&str; 3] = ["lab", "flat", "peer"];

#[test]
fn every_command_of_the_tour_succeeds() {
    if !require_lab() {
        return;
    }
    let taken = |name: &&str| LabDir::new(&name.parse::<LabName>().unwrap()).root().exists();
    if let Some(name) = LABS.iter().find(|name| taken(name)) {
        return skip(&format!("somebody's lab {name:?} stands, and the tour would take it down"));
    }
    let _down = TakenDown;
    let directory = tempfile::tempdir().unwrap();
    let commands = tour();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let output = Command::new("bash")
            .args(["-c", &command])
            .current_dir(&directory)
            .env("PATH", with_netlab())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "$ {command}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Takes the tour's labs down, whatever became of the tour.
struct TakenDown;

impl Drop for TakenDown {
    fn drop(&mut self) {
        for name in LABS {
            let _ = binary::netlab(&["lab", "down", "--name", name]);
        }
    }
}

/// Root's commands in the console blocks, but for the one that sets the PATH.
fn tour() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(readme).unwrap();
    let blocks = text.split("```console\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines());
    let commands = lines.filter_map(|line| line.strip_prefix("# "));
    commands.filter(|command| !command.starts_with("export PATH")).map(str::to_owned).collect()
}

fn with_netlab() -> String {
    let binary = binary::path().parent().unwrap().display().to_string();
    format!("{binary}:{}", env::var("PATH").unwrap_or_default())
}
