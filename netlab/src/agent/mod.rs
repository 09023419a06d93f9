//! The agent of one node: follows the spec, and makes the datapath agree with it.
//!
//! The one loop of netlab that reads up and writes down: a new spec or a change of the
//! node's network leads to new tables, whose difference from the present ones is
//! applied. A spec that cannot be read changes nothing but the status.

pub mod network;
pub mod status;

use std::{path::PathBuf, time::Duration};

use futures_util::StreamExt as _;
use log::{debug, error, info, warn};
use netlab_common::{abi::Config, conntrack::Timeouts};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use self::{
    network::Network,
    status::{AgentStatus, Attachment, ConntrackUse},
};
use crate::{
    datapath::{
        self,
        attach::{Attachments, Device, Hook},
        compile::{Tables, compile, not_honoured},
        conntrack,
        load::{Maps, Programs, load},
        tables::{self, TablesPlan},
    },
    netlink::{self, Connection, Netns, sysctl},
    source::{
        Update,
        directory::{Directory, SourceError},
    },
    spec::Spec,
};

/// How often dead connections are collected.
const COLLECT_EVERY: Duration = Duration::from_secs(5);

/// How often captures that were killed are looked for.
const EVICT_EVERY: Duration = Duration::from_millis(250);
/// The kernel's range for ephemeral ports.
const LOCAL_PORT_RANGE: &str = "ipv4/ip_local_port_range";

/// What an agent is told when it starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of manifests.
    pub source: PathBuf,
    /// The Node object that is this host.
    pub node: String,
    /// Interfaces that clients and other nodes are reached by; empty: those with the
    /// node's addresses.
    pub uplinks: Vec<String>,
    /// Hook.
    pub hook: Hook,
    /// Directory for the status.
    pub state: PathBuf,
    /// Folder in the BPF file system.
    pub pins: PathBuf,
    /// Conntrack entries, two a connection.
    pub conntrack_max: u32,
    /// Lowest and highest source port of masqueraded connections.
    pub snat_ports: [u16; 2],
}

