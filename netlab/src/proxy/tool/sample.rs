//! A cluster that asks for everything that kube-proxy's rules can do.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use crate::spec::{
    Spec,
    model::{Endpoint, Node, ObjectName, Port, Protocol, Service, ServicePort, TrafficPolicy},
};

/// The cluster, and the node to see it from.
pub(in crate::proxy) fn sample() -> (Spec, Node) {
    let node = Node {
        name: "node-1".into(),
        addresses: vec![v4(172, 18, 0, 2), v6(0x172, 2)],
        pod_cidrs: ["10.244.1.0/24", "fd00:10:244:1::/64"]
            .into_iter()
            .filter_map(|net| net.parse().ok())
            .collect(),
    };
    let plain = service("plain", 30080, Protocol::Tcp);
    let mut sticky = service("sticky", 30053, Protocol::Udp);
    sticky.affinity = Some(Duration::from_secs(10_800));
    let mut local = service("local", 30081, Protocol::Tcp);
    (local.external_policy, local.internal_policy) = (TrafficPolicy::Local, TrafficPolicy::Local);
    let mut elsewhere = service("elsewhere", 30082, Protocol::Tcp);
    elsewhere.external_policy = TrafficPolicy::Local;
    elsewhere.internal_policy = TrafficPolicy::Local;
    elsewhere.ports[0].endpoints.retain(|endpoint| endpoint.node.as_deref() != Some("node-1"));
    let mut nobody = service("nobody", 30083, Protocol::Tcp);
    nobody.ports[0].endpoints.clear();
    let mut inner = service("inner", 1, Protocol::Tcp);
    (inner.ports[0].node_port, inner.ports[0].name) = (None, String::new());
    let mut services = vec![plain, sticky, local, elsewhere, nobody, inner];
    for (index, service) in (10_u8..).zip(&mut services) {
        service.cluster_addresses = vec![v4(10, 96, 0, index), v6(0x96, index)];
    }
    (Spec { nodes: vec![node.clone()], pods: Vec::new(), services }, node)
}

fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    [a, b, c, d].into()
}

fn v6(net: u16, host: u8) -> IpAddr {
    [0xfd00, net, 0, 0, 0, 0, 0, host.into()].into()
}

/// With an endpoint of each family on each of two nodes, and one that is not ready.
fn service(name: &str, node_port: u16, protocol: Protocol) -> Service {
    let endpoint = |node: u8, address, ready| Endpoint {
        address,
        port: Port::MIN.saturating_add(8079),
        node: Some(format!("node-{node}")),
        pod: None,
        ready,
        serving: ready,
        terminating: false,
    };
    let endpoints = [(1, 2, true), (2, 2, true), (2, 3, false)];
    let endpoints = endpoints.into_iter().flat_map(|(node, host, ready)| {
        let v6 = [0xfd00, 0x10, 0x244, node.into(), 0, 0, 0, u16::from(host)];
        [endpoint(node, [10, 244, node, host].into(), ready), endpoint(node, v6.into(), ready)]
    });
    Service {
        name: ObjectName { namespace: "default".into(), name: name.into() },
        selector: BTreeMap::new(),
        ports: vec![ServicePort {
            name: "main".into(),
            protocol,
            port: Port::MIN.saturating_add(79),
            node_port: Port::new(node_port),
            endpoints: endpoints.collect(),
        }],
        cluster_addresses: Vec::new(),
        external_policy: TrafficPolicy::Cluster,
        internal_policy: TrafficPolicy::Cluster,
        affinity: None,
        source_ranges: Vec::new(),
        publish_not_ready: false,
    }
}
