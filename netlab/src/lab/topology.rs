//! What a lab consists of, as plain data: hosts, links, addresses, routes.
//!
//! Law: computed from the spec and the options alone. No address stands on two hosts, and
//! every route's gateway is on a link of its host (or the route says `onlink`).
//!
//! The layout of the pod network is flannel's; see its `pkg/backend/{hostgw,vxlan}` and
//! `pkg/backend/route_network.go`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    UPLINK,
    layout::{self, Addressing},
    options::{LabName, Mode, Options, Underlay},
};
use crate::{
    netlink::{Mac, ethtool::Offload},
    spec::{
        Spec,
        model::{ObjectName, Pod},
    },
};

/// Everything that the lab's namespaces should contain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// The lab.
    pub lab: LabName,
    /// Pod network.
    pub mode: Mode,
    /// What joins the hosts.
    pub underlay: Underlay,
    /// Fabric, client, nodes, pods, in this order: a link's maker before its peer.
    pub hosts: Vec<Host>,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Short name: `client`, `node-1`, `web-1`.
    pub name: String,
    /// Name under /run/netns.
    pub netns: String,
    /// What it plays.
    pub role: Role,
    /// Path below /proc/sys/net, and value.
    pub sysctls: BTreeMap<String, String>,
    /// In the order to make them.
    pub links: Vec<Link>,
    /// Addresses of its links.
    pub addresses: Vec<Address>,
    /// Entries set by hand.
    pub neighbors: Vec<Neighbor>,
    /// Entries set by hand.
    pub fdb: Vec<Fdb>,
    /// Routes set by hand.
    pub routes: Vec<Route>,
}

/// What a host plays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The switch or router between.
    Fabric,
    /// Outside of the cluster.
    Client,
    /// A cluster node.
    Node,
    /// A pod.
    Pod {
        /// The node that it runs on.
        node: String,
        /// Namespace and name of the Pod object.
        object: String,
    },
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Interface name.
    pub name: String,
    /// What it is.
    pub kind: LinkKind,
    /// Ethernet address; None where any will do.
    pub mac: Option<Mac>,
    /// Largest L3 packet, in octets.
    pub mtu: u32,
    /// Name of the bridge that it is a port of.
    pub master: Option<String>,
    /// Of a bridge port: a frame may leave where it came in.
    pub hairpin: bool,
    /// Switches that are not left as the kernel sets them.
    pub offloads: BTreeMap<Offload, bool>,
}

impl Link {
    /// Whether its other end is in this host.
    #[must_use]
    pub fn leads_to(&self, host: &str) -> bool {
        matches!(&self.kind, LinkKind::Veth { host: peer, .. } if peer == host)
    }

    /// Whether its other end is the uplink of this host.
    #[must_use]
    pub fn leads_to_uplink(&self, host: &str) -> bool {
        self.leads_to(host) && matches!(&self.kind, LinkKind::Veth { link, .. } if link == UPLINK)
    }
}

/// What a link is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// One end of a veth pair.
    Veth {
        /// Host of the other end.
        host: String,
        /// Name of the other end.
        link: String,
    },
    /// A bridge.
    Bridge,
    /// A VXLAN device.
    Vxlan {
        /// VXLAN network identifier.
        vni: u32,
        /// UDP destination port.
        port: u16,
        /// Source address of encapsulated packets.
        local: IpAddr,
        /// Name of the link that they leave through.
        device: String,
    },
}

/// An address of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Interface name.
    pub device: String,
    /// Address and prefix length.
    pub net: IpNet,
}

/// A permanent neighbor entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbor {
    /// Interface name.
    pub device: String,
    /// L3 address.
    pub address: IpAddr,
    /// L2 address.
    pub mac: Mac,
}

/// A permanent entry of a VXLAN device's FDB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fdb {
    /// Interface name of the VXLAN device.
    pub device: String,
    /// MAC address of the peer's VTEP.
    pub mac: Mac,
    /// Underlay address of the peer.
    pub destination: IpAddr,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Destination network.
    pub destination: IpNet,
    /// Next hop.
    pub gateway: IpAddr,
    /// Interface name.
    pub device: String,
    /// The gateway counts as on the link even where no address says so.
    pub onlink: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dev {}", self.net, self.device)
    }
}

impl fmt::Display for Neighbor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lladdr {} dev {}", self.address, self.mac, self.device)
    }
}

impl fmt::Display for Fdb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dst {} dev {}", self.mac, self.destination, self.device)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} via {} dev {}", self.destination, self.gateway, self.device)?;
        if self.onlink { f.write_str(" onlink") } else { Ok(()) }
    }
}

