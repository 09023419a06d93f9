//! Rows 25, 28 and 33: addresses on which nothing answers, families that a Service does not have,
//! and addresses that two pods have.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use super::{Asked, asked, nodes};
use crate::{
    doctor::{
        facts::{Facts, Role, Source},
        finding::{Code, Finding, Severity},
    },
    spec::Spec,
};

pub(super) fn check(facts: &Facts, spec: &Spec) -> Vec<Finding> {
    let mut findings = twice(facts, spec);
    if let Ok(dialled) = facts.subject.asked.parse::<SocketAddr>() {
        findings.extend(excluded(facts, spec, dialled));
        findings.extend(other_family(facts, spec, dialled));
    }
    findings
}

/// Row 25, of netlab's programs: the address is a node's, but none on which node ports answer.
fn excluded(facts: &Facts, spec: &Spec, dialled: SocketAddr) -> Option<Finding> {
    asked(facts, spec).iter().find(|(_, _, port)| *port == dialled.port())?;
    let (host, _) = nodes(facts).find(|(host, _)| host.has_address(dialled.ip()))?;
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
fn other_family(facts: &Facts, spec: &Spec, dialled: SocketAddr) -> Vec<Finding> {
    let is_v4 = dialled.ip().is_ipv4();
    let family = if is_v4 { "IPv4" } else { "IPv6" };
    let lacks = |(service, port, _): &Asked<'_>| {
        let cluster = service.cluster_addresses.iter();
        let endpoints = port.endpoints.iter().map(|endpoint| &endpoint.address);
        !port.endpoints.is_empty()
            && cluster.chain(endpoints).all(|address| address.is_ipv4() != is_v4)
    };
    let dialled_ports =
        asked(facts, spec).into_iter().filter(|(_, _, port)| *port == dialled.port());
    let find = |(service, ..): Asked<'_>| {
        let name = &service.name;
        let addresses: Vec<_> = service.cluster_addresses.iter().map(IpAddr::to_string).collect();
        let cause = format!("Service {name} has no {family}: {} is dialled", dialled.ip());
        let patch = r#"{"spec":{"ipFamilyPolicy":"PreferDualStack"}}"#;
        Finding::broken(Code::FamilyMissing, None, cause)
            .shown(Source::Objects, format!("Service {name}: clusterIPs {}", addresses.join(", ")))
            .mended(
                ["kubectl", "-n", &name.namespace, "patch", "service", &name.name, "-p", patch],
                "Give the Service both families, or dial the one that it has",
            )
    };
    dialled_ports.filter(lacks).map(find).collect()
}

/// Row 33: as the objects say it, or as the pods' own namespaces do.
fn twice(facts: &Facts, spec: &Spec) -> Vec<Finding> {
    let mut owners: BTreeMap<IpAddr, Vec<String>> = BTreeMap::new();
    let mut own = |address: IpAddr, pod: String| {
        let pods = owners.entry(address).or_default();
        if !pods.contains(&pod) {
            pods.push(pod);
        }
    };
    for pod in &spec.pods {
        pod.addresses.iter().for_each(|address| own(*address, pod.name.to_string()));
    }
    for host in &facts.hosts {
        let Role::Pod { pod, .. } = &host.role else { continue };
        let is_loopback = |device| host.link_at(device).is_some_and(|link| link.name == "lo");
        let global = host
            .addresses
            .iter()
            .filter(|address| !is_loopback(address.device) && !is_link_local(address.net.addr()));
        global.for_each(|address| own(address.net.addr(), pod.clone()));
    }
    let find = |(address, pods): (IpAddr, Vec<String>)| {
        let pods = pods.join(" and ");
        let cause = format!("pods {pods} have the same address, {address}");
        Finding::broken(Code::DuplicatePodAddress, None, cause)
            .severity(Severity::Impaired)
            .shown(Source::Addresses, format!("{address}: {pods}"))
            .advised("Delete one of the pods, so that it is given another address")
    };
    owners.into_iter().filter(|(_, pods)| pods.len() > 1).map(find).collect()
}

/// fe80::/10, which every link has.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
