//! Fills in what Kubernetes' own components would assign: node addresses, pod networks, the
//! nodes of unscheduled pods, pod addresses, ClusterIPs and node ports.
//!
//! Laws: what an object brings stays; what is assigned depends only on the objects and their
//! order; completing twice changes nothing. Values that do not parse are left for
//! [`Objects::resolve`] to refuse, which names their place.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use k8s_openapi::{
    api::core::v1::{
        HostIP, Node, NodeAddress, NodeSpec, NodeStatus, Pod, PodIP, PodStatus, Service,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    options::Underlay,
    pool::{Addresses, NodePorts},
    subnet::{self, MAX_NODES},
};
use crate::{
    netlink::Family,
    spec::{Located, Objects, Place, parse::has_ended},
};

/// First ClusterIP given out; those below are usually taken by the API server and DNS.
const FIRST_CLUSTER_ADDRESS: u32 = 10;

/// First pod address in a node's network; .1 is the bridge's.
const FIRST_POD_ADDRESS: u32 = 2;

/// An object that nothing is left for.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {field}: {reason}")]
pub struct AddressError {
    /// The object.
    pub place: Box<Place>,
    /// The field that stays empty.
    pub field: &'static str,
    /// Why.
    pub reason: Exhausted,
}

/// Why there is nothing left to assign.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// More nodes than the plan has numbers for.
    #[error("no number is left: the lab has them for {MAX_NODES} nodes that bring no addresses")]
    Nodes,
    /// The network has no free address.
    #[error("no address is left in {0}")]
    Network(IpNet),
    /// The node port range has no free port.
    #[error("no node port is left in 30000-32767")]
    NodePorts,
    /// There is no node to run on.
    #[error("there is no node that the pod could run on")]
    NoNode,
}

/// Gives every object what it lacks.
///
/// # Errors
///
/// Where a range is exhausted.
pub fn complete(objects: &mut Objects, underlay: Underlay) -> Result<(), AddressError> {
    complete_nodes(&mut objects.nodes, underlay)?;
    complete_pods(&mut objects.pods, &objects.nodes)?;
    complete_services(&mut objects.services, &objects.nodes)
}

/// Adds Node objects `node-1`, `node-2`, ... where there is none: those that pods name, and
/// more up to `count`.
pub fn add_nodes(objects: &mut Objects, count: usize) {
    if !objects.nodes.is_empty() {
        return;
    }
    let named = objects.pods.iter().filter_map(|pod| pod.object.spec.as_ref()?.node_name.clone());
    let mut names: BTreeSet<String> = named.collect();
    let mut numbers = 1..;
    while names.len() < count {
        names.extend(numbers.next().map(|number| format!("node-{number}")));
    }
    objects.nodes = names.into_iter().map(bare_node).collect();
}

fn bare_node(name: String) -> Located<Node> {
    let place = Place {
        file: "nodes made by the lab".to_owned(),
        document: 1,
        object: format!("Node {name}"),
    };
    let metadata = ObjectMeta { name: Some(name), ..ObjectMeta::default() };
    Located { place, object: Node { metadata, ..Node::default() } }
}

fn complete_nodes(nodes: &mut [Located<Node>], underlay: Underlay) -> Result<(), AddressError> {
    let mut taken: BTreeSet<IpAddr> =
        nodes.iter().flat_map(|n| node_addresses(&n.object)).collect();
    let mut networks: Vec<IpNet> = nodes.iter().flat_map(|n| pod_cidrs(&n.object)).collect();
    let brought: Vec<_> = taken.iter().copied().collect();
    let mut numbers = 1..=MAX_NODES;
    for node in nodes {
        let no_number = |field, place: &Place| AddressError {
            place: Box::new(place.clone()),
            field,
            reason: Exhausted::Nodes,
        };
        if !lists_address(&node.object) {
            let free = numbers
                .clone()
                .map(|n| Family::ALL.map(|family| free_address(family, n, underlay, &brought)))
                .find(|pair| pair.iter().all(|address| !taken.contains(address)));
            let pair = free.ok_or_else(|| no_number("status.addresses", &node.place))?;
            taken.extend(pair);
            set_addresses(&mut node.object, &pair);
        }
        if pod_cidr_texts(&node.object).is_empty() {
            let families: BTreeSet<_> =
                node_addresses(&node.object).into_iter().map(Family::of).collect();
            let free = numbers.find_map(|n| {
                let pair: Vec<_> = families.iter().map(|f| subnet::pod_cidr(*f, n)).collect();
                let overlaps = |a: &IpNet| networks.iter().any(|b| a.contains(b) || b.contains(a));
                (!pair.iter().any(overlaps)).then_some(pair)
            });
            let nets = free.ok_or_else(|| no_number("spec.podCIDRs", &node.place))?;
            networks.extend(&nets);
            let spec = node.object.spec.get_or_insert_with(NodeSpec::default);
            spec.pod_cidr = nets.first().map(ToString::to_string);
            spec.pod_cidrs = Some(nets.iter().map(ToString::to_string).collect());
        }
    }
    Ok(())
}

