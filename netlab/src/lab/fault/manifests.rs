//! Rows 4 to 7, 21 and 28: objects that say something else than was meant.

use std::{collections::BTreeSet, path::PathBuf};

use k8s_openapi::{
    api::core::v1::{Pod, PodCondition, Service, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde::Serialize;

use super::{
    FaultError,
    catalogue::{At, Dialled, Fault, KUBE_PROXY, MODES, PROXIES, Shows},
    site::Site,
    step::{Plan, Step},
};
use crate::{
    lab::{Proxy, Role},
    spec::{Located, Objects, model::ObjectName},
};

const SELECTOR: Fault = Fault {
    name: "no-endpoints",
    rows: &[4],
    imitates: "a selector that matches no pod, off by a letter",
    at: At::Service,
    modes: MODES,
    proxies: PROXIES,
    limits: "",
    shows: &[Shows::Refused],
    dialled: Dialled::Anywhere,
    programs: &[],
    on_switch: false,
    plan: no_endpoints,
};

pub(super) const FAULTS: &[Fault] = &[
    SELECTOR,
    Fault {
        name: "endpoints-not-ready",
        rows: &[5],
        imitates: "all pods of a Service fail their readiness probe",
        plan: |site| edit(site, |objects| unready(objects, &site.endpoint_pods(None))),
        ..SELECTOR
    },
    Fault {
        name: "local-policy",
        rows: &[6],
        imitates: "externalTrafficPolicy Local, and no ready pod on the node",
        at: At::Node,
        proxies: KUBE_PROXY,
        limits: "netlab's programs do not honour externalTrafficPolicy Local yet",
        shows: &[Shows::Silence],
        dialled: Dialled::AtNode,
        plan: local_policy,
        ..SELECTOR
    },
    Fault {
        name: "wrong-target-port",
        rows: &[7],
        imitates: "a targetPort that the pods do not listen on",
        plan: wrong_target_port,
        ..SELECTOR
    },
    Fault {
        name: "node-address-wrong",
        rows: &[21],
        imitates: "a Node object with an address that the node does not have",
        at: At::Node,
        proxies: BY_NODE_ADDRESS,
        limits: "kube-proxy's iptables rules answer at every address that the node has",
        shows: &[Shows::Refused, Shows::Silence],
        dialled: Dialled::AtNode,
        plan: node_address_wrong,
        ..SELECTOR
    },
    Fault {
        name: "single-stack",
        rows: &[28],
        imitates: "an IPv4 Service, and a client that prefers IPv6",
        dialled: Dialled::AtNodeV6,
        plan: single_stack,
        ..SELECTOR
    },
];

/// Those that answer at the addresses of the Node object alone.
const BY_NODE_ADDRESS: &[Proxy] = &[Proxy::Ebpf, Proxy::Nftables];

/// Changes the objects, and makes new files of those that hold something changed.
pub(super) fn edit(
    site: &Site,
    change: impl FnOnce(&mut Objects) -> Result<(), FaultError>,
) -> Plan {
    let mut objects = site.objects.clone();
    change(&mut objects)?;
    // Refused here rather than by every agent.
    objects.resolve()?;
    let (before, after) = (&site.objects, &objects);
    let mut files = BTreeSet::new();
    changed(&before.nodes, &after.nodes, &mut files);
    changed(&before.pods, &after.pods, &mut files);
    changed(&before.services, &after.services, &mut files);
    changed(&before.slices, &after.slices, &mut files);
    if files.is_empty() {
        return site.unfit("the manifests are so already");
    }
    Ok(vec![Step::Manifests(
        files.into_iter().map(|file| (PathBuf::from(&file), text(after, &file))).collect(),
    )])
}

fn changed<T: PartialEq>(
    before: &[Located<T>],
    after: &[Located<T>],
    files: &mut BTreeSet<String>,
) {
    let pairs = before.iter().zip(after).filter(|(before, after)| before.object != after.object);
    files.extend(pairs.map(|(_, after)| after.place.file.clone()));
}

/// All objects of a file, in its order.
fn text(objects: &Objects, file: &str) -> String {
    let mut documents = Vec::new();
    collect(&objects.nodes, file, &mut documents);
    collect(&objects.pods, file, &mut documents);
    collect(&objects.services, file, &mut documents);
    collect(&objects.slices, file, &mut documents);
    documents.sort();
    let texts: Vec<_> = documents.into_iter().map(|(_, text)| text).collect();
    texts.join("---\n")
}

fn collect<T: Serialize>(objects: &[Located<T>], file: &str, to: &mut Vec<(usize, String)>) {
    let of_file = objects.iter().filter(|located| located.place.file == file);
    to.extend(of_file.map(|located| {
        let text = serde_saphyr::to_string(&located.object).unwrap_or_default();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        (located.place.document, format!("{text}{end}"))
    }));
}

impl Site {
    /// Pod objects behind the Service, on a node or on all.
    pub(super) fn endpoint_pods(&self, node: Option<&str>) -> Vec<ObjectName> {
        let pods = self.topology.hosts.iter().filter_map(|host| match &host.role {
            Role::Pod { node, object } => Some((node, object)),
            _ => None,
        });
        let is_endpoint = |object: &String| {
            self.port
                .endpoints
                .iter()
                .any(|endpoint| endpoint.pod.as_ref().is_some_and(|pod| pod.to_string() == *object))
        };
        let chosen = pods.filter(|(on, object)| {
            node.is_none_or(|node| node == on.as_str()) && is_endpoint(object)
        });
        let names: BTreeSet<_> = chosen.map(|(_, object)| object.clone()).collect();
        let all = self.spec.pods.iter().map(|pod| pod.name.clone());
        all.filter(|name| names.contains(&name.to_string())).collect()
    }

    fn service_object<'o>(
        &self,
        objects: &'o mut Objects,
    ) -> Result<&'o mut ServiceSpec, FaultError> {
        let is_it = |located: &&mut Located<Service>| located.name() == self.service.name;
        let found = objects.services.iter_mut().find(is_it);
        match found.and_then(|located| located.object.spec.as_mut()) {
            Some(spec) => Ok(spec),
            None => self.unfit(format!("Service {} has no spec", self.service.name)),
        }
    }
}

