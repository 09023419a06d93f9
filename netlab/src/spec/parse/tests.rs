//! Whole manifests: what they mean, and what is said of those that are refused.

use std::time::Duration;

use super::*;
use crate::spec::model::{Endpoint, Protocol, TrafficPolicy};

#[test]
fn endpoints_are_derived_from_matching_pods_of_both_families() {
    let spec = resolve(CLUSTER).unwrap();
    let service = &spec.services[0];
    assert_eq!(service.name.to_string(), "default/web");
    let port = &service.ports[0];
    assert_eq!(port.node_port.unwrap().get(), 30080);
    let endpoints: Vec<_> = port.endpoints.iter().map(brief).collect();
    assert_eq!(
        endpoints,
        [
            "10.244.1.2:8080 node-1 default/web-1",
            "10.244.2.2:8080 node-2 default/web-2",
            "fd00:1::2:8080 node-1 default/web-1",
        ]
    );
    assert!(port.endpoints.iter().all(|endpoint| endpoint.ready && endpoint.serving));
}

#[test]
fn a_single_stack_service_has_endpoints_of_its_family_only() {
    let spec = resolve(&CLUSTER.replace("PreferDualStack", "SingleStack")).unwrap();
    assert_eq!(spec.services[0].ports[0].endpoints.len(), 2);
    let v6 = CLUSTER.replace("ipFamilyPolicy: PreferDualStack", "ipFamilies: [IPv6]");
    let spec = resolve(&v6).unwrap();
    assert_eq!(spec.services[0].ports[0].endpoints.len(), 1);
    let clustered = CLUSTER.replace(
        "ipFamilyPolicy: PreferDualStack",
        "clusterIPs: [10.96.0.1]\n  ipFamilies: [IPv4]",
    );
    let spec = resolve(&clustered).unwrap();
    assert_eq!(spec.services[0].ports[0].endpoints.len(), 2);
    assert_eq!(spec.services[0].cluster_addresses[0].to_string(), "10.96.0.1");
}

#[test]
fn readiness_and_termination_set_the_conditions_as_the_controller_does() {
    let conditions = |pod_patch: &str, service_patch: &str| {
        let text = CLUSTER
            .replace("name: web-1\n", &format!("name: web-1\n{pod_patch}"))
            .replace("  type: NodePort\n", &format!("  type: NodePort\n{service_patch}"));
        let spec = resolve(&text).unwrap();
        let endpoint = spec.services[0].ports[0].endpoints[0].clone();
        (endpoint.ready, endpoint.serving, endpoint.terminating)
    };
    let terminating = "  deletionTimestamp: 2024-01-01T00:00:00Z\n";
    let publish = "  publishNotReadyAddresses: true\n";
    assert_eq!(conditions("", ""), (true, true, false));
    assert_eq!(conditions(terminating, ""), (false, true, true));
    assert_eq!(conditions(terminating, publish), (true, true, true));

    let not_ready = CLUSTER.replace(
        "  podIP: 10.244.1.2\n",
        "  podIP: 10.244.1.2\n  conditions: [{type: Ready, status: 'False'}]\n",
    );
    let spec = resolve(&not_ready).unwrap();
    let port = &spec.services[0].ports[0];
    assert_eq!((port.endpoints[0].ready, port.endpoints[0].serving), (false, false));
    let usable: Vec<_> = port.usable_endpoints().into_iter().map(brief).collect();
    assert_eq!(usable, ["10.244.2.2:8080 node-2 default/web-2"]);
}

#[test]
fn serving_and_terminating_endpoints_are_used_only_when_none_is_ready() {
    let spec = resolve(&format!("{CLUSTER}{SLICE}")).unwrap();
    let mut port = spec.services[0].ports[0].clone();
    let addresses = |port: &crate::spec::model::ServicePort| -> Vec<_> {
        port.usable_endpoints().iter().map(|endpoint| endpoint.address.to_string()).collect()
    };
    assert_eq!(addresses(&port), ["10.244.1.2"]);
    port.endpoints.retain(|endpoint| !endpoint.ready);
    assert_eq!(addresses(&port), ["10.9.9.9"]);
    port.endpoints.retain(|endpoint| !endpoint.serving);
    assert_eq!(port.endpoints.len(), 1);
    assert!(addresses(&port).is_empty());
}

