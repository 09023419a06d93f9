//! Which connections there are to look at.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::{
    doctor::facts::{Facts, Role, Subject},
    spec::{
        Spec,
        model::{Endpoint, Protocol, ServicePort, TrafficPolicy, usable},
    },
};

/// One connection: who dials what at which node, and which backend gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// The host that dials; empty where it is none of the facts'.
    pub client: String,
    /// Its address, where it is none of the facts'.
    pub source: Option<IpAddr>,
    /// Address and port.
    pub dialled: SocketAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The host that is dialled.
    pub node: String,
    /// Who gets it; None where nobody can.
    pub backend: Option<Backend>,
}

/// Who gets a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// Pod address and port.
    pub address: SocketAddr,
    /// Node that it runs on.
    pub node: Option<String>,
    /// `namespace/name` of its Pod object.
    pub pod: Option<String>,
}

impl Backend {
    fn of(endpoint: &Endpoint) -> Self {
        Self {
            address: SocketAddr::new(endpoint.address, endpoint.port.get()),
            node: endpoint.node.clone(),
            pod: endpoint.pod.as_ref().map(ToString::to_string),
        }
    }
}

/// Every node with every endpoint of what the subject is about, from the lab's client; of an
/// address that was asked about, that one alone, with TCP where no Service has it. Node ports
/// without a backend have one case a node.
#[must_use]
pub fn cases(facts: &Facts, spec: &Spec, subject: &Subject) -> Vec<Case> {
    let asked: Option<SocketAddr> = subject.asked.parse().ok();
    let client = facts.hosts.iter().find(|host| host.role == Role::Client);
    let client = client.map_or_else(String::new, |host| host.name.clone());
    let mut found = Vec::new();
    for service in &spec.services {
        for port in &service.ports {
            let Some(node_port) = port.node_port.map(|port| port.get()) else { continue };
            let is_asked =
                asked.map_or_else(|| subject.has_port(node_port), |a| a.port() == node_port);
            if !is_asked {
                continue;
            }
            for node in &spec.nodes {
                for address in &node.addresses {
                    let is_other = asked.is_some_and(|asked| asked.ip() != *address);
                    if is_other || !has_family(port, *address) {
                        continue;
                    }
                    let host = facts.node(&node.name).map_or(&node.name, |host| &host.name);
                    let is_local = service.external_policy == TrafficPolicy::Local;
                    let backends = backends(port, *address, is_local.then_some(&node.name));
                    let case = |backend| Case {
                        client: client.clone(),
                        source: None,
                        dialled: SocketAddr::new(*address, node_port),
                        protocol: port.protocol,
                        node: host.clone(),
                        backend,
                    };
                    if backends.is_empty() {
                        found.push(case(None));
                    }
                    found.extend(backends.into_iter().map(|backend| case(Some(backend))));
                }
            }
        }
    }
    if let (Some(asked), true) = (asked, found.is_empty()) {
        found.extend(plain(facts, spec, asked, client));
    }
    found
}

/// An address that no Service has: a host's own port, or one that its rules give to another.
fn plain(facts: &Facts, spec: &Spec, dialled: SocketAddr, client: String) -> Option<Case> {
    if spec.with_node_port(dialled.port()).next().is_some() {
        return None;
    }
    let (host, _) = facts.owners(dialled.ip()).next()?;
    let (node, protocol) = (host.name.clone(), Protocol::Tcp);
    Some(Case { client, source: None, dialled, protocol, node, backend: None })
}

/// A family that the Service does not have is another check's.
fn has_family(port: &ServicePort, address: IpAddr) -> bool {
    port.endpoints.is_empty()
        || port.endpoints.iter().any(|e| e.address.is_ipv4() == address.is_ipv4())
}

fn backends(port: &ServicePort, dialled: IpAddr, node: Option<&String>) -> Vec<Backend> {
    let is_of = |endpoint: &&Endpoint| {
        endpoint.address.is_ipv4() == dialled.is_ipv4()
            && (node.is_none() || endpoint.node.as_ref() == node)
    };
    usable(port.endpoints.iter().filter(is_of)).into_iter().map(Backend::of).collect()
}
