//! Pods: their routes, links, neighbors and sockets.

use super::*;
use crate::{
    doctor::facts::route::{Neighbor, NeighborState},
    netlink::Mac,
};

fn each(mut test: impl FnMut(Facts)) {
    for facts in fixture::all() {
        test(facts);
    }
}

#[test]
fn a_pod_without_a_listener_is_found() {
    each(|mut facts| {
        host(&mut facts, "web-1").listeners.clear();
        assert_eq!(only(&facts), on("web-1")(Code::NothingListens));
    });
}

#[test]
fn where_no_pod_of_a_service_listens_the_port_that_was_dialled_is_named() {
    each(|mut facts| {
        for pod in ["web-1", "web-2", "web-3", "web-4"] {
            host(&mut facts, pod).listeners.clear();
        }
        // Another port of the same pods comes first; nothing answers that one's node port.
        let mut spec = facts.spec().unwrap();
        let web = spec.services.iter_mut().find(|of| of.name.name == "web").unwrap();
        let mut metrics = web.ports[0].clone();
        metrics.node_port = Some(30_090.try_into().unwrap());
        for endpoint in &mut metrics.endpoints {
            endpoint.port = 9_090.try_into().unwrap();
        }
        web.ports.insert(0, metrics);
        let found = judge(&facts, &spec, &Subject::everything()).findings;
        let cause = |of: &Found| {
            let is_it = of.finding.code == Code::NothingListens;
            is_it.then(|| of.finding.cause.clone())
        };
        let causes: Vec<_> = found.iter().filter_map(cause).collect();
        assert_eq!(causes.len(), 1, "{causes:?}");
        let begin = "Service default/web sends to port 8080, where none of its pods listens";
        assert!(causes[0].starts_with(begin), "{causes:?}");
    });
}

#[test]
fn a_wrong_target_port_is_found_with_the_port_that_is_listened_on() {
    each(|mut facts| {
        host(&mut facts, "web-1").listeners[0].address.set_port(9090);
        assert_eq!(only(&facts), on("web-1")(Code::NothingListens));
        let words = &first(&facts, Code::NothingListens).fixes[0].words;
        assert!(words.contains("targetPort to 9090"), "{words}");
    });
}

#[test]
fn a_program_that_listens_on_loopback_alone_is_found() {
    each(|mut facts| {
        host(&mut facts, "web-1").listeners[0].address = "127.0.0.1:8080".parse().unwrap();
        let found = codes(&facts);
        assert_eq!(found, [on("web-1")(Code::ListensOnLoopback)].into());
    });
}

#[test]
fn a_pod_without_a_route_or_with_a_wrong_gateway_is_found() {
    each(|mut facts| {
        let default: ipnet::IpNet = "0.0.0.0/0".parse().unwrap();
        let right = "ip route replace default via 10.244.1.1 dev eth0";
        let pod = host(&mut facts, "web-1");
        let route = pod.routes.iter_mut().find(|route| route.destination == default).unwrap();
        route.hops[0].gateway = Some("10.244.1.254".parse().unwrap());
        // A client that is masqueraded by the pod's own node is on the pod's link.
        let expected = on("web-1")(Code::PodRouteWrong);
        assert_eq!(only(&facts), expected);
        assert_eq!(mend(&first(&facts, Code::PodRouteWrong)), right);
        host(&mut facts, "web-1").routes.retain(|route| route.destination != default);
        assert_eq!(only(&facts), expected);
        assert_eq!(mend(&first(&facts, Code::PodRouteWrong)), right);
    });
}

#[test]
fn a_pods_link_that_is_down_is_found() {
    each(|mut facts| {
        let link = fixture::link(&mut facts, "node-1", "vethweb-1");
        (link.up, link.carrier) = (false, false);
        assert_eq!(only(&facts), on("node-1")(Code::LinkDown));
        assert_eq!(mend(&first(&facts, Code::LinkDown)), "ip link set dev vethweb-1 up");
    });
}