fn no_endpoints(site: &Site) -> Plan {
    if !site.objects.slices.is_empty() {
        return site.unfit(
            "its endpoints are written down as EndpointSlices, so the selector \
                           selects nothing",
        );
    }
    edit(site, |objects| {
        let selector = site.service_object(objects)?.selector.as_mut();
        match selector.and_then(|selector| selector.values_mut().next()) {
            Some(value) => value.push('s'),
            None => return site.unfit("the Service has no selector"),
        }
        Ok(())
    })
}

/// Sets condition Ready of these pods to False.
pub(super) fn unready(objects: &mut Objects, pods: &[ObjectName]) -> Result<(), FaultError> {
    let chosen = |located: &&mut Located<Pod>| pods.contains(&located.name());
    for located in objects.pods.iter_mut().filter(chosen) {
        let status = located.object.status.get_or_insert_default();
        let conditions = status.conditions.get_or_insert_default();
        conditions.retain(|condition| condition.type_ != "Ready");
        conditions.push(PodCondition {
            type_: "Ready".to_owned(),
            status: "False".to_owned(),
            ..PodCondition::default()
        });
    }
    Ok(())
}

fn local_policy(site: &Site) -> Plan {
    edit(site, |objects| {
        unready(objects, &site.endpoint_pods(Some(&site.node.name)))?;
        site.service_object(objects)?.external_traffic_policy = Some("Local".to_owned());
        Ok(())
    })
}

fn wrong_target_port(site: &Site) -> Plan {
    let wrong = site.target_port().checked_add(1).unwrap_or(1);
    edit(site, |objects| {
        let ports = site.service_object(objects)?.ports.as_mut();
        let port = i32::from(site.node_port());
        let port = ports.and_then(|ports| ports.iter_mut().find(|p| p.node_port == Some(port)));
        match port {
            Some(port) => port.target_port = Some(IntOrString::Int(i32::from(wrong))),
            None => return site.unfit("the Service's node port is not written down"),
        }
        Ok(())
    })
}

fn node_address_wrong(site: &Site) -> Plan {
    let right = site.v4(&site.node)?;
    let [a, b, c, d] = right.octets();
    let wrong = std::net::Ipv4Addr::new(a, b, c, d.wrapping_add(100));
    edit(site, |objects| {
        let node = objects.nodes.iter_mut().find(|located| located.name().name == site.node.name);
        let status = node.and_then(|located| located.object.status.as_mut());
        let addresses = status.and_then(|status| status.addresses.as_mut());
        for address in addresses.into_iter().flatten() {
            if address.address == right.to_string() {
                address.address = wrong.to_string();
            }
        }
        Ok(())
    })
}

fn single_stack(site: &Site) -> Plan {
    if !site.service.cluster_addresses.iter().any(std::net::IpAddr::is_ipv6) {
        return site.unfit("the Service has no IPv6 as it is");
    }
    edit(site, |objects| {
        let spec = site.service_object(objects)?;
        spec.ip_family_policy = Some("SingleStack".to_owned());
        spec.ip_families = Some(vec!["IPv4".to_owned()]);
        if let Some(addresses) = &mut spec.cluster_ips {
            addresses.retain(|address| !address.contains(':'));
        }
        Ok(())
    })
}
