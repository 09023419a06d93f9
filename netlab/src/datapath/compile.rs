//! From a spec to what belongs into the maps of one node.
//!
//! Law: pure, and stable. What stands in the maps already keeps its number and its
//! slot, so that one endpoint's change touches a few entries, however many Services
//! there are, and conntrack entries go on meaning what they meant.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use netlab_common::{
    abi::{Backend, BackendKey, Frontend, FrontendKey},
    flow::Addr,
};

use crate::spec::model::{Endpoint, Port, Protocol, Service, ServicePort, Spec, TrafficPolicy};

/// What is, or should be, in the maps that depend on the spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Service ports by what a client dials.
    pub frontends: BTreeMap<FrontendKey, Frontend>,
    /// Endpoints by Service port and slot.
    pub backends: BTreeMap<BackendKey, Backend>,
    /// Addresses on which node ports answer; the value has no meaning.
    pub node_addresses: BTreeMap<Addr, u32>,
}

/// The node that the tables are for.
pub trait NodeView {
    /// Its name.
    fn name(&self) -> &str;
    /// The source address that connections to a remote endpoint get; None where no
    /// route leads there.
    fn masquerade(&self, endpoint: &Endpoint) -> Option<IpAddr>;
}

/// What belongs into the tables of `node`, where `present` is in them now.
pub fn compile(spec: &Spec, node: &impl NodeView, present: &Tables) -> Tables {
    let mut tables = Tables::default();
    let own = spec.nodes.iter().filter(|candidate| candidate.name == node.name());
    tables.node_addresses =
        own.flat_map(|node| &node.addresses).map(|address| (Addr::from(*address), 0)).collect();
    let old_slots = slots_by_service(present);
    let mut numbers = Numbers::of(present);
    for (key, port) in frontends(spec) {
        let number = match present.frontends.get(&key) {
            Some(frontend) => frontend.service,
            None => numbers.next(),
        };
        let old = old_slots.get(&number).map_or(&[][..], Vec::as_slice);
        let slots = place(backends(port, key.addr.is_v4(), node), old);
        let count = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let frontend = Frontend { service: number, backends: count, ..Frontend::default() };
        tables.frontends.insert(key, frontend);
        tables.backends.extend(
            (0..).zip(slots).map(|(slot, backend)| (BackendKey { service: number, slot }, backend)),
        );
    }
    tables
}