/// Objects that cannot stand in one lab.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// Nothing to build.
    #[error("there is no node; a lab needs at least one")]
    NoNode,
    /// `client` and `fabric` are taken.
    #[error("a node cannot be named {0}: the lab's own {0} has that name")]
    ReservedName(String),
    /// A routed underlay has one node a subnet.
    #[error(
        "nodes {first} and {second} are both in {subnet}; on a routed underlay every node is \
         alone in its subnet: change their addresses, leave them out, or take --underlay l2"
    )]
    SharedSubnet {
        /// A node.
        first: String,
        /// Another.
        second: String,
        /// Where both are.
        subnet: IpNet,
    },
    /// Two networks that have to be told apart.
    #[error("{first} ({first_use}) and {second} ({second_use}) overlap")]
    Overlap {
        /// A network.
        first: IpNet,
        /// What it is for.
        first_use: String,
        /// Another.
        second: IpNet,
        /// What that is for.
        second_use: String,
    },
    /// The pod's address would be routed to another node, or nowhere.
    #[error("pod {pod} has the address {address}, which is in no podCIDR of its node {node}")]
    StrayPod {
        /// The pod.
        pod: ObjectName,
        /// Its address.
        address: IpAddr,
        /// The node that it runs on.
        node: String,
    },
    /// The pod's address is the bridge's.
    #[error("pod {pod} has the address {address}, which is that of cni0 on {node}")]
    BridgeAddress {
        /// The pod.
        pod: ObjectName,
        /// Its address.
        address: IpAddr,
        /// The node that it runs on.
        node: String,
    },
}

impl Topology {
    /// Works out the lab for a spec.
    ///
    /// # Errors
    ///
    /// Where the spec's objects cannot stand in one lab.
    pub fn new(spec: &Spec, options: &Options) -> Result<Self, TopologyError> {
        layout::check(spec, options)?;
        let addressing = Addressing::new(spec, options);
        let names = pod_hosts(spec);
        let mut hosts =
            vec![layout::fabric(spec, options, &addressing), layout::client(options, &addressing)];
        for node in &spec.nodes {
            let pods = spec.pods.iter().zip(&names).filter(|(pod, _)| pod.node == node.name);
            let pods: Vec<_> = pods.map(|(_, host)| host.as_str()).collect();
            hosts.push(layout::node(node, &pods, spec, options, &addressing));
        }
        for (pod, host) in spec.pods.iter().zip(&names) {
            hosts.push(layout::pod(pod, host, spec, options));
        }
        Ok(Self {
            lab: options.name.clone(),
            mode: options.mode,
            underlay: options.underlay,
            hosts,
        })
    }

    /// A host by its short name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// Names under /run/netns of all hosts.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.netns.clone()).collect()
    }
}

