//! Where a fault is injected: the lab, and in it the node, the Service and its pods.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use super::{At, Fault, FaultError, Request};
use crate::{
    lab::{
        Host, LabDir, Options, Role, Topology,
        processes::Process,
        topology::{Link, LinkKind},
    },
    spec::{
        self, Objects, Spec,
        model::{Port, Protocol, Service, ServicePort},
    },
};

/// What a plan may look at.
pub(super) struct Site {
    pub(super) dir: LabDir,
    pub(super) options: Options,
    pub(super) topology: Topology,
    pub(super) objects: Objects,
    pub(super) spec: Spec,
    /// With the fault.
    pub(super) node: Host,
    /// Another one; None in a lab of one node.
    peer: Option<Host>,
    /// The pod that was asked for, or the Service's first on the node.
    pod: Option<Host>,
    pub(super) service: Service,
    pub(super) port: ServicePort,
    /// The fault's name, for tables and refusals.
    pub(super) fault: &'static str,
}

type Result<T> = std::result::Result<T, FaultError>;

impl Site {
    /// Finds everything that the request names.
    pub(super) fn new(fault: &'static Fault, request: &Request) -> Result<Self> {
        let dir = LabDir::new(&request.lab);
        let no_lab = || FaultError::NoLab(request.lab.clone());
        let record = dir.record()?.ok_or_else(no_lab)?;
        let topology = dir.topology()?.ok_or_else(no_lab)?;
        if let Some(why) = fault.unfit(&record.options) {
            return Err(FaultError::Unfit { name: fault.name, why });
        }
        let objects = spec::read_files(&[dir.manifests()])?;
        let spec = objects.resolve()?;
        refuse_flags(fault, request)?;
        let (service, port) = service(&spec, request.service.as_deref())?;
        let asked = request.pod.as_deref().map(|name| pod_host(&topology, name)).transpose()?;
        let node = node(&topology, request.node.as_deref(), asked.as_ref())?;
        let peer = topology.hosts.iter().find(|h| h.role == Role::Node && h.name != node.name);
        let peer = peer.cloned();
        let pod = asked.or_else(|| pods_on(&topology, &spec, &port, &node).next().cloned());
        let (options, fault) = (record.options, fault.name);
        Ok(Self { dir, options, topology, objects, spec, node, peer, pod, service, port, fault })
    }

    /// The fault is not for this lab, and why.
    pub(super) fn unfit<T>(&self, why: impl Into<String>) -> Result<T> {
        Err(FaultError::Unfit { name: self.fault, why: why.into() })
    }

    pub(super) fn peer(&self) -> Result<&Host> {
        match &self.peer {
            Some(peer) => Ok(peer),
            None => self.unfit("it needs a second node; netlab lab up --nodes 2"),
        }
    }

    pub(super) fn pod(&self) -> Result<&Host> {
        match &self.pod {
            Some(pod) => Ok(pod),
            None => self.unfit(format!(
                "no pod of Service {} is on {}; --node and --pod choose others",
                self.service.name, self.node.name
            )),
        }
    }

    /// The Service's pods on the node.
    pub(super) fn pods(&self) -> Vec<&Host> {
        pods_on(&self.topology, &self.spec, &self.port, &self.node).collect()
    }

    /// A pod on the node that is none of the Service's.
    pub(super) fn neighbor(&self) -> Result<&Host> {
        let own = self.pods();
        let on_node = |host: &&Host| {
            matches!(&host.role, Role::Pod { node, .. } if *node == self.node.name)
                && !own.iter().any(|pod| pod.name == host.name)
        };
        match self.topology.hosts.iter().find(on_node) {
            Some(host) => Ok(host),
            None => self.unfit(format!(
                "it needs a pod on {} that is not of Service {}",
                self.node.name, self.service.name
            )),
        }
    }

    /// What a program prints in a host's namespace: for plans, which only look.
    pub(super) fn output(&self, host: &Host, line: &str) -> Result<String> {
        let words = super::step::words(line);
        let Some((name, args)) = words.split_first() else { return Ok(String::new()) };
        let netns = crate::netlink::Netns::open(&host.netns)?;
        let output = netns.command(super::tables::program(name)?.path()).args(args).output();
        let output = output.map_err(FaultError::io("run", line))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(super) fn client(&self) -> Result<&Host> {
        self.host("client")
    }

    pub(super) fn fabric(&self) -> Result<&Host> {
        self.host("fabric")
    }

    pub(super) fn host(&self, name: &str) -> Result<&Host> {
        let host = self.topology.host(name);
        host.ok_or_else(|| {
            FaultError::Input(format!("lab {} has no host {name}", self.topology.lab))
        })
    }

    /// The first Service port of UDP with a node port, and the node port.
    pub(super) fn udp_port(&self) -> Result<(&ServicePort, Port)> {
        let mut ports = self.spec.services.iter().flat_map(|service| &service.ports);
        let udp = ports.find_map(|port| {
            Some((port, port.node_port.filter(|_| port.protocol == Protocol::Udp)?))
        });
        match udp {
            Some(udp) => Ok(udp),
            None => self.unfit("the lab has no UDP Service with a node port"),
        }
    }

    /// One of the lab's processes, `agent NODE` or `echo POD`; `what` is missing where there is
    /// none.
    pub(super) fn process(&self, name: &str, what: &str) -> Result<Process> {
        match self.dir.processes()?.into_iter().find(|process| process.name == name) {
            Some(process) => Ok(process),
            None => self.unfit(what),
        }
    }

    /// IPv4 address of a host's uplink.
    pub(super) fn v4(&self, host: &Host) -> Result<Ipv4Addr> {
        let uplink = host.addresses.iter().filter(|a| a.device == crate::lab::UPLINK);
        let v4 = uplink.map(|address| address.net.addr()).find_map(|address| match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        });
        match v4 {
            Some(v4) => Ok(v4),
            None => {
                self.unfit(format!("it is an IPv4 fault, and {} has no IPv4 address", host.name))
            }
        }
    }

