//! What stands in each host of a lab.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use super::{
    options::{LabName, Mode, Options, Underlay},
    subnet,
    topology::{Address, Fdb, Host, Link, LinkKind, Neighbor, Role, Route, TopologyError},
};
use crate::{
    netlink::{Family, Mac, ethtool::Offload},
    spec::{
        Spec,
        model::{Node, Pod},
    },
};

/// Host names that are the lab's own.
pub(super) const RESERVED: [&str; 2] = ["client", "fabric"];

/// The uplink of client, nodes and pods.
pub const UPLINK: &str = "eth0";
/// The pod bridge of a node.
pub const POD_BRIDGE: &str = "cni0";
/// The switch in the fabric.
const SWITCH: &str = "br0";

/// flannel's VNI (`pkg/backend/vxlan/vxlan.go`, defaultVNI).
const VNI: u32 = 1;
/// UDP port of flannel on Linux: the kernel's own default, not the 4789 of RFC 7348.
const VXLAN_PORT: u16 = 8472;

/// First octets of made Ethernet addresses: underlay as Docker's, pods and bridges as the CNI
/// plugins', VTEPs of IPv4 and IPv6.
const UNDERLAY_MAC: [u8; 2] = [0x02, 0x42];
const POD_MAC: [u8; 2] = [0x0a, 0x58];
const VTEP_MAC: [[u8; 2]; 2] = [[0x0e, 0xf4], [0x0e, 0xf6]];

/// Where client and router stand.
pub(super) struct Addressing {
    /// The client's addresses.
    client: Vec<IpNet>,
    /// Subnets of a switch, one a family that any node has.
    switch: Vec<IpNet>,
}

impl Addressing {
    pub(super) fn new(spec: &Spec, options: &Options) -> Self {
        let nodes: Vec<IpAddr> = spec.nodes.iter().flat_map(|n| n.addresses.clone()).collect();
        let routed = options.underlay == Underlay::Routed;
        let families =
            || Family::ALL.into_iter().filter(|f| nodes.iter().any(|n| Family::of(*n) == *f));
        Self {
            client: families().map(|f| subnet::client_address(f, routed, &nodes)).collect(),
            switch: families().map(|f| subnet::switch_subnet(f, &nodes)).collect(),
        }
    }

    /// The subnet that a host's underlay address is in.
    fn subnet_of(&self, address: IpAddr, underlay: Underlay) -> IpNet {
        let shared = self.switch.iter().find(|net| net.contains(&address));
        match (underlay, shared) {
            (Underlay::L2, Some(net)) => *net,
            _ => subnet::routed_subnet(address),
        }
    }
}

/// Refuses specs that no lab can be built from.
pub(super) fn check(spec: &Spec, options: &Options) -> Result<(), TopologyError> {
    if spec.nodes.is_empty() {
        return Err(TopologyError::NoNode);
    }
    if let Some(node) = spec.nodes.iter().find(|node| RESERVED.contains(&node.name.as_str())) {
        return Err(TopologyError::ReservedName(node.name.clone()));
    }
    check_networks(spec, options)?;
    for pod in &spec.pods {
        let Some(node) = spec.nodes.iter().find(|node| node.name == pod.node) else { continue };
        for address in &pod.addresses {
            let named = || (pod.name.clone(), *address, node.name.clone());
            let Some(net) = node.pod_cidrs.iter().find(|net| net.contains(address)) else {
                let (pod, address, node) = named();
                return Err(TopologyError::StrayPod { pod, address, node });
            };
            if *address == subnet::nth(*net, 1) {
                let (pod, address, node) = named();
                return Err(TopologyError::BridgeAddress { pod, address, node });
            }
        }
    }
    Ok(())
}

