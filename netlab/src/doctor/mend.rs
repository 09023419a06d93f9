//! Mends: how commands of findings are typed on the machine that was looked at, and running them.
//!
//! Law: a command is run as it stands, by execve in the namespace of its host; no shell reads it.
//! It is run only where the host is still the one that was looked at, and of a lab only inside of
//! the lab's namespaces.
//!
//! # Errors
//!
//! [`MendError`]: the namespace has gone, the program is not installed, or it complains.

#[cfg(test)]
mod tests;

use std::{fmt, process::Stdio, time::Duration};

use tokio::{process::Command, time};

use super::{
    facts::{Facts, HostFacts, Lab, kubectl_flags},
    finding::{Finding, Fix},
    plain::quoted,
};
use crate::{
    netlink::{self, Netns},
    proxy::Program,
};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The lab that commands mean which name none.
const DEFAULT: &str = "lab";
/// How hosts without a name under /run/netns are called: `pid:NUMBER`.
const BY_PROCESS: &str = "pid:";

/// Why a command has not mended.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// Nothing is run for it.
    #[error("nothing is run: {0}")]
    Unfit(Unfit),
    /// The namespace is another now.
    #[error("{0} is not the namespace any more that was looked at; run netlab doctor again")]
    Another(String),
    /// The namespace cannot be entered.
    #[error(transparent)]
    Netns(#[from] netlink::Error),
    /// No such program.
    #[error("{0} is not installed")]
    Missing(String),
    /// It cannot be started.
    #[error("cannot run {program}")]
    Start {
        /// The program.
        program: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// It does not end.
    #[error("{program} did not end within {} s", PATIENCE.as_secs())]
    Late {
        /// The program.
        program: String,
    },
    /// It has failed.
    #[error("{program} failed ({status})")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it printed, to either stream.
        printed: String,
    },
}

/// Why nothing is run for a fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The mend is no command: a person has to know it.
    Advice,
    /// The command shows something and mends nothing.
    Looks,
    /// A lab has no API server.
    NoApiServer {
        /// Where the lab's objects are.
        manifests: String,
    },
    /// The objects are of files, and those of whichever API server kubectl finds may be others.
    OtherObjects,
    /// The host is none of those that were looked at.
    NoHost(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Advice => f.write_str("only a person can know how"),
            Self::Looks => f.write_str("the command only looks"),
            Self::NoApiServer { manifests } => {
                write!(f, "a lab has no API server; edit {manifests}, which the agents follow")
            }
            Self::OtherObjects => f.write_str(
                "the objects were read from files, so nothing is run against an API server; \
                 --kubernetes asks it for its own",
            ),
            Self::NoHost(host) => write!(f, "{host} is none of the hosts that were looked at"),
        }
    }
}

/// Writes into each fix how its commands are typed, and into those of kubectl which API server
/// they are for.
pub fn type_out(findings: &mut [Finding], facts: &Facts) {
    let flags = of_api_server(facts).unwrap_or_default();
    for finding in findings {
        for fix in &mut finding.fixes {
            name_lab(fix, facts);
            if is_of_api(fix) && !fix.command.iter().any(|word| flags.contains(&word.as_str())) {
                fix.command.extend(flags.iter().map(ToString::to_string));
            }
            let host = fix.host.as_deref();
            fix.typed = typed(host, &fix.command, facts);
            for step in &mut fix.then {
                step.typed = typed(step.host.as_deref().or(host), &step.command, facts);
            }
        }
        type_out(&mut finding.consequences, facts);
    }
}

/// Netlab's own commands are about the lab `lab` where they name none.
fn name_lab(fix: &mut Fix, facts: &Facts) {
    const UP: &str = "netlab lab up";
    let Some(lab) = facts.lab.as_ref().filter(|lab| lab.name.as_str() != DEFAULT) else { return };
    let flag = ["--name", lab.name.as_str()];
    if fix.words.contains(UP) && !fix.words.contains(flag[0]) {
        fix.words = fix.words.replace(UP, &format!("{UP} {}", flag.join(" ")));
    }
    let steps = fix.then.iter_mut().map(|step| &mut step.command);
    for command in std::iter::once(&mut fix.command).chain(steps) {
        let is_own = command.first().is_some_and(|program| program == "netlab");
        if is_own && !command.iter().any(|word| word == flag[0]) {
            // Behind the verb: what follows flags may be an expression.
            let verb = if command.get(1).is_some_and(|verb| verb == "lab") { 3 } else { 2 };
            let at = command.len().min(verb);
            command.splice(at..at, flag.map(str::to_owned));
        }
    }
}

/// What kubectl needs to reach the API server that the objects are of; None where they are of
/// none.
fn of_api_server(facts: &Facts) -> Option<Vec<&str>> {
    facts.manifests.iter().find_map(|manifest| kubectl_flags(&manifest.origin))
}

fn is_of_api(fix: &Fix) -> bool {
    fix.command.first().is_some_and(|program| program == "kubectl")
}

