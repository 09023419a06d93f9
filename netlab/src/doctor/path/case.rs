//! Which connections there are to look at.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::{
    frontend::{Frontend, frontends},
    outside::{Dialler, dialler, is_on_wire},
};
use crate::{
    doctor::facts::{Facts, HostFacts, Role, Subject, route::Address},
    spec::{
        Spec,
        model::{Endpoint, Protocol, Service, ServicePort, TrafficPolicy, usable},
    },
};

/// Most ports that a host's rules give to others which are looked at where nothing was asked.
const MOST_BY_RULES: usize = 64;
/// Most backends of one such port.
const MOST_BACKENDS: usize = 64;

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

impl Case {
    /// The same, where this backend gets it.
    fn with(&self, backend: Backend) -> Self {
        Self { backend: Some(backend), ..self.clone() }
    }
}

impl Backend {
    /// The name of its pod, or its address where it has none.
    #[must_use]
    pub fn name(&self) -> String {
        self.pod.clone().unwrap_or_else(|| self.address.to_string())
    }

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
    let here = facts.here();
    let is_asked = |(_, _, node_port): &Dialled<'_>| {
        asked.map_or_else(|| subject.has_port(*node_port), |asked| asked.port() == *node_port)
    };
    let mut found: Vec<Case> = spec
        .node_ports()
        .filter(is_asked)
        .flat_map(|of| at_nodes(facts, spec, asked, of))
        .collect();
    match (asked, here) {
        (Some(asked), _) if found.is_empty() => found.extend(plain(facts, spec, asked)),
        (None, Some(here)) if spec.services.is_empty() && !subject.is_asked() => {
            found.extend(by_rules(facts, spec, here));
        }
        _ => {}
    }
    found
}

/// A Service, one of its ports, and that one's node port.
type Dialled<'s> = (&'s Service, &'s ServicePort, u16);

/// A node port at every node, or at the one address that was asked about.
fn at_nodes(
    facts: &Facts,
    spec: &Spec,
    asked: Option<SocketAddr>,
    (service, port, node_port): Dialled<'_>,
) -> Vec<Case> {
    let here = facts.here();
    let mut found = Vec::new();
    for node in &spec.nodes {
        let host = facts.node(&node.name);
        // What other hosts do is theirs, unless it was asked about.
        let is_here = here.is_none_or(|own| host.is_some_and(|host| host.name == own.name));
        if asked.is_none() && !is_here {
            continue;
        }
        let name = host.map_or(&node.name, |host| &host.name);
        let is_local = service.external_policy == TrafficPolicy::Local;
        let is_meant = |address: &&IpAddr| asked.is_none_or(|asked| asked.ip() == **address);
        let of_family = |address: &&IpAddr| has_family(port, **address);
        for address in node.addresses.iter().filter(is_meant).filter(of_family) {
            let dialled = SocketAddr::new(*address, node_port);
            let unserved = unserved(facts, spec, name, dialled, port.protocol);
            let backends = backends(port, *address, is_local.then_some(&node.name));
            if backends.is_empty() {
                found.push(unserved);
            } else {
                found.extend(backends.into_iter().map(|backend| unserved.with(backend)));
            }
        }
    }
    found
}

/// An address that no Service has: a host's own port, or one that its rules give to another.
fn plain(facts: &Facts, spec: &Spec, dialled: SocketAddr) -> Vec<Case> {
    if spec.with_node_port(dialled.port()).next().is_some() {
        return Vec::new();
    }
    let owner = facts.owners(dialled.ip()).next().map(|(host, _)| host);
    if owner.is_none() && facts.here().is_none() {
        return Vec::new();
    }
    let frontends = owner.map(frontends).unwrap_or_default();
    let given: Vec<_> = frontends.iter().filter(|frontend| frontend.has(dialled)).collect();
    let node = owner.map_or_else(|| dialled.ip().to_string(), |host| host.name.clone());
    if given.is_empty() {
        return vec![unserved(facts, spec, &node, dialled, Protocol::Tcp)];
    }
    let of = |frontend: &Frontend| given_to(facts, spec, &node, dialled, frontend);
    given.into_iter().flat_map(of).collect()
}

/// What the host's own rules give to others, where nobody has said what should be.
fn by_rules(facts: &Facts, spec: &Spec, here: &HostFacts) -> Vec<Case> {
    let outward = here.default_routes().flat_map(|route| &route.hops).map(|hop| hop.device);
    let outward: Vec<u32> = outward.collect();
    let mut own: Vec<&Address> = here.global().filter(|own| is_on_wire(here, own)).collect();
    own.sort_by_key(|own| !outward.contains(&own.device));
    let own: Vec<IpAddr> = own.into_iter().map(|own| own.net.addr()).collect();
    let mut found = Vec::new();
    for frontend in frontends(here).into_iter().take(MOST_BY_RULES) {
        let of_family = |address: &&IpAddr| {
            frontend.backends.iter().any(|backend| backend.is_ipv4() == address.is_ipv4())
        };
        let dialled = match frontend.address {
            Some(address) => own.iter().find(|own| **own == address),
            None => own.iter().find(of_family),
        };
        let Some(dialled) = dialled else { continue };
        let dialled = SocketAddr::new(*dialled, frontend.port);
        found.extend(given_to(facts, spec, &here.name, dialled, &frontend));
    }
    found
}

fn given_to(
    facts: &Facts,
    spec: &Spec,
    node: &str,
    dialled: SocketAddr,
    frontend: &Frontend,
) -> Vec<Case> {
    let of_family = frontend.backends.iter().filter(|to| to.is_ipv4() == dialled.is_ipv4());
    let backend = |address: &SocketAddr| Backend {
        address: *address,
        node: None,
        pod: facts.owners(address.ip()).find_map(|(host, _)| match &host.role {
            Role::Pod { pod, .. } => Some(pod.clone()),
            _ => None,
        }),
    };
    let unserved = unserved(facts, spec, node, dialled, frontend.protocol);
    of_family.take(MOST_BACKENDS).map(|to| unserved.with(backend(to))).collect()
}

/// A case that nobody gets.
fn unserved(
    facts: &Facts,
    spec: &Spec,
    node: &str,
    dialled: SocketAddr,
    protocol: Protocol,
) -> Case {
    let Dialler { client, source } = dialler(facts, spec, dialled.ip());
    Case { client, source, dialled, protocol, node: node.to_owned(), backend: None }
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
