//! kube-proxy's rules in nftables: one table `kube-proxy` a family.
//!
//! Verdict maps find the Service in one look-up, however many there are; a chain a Service
//! draws the endpoint; a chain an endpoint translates. Names, hooks, priorities and the order
//! of rules are kube-proxy's (kubernetes `pkg/proxy/nftables`, README.md first), so that
//! `nft list ruleset` reads like a real node's.
//!
//! [`render`] says what should be there, [`transaction`] how to get there. Both are pure.

mod base;
mod batches;
mod services;
#[cfg(test)]
mod tests;
mod transaction;

use std::{borrow::Cow, collections::BTreeMap};

pub use self::{
    batches::batches,
    transaction::{Existing, transaction},
};
use super::view::{Family, View};

/// The table's name.
pub const TABLE: &str = "kube-proxy";

/// All that should stand in the table of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    family: Family,
    chains: BTreeMap<Cow<'static, str>, Chain>,
    sets: BTreeMap<Cow<'static, str>, Set>,
}

/// A chain and its rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chain {
    /// What stands in braces behind the name, for base chains and comments.
    properties: &'static str,
    rules: Vec<String>,
}

/// A set or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Set {
    kind: Kind,
    /// What stands in braces behind the name.
    properties: String,
    /// From the key to what follows it: nothing in a set, comment and verdict in a map.
    elements: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Set,
    Map,
    /// A set that the rules fill, with clients that stay with their endpoint.
    Affinity,
}

impl Kind {
    fn keyword(self) -> &'static str {
        match self {
            Self::Set | Self::Affinity => "set",
            Self::Map => "map",
        }
    }
}

/// The rule set for a view.
#[must_use]
pub fn render(view: &View<'_>) -> Ruleset {
    let mut ruleset =
        Ruleset { family: view.family, chains: BTreeMap::new(), sets: BTreeMap::new() };
    base::render(&mut ruleset, view);
    for port in &view.ports {
        services::render(&mut ruleset, view, port);
    }
    ruleset
}

/// What takes the table away, whether it is there or not.
#[must_use]
pub fn removal(family: Family) -> String {
    let table = family.table();
    format!("add table {table}\ndelete table {table}\n")
}

impl Ruleset {
    /// Entries of the verdict maps: what a client can dial.
    #[must_use]
    pub fn frontends(&self) -> usize {
        let named = |name: &&str| self.sets.get(*name);
        let maps = ["service-ips", "service-nodeports"];
        maps.iter().filter_map(named).map(|set| set.elements.len()).sum()
    }

    /// Chains that translate to an endpoint.
    #[must_use]
    pub fn backends(&self) -> usize {
        self.chains.keys().filter(|name| name.starts_with(services::ENDPOINT)).count()
    }

    fn rule(&mut self, chain: impl Into<Cow<'static, str>>, rule: impl Into<String>) {
        self.chains.entry(chain.into()).or_default().rules.push(rule.into());
    }

    fn element(&mut self, set: &'static str, key: String, value: String) {
        if let Some(set) = self.sets.get_mut(set) {
            set.elements.insert(key, value);
        }
    }
}

impl Family {
    /// `ip kube-proxy`.
    fn table(self) -> &'static str {
        match self {
            Self::V4 => "ip kube-proxy",
            Self::V6 => "ip6 kube-proxy",
        }
    }

    /// The protocol's name in rules, and the family's in commands.
    pub(super) fn keyword(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    fn address_type(self) -> &'static str {
        match self {
            Self::V4 => "ipv4_addr",
            Self::V6 => "ipv6_addr",
        }
    }
}
