//! kube-proxy's rules in iptables: chains `KUBE-...` in the tables filter and nat.
//!
//! KUBE-SERVICES asks for one Service after the other, KUBE-SVC-... draws the endpoint with
//! a probability a rule, KUBE-SEP-... translates to it. Chains, comments and the order of rules
//! are kube-proxy's (kubernetes `pkg/proxy/iptables/proxier.go`), so that `iptables-save` reads
//! like a real node's.
//!
//! [`render`] says what should be there, [`transaction`] how to get there. Both are pure.

mod base;
mod services;
#[cfg(test)]
mod tests;
mod transaction;

use std::{borrow::Cow, collections::BTreeMap};

use super::view::View;
pub use transaction::{Saved, removal, transaction};

/// With more endpoints than this kube-proxy leaves comments on endpoints out.
const LARGE_CLUSTER: usize = 1000;

/// A table of iptables, in the order in which they are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// mangle: nothing but kube-proxy's canary.
    Mangle,
    /// filter.
    Filter,
    /// nat.
    Nat,
}

impl Table {
    /// As `-t` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mangle => "mangle",
            Self::Filter => "filter",
            Self::Nat => "nat",
        }
    }
}

/// A chain's rules, as `-A CHAIN` would take them.
type Rules = Vec<String>;

/// All that should stand in the tables of one family: chains that are kube-proxy's own, and who
/// calls them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    chains: BTreeMap<(Table, Cow<'static, str>), Rules>,
}

/// The rule set for a view.
#[must_use]
pub fn render(view: &View<'_>) -> Ruleset {
    let mut ruleset = Ruleset { chains: BTreeMap::new() };
    base::render(&mut ruleset, view);
    let endpoints: usize = view.ports.iter().map(|port| port.reachable().len()).sum();
    for port in &view.ports {
        services::render(&mut ruleset, view, port, endpoints <= LARGE_CLUSTER);
    }
    base::node_ports(&mut ruleset, view);
    ruleset
}

impl Ruleset {
    /// Rules that send to a Service: what a client can dial.
    #[must_use]
    pub fn frontends(&self) -> usize {
        let goes_on = |rule: &&String| {
            ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-"].iter().any(|prefix| rule.contains(prefix))
        };
        let rules = |chain: &'static str| self.chains.get(&(Table::Nat, chain.into()));
        let all = [rules("KUBE-SERVICES"), rules("KUBE-NODEPORTS")].into_iter().flatten();
        all.flatten().filter(goes_on).count()
    }

    /// Chains that translate to an endpoint.
    #[must_use]
    pub fn backends(&self) -> usize {
        self.chains.keys().filter(|(_, name)| name.starts_with(services::ENDPOINT)).count()
    }

    fn chain(&mut self, table: Table, chain: impl Into<Cow<'static, str>>) -> &mut Rules {
        self.chains.entry((table, chain.into())).or_default()
    }

    fn filter(&mut self, chain: &'static str, rule: String) {
        self.chain(Table::Filter, chain).push(rule);
    }

    fn nat(&mut self, chain: impl Into<Cow<'static, str>>, rule: impl Into<String>) {
        self.chain(Table::Nat, chain).push(rule.into());
    }
}