#[test]
fn explicit_slices_replace_derived_endpoints() {
    let spec = resolve(&format!("{CLUSTER}{SLICE}")).unwrap();
    let endpoints = &spec.services[0].ports[0].endpoints;
    let all: Vec<_> =
        endpoints.iter().map(|e| (brief(e), e.ready, e.serving, e.terminating)).collect();
    assert_eq!(
        all,
        [
            ("10.9.9.8:9090 - -".to_owned(), false, false, false),
            ("10.9.9.9:9090 node-2 -".to_owned(), false, true, true),
            // Node and pod known by the address alone.
            ("10.244.1.2:9090 node-1 default/web-1".to_owned(), true, true, false),
        ]
    );
    let other_port = SLICE.replace("name: http", "name: other");
    let spec = resolve(&format!("{CLUSTER}{other_port}")).unwrap();
    assert!(spec.services[0].ports[0].endpoints.is_empty());
    let other_protocol = SLICE.replace("port: 9090", "port: 9090\n  protocol: UDP");
    let spec = resolve(&format!("{CLUSTER}{other_protocol}")).unwrap();
    assert!(spec.services[0].ports[0].endpoints.is_empty());
}

#[test]
fn policies_affinity_and_source_ranges_are_read() {
    let text = CLUSTER.replace(
        "  type: NodePort\n",
        "  type: NodePort
  externalTrafficPolicy: Local
  internalTrafficPolicy: Cluster
  sessionAffinity: ClientIP
  loadBalancerSourceRanges: [10.1.2.3/8, 'fd00::/8']\n",
    );
    let spec = resolve(&text).unwrap();
    let service = &spec.services[0];
    assert_eq!(service.external_policy, TrafficPolicy::Local);
    assert_eq!(service.internal_policy, TrafficPolicy::Cluster);
    assert_eq!(service.affinity, Some(Duration::from_secs(10_800)));
    assert_eq!(service.source_ranges[0].to_string(), "10.0.0.0/8");
    assert_eq!(service.ports[0].protocol, Protocol::Tcp);
}

#[test]
fn lists_and_json_read_as_their_items() {
    let list =
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: a}}\n";
    assert_eq!(read_str("f", list).unwrap().nodes.len(), 1);
    let typed = r#"{"apiVersion": "v1", "kind": "NodeList", "metadata": {"resourceVersion": "1"},
        "items": [{"metadata": {"name": "a", "creationTimestamp": null}, "status": {}}]}"#;
    let objects = read_str("f", typed).unwrap();
    assert_eq!(objects.nodes[0].place.to_string(), "f: document 1: Node a");
    let empty = "---\n# nothing\n---\n";
    assert!(read_str("f", empty).unwrap().is_empty());
}

#[test]
fn written_manifests_read_back_the_same() {
    let objects = read_str("cluster.yaml", &format!("{CLUSTER}{SLICE}")).unwrap();
    let written = objects.to_yaml_by_kind();
    let files: Vec<_> = written.iter().map(|(file, _)| *file).collect();
    assert_eq!(files, ["nodes.yaml", "pods.yaml", "services.yaml", "endpointslices.yaml"]);
    let directory = tempfile::tempdir().unwrap();
    for (file, text) in &written {
        std::fs::write(directory.path().join(file), text).unwrap();
    }
    std::fs::write(directory.path().join(".hidden.yaml"), "{").unwrap();
    let read = read_files(&[directory.path().to_owned()]).unwrap();
    assert_eq!(read.to_yaml_by_kind(), written);
    assert_eq!(read.resolve().unwrap(), objects.resolve().unwrap());
    let digest = read.resolve().unwrap().digest();
    assert_eq!(digest, objects.resolve().unwrap().digest());
    assert_ne!(digest, resolve(CLUSTER).unwrap().digest());
}

#[test]
fn pods_that_have_ended_hold_no_address() {
    let text =
        CLUSTER.replace("  podIP: 10.244.2.2\n", "  podIP: 10.244.1.2\n  phase: Succeeded\n");
    assert_eq!(resolve(&text).unwrap().pods.len(), 1);
}

#[test]
fn ten_thousand_documents_are_within_the_limits() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for index in 0..10_000 {
        let node = "apiVersion: v1\nkind: Node\nmetadata:\n  labels: {a: b, c: d, e: f}\n";
        writeln!(text, "---\n{node}  name: n{index}").unwrap();
    }
    assert_eq!(read_str("many.yaml", &text).unwrap().nodes.len(), 10_000);
}

