//! UDP flows to endpoints that are gone.
//!
//! The kernel's conntrack would go on sending a flow's datagrams there for as long as they keep
//! coming, since rules are only asked about the first one. So kube-proxy removes those entries,
//! and so does this (kubernetes `pkg/proxy/conntrack/cleanup.go`).

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
};

use super::{
    conntrack::{self, Entry},
    view::{PortView, View},
};
use crate::{netlink, spec::model::Protocol};

/// Removes them in the calling thread's namespace, and tells how many there were.
///
/// # Errors
///
/// Where the kernel refuses.
pub(super) fn forget(view: &View<'_>) -> Result<usize, netlink::Error> {
    let targets = Targets::of(view);
    if targets.is_empty() {
        return Ok(0);
    }
    let table = conntrack::Table::open()?;
    let mut forgotten = 0;
    for entry in table.read(view.family == super::Family::V4)? {
        if targets.is_stale(&entry) {
            table.delete(&entry)?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}

type Endpoints<'v> = HashSet<&'v SocketAddr>;

/// Who may answer a UDP flow, by what was dialled.
struct Targets<'v> {
    cluster: HashMap<SocketAddr, Endpoints<'v>>,
    node_ports: HashMap<u16, Endpoints<'v>>,
}

impl<'v> Targets<'v> {
    fn of(view: &'v View<'_>) -> Self {
        let udp = || view.ports.iter().filter(|port| port.name.protocol == Protocol::Udp);
        let endpoints = |port: &'v PortView<'_>| port.serving.iter().collect();
        let cluster = |port: &'v PortView<'_>| {
            (SocketAddr::new(port.cluster_ip, port.port.get()), endpoints(port))
        };
        let node_port = |port: &'v PortView<'_>| Some((port.node_port?.get(), endpoints(port)));
        Self {
            cluster: udp().map(cluster).collect(),
            node_ports: udp().filter_map(node_port).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.cluster.is_empty()
    }

    /// Whether the flow was dialled at a Service and goes to none of its endpoints: to one that
    /// is gone, or untranslated, from when there was none.
    fn is_stale(&self, entry: &Entry) -> bool {
        if entry.protocol != Protocol::Udp.number() {
            return false;
        }
        let dialled = &entry.dialled;
        let endpoints = self.cluster.get(dialled).or_else(|| self.node_ports.get(&dialled.port()));
        endpoints.is_some_and(|endpoints| !endpoints.contains(&entry.answers))
    }
}
