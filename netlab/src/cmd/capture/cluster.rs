//! The lab's objects, for names and for Services.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::Context as _;
use netlab::{
    capture::service,
    datapath::{conntrack, load::Maps},
    lab::{LabDir, Role, Topology},
    spec::{Spec, read_directory},
    trace::follow::Follower,
};

use super::place;
use crate::cli::CaptureArgs;

/// A lab, as far as packets have to do with it.
pub(super) struct Cluster {
    lab: LabDir,
    topology: Topology,
    spec: Spec,
}

impl Cluster {
    /// The lab that hosts were named of; None where none were. Manifests that are broken cost
    /// the names, not the capture.
    pub fn of(args: &CaptureArgs) -> Option<Self> {
        if args.place.nodes.is_empty() && args.choice.service.is_none() {
            return None;
        }
        let cluster = Self::named(args);
        cluster.inspect_err(|error| log::warn!("{error:#}; Services are not named")).ok()
    }

    /// The lab that was named, or the default one.
    pub fn named(args: &CaptureArgs) -> anyhow::Result<Self> {
        let topology = place::topology(args)?;
        let lab = LabDir::new(&args.place.name.name);
        let manifests = lab.manifests();
        let spec = read_directory(&manifests)
            .and_then(|objects| objects.resolve())
            .with_context(|| format!("cannot use the manifests in {}", manifests.display()))?;
        Ok(Self { lab, topology, spec })
    }

    /// What belongs to a Service, as a filter expression.
    pub fn expression(&self, name: &str) -> anyhow::Result<String> {
        Ok(service::filter(&self.spec, name)?)
    }

    /// Whose the sockets are.
    pub fn services(&self) -> BTreeMap<(u8, SocketAddr), String> {
        let sockets = |service| {
            let sockets = service::sockets(&self.spec, service).into_iter();
            sockets
                .map(|(protocol, socket)| ((protocol.number(), socket), service.name.to_string()))
        };
        self.spec.services.iter().flat_map(sockets).collect()
    }

    /// Tells a follower whose addresses are whose, and which translations are known.
    pub fn introduce(&self, follower: &mut Follower) {
        for host in &self.topology.hosts {
            for address in &host.addresses {
                follower.locate(address.net.addr(), &host.name);
            }
        }
        for ((protocol, socket), name) in self.services() {
            follower.name(protocol, socket, &name);
        }
        for host in self.topology.hosts.iter().filter(|host| host.role == Role::Node) {
            // A node without an agent has no table.
            let table = Maps::open(&self.lab.pins().join(&host.name));
            let entries = table.and_then(|maps| conntrack::read(&maps)).unwrap_or_default();
            for (key, entry) in entries {
                follower.learn(key, entry.to);
            }
        }
    }
}
