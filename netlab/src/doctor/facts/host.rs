//! What one host shows: a network namespace.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    conntrack::Conntrack,
    counters::Counters,
    datapath::Datapath,
    iptables::Store,
    link::Link,
    nft::Ruleset,
    program::{Program, TcFilter},
    route::{Address, FdbEntry, Neighbor, Route, Rule, main_table},
    socket::{TcpListener, UdpSocket},
};
use crate::agent::status::AgentStatus;

/// A network namespace, and all that it shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// Short name, unique among these facts: `client`, `node-1`, `web-1`; without a lab the
    /// machine's own name, and `netns:NAME` or `pid:NUMBER` for what is in it.
    pub name: String,
    /// What it plays.
    pub role: Role,
    /// Name under /run/netns; None for the namespace that netlab ran in, and for unnamed ones.
    pub netns: Option<String>,
    /// The namespace's inode number, as /proc/PID/ns/net shows it.
    pub inode: u64,
    /// By index.
    pub links: Vec<Link>,
    /// Addresses of links.
    pub addresses: Vec<Address>,
    /// Policy routing, both families, by priority.
    pub rules: Vec<Rule>,
    /// Routes of all tables, both families.
    pub routes: Vec<Route>,
    /// L3 to L2.
    pub neighbors: Vec<Neighbor>,
    /// L2 to port or VTEP.
    pub fdb: Vec<FdbEntry>,
    /// Path below /proc/sys/net, and value without the newline: `ipv4/ip_forward` -> `1`. What
    /// the kernel does not have is not there.
    pub sysctls: BTreeMap<String, String>,
    /// Listening TCP sockets.
    pub listeners: Vec<TcpListener>,
    /// UDP sockets that are bound.
    pub udp: Vec<UdpSocket>,
    /// The kernel's conntrack table; None where there is none, or a gap.
    pub conntrack: Option<Conntrack>,
    /// nftables' rules; None where there is not one table, or a gap.
    pub nft: Option<Ruleset>,
    /// iptables' rules, each store and family that has any.
    pub iptables: Vec<Store>,
    /// eBPF programs at interfaces, whosever they are.
    pub programs: Vec<Program>,
    /// Filters of tc that are not eBPF programs.
    pub tc_filters: Vec<TcFilter>,
    /// Counted since the namespace was made: only differences mean something.
    pub counters: Counters,
    /// netlab's maps; None where no agent has pinned any.
    pub datapath: Option<Datapath>,
    /// netlab's agent; None where there is none.
    pub agent: Option<Agent>,
}

/// What a host plays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The lab's switch or router.
    Fabric,
    /// The lab's client.
    Client,
    /// A cluster node.
    Node {
        /// Name of the Node object.
        node: String,
    },
    /// A pod.
    Pod {
        /// `namespace/name` of the Pod object.
        pod: String,
        /// Name of its Node object.
        node: String,
    },
    /// A host, or a namespace of one, of which the objects say nothing.
    #[default]
    Plain,
}

/// netlab's agent on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// What it has said of itself last; None where it has said nothing.
    pub status: Option<AgentStatus>,
    /// The process that the status names is there.
    pub alive: bool,
    /// Its process is stopped (state T), so it says and mends nothing.
    pub stopped: bool,
    /// What it has applied is what the objects say now; None where the objects are refused.
    pub current: Option<bool>,
}

impl HostFacts {
    /// The link of this name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The link of this index.
    #[must_use]
    pub fn link_at(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// Name of the link of this index, or `#index`.
    #[must_use]
    pub fn link_name(&self, index: u32) -> String {
        self.link_at(index).map_or_else(|| format!("#{index}"), |link| link.name.clone())
    }

    /// The link that has this address.
    #[must_use]
    pub fn link_with(&self, address: IpAddr) -> Option<&Link> {
        let of = self.addresses.iter().find(|own| own.net.addr() == address)?;
        self.link_at(of.device)
    }

    /// Whether this address is the host's own.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.net.addr() == address)
    }

    /// Addresses that others may dial: of scope global.
    pub fn global(&self) -> impl Iterator<Item = &Address> + Clone {
        self.addresses.iter().filter(|own| own.scope == "global")
    }

    /// Those of IPv4, or of IPv6.
    pub fn global_of(&self, v4: bool) -> impl Iterator<Item = &Address> + Clone {
        self.global().filter(move |own| own.net.addr().is_ipv4() == v4)
    }

    /// Whether it is a cluster node.
    #[must_use]
    pub const fn is_node(&self) -> bool {
        matches!(self.role, Role::Node { .. })
    }

    /// Routes of table main to everywhere, both families.
    pub fn default_routes(&self) -> impl Iterator<Item = &Route> {
        self.main_routes().filter(|route| route.destination.prefix_len() == 0)
    }

    /// Routes of table main.
    pub fn main_routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.table == main_table())
    }

    /// A switch, by its path below /proc/sys/net.
    #[must_use]
    pub fn sysctl(&self, key: &str) -> Option<&str> {
        self.sysctls.get(key).map(String::as_str)
    }

    /// A switch that is a number.
    #[must_use]
    pub fn sysctl_number(&self, key: &str) -> Option<i64> {
        self.sysctl(key)?.trim().parse().ok()
    }
}
