//! What clients dial, from the Services of a spec.

use netlab_common::{abi::FrontendKey, flow::Addr};

use crate::spec::model::{Port, Protocol, Service, ServicePort, Spec, TrafficPolicy};

/// The frontends of one family of a Service port. They share their backends.
pub(super) struct Group<'s> {
    /// The Service port.
    pub port: &'s ServicePort,
    /// IPv4, as opposed to IPv6.
    pub v4: bool,
    /// What is dialled; never empty.
    pub keys: Vec<FrontendKey>,
}

/// Those of a spec, in its order.
pub(super) fn groups(spec: &Spec) -> impl Iterator<Item = Group<'_>> {
    spec.services.iter().flat_map(|service| {
        service.ports.iter().flat_map(move |port| {
            let families = [true, false].into_iter().filter(|v4| has_family(service, port, *v4));
            families.filter_map(move |v4| {
                let keys = vec![node_port_key(port.node_port?, port.protocol, v4)];
                Some(Group { port, v4, keys })
            })
        })
    })
}

/// What the Services ask for and the datapath does not do yet, a sentence each.
///
/// It is said wherever a spec is taken up: a source range that is ignored, say, would
/// otherwise look like one that lets everybody in.
#[must_use]
pub fn not_honoured(spec: &Spec) -> Vec<String> {
    spec.services
        .iter()
        .flat_map(|service| {
            let asks = [
                (service.external_policy == TrafficPolicy::Local, "externalTrafficPolicy Local"),
                (service.internal_policy == TrafficPolicy::Local, "internalTrafficPolicy Local"),
                (service.affinity.is_some(), "sessionAffinity ClientIP"),
                (!service.source_ranges.is_empty(), "loadBalancerSourceRanges"),
            ];
            let asked = asks.into_iter().filter(|(asked, _)| *asked);
            asked.map(|(_, what)| format!("Service {}: {what} is not honoured yet", service.name))
        })
        .collect()
}

/// A Service without any address is IPv4, as in a cluster that says nothing else.
fn has_family(service: &Service, port: &ServicePort, v4: bool) -> bool {
    let endpoints = port.endpoints.iter().map(|endpoint| endpoint.address);
    let mut addresses = service.cluster_addresses.iter().copied().chain(endpoints).peekable();
    match addresses.peek() {
        None => v4,
        Some(_) => addresses.any(|address| address.is_ipv4() == v4),
    }
}

/// The frontend of a node port, on every node address of a family.
#[must_use]
pub fn node_port_key(port: Port, protocol: Protocol, v4: bool) -> FrontendKey {
    FrontendKey {
        addr: Addr::any(v4),
        port: port.get().to_be_bytes(),
        proto: protocol.number(),
        reserved: 0,
    }
}