/// Each change to the manifest below, and the words it draws.
#[test]
fn refusals_name_file_document_object_field_and_reason() {
    const NODE_2: &str = "c.yaml: document 2: Node node-2: ";
    const POD_2: &str = "c.yaml: document 4: Pod default/web-2: ";
    const WEB: &str = "c.yaml: document 5: Service default/web: ";
    const WEB_1: &str = "c.yaml: document 3: Pod default/web-1";
    #[rustfmt::skip]
    let cases: &[(&str, &str, &str, String)] = &[
        ("nodeName: node-2", "nodeName: node-9", POD_2, "spec.nodeName: no Node is called \"node-9\" (there are node-1, node-2)".into()),
        ("name: node-2\n", "name: node_2\n", "c.yaml: document 2: Node node_2: ", "metadata.name: \"node_2\" is no valid name: up to 253 lower-case letters, digits, '-' and '.', a letter or digit at both ends of each part".into()),
        ("name: node-2\n", "name: node-1\n", "c.yaml: document 2: Node node-1: ", "metadata.name: node-1 is taken by c.yaml: document 1: Node node-1".into()),
        ("address: 172.18.0.3", "address: 172.18.0.2", NODE_2, "status.addresses: 172.18.0.2 is taken by c.yaml: document 1: Node node-1".into()),
        ("address: 172.18.0.3", "address: 172.18.0", NODE_2, "status.addresses[0].address: \"172.18.0\" is no IPv4 or IPv6 address".into()),
        ("type: InternalIP, address: 172.18.0.3", "type: Hostname, address: node-2", NODE_2, "status.addresses: is missing; `netlab lab up` assigns one, an agent needs it given".into()),
        ("podCIDR: 10.244.2.0/24", "podCIDR: 10.244.0.0/16", NODE_2, "spec.podCIDRs: 10.244.0.0/16 overlaps 10.244.1.0/24 of c.yaml: document 1: Node node-1".into()),
        ("podCIDR: 10.244.2.0/24", "podCIDR: 10.244.2.0", NODE_2, "spec.podCIDR: \"10.244.2.0\" is no network such as 10.244.1.0/24 or fd00:10:244:1::/64".into()),
        ("podCIDR: 10.244.2.0/24", "podCIDRs: [10.244.2.0/24, 10.244.3.0/24]", NODE_2, "spec.podCIDRs[1]: 10.244.3.0/24 is the second of its family; one IPv4 and one IPv6 are the limit".into()),
        ("podIP: 10.244.2.2", "podIP: 10.244.3.2", POD_2, "status.podIP: 10.244.3.2 is outside the pod network of node-2 (10.244.2.0/24)".into()),
        ("podIP: 10.244.2.2", "podIP: 10.244.2.2\n  podIPs: [{ip: 10.244.2.3}]", POD_2, "status.podIP: 10.244.2.2 disagrees with status.podIPs, whose first entry it must repeat".into()),
        ("  podIP: 10.244.2.2", "  phase: Pending", POD_2, "status.podIPs: is missing; `netlab lab up` assigns one, an agent needs it given".into()),
        ("name: web-2\n", "name: web-1\n", "c.yaml: document 4: Pod default/web-1: ", format!("metadata.name: default/web-1 is taken by {WEB_1}")),
        ("nodeName: node-2", "nodeName: node-2\n  hostNetwork: true", POD_2, "spec.hostNetwork: host-network pods are not supported: a pod has a network namespace and an address of its own here".into()),
        ("nodePort: 30080", "nodeport: 30080", WEB, "spec.ports[0].nodeport: no such field; did you mean \"nodePort\"?".into()),
        ("nodePort: 30080", "nodePort: 70000", WEB, "spec.ports[0].nodePort: 70000 is outside 1..=65535".into()),
        ("nodePort: 30080", "nodePort: many", WEB, "spec.ports[0].nodePort: invalid type: string \"many\", expected i32".into()),
        ("    nodePort: 30080\n", "", WEB, "spec.ports[0].nodePort: is missing; `netlab lab up` assigns one, an agent needs it given".into()),
        ("nodePort: 30080", "nodePort: 30080\n  - {name: b, port: 81, nodePort: 30080}", WEB, "spec.ports[1].nodePort: node port 30080/TCP is taken by c.yaml: document 5: Service default/web".into()),
        ("nodePort: 30080", "nodePort: 30080\n  - {name: http, port: 81, nodePort: 30081}", WEB, "spec.ports[1].name: \"http\" stands there twice".into()),
        ("nodePort: 30080", "nodePort: 30080\n  - {name: b, port: 80, nodePort: 30081}", WEB, "spec.ports[1].port: 80/TCP stands there twice".into()),
        ("nodePort: 30080", "nodePort: 30080\n  - {port: 81, nodePort: 30081}", WEB, "spec.ports[1].name: is missing".into()),
        ("type: NodePort", "type: ClusterIP", WEB, "spec.ports[0].nodePort: only Services of type NodePort and LoadBalancer have one; this is of type ClusterIP".into()),
        ("type: NodePort", "type: ExternalName", WEB, "spec.type: ExternalName is not supported: such a Service is a DNS alias, no packet passes through it".into()),
        ("type: NodePort", "type: NodePrt", WEB, "spec.type: \"NodePrt\" is not accepted here (there are ClusterIP, NodePort, LoadBalancer)".into()),
        ("nodePort: 30080", "nodePort: 30080\n    protocol: SCTP", WEB, "spec.ports[0].protocol: SCTP is not supported: netlab translates TCP and UDP".into()),
        ("targetPort: http", "targetPort: https", WEB, "spec.ports[0].targetPort: no pod that the selector matches has a TCP containerPort called \"https\" (they have http/TCP)".into()),
        ("type: NodePort", "type: NodePort\n  sessionAffinity: ClientIP\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}", WEB, "spec.sessionAffinityConfig.clientIP.timeoutSeconds: 0 is outside 1..=86400".into()),
        ("type: NodePort", "type: NodePort\n  clusterIP: 10.244.1.2", WEB, format!("spec.clusterIPs: 10.244.1.2 is taken by {WEB_1}")),
        ("kind: Service", "kind: Deployment", "c.yaml: document 5: Deployment default/web: ", "kind: \"Deployment\" is not accepted here (there are Node, Pod, Service, EndpointSlice, List)".into()),
        ("kind: Service\n", "", "c.yaml: document 5: object without a kind default/web: ", "kind: is no Kubernetes object, which starts with `apiVersion` and `kind`".into()),
        ("addressType: IPv4", "addressType: IPv6", "c.yaml: document 6: EndpointSlice default/web-abc: ", "endpoints[0].addresses[0]: 10.244.1.2 is no IPv6 address, as addressType promises".into()),
        ("service-name: web", "service-name: wbe", "c.yaml: document 6: EndpointSlice default/web-abc: ", "metadata.labels[kubernetes.io/service-name]: there is no Service default/wbe".into()),
        ("apiVersion: discovery.k8s.io/v1", "apiVersion: v1", "c.yaml: document 6: EndpointSlice default/web-abc: ", "apiVersion: \"v1\" is not accepted here (there are discovery.k8s.io/v1)".into()),
    ];
    for (old, new, place, words) in cases {
        // A slice would replace the derived endpoints, and their checks.
        let slice = if CLUSTER.contains(old) { "" } else { SLICE };
        let text = format!("{CLUSTER}{slice}");
        assert_eq!(text.matches(old).count(), 1, "{old}");
        let error = resolve(&text.replace(old, new)).expect_err(words);
        assert_eq!(error.to_string(), format!("{place}{words}"));
    }
}

