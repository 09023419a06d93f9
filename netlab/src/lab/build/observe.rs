//! What is in the lab's namespaces.

use std::collections::BTreeMap;

use crate::{
    lab::topology::{Host, LinkKind, Topology},
    netlink::{
        Address, Connection, FdbEntry, Link, Neighbor, Netns, Result, Route,
        ethtool::{self, Offload},
        sysctl,
    },
};

/// The kernel's state by host name; a host without a namespace is absent.
pub type Observed = BTreeMap<String, ObservedHost>;

/// The kernel's state in one namespace, as far as the topology speaks of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedHost {
    /// All links.
    pub links: Vec<Link>,
    /// All addresses.
    pub addresses: Vec<Address>,
    /// Routes of the main table.
    pub routes: Vec<Route>,
    /// Neighbor entries.
    pub neighbors: Vec<Neighbor>,
    /// FDB entries.
    pub fdb: Vec<FdbEntry>,
    /// The sysctls that the topology sets.
    pub sysctls: BTreeMap<String, String>,
    /// The switches that the topology sets, by link.
    pub offloads: BTreeMap<(String, Offload), bool>,
}

impl ObservedHost {
    /// A link by name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }
}

/// Observes all namespaces of a topology.
///
/// # Errors
///
/// Where a namespace exists and cannot be looked into.
pub async fn observe(topology: &Topology) -> Result<Observed> {
    let mut observed = Observed::new();
    for host in &topology.hosts {
        match Netns::open(&host.netns) {
            Ok(netns) => {
                observed.insert(host.name.clone(), observe_host(host, &netns).await?);
            }
            // A name without a namespace behind it (EINVAL) is made anew like a missing one.
            Err(error) if error.is_absent() => {}
            Err(error) if error.errno() == Some(nix::errno::Errno::EINVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(observed)
}

async fn observe_host(host: &Host, netns: &Netns) -> Result<ObservedHost> {
    let connection = Connection::open(netns)?;
    let links = connection.links().await?;
    let mut seen = ObservedHost {
        addresses: connection.addresses().await?,
        routes: connection.routes().await?,
        ..ObservedHost::default()
    };
    if host.links.iter().any(|link| matches!(link.kind, LinkKind::Vxlan { .. })) {
        seen.neighbors = connection.neighbors().await?;
        seen.fdb = connection.fdb().await?;
    }
    for key in host.sysctls.keys() {
        match sysctl::read(netns, key) {
            Ok(value) => {
                seen.sysctls.insert(key.clone(), value);
            }
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error),
        }
    }
    for link in &host.links {
        for offload in link.offloads.keys() {
            match ethtool::get(netns, &link.name, *offload) {
                Ok(on) => {
                    seen.offloads.insert((link.name.clone(), *offload), on);
                }
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(error),
            }
        }
    }
    seen.links = links;
    Ok(seen)
}