/// The plan's own address for node N, or the Nth of the subnet that the others bring.
fn free_address(family: Family, number: u8, underlay: Underlay, brought: &[IpAddr]) -> IpAddr {
    let planned = subnet::node_address(family, number, underlay == Underlay::Routed);
    let shared = subnet::switch_subnet(family, brought);
    if underlay == Underlay::Routed || shared.contains(&planned) {
        planned
    } else {
        subnet::nth(shared, u32::from(number) + 1)
    }
}

fn complete_pods(pods: &mut [Located<Pod>], nodes: &[Located<Node>]) -> Result<(), AddressError> {
    schedule(pods, nodes)?;
    let brought = pods.iter().flat_map(|pod| pod_addresses(&pod.object));
    let mut free = Addresses::new(FIRST_POD_ADDRESS, brought);
    let by_name: BTreeMap<String, &Node> =
        nodes.iter().map(|node| (node.name().name, &node.object)).collect();
    for Located { place, object } in pods {
        let node = object.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        // A node that does not exist is refused when the objects are resolved.
        let Some(node) = node.and_then(|name| by_name.get(name)) else { continue };
        if has_ended(object) || !pod_address_texts(object).is_empty() {
            continue;
        }
        let mut addresses = Vec::new();
        for net in pod_cidrs(node) {
            addresses.push(free.take(net).ok_or_else(|| AddressError {
                place: Box::new(place.clone()),
                field: "status.podIPs",
                reason: Exhausted::Network(net),
            })?);
        }
        let status = object.status.get_or_insert_with(PodStatus::default);
        let host: Vec<_> = node_addresses(node).iter().map(ToString::to_string).collect();
        status.host_ip = host.first().cloned();
        status.host_ips = Some(host.into_iter().map(|ip| HostIP { ip }).collect());
        status.pod_ip = addresses.first().map(ToString::to_string);
        status.pod_ips = Some(addresses.iter().map(|ip| PodIP { ip: ip.to_string() }).collect());
    }
    Ok(())
}

/// Gives pods without a node the one with the fewest pods, the first of equals.
fn schedule(pods: &mut [Located<Pod>], nodes: &[Located<Node>]) -> Result<(), AddressError> {
    let names: Vec<String> = nodes.iter().map(|node| node.name().name).collect();
    let mut load = vec![0usize; names.len()];
    let node_of = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    for name in pods.iter().filter_map(|pod| node_of(&pod.object)) {
        if let Some(position) = names.iter().position(|other| *other == name) {
            load[position] += 1;
        }
    }
    for Located { place, object } in pods {
        if node_of(object).is_some() || has_ended(object) {
            continue;
        }
        let Some(position) = (0..load.len()).min_by_key(|index| load[*index]) else {
            return Err(AddressError {
                place: Box::new(place.clone()),
                field: "spec.nodeName",
                reason: Exhausted::NoNode,
            });
        };
        load[position] += 1;
        object.spec.get_or_insert_default().node_name = Some(names[position].clone());
    }
    Ok(())
}

