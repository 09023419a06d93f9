//! `lab status`: what a lab is, and what is wrong with it.

use std::{fmt, fs, net::IpAddr};

use nix::net::if_::if_nametoindex;
use serde::Serialize;

use super::{
    build::{self, BuildError, Change, Step},
    fault,
    options::{LabName, Options, Proxy},
    processes::{self, Part, Process},
    state::{LabDir, StateError},
    supervise::Report,
    topology::{Host, Link, LinkKind, Role, Topology},
};
use crate::{
    agent::status::AgentStatus,
    datapath::{attach::Hook, compile::not_honoured},
    netlink::{Netns, missing_privileges},
    proxy,
    spec::{
        self, Spec,
        model::{Protocol, Service},
    },
};

/// A lab as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// As it was asked for.
    #[serde(flatten)]
    pub options: Options,
    /// Fabric, client, nodes, pods.
    pub hosts: Vec<HostStatus>,
    /// One a node, unless nobody answers node ports.
    pub agents: Vec<AgentReport>,
    /// As the manifests say.
    pub services: Vec<Service>,
    /// Faults that are injected, as `name` or `name at place`.
    pub faults: Vec<String>,
    /// What is not as it should be, a sentence each.
    pub problems: Vec<String>,
    /// What the manifests ask for and whoever answers does not give, a sentence each.
    pub not_honoured: Vec<String>,
}

/// A host of the lab.
#[derive(Clone, Debug, Serialize)]
pub struct HostStatus {
    /// Short name.
    pub name: String,
    /// Name under /run/netns.
    pub netns: String,
    /// What it plays.
    pub role: Role,
    /// Addresses of its uplink; of the fabric, all.
    pub addresses: Vec<IpAddr>,
    /// Pod networks of a node.
    pub pod_cidrs: Vec<ipnet::IpNet>,
    /// Ports that a pod's echo server has, as `TCP 8080`.
    pub listens: Vec<String>,
    /// Whether its namespace is there.
    pub present: bool,
}