/// The node ports of a spec, one of each family that its Service has.
fn frontends(spec: &Spec) -> impl Iterator<Item = (FrontendKey, &ServicePort)> {
    spec.services.iter().flat_map(|service| {
        service.ports.iter().flat_map(move |port| {
            let families = [true, false].into_iter().filter(|v4| has_family(service, port, *v4));
            families.filter_map(move |v4| {
                Some((node_port_key(port.node_port?, port.protocol, v4), port))
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

fn backends(port: &ServicePort, v4: bool, node: &impl NodeView) -> Vec<Backend> {
    let of = |endpoint: &Endpoint| {
        let local = endpoint.node.as_deref() == Some(node.name());
        let masquerade = if local { None } else { node.masquerade(endpoint) };
        Backend {
            addr: endpoint.address.into(),
            masquerade: masquerade.map_or(Addr::UNSPECIFIED, Addr::from),
            port: endpoint.port.get().to_be_bytes(),
            flags: if local { Backend::LOCAL } else { 0 },
            reserved: 0,
            id: endpoint_number(endpoint, port.protocol),
            weight: 0,
        }
    };
    let of_family = port.usable_endpoints().into_iter();
    of_family.filter(|endpoint| endpoint.address.is_ipv4() == v4).map(of).collect()
}

/// A number that tells endpoints apart for people and logs: FNV-1a over what it is.
fn endpoint_number(endpoint: &Endpoint, protocol: Protocol) -> u32 {
    let [high, low] = endpoint.port.get().to_be_bytes();
    let bytes = Addr::from(endpoint.address).0.into_iter().chain([high, low, protocol.number()]);
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Slots for `wanted`: those that have one keep it, a hole is filled from the end, new
/// ones come last.
fn place(wanted: Vec<Backend>, old: &[Backend]) -> Vec<Backend> {
    let key = |backend: &Backend| (backend.addr, backend.port);
    let mut by_key: BTreeMap<_, Backend> = wanted.iter().map(|b| (key(b), *b)).collect();
    let mut slots: Vec<Option<Backend>> =
        old.iter().map(|backend| by_key.remove(&key(backend))).collect();
    let mut fresh = wanted.into_iter().filter(|backend| by_key.contains_key(&key(backend)));
    for slot in slots.iter_mut().filter(|slot| slot.is_none()) {
        *slot = fresh.next();
    }
    slots.extend(fresh.map(Some));
    let mut at = 0;
    while at < slots.len() {
        if slots[at].is_none() {
            slots.swap_remove(at);
        } else {
            at += 1;
        }
    }
    slots.into_iter().flatten().collect()
}

fn slots_by_service(present: &Tables) -> BTreeMap<u32, Vec<Backend>> {
    let mut slots: BTreeMap<u32, Vec<Backend>> = BTreeMap::new();
    for (key, backend) in &present.backends {
        slots.entry(key.service).or_default().push(*backend);
    }
    slots
}

/// Numbers of Services: the smallest that nobody has.
struct Numbers {
    used: BTreeSet<u32>,
    candidate: u32,
}

impl Numbers {
    fn of(present: &Tables) -> Self {
        let frontends = present.frontends.values().map(|frontend| frontend.service);
        let used = frontends.chain(present.backends.keys().map(|key| key.service)).collect();
        Self { used, candidate: 0 }
    }

    fn next(&mut self) -> u32 {
        loop {
            self.candidate += 1;
            if self.used.insert(self.candidate) {
                return self.candidate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::model::Node;

    struct OnNode(&'static str);

    impl NodeView for OnNode {
        fn name(&self) -> &str {
            self.0
        }

        fn masquerade(&self, endpoint: &Endpoint) -> Option<IpAddr> {
            endpoint.address.is_ipv4().then_some(IpAddr::from([172, 18, 0, 2]))
        }
    }

    /// One Service with `count` endpoints, half of them on each of two nodes.
    fn spec(count: u8) -> Spec {
        let mut spec = Spec::default();
        for (name, last) in [("node-1", 2), ("node-2", 3)] {
            spec.nodes.push(Node {
                name: name.into(),
                addresses: vec![IpAddr::from([172, 18, 0, last])],
                pod_cidrs: Vec::new(),
            });
        }
        let endpoints = (0..count).map(|n| Endpoint {
            address: IpAddr::from([10, 244, 1 + n % 2, n]),
            port: Port::new(8080).unwrap(),
            node: Some(format!("node-{}", 1 + n % 2)),
            pod: None,
            ready: true,
            serving: true,
            terminating: false,
        });
        spec.services.push(service("web", 30080, endpoints.collect()));
        spec
    }

    fn service(name: &str, node_port: u16, endpoints: Vec<Endpoint>) -> Service {
        let port = ServicePort {
            name: String::new(),
            protocol: Protocol::Tcp,
            port: Port::new(80).unwrap(),
            node_port: Port::new(node_port),
            endpoints,
        };
        Service {
            name: crate::spec::model::ObjectName { namespace: "default".into(), name: name.into() },
            selector: BTreeMap::new(),
            ports: vec![port],
            cluster_addresses: Vec::new(),
            external_policy: Default::default(),
            internal_policy: Default::default(),
            affinity: None,
            source_ranges: Vec::new(),
            publish_not_ready: false,
        }
    }

    fn steps(desired: &Tables, present: &Tables) -> usize {
        crate::datapath::tables::TablesPlan::new(desired, present).len()
    }

    #[test]
    fn only_remote_backends_are_masqueraded() {
        let tables = compile(&spec(4), &OnNode("node-1"), &Tables::default());
        assert_eq!(tables.backends.len(), 4);
        for backend in tables.backends.values() {
            let local = backend.addr.last4()[2] == 1;
            assert_eq!(backend.flags & Backend::LOCAL != 0, local);
            assert_eq!(backend.masquerade.is_unspecified(), local);
        }
    }

    #[test]
    fn compiling_again_changes_nothing() {
        let first = compile(&spec(10), &OnNode("node-1"), &Tables::default());
        let again = compile(&spec(10), &OnNode("node-1"), &first);
        assert_eq!(first, again);
    }

    #[test]
    fn an_endpoints_change_does_not_depend_on_the_number_of_services() {
        let mut large = spec(10);
        for n in 0..500 {
            large.services.push(service(&format!("other-{n}"), 20000 + n, Vec::new()));
        }
        let before = compile(&large, &OnNode("node-1"), &Tables::default());
        large.services[0].ports[0].endpoints.remove(3);
        let after = compile(&large, &OnNode("node-1"), &before);
        // The hole is filled from the end: one slot changes, one goes, one count changes.
        assert_eq!(steps(&after, &before), 3);
    }

    #[test]
    fn a_removed_endpoint_is_named_even_if_its_slot_is_filled() {
        let before = compile(&spec(4), &OnNode("node-1"), &Tables::default());
        let mut fewer = spec(4);
        let gone = fewer.services[0].ports[0].endpoints.remove(1);
        let after = compile(&fewer, &OnNode("node-1"), &before);
        let plan = crate::datapath::tables::TablesPlan::new(&after, &before);
        let removed: Vec<Addr> =
            plan.removed_backends(&after).iter().map(|(_, backend)| backend.addr).collect();
        assert_eq!(removed, [Addr::from(gone.address)]);
    }

    #[test]
    fn families_do_not_mix() {
        let mut both = spec(2);
        both.services[0].ports[0].endpoints[1].address = "fd00::1".parse().unwrap();
        let tables = compile(&both, &OnNode("node-1"), &Tables::default());
        assert_eq!(tables.frontends.len(), 2);
        for (key, frontend) in &tables.frontends {
            let slots = tables.backends.range(
                BackendKey { service: frontend.service, slot: 0 }..=BackendKey {
                    service: frontend.service,
                    slot: 9,
                },
            );
            let families: Vec<bool> = slots.map(|(_, backend)| backend.addr.is_v4()).collect();
            assert_eq!(families, [key.addr.is_v4()]);
        }
    }

    #[test]
    fn what_is_not_honoured_is_said() {
        let mut local = spec(1);
        assert_eq!(not_honoured(&local), [""; 0]);
        local.services[0].external_policy = TrafficPolicy::Local;
        let said = not_honoured(&local);
        assert_eq!(said, ["Service default/web: externalTrafficPolicy Local is not honoured yet"]);
    }

    #[test]
    fn a_service_without_endpoints_keeps_its_frontend() {
        let tables = compile(&spec(0), &OnNode("node-1"), &Tables::default());
        assert_eq!(tables.frontends.values().map(|f| f.backends).collect::<Vec<_>>(), [0]);
    }
}
