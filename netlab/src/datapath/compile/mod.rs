//! From a spec to what belongs into the maps of one node.
//!
//! Law: pure, and stable. What stands in the maps already keeps its number and its
//! slot, so that one endpoint's change touches a few entries, however many Services
//! there are, and conntrack entries go on meaning what they meant.

mod frontends;
mod slots;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr};

use netlab_common::{
    abi::{Backend, BackendKey, Frontend, FrontendKey},
    flow::Addr,
};

pub use frontends::{node_port_key, not_honoured};

use self::slots::{Numbers, backends, place, slots_by_service};
use crate::spec::model::{Endpoint, Spec};

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
    for group in frontends::groups(spec) {
        // Any of them tells which number the group has; all of them may not be there yet.
        let known = group.keys.iter().find_map(|key| present.frontends.get(key));
        let service = known.map_or_else(|| numbers.next(), |frontend| frontend.service);
        let old = old_slots.get(&service).map_or(&[][..], Vec::as_slice);
        let slots = place(backends(group.port, group.v4, node), old);
        let backends = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let frontend = Frontend { service, backends, ..Frontend::default() };
        tables.frontends.extend(group.keys.into_iter().map(|key| (key, frontend)));
        tables.backends.extend(
            (0..).zip(slots).map(|(slot, backend)| (BackendKey { service, slot }, backend)),
        );
    }
    tables
}
