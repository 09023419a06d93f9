//! What is compared: two programs, and how each is called.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use netlab::netlink::Netns;
use tempfile::TempDir;

use crate::tool::Running;

/// A filter that accepts none of the packets here.
pub const NOTHING: &str = "tcp port 1";

/// A program, and the buffer that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    /// tcpdump with its defaults.
    Tcpdump,
    /// tcpdump with a buffer as large as netlab's.
    TcpdumpLarge,
    /// netlab with its defaults.
    Netlab,
}

impl Contestant {
    /// All, in the order of their turns.
    pub const ALL: [Self; 3] = [Self::Tcpdump, Self::TcpdumpLarge, Self::Netlab];

    /// What it is called in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcpdump => "tcpdump",
            Self::TcpdumpLarge => "tcpdump -B 8192",
            Self::Netlab => "netlab capture",
        }
    }
}

/// Where the programs are, and where they write.
pub struct Contestants {
    netlab: PathBuf,
    files: TempDir,
}

impl Contestants {
    /// With a directory on tmpfs where there is one.
    pub fn new(netlab: &Path) -> Result<Self> {
        const TMPFS: &str = "/dev/shm";
        let prefix = tempfile::Builder::new();
        let files =
            if Path::new(TMPFS).is_dir() { prefix.tempdir_in(TMPFS) } else { prefix.tempdir() };
        Ok(Self { netlab: netlab.to_owned(), files: files.context("no room for files")? })
    }

    /// Its first line.
    pub fn tcpdump_version(&self) -> String {
        let output = Command::new("tcpdump").arg("--version").output();
        let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        let words = String::from_utf8_lossy(&text);
        let words: Vec<_> = words.lines().take(2).collect();
        words.join(", ").replace(" version", "")
    }

    /// Starts one, on an interface of a namespace, writing to a file.
    pub fn write(&self, who: Contestant, netns: &Netns, interface: &str) -> Result<Running> {
        let file = self.files.path().join("capture.pcap");
        // What a file held before would have to be freed in the middle of it.
        let _ = fs::remove_file(&file);
        let mut command = match who {
            Contestant::Tcpdump => self.tcpdump(netns, &[]),
            Contestant::TcpdumpLarge => self.tcpdump(netns, &["-B", "8192"]),
            Contestant::Netlab => self.netlab(netns, &["--hook", "tc-in"]),
        };
        command.args(["-i", interface, "-w"]).arg(file);
        Running::start(command)
    }

    /// Starts one with a filter that rejects everything.
    pub fn reject(&self, who: Contestant, netns: &Netns, words: &[&str]) -> Result<Running> {
        let mut command = match who {
            Contestant::Tcpdump | Contestant::TcpdumpLarge => self.tcpdump(netns, words),
            Contestant::Netlab => self.netlab(netns, words),
        };
        command.arg(NOTHING);
        Running::start(command)
    }

    /// netlab, in a namespace.
    pub fn netlab(&self, netns: &Netns, words: &[&str]) -> Command {
        let mut command = netns.command(&self.netlab);
        command.arg("capture").args(words);
        command
    }

    fn tcpdump(&self, netns: &Netns, words: &[&str]) -> Command {
        let mut command = netns.command("tcpdump");
        // As root to the end: the directory is root's.
        command.args(["-n", "-Z", "root"]).args(words);
        command
    }
}
