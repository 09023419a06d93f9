//! The processes of a lab: which there should be, and finding those that there are.
//!
//! A process is a lab's if it runs netlab and its arguments name the lab. Nothing else is ever
//! signalled.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

use super::{
    address::container_ports,
    options::{LabName, Options, Proxy},
    state::{LabDir, RUN_DIR},
    topology::{Role, Topology},
};
use crate::spec::{
    Objects, Spec,
    model::{ObjectName, Protocol},
};

/// A process that a lab should have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// `agent node-1`, `echo web-1`.
    pub name: String,
    /// The host whose namespace it runs in.
    pub host: String,
    /// That namespace's name.
    pub netns: String,
    /// Arguments of netlab.
    pub args: Vec<String>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// Ports that the echo server of each pod should listen on.
pub type EchoPorts = BTreeMap<ObjectName, BTreeSet<(Protocol, u16)>>;

/// Works out the echo servers' ports: those of endpoints that are the pod, and its
/// containerPorts.
#[must_use]
pub fn echo_ports(objects: &Objects, spec: &Spec) -> EchoPorts {
    let mut ports: EchoPorts =
        spec.pods.iter().map(|pod| (pod.name.clone(), BTreeSet::new())).collect();
    for service in &spec.services {
        for port in &service.ports {
            for endpoint in &port.endpoints {
                let pod = endpoint.pod.clone().or_else(|| {
                    let pod = spec.pods.iter().find(|p| p.addresses.contains(&endpoint.address));
                    pod.map(|pod| pod.name.clone())
                });
                if let Some(ports) = pod.and_then(|pod| ports.get_mut(&pod)) {
                    ports.insert((port.protocol, endpoint.port.get()));
                }
            }
        }
    }
    for located in &objects.pods {
        if let Some(ports) = ports.get_mut(&located.name()) {
            ports
                .extend(container_ports(&located.object).map(|(udp, number)| {
                    (if udp { Protocol::Udp } else { Protocol::Tcp }, number)
                }));
        }
    }
    ports
}

/// All processes that a lab should have: agents, then echo servers.
#[must_use]
pub fn wanted(
    topology: &Topology,
    ports: &EchoPorts,
    options: &Options,
    dir: &LabDir,
) -> Vec<Process> {
    let mut processes = Vec::new();
    for host in &topology.hosts {
        let (name, args) = match &host.role {
            Role::Node if options.proxy != Proxy::None => {
                (format!("agent {}", host.name), agent_args(&host.name, options, dir))
            }
            Role::Pod { node, object } => {
                let listed = ports.iter().find(|(name, _)| name.to_string() == *object);
                let Some((_, listed)) = listed.filter(|(_, listed)| !listed.is_empty()) else {
                    continue;
                };
                let mut args = strings(&["echo", "--lab", options.name.as_str()]);
                args.extend(strings(&["--pod", &host.name, "--node", node]));
                for (protocol, port) in listed {
                    let flag = if *protocol == Protocol::Tcp { "--tcp" } else { "--udp" };
                    args.extend([flag.to_owned(), port.to_string()]);
                }
                (format!("echo {}", host.name), args)
            }
            _ => continue,
        };
        processes.push(Process {
            host: host.name.clone(),
            netns: host.netns.clone(),
            log: dir.log(&name),
            name,
            args,
        });
    }
    processes.sort_by(|a, b| a.name.cmp(&b.name));
    processes
}

fn agent_args(node: &str, options: &Options, dir: &LabDir) -> Vec<String> {
    let path = |path: PathBuf| path.display().to_string();
    let mut args = strings(&["agent", "--node", node, "--proxy", &options.proxy.to_string()]);
    args.extend(["--source".to_owned(), path(dir.manifests())]);
    args.extend(["--state".to_owned(), path(dir.agent(node))]);
    if options.proxy == Proxy::Ebpf {
        args.extend(["--hook".to_owned(), options.hook.to_string()]);
        args.extend(["--pin".to_owned(), path(dir.pins().join(node))]);
    }
    args
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What a running process is to a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It keeps the others running.
    Supervisor,
    /// An agent or an echo server.
    Child,
}

/// A running process of a lab.
#[derive(Debug)]
pub struct Running {
    /// Process id.
    pub pid: i32,
    /// What it is.
    pub part: Part,
    /// Keeps signals from reaching another process of the same id.
    pidfd: OwnedFd,
}

impl Running {
    /// Whether it runs the same executable file as this process.
    #[must_use]
    pub fn is_same_program(&self) -> bool {
        let identity = |pid: &str| {
            fs::metadata(format!("/proc/{pid}/exe")).map(|file| (file.dev(), file.ino())).ok()
        };
        identity("self").is_some() && identity("self") == identity(&self.pid.to_string())
    }