    /// IPv4 pod network of a node.
    pub(super) fn pod_network(&self, node: &Host) -> Result<Ipv4Net> {
        let object = self.spec.nodes.iter().find(|object| object.name == node.name);
        let mut networks = object.into_iter().flat_map(|object| &object.pod_cidrs);
        let v4 = networks.find_map(|net| match net {
            ipnet::IpNet::V4(v4) => Some(*v4),
            ipnet::IpNet::V6(_) => None,
        });
        match v4 {
            Some(v4) => Ok(v4),
            None => {
                self.unfit(format!("it is an IPv4 fault, and {} has no IPv4 podCIDR", node.name))
            }
        }
    }

    /// The Service's node port.
    pub(super) fn node_port(&self) -> u16 {
        self.port.node_port.map_or(0, std::num::NonZeroU16::get)
    }

    /// The port that the pods serve it on.
    pub(super) fn target_port(&self) -> u16 {
        self.port.endpoints.first().map_or(0, |endpoint| endpoint.port.get())
    }

    /// `tcp` or `udp`.
    pub(super) fn transport(&self) -> &'static str {
        if self.port.protocol == Protocol::Tcp { "tcp" } else { "udp" }
    }

    /// The IPv4 VXLAN device of a node.
    pub(super) fn vtep<'h>(&self, node: &'h Host) -> Result<&'h Link> {
        let is_vtep =
            |link: &&Link| matches!(&link.kind, LinkKind::Vxlan { local, .. } if local.is_ipv4());
        match node.links.iter().find(is_vtep) {
            Some(link) => Ok(link),
            None => self.unfit(format!("{} has no VXLAN device for IPv4", node.name)),
        }
    }

    /// The node's end of a pod's link, and the node.
    pub(super) fn port_of(&self, pod: &Host) -> Result<&Link> {
        match self.node.links.iter().find(|link| link.leads_to(&pod.name)) {
            Some(link) => Ok(link),
            None => self.unfit(format!("{} is not on {}", pod.name, self.node.name)),
        }
    }
}

fn refuse_flags(fault: &Fault, request: &Request) -> Result<()> {
    let refuse = |flag: &str| {
        let name = fault.name;
        Err(FaultError::Input(format!("fault {name} is not one of a {flag}; leave --{flag} out")))
    };
    match fault.at {
        At::Service | At::Client if request.node.is_some() => refuse("node"),
        At::Service | At::Client | At::Node if request.pod.is_some() => refuse("pod"),
        _ => Ok(()),
    }
}

/// The Service that was named, or the first with a node port, TCP before UDP.
fn service(spec: &Spec, asked: Option<&str>) -> Result<(Service, ServicePort)> {
    let is_asked = |service: &&Service| {
        asked.is_none_or(|name| service.name.name == name || service.name.to_string() == name)
    };
    let ports = spec.services.iter().filter(is_asked).flat_map(|service| {
        let of_node = service.ports.iter().filter(|port| port.node_port.is_some());
        of_node.map(move |port| (service, port))
    });
    let best = ports.min_by_key(|(_, port)| port.protocol != Protocol::Tcp);
    let (service, port) = best.ok_or_else(|| {
        FaultError::Input(match asked {
            Some(name) => format!("the lab has no Service {name} with a node port"),
            None => "the lab has no Service with a node port".to_owned(),
        })
    })?;
    Ok((service.clone(), port.clone()))
}

fn node(topology: &Topology, asked: Option<&str>, pod: Option<&Host>) -> Result<Host> {
    let of_pod = pod.and_then(|pod| match &pod.role {
        Role::Pod { node, .. } => Some(node.as_str()),
        _ => None,
    });
    if let (Some(asked), Some(of_pod), Some(pod)) = (asked, of_pod, pod)
        && asked != of_pod
    {
        let name = &pod.name;
        return Err(FaultError::Input(format!("pod {name} is on {of_pod}, not on {asked}")));
    }
    let wanted = asked.or(of_pod);
    let mut nodes = topology.hosts.iter().filter(|host| host.role == Role::Node);
    let found = nodes.clone().find(|host| wanted.is_none_or(|wanted| host.name == wanted));
    found.cloned().ok_or_else(|| {
        let names: Vec<_> = nodes.by_ref().map(|host| host.name.as_str()).collect();
        let wanted = wanted.unwrap_or_default();
        FaultError::Input(format!("the lab has no node {wanted}; it has {}", names.join(", ")))
    })
}

fn pod_host(topology: &Topology, name: &str) -> Result<Host> {
    let pod = topology.host(name).filter(|host| matches!(host.role, Role::Pod { .. }));
    pod.cloned().ok_or_else(|| FaultError::Input(format!("the lab has no pod {name}")))
}

fn pods_on<'s>(
    topology: &'s Topology,
    spec: &'s Spec,
    port: &'s ServicePort,
    node: &'s Host,
) -> impl Iterator<Item = &'s Host> {
    topology.hosts.iter().filter(move |host| {
        let Role::Pod { node: on, object } = &host.role else { return false };
        let is_endpoint = |endpoint: &spec::model::Endpoint| match &endpoint.pod {
            Some(pod) => pod.to_string() == *object,
            None => spec.pods.iter().any(|pod| {
                pod.name.to_string() == *object && pod.addresses.contains(&endpoint.address)
            }),
        };
        *on == node.name && port.endpoints.iter().any(is_endpoint)
    })
}
