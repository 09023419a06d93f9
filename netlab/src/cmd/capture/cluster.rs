//! The lab's objects, for names and for Services.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use anyhow::Context as _;
use netlab::{
    capture::service,
    datapath::{conntrack, load::Maps},
    lab::{LabDir, Role, Topology},
    spec::{Spec, read_directory},
    trace::follow::Follower,
};

use crate::cli::CaptureArgs;

/// A lab, as far as packets have to do with it. It is read once, when a capture begins.
pub(super) struct Cluster {
    lab: LabDir,
    pub topology: Topology,
    /// None where the manifests are broken.
    spec: Option<Spec>,
}

impl Cluster {
    /// The lab that a host or a Service was named of; None where neither was. Manifests that are
    /// broken cost the names, and the capture only where it is of a Service.
    pub fn of(args: &CaptureArgs) -> anyhow::Result<Option<Self>> {
        if args.place.nodes.is_empty() && args.choice.service.is_none() {
            return Ok(None);
        }
        let name = &args.place.name.name;
        let lab = LabDir::new(name);
        let topology = lab.topology()?.with_context(|| {
            format!("there is no lab {name}; make one with: netlab lab up --name {name}")
        })?;
        let spec = match spec(&lab) {
            Ok(spec) => Some(spec),
            Err(error) if args.choice.service.is_some() => return Err(error),
            Err(error) => {
                log::warn!("{error:#}; Services are not named");
                None
            }
        };
        Ok(Some(Self { lab, topology, spec }))
    }

    /// What belongs to a Service, as a filter expression; None where the manifests are broken.
    pub fn expression(&self, name: &str) -> anyhow::Result<Option<String>> {
        Ok(self.spec.as_ref().map(|spec| service::filter(spec, name)).transpose()?)
    }

    /// Whose the sockets are.
    pub fn services(&self) -> BTreeMap<(u8, SocketAddr), String> {
        let Some(spec) = &self.spec else { return BTreeMap::new() };
        let sockets = |service| {
            let sockets = service::sockets(spec, service).into_iter();
            sockets
                .map(|(protocol, socket)| ((protocol.number(), socket), service.name.to_string()))
        };
        spec.services.iter().flat_map(sockets).collect()
    }

    /// Tells a follower whose addresses are whose, and which translations are known.
    pub fn introduce(&self, follower: &mut Follower) {
        let hosts = self.topology.hosts.iter();
        let addresses = hosts.flat_map(|host| {
            host.addresses.iter().map(|address| (host.name.as_str(), address.net.addr()))
        });
        let nodes = || self.topology.hosts.iter().filter(|host| host.role == Role::Node);
        let of_nodes: BTreeSet<IpAddr> =
            nodes().flat_map(|host| &host.addresses).map(|address| address.net.addr()).collect();
        service::introduce(follower, self.spec.as_ref(), addresses, &of_nodes);
        for host in nodes() {
            // A node without an agent has no table.
            let table = Maps::open(&self.lab.pins().join(&host.name));
            let entries = table.and_then(|maps| conntrack::read(&maps)).unwrap_or_default();
            for (key, entry) in entries {
                follower.learn(key, entry.to);
            }
        }
    }
}

fn spec(lab: &LabDir) -> anyhow::Result<Spec> {
    let manifests = lab.manifests();
    read_directory(&manifests)
        .and_then(|objects| objects.resolve())
        .with_context(|| format!("cannot use the manifests in {}", manifests.display()))
}
