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

use crate::spec::model::{Endpoint, Port, Protocol, Service, ServicePort, Spec};

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
    for (service, port) in ports(spec) {
        let Some(node_port) = port.node_port else { continue };
        let key = node_port_key(node_port, port.protocol);
        let number = match present.frontends.get(&key) {
            Some(frontend) => frontend.service,
            None => numbers.next(),
        };
        let old = old_slots.get(&number).map_or(&[][..], Vec::as_slice);
        let slots = place(backends(service, port, node), old);
        let count = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let frontend = Frontend { service: number, backends: count, ..Frontend::default() };
        tables.frontends.insert(key, frontend);
        tables.backends.extend(
            (0..).zip(slots).map(|(slot, backend)| (BackendKey { service: number, slot }, backend)),
        );
    }
    tables
}

/// The frontend of a node port, on every node address.
#[must_use]
pub fn node_port_key(port: Port, protocol: Protocol) -> FrontendKey {
    FrontendKey {
        addr: Addr::UNSPECIFIED,
        port: port.get().to_be_bytes(),
        proto: protocol.number(),
        reserved: 0,
    }
}

fn ports(spec: &Spec) -> impl Iterator<Item = (&Service, &ServicePort)> {
    spec.services.iter().flat_map(|service| service.ports.iter().map(move |port| (service, port)))
}

fn backends(_service: &Service, port: &ServicePort, node: &impl NodeView) -> Vec<Backend> {
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
    port.usable_endpoints().into_iter().map(of).collect()
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
