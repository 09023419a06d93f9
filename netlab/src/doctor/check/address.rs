//! Rows 25, 28 and 33: addresses on which nothing answers, families that a Service does not have,
//! and addresses that two pods have.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use super::{
    Asked,
    object::{Mend, Written, patched},
};
use crate::{
    doctor::{
        facts::{
            Facts, HostFacts, Role, Source,
            route::{Address, is_link_local},
        },
        finding::{Code, Finding, Severity},
        path::unlearnt,
    },
    spec::{Spec, model::Service},
};

pub(super) fn check(
    facts: &Facts,
    spec: &Spec,
    asked: &[Asked<'_>],
    written: &Written<'_>,
) -> Vec<Finding> {
    let mut findings = twice(facts, spec);
    match facts.subject.asked.parse::<SocketAddr>() {
        Ok(dialled) => {
            findings.extend(excluded(facts, asked, dialled));
            findings.extend(other_family(asked, dialled, written));
        }
        Err(_) => {
            let families = [true, false].into_iter();
            findings.extend(families.flat_map(|v4| one_family(facts, spec, asked, v4, written)));
        }
    }
    findings
}

/// Row 25, of netlab's programs: the address is a node's, but none on which node ports answer.
fn excluded(facts: &Facts, asked: &[Asked<'_>], dialled: SocketAddr) -> Option<Finding> {
    asked.iter().find(|(_, _, port)| *port == dialled.port())?;
    let (host, _) = facts.nodes().find(|(host, _)| host.has_address(dialled.ip()))?;
    let datapath = host.datapath.as_ref()?;
    let is_blind = facts.is_blind(&host.name, Source::Datapath);
    if is_blind || datapath.node_addresses.contains(&dialled.ip()) {
        return None;
    }
    let answering: Vec<_> = datapath.node_addresses.iter().map(IpAddr::to_string).collect();
    let answering = answering.join(", ");
    let cause = format!(
        "node ports of {} do not answer on {}, but on {answering}",
        host.name,
        dialled.ip()
    );
    let finding = Finding::broken(Code::AddressExcluded, Some(&host.name), cause)
        .shown(Source::Datapath, format!("NODE_ADDRESSES: {answering}"));
    Some(finding.advised("Dial one of these addresses"))
}

/// Row 28.
fn other_family(asked: &[Asked<'_>], dialled: SocketAddr, written: &Written<'_>) -> Vec<Finding> {
    let v4 = dialled.ip().is_ipv4();
    let dialled_ports = asked.iter().filter(|(_, _, port)| *port == dialled.port());
    let lacking = dialled_ports.filter(|of| lacks(of, v4));
    let what = format!("{} is dialled", dialled.ip());
    lacking.map(|(service, ..)| without_family(written, service, v4, &what)).collect()
}

/// Row 28, where nothing single is dialled. Most Services of a cluster with both families have one
/// by choice; it is a fault where all else is there: a client and a node that have the family, the
/// pods behind the Service too, and another Service that is reached by it.
fn one_family(
    facts: &Facts,
    spec: &Spec,
    asked: &[Asked<'_>],
    v4: bool,
    written: &Written<'_>,
) -> Vec<Finding> {
    let is_of = |address: &IpAddr| address.is_ipv4() == v4;
    let of_client =
        |host: &HostFacts| host.role == Role::Client && host.global_of(v4).next().is_some();
    let is_dialled = facts.hosts.iter().any(of_client)
        && spec.nodes.iter().any(|node| node.addresses.iter().any(is_of));
    let is_usual =
        spec.node_ports().any(|(_, port, _)| port.endpoints.iter().any(|of| is_of(&of.address)));
    if !is_dialled || !is_usual {
        return Vec::new();
    }
    let could_have = |(_, port, _): &Asked<'_>| {
        port.endpoints.iter().all(|endpoint| {
            let pod = spec.pods.iter().find(|pod| endpoint.pod.as_ref() == Some(&pod.name));
            pod.is_some_and(|pod| pod.addresses.iter().any(is_of))
        })
    };
    let lacking = asked.iter().filter(|of| lacks(of, v4) && could_have(of));
    let what = "its pods and nodes and the client have it, and other Services do";
    let mut found: Vec<Finding> = lacking
        .map(|(service, ..)| {
            without_family(written, service, v4, what).severity(Severity::Impaired)
        })
        .collect();
    found.dedup();
    found
}

fn lacks((service, port, _): &Asked<'_>, v4: bool) -> bool {
    let cluster = service.cluster_addresses.iter();
    let endpoints = port.endpoints.iter().map(|endpoint| &endpoint.address);
    !port.endpoints.is_empty() && cluster.chain(endpoints).all(|address| address.is_ipv4() != v4)
}

fn without_family(written: &Written<'_>, service: &Service, v4: bool, why: &str) -> Finding {
    let family = if v4 { "IPv4" } else { "IPv6" };
    let name = &service.name;
    let addresses: Vec<_> = service.cluster_addresses.iter().map(IpAddr::to_string).collect();
    let patch = r#"{"spec":{"ipFamilyPolicy":"PreferDualStack"}}"#;
    let cause = format!("Service {name} has no {family}: {why}");
    let finding = Finding::broken(Code::FamilyMissing, None, cause)
        .shown(Source::Objects, format!("Service {name}: clusterIPs {}", addresses.join(", ")));
    let mend = Mend {
        object: format!("Service {name}"),
        command: patched(name, patch),
        words: "Give the Service both families, or dial the one that it has".to_owned(),
        edit: format!(
            "write ipFamilyPolicy: PreferDualStack and ipFamilies: [IPv4, IPv6] below spec, add an \
             address of {family} to its clusterIPs, and an EndpointSlice of that addressType"
        ),
        mends: true,
    };
    mend.of(finding, written)
}

/// A pod that has an address.
struct Owner<'f> {
    pod: String,
    /// Its own namespace and what it has there; None where only the objects say so.
    own: Option<(&'f HostFacts, &'f Address)>,
    /// The objects give it the address.
    by_objects: bool,
}

/// Row 33: as the objects say it, or as the pods' own namespaces do.
fn twice(facts: &Facts, spec: &Spec) -> Vec<Finding> {
    let mut owners: BTreeMap<IpAddr, Vec<Owner<'_>>> = BTreeMap::new();
    for pod in &spec.pods {
        for address in &pod.addresses {
            let owner = Owner { pod: pod.name.to_string(), own: None, by_objects: true };
            owners.entry(*address).or_default().push(owner);
        }
    }
    // What a pod has inside of it, such as the bridge of its own containers, others may have too.
    let given: Vec<IpAddr> = owners.keys().copied().collect();
    for host in &facts.hosts {
        let Role::Pod { pod, .. } = &host.role else { continue };
        for own in &host.addresses {
            let address = own.net.addr();
            let peer = host.link_at(own.device).and_then(|link| facts.peer(link));
            let is_pods = given.contains(&address) || peer.is_some_and(|(to, _)| to.is_node());
            if is_link_local(address) || !is_pods {
                continue;
            }
            let pods = owners.entry(address).or_default();
            let own = Some((host, own));
            match pods.iter_mut().find(|of| of.pod == *pod) {
                Some(known) => known.own = own,
                None => pods.push(Owner { pod: pod.clone(), own, by_objects: false }),
            }
        }
    }
    let shared = owners.into_iter().filter(|(_, pods)| pods.len() > 1);
    shared.map(|(address, pods)| shared_by(facts, address, &pods)).collect()
}

/// Where the objects give an address to one pod alone, another that has it is in the wrong.
fn shared_by(facts: &Facts, address: IpAddr, pods: &[Owner<'_>]) -> Finding {
    let names: Vec<_> = pods.iter().map(|of| of.pod.as_str()).collect();
    let names = names.join(" and ");
    let cause = format!("pods {names} have the same address, {address}");
    let wrong = pods.iter().find(|of| !of.by_objects).and_then(|of| of.own);
    let host = wrong.map(|(host, _)| host.name.as_str());
    let finding =
        Finding::broken(Code::DuplicatePodAddress, host, cause).severity(Severity::Impaired);
    match wrong {
        Some((host, own)) => unlearnt(facts, finding.taken_away(host, own), host, address),
        None => finding
            .shown(Source::Addresses, format!("{address}: {names}"))
            .advised("Delete one of the pods, so that it is given another address"),
    }
}
