//! The agent of one node: follows the spec, and makes its datapath agree with it.
//!
//! The one loop of netlab that reads up and writes down: a new spec or a change of the
//! node's network leads to new tables or rules, whose difference from the present ones is
//! applied. A spec that cannot be read changes nothing but the status. The loop is the same
//! for netlab's own programs and for kube-proxy's rules; what differs is in
//! `datapath`.

mod datapath;
pub mod ebpf;
pub mod network;
pub mod status;

use std::{fmt, path::PathBuf, time::Duration};

use futures_util::{Stream, StreamExt as _};
use log::{debug, error, info, warn};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use self::{
    datapath::Datapath,
    status::{AgentStatus, ConntrackUse},
};
use crate::{
    netlink::{self, Connection, Netns},
    proxy,
    source::{
        Update,
        directory::{Directory, SourceError},
    },
    spec::{Spec, model::Node},
};

/// How often dead connections are collected.
const COLLECT_EVERY: Duration = Duration::from_secs(5);

/// How often captures that were killed are looked for.
const EVICT_EVERY: Duration = Duration::from_millis(250);

/// What an agent is told when it starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of manifests.
    pub source: PathBuf,
    /// The Node object that is this host.
    pub node: String,
    /// Directory for the status.
    pub state: PathBuf,
    /// What answers.
    pub datapath: Choice,
}

/// What answers at the node.
#[derive(Clone, Debug)]
pub enum Choice {
    /// netlab's own programs.
    Ebpf(ebpf::Options),
    /// Rules as kube-proxy's.
    KubeProxy(proxy::Kind),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ebpf(_) => f.write_str("ebpf"),
            Self::KubeProxy(kind) => kind.fmt(f),
        }
    }
}

