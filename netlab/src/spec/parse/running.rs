//! What a running cluster lists beside what netlab serves, and how it is read all the same.
//!
//! A lab is laid out as it is written, and an agent keeps what it has rather than serve half of a
//! cluster, so both refuse the first thing wrong. Who only judges a running cluster must not lose
//! all of it over one object: what no packet of a node port passes is taken out here, and what is
//! refused for other reasons is left out and told.

use std::collections::BTreeSet;

use k8s_openapi::api::{core::v1, discovery::v1::EndpointSlice};

use super::{
    Located, Objects, documents,
    error::{Reason, SpecError},
    node::INTERNAL,
    pod::{has_ended, is_host_network, is_unassigned},
    resolve::{Aside, Refusals, resolve_with},
    slice::SERVICE_NAME,
};
use crate::spec::model::Spec;

/// What a running cluster should do, as far as netlab can take its objects.
#[derive(Debug, Default)]
pub struct Running {
    /// The objects that can be taken.
    pub spec: Spec,
    /// Why others are left out, each with its place. Pods of the host's network, Services that are
    /// a DNS alias, EndpointSlices of names and SCTP ports are left out without a word, as no
    /// packet that netlab follows is for them; so are pods without a node or an address yet, unless
    /// a Service selects them.
    pub left_out: Vec<SpecError>,
}

/// Reads the objects of a running cluster: `texts` are manifests, each with what stands for its
/// file in messages. Kinds and fields that netlab does not know are passed over.
///
/// # Errors
///
/// A text that is neither YAML nor JSON.
pub fn read_running<'t>(
    texts: impl IntoIterator<Item = (&'t str, &'t str)>,
) -> Result<Running, SpecError> {
    let mut refusals = Refusals::left_out();
    let mut objects = Objects::default();
    for (origin, text) in texts {
        objects.append(documents::read_with(origin, text, &mut refusals)?);
    }
    let aside = set_aside(&mut objects);
    let spec = resolve_with(&objects, &aside, &mut refusals)?;
    Ok(Running { spec, left_out: refusals.into_told() })
}

/// Takes out what a running cluster has, and netlab does not follow.
fn set_aside(objects: &mut Objects) -> Aside {
    objects.pods.retain(|pod| !has_ended(&pod.object));
    let mut aside = Aside {
        host_network: objects.pods.extract_if(.., |of| is_host_network(&of.object)).collect(),
        unassigned: objects.pods.extract_if(.., |of| is_unassigned(&of.object)).collect(),
    };
    objects.nodes.iter_mut().for_each(|node| first_of_each_family(&mut node.object));
    other_address_management(objects);
    for pod in objects.pods.iter_mut().chain(&mut aside.host_network) {
        without_sctp(&mut pod.object);
    }
    objects.services.retain_mut(|service| is_for_packets(&mut service.object));
    let services: BTreeSet<_> = objects.services.iter().map(Located::name).collect();
    let nodes: BTreeSet<String> = objects.nodes.iter().map(|node| node.name().name).collect();
    objects.slices.retain_mut(|slice| {
        let labels = slice.object.metadata.labels.as_ref();
        let mut service = slice.name();
        service.name = labels.and_then(|of| of.get(SERVICE_NAME)).cloned().unwrap_or_default();
        // Those of a Service that is going outlive it for a moment.
        services.contains(&service) && is_of_addresses(&mut slice.object, &nodes)
    });
    aside
}

/// A node on several networks lists all its addresses; the first of a family is its own.
fn first_of_each_family(node: &mut v1::Node) {
    let Some(addresses) = node.status.as_mut().and_then(|status| status.addresses.as_mut()) else {
        return;
    };
    let mut seen = [false; 2];
    addresses.retain(|address| {
        let family = usize::from(address.address.contains(':'));
        address.type_ != INTERNAL || !std::mem::replace(&mut seen[family], true)
    });
}

/// Some networks (Calico, Cilium) give pods addresses of their own pools, and the podCIDRs of the
/// nodes, which Kubernetes hands out all the same, mean nothing.
fn other_address_management(objects: &mut Objects) {
    let Objects { nodes, pods, .. } = objects;
    let is_outside = |pod: &v1::Pod, networks: &[ipnet::IpNet]| {
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
        let address = address.and_then(|text| text.parse::<std::net::IpAddr>().ok());
        address.is_some_and(|of| !networks.iter().any(|network| network.contains(&of)))
    };
    for node in nodes {
        let name = node.name().name;
        let Some(spec) = node.object.spec.as_mut() else { continue };
        let texts = spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr);
        let networks: Vec<ipnet::IpNet> = texts.filter_map(|text| text.parse().ok()).collect();
        let runs_here = |pod: &&Located<v1::Pod>| {
            pod.object.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(&name)
        };
        if pods.iter().filter(runs_here).any(|pod| is_outside(&pod.object, &networks)) {
            (spec.pod_cidr, spec.pod_cidrs) = (None, None);
        }
    }
}

fn without_sctp(pod: &mut v1::Pod) {
    let Some(spec) = &mut pod.spec else { return };
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        container.ports.iter_mut().for_each(|ports| {
            ports.retain(|port| !is_sctp(port.protocol.as_deref()));
        });
    }
}

/// Whether packets pass through a Service; its SCTP ports are taken away.
fn is_for_packets(service: &mut v1::Service) -> bool {
    let Some(spec) = &mut service.spec else { return true };
    spec.ports.iter_mut().for_each(|ports| {
        ports.retain(|port| !is_sctp(port.protocol.as_deref()));
    });
    spec.type_.as_deref() != Some("ExternalName")
}

