//! A change as data, and taking it.

use std::{
    net::{Ipv4Addr, UdpSocket},
    path::PathBuf,
};

use super::{
    FaultError, programs,
    tables::program,
    undo::{FileBefore, Undo},
};
use crate::{
    lab::{
        Host, LabDir,
        processes::{self, Part, Process},
        supervise::Report,
    },
    netlink::{self, Netns, conntrack, sysctl},
    proxy,
};

/// What a fault does, in order.
pub(super) type Plan = Result<Vec<Step>, FaultError>;

/// One change, and with it what undoes it.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A program run in a namespace.
    Command {
        /// The namespace.
        netns: String,
        /// Program and arguments.
        line: Vec<String>,
        /// What it reads.
        input: String,
        /// What undoes it: programs with arguments, and what they read; in this order.
        undo: Vec<(Vec<String>, String)>,
    },
    /// A switch below /proc/sys/net.
    Sysctl { netns: String, key: String, value: String },
    /// Another set of routes for one destination: all that are there go, `line` comes.
    Routes {
        netns: String,
        /// `10.244.2.0/24 table main`, as `ip route show exact` takes it.
        selector: Vec<String>,
        /// What `ip route add` is given; empty: nothing.
        line: Vec<String>,
    },
    /// What the supervisor keeps running under this name; None: nothing.
    Process { name: String, after: Option<Process> },
    /// Files of the manifests.
    Manifests(Vec<(PathBuf, String)>),
    /// The agent of this node goes on existing, and does nothing.
    Freeze { node: String },
    /// One datagram, so that others learn whose the address is.
    Speak { netns: String, from: Ipv4Addr, to: Ipv4Addr },
    /// Entries of the kernel's conntrack table, which nothing else ends for an hour.
    Conntrack { netns: String, entries: conntrack::Entries },
    /// An eBPF program of somebody else at an interface.
    Program(programs::Foreign),
}

impl Step {
    /// A command without input, undone by another.
    pub(super) fn command(host: &Host, line: &str, undo: &str) -> Self {
        let undo = if undo.is_empty() { Vec::new() } else { vec![(words(undo), String::new())] };
        Self::Command { netns: host.netns.clone(), line: words(line), input: String::new(), undo }
    }

    /// A switch below /proc/sys/net.
    pub(super) fn sysctl(host: &Host, key: impl Into<String>, value: &str) -> Self {
        Self::Sysctl { netns: host.netns.clone(), key: key.into(), value: value.to_owned() }
    }

    /// Other routes to `destination` in the main table; empty: none.
    pub(super) fn routes(host: &Host, destination: impl ToString, line: &str) -> Self {
        let selector = vec![destination.to_string(), "table".to_owned(), "main".to_owned()];
        Self::Routes { netns: host.netns.clone(), selector, line: words(line) }
    }