/// Why an agent gave up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The datapath.
    #[error(transparent)]
    Datapath(#[from] crate::datapath::Error),
    /// kube-proxy's rules.
    #[error(transparent)]
    Proxy(#[from] proxy::Error),
    /// The network configuration.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The manifests' directory.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The spec knows no such node.
    #[error("no Node is called {0:?} in the manifests; --node takes the Node object's name")]
    NoSuchNode(String),
    /// No interface for the datapath.
    #[error("no interface has an address of node {0:?}; name it with --uplink")]
    NoUplink(String),
    /// Status, signals.
    #[error("cannot {operation} {subject}")]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On what.
        subject: String,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
}

type Result<T, E = Error> = std::result::Result<T, E>;

/// Runs until SIGTERM or SIGINT. Programs detach then; kube-proxy's rules stay.
///
/// # Errors
///
/// Where the datapath cannot be set up, or the manifests can no longer be followed.
pub async fn run(options: Options) -> Result<()> {
    let mut signals = Signals::new()?;
    let netns = Netns::current()?;
    let connection = Connection::open(&netns)?;
    let mut changes = connection.changes()?;
    let mut source = Directory::watch(&options.source)?;
    let mut agent = Agent::new(options, connection).await?;
    // In the middle of anything: loading many rules takes longer than a signal may go unheard.
    let name = tokio::select! {
        name = signals.next() => name,
        outcome = agent.follow(&mut source, &mut changes) => return outcome,
    };
    info!("{name}: ending");
    agent.stop()
}

/// A look at the connections, on a thread of its own.
type Collection = JoinHandle<Result<ConntrackUse>>;

/// What came of a collection; waits for ever where there is none.
async fn finished(collection: &mut Option<Collection>) -> Result<Option<ConntrackUse>> {
    let Some(handle) = collection else { return std::future::pending().await };
    let outcome = handle.await;
    *collection = None;
    match outcome {
        Ok(found) => found.map(Some),
        Err(error) => {
            error!("conntrack: the collection broke off: {error}");
            Ok(None)
        }
    }
}

struct Agent {
    options: Options,
    connection: Connection,
    datapath: Datapath,
    /// The last good one.
    spec: Option<Spec>,
    /// Its digest, which takes a walk over all of it.
    digest: String,
    /// Why the newest manifests are not `spec`.
    refused: Option<String>,
    /// Why the kernel does not agree with `spec`.
    unapplied: Option<String>,
    /// The kernel has agreed with a spec once.
    started: bool,
    status: AgentStatus,
    /// As it stands in the state directory.
    written: Option<AgentStatus>,
}

impl Agent {
    async fn new(options: Options, connection: Connection) -> Result<Self> {
        let mut status = AgentStatus {
            node: options.node.clone(),
            pid: std::process::id(),
            ..AgentStatus::default()
        };
        let choice = options.datapath.clone();
        let datapath = Datapath::open(choice, &options.node, &connection, &mut status).await?;
        "reading the objects".clone_into(&mut status.activity);
        let mut agent = Self {
            options,
            connection,
            datapath,
            spec: None,
            digest: String::new(),
            refused: None,
            unapplied: None,
            started: false,
            status,
            written: None,
        };
        agent.write_status()?;
        Ok(agent)
    }

    /// Reads up and writes down for as long as that goes well.
    async fn follow(
        &mut self,
        source: &mut Directory,
        changes: &mut (impl Stream<Item = ()> + Unpin),
    ) -> Result<()> {
        let mut tick = interval(COLLECT_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut evictions = interval(EVICT_EVERY);
        evictions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut collection = None;
        loop {
            tokio::select! {
                update = source.next() => self.on_update(update?).await?,
                Some(()) = changes.next() => self.on_network_change().await?,
                _ = tick.tick(), if collection.is_none() => {
                    collection = Some(self.start_collection());
                    self.retry().await?;
                }
                _ = evictions.tick() => self.datapath.evict(),
                outcome = finished(&mut collection) => self.on_collected(outcome)?,
            }
        }
    }

    async fn on_update(&mut self, update: Update) -> Result<()> {
        let spec = match update {
            Update::Spec(spec) => spec,
            Update::Broken(broken) => return self.refuse(broken.to_string()),
        };
        if node_of(&spec, &self.options.node).is_none() {
            let error = Error::NoSuchNode(self.options.node.clone());
            return if self.spec.is_none() { Err(error) } else { self.refuse(error.to_string()) };
        }
        for sentence in self.datapath.not_honoured(&spec) {
            warn!("{sentence}");
        }
        self.refused = None;
        self.digest = spec.digest();
        self.spec = Some(spec);
        self.agree_or_say().await
    }

    /// A spec that cannot be used changes nothing but the status.
    fn refuse(&mut self, reason: String) -> Result<()> {
        error!("{reason}; the last good spec stays in use");
        self.status.activity.clear();
        self.refused = Some(reason);
        self.write_status()
    }

    async fn on_network_change(&mut self) -> Result<()> {
        if !self.datapath.follows_the_network() {
            return Ok(());
        }
        debug!("the network changed");
        self.agree_or_say().await
    }

    async fn retry(&mut self) -> Result<()> {
        if self.unapplied.is_some() { self.agree_or_say().await } else { Ok(()) }
    }

    /// An agent that cannot start ends. One that has started goes on with what is in the
    /// kernel, because ending would take the node ports away, and tries again later.
    async fn agree_or_say(&mut self) -> Result<()> {
        if self.spec.is_none() {
            return Ok(());
        }
        if self.status.spec != self.digest || self.unapplied.is_some() {
            "programming the kernel".clone_into(&mut self.status.activity);
            self.write_status()?;
        }
        let outcome = self.agree().await;
        self.status.activity.clear();
        match outcome {
            Ok(()) => {
                self.started = true;
                self.unapplied = None;
                if self.status.spec != self.digest {
                    self.status.generation += 1;
                    self.status.spec.clone_from(&self.digest);
                }
            }
            Err(error) if self.started => {
                error!("{error}; what was applied before stays in use");
                self.unapplied = Some(error.to_string());
                self.datapath.recover()?;
            }
            Err(error) => return Err(error),
        }
        self.write_status()
    }

    async fn agree(&mut self) -> Result<()> {
        let Some(spec) = &self.spec else { return Ok(()) };
        let name = &self.options.node;
        let node = node_of(spec, name).ok_or_else(|| Error::NoSuchNode(name.clone()))?;
        let state = &self.options.state;
        self.datapath.agree(spec, node, &self.connection, &mut self.status, state).await
    }

    fn start_collection(&self) -> Collection {
        tokio::task::spawn_blocking(self.datapath.collection(&self.connection))
    }

    /// Tells how full the table is.
    fn on_collected(&mut self, outcome: Result<Option<ConntrackUse>>) -> Result<()> {
        match outcome {
            Ok(Some(found)) => self.status.conntrack = found,
            Ok(None) => {}
            Err(error) => error!("{error}; trying again in {COLLECT_EVERY:?}"),
        }
        self.write_status()
    }

    /// Maps stay pinned with what is in them, and rules stay; programs detach when they drop.
    fn stop(self) -> Result<()> {
        status::remove(&self.options.state).map_err(|source| self.status_error(source))
    }

    /// Writes the status where it has changed.
    fn write_status(&mut self) -> Result<()> {
        let error = self.refused.as_ref().or(self.unapplied.as_ref()).cloned();
        let before = self.written.replace(AgentStatus { error, ..self.status.clone() });
        if before == self.written {
            return Ok(());
        }
        let Some(status) = &self.written else { return Ok(()) };
        status::write(&self.options.state, status).map_err(|source| self.status_error(source))
    }

    fn status_error(&self, source: std::io::Error) -> Error {
        let subject = self.options.state.join(status::FILE_NAME).display().to_string();
        Error::Io { operation: "write", subject, source }
    }
}

fn node_of<'s>(spec: &'s Spec, name: &str) -> Option<&'s Node> {
    spec.nodes.iter().find(|node| node.name == name)
}

/// What ends an agent.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind, name: &str| {
            signal(kind).map_err(|source| Error::Io {
                operation: "listen for",
                subject: name.to_owned(),
                source,
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