/// Underlay subnets, podCIDRs and ClusterIP ranges have to be told apart.
fn check_networks(spec: &Spec, options: &Options) -> Result<(), TopologyError> {
    let addressing = Addressing::new(spec, options);
    let mut networks: Vec<(IpNet, String)> = match options.underlay {
        Underlay::L2 => addressing.switch.iter().map(|net| (*net, "underlay".into())).collect(),
        Underlay::Routed => Vec::new(),
    };
    for node in &spec.nodes {
        for address in &node.addresses {
            let net = subnet::routed_subnet(*address);
            if options.underlay == Underlay::L2 {
                continue;
            }
            if let Some((_, first)) = networks.iter().find(|(other, _)| *other == net) {
                return Err(TopologyError::SharedSubnet {
                    first: first.clone(),
                    second: node.name.clone(),
                    subnet: net,
                });
            }
            networks.push((net, node.name.clone()));
        }
    }
    for node in &spec.nodes {
        networks.extend(node.pod_cidrs.iter().map(|net| (*net, format!("pods of {}", node.name))));
    }
    for (index, (second, second_use)) in networks.iter().enumerate() {
        let overlaps =
            |(first, _): &&(IpNet, String)| first.contains(second) || second.contains(first);
        if let Some((first, first_use)) = networks[..index].iter().find(overlaps) {
            return Err(TopologyError::Overlap {
                first: *first,
                first_use: first_use.clone(),
                second: *second,
                second_use: second_use.clone(),
            });
        }
    }
    Ok(())
}

/// The switch or router, with a port for each host named after it.
pub(super) fn fabric(spec: &Spec, options: &Options, addressing: &Addressing) -> Host {
    let mut host = Host::empty(&options.name, "fabric", Role::Fabric);
    let routed = options.underlay == Underlay::Routed;
    if routed {
        host.forwards();
    } else {
        host.links.push(Link::new(SWITCH, LinkKind::Bridge, options.mtu));
    }
    let client: Vec<_> = addressing.client.iter().map(IpNet::addr).collect();
    let nodes = spec.nodes.iter().map(|node| (node.name.as_str(), &node.addresses, true));
    for (name, addresses, is_node) in [("client", &client, false)].into_iter().chain(nodes) {
        let mut port = Link::veth(&port_name(name), name, UPLINK, options.mtu);
        // NAPI on this end is what lets the node's end send from XDP.
        port.offloads.insert(Offload::Gro, true);
        if is_node {
            // A packet from a local socket would reach the node's XDP program with a partial
            // checksum, as it never does on a real wire.
            port.offloads.insert(Offload::TxChecksum, !options.wants_complete_checksums());
        }
        if routed {
            port.mac = addresses
                .first()
                .map(|address| Mac::from_address(UNDERLAY_MAC, subnet::router_address(*address)));
            for address in addresses {
                let router = subnet::router_address(*address);
                let length = subnet::routed_subnet(*address).prefix_len();
                host.address(&port.name, IpNet::new_assert(router, length));
            }
        } else {
            port.master = Some(SWITCH.to_owned());
        }
        host.links.push(port);
    }
    host
}

/// The client outside of the cluster.
pub(super) fn client(options: &Options, addressing: &Addressing) -> Host {
    let mut host = Host::empty(&options.name, "client", Role::Client);
    let addresses: Vec<_> = addressing.client.iter().map(IpNet::addr).collect();
    host.uplink(&addresses, options, addressing);
    host
}

/// A cluster node with the pods of these host names.
pub(super) fn node(
    node: &Node,
    pods: &[&str],
    spec: &Spec,
    options: &Options,
    addressing: &Addressing,
) -> Host {
    let mut host = Host::empty(&options.name, &node.name, Role::Node);
    host.forwards();
    host.uplink(&node.addresses, options, addressing);
    if options.mode == Mode::Vxlan {
        for family in Family::ALL {
            host.vtep(node, family, spec, options.mtu);
        }
    } else {
        for peer in spec.nodes.iter().filter(|peer| peer.name != node.name) {
            host.host_gw_routes(peer, options);
        }
    }
    let mut bridge = Link::new(POD_BRIDGE, LinkKind::Bridge, pod_mtu(options));
    let gateways: Vec<_> = node.pod_cidrs.iter().map(|net| subnet::with_host(*net, 1)).collect();
    bridge.mac = gateways.first().map(|net| Mac::from_address(POD_MAC, net.addr()));
    host.links.push(bridge);
    for gateway in gateways {
        host.address(POD_BRIDGE, gateway);
    }
    for pod in pods {
        let mut port = Link::veth(&pod_port_name(pod), pod, UPLINK, pod_mtu(options));
        port.master = Some(POD_BRIDGE.to_owned());
        // flannel's CNI configuration sets hairpinMode.
        port.hairpin = true;
        host.links.push(port);
    }
    host
}