fn complete_services(
    services: &mut [Located<Service>],
    nodes: &[Located<Node>],
) -> Result<(), AddressError> {
    let brought = services.iter().flat_map(|service| cluster_address_texts(&service.object));
    let brought = brought.filter_map(|text| text.parse().ok());
    let mut free = Addresses::new(FIRST_CLUSTER_ADDRESS, brought);
    let mut ports = NodePorts::new(services.iter().flat_map(|service| node_ports(&service.object)));
    let cluster: BTreeSet<_> =
        nodes.iter().flat_map(|node| node_addresses(&node.object)).map(Family::of).collect();
    for Located { place, object } in services {
        let exhausted =
            |field, reason| AddressError { place: Box::new(place.clone()), field, reason };
        if cluster_address_texts(object).is_empty() {
            let mut addresses = Vec::new();
            for family in wanted_families(object, &cluster) {
                let net = subnet::service_cidr(family);
                let reason = Exhausted::Network(net);
                let address = free.take(net);
                addresses.push(address.ok_or_else(|| exhausted("spec.clusterIPs", reason))?);
            }
            let spec = object.spec.get_or_insert_default();
            spec.cluster_ip = addresses.first().map(ToString::to_string);
            spec.cluster_ips = Some(addresses.iter().map(ToString::to_string).collect());
        }
        let Some(spec) = &mut object.spec else { continue };
        if !matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer")) {
            continue;
        }
        for port in spec.ports.iter_mut().flatten() {
            if port.node_port.is_some_and(|number| number != 0) {
                continue;
            }
            let number = ports.take(protocol(port.protocol.as_deref()));
            let none_left = || exhausted("spec.ports[].nodePort", Exhausted::NodePorts);
            port.node_port = Some(number.ok_or_else(none_left)?);
        }
    }
    Ok(())
}

fn wanted_families(service: &Service, cluster: &BTreeSet<Family>) -> Vec<Family> {
    let spec = service.spec.as_ref();
    let listed = spec.and_then(|spec| spec.ip_families.as_deref()).unwrap_or_default();
    let mut families: Vec<_> = listed
        .iter()
        .filter_map(|family| match family.as_str() {
            "IPv4" => Some(Family::V4),
            "IPv6" => Some(Family::V6),
            _ => None,
        })
        .collect();
    if families.is_empty() {
        families.extend(cluster.first());
    }
    let dual = matches!(
        spec.and_then(|spec| spec.ip_family_policy.as_deref()),
        Some("PreferDualStack" | "RequireDualStack")
    );
    if dual {
        let others: Vec<_> = cluster.iter().filter(|f| !families.contains(f)).copied().collect();
        families.extend(others);
    }
    families
}

/// The names and containerPorts of a pod's containers, whether named or not.
pub(super) fn container_ports(pod: &Pod) -> impl Iterator<Item = (bool, u16)> + '_ {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.flat_map(|container| container.ports.iter().flatten()).filter_map(|port| {
        let udp = match port.protocol.as_deref() {
            None | Some("TCP") => false,
            Some("UDP") => true,
            Some(_) => return None,
        };
        Some((udp, u16::try_from(port.container_port).ok().filter(|number| *number != 0)?))
    })
}

fn protocol(written: Option<&str>) -> &str {
    written.unwrap_or("TCP")
}

/// Node ports that a Service brings, each with its protocol.
fn node_ports(service: &Service) -> impl Iterator<Item = (String, i32)> + '_ {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.filter_map(|port| {
        let number = port.node_port.filter(|number| *number != 0)?;
        Some((protocol(port.protocol.as_deref()).to_owned(), number))
    })
}

fn internal_addresses(node: &Node) -> impl Iterator<Item = &str> {
    let listed = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    listed.filter(|address| address.type_ == "InternalIP").map(|address| address.address.as_str())
}

fn lists_address(node: &Node) -> bool {
    internal_addresses(node).next().is_some()
}

fn node_addresses(node: &Node) -> Vec<IpAddr> {
    internal_addresses(node).filter_map(|text| text.parse().ok()).collect()
}

fn set_addresses(node: &mut Node, addresses: &[IpAddr]) {
    let status = node.status.get_or_insert_with(NodeStatus::default);
    status.addresses.get_or_insert_default().extend(addresses.iter().map(|address| NodeAddress {
        type_: "InternalIP".to_owned(),
        address: address.to_string(),
    }));
}

fn pod_cidr_texts(node: &Node) -> Vec<&str> {
    let Some(spec) = &node.spec else { return Vec::new() };
    match spec.pod_cidrs.as_deref().unwrap_or_default() {
        [] => spec.pod_cidr.iter().map(String::as_str).collect(),
        many => many.iter().map(String::as_str).collect(),
    }
}

fn pod_cidrs(node: &Node) -> Vec<IpNet> {
    pod_cidr_texts(node).into_iter().filter_map(|text| text.parse().ok()).collect()
}

fn pod_address_texts(pod: &Pod) -> Vec<&str> {
    let Some(status) = &pod.status else { return Vec::new() };
    match status.pod_ips.as_deref().unwrap_or_default() {
        [] => status.pod_ip.iter().map(String::as_str).collect(),
        many => many.iter().map(|entry| entry.ip.as_str()).collect(),
    }
}

