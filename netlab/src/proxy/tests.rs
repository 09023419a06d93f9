//! What the tests of both modes share, and what is said to people.

use std::{env, fs, path::Path};

pub(super) use super::tool::sample::sample;
use super::{
    not_honoured,
    view::{Family, View},
};
use crate::spec::model::{Port, TrafficPolicy};

/// Compares with a file of `golden/`; `NETLAB_BLESS=1` writes it instead.
pub(super) fn golden(mode: &str, file: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proxy").join(mode).join("golden");
    let path = folder.join(file);
    if env::var_os("NETLAB_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (number, (known, new)) in expected.lines().zip(text.lines()).enumerate() {
        assert_eq!(new, known, "{file}, line {}", number + 1);
    }
    assert_eq!(text.lines().count(), expected.lines().count(), "{file}");
}

#[test]
fn a_local_policy_keeps_to_the_node_but_pods_may_go_anywhere() {
    let (spec, node) = sample();
    let view = View::new(&spec, &node, Family::V4);
    let port = |name: &str| view.ports.iter().find(|port| port.name.service.name == name).unwrap();
    let local = port("local");
    assert_eq!((local.cluster.len(), local.local.len()), (2, 1));
    let elsewhere = port("elsewhere");
    assert!(elsewhere.has_endpoints && !elsewhere.has_internal() && !elsewhere.has_external());
    let nobody = port("nobody");
    assert!(!nobody.has_endpoints && !nobody.has_external());
    let inner = port("inner");
    assert!(inner.local.is_empty() && inner.has_external());
}

#[test]
fn endpoints_that_terminate_serve_where_no_other_does() {
    let (mut spec, node) = sample();
    for endpoint in &mut spec.services[0].ports[0].endpoints {
        (endpoint.ready, endpoint.terminating) = (false, true);
    }
    let view = View::new(&spec, &node, Family::V4);
    let cluster: Vec<_> = view.ports[0].cluster.iter().map(ToString::to_string).collect();
    assert_eq!(cluster, ["10.244.1.2:8080", "10.244.2.2:8080"]);
    assert_eq!(view.ports[0].serving, view.ports[0].cluster);
}

#[test]
fn what_kube_proxy_does_not_give_is_said() {
    let (mut spec, _) = sample();
    spec.services.truncate(1);
    assert_eq!(not_honoured(&spec), [""; 0]);
    let service = &mut spec.services[0];
    service.cluster_addresses.clear();
    service.source_ranges.push("10.0.0.0/8".parse().unwrap());
    service.external_policy = TrafficPolicy::Local;
    let said = not_honoured(&spec);
    assert_eq!(said.len(), 3, "{said:?}");
    for (sentence, words) in said.iter().zip(["headless", "SourceRanges", "healthCheckNodePort"]) {
        assert!(sentence.starts_with("Service default/plain: ") && sentence.contains(words));
    }
    spec.services[0].ports[0].node_port = None::<Port>;
    assert_eq!(not_honoured(&spec).len(), 1);
}
