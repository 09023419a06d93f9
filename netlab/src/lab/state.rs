//! What a lab keeps on disk, under /run/netlab/LAB.
//!
//! | file | what |
//! | --- | --- |
//! | `lab.json` | options, and every namespace that the lab may have made; written first |
//! | `topology.json` | what was built, so that a later `up` knows what to take away |
//! | `processes.json` | what the supervisor keeps running |
//! | `supervisor.json` | what it says about them |
//! | `manifests/*.yaml` | the completed objects; people edit these, agents follow them |
//! | `agents/NODE/status.json` | what the agent says about itself |
//! | `faults.json` | faults that are injected, and what undoes them |
//! | `log/*.log` | output of supervisor, agents, echo servers |
//!
//! JSON files are written whole and renamed into place.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    options::{LabName, Options, Proxy},
    processes::Process,
    topology::Topology,
};
use crate::agent::status::{self, AgentStatus};

/// Where all labs keep their state.
pub const RUN_DIR: &str = "/run/netlab";
/// Where agents of labs pin their maps.
pub const PIN_DIR: &str = "/sys/fs/bpf/netlab";

/// File of the record.
const RECORD: &str = "lab.json";

/// `lab.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// As the lab was asked for.
    pub options: Options,
    /// Names under /run/netns that are this lab's.
    pub namespaces: Vec<String>,
    /// Proxies that answered before, and may have left something in the nodes.
    #[serde(default)]
    pub predecessors: Vec<Proxy>,
}

/// A file of the state could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct StateError {
    /// What was tried.
    pub operation: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// The directory of one lab.
#[derive(Clone, Debug)]
pub struct LabDir {
    name: LabName,
    root: PathBuf,
    pins: PathBuf,
}

impl LabDir {
    /// The directory for a lab of this name, whether it exists or not.
    #[must_use]
    pub fn new(name: &LabName) -> Self {
        Self {
            name: name.clone(),
            root: Path::new(RUN_DIR).join(name.as_str()),
            pins: Path::new(PIN_DIR).join(name.as_str()),
        }
    }

