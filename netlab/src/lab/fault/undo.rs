//! What undoes a step, as it stands in the record, and doing it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    FaultError, journal,
    step::{run, set_process, set_routes, signal},
};
use crate::{
    lab::{LabDir, processes::Process, state::write_atomically},
    netlink::{Netns, conntrack, sysctl},
    proxy,
};

/// What undoes a step. Doing it where the step was not taken, or twice, changes nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Undo {
    Command { netns: String, line: Vec<String>, input: String },
    Sysctl { netns: String, key: String, value: String },
    Routes { netns: String, selector: Vec<String>, lines: Vec<String> },
    Process { name: String, before: Option<Process> },
    Manifests(Vec<FileBefore>),
    Thaw { node: String, pid: u32 },
    Conntrack { netns: String, entries: conntrack::Entries },
    Unpin(PathBuf),
}

/// A file before and after a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileBefore {
    pub(super) path: PathBuf,
    /// None where there was none.
    pub(super) before: Option<String>,
    /// What the fault has written: anything else is somebody's edit since.
    pub(super) after: String,
}

impl Undo {
    /// What it touches: two faults with one in common have to be undone in reverse order.
    pub(super) fn subject(&self) -> String {
        match self {
            // The object of `ip link set dev NAME ...` and its like; of nft, the table.
            Self::Command { netns, line, input } => {
                let words: Vec<_> = line.iter().take(5).map(String::as_str).collect();
                format!("{netns} {} {input}", words.join(" "))
            }
            Self::Sysctl { netns, key, .. } => format!("{netns} {key}"),
            Self::Routes { netns, selector, .. } => format!("{netns} {}", selector.join(" ")),
            Self::Process { name, .. } => name.clone(),
            Self::Manifests(_) => "manifests".to_owned(),
            Self::Thaw { node, .. } => format!("agent {node}"),
            Self::Conntrack { netns, .. } => format!("{netns} conntrack"),
            Self::Unpin(path) => path.display().to_string(),
        }
    }

    /// Does it.
    pub(super) async fn take(&self, dir: &LabDir) -> Result<(), FaultError> {
        match self {
            Self::Command { netns, line, input } => match run(netns, line, input).await {
                Err(FaultError::Program(proxy::Error::Refused { complaint, .. }))
                    if is_gone(line, &complaint) =>
                {
                    Ok(())
                }
                outcome => outcome.map(|_| ()),
            },
            Self::Sysctl { netns, key, value } => {
                match sysctl::write(&Netns::open(netns)?, key, value) {
                    // Of an interface that has gone.
                    Err(error) if error.is_absent() => Ok(()),
                    outcome => Ok(outcome?),
                }
            }
            Self::Routes { netns, selector, lines } => set_routes(netns, selector, lines).await,
            Self::Process { name, before } => set_process(dir, name, before.as_ref()).await,
            Self::Manifests(files) => {
                let edited: Vec<_> =
                    files.iter().filter_map(|file| file.restore().transpose()).collect();
                let edited = edited.into_iter().collect::<Result<Vec<_>, _>>()?;
                if edited.is_empty() { Ok(()) } else { Err(FaultError::Left(edited)) }
            }
            Self::Thaw { pid, .. } => signal(dir, *pid, libc::SIGCONT),
            Self::Conntrack { netns, entries } => {
                let outcome =
                    Netns::open(netns)?.run(|| conntrack::Table::open()?.remove(entries))?;
                Ok(outcome?)
            }
            Self::Unpin(path) => unpin(path),
        }
    }
}

/// What a command was to delete is not there: somebody else has mended the fault.
fn is_gone(line: &[String], complaint: &str) -> bool {
    // In the words of iptables; of ip, for addresses, rules and files, routes, links.
    const ABSENT: [&str; 5] = [
        "does a matching rule exist in that chain",
        "Address not found",
        "No such file or directory",
        "No such process",
        "Cannot find device",
    ];
    let deletes = ["del", "delete", "-D"];
    line.iter().any(|word| deletes.contains(&word.as_str()))
        && ABSENT.iter().any(|words| complaint.contains(words))
}

/// The link ends with its pin.
fn unpin(path: &Path) -> Result<(), FaultError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        outcome => outcome.map_err(FaultError::io("remove", path.display().to_string()))?,
    }
    // Not empty where agents pin too.
    let _ = path.parent().map(fs::remove_dir);
    Ok(())
}

impl FileBefore {
    /// Puts it back. Some sentence where somebody has edited it, which stays then.
    fn restore(&self) -> Result<Option<String>, FaultError> {
        let now = fs::read_to_string(&self.path).ok();
        if now == self.before {
            return Ok(None);
        }
        let shown = self.path.display();
        if now.as_ref().is_some_and(|now| *now != self.after) {
            return Ok(Some(format!("{shown} has been edited since, and stays as it is")));
        }
        match &self.before {
            Some(text) => write_atomically(&self.path, text.as_bytes())?,
            None => {
                fs::remove_file(&self.path).map_err(FaultError::io("remove", shown.to_string()))?
            }
        }
        Ok(None)
    }
}

/// Lets go on what a fault has frozen, so that it can be told to end.
pub(in crate::lab) fn thaw(dir: &LabDir) {
    for fault in journal::read(dir).unwrap_or_default() {
        for undo in fault.undo {
            if let Undo::Thaw { pid, .. } = undo {
                // Whoever does not go on is killed.
                let _ = signal(dir, pid, libc::SIGCONT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_has_deleted_needs_no_undoing() {
        let line = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let iptables = "iptables: Bad rule (does a matching rule exist in that chain?).";
        assert!(is_gone(&line("iptables-legacy -D FORWARD -j DROP"), iptables));
        assert!(is_gone(
            &line("ip rule del pref 100"),
            "RTNETLINK answers: No such file or directory"
        ));
        assert!(!is_gone(
            &line("ip route add default via 10.0.0.1"),
            "RTNETLINK answers: No such process"
        ));
        assert!(!is_gone(
            &line("ip rule del pref 100"),
            "RTNETLINK answers: Operation not permitted"
        ));
    }

    #[test]
    fn a_file_that_somebody_has_edited_since_stays() {
        let directory = std::env::temp_dir().join(format!("netlab-undo-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("pods.yaml");
        let (before, after) = (Some("before".to_owned()), "after".to_owned());
        let file = FileBefore { path: path.clone(), before, after };
        fs::write(&path, "edited").unwrap();
        assert!(file.restore().unwrap().is_some_and(|told| told.contains("edited")));
        assert_eq!(fs::read_to_string(&path).unwrap(), "edited");
        fs::write(&path, "after").unwrap();
        assert_eq!(file.restore().unwrap(), None);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        let new = FileBefore { before: None, after: "before".to_owned(), ..file };
        assert_eq!(new.restore().unwrap(), None);
        assert!(!path.exists());
        fs::remove_dir(&directory).unwrap();
    }
}
