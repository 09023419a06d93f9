//! [`Tables`] in plain maps, deterministic.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use crate::{
    abi::{Backend, BackendKey, Config, CtEntry, Frontend, FrontendKey, VERSION},
    conntrack::Timeouts,
    flow::{Addr, FlowKey},
    nodeport::{Claim, Tables},
};

/// The core's tables, on the host.
#[derive(Debug)]
pub struct HostTables {
    /// The node's configuration.
    pub config: Config,
    /// What clients dial.
    pub frontends: BTreeMap<FrontendKey, Frontend>,
    /// Slots of Services.
    pub backends: BTreeMap<BackendKey, Backend>,
    /// Addresses on which node ports answer.
    pub node_addresses: BTreeSet<Addr>,
    /// Both directions of every connection.
    pub conntrack: RefCell<BTreeMap<FlowKey, CtEntry>>,
    /// Entries that [`Self::conntrack`] has room for.
    pub conntrack_max: usize,
    /// Answers that [`Tables::random`] gives before its own.
    pub scripted: RefCell<VecDeque<u32>>,
    state: Cell<u64>,
}

impl HostTables {
    /// Empty tables whose random numbers follow from `seed`; node ports answer
    /// nowhere, timeouts are the defaults, and masquerading has 1,000 ports.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let config = Config {
            version: VERSION,
            snat_ports: [61_000, 61_999],
            timeouts: Timeouts::DEFAULT,
            ..Config::default()
        };
        Self {
            config,
            frontends: BTreeMap::new(),
            backends: BTreeMap::new(),
            node_addresses: BTreeSet::new(),
            conntrack: RefCell::default(),
            conntrack_max: usize::MAX,
            scripted: RefCell::default(),
            state: Cell::new(seed),
        }
    }

    /// Puts `backends` behind what a client dials; returns the Service port's number.
    ///
    /// # Panics
    ///
    /// With more than 2^32 of either.
    pub fn serve(&mut self, key: FrontendKey, backends: &[Backend]) -> u32 {
        let service = u32::try_from(self.frontends.len()).expect("few frontends") + 1;
        for (slot, backend) in (0..).zip(backends) {
            self.backends.insert(BackendKey { service, slot }, *backend);
        }
        let slots = u32::try_from(backends.len()).expect("few backends");
        self.frontends.insert(key, Frontend { service, backends: slots, ..Frontend::default() });
        service
    }

    /// The conntrack entry of a flow.
    #[must_use]
    pub fn entry(&self, flow: &FlowKey) -> Option<CtEntry> {
        self.conntrack.borrow().get(flow).copied()
    }
}

impl Tables for HostTables {
    fn config(&self) -> &Config {
        &self.config
    }

    fn conntrack<R>(&self, key: &FlowKey, f: impl FnOnce(&mut CtEntry) -> R) -> Option<R> {
        self.conntrack.borrow_mut().get_mut(key).map(f)
    }

    fn conntrack_claim(&self, key: &FlowKey, entry: &CtEntry) -> Claim {
        if self.conntrack.borrow().contains_key(key) {
            return Claim::Taken;
        }
        self.conntrack_put(key, entry)
    }

    fn conntrack_put(&self, key: &FlowKey, entry: &CtEntry) -> Claim {
        let mut conntrack = self.conntrack.borrow_mut();
        if conntrack.len() >= self.conntrack_max && !conntrack.contains_key(key) {
            return Claim::Full;
        }
        conntrack.insert(*key, *entry);
        Claim::Stored
    }

    fn conntrack_remove(&self, key: &FlowKey) {
        self.conntrack.borrow_mut().remove(key);
    }

    fn frontend(&self, key: &FrontendKey) -> Option<Frontend> {
        self.frontends.get(key).copied()
    }

    fn is_node_address(&self, address: &Addr) -> bool {
        self.node_addresses.contains(address)
    }

    fn backend(&self, key: &BackendKey) -> Option<Backend> {
        self.backends.get(key).copied()
    }

    /// What is scripted, then SplitMix64.
    fn random(&self) -> u32 {
        if let Some(scripted) = self.scripted.borrow_mut().pop_front() {
            return scripted;
        }
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [a, b, c, d, ..] = (mixed ^ (mixed >> 31)).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}
