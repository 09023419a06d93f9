//! What a host's own rules give to others: addresses and ports that are translated, and to whom.
//!
//! For hosts of which no objects are known. Read as kube-proxy writes it, in either store, and as
//! people write single rules: a rule or an element of a map that names a port, and the
//! destination NAT that it leads to.

mod iptables;
mod nft;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use serde_json::Value;

use super::packet::{TCP, UDP};
use crate::{
    doctor::facts::{HostFacts, datapath, nft::port},
    spec::model::Protocol,
};

/// Deeper than rules are nested.
const DEEPEST: usize = 16;

/// What rules lead to.
#[derive(Debug, Default)]
struct Targets {
    /// Addresses, with ports where they are changed.
    found: BTreeSet<(IpAddr, Option<u16>)>,
    /// Names of chains that have been looked into: several ways may lead to each.
    seen: BTreeSet<String>,
}

/// Something that is translated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Frontend {
    /// None for any address that the rule is asked about.
    pub address: Option<IpAddr>,
    pub protocol: Protocol,
    pub port: u16,
    /// To whom; a rule that keeps the port has the frontend's.
    pub backends: Vec<SocketAddr>,
}

impl Frontend {
    /// Whether it is about what was dialled.
    pub fn has(&self, dialled: SocketAddr) -> bool {
        self.port == dialled.port() && self.address.is_none_or(|own| own == dialled.ip())
    }
}

/// All of a host, once each, by address and port.
pub(super) fn frontends(host: &HostFacts) -> Vec<Frontend> {
    let tables = host.nft.iter().flat_map(|rules| &rules.tables);
    let own = tables.filter(|table| {
        let is_ip = matches!(table.family.as_str(), "ip" | "ip6" | "inet");
        let of_iptables = host.iptables.iter().any(|store| store.keeps(&table.family, &table.name));
        is_ip && !table.dormant && !of_iptables
    });
    let mut found: Vec<Frontend> = own.flat_map(nft::frontends).collect();
    let stores = host.iptables.iter().filter_map(|store| store.table("nat"));
    found.extend(stores.flat_map(iptables::frontends));
    found.extend(host.datapath.iter().flat_map(|maps| &maps.frontends).filter_map(of_map));
    found.retain(|frontend| !frontend.backends.is_empty());
    found.sort();
    found.dedup();
    found
}

/// One that netlab's programs have: node ports are at any address, of a family.
fn of_map(of: &datapath::Frontend) -> Option<Frontend> {
    let address = Some(of.address.ip()).filter(|address| !address.is_unspecified());
    let protocol = match of.protocol {
        TCP => Protocol::Tcp,
        UDP => Protocol::Udp,
        _ => return None,
    };
    let backends = of.backends.iter().map(|backend| backend.address).collect();
    Some(Frontend { address, protocol, port: of.address.port(), backends })
}

/// What a rule or a key asks about.
#[derive(Clone, Debug, Default)]
struct Asked {
    address: Option<IpAddr>,
    protocol: Option<Protocol>,
    ports: Vec<u16>,
}

impl Asked {
    fn frontends(&self, targets: &Targets) -> Vec<Frontend> {
        let Some(protocol) = self.protocol else { return Vec::new() };
        let frontend = |port: &u16| Frontend {
            address: self.address,
            protocol,
            port: *port,
            backends: targets
                .found
                .iter()
                .map(|(address, to)| SocketAddr::new(*address, to.unwrap_or(*port)))
                .collect(),
        };
        self.ports.iter().map(frontend).collect()
    }

    /// One word of a key of a map: an address, a protocol, a port.
    fn word(&mut self, word: &Value) {
        match word {
            Value::Number(_) => {
                self.ports.extend(port(word));
            }
            Value::String(text) => match protocol(text) {
                Some(protocol) => self.protocol = Some(protocol),
                None => self.address = text.parse().ok().or(self.address),
            },
            _ => {}
        }
    }
}

fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}