/// A pod.
pub(super) fn pod(pod: &Pod, name: &str, spec: &Spec, options: &Options) -> Host {
    let role = Role::Pod { node: pod.node.clone(), object: pod.name.to_string() };
    let mut host = Host::empty(&options.name, name, role);
    let mut uplink = Link::veth(UPLINK, &pod.node, &pod_port_name(name), pod_mtu(options));
    uplink.mac = pod.addresses.first().map(|address| Mac::from_address(POD_MAC, *address));
    // NAPI on this end is what lets a program on the node redirect into the pod.
    uplink.offloads.insert(Offload::Gro, true);
    host.links.push(uplink);
    if options.mode == Mode::Vxlan {
        // The link's MTU is flannel's, for IPv4; over IPv6 the tunnel carries 20 octets less.
        let mtu = options.mtu - vxlan_overhead(Family::V6);
        host.sysctls.insert(format!("ipv6/conf/{UPLINK}/mtu"), mtu.to_string());
    }
    let node = spec.nodes.iter().find(|node| node.name == pod.node);
    let cidrs = node.map(|node| node.pod_cidrs.as_slice()).unwrap_or_default();
    for address in &pod.addresses {
        let Some(net) = cidrs.iter().find(|net| net.contains(address)) else { continue };
        host.address(UPLINK, IpNet::new_assert(*address, net.prefix_len()));
        let everywhere = Family::of(*address).default_route();
        host.route(everywhere, subnet::nth(*net, 1), UPLINK, false);
    }
    host
}

impl Host {
    fn empty(lab: &LabName, name: &str, role: Role) -> Self {
        // A new namespace takes IPv4 settings over from the machine's own; what matters here
        // must not depend on them.
        let mut sysctls = BTreeMap::new();
        let mut set = |key: &str, value: &str| sysctls.insert(key.to_owned(), value.to_owned());
        for scope in ["all", "default"] {
            set(&format!("ipv4/conf/{scope}/rp_filter"), "0");
            set(&format!("ipv6/conf/{scope}/disable_ipv6"), "0");
            set(&format!("ipv6/conf/{scope}/accept_dad"), "0");
            set(&format!("ipv6/conf/{scope}/accept_ra"), "0");
        }
        set("ipv4/ip_forward", "0");
        set("ipv6/conf/all/forwarding", "0");
        Self {
            name: name.to_owned(),
            netns: lab.netns(name),
            role,
            sysctls,
            links: Vec::new(),
            addresses: Vec::new(),
            neighbors: Vec::new(),
            fdb: Vec::new(),
            routes: Vec::new(),
        }
    }

    fn forwards(&mut self) {
        self.sysctls.insert("ipv4/ip_forward".to_owned(), "1".to_owned());
        self.sysctls.insert("ipv6/conf/all/forwarding".to_owned(), "1".to_owned());
    }

    fn address(&mut self, device: &str, net: IpNet) {
        self.addresses.push(Address { device: device.to_owned(), net });
    }

    fn route(&mut self, destination: IpNet, gateway: IpAddr, device: &str, onlink: bool) {
        self.routes.push(Route { destination, gateway, device: device.to_owned(), onlink });
    }

    /// Uplink of client or node: towards the fabric's port of its name.
    fn uplink(&mut self, addresses: &[IpAddr], options: &Options, addressing: &Addressing) {
        let mut link = Link::veth(UPLINK, "fabric", &port_name(&self.name), options.mtu);
        link.mac = addresses.first().map(|address| Mac::from_address(UNDERLAY_MAC, *address));
        self.links.push(link);
        for address in addresses {
            let net = addressing.subnet_of(*address, options.underlay);
            self.address(UPLINK, IpNet::new_assert(*address, net.prefix_len()));
            if options.underlay == Underlay::Routed {
                let everywhere = Family::of(*address).default_route();
                self.route(everywhere, subnet::router_address(*address), UPLINK, false);
            }
        }
    }

    /// `podCIDR via nodeIP dev eth0`, in each family that the peer has both of.
    fn host_gw_routes(&mut self, peer: &Node, options: &Options) {
        for net in &peer.pod_cidrs {
            if let Some(gateway) = address_of(peer, Family::of(net.addr())) {
                // Where host-gw is forced behind a router, the kernel would refuse a gateway
                // that no address puts on the link; `onlink` lets one see it fail.
                self.route(*net, gateway, UPLINK, options.underlay == Underlay::Routed);
            }
        }
    }

