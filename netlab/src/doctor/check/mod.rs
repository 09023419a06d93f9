//! Checks that follow no packet: what the objects, the tables, the sockets and the agents say by
//! themselves. One file a concern.
//!
//! Law: a check is a function of facts and spec. It finds nothing where nobody could look, and
//! nothing in a cluster that is well.

mod address;
mod agent;
mod endpoints;
mod object;
mod socket;
mod table;
#[cfg(test)]
mod tests;

use super::{
    facts::{Facts, HostFacts, Role},
    finding::Finding,
};
use crate::spec::{
    Spec,
    model::{Service, ServicePort},
};

/// Everything that they find, in no order that matters.
#[must_use]
pub fn all(facts: &Facts, spec: &Spec) -> Vec<Finding> {
    let checks = [endpoints::check, table::check, address::check, agent::check, socket::check];
    checks.iter().flat_map(|check| check(facts, spec)).collect()
}

/// A Service port and its node port.
type Asked<'s> = (&'s Service, &'s ServicePort, u16);

/// The Service ports with a node port that the question is about: all where there was none,
/// although tables may have been cut down to a sample.
fn asked<'s>(facts: &Facts, spec: &'s Spec) -> Vec<Asked<'s>> {
    let of = |service: &'s Service| {
        service.ports.iter().filter_map(move |port| Some((service, port, port.node_port?.get())))
    };
    let ports = spec.services.iter().flat_map(of);
    let subject = &facts.subject;
    ports.filter(|(_, _, port)| !subject.is_asked() || subject.has_port(*port)).collect()
}

/// The hosts that are nodes, with the names of their Node objects.
fn nodes(facts: &Facts) -> impl Iterator<Item = (&HostFacts, &str)> {
    facts.hosts.iter().filter_map(|host| match &host.role {
        Role::Node { node } => Some((host, node.as_str())),
        _ => None,
    })
}

/// A host by the name that findings have, with its Node object's where that is another.
fn called(host: &HostFacts, node: &str) -> String {
    if host.name == node { node.to_owned() } else { format!("{} (Node {node})", host.name) }
}
