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

pub(super) use self::table::no_port_left;
use super::{
    facts::{Facts, HostFacts},
    finding::Finding,
};
use crate::spec::{
    Spec,
    model::{Service, ServicePort},
};

/// Everything that they find, in no order that matters.
#[must_use]
pub fn all(facts: &Facts, spec: &Spec) -> Vec<Finding> {
    let asked = asked(facts, spec);
    let written = object::Written::of(facts);
    let mut findings = endpoints::check(facts, spec, &asked, &written);
    findings.extend(table::check(facts, &asked));
    findings.extend(address::check(facts, spec, &asked, &written));
    findings.extend(agent::check(facts));
    findings.extend(socket::check(facts, &asked));
    findings
}

/// A Service port and its node port.
type Asked<'s> = (&'s Service, &'s ServicePort, u16);

/// The Service ports with a node port that the question is about: all where there was none,
/// although tables may have been cut down to a sample.
fn asked<'s>(facts: &Facts, spec: &'s Spec) -> Vec<Asked<'s>> {
    let subject = &facts.subject;
    spec.node_ports()
        .filter(|(_, _, port)| !subject.is_asked() || subject.has_port(*port))
        .collect()
}

/// A host by the name that findings have, with its Node object's where that is another.
fn called(host: &HostFacts, node: &str) -> String {
    if host.name == node { node.to_owned() } else { format!("{} (Node {node})", host.name) }
}
