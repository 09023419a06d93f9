//! The lab that is measured, and who in it plays which part.

use std::net::{IpAddr, SocketAddr};

use super::{Error, Result, watch::Site};
use crate::{
    lab::{Family, Host, LabDir, LabName, Options, Role, Topology, UPLINK},
    netlink::Netns,
    spec::{
        self, Spec,
        model::{Port, Protocol},
    },
};

/// A running lab of two nodes or more, with pods on the first two.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// As it was asked for.
    pub options: Options,
    /// As it was built.
    pub topology: Topology,
    spec: Spec,
}

/// A node port, and who answers there.
#[derive(Clone, Debug)]
pub(super) struct NodePort {
    /// At the near node.
    pub dial: SocketAddr,
    /// Pods behind it on the far node: their host names.
    pub far: Vec<String>,
    /// Pods behind it anywhere.
    pub all: Vec<String>,
}

impl Cluster {
    /// Reads a lab from what it keeps on disk.
    ///
    /// # Errors
    ///
    /// [`Error::NoLab`] where there is none of this name; where its files cannot be read.
    pub fn open(name: &LabName) -> Result<Self> {
        let dir = LabDir::new(name);
        let (Some(record), Some(topology)) = (dir.record()?, dir.topology()?) else {
            return Err(Error::NoLab(name.clone()));
        };
        let spec = spec::read_files(&[dir.manifests()]).and_then(|objects| objects.resolve());
        Ok(Self { options: record.options, topology, spec: spec.map_err(Box::new)? })
    }

    /// The families that both nodes and both pods have addresses of.
    pub(super) fn families(&self) -> Result<Vec<Family>> {
        let hosts = [self.near_node()?, self.far_node()?, self.near_pod()?, self.far_pod()?];
        let all_have = |family: &Family| hosts.iter().all(|host| address(host, *family).is_ok());
        Ok(Family::ALL.into_iter().filter(all_have).collect())
    }

    /// The first node.
    pub(super) fn near_node(&self) -> Result<&Host> {
        self.node(0)
    }

    /// The second node.
    pub(super) fn far_node(&self) -> Result<&Host> {
        self.node(1)
    }

    /// A pod on the first node.
    pub(super) fn near_pod(&self) -> Result<&Host> {
        self.pod_on(self.near_node()?)
    }

    /// A pod on the second node.
    pub(super) fn far_pod(&self) -> Result<&Host> {
        self.pod_on(self.far_node()?)
    }

    /// A host that is there once.
    pub(super) fn the(&self, role: &Role) -> Result<&Host> {
        let found = self.topology.hosts.iter().find(|host| host.role == *role);
        found.ok_or_else(|| Error::Lacks(format!("{role:?}")))
    }

    /// The fabric's port towards a host: what comes in there is on the wire, whichever hook of
    /// the host has sent it.
    pub(super) fn port_to(&self, host: &str) -> Result<(&Host, &str)> {
        let fabric = self.the(&Role::Fabric)?;
        let port = fabric.links.iter().find(|link| link.leads_to_uplink(host));
        let port = port.ok_or_else(|| Error::Lacks(format!("a port towards {host}")))?;
        Ok((fabric, &port.name))
    }

    /// An IPv4 node port of this protocol that has backends on the far node.
    pub(super) fn node_port(&self, protocol: Protocol) -> Result<NodePort> {
        let far_node = &self.far_node()?.name;
        let address = address(self.near_node()?, Family::V4)?;
        let ports = self.spec.services.iter().flat_map(|service| &service.ports);
        let mut found = ports.filter(|port| port.protocol == protocol).filter_map(|port| {
            let pods = |on: Option<&str>| -> Vec<String> {
                let usable = port.usable_endpoints().into_iter();
                let there =
                    usable.filter(|endpoint| on.is_none() || endpoint.node.as_deref() == on);
                there.filter_map(|endpoint| self.host_of(endpoint.address)).collect()
            };
            let dial = SocketAddr::new(address, port.node_port.map(Port::get)?);
            Some(NodePort { dial, far: pods(Some(far_node)), all: pods(None) })
        });
        found.find(|port| !port.far.is_empty()).ok_or_else(|| {
            Error::Lacks(format!("a {protocol} node port with a ready backend on {far_node}"))
        })
    }

    /// Where to look: these hosts, by name.
    pub(super) fn sites(&self, hosts: &[&str]) -> Result<Vec<Site>> {
        let mut sites: Vec<Site> = Vec::new();
        for name in hosts {
            if sites.iter().any(|site| site.host == *name) {
                continue;
            }
            let host = self.topology.host(name);
            let host = host.ok_or_else(|| Error::Lacks(format!("a host {name}")))?;
            sites.push(Site { host: host.name.clone(), netns: netns(host)? });
        }
        Ok(sites)
    }

    /// The host that has this address.
    pub(super) fn host_of(&self, address: IpAddr) -> Option<String> {
        let has = |host: &&Host| host.addresses.iter().any(|own| own.net.addr() == address);
        self.topology.hosts.iter().find(has).map(|host| host.name.clone())
    }

    fn node(&self, index: usize) -> Result<&Host> {
        let mut nodes = self.topology.hosts.iter().filter(|host| host.role == Role::Node);
        nodes.nth(index).ok_or_else(|| Error::Lacks("two nodes".to_owned()))
    }

    fn pod_on(&self, node: &Host) -> Result<&Host> {
        let on =
            |host: &&Host| matches!(&host.role, Role::Pod { node: on, .. } if *on == node.name);
        let found = self.topology.hosts.iter().find(on);
        found.ok_or_else(|| Error::Lacks(format!("a pod on {}", node.name)))
    }
}

/// The namespace of a host.
pub(super) fn netns(host: &Host) -> Result<Netns> {
    Ok(Netns::open(&host.netns)?)
}

/// The address of a host's uplink.
pub(super) fn address(host: &Host, family: Family) -> Result<IpAddr> {
    let own = host.addresses.iter().filter(|address| address.device == UPLINK);
    let mut own = own.map(|address| address.net.addr()).filter(|own| Family::of(*own) == family);
    own.next().ok_or_else(|| Error::Lacks(format!("an {family:?} address of {}", host.name)))
}
