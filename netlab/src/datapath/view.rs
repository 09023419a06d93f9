//! The maps as people read them: rows of plain values, for tables and for programs.

use std::{collections::BTreeMap, net::SocketAddr};

use netlab_common::{
    abi::{Backend, CtEntry, hook},
    conntrack::Timeouts,
    flow::{Addr, FlowKey},
    verdict::DropReason,
};
use serde::Serialize;

use super::{
    Result,
    compile::{Tables, node_port_key},
    conntrack,
    load::Maps,
};
use crate::spec::Spec;

/// A frontend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceRow {
    /// `namespace/name:port`, or `#number` where the spec does not have it.
    pub service: String,
    /// Address and port that clients dial; `0.0.0.0` or `[::]` for every node address.
    pub frontend: String,
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    /// Backends behind it.
    pub backends: u32,
}

/// A backend in its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendRow {
    /// As in [`ServiceRow`].
    pub service: String,
    /// Position among the Service's backends.
    pub slot: u32,
    /// Pod address and port.
    pub backend: SocketAddr,
    /// `local` or `remote`.
    pub place: &'static str,
    /// Source address of connections to it; None for local ones.
    pub masquerade: Option<String>,
}

/// A connection: both directions in one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionRow {
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    /// State, in the words of conntrack -L.
    pub state: &'static str,
    /// The client.
    pub client: SocketAddr,
    /// What it dialled.
    pub frontend: SocketAddr,
    /// Who the backend takes for the client.
    pub source: SocketAddr,
    /// The backend.
    pub backend: SocketAddr,
    /// Seconds until the connection is forgotten if it stays silent.
    pub expires_in: u64,
    /// Packets from the client.
    pub packets: u64,
    /// IP bytes from the client.
    pub bytes: u64,
    /// Packets from the backend.
    pub reply_packets: u64,
    /// IP bytes from the backend.
    pub reply_bytes: u64,
}

/// A counter of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CounterRow {
    /// The hook.
    pub hook: &'static str,
    /// `packets`, `forwarded`, `answered`, `passed` or `dropped`.
    pub group: &'static str,
    /// What was counted.
    pub name: &'static str,
    /// How often.
    pub packets: u64,
    /// Of drops: cause and remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<&'static str>,
}

/// All frontends.
#[must_use]
pub fn services(tables: &Tables, spec: &Spec) -> Vec<ServiceRow> {
    let names = names(tables, spec);
    let rows = tables.frontends.iter().map(|(key, frontend)| ServiceRow {
        service: name(&names, frontend.service),
        frontend: socket(key.addr, key.port).to_string(),
        protocol: protocol(key.proto),
        backends: frontend.backends,
    });
    rows.collect()
}

/// All backends.
#[must_use]
pub fn backends(tables: &Tables, spec: &Spec) -> Vec<BackendRow> {
    let names = names(tables, spec);
    let rows = tables.backends.iter().map(|(key, backend)| BackendRow {
        service: name(&names, key.service),
        slot: key.slot,
        backend: socket(backend.addr, backend.port),
        place: if backend.flags & Backend::LOCAL != 0 { "local" } else { "remote" },
        masquerade: (!backend.masquerade.is_unspecified()).then(|| backend.masquerade.to_string()),
    });
    rows.collect()
}

/// All connections, by client.
#[must_use]
pub fn connections(
    entries: &BTreeMap<FlowKey, CtEntry>,
    timeouts: &Timeouts,
    now: u64,
) -> Vec<ConnectionRow> {
    let originals = entries.iter().filter(|(_, entry)| entry.direction == CtEntry::ORIGINAL);
    let rows = originals.map(|(key, entry)| {
        let reply = entries.get(&entry.to.reverse());
        let last = reply.map_or(entry.last_seen, |reply| reply.last_seen.max(entry.last_seen));
        let over = last.saturating_add(timeouts.of(entry.state));
        ConnectionRow {
            protocol: protocol(key.proto),
            state: entry.state.name(),
            client: socket(key.src, key.sport),
            frontend: socket(key.dst, key.dport),
            source: socket(entry.to.src, entry.to.sport),
            backend: socket(entry.to.dst, entry.to.dport),
            expires_in: over.saturating_sub(now) / netlab_common::conntrack::SECOND,
            packets: entry.packets,
            bytes: entry.bytes,
            reply_packets: reply.map_or(0, |reply| reply.packets),
            reply_bytes: reply.map_or(0, |reply| reply.bytes),
        }
    });
    rows.collect()
}

/// Connections in the maps now.
///
/// # Errors
///
/// Where the map cannot be read.
pub fn read_connections(maps: &Maps) -> Result<Vec<ConnectionRow>> {
    let config = maps
        .config
        .get(&0, 0)
        .map_err(super::load::broken("read", netlab_common::abi::map::CONFIG))?;
    Ok(connections(&conntrack::read(maps)?, &config.timeouts, conntrack::now()))
}

/// Everything that is counted, zeros included.
///
/// # Errors
///
/// Where the map cannot be read.
pub fn counters(maps: &Maps) -> Result<Vec<CounterRow>> {
    let by_hook = hook::NAMES.into_iter().zip(maps.counters()?);
    let rows = by_hook.flat_map(|(hook, counters)| {
        let named: Vec<_> = counters.named().collect();
        named.into_iter().map(move |(group, name, packets)| {
            let reason = DropReason::ALL.iter().find(|reason| reason.name() == name);
            let explanation = reason.filter(|_| group == "dropped").map(|r| r.explanation().trim());
            CounterRow { hook, group, name, packets, explanation }
        })
    });
    Ok(rows.collect())
}

/// Names of Services by their numbers in the maps.
fn names(tables: &Tables, spec: &Spec) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for service in &spec.services {
        for port in &service.ports {
            let Some(node_port) = port.node_port else { continue };
            for v4 in [true, false] {
                let key = node_port_key(node_port, port.protocol, v4);
                if let Some(frontend) = tables.frontends.get(&key) {
                    names.insert(frontend.service, format!("{}:{}", service.name, port.port));
                }
            }
        }
    }
    names
}

fn name(names: &BTreeMap<u32, String>, number: u32) -> String {
    names.get(&number).cloned().unwrap_or_else(|| format!("#{number}"))
}

fn socket(addr: Addr, port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(addr.into(), u16::from_be_bytes(port))
}

const fn protocol(number: u8) -> &'static str {
    match number {
        6 => "TCP",
        17 => "UDP",
        _ => "?",
    }
}
