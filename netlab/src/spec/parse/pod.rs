//! Pod objects.

use std::collections::BTreeMap;

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

/// Checks one Pod, and that its node exists and holds its addresses.
pub(super) fn pod(
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
    if spec.host_network == Some(true) {
        let reason = Reason::Unsupported(Unsupported::HostNetwork);
        return Err(field("spec.hostNetwork").refuse(reason));
    }
    let node_name = spec.node_name.as_deref().unwrap_or_default();
    if node_name.is_empty() {
        return Err(field("spec.nodeName").refuse(Reason::Missing));
    }
    let node = existing_node(field("spec.nodeName"), node_name, nodes)?;

    let status = object.status.as_ref();
    let listed = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
    let texts = plural(
        place,
        ("status.podIP", status.and_then(|status| status.pod_ip.as_deref())),
        ("status.podIPs", listed.iter().map(|ip| ip.ip.as_str()).collect()),
    )?;
    let addresses = addresses(place, &texts)?;
    if addresses.is_empty() {
        return Err(field("status.podIPs").refuse(Reason::Unassigned));
    }
    for ((path, _), address) in texts.iter().zip(&addresses) {
        if !node.pod_cidrs.is_empty() && !node.pod_cidrs.iter().any(|cidr| cidr.contains(address)) {
            let cidrs = node.pod_cidrs.clone();
            let reason =
                Reason::OutsidePodNetwork { address: *address, node: node.name.clone(), cidrs };
            return Err(Field { place, path }.refuse(reason));
        }
    }

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
