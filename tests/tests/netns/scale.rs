//! More Services than a person writes.

use std::fmt::Write as _;

use netlab::spec::model::Protocol;
use netlab_tests::{
    lab::{Lab, NODES},
    privilege::require_lab,
};

/// More than go into the kernel in one piece, and more than there are node ports.
const SERVICES: u16 = 3_000;
/// Node port of the first Service; Kubernetes has none behind the last.
const FIRST: u16 = 30_000;
const LAST: u16 = 32_767;

/// Two nodes, a pod, and Services that all lead to it.
fn manifest() -> String {
    let mut text = String::from(
        "{apiVersion: v1, kind: Node, metadata: {name: node-1}}\n---\n\
         {apiVersion: v1, kind: Node, metadata: {name: node-2}}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: far, labels: {app: far}}, \
         spec: {nodeName: node-2, containers: [{name: echo}]}}\n",
    );
    for number in 0..SERVICES {
        let port = FIRST + number;
        let (kind, node_port) = match port {
            ..=LAST => ("NodePort", format!(", nodePort: {port}")),
            _ => ("ClusterIP", String::new()),
        };
        let _ = write!(
            text,
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: s-{number}}}, \
             spec: {{type: {kind}, selector: {{app: far}}, \
             ports: [{{port: 80, targetPort: 8080{node_port}}}]}}}}\n"
        );
    }
    text
}

#[test]
fn three_thousand_services_are_ready_when_lab_up_says_so() {
    if !require_lab() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("services.yaml");
    std::fs::write(&file, manifest()).unwrap();
    let lab = Lab::up_with(&["--proxy", "nftables", "-f", file.to_str().unwrap()]);
    let node_ports = usize::from(LAST - FIRST + 1);
    for (node, address) in NODES {
        let status = lab.dir().agent_status(node).unwrap().unwrap();
        assert_eq!(status.frontends, usize::from(SERVICES) + node_ports, "{node}");
        assert_eq!(status.backends, usize::from(SERVICES), "{node}");
        assert_eq!(status.activity, "", "{node}");
        for port in [FIRST, (FIRST + LAST) / 2, LAST] {
            let answer = lab.dial(Protocol::Tcp, (address, port), 64);
            assert_eq!(answer.unwrap_or_else(|e| panic!("{node} {port}: {e}")).pod, "far");
        }
    }
    let addresses = lab.exec("node-1", &["nft", "list", "set", "ip", "kube-proxy", "cluster-ips"]);
    let addresses = addresses.expect(0).stdout;
    // From the first that is given out, one after the other.
    for address in ["10.96.0.10,", "10.96.4.0,", "10.96.11.193"] {
        assert!(addresses.contains(address), "{address}");
    }
}