#[test]
fn a_pods_link_that_is_no_port_of_the_bridge_is_found() {
    each(|mut facts| {
        let link = fixture::link(&mut facts, "node-1", "vethweb-1");
        (link.master, link.port) = (None, None);
        let found = codes(&facts);
        assert!(found.contains(&on("node-1")(Code::LinkDown)), "{found:?}");
        let right = "ip link set dev vethweb-1 master cni0";
        assert_eq!(mend(&first(&facts, Code::LinkDown)), right);
        // Where others are in hairpin mode, this one is to be again.
        let hairpin = facts
            .host("node-1")
            .unwrap()
            .links
            .iter()
            .any(|link| link.port.as_ref().is_some_and(|port| port.hairpin));
        let fixes = first(&facts, Code::LinkDown).fixes;
        assert_eq!(fixes.len(), 1, "{fixes:?}");
        let mut commands = fixes[0].commands();
        let again = commands.any(|command| command.ends_with(&["hairpin".into(), "on".into()]));
        assert_eq!(again, hairpin);
        assert_eq!(found.len(), 1, "{found:?}");
    });
}

#[test]
fn a_bridge_that_is_down_is_found_though_its_routes_are_gone() {
    each(|mut facts| {
        fixture::link(&mut facts, "node-1", "cni0").up = false;
        let node = host(&mut facts, "node-1");
        let bridge = node.link("cni0").unwrap().index;
        node.routes.retain(|route| {
            route.table == 255 || route.hops.iter().all(|hop| hop.device != bridge)
        });
        assert_eq!(only(&facts), on("node-1")(Code::LinkDown));
        assert_eq!(mend(&first(&facts, Code::LinkDown)), "ip link set dev cni0 up");
        let of_link = first(&facts, Code::LinkDown).fixes;
        assert_eq!(of_link[0].commands().count(), 1, "it has its addresses");
        // The kernel takes IPv6 addresses away with the link's state.
        let node = host(&mut facts, "node-1");
        let bridge = node.link("cni0").unwrap().index;
        node.addresses.retain(|own| own.device != bridge || own.net.addr().is_ipv4());
        let fixes = first(&facts, Code::LinkDown).fixes;
        let lines: Vec<_> = fixes[0].commands().map(|command| command.join(" ")).collect();
        let address = "ip addr add fd00:10:244:1::1/64 dev cni0 nodad";
        assert_eq!(lines, ["ip link set dev cni0 up", address]);
    });
}

#[test]
fn a_neighbor_entry_for_a_pod_with_nobodys_address_is_found_and_a_right_one_is_not() {
    each(|mut facts| {
        let right = host(&mut facts, "web-1").link("eth0").unwrap().mac;
        let node = host(&mut facts, "node-1");
        node.neighbors.push(Neighbor {
            device: node.link("cni0").unwrap().index,
            address: "10.244.1.2".parse().unwrap(),
            mac: right,
            state: NeighborState::Permanent,
            proxy: false,
        });
        assert_eq!(codes(&facts), BTreeSet::new());
        let entry = host(&mut facts, "node-1").neighbors.last_mut().unwrap();
        entry.mac = Some(Mac([0x0a, 0x58, 0, 0xde, 0xad, 1]));
        assert_eq!(only(&facts), on("node-1")(Code::NeighborStale));
        let found = first(&facts, Code::NeighborStale);
        assert_eq!(mend(&found), "ip neigh del 10.244.1.2 dev cni0");
        assert_eq!(found.confidence, Confidence::Certain);
    });
}

#[test]
fn pods_that_cannot_reach_themselves_are_found_with_kube_proxy_only() {
    for facts in fixture::all() {
        let spec = facts.spec().unwrap();
        assert_eq!(hairpin::findings(&facts, &spec), [], "healthy");
        let has_rules = facts.lab.as_ref().unwrap().proxy != Proxy::Ebpf;
        let mut off = facts.clone();
        fixture::link(&mut off, "node-1", "vethweb-1").port.as_mut().unwrap().hairpin = false;
        let found = hairpin::findings(&off, &spec);
        assert_eq!(
            found.iter().map(|of| of.code).collect::<Vec<_>>(),
            [Code::Hairpin][..usize::from(has_rules)]
        );
        let mut off = facts.clone();
        host(&mut off, "node-1")
            .sysctls
            .insert("bridge/bridge-nf-call-iptables".into(), "0".into());
        let found = hairpin::findings(&off, &spec);
        assert_eq!(found.len(), usize::from(has_rules), "{found:?}");
    }
}