    /// Names of the labs that have a directory, sorted.
    ///
    /// # Errors
    ///
    /// Where the directory cannot be read.
    pub fn list() -> Result<Vec<LabName>, StateError> {
        let entries = match fs::read_dir(RUN_DIR) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            outcome => outcome.map_err(failed("list", Path::new(RUN_DIR)))?,
        };
        let mut names: Vec<LabName> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// The lab's name.
    #[must_use]
    pub const fn name(&self) -> &LabName {
        &self.name
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where agents of this lab pin.
    #[must_use]
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    /// The objects: source of the agents.
    #[must_use]
    pub fn manifests(&self) -> PathBuf {
        self.root.join("manifests")
    }

    /// State directory of a node's agent.
    #[must_use]
    pub fn agent(&self, node: &str) -> PathBuf {
        self.root.join("agents").join(node)
    }

    /// Log file of the process of this name.
    #[must_use]
    pub fn log(&self, process: &str) -> PathBuf {
        self.root.join("log").join(format!("{}.log", process.replace(' ', "-")))
    }

    /// The lab's record, if there is such a lab.
    ///
    /// # Errors
    ///
    /// Where the file exists and is not a record.
    pub fn record(&self) -> Result<Option<Record>, StateError> {
        self.read(RECORD)
    }

    /// The namespaces of the lab's record, whatever else is in it: a record of another
    /// version of netlab must not keep `lab down` from its work.
    ///
    /// # Errors
    ///
    /// Where the file exists and names no namespaces.
    pub fn namespaces(&self) -> Result<Vec<String>, StateError> {
        #[derive(Deserialize)]
        struct Namespaces {
            namespaces: Vec<String>,
        }
        let named: Option<Namespaces> = self.read(RECORD)?;
        Ok(named.map_or_else(Vec::new, |named| named.namespaces))
    }

    /// Writes the lab's record, and makes the directories.
    ///
    /// # Errors
    ///
    /// Where the file system refuses.
    pub fn write_record(&self, record: &Record) -> Result<(), StateError> {
        for directory in [self.manifests(), self.root.join("agents"), self.root.join("log")] {
            fs::create_dir_all(&directory).map_err(failed("create", &directory))?;
        }
        self.write(RECORD, record)
    }

    /// What was built.
    ///
    /// # Errors
    ///
    /// Where the file exists and is not a topology.
    pub fn topology(&self) -> Result<Option<Topology>, StateError> {
        self.read("topology.json")
    }

    /// Records what is built.
    ///
    /// # Errors
    ///
    /// Where the file system refuses.
    pub fn write_topology(&self, topology: &Topology) -> Result<(), StateError> {
        self.write("topology.json", topology)
    }

    /// What the supervisor should keep running.
    ///
    /// # Errors
    ///
    /// Where the file exists and is no list of processes.
    pub fn processes(&self) -> Result<Vec<Process>, StateError> {
        Ok(self.read("processes.json")?.unwrap_or_default())
    }

    /// Records what the supervisor should keep running.
    ///
    /// # Errors
    ///
    /// Where the file system refuses.
    pub fn write_processes(&self, processes: &[Process]) -> Result<(), StateError> {
        self.write("processes.json", &processes)
    }

    /// What the agent of a node says about itself; None before it has said anything.
    ///
    /// # Errors
    ///
    /// Where the file exists and is no agent's status.
    pub fn agent_status(&self, node: &str) -> Result<Option<AgentStatus>, StateError> {
        let path = Path::new("agents").join(node).join(status::FILE_NAME);
        self.read(&path)
    }

    /// Makes these the manifests, and names the files that are not what they were.
    ///
    /// # Errors
    ///
    /// Where the file system refuses.
    pub fn write_manifests(
        &self,
        files: &[(&'static str, String)],
    ) -> Result<Vec<String>, StateError> {
        let directory = self.manifests();
        let mut changed = Vec::new();
        for (name, text) in files {
            let path = directory.join(name);
            if fs::read(&path).is_ok_and(|before| before == text.as_bytes()) {
                continue;
            }
            write_atomically(&path, text.as_bytes())?;
            changed.push((*name).to_owned());
        }
        let entries = fs::read_dir(&directory).map_err(failed("list", &directory))?;
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let kept = files.iter().any(|(name, _)| path.file_name() == Some(name.as_ref()));
            if !kept && path.is_file() {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
                changed.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        Ok(changed)
    }

    /// Reads a JSON file of the directory; None where there is none.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        name: impl AsRef<Path>,
    ) -> Result<Option<T>, StateError> {
        let path = self.root.join(name);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            outcome => {
                let bytes = outcome.map_err(failed("read", &path))?;
                let value = serde_json::from_slice(&bytes).map_err(io::Error::from);
                value.map(Some).map_err(failed("understand", &path))
            }
        }
    }

    /// Writes a JSON file of the directory.
    pub(super) fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let path = self.root.join(name);
        let text = serde_json::to_vec_pretty(value)
            .map_err(io::Error::from)
            .map_err(failed("write", &path))?;
        write_atomically(&path, &text)
    }

    /// Removes the directory and the pins, and what they leave empty.
    ///
    /// # Errors
    ///
    /// Where the file system refuses.
    pub fn remove(&self) -> Result<(), StateError> {
        for directory in [&self.pins, &self.root] {
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                outcome => outcome.map_err(failed("remove", directory))?,
            }
        }
        // Not empty while another lab is there.
        let _ = fs::remove_dir(PIN_DIR);
        Ok(())
    }
}

/// Writes a hidden file beside and renames it, so that no reader sees half of it.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.new"));
    fs::write(&temporary, bytes).map_err(failed("write", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("write", path))
}

pub(super) fn failed(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> StateError + use<> {
    let path = path.to_owned();
    move |source| StateError { operation, path, source }
}
