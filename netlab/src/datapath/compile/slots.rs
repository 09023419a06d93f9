//! Which endpoint stands in which slot of a Service port.

use std::collections::{BTreeMap, BTreeSet};

use netlab_common::{abi::Backend, flow::Addr};

use super::{NodeView, Tables};
use crate::spec::model::{Endpoint, Protocol, ServicePort};

/// The endpoints that new connections go to, of one family.
pub(super) fn backends(port: &ServicePort, v4: bool, node: &impl NodeView) -> Vec<Backend> {
    let of = |endpoint: &Endpoint| {
        let local = endpoint.node.as_deref() == Some(node.name());
        let masquerade = if local { None } else { node.masquerade(endpoint) };
        Backend {
            addr: endpoint.address.into(),
            masquerade: masquerade.map_or(Addr::UNSPECIFIED, Addr::from),
            port: endpoint.port.get().to_be_bytes(),
            flags: if local { Backend::LOCAL } else { 0 },
            id: endpoint_number(endpoint, port.protocol),
            ..Backend::default()
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
pub(super) fn place(wanted: Vec<Backend>, old: &[Backend]) -> Vec<Backend> {
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

/// Backends by the number of their Service port, in the order of their slots.
pub(super) fn slots_by_service(present: &Tables) -> BTreeMap<u32, Vec<Backend>> {
    let mut slots: BTreeMap<u32, Vec<Backend>> = BTreeMap::new();
    for (key, backend) in &present.backends {
        slots.entry(key.service).or_default().push(*backend);
    }
    slots
}

/// Numbers of Services: the smallest that nobody has.
pub(super) struct Numbers {
    used: BTreeSet<u32>,
    candidate: u32,
}

impl Numbers {
    /// Those that are free beside what is present.
    pub(super) fn of(present: &Tables) -> Self {
        let frontends = present.frontends.values().map(|frontend| frontend.service);
        let used = frontends.chain(present.backends.keys().map(|key| key.service)).collect();
        Self { used, candidate: 0 }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> u32 {
        loop {
            self.candidate += 1;
            if self.used.insert(self.candidate) {
                return self.candidate;
            }
        }
    }
}