    /// As a person would type it, for the record.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Command { netns, line, input, .. } if input.is_empty() => {
                format!("{netns}: {}", line.join(" "))
            }
            Self::Command { netns, line, input, .. } => {
                let input = input.split_whitespace().collect::<Vec<_>>().join(" ");
                format!("{netns}: {} <<< '{input}'", line.join(" "))
            }
            Self::Sysctl { netns, key, value } => {
                format!("{netns}: sysctl -w net.{}={value}", key.replace('/', "."))
            }
            Self::Routes { netns, selector, line } if line.is_empty() => {
                format!("{netns}: ip route del {}", selector.join(" "))
            }
            Self::Routes { netns, line, .. } => {
                format!("{netns}: ip route replace {}", line.join(" "))
            }
            Self::Process { name, after: None } => format!("end {name}"),
            Self::Process { name, after: Some(process) } => {
                format!("{}: run {name}: netlab {}", process.netns, process.args.join(" "))
            }
            Self::Manifests(files) => {
                let files: Vec<_> =
                    files.iter().map(|(path, _)| path.display().to_string()).collect();
                format!("edit {}", files.join(" and "))
            }
            Self::Freeze { node } => format!("kill -STOP the agent of {node}"),
            Self::Speak { netns, from, to } => format!("{netns}: a datagram from {from} to {to}"),
            Self::Conntrack { netns, entries } => {
                format!("{netns}: {} conntrack entries", entries.count)
            }
            Self::Program(foreign) => foreign.told(),
        }
    }

    /// Looks at what is there, for what undoes this.
    pub(super) async fn undo(&self, dir: &LabDir) -> Result<Vec<Undo>, FaultError> {
        Ok(match self {
            Self::Command { netns, undo, .. } => {
                // Done backwards, like everything in the record.
                let commands = undo.iter().rev().map(|(line, input)| {
                    let (line, input) = (line.clone(), input.clone());
                    Undo::Command { netns: netns.clone(), line, input }
                });
                commands.collect()
            }
            Self::Sysctl { netns, key, .. } => {
                let value = sysctl::read(&Netns::open(netns)?, key)?;
                vec![Undo::Sysctl { netns: netns.clone(), key: key.clone(), value }]
            }
            Self::Routes { netns, selector, .. } => {
                let lines = show_routes(netns, selector).await?;
                vec![Undo::Routes { netns: netns.clone(), selector: selector.clone(), lines }]
            }
            Self::Process { name, .. } => {
                let before = dir.processes()?.into_iter().find(|process| process.name == *name);
                vec![Undo::Process { name: name.clone(), before }]
            }
            Self::Manifests(files) => {
                let before = |(path, after): &(PathBuf, String)| FileBefore {
                    before: std::fs::read_to_string(path).ok(),
                    path: path.clone(),
                    after: after.clone(),
                };
                vec![Undo::Manifests(files.iter().map(before).collect())]
            }
            Self::Freeze { node } => {
                vec![Undo::Thaw { node: node.clone(), pid: agent(dir, node)? }]
            }
            Self::Speak { .. } => Vec::new(),
            Self::Conntrack { netns, entries } => {
                vec![Undo::Conntrack { netns: netns.clone(), entries: entries.clone() }]
            }
            Self::Program(foreign) => vec![Undo::Unpin(foreign.pin.clone())],
        })
    }

    /// Takes it.
    pub(super) async fn take(&self, dir: &LabDir) -> Result<(), FaultError> {
        match self {
            Self::Command { netns, line, input, .. } => run(netns, line, input).await.map(|_| ()),
            Self::Sysctl { netns, key, value } => {
                Ok(sysctl::write(&Netns::open(netns)?, key, value)?)
            }
            Self::Routes { netns, selector, line } => {
                let added = if line.is_empty() { Vec::new() } else { vec![line.join(" ")] };
                set_routes(netns, selector, &added).await
            }
            Self::Process { name, after } => set_process(dir, name, after.as_ref()).await,
            Self::Manifests(files) => {
                for (path, text) in files {
                    crate::lab::state::write_atomically(path, text.as_bytes())?;
                }
                Ok(())
            }
            Self::Freeze { node } => signal(dir, agent(dir, node)?, libc::SIGSTOP),
            Self::Speak { netns, from, to } => speak(netns, *from, *to),
            Self::Conntrack { netns, entries } => {
                let outcome = Netns::open(netns)?.run(|| make_up(entries))?;
                Ok(outcome?)
            }
            Self::Program(foreign) => foreign.attach(),
        }
    }
}

/// Puts entries into the table. Real ones of the same flows, or in the way of a full table, go.
fn make_up(entries: &conntrack::Entries) -> Result<(), netlink::Error> {
    let table = conntrack::Table::open()?;
    if entries.count > 1 {
        table.clear()?
    } else {
        table.remove(entries)?
    }
    table.insert(entries)
}

