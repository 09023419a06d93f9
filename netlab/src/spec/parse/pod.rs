//! Pod objects.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::core::v1;

use super::{
    Located,
    error::{Place, Reason, SpecError, Unsupported},
    field::{Field, addresses, plural},
};
use crate::spec::model::{Node, Pod, Port, Protocol};

/// A pod that has run to its end: Kubernetes has taken its address back.
pub(crate) fn has_ended(pod: &v1::Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// A pod in the network namespace of its node, whose addresses it has.
pub(super) fn is_host_network(pod: &v1::Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true))
}

/// A pod that no node has taken so far, or that has no address yet.
pub(super) fn is_unassigned(pod: &v1::Pod) -> bool {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let status = pod.status.as_ref();
    let one = status.and_then(|status| status.pod_ip.as_deref());
    let many = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
    node.unwrap_or_default().is_empty() || (one.unwrap_or_default().is_empty() && many.is_empty())
}

/// Checks one Pod, and that its node exists and holds its addresses.
pub(super) fn pod(
    located: &Located<v1::Pod>,
    nodes: &BTreeMap<String, Node>,
) -> Result<Pod, SpecError> {
    let Located { place, object } = located;
    if is_host_network(object) {
        let reason = Reason::Unsupported(Unsupported::HostNetwork);
        return Err(Field { place, path: "spec.hostNetwork" }.refuse(reason));
    }
    let pod = on_host(located, nodes)?;
    let cidrs = nodes.get(&pod.node).map(|node| node.pod_cidrs.as_slice()).unwrap_or_default();
    let is_inside =
        |address: &IpAddr| cidrs.is_empty() || cidrs.iter().any(|cidr| cidr.contains(address));
    if let Some(index) = pod.addresses.iter().position(|address| !is_inside(address)) {
        let (address, node, cidrs) = (pod.addresses[index], pod.node.clone(), cidrs.to_vec());
        let reason = Reason::OutsidePodNetwork { address, node, cidrs };
        let (path, _) = &address_texts(located)?[index];
        return Err(Field { place, path }.refuse(reason));
    }
    Ok(pod)
}

/// Checks one Pod, whatever network it is in.
pub(super) fn on_host(
    located: &Located<v1::Pod>,
    nodes: &BTreeMap<String, Node>,
) -> Result<Pod, SpecError> {
    let Located { place, object } = located;
    let field = |path| Field { place, path };
    let name = located.name();
    field("metadata.name").subdomain(&name.name)?;
    field("metadata.namespace").label(&name.namespace)?;

    let Some(spec) = &object.spec else {
        return Err(field("spec").refuse(Reason::Missing));
    };
    let node_name = spec.node_name.as_deref().unwrap_or_default();
    if node_name.is_empty() {
        return Err(field("spec.nodeName").refuse(Reason::Missing));
    }
    existing_node(field("spec.nodeName"), node_name, nodes)?;
    let addresses = addresses(place, &address_texts(located)?)?;
    if addresses.is_empty() {
        return Err(field("status.podIPs").refuse(Reason::Unassigned));
    }

    let status = object.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let is_ready = |c: &v1::PodCondition| c.type_ == "Ready" && c.status == "True";
    Ok(Pod {
        name,
        node: node_name.to_owned(),
        labels: object.metadata.labels.clone().unwrap_or_default(),
        addresses,
        named_ports: named_ports(place, spec)?,
        ready: conditions.is_empty() || conditions.iter().any(is_ready),
        terminating: object.metadata.deletion_timestamp.is_some(),
    })
}

/// A pod's addresses as they are written, each with its path.
fn address_texts(located: &Located<v1::Pod>) -> Result<Vec<(String, &str)>, SpecError> {
    let status = located.object.status.as_ref();
    let listed = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
    plural(
        &located.place,
        ("status.podIP", status.and_then(|status| status.pod_ip.as_deref())),
        ("status.podIPs", listed.iter().map(|ip| ip.ip.as_str()).collect()),
    )
}

/// The node called `name`.
pub(super) fn existing_node<'n>(
    field: Field<'_>,
    name: &str,
    nodes: &'n BTreeMap<String, Node>,
) -> Result<&'n Node, SpecError> {
    nodes.get(name).ok_or_else(|| {
        let known = nodes.keys().cloned().collect();
        field.refuse(Reason::NoSuchNode { found: name.to_owned(), known })
    })
}

/// Named ports of the containers and of the sidecars, which are the init containers
/// that keep running. Of two with one name the first counts, as for kube-proxy.
fn named_ports(
    place: &Place,
    spec: &v1::PodSpec,
) -> Result<BTreeMap<String, (Protocol, Port)>, SpecError> {
    let sidecars = spec.init_containers.iter().flatten().enumerate();
    let sidecars = sidecars.filter(|(_, c)| c.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().enumerate().map(|(i, c)| ("containers", i, c));
    let all = containers.chain(sidecars.map(|(i, c)| ("initContainers", i, c)));

    let mut named = BTreeMap::new();
    for (list, i, container) in all {
        for (j, port) in container.ports.iter().flatten().enumerate() {
            let path = |leaf| format!("spec.{list}[{i}].ports[{j}].{leaf}");
            let protocol =
                Field { place, path: &path("protocol") }.protocol(port.protocol.as_deref())?;
            let number = Field { place, path: &path("containerPort") }.port(port.container_port)?;
            if let Some(name) = &port.name {
                Field { place, path: &path("name") }.label(name)?;
                named.entry(name.clone()).or_insert((protocol, number));
            }
        }
    }
    Ok(named)
}
