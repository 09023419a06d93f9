//! iptables' rules, in either store.
//!
//! Chains that grow with the cluster are cut down to the rules that the subject can meet.

use std::net::{AddrParseError, IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::nft::Counted;

/// The rules of one store and family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Which store.
    pub variant: Variant,
    /// IPv4's; else IPv6's.
    pub v4: bool,
    /// Tables that are in use.
    pub tables: Vec<Table>,
}

/// Where rules are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// The kernel's old store (iptables-legacy).
    Legacy,
    /// nftables' store (iptables-nft); the same rules are in [`super::nft`].
    Nft,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    /// `filter`, `nat`, `mangle`, `raw` or `security`.
    pub name: String,
    /// In the program's order.
    pub chains: Vec<Chain>,
    /// Chains that nothing of the subject gets to, and that are not here.
    pub chains_left_out: usize,
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Of a built-in chain, what becomes of packets that no rule decided about: `ACCEPT` or
    /// `DROP`.
    pub policy: Option<String>,
    /// Packets that the policy decided about.
    pub counter: Counted,
    /// In the order they are tried.
    pub rules: Vec<Rule>,
    /// How many rules are not here.
    pub left_out: usize,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Position in its chain, from 1, which `iptables -D CHAIN` takes.
    pub number: usize,
    /// As iptables-save prints it, without counters and `-A CHAIN`.
    pub text: String,
    /// Words of the text, without their quotes.
    pub arguments: Vec<String>,
    /// Where it goes (`-j` or `-g`): `ACCEPT`, `DROP`, `DNAT`, a chain.
    pub target: Option<String>,
    /// It does not come back from there (`-g`).
    pub goto: bool,
    /// Packets that met it.
    pub counter: Counted,
}

impl Rule {
    /// What stands behind an option: `8080` of `--to-ports 8080`.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        let at = self.arguments.iter().position(|word| word == name)?;
        self.arguments.get(at + 1).map(String::as_str)
    }
}

impl Store {
    /// The table of this name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Whether a table of nftables, of this family and name, is one that iptables-nft keeps these
    /// very rules in: those are read here, and not as nftables' own.
    #[must_use]
    pub fn keeps(&self, family: &str, table: &str) -> bool {
        let own = if self.v4 { "ip" } else { "ip6" };
        self.variant == Variant::Nft && family == own && self.table(table).is_some()
    }
}

impl Table {
    /// The chain of this name.
    #[must_use]
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }
}

/// `NETWORK/LENGTH`, or an address as the network of itself.
///
/// # Errors
///
/// Where it is neither.
pub fn net(text: &str) -> Result<IpNet, AddrParseError> {
    text.parse().or_else(|_| text.parse().map(<IpNet as From<IpAddr>>::from))
}

/// What `--to-destination` and `--to-source` give: an address, and the port where it is changed
/// too. None for ranges.
#[must_use]
pub fn destination(text: &str) -> Option<(IpAddr, Option<u16>)> {
    match text.parse::<SocketAddr>() {
        Ok(to) => Some((to.ip(), Some(to.port()))),
        Err(_) => Some((text.parse().ok()?, None)),
    }
}
