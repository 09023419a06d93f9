//! What an agent tells about itself, in `<state dir>/status.json`.
//!
//! Written whole to a temporary file and renamed, so a reader never sees half of it.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

/// The file's name inside the agent's state directory.
pub const FILE_NAME: &str = "status.json";

/// State of one agent. Serialised as JSON with these field names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Node that it serves.
    pub node: String,
    /// Its process.
    pub pid: u32,
    /// What answers: `ebpf`, `nftables` or `iptables`.
    #[serde(default)]
    pub proxy: String,
    /// The program that loads kube-proxy's rules, with its version; empty for eBPF.
    #[serde(default)]
    pub tool: String,
    /// The hook in use, `xdp` or `tc`; empty for kube-proxy's rules.
    pub hook: String,
    /// Why that hook, in a sentence.
    pub hook_reason: String,
    /// Programs in place.
    pub attached: Vec<Attachment>,
    /// Counts applied specs; 0 until the first one is in the kernel.
    pub generation: u64,
    /// The spec's SipHash in hex, to tell whether this agent has the newest one.
    pub spec: String,
    /// What a client can dial: frontends in the maps, or rules and map elements for it.
    pub frontends: usize,
    /// Backend slots in the maps, or chains that translate to an endpoint.
    pub backends: usize,
    /// The conntrack table, netlab's or the kernel's, as of the last look.
    #[serde(default)]
    pub conntrack: ConntrackUse,
    /// Why the newest files are not in use; the last good spec stays.
    pub error: Option<String>,
    /// What it is at with objects that the kernel does not agree with yet, in words that follow
    /// "is"; empty while it rests. As long as this changes, whoever waits has reason to.
    #[serde(default)]
    pub activity: String,
}

/// How full the conntrack table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConntrackUse {
    /// Entries, two a connection.
    pub entries: usize,
    /// Entries that there is room for.
    pub capacity: usize,
}

/// One program on one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Program, as named in the eBPF object.
    pub program: String,
    /// Interface in the node's namespace.
    pub interface: String,
    /// The interface's index: made anew under the same name, it has another.
    #[serde(default)]
    pub index: u32,
    /// `xdp-native`, `tcx-ingress`, `tcx-egress`.
    pub kind: String,
}

/// Writes the status into the agent's state directory, which is made if it is not there.
///
/// # Errors
///
/// Where the directory cannot be written.
pub fn write(directory: &Path, status: &AgentStatus) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let partial = directory.join(".status.json.partial");
    fs::write(&partial, serde_json::to_vec_pretty(status)?)?;
    fs::rename(partial, directory.join(FILE_NAME))
}

/// Takes the status away: an agent that has stopped says nothing.
///
/// # Errors
///
/// Where the file is there and cannot be removed.
pub fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(FILE_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
