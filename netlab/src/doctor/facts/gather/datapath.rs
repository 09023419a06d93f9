//! netlab's own maps, and what its agent says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use netlab_common::{
    abi::{Backend as MapBackend, BackendKey, CtEntry, map},
    conntrack::{SECOND, Timeouts as MapTimeouts},
    flow::{Addr, FlowKey},
};

use super::super::{
    datapath::{Backend, Config, Connection, Conntrack, Datapath, Frontend, PortUse, Timeouts},
    host::Agent,
    subject::Subject,
};
use crate::{
    agent::status,
    datapath::{self, compile::Tables, conntrack, load::Maps, load::broken, pins, tables, view},
    lab::processes,
    netlink::Mac,
};

/// Most frontends and connections that are told, and most backends whose ports are counted.
const MOST: usize = 512;
const MOST_PORT_USE: usize = 8;

/// The maps that an agent has pinned; None where none has.
pub(super) fn open(pinned: &Path) -> datapath::Result<Option<Maps>> {
    if pins::versioned(pinned).is_dir() { Maps::open(pinned).map(Some) } else { Ok(None) }
}

/// The maps of programs of netlab's that are attached.
pub(super) fn of_programs(attached: &BTreeSet<u32>) -> datapath::Result<Option<Maps>> {
    if attached.is_empty() { Ok(None) } else { Maps::of_programs(attached) }
}