#[test]
fn broken_yaml_is_refused_with_its_line() {
    let error = read_str("c.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: [\n").unwrap_err();
    assert!(
        matches!(&error, SpecError::Syntax { file, line: 3..=4, .. } if file == "c.yaml"),
        "{error}"
    );
    let error = read_files(&["/does/not/exist.yaml".into()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/does/not/exist.yaml: cannot be read: No such file or directory (os error 2)"
    );
}

fn resolve(text: &str) -> Result<Spec, SpecError> {
    read_str("c.yaml", text)?.resolve()
}

fn brief(endpoint: &Endpoint) -> String {
    let pod = endpoint.pod.as_ref().map_or("-".to_owned(), ToString::to_string);
    let node = endpoint.node.as_deref().unwrap_or("-");
    format!("{}:{} {node} {pod}", endpoint.address, endpoint.port)
}

const CLUSTER: &str = "\
apiVersion: v1
kind: Node
metadata:
  name: node-1
spec:
  podCIDRs: [10.244.1.0/24, 'fd00:1::/64']
status:
  addresses:
  - {type: InternalIP, address: 172.18.0.2}
---
apiVersion: v1
kind: Node
metadata:
  name: node-2
spec:
  podCIDR: 10.244.2.0/24
status:
  addresses:
  - {type: InternalIP, address: 172.18.0.3}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  labels: {app: web, tier: front}
spec:
  nodeName: node-1
  containers:
  - {name: echo, ports: [{name: http, containerPort: 8080}]}
status:
  podIP: 10.244.1.2
  podIPs: [{ip: 10.244.1.2}, {ip: 'fd00:1::2'}]
---
apiVersion: v1
kind: Pod
metadata:
  name: web-2
  labels: {app: web}
spec:
  nodeName: node-2
  containers:
  - {name: echo, ports: [{name: http, containerPort: 8080}]}
status:
  podIP: 10.244.2.2
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  type: NodePort
  ipFamilyPolicy: PreferDualStack
  selector: {app: web}
  ports:
  - name: http
    port: 80
    targetPort: http
    nodePort: 30080
";

const SLICE: &str = "\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-abc
  labels:
    kubernetes.io/service-name: web
addressType: IPv4
ports:
- name: http
  port: 9090
endpoints:
- addresses: [10.244.1.2]
- addresses: [10.9.9.9]
  nodeName: node-2
  conditions: {ready: false, serving: true, terminating: true}
- addresses: [10.9.9.8]
  conditions: {ready: false}
# The same endpoint once more, as while it moves between slices.
- addresses: [10.244.1.2]
  conditions: {ready: false}
";
