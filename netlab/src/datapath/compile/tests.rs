use super::*;
use crate::spec::model::{Node, Port, Protocol, Service, ServicePort, TrafficPolicy};

struct OnNode(&'static str);

impl NodeView for OnNode {
    fn name(&self) -> &str {
        self.0
    }

    fn masquerade(&self, endpoint: &Endpoint) -> Option<IpAddr> {
        endpoint.address.is_ipv4().then_some(IpAddr::from([172, 18, 0, 2]))
    }
}

/// One Service with `count` endpoints, half of them on each of two nodes.
fn spec(count: u8) -> Spec {
    let mut spec = Spec::default();
    for (name, last) in [("node-1", 2), ("node-2", 3)] {
        spec.nodes.push(Node {
            name: name.into(),
            addresses: vec![IpAddr::from([172, 18, 0, last])],
            pod_cidrs: Vec::new(),
        });
    }
    let endpoints = (0..count).map(|n| Endpoint {
        address: IpAddr::from([10, 244, 1 + n % 2, n]),
        port: Port::new(8080).unwrap(),
        node: Some(format!("node-{}", 1 + n % 2)),
        pod: None,
        ready: true,
        serving: true,
        terminating: false,
    });
    spec.services.push(service("web", 30080, endpoints.collect()));
    spec
}

fn service(name: &str, node_port: u16, endpoints: Vec<Endpoint>) -> Service {
    let port = ServicePort {
        name: String::new(),
        protocol: Protocol::Tcp,
        port: Port::new(80).unwrap(),
        node_port: Port::new(node_port),
        endpoints,
    };
    Service {
        name: crate::spec::model::ObjectName { namespace: "default".into(), name: name.into() },
        selector: BTreeMap::new(),
        ports: vec![port],
        cluster_addresses: Vec::new(),
        external_policy: Default::default(),
        internal_policy: Default::default(),
        affinity: None,
        source_ranges: Vec::new(),
        publish_not_ready: false,
    }
}

fn steps(desired: &Tables, present: &Tables) -> usize {
    crate::datapath::tables::TablesPlan::new(desired, present).len()
}

#[test]
fn only_remote_backends_are_masqueraded() {
    let tables = compile(&spec(4), &OnNode("node-1"), &Tables::default());
    assert_eq!(tables.backends.len(), 4);
    for backend in tables.backends.values() {
        let local = backend.addr.last4()[2] == 1;
        assert_eq!(backend.flags & Backend::LOCAL != 0, local);
        assert_eq!(backend.masquerade.is_unspecified(), local);
    }
}

#[test]
fn compiling_again_changes_nothing() {
    let first = compile(&spec(10), &OnNode("node-1"), &Tables::default());
    let again = compile(&spec(10), &OnNode("node-1"), &first);
    assert_eq!(first, again);
}

#[test]
fn an_endpoints_change_does_not_depend_on_the_number_of_services() {
    let mut large = spec(10);
    for n in 0..500 {
        large.services.push(service(&format!("other-{n}"), 20000 + n, Vec::new()));
    }
    let before = compile(&large, &OnNode("node-1"), &Tables::default());
    large.services[0].ports[0].endpoints.remove(3);
    let after = compile(&large, &OnNode("node-1"), &before);
    // The hole is filled from the end: one slot changes, one goes, one count changes.
    assert_eq!(steps(&after, &before), 3);
}

#[test]
fn a_removed_endpoint_is_named_even_if_its_slot_is_filled() {
    let before = compile(&spec(4), &OnNode("node-1"), &Tables::default());
    let mut fewer = spec(4);
    let gone = fewer.services[0].ports[0].endpoints.remove(1);
    let after = compile(&fewer, &OnNode("node-1"), &before);
    let plan = crate::datapath::tables::TablesPlan::new(&after, &before);
    let removed: Vec<Addr> =
        plan.removed_backends(&after).iter().map(|(_, backend)| backend.addr).collect();
    assert_eq!(removed, [Addr::from(gone.address)]);
}

#[test]
fn families_do_not_mix() {
    let mut both = spec(2);
    both.services[0].ports[0].endpoints[1].address = "fd00::1".parse().unwrap();
    let tables = compile(&both, &OnNode("node-1"), &Tables::default());
    assert_eq!(tables.frontends.len(), 2);
    for (key, frontend) in &tables.frontends {
        let slots = tables.backends.range(
            BackendKey { service: frontend.service, slot: 0 }..=BackendKey {
                service: frontend.service,
                slot: 9,
            },
        );
        let families: Vec<bool> = slots.map(|(_, backend)| backend.addr.is_v4()).collect();
        assert_eq!(families, [key.addr.is_v4()]);
    }
}

#[test]
fn what_is_not_honoured_is_said() {
    let mut local = spec(1);
    assert_eq!(not_honoured(&local), [""; 0]);
    local.services[0].external_policy = TrafficPolicy::Local;
    let said = not_honoured(&local);
    assert_eq!(said, ["Service default/web: externalTrafficPolicy Local is not honoured yet"]);
}

#[test]
fn a_service_without_endpoints_keeps_its_frontend() {
    let tables = compile(&spec(0), &OnNode("node-1"), &Tables::default());
    assert_eq!(tables.frontends.values().map(|f| f.backends).collect::<Vec<_>>(), [0]);
}