/// The agent of a node.
#[derive(Clone, Debug, Serialize)]
pub struct AgentReport {
    /// The node.
    pub node: String,
    /// Its process, if it runs.
    pub pid: Option<u32>,
    /// How often it has been started again.
    pub restarts: u32,
    /// What it says about itself.
    pub status: Option<AgentStatus>,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// There is no such lab.
    #[error("there is no lab {name}{}", match .others.as_slice() {
        [] => "; netlab lab up makes one".to_owned(),
        others => format!(
            "; there is {}",
            others.iter().map(LabName::as_str).collect::<Vec<_>>().join(", ")
        ),
    })]
    NoLab {
        /// The name asked for.
        name: LabName,
        /// Those that there are.
        others: Vec<LabName>,
    },
    /// A file of the state could not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The kernel could not be observed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The process may not look into namespaces.
    #[error("looking into a lab's namespaces needs {}; run it as root: sudo netlab ...", .0.join(" and "))]
    Privileges(Vec<&'static str>),
    /// Privileges could not be looked at.
    #[error(transparent)]
    Netlink(#[from] crate::netlink::Error),
}

/// Looks at a lab without changing anything.
///
/// # Errors
///
/// Where there is no such lab, or it cannot be looked at.
pub async fn status(name: &LabName) -> Result<Status, StatusError> {
    let dir = LabDir::new(name);
    let Some(record) = dir.record()? else {
        let others = LabDir::list()?;
        return Err(StatusError::NoLab { name: name.clone(), others });
    };
    let missing = missing_privileges()?;
    if !missing.is_empty() {
        return Err(StatusError::Privileges(missing));
    }
    let mut problems = Vec::new();
    let spec = match spec::read_files(&[dir.manifests()]).and_then(|objects| objects.resolve()) {
        Ok(spec) => spec,
        Err(error) => {
            problems.push(format!("the manifests are refused: {error}"));
            Spec::default()
        }
    };
    let topology = dir.topology()?;
    let hosts = match &topology {
        Some(topology) => {
            problems.extend(differences(&build::differences(topology).await?));
            let wanted = dir.processes()?;
            topology.hosts.iter().map(|host| host_status(host, &spec, &wanted)).collect()
        }
        None => {
            problems.push("it was never finished; netlab lab up goes on".to_owned());
            Vec::new()
        }
    };
    let agents = process_problems(&record.options, topology.as_ref(), &spec, &dir, &mut problems)?;
    let not_honoured = match record.options.proxy {
        Proxy::Ebpf => not_honoured(&spec),
        Proxy::Nftables | Proxy::Iptables => proxy::not_honoured(&spec),
        Proxy::None => Vec::new(),
    };
    let (options, services) = (record.options, spec.services);
    let faults = fault::injected(name).unwrap_or_default();
    let faults = faults.iter().map(ToString::to_string).collect();
    Ok(Status { options, hosts, agents, services, faults, problems, not_honoured })
}

/// A sentence for each step that `up` would take; of a host without namespace, only that.
fn differences(steps: &[Step]) -> Vec<String> {
    let absent: Vec<_> = steps
        .iter()
        .filter(|step| step.change == Change::Namespace)
        .map(|step| step.host.as_str())
        .collect();
    let told =
        |step: &&Step| step.change == Change::Namespace || !absent.contains(&step.host.as_str());
    steps
        .iter()
        .filter(told)
        .map(|step| format!("{step}: not so; netlab lab up mends it"))
        .collect()
}

fn host_status(host: &Host, spec: &Spec, wanted: &[Process]) -> HostStatus {
    let node = spec.nodes.iter().find(|node| node.name == host.name);
    let is_node = host.role == Role::Node;
    let echo = wanted.iter().find(|p| p.host == host.name && p.name.starts_with("echo "));
    let uplink = |device: &str| host.role == Role::Fabric || device == super::UPLINK;
    HostStatus {
        name: host.name.clone(),
        netns: host.netns.clone(),
        role: host.role.clone(),
        addresses: host
            .addresses
            .iter()
            .filter(|address| uplink(&address.device))
            .map(|address| address.net.addr())
            .collect(),
        pod_cidrs: node.filter(|_| is_node).map(|n| n.pod_cidrs.clone()).unwrap_or_default(),
        listens: echo
            .map(echo_listens)
            .unwrap_or_default()
            .into_iter()
            .map(|(protocol, port)| format!("{protocol} {port}"))
            .collect(),
        present: Netns::exists(&host.netns),
    }
}

fn process_problems(
    options: &Options,
    topology: Option<&Topology>,
    spec: &Spec,
    dir: &LabDir,
    problems: &mut Vec<String>,
) -> Result<Vec<AgentReport>, StatusError> {
    let running = processes::running(&options.name).unwrap_or_default();
    let supervised = running.iter().any(|process| process.part == Part::Supervisor);
    if !supervised {
        problems.push("the supervisor is not running; netlab lab up starts it".to_owned());
    }
    let report = Report::read(dir)?.unwrap_or_default();
    let is_alive = |pid: &u32| {
        running.iter().any(|process| u32::try_from(process.pid).is_ok_and(|id| id == *pid))
    };
    let mut agents = Vec::new();
    for process in dir.processes()? {
        let said = report.processes.get(&process.name).cloned().unwrap_or_default();
        let pid = said.pid.filter(is_alive);
        if pid.is_none() {
            let why = match (&said.last_end, said.pid) {
                (Some(end), None) => end.as_str(),
                (_, Some(_)) => "it ended with the supervisor",
                (None, None) => "it has not been started",
            };
            let log = process.log.display();
            problems.push(format!("{} is not running: {why}; see {log}", process.name));
        }
        if process.name.starts_with("agent ") {
            let status = dir.agent_status(&process.host)?;
            if let Some(error) = status.as_ref().and_then(|status| status.error.as_ref()) {
                problems.push(format!("{}: {error}", process.name));
            }
            let node = process.host.clone();
            agents.push(AgentReport { node, pid, restarts: said.restarts, status });
        }
    }
    if let Some(topology) = topology.filter(|_| supervised && *spec != Spec::default()) {
        // A process that does not run has been named already.
        let silent =
            |unready: &Unready| !problems.iter().any(|known| known.starts_with(&unready.process));
        let waiting = not_ready(topology, options, &spec.digest(), dir);
        let news: Vec<_> =
            waiting.iter().filter(|unready| silent(unready)).map(ToString::to_string).collect();
        problems.extend(news);
    }
    Ok(agents)
}

/// A process that does not do its work yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unready {
    /// Its name, as `agent node-1`.
    pub process: String,
    /// Why, in words that follow the name.
    pub why: String,
    /// It says itself that it cannot.
    pub is_error: bool,
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.process, self.why)
    }
}

/// Which processes do not do their work yet, and why: agents without the newest spec, echo
/// servers that do not listen.
#[must_use]
pub fn not_ready(
    topology: &Topology,
    options: &Options,
    digest: &str,
    dir: &LabDir,
) -> Vec<Unready> {
    let mut waiting = Vec::new();
    let report = Report::read(dir).ok().flatten().unwrap_or_default();
    if options.proxy != Proxy::None {
        let nodes = topology.hosts.iter().filter(|host| host.role == Role::Node);
        waiting.extend(nodes.filter_map(|node| unready_agent(node, options, digest, dir, &report)));
    }
    for process in dir.processes().unwrap_or_default() {
        if !process.name.starts_with("echo ") {
            continue;
        }
        let open =
            Netns::open(&process.netns).and_then(|netns| netns.run(listening)).unwrap_or_default();
        let closed: Vec<_> =
            echo_listens(&process).into_iter().filter(|port| !open.contains(port)).collect();
        if let Some((protocol, port)) = closed.first() {
            let why = format!("does not listen on {protocol} port {port}");
            waiting.push(Unready { process: process.name, why, is_error: false });
        }
    }
    waiting
}

