//! `lab down`: takes everything of a lab away, in whatever state it is.

use std::{io, time::Duration};

use super::{
    fault,
    lock::Lock,
    options::LabName,
    processes::{self, Part},
    state::{LabDir, StateError},
};
use crate::netlink::{self, Netns};

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// There was a lab of this name, or something left of one.
    pub existed: bool,
    /// Processes that were ended.
    pub processes: usize,
    /// Namespaces whose names went.
    pub namespaces: Vec<String>,
    /// Processes of others that keep a namespace alive without its name.
    pub foreign: Vec<Foreign>,
}

/// A process that is not the lab's, in one of its namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Name that the namespace had.
    pub netns: String,
    /// Process id.
    pub pid: i32,
    /// Its command.
    pub command: String,
}

/// Why something is left.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// The process may not do it.
    #[error(
        "a lab is made of network namespaces, which needs {}; run it as root: sudo netlab ...",
        .0.join(" and ")
    )]
    Privileges(Vec<&'static str>),
    /// A file of the state could not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A namespace could not be deleted.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// Processes could not be found or ended.
    #[error("cannot end the lab's processes")]
    Processes(#[source] io::Error),
}

/// Takes a lab away. Fine where there is none.
///
/// # Errors
///
/// Where something cannot be removed; it can be called again.
pub async fn down(name: &LabName) -> Result<Removed, DownError> {
    let missing = netlink::missing_privileges()?;
    if !missing.is_empty() {
        return Err(DownError::Privileges(missing));
    }
    let _lock = Lock::take(name).await?;
    remove(name).await
}

/// Takes a lab away whose lock is held.
pub(super) async fn remove(name: &LabName) -> Result<Removed, DownError> {
    let dir = LabDir::new(name);
    let mut removed = Removed { existed: dir.root().exists(), ..Removed::default() };
    fault::thaw(&dir);
    removed.processes = end_processes(name).await.map_err(DownError::Processes)?;
    for netns in dir.namespaces()? {
        let inode = Netns::open(&netns).and_then(|netns| netns.inode());
        match Netns::delete(&netns) {
            Ok(()) => {}
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(error.into()),
        }
        if let Ok(inode) = inode {
            let inside = processes::inside(inode).map_err(DownError::Processes)?;
            removed.foreign.extend(inside.into_iter().map(|(pid, command)| Foreign {
                netns: netns.clone(),
                pid,
                command,
            }));
        }
        removed.namespaces.push(netns);
    }
    dir.remove()?;
    removed.existed |= removed.processes > 0 || !removed.namespaces.is_empty();
    Ok(removed)
}

/// The supervisor first, so that it does not start again what is ended; then what it left.
async fn end_processes(name: &LabName) -> io::Result<usize> {
    let mut ended = 0;
    for part in [Part::Supervisor, Part::Child] {
        let running = processes::running(name)?;
        ended += running.len();
        for process in running.iter().filter(|process| process.part == part) {
            process.end(PATIENCE).await?;
        }
        ended -= processes::running(name)?.len();
    }
    Ok(ended)
}