/// Host names for the spec's pods, in its order: the pod's own name, or `namespace.name`
/// where another host has that already, or where a dot in the name makes it look like that.
#[must_use]
pub fn pod_hosts(spec: &Spec) -> Vec<String> {
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in &spec.pods {
        *uses.entry(&pod.name.name).or_default() += 1;
    }
    let taken: BTreeSet<&str> =
        spec.nodes.iter().map(|node| node.name.as_str()).chain(layout::RESERVED).collect();
    let host = |pod: &Pod| {
        let name = pod.name.name.as_str();
        if uses.get(name) == Some(&1) && !taken.contains(name) && !name.contains('.') {
            name.to_owned()
        } else {
            format!("{}.{name}", pod.name.namespace)
        }
    };
    spec.pods.iter().map(host).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{lab::address, spec};

    fn lab(nodes: usize, mode: Mode, underlay: Underlay) -> Topology {
        let mut options = Options::new("t".parse().unwrap());
        (options.mode, options.underlay, options.force) = (mode, underlay, true);
        let mut objects = spec::builtin(nodes);
        address::complete(&mut objects, underlay).unwrap();
        Topology::new(&objects.resolve().unwrap(), &options).unwrap()
    }

    fn routes(topology: &Topology, host: &str) -> Vec<String> {
        topology.host(host).unwrap().routes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn host_gw_has_a_route_for_each_peer_and_family() {
        let topology = lab(2, Mode::HostGw, Underlay::L2);
        assert_eq!(
            routes(&topology, "node-1"),
            [
                "10.244.2.0/24 via 172.18.0.3 dev eth0",
                "fd00:10:244:2::/64 via fd00:172:18::3 dev eth0"
            ]
        );
        assert!(topology.hosts.iter().all(|host| host.fdb.is_empty()));
    }

    #[test]
    fn vxlan_is_laid_out_as_flannel_does() {
        let topology = lab(2, Mode::Vxlan, Underlay::Routed);
        assert_eq!(
            routes(&topology, "node-1"),
            [
                "0.0.0.0/0 via 172.18.1.1 dev eth0",
                "::/0 via fd00:172:18:1::1 dev eth0",
                "10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
                "fd00:10:244:2::/64 via fd00:10:244:2:: dev flannel-v6.1 onlink"
            ]
        );
        let node = topology.host("node-1").unwrap();
        let device = node.links.iter().find(|link| link.name == "flannel.1").unwrap();
        assert_eq!(device.mtu, 1450);
        let peer = topology.host("node-2").unwrap();
        let vtep = peer.links.iter().find(|link| link.name == "flannel.1").unwrap();
        assert_eq!(Some(node.fdb[0].mac), vtep.mac);
        assert_eq!(node.fdb[0].destination, "172.18.2.2".parse::<IpAddr>().unwrap());
        assert_eq!(node.neighbors[0].address, "10.244.2.0".parse::<IpAddr>().unwrap());
        let pod = topology.host("web-1").unwrap();
        assert_eq!(pod.links[0].mtu, 1450);
    }

    #[test]
    fn checksums_are_complete_only_towards_a_node_that_may_run_xdp() {
        let off = |topology: &Topology| {
            let links = &topology.host("fabric").unwrap().links;
            let off = links.iter().filter(|l| l.offloads.get(&Offload::TxChecksum) == Some(&false));
            off.map(|link| link.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(off(&lab(2, Mode::HostGw, Underlay::L2)), ["node-1", "node-2"]);
        let mut options = Options::new("t".parse().unwrap());
        options.hook = crate::lab::Hook::Tc;
        let mut objects = spec::builtin(1);
        address::complete(&mut objects, Underlay::L2).unwrap();
        let topology = Topology::new(&objects.resolve().unwrap(), &options).unwrap();
        assert!(off(&topology).is_empty());
    }

    #[test]
    fn pods_of_one_name_are_told_apart_by_their_namespace() {
        let mut objects = spec::builtin(1);
        let mut twin = objects.pods[0].clone();
        twin.object.metadata.namespace = Some("other".to_owned());
        objects.pods.push(twin);
        address::complete(&mut objects, Underlay::L2).unwrap();
        let names = pod_hosts(&objects.resolve().unwrap());
        assert!(names.contains(&"default.web-1".to_owned()), "{names:?}");
        assert!(names.contains(&"other.web-1".to_owned()), "{names:?}");
    }

    #[test]
    fn two_nodes_in_one_routed_subnet_are_refused() {
        let mut objects = spec::builtin(2);
        // Addresses of a switch: both nodes in 172.18.0.0/24.
        address::complete(&mut objects, Underlay::L2).unwrap();
        let mut options = Options::new("t".parse().unwrap());
        (options.underlay, options.mode) = (Underlay::Routed, Mode::Vxlan);
        let refused = Topology::new(&objects.resolve().unwrap(), &options);
        assert!(matches!(refused, Err(TopologyError::SharedSubnet { .. })), "{refused:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn addresses_are_unique_and_gateways_reachable(
            nodes in 1usize..60,
            vxlan: bool,
            routed: bool,
        ) {
            let mode = if vxlan { Mode::Vxlan } else { Mode::HostGw };
            let underlay = if routed { Underlay::Routed } else { Underlay::L2 };
            let topology = lab(nodes, mode, underlay);
            let mut seen = HashMap::new();
            let mut macs = HashMap::new();
            for host in &topology.hosts {
                for address in &host.addresses {
                    let other = seen.insert(address.net.addr(), &host.name);
                    prop_assert_eq!(other, None, "{} stands twice", address.net.addr());
                }
                for link in &host.links {
                    prop_assert!(link.name.len() < libc::IFNAMSIZ, "{}", link.name);
                    if let Some(mac) = link.mac {
                        let other = macs.insert(mac, (&host.name, &link.name));
                        prop_assert_eq!(other, None, "{} stands twice", mac);
                    }
                    if let LinkKind::Veth { host: peer, link: end } = &link.kind {
                        let peer = topology.host(peer).unwrap();
                        let back = peer.links.iter().find(|l| l.name == *end).unwrap();
                        let expected =
                            LinkKind::Veth { host: host.name.clone(), link: link.name.clone() };
                        prop_assert_eq!(&back.kind, &expected);
                    }
                }
                for route in &host.routes {
                    let on_link = host.addresses.iter().any(|address| {
                        address.device == route.device && address.net.contains(&route.gateway)
                    });
                    prop_assert!(on_link || route.onlink, "{}: {}", host.name, route);
                }
            }
        }
    }
}