fn unready_agent(
    node: &Host,
    options: &Options,
    digest: &str,
    dir: &LabDir,
    report: &Report,
) -> Option<Unready> {
    let process = format!("agent {}", node.name);
    let said = report.processes.get(&process);
    let end = said.and_then(|said| said.last_end.as_ref());
    let runs = said.is_some_and(|said| said.pid.is_some());
    let mut is_error = false;
    let why = match (dir.agent_status(&node.name), end) {
        (Ok(Some(status)), _) if status.generation >= 1 && status.spec == digest => {
            detached(node, options, &status)?
        }
        (Ok(Some(AgentStatus { error: Some(error), .. })), _) => {
            is_error = true;
            error
        }
        (Ok(_), Some(end)) if !runs => format!("ended: {end}"),
        (Ok(Some(AgentStatus { activity, .. })), _) if !activity.is_empty() => {
            format!("is {activity}")
        }
        (Ok(Some(_)), _) => "has not taken the newest objects over".to_owned(),
        (Ok(None), _) => "has not said anything".to_owned(),
        (Err(error), _) => error.to_string(),
    };
    Some(Unready { process, why, is_error })
}

/// Why packets do not reach the programs of a node, if they do not.
fn detached(node: &Host, options: &Options, status: &AgentStatus) -> Option<String> {
    if status.proxy != options.proxy.to_string() {
        return Some(format!("does not answer with {} yet", options.proxy));
    }
    if options.proxy != Proxy::Ebpf {
        return None;
    }
    if options.hook != Hook::Auto && options.hook.to_string() != status.hook {
        return Some(format!("does not use the hook {}", options.hook));
    }
    let is_way_in =
        |link: &&Link| link.name == super::UPLINK || matches!(link.kind, LinkKind::Vxlan { .. });
    let ways_in: Vec<_> = node.links.iter().filter(is_way_in).map(|link| &link.name).collect();
    let indices = Netns::open(&node.netns).and_then(|netns| {
        netns.run(|| ways_in.iter().map(|name| if_nametoindex(name.as_str()).ok()).collect())
    });
    let indices: Vec<Option<u32>> = indices.unwrap_or_default();
    ways_in.into_iter().zip(indices).find_map(|(name, index)| {
        // A link that is not there is another problem, told elsewhere.
        let index = index?;
        let attached = status.attached.iter().any(|attached| attached.index == index);
        (!attached).then(|| format!("is not attached to {name}"))
    })
}

/// The ports that an echo server was told to serve.
fn echo_listens(process: &Process) -> Vec<(Protocol, u16)> {
    process
        .args
        .windows(2)
        .filter_map(|pair| match (pair[0].as_str(), pair[1].parse()) {
            ("--tcp", Ok(port)) => Some((Protocol::Tcp, port)),
            ("--udp", Ok(port)) => Some((Protocol::Udp, port)),
            _ => None,
        })
        .collect()
}

/// Ports that are listened on in the calling thread's namespace.
fn listening() -> Vec<(Protocol, u16)> {
    // State of a listening TCP socket and of a UDP one without peer (net/tcp_states.h).
    const TABLES: [(&str, Protocol, &str); 4] = [
        ("tcp", Protocol::Tcp, "0A"),
        ("tcp6", Protocol::Tcp, "0A"),
        ("udp", Protocol::Udp, "07"),
        ("udp6", Protocol::Udp, "07"),
    ];
    let mut ports = Vec::new();
    for (file, protocol, state) in TABLES {
        // Not /proc/net, which is the process's, not the thread's.
        let table = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
        ports.extend(local_ports(&table, state).map(|port| (protocol, port)));
    }
    ports
}

/// Lines are `sl local_address rem_address st ...`, addresses `HEX:PORT` in hexadecimal.
fn local_ports<'t>(table: &'t str, state: &'t str) -> impl Iterator<Item = u16> + 't {
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, is) = (fields.next()?, fields.next()?, fields.next()?);
        let (_, port) = local.rsplit_once(':')?;
        (is == state).then(|| u16::from_str_radix(port, 16).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_ports_are_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
                     0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0\n\
                     1: 0100007F:1F91 0100007F:9C40 01 0\n";
        assert_eq!(local_ports(table, "0A").collect::<Vec<_>>(), [8080]);
    }
}
