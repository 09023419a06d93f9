//! All objects together: uniqueness, references, endpoints.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    fmt,
    hash::Hash,
    net::IpAddr,
};

use k8s_openapi::{Metadata, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::{
    Located, Objects,
    endpoints::{self, PodIndex},
    error::{Place, Reason, SpecError},
    node::node,
    pod::{has_ended, pod},
    service::{Draft, service},
    slice::{SERVICE_FIELD, Slice, slice},
};
use crate::spec::model::{Node, ObjectName, Pod, Port, Protocol, Service, Spec};

/// See [`Objects::resolve`].
pub(super) fn resolve(objects: &Objects) -> Result<Spec, SpecError> {
    // One space for all addresses: no packet can tell a node's from a pod's.
    let mut addresses = Claims::default();
    let nodes = nodes(objects, &mut addresses)?;
    let pods = pods(objects, &nodes, &mut addresses)?;
    let slices = slices(objects, &nodes)?;
    let services = services(objects, &nodes, &pods, &slices, &mut addresses)?;
    Ok(Spec { nodes: nodes.into_values().collect(), pods, services })
}

fn nodes<'o>(
    objects: &'o Objects,
    addresses: &mut Claims<'o, IpAddr>,
) -> Result<BTreeMap<String, Node>, SpecError> {
    let mut names = Claims::default();
    let mut networks: Vec<(ipnet::IpNet, &Place)> = Vec::new();
    let mut nodes = BTreeMap::new();
    for located in &objects.nodes {
        let place = &located.place;
        names.claim(located.name().name, place, "metadata.name")?;
        let node = node(located)?;
        for address in &node.addresses {
            addresses.claim(*address, place, "status.addresses")?;
        }
        for cidr in &node.pod_cidrs {
            let overlaps = |other: &ipnet::IpNet| cidr.contains(other) || other.contains(cidr);
            if let Some((other, by)) = networks.iter().find(|(other, _)| overlaps(other)) {
                let reason = Reason::Overlap { cidr: *cidr, other: *other, by: (*by).clone() };
                return Err(SpecError::object(place, "spec.podCIDRs", reason));
            }
        }
        networks.extend(node.pod_cidrs.iter().map(|cidr| (*cidr, place)));
        nodes.insert(node.name.clone(), node);
    }
    Ok(nodes)
}

fn pods<'o>(
    objects: &'o Objects,
    nodes: &BTreeMap<String, Node>,
    addresses: &mut Claims<'o, IpAddr>,
) -> Result<Vec<Pod>, SpecError> {
    unique_names(&objects.pods)?;
    let mut pods = Vec::new();
    for located in objects.pods.iter().filter(|located| !has_ended(&located.object)) {
        let pod = pod(located, nodes)?;
        for address in &pod.addresses {
            addresses.claim(*address, &located.place, "status.podIPs")?;
        }
        pods.push(pod);
    }
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pods)
}

fn slices(
    objects: &Objects,
    nodes: &BTreeMap<String, Node>,
) -> Result<HashMap<ObjectName, Vec<Slice>>, SpecError> {
    unique_names(&objects.slices)?;
    let services: HashSet<_> = objects.services.iter().map(Located::name).collect();
    let mut slices: HashMap<_, Vec<_>> = HashMap::new();
    for located in &objects.slices {
        let Some(slice) = slice(located, nodes)? else { continue };
        if !services.contains(&slice.service) {
            let reason = Reason::NoSuchService(slice.service.to_string());
            return Err(SpecError::object(&located.place, SERVICE_FIELD, reason));
        }
        slices.entry(slice.service.clone()).or_default().push(slice);
    }
    Ok(slices)
}

fn services<'o>(
    objects: &'o Objects,
    nodes: &BTreeMap<String, Node>,
    pods: &[Pod],
    slices: &HashMap<ObjectName, Vec<Slice>>,
    addresses: &mut Claims<'o, IpAddr>,
) -> Result<Vec<Service>, SpecError> {
    unique_names(&objects.services)?;
    let pods = PodIndex::new(pods);
    let first_address = nodes.values().next().and_then(|node| node.addresses.first());
    let primary_v6 = first_address.is_some_and(IpAddr::is_ipv6);
    let mut node_ports = Claims::default();
    let mut services = Vec::new();
    for located in &objects.services {
        let place = &located.place;
        let mut draft = service(located, primary_v6)?;
        for address in &draft.service.cluster_addresses {
            addresses.claim(*address, place, "spec.clusterIPs")?;
        }
        claim_node_ports(place, &draft, &mut node_ports)?;
        match slices.get(&draft.service.name) {
            Some(slices) => endpoints::from_slices(&mut draft, slices, &pods),
            None if draft.service.selector.is_empty() => {}
            None => endpoints::from_pods(place, &mut draft, &pods)?,
        }
        services.push(draft.service);
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(services)
}

fn claim_node_ports<'o>(
    place: &'o Place,
    draft: &Draft,
    taken: &mut Claims<'o, NodePort>,
) -> Result<(), SpecError> {
    for (index, port) in draft.service.ports.iter().enumerate() {
        if let Some(number) = port.node_port {
            let path = format!("spec.ports[{index}].nodePort");
            taken.claim(NodePort(number, port.protocol), place, &path)?;
        }
    }
    Ok(())
}

#[derive(PartialEq, Eq, Hash)]
struct NodePort(Port, Protocol);

impl fmt::Display for NodePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node port {}/{}", self.0, self.1)
    }
}

fn unique_names<T: Metadata<Ty = ObjectMeta>>(objects: &[Located<T>]) -> Result<(), SpecError> {
    let mut names = Claims::default();
    for located in objects {
        names.claim(located.name(), &located.place, "metadata.name")?;
    }
    Ok(())
}

/// Things that only one object can have, and who has them.
struct Claims<'o, K>(HashMap<K, &'o Place>);

impl<K> Default for Claims<'_, K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<'o, K: Hash + Eq + fmt::Display> Claims<'o, K> {
    fn claim(&mut self, key: K, place: &'o Place, path: &str) -> Result<(), SpecError> {
        match self.0.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(place);
                Ok(())
            }
            Entry::Occupied(taken) => {
                let (what, by) = (taken.key().to_string(), (*taken.get()).clone());
                Err(SpecError::object(place, path, Reason::Taken { what, by }))
            }
        }
    }
}
