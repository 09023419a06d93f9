//! Which endpoints stand behind a Service's ports.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::{
    error::{Place, Reason, SpecError},
    service::{Draft, Families, Target},
    slice::Slice,
};
use crate::spec::model::{Endpoint, ObjectName, Pod, Protocol};

/// Pods by what Services and slices know them by.
pub(super) struct PodIndex<'p> {
    /// By namespace, label and value, so that a selector does not visit every pod.
    by_label: HashMap<(&'p str, &'p str, &'p str), Vec<&'p Pod>>,
    by_address: HashMap<IpAddr, &'p Pod>,
    by_name: HashMap<&'p ObjectName, &'p Pod>,
}

impl<'p> PodIndex<'p> {
    /// Of pods, and of those in the network namespaces of their nodes, whose addresses are the
    /// nodes': endpoints of theirs name no pod.
    pub(super) fn new(pods: &'p [Pod], of_host: &'p [Pod]) -> Self {
        let mut by_label: HashMap<_, Vec<_>> = HashMap::new();
        for pod in pods.iter().chain(of_host) {
            for (label, value) in &pod.labels {
                let key = (pod.name.namespace.as_str(), label.as_str(), value.as_str());
                by_label.entry(key).or_default().push(pod);
            }
        }
        let addresses = |pod: &'p Pod| pod.addresses.iter().map(move |address| (*address, pod));
        Self {
            by_label,
            by_address: pods.iter().flat_map(addresses).collect(),
            by_name: pods.iter().map(|pod| (&pod.name, pod)).collect(),
        }
    }

    /// Pods of a namespace that have all labels of a selector, which is not empty.
    fn matching(&self, namespace: &str, selector: &BTreeMap<String, String>) -> Vec<&Pod> {
        let mut fewest: Option<&[&Pod]> = None;
        for (label, value) in selector {
            let found = self.by_label.get(&(namespace, label.as_str(), value.as_str()));
            let found = found.map_or(&[][..], Vec::as_slice);
            if fewest.is_none_or(|fewest| found.len() < fewest.len()) {
                fewest = Some(found);
            }
        }
        let all = |pod: &&&Pod| selector.iter().all(|(k, v)| pod.labels.get(k) == Some(v));
        fewest.unwrap_or_default().iter().filter(all).copied().collect()
    }
}

/// Endpoints as the EndpointSlices list them. Pods that the spec does not have are not
/// named; a node that the slice does not name is the one of the pod with that address.
pub(super) fn from_slices(draft: &mut Draft, slices: &[Slice], pods: &PodIndex<'_>) {
    for port in &mut draft.service.ports {
        let mut endpoints = Vec::new();
        for slice in slices {
            let same = slice
                .ports
                .iter()
                .filter(|listed| listed.name == port.name && listed.protocol == port.protocol);
            for listed in same {
                endpoints.extend(slice.endpoints.iter().map(|endpoint| {
                    let pod = match &endpoint.pod {
                        Some(name) => pods.by_name.get(name),
                        None => pods.by_address.get(&endpoint.address),
                    };
                    Endpoint {
                        address: endpoint.address,
                        port: listed.port,
                        node: endpoint.node.clone().or_else(|| pod.map(|pod| pod.node.clone())),
                        pod: pod.map(|pod| pod.name.clone()),
                        ready: endpoint.ready,
                        serving: endpoint.serving,
                        terminating: endpoint.terminating,
                    }
                }));
            }
        }
        port.endpoints = distinct(endpoints);
    }
}

/// Endpoints as the endpoint-slice controller derives them from the pods that the
/// Service's selector matches.
pub(super) fn from_pods(
    place: &Place,
    draft: &mut Draft,
    pods: &PodIndex<'_>,
) -> Result<(), SpecError> {
    let Draft { service, targets, families } = draft;
    let matching = pods.matching(&service.name.namespace, &service.selector);
    let publish_not_ready = service.publish_not_ready;
    for (index, (port, target)) in service.ports.iter_mut().zip(targets).enumerate() {
        let mut endpoints = Vec::new();
        let mut resolved = matching.is_empty();
        for pod in &matching {
            let number = match target {
                Target::Number(number) => *number,
                Target::Name(name) => match pod.named_ports.get(name) {
                    Some((protocol, number)) if *protocol == port.protocol => *number,
                    _ => continue,
                },
            };
            resolved = true;
            let addresses = pod.addresses.iter().filter(|address| families.include(address));
            endpoints.extend(addresses.map(|address| Endpoint {
                address: *address,
                port: number,
                node: Some(pod.node.clone()),
                pod: pods.by_name.contains_key(&pod.name).then(|| pod.name.clone()),
                ready: publish_not_ready || (pod.ready && !pod.terminating),
                serving: pod.ready,
                terminating: pod.terminating,
            }));
        }
        if let (Target::Name(name), false) = (target, resolved) {
            let path = format!("spec.ports[{index}].targetPort");
            return Err(SpecError::object(
                place,
                path,
                no_such_port(name, port.protocol, &matching),
            ));
        }
        port.endpoints = distinct(endpoints);
    }
    Ok(())
}

impl Families {
    fn include(self, address: &IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }
}

fn no_such_port(name: &str, protocol: Protocol, matching: &[&Pod]) -> Reason {
    let named = matching.iter().flat_map(|pod| &pod.named_ports);
    let mut known: Vec<_> =
        named.map(|(name, (protocol, _))| format!("{name}/{protocol}")).collect();
    known.sort();
    known.dedup();
    Reason::NoSuchPort { found: name.to_owned(), protocol, known }
}

/// Sorted, one for each address and port. While an endpoint moves between slices it may
/// be listed twice with different conditions; the more useful listing counts.
fn distinct(mut endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
    endpoints.sort_by(|a, b| {
        (a.address, a.port, !a.ready, !a.serving)
            .cmp(&(b.address, b.port, !b.ready, !b.serving))
            .then_with(|| a.cmp(b))
    });
    endpoints.dedup_by_key(|endpoint| (endpoint.address, endpoint.port));
    endpoints
}
