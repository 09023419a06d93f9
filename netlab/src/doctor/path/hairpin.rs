//! Pods that dial their own Service: through a bridge, whose ports and hooks decide whether the
//! answer is translated back.
//!
//! With bridge-nf-call-iptables, br_netfilter sends what it has translated on over the bridge, and
//! a port lets a frame out by the way that it came in only in hairpin mode. Without it, an answer
//! between pods of a node takes the bridge, past the rules that would translate it back.

use std::collections::BTreeSet;

use crate::{
    doctor::{
        facts::{Facts, HostFacts, Role, Source, link::Link},
        finding::{Code, Finding, Severity},
    },
    spec::Spec,
};

/// What keeps pods from a Service of their own node.
#[must_use]
pub fn findings(facts: &Facts, spec: &Spec) -> Vec<Finding> {
    let nodes = facts.nodes().map(|(host, _)| host);
    nodes.filter(|host| has_kube_proxy(host)).flat_map(|node| on(facts, spec, node)).collect()
}

/// netlab's programs do not answer pods yet.
fn has_kube_proxy(host: &HostFacts) -> bool {
    let of_nft = host
        .nft
        .as_ref()
        .is_some_and(|rules| rules.tables.iter().any(|table| table.name == "kube-proxy"));
    let of_iptables = host
        .iptables
        .iter()
        .any(|store| store.table("nat").is_some_and(|nat| nat.chain("KUBE-SERVICES").is_some()));
    of_nft || of_iptables
}

fn on(facts: &Facts, spec: &Spec, node: &HostFacts) -> Vec<Finding> {
    const SWITCH: &str = "bridge/bridge-nf-call-iptables";
    let ports = ports(facts, spec, node);
    match node.sysctl_number(SWITCH) {
        Some(0) if ports.len() > 1 && !by_bridge(node, &ports) => {
            let cause = format!(
                "answers between pods of {} take the bridge past netfilter, so a pod that dials a \
                 Service is answered by a stranger",
                node.name
            );
            let command = ["sysctl", "-w", "net/bridge/bridge-nf-call-iptables=1"];
            vec![
                Finding::broken(Code::Hairpin, Some(&node.name), cause)
                    .severity(Severity::Impaired)
                    .shown(Source::Sysctls, format!("net/{SWITCH} = 0"))
                    .mended(command, "Let bridged packets meet netfilter."),
            ]
        }
        Some(0) | None => Vec::new(),
        Some(_) => ports.into_iter().filter_map(|(pod, port)| hairpin(node, pod, port)).collect(),
    }
}

fn hairpin(node: &HostFacts, pod: &str, port: &Link) -> Option<Finding> {
    if port.port.as_ref()?.hairpin {
        return None;
    }
    let name = port.name.as_str();
    let cause = format!(
        "pod {pod} cannot reach itself through a Service: {name} on {} is not in hairpin mode",
        node.name
    );
    let command = ["bridge", "link", "set", "dev", name, "hairpin", "on"];
    Some(
        Finding::broken(Code::Hairpin, Some(&node.name), cause)
            .severity(Severity::Impaired)
            .shown(Source::Links, format!("{name}: bridge port hairpin off"))
            .mended(command, "Let frames out by the port that they came in by."),
    )
}

fn by_bridge(node: &HostFacts, ports: &[(&str, &Link)]) -> bool {
    ports.iter().filter_map(|(_, port)| node.link_at(port.master?)).any(|bridge| {
        matches!(&bridge.kind, crate::doctor::facts::link::LinkKind::Bridge(own) if own.nf_call_iptables)
    })
}

/// Ports of bridges that lead to pods which are endpoints.
fn ports<'f>(facts: &'f Facts, spec: &Spec, node: &'f HostFacts) -> Vec<(&'f str, &'f Link)> {
    let ports = spec.services.iter().flat_map(|service| &service.ports);
    let endpoints = ports.flat_map(|port| &port.endpoints);
    let behind: BTreeSet<String> =
        endpoints.filter_map(|endpoint| Some(endpoint.pod.as_ref()?.to_string())).collect();
    let pods = facts.hosts.iter().filter_map(|host| match &host.role {
        Role::Pod { pod, .. } if behind.contains(pod) => Some((pod.as_str(), host)),
        _ => None,
    });
    pods.filter_map(|(pod, host)| {
        let (_, of, port) = facts.pod_port(host)?;
        let master = port.master.and_then(|master| of.link_at(master))?;
        (of.name == node.name && master.is_bridge()).then_some((pod, port))
    })
    .collect()
}
