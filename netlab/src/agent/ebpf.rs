//! The agent's eBPF datapath: maps that agree with the spec, programs that let packets in.

use std::path::PathBuf;

use log::{debug, info, warn};
use netlab_common::{abi::Config, conntrack::Timeouts};

use super::{
    Error, Result,
    network::{self, Network},
    status::{AgentStatus, Attachment, ConntrackUse},
};
use crate::{
    datapath::{
        attach::{Attachments, Device, Hook},
        compile::{Tables, compile},
        conntrack,
        load::{Maps, Programs, load},
        migrate,
        tables::{self, TablesPlan},
    },
    netlink::{Connection, sysctl},
    spec::Spec,
};

/// The kernel's range for ephemeral ports.
const LOCAL_PORT_RANGE: &str = "ipv4/ip_local_port_range";

/// What an agent that loads eBPF programs is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Interfaces that clients and other nodes are reached by; empty: those with the
    /// node's addresses.
    pub uplinks: Vec<String>,
    /// Hook.
    pub hook: Hook,
    /// Folder in the BPF file system.
    pub pins: PathBuf,
    /// Conntrack entries, two a connection.
    pub conntrack_max: u32,
    /// Lowest and highest source port of masqueraded connections.
    pub snat_ports: [u16; 2],
}

/// The programs and their maps.
pub(super) struct Ebpf {
    options: Options,
    node: String,
    programs: Programs,
    maps: Maps,
    timeouts: Timeouts,
    network: Option<Network>,
    attachments: Attachments,
    /// What is in the maps.
    present: Tables,
}

impl Ebpf {
    pub(super) fn open(options: Options, node: String) -> Result<Self> {
        migrate::check(&options.pins)?;
        let (programs, mut maps) = load(Some(&options.pins), options.conntrack_max)?;
        if let Some(entries) = migrate::take_over(&options.pins, &mut maps)? {
            info!("took over {entries} conntrack entries of ABI version 1");
        }
        let present = tables::observe(&maps)?;
        let (timeouts, attachments) = (Timeouts::DEFAULT, Attachments::default());
        Ok(Self { options, node, programs, maps, timeouts, network: None, attachments, present })
    }

    /// Makes the maps agree with the spec and the node's network.
    pub(super) async fn agree(
        &mut self,
        spec: &Spec,
        connection: &Connection,
        status: &mut AgentStatus,
    ) -> Result<()> {
        let network = network::observe(connection, spec, &self.node, &self.options.uplinks).await?;
        if self.network.as_ref() != Some(&network) {
            let config = self.config(&network, connection);
            tables::configure(&mut self.maps, &config)?;
            tables::apply_vteps(&mut self.maps, &network.vteps)?;
        }
        let desired = compile(spec, &network, &self.present);
        let plan = TablesPlan::new(&desired, &self.present);
        if !plan.is_empty() {
            tables::check_room(&self.maps, &desired)?;
            tables::apply(&mut self.maps, &plan)?;
            let forgotten = conntrack::forget(&mut self.maps, &plan.removed_backends(&desired))?;
            info!("{} map entries changed, {forgotten} connections forgotten", plan.len());
            self.present = desired;
        }
        self.attach(&network, status)?;
        self.network = Some(network);
        status.frontends = self.present.frontends.len();
        status.backends = self.present.backends.len();
        Ok(())
    }

    /// After a failure: some of the plan may have been carried out.
    pub(super) fn observe(&mut self) -> Result<()> {
        self.present = tables::observe(&self.maps)?;
        Ok(())
    }

    /// Captures are no reason to stop answering node ports.
    pub(super) fn evict(&mut self) {
        if let Err(error) = self.programs.evict() {
            debug!("cannot make room for captures: {error}");
        }
    }

    /// What collects dead connections and tells how full the table is. A large table takes
    /// seconds, so it is for a thread of its own.
    pub(super) fn collection(&self) -> impl FnOnce() -> Result<ConntrackUse> + Send + use<> {
        let (pins, timeouts) = (self.options.pins.clone(), self.timeouts);
        let capacity = self.options.conntrack_max as usize;
        move || {
            let (stay, gone) =
                conntrack::collect(&mut Maps::open(&pins)?, &timeouts, conntrack::now())?;
            if gone > 0 {
                debug!("conntrack: {gone} entries collected, {stay} stay");
            }
            if stay * 10 > capacity * 9 {
                warn!(
                    "conntrack has {stay} of {capacity} entries: beyond that the connections \
                     that were silent for longest are forgotten; raise --conntrack-max"
                );
            }
            Ok(ConntrackUse { entries: stay, capacity })
        }
    }

    /// Lets packets in, now that the maps are filled.
    fn attach(&mut self, network: &Network, status: &mut AgentStatus) -> Result<()> {
        let (uplinks, tunnels) = (&network.uplinks, &network.tunnels);
        let first = self.network.is_none();
        if uplinks.is_empty() && first {
            return Err(Error::NoUplink(self.node.clone()));
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
        if let Some(hook) = self.attachments.chosen().filter(|_| attached != status.attached) {
            info!("hook {}: {}", hook.name, hook.reason);
            status.hook = hook.name.into();
            status.hook_reason.clone_from(&hook.reason);
            status.attached = attached;
        }
        Ok(())
    }

    fn config(&self, network: &Network, connection: &Connection) -> Config {
        let ephemeral = ephemeral_ports(connection);
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
}

/// The kernel's default where it does not say.
fn ephemeral_ports(connection: &Connection) -> [u16; 2] {
    let read = sysctl::read(connection.netns(), LOCAL_PORT_RANGE).ok();
    let ports: Option<Vec<u16>> =
        read.and_then(|text| text.split_whitespace().map(|word| word.parse().ok()).collect());
    match ports.as_deref() {
        Some(&[low, high]) => [low, high],
        _ => [32768, 60999],
    }
}

fn all_there<'d>(mut devices: impl Iterator<Item = &'d Device>) -> bool {
    devices.all(|device| {
        nix::net::if_::if_nametoindex(device.name.as_str()).is_ok_and(|now| now == device.index)
    })
}