/// Whether a slice lists addresses. Ports of SCTP, or without a number, are taken away, and so are
/// the names of nodes that have left the cluster.
fn is_of_addresses(slice: &mut EndpointSlice, nodes: &BTreeSet<String>) -> bool {
    slice.ports.iter_mut().for_each(|ports| {
        ports.retain(|port| port.port.is_some() && !is_sctp(port.protocol.as_deref()));
    });
    for endpoint in slice.endpoints.iter_mut().flatten() {
        endpoint.node_name.take_if(|name| !nodes.contains(name));
    }
    slice.address_type != "FQDN"
}

fn is_sctp(protocol: Option<&str>) -> bool {
    protocol == Some("SCTP")
}

/// Of pods that have no node or no address yet, those that a Service waits for.
pub(super) fn awaited(aside: &Aside, services: &[crate::spec::model::Service]) -> Vec<SpecError> {
    let is_selected = |pod: &&Located<v1::Pod>| {
        let labels = pod.object.metadata.labels.as_ref();
        let has = |(key, value): (&String, &String)| {
            labels.is_some_and(|labels| labels.get(key) == Some(value))
        };
        let namespace = pod.name().namespace;
        services.iter().any(|service| {
            service.name.namespace == namespace
                && !service.selector.is_empty()
                && service.selector.iter().all(has)
        })
    };
    let waits = aside.unassigned.iter().filter(is_selected);
    waits.map(|pod| SpecError::object(&pod.place, "status.podIPs", Reason::NotYet)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{
        model::{Endpoint, Service},
        read_str,
    };

    /// As `kubectl get nodes,pods,services,endpointslices -A -o json` prints it, in part.
    const LIST: &str = include_str!("../../../../tests/fixtures/kubectl-list.json");

    fn told(running: &Running) -> Vec<String> {
        running.left_out.iter().map(ToString::to_string).collect()
    }

    fn endpoints(spec: &Spec, name: &str) -> Vec<Endpoint> {
        let service: &Service = spec.services.iter().find(|of| of.name.name == name).unwrap();
        service.ports.iter().flat_map(|port| port.endpoints.clone()).collect()
    }

    #[test]
    fn a_real_list_is_read_without_a_refusal_and_strictly_refused() {
        let running = read_running([("list", LIST)]).unwrap();
        assert_eq!(told(&running), [""; 0]);
        let names: Vec<_> = running.spec.pods.iter().map(|pod| pod.name.name.as_str()).collect();
        assert_eq!(names, ["web-1", "web-2", "web-3", "web-4"]);
        let names: Vec<_> =
            running.spec.services.iter().map(|service| service.name.name.as_str()).collect();
        assert_eq!(names, ["kubernetes", "peers", "web", "kube-proxy-metrics"]);
        assert_eq!(endpoints(&running.spec, "web").len(), 4);
        let refused = read_str("list", LIST).unwrap().resolve().unwrap_err().to_string();
        assert!(
            refused.contains("Pod kube-system/kube-proxy-5x2kd: spec.hostNetwork"),
            "{refused}"
        );
    }

    #[test]
    fn pods_of_the_host_network_are_endpoints_at_the_address_of_their_node() {
        let listed = read_running([("list", LIST)]).unwrap().spec;
        let mut list: serde_json::Value = serde_json::from_str(LIST).unwrap();
        list["items"].as_array_mut().unwrap().retain(|item| item["kind"] != "EndpointSlice");
        // Without slices they are derived from the pods.
        let derived = read_running([("list", list.to_string().as_str())]).unwrap().spec;
        for spec in [&listed, &derived] {
            let endpoints = endpoints(spec, "kube-proxy-metrics");
            let at: Vec<_> = endpoints
                .iter()
                .map(|of| (of.address.to_string(), of.node.as_deref(), &of.pod))
                .collect();
            let expected = [
                ("172.18.0.2".to_owned(), Some("node-1"), &None),
                ("172.18.0.3".to_owned(), Some("node-2"), &None),
            ];
            assert_eq!(at, expected);
        }
    }

    #[test]
    fn one_object_that_is_refused_does_not_take_the_others_along() {
        let broken = LIST.replace("\"nodePort\": 30080", "\"nodePort\": 700800");
        let running = read_running([("list", broken.as_str())]).unwrap();
        let told = told(&running);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("Service default/web: spec.ports[0].nodePort"), "{told:?}");
        assert_eq!((running.spec.pods.len(), running.spec.services.len()), (4, 3));
    }

    #[test]
    fn a_pod_without_an_address_is_told_where_a_service_waits_for_it() {
        let waited_for = LIST.replace("\"app\": \"queue\"", "\"app\": \"web\"");
        let running = read_running([("list", waited_for.as_str())]).unwrap();
        let told = told(&running);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("Pod default/queue-7d9c: status.podIPs: is not there yet"));
    }

    #[test]
    fn kinds_and_fields_of_others_are_passed_over_and_broken_text_is_not() {
        let newer = LIST.replace("\"phase\": \"Pending\"", "\"phase\": \"Pending\", \"newer\": 1");
        let deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}";
        let running = read_running([("list", newer.as_str()), ("more", deployment)]).unwrap();
        assert_eq!((told(&running).len(), running.spec.pods.len()), (0, 4));
        assert!(read_running([("broken", "kind: [")]).is_err());
    }

    #[test]
    fn networks_that_do_not_use_the_pod_networks_of_nodes_are_taken() {
        let pools = LIST.replace("10.244.1.2", "192.168.7.2");
        let running = read_running([("list", pools.as_str())]).unwrap();
        assert_eq!((told(&running).len(), running.spec.pods.len()), (0, 4));
        let networks: Vec<_> = running.spec.nodes.iter().map(|node| node.pod_cidrs.len()).collect();
        assert_eq!(networks, [0, 1], "those of node-2 are in use");
    }
}