fn pod_addresses(pod: &Pod) -> Vec<IpAddr> {
    pod_address_texts(pod).into_iter().filter_map(|text| text.parse().ok()).collect()
}

/// What a Service says about its ClusterIPs; `None` (headless) counts as said.
fn cluster_address_texts(service: &Service) -> Vec<&str> {
    let Some(spec) = &service.spec else { return Vec::new() };
    if spec.type_.as_deref() == Some("ExternalName") {
        return vec!["None"];
    }
    let many = spec.cluster_ips.iter().flatten().map(String::as_str);
    let one = spec.cluster_ip.iter().map(String::as_str);
    many.chain(one).filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{builtin, read_str};

    fn completed(text: &str, underlay: Underlay) -> Objects {
        let mut objects = read_str("test.yaml", text).unwrap();
        complete(&mut objects, underlay).unwrap();
        objects
    }

    #[test]
    fn completing_twice_changes_nothing() {
        for underlay in [Underlay::L2, Underlay::Routed] {
            let mut objects = builtin(3);
            complete(&mut objects, underlay).unwrap();
            objects.resolve().unwrap();
            let once = objects.clone();
            complete(&mut objects, underlay).unwrap();
            assert_eq!(objects, once);
        }
    }

    #[test]
    fn what_an_object_brings_stays_and_is_not_given_to_another() {
        let objects = completed(
            "{apiVersion: v1, kind: Node, metadata: {name: a}}\n---\n\
             {apiVersion: v1, kind: Node, metadata: {name: b}, \
              spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24]}, \
              status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}}",
            Underlay::L2,
        );
        let [a, b] = objects.nodes.as_slice() else { panic!("two nodes") };
        assert_eq!(node_addresses(&b.object), ["172.18.0.2".parse::<IpAddr>().unwrap()]);
        assert_eq!(pod_cidr_texts(&b.object), ["10.244.1.0/24"]);
        assert_eq!(node_addresses(&a.object)[0], "172.18.0.3".parse::<IpAddr>().unwrap());
        assert_eq!(pod_cidr_texts(&a.object), ["10.244.2.0/24", "fd00:10:244:2::/64"]);
    }

    #[test]
    fn pods_without_a_node_go_where_the_fewest_are() {
        let mut objects = read_str(
            "test.yaml",
            "{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {nodeName: node-1, containers: []}}\n---\n\
             {apiVersion: v1, kind: Pod, metadata: {name: q}, spec: {containers: []}}",
        )
        .unwrap();
        add_nodes(&mut objects, 2);
        complete(&mut objects, Underlay::L2).unwrap();
        let nodes: Vec<_> = objects
            .pods
            .iter()
            .map(|p| p.object.spec.clone().unwrap().node_name.unwrap())
            .collect();
        assert_eq!(nodes, ["node-1", "node-2"]);
    }

    #[test]
    fn node_ports_are_free_ones_a_protocol_at_a_time() {
        let objects = completed(
            "{apiVersion: v1, kind: Node, metadata: {name: a}}\n---\n\
             {apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: NodePort, ports: [\
              {name: a, port: 1, nodePort: 30000}, {name: b, port: 2}, \
              {name: c, port: 3, protocol: UDP}]}}",
            Underlay::L2,
        );
        let spec = objects.services[0].object.spec.clone().unwrap();
        let ports: Vec<_> = spec.ports.unwrap().into_iter().map(|p| p.node_port.unwrap()).collect();
        assert_eq!(ports, [30000, 30001, 30000]);
        assert_eq!(spec.cluster_ip.unwrap(), "10.96.0.10");
    }

    #[test]
    fn an_exhausted_pod_network_is_an_error_with_a_place() {
        let mut objects = read_str(
            "test.yaml",
            "{apiVersion: v1, kind: Node, metadata: {name: a}, spec: {podCIDR: 10.244.1.0/30}}\n---\n\
             {apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: []}}\n---\n\
             {apiVersion: v1, kind: Pod, metadata: {name: q}, spec: {containers: []}}",
        )
        .unwrap();
        let error = complete(&mut objects, Underlay::L2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "test.yaml: document 3: Pod default/q: status.podIPs: no address is left in 10.244.1.0/30"
        );
    }
}
