//! nftables' rules, of whomever.
//!
//! Base chains are whole. Of the chains and map elements that grow with the cluster, those are
//! there that the subject can get to: an element that touches it, the chain that the element
//! names, and so on.

use serde::{Deserialize, Serialize};

/// The rules of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ruleset {
    /// In the kernel's order.
    pub tables: Vec<Table>,
    /// Chains that nothing of the subject gets to, and that are not here.
    pub chains_left_out: usize,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    /// `ip`, `ip6`, `inet`, `arp`, `bridge` or `netdev`.
    pub family: String,
    /// Its name.
    pub name: String,
    /// Its handle.
    pub handle: u64,
    /// It is there and does nothing (flag `dormant`).
    pub dormant: bool,
    /// In the kernel's order.
    pub chains: Vec<Chain>,
    /// Sets and maps.
    pub sets: Vec<Set>,
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Its handle.
    pub handle: u64,
    /// Where it is hooked in; None for chains that are jumped to.
    pub hook: Option<Hook>,
    /// In the order they are tried.
    pub rules: Vec<Rule>,
}

/// Where a base chain stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// `prerouting`, `input`, `forward`, `output`, `postrouting`, `ingress` or `egress`.
    pub hook: String,
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// Lower is earlier.
    pub priority: i32,
    /// What becomes of packets that no rule decided about: `accept` or `drop`.
    pub policy: String,
    /// Of `ingress` and `egress`: the interfaces.
    #[serde(default)]
    pub devices: Vec<String>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Its handle, which `nft delete rule` takes.
    pub handle: u64,
    /// As nft prints it; in a very large rule set its statements, as JSON.
    pub text: String,
    /// Its comment.
    pub comment: Option<String>,
    /// What its counter says; None without one.
    pub counter: Option<Counted>,
    /// Its statements, as libnftables-json(5) has them.
    pub statements: Vec<serde_json::Value>,
}

/// What a counter says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Packets that met it.
    pub packets: u64,
    /// Their octets of L3.
    pub bytes: u64,
}

/// A set or a map, named or not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Set {
    /// Its name, as rules refer to it behind `@`.
    pub name: String,
    /// Its handle.
    pub handle: u64,
    /// It gives a value, or a verdict, for each element.
    pub map: bool,
    /// Elements that touch the subject, as libnftables-json(5) has them: of a map, `[key, value]`.
    pub elements: Vec<serde_json::Value>,
    /// How many elements are not here.
    pub left_out: usize,
}

impl Ruleset {
    /// The table of this family and name.
    #[must_use]
    pub fn table(&self, family: &str, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.family == family && table.name == name)
    }
}

impl Table {
    /// The chain of this name.
    #[must_use]
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// The set or map of this name.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.name == name)
    }
}

/// A port, where nft says it as a number.
#[must_use]
pub fn port(value: &serde_json::Value) -> Option<u16> {
    value.as_u64().and_then(|port| u16::try_from(port).ok())
}