/// Why the maps of programs that are attached are not found where they should be.
pub(super) fn unpinned(pinned: Option<&Path>) -> String {
    let Some(pinned) = pinned else {
        return "the maps of netlab's programs are of another netlab, or not filled yet".to_owned();
    };
    let entries = fs::read_dir(pinned).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_version = |name: &String| {
        let number = name.strip_prefix('v');
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let versions: Vec<String> = names.filter(is_version).collect();
    let wanted = pins::versioned(pinned);
    match versions.as_slice() {
        [] => format!("no maps are pinned at {}", wanted.display()),
        others => format!(
            "the maps are of another netlab ({} and not {})",
            others.join(", "),
            wanted.file_name().unwrap_or_default().to_string_lossy()
        ),
    }
}

pub(super) fn read(maps: &Maps, subject: &Subject) -> datapath::Result<Datapath> {
    let tables = tables::observe(maps)?;
    let config = maps.config.get(&0, 0).map_err(broken("read", map::CONFIG))?;
    let (frontends, frontends_left_out) = frontends(&tables, subject);
    let vteps = maps.vteps.iter().filter_map(Result::ok);
    Ok(Datapath {
        frontends,
        frontends_left_out,
        node_addresses: tables.node_addresses.keys().map(|addr| (*addr).into()).collect(),
        vteps: vteps.map(|(key, vtep)| (Mac(key.mac), vtep.addr.into())).collect(),
        conntrack: conntrack_facts(maps, &config.timeouts, config.snat_ports.into(), subject)?,
        config: Config {
            configured: config.version != 0,
            vxlan_device: (config.vxlan_ifindex != 0).then_some(config.vxlan_ifindex),
            vni: config.vni,
            vxlan_port: u16::from_be_bytes(config.vxlan_port),
            vtep: (!config.vtep.is_unspecified()).then(|| config.vtep.into()),
            snat_ports: config.snat_ports.into(),
            timeouts: timeouts(&config.timeouts),
        },
    })
}

/// What the datapath has counted, by hook, group and name.
pub(super) fn counters(maps: &Maps) -> datapath::Result<BTreeMap<String, u64>> {
    let rows = view::counters(maps)?.into_iter().filter(|row| row.packets > 0);
    Ok(rows.map(|row| (format!("{} {} {}", row.hook, row.group, row.name), row.packets)).collect())
}

const fn timeouts(of: &MapTimeouts) -> Timeouts {
    Timeouts {
        syn: of.syn / SECOND,
        established: of.established / SECOND,
        half_closed: of.half_closed / SECOND,
        closing: of.closing / SECOND,
        udp_new: of.udp_new / SECOND,
        udp_assured: of.udp_assured / SECOND,
    }
}

/// Those that touch the subject, and how many do not or are too many.
fn frontends(tables: &Tables, subject: &Subject) -> (Vec<Frontend>, usize) {
    let wanted = tables.frontends.iter().filter(|(key, _)| {
        // Of IPv4 any address is ::ffff:0.0.0.0 in the map.
        let address = IpAddr::from(key.addr);
        let is_own = address.is_unspecified() || subject.has_address(address);
        is_own && subject.has_port(u16::from_be_bytes(key.port))
    });
    let found: Vec<Frontend> = wanted
        .take(MOST)
        .map(|(key, frontend)| {
            let service = frontend.service;
            let slots = BackendKey { service, slot: 0 }..=BackendKey { service, slot: u32::MAX };
            Frontend {
                service,
                address: socket(key.addr, key.port),
                protocol: key.proto,
                backend_count: frontend.backends,
                backends: tables
                    .backends
                    .range(slots)
                    .take(MOST)
                    .map(|(key, backend)| Backend {
                        slot: key.slot,
                        address: socket(backend.addr, backend.port),
                        local: backend.flags & MapBackend::LOCAL != 0,
                        masquerade: (!backend.masquerade.is_unspecified())
                            .then(|| backend.masquerade.into()),
                    })
                    .collect(),
            }
        })
        .collect();
    let left_out = tables.frontends.len() - found.len();
    (found, left_out)
}

fn conntrack_facts(
    maps: &Maps,
    timeouts: &MapTimeouts,
    snat_ports: (u16, u16),
    subject: &Subject,
) -> datapath::Result<Conntrack> {
    let entries = conntrack::read(maps)?;
    let rows = view::connections(&entries, timeouts, conntrack::now());
    let total = rows.len();
    let touching = rows.into_iter().filter(|row| {
        subject.has_port(row.frontend.port()) || subject.has_address(row.backend.ip())
    });
    let mut connections: Vec<Connection> = touching
        .map(|row| Connection {
            protocol: if row.protocol == "UDP" { 17 } else { 6 },
            state: row.state.to_owned(),
            client: row.client,
            frontend: row.frontend,
            source: row.source,
            backend: row.backend,
            expires_in: row.expires_in,
            packets: row.packets,
            reply_packets: row.reply_packets,
        })
        .collect();
    debug_assert!(connections.len() <= total, "rows are filtered");
    let left_out = connections.len().saturating_sub(MOST);
    connections.truncate(MOST);
    Ok(Conntrack {
        entries: entries.len(),
        capacity: usize::try_from(conntrack::capacity(maps)?).unwrap_or(usize::MAX),
        connections,
        left_out,
        port_use: port_use(&entries, snat_ports),
    })
}

/// Ports of masquerading that are taken, by protocol, source address and backend: in one such
/// tuple each port can be used once. Those outside of the range are of an agent that had another.
fn port_use(entries: &BTreeMap<FlowKey, CtEntry>, (low, high): (u16, u16)) -> Vec<PortUse> {
    let mut taken: BTreeMap<_, BTreeSet<u16>> = BTreeMap::new();
    let originals = entries.values().filter(|entry| {
        entry.direction == CtEntry::ORIGINAL && entry.flags & CtEntry::MASQUERADED != 0
    });
    for entry in originals {
        let to = &entry.to;
        let port = u16::from_be_bytes(to.sport);
        if (low..=high).contains(&port) {
            let ports = taken.entry((to.proto, to.src, to.dst, to.dport)).or_default();
            ports.insert(port);
        }
    }
    let mut uses: Vec<PortUse> = taken
        .into_iter()
        .map(|((protocol, source, backend, port), ports)| PortUse {
            protocol,
            masquerade: source.into(),
            backend: socket(backend, port),
            ports: ports.len(),
        })
        .collect();
    uses.sort_by_key(|port_use| std::cmp::Reverse(port_use.ports));
    uses.truncate(MOST_PORT_USE);
    uses
}

fn socket(addr: Addr, port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(addr.into(), u16::from_be_bytes(port))
}

/// What the agent whose state directory this is says, and whether it lives; None where it has
/// none.
///
/// # Errors
///
/// Where its status is there and cannot be understood, in words that stand behind a colon.
pub(super) fn agent(directory: &Path, digest: Option<&str>) -> Result<Option<Agent>, String> {
    if !directory.is_dir() {
        return Ok(None);
    }
    let path = directory.join(status::FILE_NAME);
    let Ok(text) = fs::read(&path) else {
        return Ok(Some(Agent { status: None, alive: false, stopped: false, current: None }));
    };
    let status: status::AgentStatus = serde_json::from_slice(&text)
        .map_err(|error| format!("{} is not understood: {error}", path.display()))?;
    let state = state_of(status.pid);
    let current = digest.map(|digest| status.generation > 0 && status.spec == digest);
    Ok(Some(Agent {
        alive: state.is_some(),
        stopped: matches!(state, Some('T' | 't')),
        current,
        status: Some(status),
    }))
}

/// The state of an agent's process (proc_pid_stat(5)); None where it has ended, or its number is
/// another's by now.
fn state_of(pid: u32) -> Option<char> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    if line.split(|byte| *byte == 0).nth(1) != Some(b"agent") {
        return None;
    }
    processes::state(pid).filter(|state| *state != 'Z')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_of_the_same_number_is_no_agent() {
        assert_eq!(state_of(std::process::id()), None);
    }
}
