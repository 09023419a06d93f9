//! All objects together: uniqueness, references, endpoints.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    fmt,
    hash::Hash,
    net::IpAddr,
};

use k8s_openapi::{Metadata, api::core::v1, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::{
    Located, Objects,
    endpoints::{self, PodIndex},
    error::{Place, Reason, SpecError},
    node::node,
    pod::{has_ended, on_host, pod},
    running::awaited,
    service::{Draft, service},
    slice::{SERVICE_FIELD, Slice, slice},
};
use crate::spec::model::{Node, ObjectName, Pod, Port, Protocol, Service, Spec};

/// Pods that hold no address of their own, or none yet.
#[derive(Default)]
pub(super) struct Aside {
    pub host_network: Vec<Located<v1::Pod>>,
    pub unassigned: Vec<Located<v1::Pod>>,
}

/// See [`Objects::resolve`].
pub(super) fn resolve(objects: &Objects) -> Result<Spec, SpecError> {
    resolve_with(objects, &Aside::default(), &mut Refusals::first())
}

/// As [`resolve`]; pods that stand aside can be endpoints of Services, and no more.
pub(super) fn resolve_with(
    objects: &Objects,
    aside: &Aside,
    refusals: &mut Refusals,
) -> Result<Spec, SpecError> {
    // One space for all addresses: no packet can tell a node's from a pod's.
    let mut addresses = Claims::default();
    let nodes = nodes(objects, &mut addresses, refusals)?;
    let pods = pods(objects, &nodes, &mut addresses, refusals)?;
    let slices = slices(objects, &nodes, refusals)?;
    let of_host: Vec<Pod> =
        aside.host_network.iter().filter_map(|located| on_host(located, &nodes).ok()).collect();
    let index = PodIndex::new(&pods, &of_host);
    let services = services(objects, &nodes, &index, &slices, &mut addresses, refusals)?;
    refusals.told.extend(awaited(aside, &services));
    Ok(Spec { nodes: nodes.into_values().collect(), pods, services })
}

fn nodes<'o>(
    objects: &'o Objects,
    addresses: &mut Claims<'o, IpAddr>,
    refusals: &mut Refusals,
) -> Result<BTreeMap<String, Node>, SpecError> {
    let mut names = Claims::default();
    let mut networks: Vec<(ipnet::IpNet, &Place)> = Vec::new();
    let mut nodes = BTreeMap::new();
    for located in &objects.nodes {
        let place = &located.place;
        let mut take = || {
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
            Ok(node)
        };
        let Some(node) = refusals.pass(take())? else { continue };
        networks.extend(node.pod_cidrs.iter().map(|cidr| (*cidr, place)));
        nodes.insert(node.name.clone(), node);
    }
    Ok(nodes)
}

fn pods<'o>(
    objects: &'o Objects,
    nodes: &BTreeMap<String, Node>,
    addresses: &mut Claims<'o, IpAddr>,
    refusals: &mut Refusals,
) -> Result<Vec<Pod>, SpecError> {
    let mut pods = Vec::new();
    let all = uniquely_named(&objects.pods, refusals)?;
    for located in all.into_iter().filter(|located| !has_ended(&located.object)) {
        let mut take = || {
            let pod = pod(located, nodes)?;
            for address in &pod.addresses {
                addresses.claim(*address, &located.place, "status.podIPs")?;
            }
            Ok(pod)
        };
        pods.extend(refusals.pass(take())?);
    }
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pods)
}

fn slices(
    objects: &Objects,
    nodes: &BTreeMap<String, Node>,
    refusals: &mut Refusals,
) -> Result<HashMap<ObjectName, Vec<Slice>>, SpecError> {
    let services: HashSet<_> = objects.services.iter().map(Located::name).collect();
    let mut slices: HashMap<_, Vec<_>> = HashMap::new();
    for located in uniquely_named(&objects.slices, refusals)? {
        let take = || match slice(located, nodes)? {
            Some(slice) if !services.contains(&slice.service) => {
                let reason = Reason::NoSuchService(slice.service.to_string());
                Err(SpecError::object(&located.place, SERVICE_FIELD, reason))
            }
            slice => Ok(slice),
        };
        let Some(slice) = refusals.pass(take())?.flatten() else { continue };
        slices.entry(slice.service.clone()).or_default().push(slice);
    }
    Ok(slices)
}

fn services<'o>(
    objects: &'o Objects,
    nodes: &BTreeMap<String, Node>,
    pods: &PodIndex<'_>,
    slices: &HashMap<ObjectName, Vec<Slice>>,
    addresses: &mut Claims<'o, IpAddr>,
    refusals: &mut Refusals,
) -> Result<Vec<Service>, SpecError> {
    let first_address = nodes.values().next().and_then(|node| node.addresses.first());
    let primary_v6 = first_address.is_some_and(IpAddr::is_ipv6);
    let mut node_ports = Claims::default();
    let mut services = Vec::new();
    for located in uniquely_named(&objects.services, refusals)? {
        let place = &located.place;
        let mut take = || {
            let mut draft = service(located, primary_v6)?;
            for address in &draft.service.cluster_addresses {
                addresses.claim(*address, place, "spec.clusterIPs")?;
            }
            claim_node_ports(place, &draft, &mut node_ports)?;
            match slices.get(&draft.service.name) {
                Some(slices) => endpoints::from_slices(&mut draft, slices, pods),
                None if draft.service.selector.is_empty() => {}
                None => endpoints::from_pods(place, &mut draft, pods)?,
            }
            Ok(draft.service)
        };
        services.extend(refusals.pass(take())?);
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

/// All objects, but those of a name that is taken.
fn uniquely_named<'o, T: Metadata<Ty = ObjectMeta>>(
    objects: &'o [Located<T>],
    refusals: &mut Refusals,
) -> Result<Vec<&'o Located<T>>, SpecError> {
    let mut names = Claims::default();
    let mut unique = Vec::with_capacity(objects.len());
    for located in objects {
        let claimed = names.claim(located.name(), &located.place, "metadata.name");
        unique.extend(refusals.pass(claimed)?.map(|()| located));
    }
    Ok(unique)
}

/// What becomes of an object that is refused.
pub(super) struct Refusals {
    are_left_out: bool,
    told: Vec<SpecError>,
}

impl Refusals {
    /// The first one ends the reading.
    pub(super) fn first() -> Self {
        Self { are_left_out: false, told: Vec::new() }
    }

    /// Each is left out, and the rest read.
    pub(super) fn left_out() -> Self {
        Self { are_left_out: true, told: Vec::new() }
    }

    pub(super) fn are_left_out(&self) -> bool {
        self.are_left_out
    }

    pub(super) fn into_told(self) -> Vec<SpecError> {
        self.told
    }

    /// What was read; None where it is left out.
    pub(super) fn pass<T>(&mut self, read: Result<T, SpecError>) -> Result<Option<T>, SpecError> {
        match read {
            Err(error) if self.are_left_out => {
                self.told.push(error);
                Ok(None)
            }
            read => read.map(Some),
        }
    }
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