/// Why an agent gave up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The datapath.
    #[error(transparent)]
    Datapath(#[from] datapath::Error),
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

/// Runs until SIGTERM or SIGINT, then detaches and returns.
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
    let mut agent = Agent::new(options, connection)?;
    let mut tick = interval(COLLECT_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut evictions = interval(EVICT_EVERY);
    evictions.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut collection = None;
    loop {
        tokio::select! {
            name = signals.next() => {
                info!("{name}: detaching");
                return agent.stop();
            }
            update = source.next() => agent.on_update(update?).await?,
            Some(()) = changes.next() => agent.on_network_change().await?,
            _ = tick.tick(), if collection.is_none() => {
                collection = Some(agent.start_collection());
                agent.retry().await?;
            }
            _ = evictions.tick() => agent.evict(),
            outcome = finished(&mut collection) => agent.on_collected(outcome)?,
        }
    }
}

/// A collection of dead connections, on a thread of its own: a large table takes seconds.
type Collection = JoinHandle<datapath::Result<(usize, usize)>>;

/// What came of a collection; waits for ever where there is none.
async fn finished(collection: &mut Option<Collection>) -> datapath::Result<(usize, usize)> {
    let Some(handle) = collection else { return std::future::pending().await };
    let outcome = handle.await;
    *collection = None;
    outcome.unwrap_or_else(|error| {
        error!("conntrack: the collection broke off: {error}");
        Ok((0, 0))
    })
}

struct Agent {
    options: Options,
    connection: Connection,
    programs: Programs,
    maps: Maps,
    timeouts: Timeouts,
    /// The last good one.
    spec: Option<Spec>,
    /// Its digest, which takes a walk over all of it.
    digest: String,
    /// Why the newest manifests are not `spec`.
    refused: Option<String>,
    /// Why the maps do not agree with `spec`.
    unapplied: Option<String>,
    network: Option<Network>,
    attachments: Attachments,
    /// What is in the maps.
    present: Tables,
    status: AgentStatus,
    /// As it stands in the state directory.
    written: Option<AgentStatus>,
}

impl Agent {
    fn new(options: Options, connection: Connection) -> Result<Self> {
        let (programs, maps) = load(Some(&options.pins), options.conntrack_max)?;
        let present = tables::observe(&maps)?;
        let status = AgentStatus {
            node: options.node.clone(),
            pid: std::process::id(),
            conntrack: ConntrackUse { entries: 0, capacity: options.conntrack_max as usize },
            ..AgentStatus::default()
        };
        let timeouts = Timeouts::DEFAULT;
        Ok(Self {
            options,
            connection,
            programs,
            maps,
            timeouts,
            spec: None,
            digest: String::new(),
            refused: None,
            unapplied: None,
            network: None,
            attachments: Attachments::default(),
            present,
            status,
            written: None,
        })
    }

    async fn on_update(&mut self, update: Update) -> Result<()> {
        let spec = match update {
            Update::Spec(spec) => spec,
            Update::Broken(broken) => return self.refuse(broken.to_string()),
        };
        if !spec.nodes.iter().any(|node| node.name == self.options.node) {
            let error = Error::NoSuchNode(self.options.node.clone());
            return if self.spec.is_none() { Err(error) } else { self.refuse(error.to_string()) };
        }
        for sentence in not_honoured(&spec) {
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
        self.refused = Some(reason);
        self.write_status()
    }

    async fn on_network_change(&mut self) -> Result<()> {
        debug!("the network changed");
        self.agree_or_say().await
    }

    /// Captures are no reason to stop answering node ports.
    fn evict(&mut self) {
        if let Err(error) = self.programs.evict() {
            debug!("cannot make room for captures: {error}");
        }
    }

    async fn retry(&mut self) -> Result<()> {
        if self.unapplied.is_some() { self.agree_or_say().await } else { Ok(()) }
    }

    /// An agent that cannot start ends. One that has started goes on with what is in the
    /// maps, because ending would take the node ports away, and tries again later.
    async fn agree_or_say(&mut self) -> Result<()> {
        if self.spec.is_none() {
            return Ok(());
        }
        let started = self.network.is_some();
        match self.agree().await {
            Ok(()) => {
                self.unapplied = None;
                if self.status.spec != self.digest {
                    self.status.generation += 1;
                    self.status.spec.clone_from(&self.digest);
                }
            }
            Err(error) if started => {
                error!("{error}; what was applied before stays in use");
                self.unapplied = Some(error.to_string());
                // Some of the plan may have been carried out.
                self.present = tables::observe(&self.maps)?;
            }
            Err(error) => return Err(error),
        }
        self.write_status()
    }

    /// Makes the maps agree with the spec and the node's network.
    async fn agree(&mut self) -> Result<()> {
        let Some(spec) = &self.spec else { return Ok(()) };
        let network = network::observe(&self.connection, spec, &self.options).await?;
        if self.network.as_ref() != Some(&network) {
            let config = self.config(&network);
            tables::configure(&mut self.maps, &config)?;
            tables::apply_vteps(&mut self.maps, &network.vteps)?;
        }
        let desired = compile(spec, &network, &self.present);
        let plan = TablesPlan::new(&desired, &self.present);
        if !plan.is_empty() {
            tables::apply(&mut self.maps, &plan)?;
            let forgotten = conntrack::forget(&mut self.maps, &plan.removed_backends(&desired))?;
            info!("{} map entries changed, {forgotten} connections forgotten", plan.len());
            self.present = desired;
        }
        self.attach(&network)?;
        self.network = Some(network);
        self.status.frontends = self.present.frontends.len();
        self.status.backends = self.present.backends.len();
        Ok(())
    }

    /// Lets packets in, now that the maps are filled.
    fn attach(&mut self, network: &Network) -> Result<()> {
        let (uplinks, tunnels) = (&network.uplinks, &network.tunnels);
        let first = self.network.is_none();
        if uplinks.is_empty() && first {
            return Err(Error::NoUplink(self.options.node.clone()));
        }
        let choice = self.options.hook;
        match self.attachments.agree(&mut self.programs, choice, uplinks, tunnels) {
            Err(error) if !first && !all_there(uplinks.iter().chain(tunnels)) => {
                // Whatever took it away is a change that leads here again.
                debug!("an interface went while programs were attached: {error}");
            }
            outcome => outcome?,
        }
        let attached = self.attachments.list().into_iter().map(|attached| Attachment {
            program: attached.program.into(),
            interface: attached.interface.name,
            index: attached.interface.index,
            kind: attached.kind.into(),
        });
        let attached: Vec<_> = attached.collect();
        if let Some(hook) = self.attachments.chosen().filter(|_| attached != self.status.attached) {
            info!("hook {}: {}", hook.name, hook.reason);
            self.status.hook = hook.name.into();
            self.status.hook_reason.clone_from(&hook.reason);
            self.status.attached = attached;
        }
        Ok(())
    }

    fn config(&self, network: &Network) -> Config {
        let ephemeral = self.ephemeral_ports();
        let [low, high] = self.options.snat_ports;
        if low <= ephemeral[1] && ephemeral[0] <= high {
            warn!(
                "--snat-ports {low}-{high} overlaps {LOCAL_PORT_RANGE} {}-{}: a local \
                 connection may meet a masqueraded one",
                ephemeral[0], ephemeral[1]
            );
        }
        let mut config = Config {
            version: netlab_common::abi::VERSION,
            snat_ports: self.options.snat_ports,
            vxlan_source_ports: ephemeral,
            timeouts: self.timeouts,
            ..Config::default()
        };
        if let Some(vxlan) = &network.vxlan {
            config.vxlan_ifindex = vxlan.index;
            config.vni = vxlan.vni;
            config.vxlan_port = vxlan.port.to_be_bytes();
            config.vtep = vxlan.local.into();
        }
        config
    }

    /// The kernel's default where it does not say.
    fn ephemeral_ports(&self) -> [u16; 2] {
        let read = sysctl::read(self.connection.netns(), LOCAL_PORT_RANGE).ok();
        let ports: Option<Vec<u16>> =
            read.and_then(|text| text.split_whitespace().map(|word| word.parse().ok()).collect());
        match ports.as_deref() {
            Some(&[low, high]) => [low, high],
            _ => [32768, 60999],
        }
    }

    fn start_collection(&self) -> Collection {
        let (pins, timeouts) = (self.options.pins.clone(), self.timeouts);
        tokio::task::spawn_blocking(move || {
            conntrack::collect(&mut Maps::open(&pins)?, &timeouts, conntrack::now())
        })
    }

    /// Tells how full the table is.
    fn on_collected(&mut self, outcome: datapath::Result<(usize, usize)>) -> Result<()> {
        let (stay, gone) = match outcome {
            Ok(counts) => counts,
            Err(error) => {
                error!("{error}; trying again in {COLLECT_EVERY:?}");
                return Ok(());
            }
        };
        if gone > 0 {
            debug!("conntrack: {gone} entries collected, {stay} stay");
        }
        let capacity = self.options.conntrack_max as usize;
        if stay * 10 > capacity * 9 {
            warn!(
                "conntrack has {stay} of {capacity} entries: beyond that the connections that \
                 were silent for longest are forgotten; raise --conntrack-max"
            );
        }
        self.status.conntrack = ConntrackUse { entries: stay, capacity };
        self.write_status()
    }

    /// The maps stay pinned with what is in them; dropping the programs detaches them.
    fn stop(self) -> Result<()> {
        status::remove(&self.options.state).map_err(|source| self.status_error(source))
    }

    /// Writes the status where it has changed; before the first spec there is none.
    fn write_status(&mut self) -> Result<()> {
        let error = self.refused.as_ref().or(self.unapplied.as_ref()).cloned();
        let before = self.written.replace(AgentStatus { error, ..self.status.clone() });
        if before == self.written || (self.spec.is_none() && self.refused.is_none()) {
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

fn all_there<'d>(mut devices: impl Iterator<Item = &'d Device>) -> bool {
    devices.all(|device| {
        nix::net::if_::if_nametoindex(device.name.as_str()).is_ok_and(|now| now == device.index)
    })
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