    /// The VXLAN device of one family and, for each peer, neighbor, FDB entry and route.
    fn vtep(&mut self, node: &Node, family: Family, spec: &Spec, underlay_mtu: u32) {
        let (Some(local), Some(net)) = (address_of(node, family), cidr_of(node, family)) else {
            return;
        };
        let device = vtep_name(family);
        let kind = LinkKind::Vxlan { vni: VNI, port: VXLAN_PORT, local, device: UPLINK.to_owned() };
        let mut link = Link::new(device, kind, underlay_mtu - vxlan_overhead(family));
        link.mac = Some(vtep_mac(net));
        self.links.push(link);
        self.address(device, IpNet::from(net.network()));
        for peer in spec.nodes.iter().filter(|peer| peer.name != node.name) {
            let (Some(destination), Some(net)) = (address_of(peer, family), cidr_of(peer, family))
            else {
                continue;
            };
            let (device, mac, gateway) = (device.to_owned(), vtep_mac(net), net.network());
            self.neighbors.push(Neighbor { device: device.clone(), address: gateway, mac });
            self.fdb.push(Fdb { device: device.clone(), mac, destination });
            self.route(net, gateway, &device, true);
        }
    }
}

impl Link {
    fn new(name: &str, kind: LinkKind, mtu: u32) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            mac: None,
            mtu,
            master: None,
            hairpin: false,
            offloads: BTreeMap::new(),
        }
    }

    fn veth(name: &str, peer_host: &str, peer_link: &str, mtu: u32) -> Self {
        let kind = LinkKind::Veth { host: peer_host.to_owned(), link: peer_link.to_owned() };
        Self::new(name, kind, mtu)
    }
}

/// flannel's device names: `flannel.VNI`, `flannel-v6.VNI`. Both may have the same VNI and
/// port, since each listens in a family of its own.
fn vtep_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "flannel.1",
        Family::V6 => "flannel-v6.1",
    }
}

/// Outer Ethernet excluded: inner Ethernet 14, VXLAN 8, UDP 8, outer IP 20 or 40. flannel
/// subtracts 50 for both; the kernel knows better and would not send the difference.
const fn vxlan_overhead(family: Family) -> u32 {
    match family {
        Family::V4 => 50,
        Family::V6 => 70,
    }
}

/// MTU of pods and their bridge: what flannel writes into FLANNEL_MTU.
fn pod_mtu(options: &Options) -> u32 {
    match options.mode {
        Mode::HostGw => options.mtu,
        Mode::Vxlan => options.mtu - vxlan_overhead(Family::V4),
    }
}

fn vtep_mac(net: IpNet) -> Mac {
    let [v4, v6] = VTEP_MAC;
    match net {
        IpNet::V4(net) => Mac::from_address(v4, net.network().into()),
        // The last octets of a /64 are zero, so all of them are folded into four.
        IpNet::V6(net) => {
            let mut folded = [0; 4];
            for (index, octet) in net.network().octets().into_iter().enumerate() {
                folded[index % 4] ^= octet;
            }
            Mac::from_address(v6, folded.into())
        }
    }
}

fn address_of(node: &Node, family: Family) -> Option<IpAddr> {
    node.addresses.iter().copied().find(|address| Family::of(*address) == family)
}

fn cidr_of(node: &Node, family: Family) -> Option<IpNet> {
    node.pod_cidrs.iter().copied().find(|net| Family::of(net.addr()) == family)
}

/// Name of the fabric's port to a host: the host's, where the kernel takes it.
fn port_name(host: &str) -> String {
    if host == SWITCH || host == "lo" || host.len() >= libc::IFNAMSIZ {
        return format!("port{:08x}", digest(host));
    }
    host.to_owned()
}

/// Name of the node's end of a pod's link.
fn pod_port_name(pod: &str) -> String {
    let name = format!("veth{pod}");
    if name.len() < libc::IFNAMSIZ { name } else { format!("veth{:08x}", digest(pod)) }
}

/// FNV-1a, which unlike the standard library's hashers is the same for ever.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