/// Why nothing is to be run for a fix; None where its command can be run here.
#[must_use]
pub fn unfit(fix: &Fix, facts: &Facts) -> Option<Unfit> {
    if fix.command.is_empty() {
        return Some(Unfit::Advice);
    }
    if !fix.mends {
        return Some(Unfit::Looks);
    }
    if is_of_api(fix) {
        let manifests = |lab: &Lab| crate::lab::LabDir::new(&lab.name).manifests();
        if let Some(lab) = &facts.lab {
            return Some(Unfit::NoApiServer { manifests: manifests(lab).display().to_string() });
        }
        if of_api_server(facts).is_none() {
            return Some(Unfit::OtherObjects);
        }
    }
    let of_lab = facts.lab.is_some();
    let hosts = fix.then.iter().filter_map(|step| step.host.as_deref()).map(Some);
    let mut hosts = std::iter::once(fix.host.as_deref()).chain(hosts);
    hosts.find_map(|host| foreign(host, of_lab, facts))
}

/// Why nothing is run on a host.
fn foreign(host: Option<&str>, of_lab: bool, facts: &Facts) -> Option<Unfit> {
    match host.map(|name| (name, facts.host(name))) {
        Some((name, None)) => Some(Unfit::NoHost(name.to_owned())),
        Some((name, Some(host))) if of_lab && host.netns.is_none() => {
            Some(Unfit::NoHost(name.to_owned()))
        }
        None if of_lab => Some(Unfit::NoHost("this machine".to_owned())),
        _ => None,
    }
}

/// A mend that has stopped before its end.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Stopped {
    /// How many of its commands have been done before.
    pub done: usize,
    /// Why the next was not.
    #[source]
    pub error: MendError,
}

impl From<MendError> for Stopped {
    /// Before the first command.
    fn from(error: MendError) -> Self {
        Self { done: 0, error }
    }
}

/// Runs the commands of a fix where they belong, up to the first that fails. Returns what they
/// complained about although they say to have succeeded, as sysctl(8) does of what the kernel
/// refuses.
///
/// # Errors
///
/// [`Stopped`]. What was done until then stays; nothing is begun where a program is missing.
pub async fn run(fix: &Fix, facts: &Facts) -> Result<String, Stopped> {
    if let Some(why) = unfit(fix, facts) {
        return Err(MendError::Unfit(why).into());
    }
    let hosts = std::iter::once(fix.host.as_deref())
        .chain(fix.then.iter().map(|step| step.host.as_deref().or(fix.host.as_deref())));
    let commands = hosts.zip(fix.commands());
    let commands = commands.filter_map(|(host, command)| Some((host, command.split_first()?)));
    let found = commands.map(|(host, (name, args))| {
        let netns = namespace(host.and_then(|name| facts.host(name)))?;
        let program = Program::find(name).ok_or_else(|| MendError::Missing(name.clone()))?;
        Ok((name, Command::from(netns.command(program.path())), args))
    });
    let found: Vec<_> = found.collect::<Result<_, MendError>>()?;
    let mut complaints = Vec::new();
    for (done, (program, mut command, args)) in found.into_iter().enumerate() {
        let ended = execute(program, command.args(args)).await;
        complaints.push(ended.map_err(|error| Stopped { done, error })?);
    }
    complaints.retain(|complaint| !complaint.is_empty());
    Ok(complaints.join("\n"))
}

/// Runs one command; what it has written to stderr.
async fn execute(program: &str, command: &mut Command) -> Result<String, MendError> {
    command.env("LC_ALL", "C").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = time::timeout(PATIENCE, command.output()).await;
    let output = ended
        .map_err(|_| MendError::Late { program: program.to_owned() })?
        .map_err(|source| MendError::Start { program: program.to_owned(), source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stderr));
    }
    let printed = [text(&output.stdout), text(&output.stderr)].join("\n").trim().to_owned();
    Err(MendError::Failed { program: program.to_owned(), status: output.status, printed })
}

/// That of a host, if it is the one that was looked at; without a host, the one of this process.
pub(super) fn namespace(host: Option<&HostFacts>) -> Result<Netns, MendError> {
    let Some(host) = host else { return Ok(Netns::current()?) };
    let netns = match (&host.netns, process(host)) {
        (Some(name), _) => Netns::open(name)?,
        (None, Some(pid)) => Netns::of_process(pid)?,
        (None, None) => Netns::current()?,
    };
    if host.inode != 0 && netns.inode()? != host.inode {
        return Err(MendError::Another(host.name.clone()));
    }
    Ok(netns)
}

/// A process in the namespace of a host that has no other name.
fn process(host: &HostFacts) -> Option<u32> {
    host.name.strip_prefix(BY_PROCESS)?.parse().ok()
}

/// As it is typed into a shell: with what leads into the namespace, where the host is one.
fn typed(host: Option<&str>, command: &[String], facts: &Facts) -> String {
    if command.is_empty() {
        return String::new();
    }
    let host = host.and_then(|name| facts.host(name));
    let inside: Vec<String> = match host.map(|host| (&host.netns, process(host))) {
        Some((Some(netns), _)) => ["ip", "netns", "exec", netns].map(str::to_owned).into(),
        Some((None, Some(pid))) => {
            let pid = pid.to_string();
            ["nsenter", "--net", "--target", &pid].map(str::to_owned).into()
        }
        _ => Vec::new(),
    };
    let words = inside.iter().chain(command);
    words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}