/// Sends one octet to the discard port (RFC 863), which nobody need listen on.
fn speak(netns: &str, from: Ipv4Addr, to: Ipv4Addr) -> Result<(), FaultError> {
    const DISCARD: u16 = 9;
    let send = || UdpSocket::bind((from, 0))?.send_to(&[0], (to, DISCARD));
    let outcome = Netns::open(netns)?.run(send)?;
    outcome.map(|_| ()).map_err(FaultError::io("send from", from.to_string()))
}

/// Words of a command line that has none with blanks in it.
pub(super) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Runs a program in a namespace, and returns what it printed.
pub(super) async fn run(netns: &str, line: &[String], input: &str) -> Result<String, FaultError> {
    let Some((name, args)) = line.split_first() else { return Ok(String::new()) };
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Ok(program(name)?.run(&Netns::open(netns)?, &args, input).await?)
}

/// Lines that `ip route add` takes.
async fn show_routes(netns: &str, selector: &[String]) -> Result<Vec<String>, FaultError> {
    let mut line = words("ip -d route show exact");
    line.extend(selector.iter().cloned());
    let shown = match run(netns, &line, "").await {
        Ok(shown) => shown,
        // A table is made with its first route.
        Err(FaultError::Program(proxy::Error::Refused { complaint, .. }))
            if complaint.contains("table does not exist") =>
        {
            String::new()
        }
        Err(error) => return Err(error),
    };
    Ok(shown.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
}

/// Takes away what `selector` selects, and adds these.
pub(super) async fn set_routes(
    netns: &str,
    selector: &[String],
    lines: &[String],
) -> Result<(), FaultError> {
    for _ in show_routes(netns, selector).await? {
        let mut line = words("ip route del");
        line.extend(selector.iter().cloned());
        run(netns, &line, "").await?;
    }
    for route in lines {
        let mut line = words("ip route add");
        // What the kernel only tells about a route.
        line.extend(words(route).into_iter().filter(|word| word != "linkdown" && word != "dead"));
        run(netns, &line, "").await?;
    }
    Ok(())
}

/// Has the supervisor keep this running under `name`, and waits until it does.
pub(super) async fn set_process(
    dir: &LabDir,
    name: &str,
    after: Option<&Process>,
) -> Result<(), FaultError> {
    let mut processes = dir.processes()?;
    let before = processes.iter().find(|process| process.name == name).cloned();
    if before.as_ref() == after {
        return Ok(());
    }
    processes.retain(|process| process.name != name);
    processes.extend(after.cloned());
    processes.sort_by(|a, b| a.name.cmp(&b.name));
    let report = || Report::read(dir).ok().flatten().unwrap_or_default();
    let old = report().processes.get(name).and_then(|said| said.pid);
    dir.write_processes(&processes)?;
    let running =
        processes::running(dir.name()).map_err(FaultError::io("find", "the supervisor"))?;
    for process in running.iter().filter(|process| process.part == Part::Supervisor) {
        process.signal(libc::SIGHUP).map_err(FaultError::io("signal", "the supervisor"))?;
    }
    super::inject::wait_for(&format!("{name} to be as wanted"), || {
        match (report().processes.get(name), after) {
            (None, None) => true,
            (Some(said), Some(_)) => said.pid.is_some() && said.pid != old,
            _ => false,
        }
    })
    .await
}

/// Process id of a node's agent.
fn agent(dir: &LabDir, node: &str) -> Result<u32, FaultError> {
    let status = dir.agent_status(node)?;
    status
        .map(|status| status.pid)
        .ok_or_else(|| FaultError::Input(format!("the agent of {node} is not running")))
}

/// Signals one of the lab's processes. One that has gone is fine.
pub(super) fn signal(dir: &LabDir, pid: u32, signal: i32) -> Result<(), FaultError> {
    let running =
        processes::running(dir.name()).map_err(FaultError::io("find", "the lab's processes"))?;
    for process in running {
        if u32::try_from(process.pid).is_ok_and(|id| id == pid) {
            process.signal(signal).map_err(FaultError::io("signal", format!("process {pid}")))?;
        }
    }
    Ok(())
}