    /// Sends a signal. A process that is gone already is fine.
    ///
    /// # Errors
    ///
    /// EPERM where it is another user's.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: plain integers and a null pointer, which means no siginfo.
        let outcome = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match outcome {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
                error => Err(error),
            },
        }
    }

    /// Ends it: SIGTERM, and SIGKILL where it has not ended within `patience`.
    ///
    /// # Errors
    ///
    /// Where it cannot be signalled.
    pub async fn end(&self, patience: Duration) -> io::Result<()> {
        self.signal(libc::SIGTERM)?;
        // A pidfd becomes readable when its process has ended (pidfd_open(2)).
        // SAFETY: the descriptor is borrowed from an owner that outlives the registration.
        let ended = unsafe { AsyncFd::register(self.pidfd.as_raw_fd()) }?;
        if tokio::time::timeout(patience, ended.readable()).await.is_err() {
            self.signal(libc::SIGKILL)?;
            let _ = tokio::time::timeout(patience, ended.readable()).await;
        }
        Ok(())
    }
}

/// All running processes of a lab, whoever started them.
///
/// # Errors
///
/// Where /proc cannot be read.
pub fn running(lab: &LabName) -> io::Result<Vec<Running>> {
    let mut found = Vec::new();
    for pid in pids()? {
        if part_of(pid, lab).is_none() {
            continue;
        }
        // SAFETY: plain integers; the descriptor it returns is owned by nobody else.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let Some(fd) = i32::try_from(fd).ok().filter(|fd| *fd >= 0) else { continue };
        // SAFETY: as above.
        let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
        // Now that the id cannot be reused unnoticed, look again.
        if let Some(part) = part_of(pid, lab) {
            found.push(Running { pid, part, pidfd });
        }
    }
    Ok(found)
}

/// Processes in a namespace, by id and command, whoever's they are.
///
/// # Errors
///
/// Where /proc cannot be read.
pub fn inside(netns_inode: u64) -> io::Result<Vec<(i32, String)>> {
    let is_inside = |pid: &i32| {
        fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|file| file.ino() == netns_inode)
    };
    let command = |pid: i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Ok(pids()?
        .into_iter()
        .filter(is_inside)
        .map(|pid| (pid, command(pid).trim_end().to_owned()))
        .collect())
}

/// The state of a process, a letter of proc_pid_stat(5); None where there is none.
#[must_use]
pub fn state(pid: u32) -> Option<char> {
    state_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `PID (NAME) STATE ...`, where the name may have parentheses of its own.
fn state_in(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

fn pids() -> io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

fn part_of(pid: i32, lab: &LabName) -> Option<Part> {
    let executable = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let own = fs::read_link("/proc/self/exe").ok();
    if !is_netlab(&executable) && own != Some(executable) {
        return None;
    }
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let args: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
    part_by_arguments(&args, lab)
}

/// The kernel adds ` (deleted)` to a file that has been replaced since.
fn is_netlab(executable: &Path) -> bool {
    let name = executable.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.trim_end_matches(" (deleted)") == "netlab"
}

fn part_by_arguments(args: &[&str], lab: &LabName) -> Option<Part> {
    let has = |flag: &str| args.windows(2).any(|pair| pair == [flag, lab.as_str()]);
    let below = Path::new(RUN_DIR).join(lab.as_str());
    match args.get(1..)? {
        ["lab", "supervise", ..] if has("--name") => Some(Part::Supervisor),
        ["echo", ..] if has("--lab") => Some(Part::Child),
        ["agent", rest @ ..] if rest.iter().any(|arg| Path::new(arg).starts_with(&below)) => {
            Some(Part::Child)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_process_follows_its_name() {
        assert_eq!(state_in("12 (a) b) T 1 12"), Some('T'));
        assert_eq!(state_in("nonsense"), None);
        assert!(state(std::process::id()).is_some() && state(u32::MAX).is_none());
    }

    #[test]
    fn a_process_belongs_to_the_lab_that_it_names_and_to_no_other() {
        let (lab, other) = ("lab".parse().unwrap(), "lab-2".parse().unwrap());
        let cases: [(&[&str], _); 5] = [
            (&["netlab", "lab", "supervise", "--name", "lab"], Some(Part::Supervisor)),
            (&["netlab", "echo", "--lab", "lab", "--pod", "lab-2"], Some(Part::Child)),
            (&["netlab", "agent", "--state", "/run/netlab/lab/agents/n"], Some(Part::Child)),
            (&["netlab", "lab", "up", "--name", "lab"], None),
            (&["netlab", "agent", "--state", "/run/mine"], None),
        ];
        for (args, part) in cases {
            assert_eq!(part_by_arguments(args, &lab), part, "{args:?}");
            assert_eq!(part_by_arguments(args, &other), None, "{args:?}");
        }
    }

    #[test]
    fn a_replaced_executable_is_still_netlab() {
        assert!(is_netlab(Path::new("/x/netlab (deleted)")));
        assert!(!is_netlab(Path::new("/x/netlab-other")));
    }
}
