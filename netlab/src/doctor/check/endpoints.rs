//! Rows 4 to 6: a Service without endpoints, without ready ones, or without one on the node that
//! is dialled.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{
    Asked, called,
    object::{Mend, Written, patched},
};
use crate::{
    doctor::{
        facts::{Facts, HostFacts, Source},
        finding::{Code, Finding},
    },
    spec::{
        Spec,
        model::{Pod, Service, ServicePort, TrafficPolicy},
    },
};

pub(super) fn check(
    facts: &Facts,
    spec: &Spec,
    asked: &[Asked<'_>],
    written: &Written<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for &(service, port, node_port) in asked {
        if port.endpoints.is_empty() {
            findings.push(none(service, spec, written));
        } else if port.usable_endpoints().is_empty() {
            findings.push(none_ready(service, port, written));
        } else if service.external_policy == TrafficPolicy::Local {
            findings.extend(without_local(facts, written, (service, port, node_port)));
        }
    }
    // Each of a Service's ports has told the same.
    findings.dedup();
    findings
}

/// Row 4.
fn none(service: &Service, spec: &Spec, written: &Written<'_>) -> Finding {
    let name = &service.name;
    if service.selector.is_empty() {
        let cause = format!("Service {name} has no selector, and no EndpointSlice names endpoints");
        return Finding::broken(Code::NoEndpoints, None, cause);
    }
    let selector = labels(&service.selector);
    let cause = format!("Service {name} has no endpoints: no pod has the labels {selector}");
    let finding = Finding::broken(Code::NoEndpoints, None, cause)
        .shown(Source::Objects, format!("Service {name}: selector {selector}"));
    let Some(pod) = nearest(service, spec) else { return finding };
    let finding =
        finding.shown(Source::Objects, format!("Pod {}: labels {}", pod.name, labels(&pod.labels)));
    if !is_misspelt(service, pod) {
        // Its own pods may be yet to come: a workload that was scaled to none has none.
        let mend = Mend {
            object: format!("Service {name}"),
            command: vec!["kubectl", "-n", &name.namespace, "get", "pods", "--show-labels"],
            words: "Compare the pods' labels with the selector, and see whether its own pods run"
                .to_owned(),
            edit: "let spec.selector name labels that its pods have".to_owned(),
            mends: false,
        };
        return mend.of(finding, written);
    }
    let wanted: BTreeMap<_, _> =
        service.selector.keys().filter_map(|key| pod.labels.get_key_value(key)).collect();
    let patch = serde_json::json!({"spec": {"selector": wanted}}).to_string();
    let pairs: Vec<_> = wanted.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    let mend = Mend {
        object: format!("Service {name}"),
        command: patched(name, &patch),
        words: format!("Select the pods that are nearest, as {}", pod.name),
        edit: format!("write {} below spec.selector", pairs.join(", ")),
        mends: true,
    };
    mend.of(finding, written)
}

/// Whether a selector is a pod's labels but for a slip of the pen in one value.
fn is_misspelt(service: &Service, pod: &Pod) -> bool {
    let values: Option<Vec<_>> =
        service.selector.iter().map(|(key, value)| Some((value, pod.labels.get(key)?))).collect();
    let Some(values) = values else { return false };
    let mut others = values.into_iter().filter(|(wanted, own)| wanted != own);
    let Some((wanted, own)) = others.next() else { return false };
    others.next().is_none() && is_slip(wanted, own)
}

/// One letter too many, too few or another, or two that changed places. Digits tell versions and
/// copies apart, so another one is meant.
fn is_slip(one: &str, other: &str) -> bool {
    let is_same = |(a, b): &(char, char)| a == b;
    let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let begin = a.iter().copied().zip(b.iter().copied()).take_while(is_same).count();
    let (a, b) = (&a[begin..], &b[begin..]);
    let (back, forth) = (a.iter().rev().copied(), b.iter().rev().copied());
    let end = back.zip(forth).take_while(is_same).count();
    let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
    let is_short = one.chars().count().max(other.chars().count()) < SHORTEST;
    let is_digit = a.iter().chain(b).any(|of| !of.is_alphabetic());
    match (a, b) {
        _ if is_short || is_digit => false,
        ([_], []) | ([], [_]) | ([_], [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

/// Of words with fewer letters, one that differs is another word.
const SHORTEST: usize = 3;

/// The pod in the Service's namespace that has most of the labels, or the same keys at least.
fn nearest<'s>(service: &Service, spec: &'s Spec) -> Option<&'s Pod> {
    let likeness = |pod: &Pod| {
        let same = |(key, value): &(&String, &String)| pod.labels.get(*key) == Some(*value);
        let has = |key: &&String| pod.labels.contains_key(*key);
        let selector = &service.selector;
        2 * selector.iter().filter(same).count()
            + selector.keys().filter(has).count()
            + usize::from(pod.labels.values().any(|value| value == &service.name.name))
    };
    let pods = spec.pods.iter().filter(|pod| pod.name.namespace == service.name.namespace);
    pods.max_by_key(|pod| likeness(pod)).filter(|pod| likeness(pod) > 0)
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// Row 5.
fn none_ready(service: &Service, port: &ServicePort, written: &Written<'_>) -> Finding {
    let name = &service.name;
    let count = port.endpoints.len();
    let cause = format!("none of the {count} endpoints of Service {name} is ready");
    let mut finding = Finding::broken(Code::NoneReady, None, cause);
    for endpoint in &port.endpoints {
        let pod = endpoint.pod.as_ref().map_or_else(String::new, |pod| format!(" (pod {pod})"));
        let state = if endpoint.terminating { "terminating" } else { "not ready" };
        let address = SocketAddr::new(endpoint.address, endpoint.port.get());
        let text = format!("endpoint {address}{pod}: {state}");
        finding = finding.shown(Source::Objects, text);
    }
    let pods = ["kubectl", "-n", &name.namespace, "describe", "pods", "-l"];
    let selector = labels(&service.selector);
    let (object, edit) = unready(service, port, written);
    let mend = Mend {
        object,
        command: pods.into_iter().chain([selector.as_str()]).collect(),
        words: "See which readiness probe fails, and mend the pods".to_owned(),
        edit: format!("{edit} (the agents follow that, not the probes)"),
        mends: false,
    };
    mend.of(finding, written)
}

const CLUSTER: &str = r#"{"spec":{"externalTrafficPolicy":"Cluster"}}"#;

/// Which object says that endpoints are not ready, and what it should say: an EndpointSlice, or
/// where none was written, the pods themselves.
fn unready(service: &Service, port: &ServicePort, written: &Written<'_>) -> (String, &'static str) {
    let slices = written.objects().into_iter().flat_map(|objects| &objects.slices);
    let mut own = slices.filter(|slice| slice.service().as_ref() == Some(&service.name));
    match own.next() {
        Some(slice) => {
            (slice.place.object.clone(), "set conditions.ready of the endpoints to true")
        }
        None => {
            let pod = port.endpoints.iter().find_map(|endpoint| endpoint.pod.as_ref());
            let pod = pod.map_or_else(|| "its pods".to_owned(), |pod| format!("Pod {pod}"));
            (pod, "set the condition Ready below status to 'True', and in its other pods")
        }
    }
}

/// Row 6: of each node without an endpoint of its own. netlab's programs do not honour the policy,
/// so nodes that they serve are left out.
fn without_local(
    facts: &Facts,
    written: &Written<'_>,
    (service, port, node_port): Asked<'_>,
) -> Vec<Finding> {
    let name = &service.name;
    let usable = port.usable_endpoints();
    let with: BTreeSet<_> = usable.iter().filter_map(|endpoint| endpoint.node.as_deref()).collect();
    let without =
        facts.nodes().filter(|(host, node)| host.datapath.is_none() && !with.contains(node));
    let find = |(host, node): (&HostFacts, &str)| {
        let cause = format!(
            "externalTrafficPolicy of Service {name} is Local, and {} has no ready endpoint \
             of it, so node port {node_port} is dropped there",
            called(host, node)
        );
        let places = if with.is_empty() {
            "nowhere".to_owned()
        } else {
            with.iter().copied().collect::<Vec<_>>().join(", ")
        };
        let finding = Finding::broken(Code::NoLocalEndpoint, Some(&host.name), cause)
            .shown(Source::Objects, format!("Service {name}: externalTrafficPolicy: Local"))
            .shown(Source::Objects, format!("ready endpoints run on: {places}"));
        let mend = Mend {
            object: format!("Service {name}"),
            command: patched(name, CLUSTER),
            words: "Let every node answer, or dial one that has a pod".to_owned(),
            edit: "write externalTrafficPolicy: Cluster below spec".to_owned(),
            mends: true,
        };
        mend.of(finding, written)
    };
    without.map(find).collect()
}
