//! What the doctor observes of a lab.

use std::{path::PathBuf, time::Duration};

use netlab::{
    doctor::facts::{
        Facts, HostFacts, Programs, Role, Scope, Source, Subject, gather, gather_with,
        program::{Attach, Owner},
        route::{NeighborState, RouteKind},
    },
    lab::{Hook, Mode},
    netlink::Mac,
    proxy::Kind,
};
use netlab_tests::{
    lab::{By, Lab, NODES, WEB},
    privilege::require_lab,
};

/// On a machine that builds other things at the same time; alone it takes 0.2 s.
const LIMIT: Duration = Duration::from_secs(3);

#[test]
fn everything_that_a_packet_meets_is_seen_without_a_gap() {
    if !require_lab() {
        return;
    }
    for by in [Hook::Xdp.into(), By::KubeProxy(Kind::Nftables), By::KubeProxy(Kind::Iptables)] {
        let lab = Lab::up(Mode::Vxlan, by);
        let facts = gather(&scope(&lab), &Subject::everything()).unwrap();
        assert_eq!(facts.gaps, [], "{by:?}");
        assert!(u128::from(facts.took_ms) < LIMIT.as_millis(), "{} ms", facts.took_ms);
        network_is_seen(&facts);
        let node = facts.node("node-1").unwrap();
        match by {
            By::Ebpf(_) => programs_are_seen(node),
            By::KubeProxy(Kind::Nftables) => nft_is_seen(node),
            By::KubeProxy(Kind::Iptables) => iptables_are_seen(node),
        }
        let agent = node.agent.as_ref().unwrap();
        assert!(agent.alive && !agent.stopped && agent.current == Some(true), "{agent:?}");
        let read = Facts::read(&facts.write()).unwrap();
        assert_eq!(read, facts, "{by:?}");
        assert_eq!(read.spec().unwrap().services.len(), 2);
    }
}

fn network_is_seen(facts: &Facts) {
    let node = facts.node("node-1").unwrap();
    let vtep = node.link("flannel.1").unwrap();
    let vxlan = vtep.vxlan().unwrap();
    assert_eq!((vxlan.vni, vxlan.port, vxlan.learning), (1, 8472, false));
    assert_eq!(vxlan.local, Some(NODES[0].1.into()));
    let to_peer = node.main_routes().find(|r| r.destination == "10.244.2.0/24".parse().unwrap());
    let to_peer = to_peer.unwrap();
    assert_eq!(to_peer.kind, RouteKind::Unicast);
    assert_eq!((to_peer.hops[0].device, to_peer.hops[0].onlink), (vtep.index, true));
    let mac: Mac = "0e:f4:0a:f4:02:00".parse().unwrap();
    let neighbor = node.neighbors.iter().find(|n| n.device == vtep.index && n.mac == Some(mac));
    assert_eq!(neighbor.unwrap().state, NeighborState::Permanent);
    let entry = node.fdb.iter().find(|entry| entry.device == vtep.index && entry.mac == mac);
    assert_eq!(entry.unwrap().destination, Some(NODES[1].1.into()));
    assert_eq!(node.sysctl_number("ipv4/ip_forward"), Some(1));
    assert!(node.udp.iter().any(|socket| socket.address.port() == 8472), "{:?}", node.udp);
    assert!(node.rules.iter().any(|rule| rule.v4 && rule.priority == 32766));
    let port = node.link("vethweb-1").unwrap();
    assert!(port.port.as_ref().is_some_and(|p| p.hairpin && p.state == "forwarding"), "{port:?}");
    let peer = port.peer.as_ref().unwrap();
    assert_eq!(peer.host.as_deref().zip(peer.link.as_deref()), Some(("web-1", "eth0")));
    let pod = facts.pod("default/web-1").unwrap();
    assert_eq!(pod.role, Role::Pod { pod: "default/web-1".into(), node: "node-1".into() });
    let listener = pod.listeners.iter().find(|socket| socket.address.port() == 8080).unwrap();
    assert!(listener.backlog > 0 && listener.owner.is_some(), "{listener:?}");
    assert!(pod.counters.links.contains_key("eth0"));
}

fn programs_are_seen(node: &HostFacts) {
    let xdp = node.programs.iter().find(|program| program.attach == Attach::Xdp).unwrap();
    assert_eq!((xdp.interface.as_str(), xdp.owner), ("eth0", Owner::Datapath), "{xdp:?}");
    assert_eq!(node.link("eth0").unwrap().xdp, [xdp.id]);
    let tc = node.programs.iter().filter(|program| program.attach == Attach::TcxIngress);
    assert!(tc.clone().count() > 0 && tc.clone().all(|tc| tc.owner == Owner::Datapath));
    let datapath = node.datapath.as_ref().unwrap();
    assert!(datapath.config.configured && datapath.config.vxlan_port == 8472, "{datapath:?}");
    let web = datapath.frontends.iter().find(|frontend| frontend.address.port() == WEB).unwrap();
    assert_eq!((web.backend_count, web.backends.len()), (4, 4));
    assert!(datapath.node_addresses.contains(&NODES[0].1.into()), "{datapath:?}");
    assert!(datapath.conntrack.capacity > 0);
    assert_eq!(node.nft, None);
}

fn nft_is_seen(node: &HostFacts) {
    let nft = node.nft.as_ref().unwrap();
    let table = nft.table("ip", "kube-proxy").unwrap();
    let ports = table.set("service-nodeports").unwrap();
    assert!(ports.map && ports.elements.len() == 2, "{ports:?}");
    let rules = &table.chain("services").unwrap().rules;
    assert!(rules.iter().any(|rule| rule.text.contains("vmap @service-nodeports")), "{rules:?}");
    assert!(rules.iter().all(|rule| rule.handle > 0));
    for name in ["filter-prerouting-pre-dnat", "nat-prerouting"] {
        assert_eq!(table.chain(name).unwrap().hook.as_ref().unwrap().hook, "prerouting");
    }
    assert!(node.conntrack.as_ref().is_some_and(|conntrack| conntrack.max > 0));
}

fn iptables_are_seen(node: &HostFacts) {
    let store = node.iptables.iter().find(|store| store.v4).unwrap();
    let chain = store.table("nat").unwrap().chain("KUBE-NODEPORTS").unwrap();
    let port = WEB.to_string();
    let rule = chain.rules.iter().find(|rule| rule.arguments.contains(&port)).unwrap();
    assert!(rule.target.as_deref().is_some_and(|to| to.starts_with("KUBE-")), "{rule:?}");
    let forward = store.table("filter").unwrap().chain("FORWARD").unwrap();
    assert_eq!(forward.policy.as_deref(), Some("ACCEPT"));
}

#[test]
fn a_program_that_is_not_installed_leaves_a_gap_where_there_are_rules() {
    if !require_lab() {
        return;
    }
    let none = Programs::in_directories(vec![PathBuf::from("/nonexistent")]);
    let lab = Lab::up(Mode::HostGw, By::KubeProxy(Kind::Nftables));
    let facts = gather_with(&scope(&lab), &Subject::everything(), &none).unwrap();
    let gaps: Vec<_> =
        facts.gaps.iter().map(|gap| (gap.host.as_deref().unwrap_or("-"), gap.source)).collect();
    assert_eq!(gaps, [("node-1", Source::Nft), ("node-2", Source::Nft)]);
    assert_eq!(facts.gaps[0].reason, "nft is not installed");
    assert!(facts.gaps[0].hides.contains("ip kube-proxy"), "{:?}", facts.gaps[0]);
    assert!(facts.is_blind("node-1", Source::Nft) && !facts.is_blind("client", Source::Nft));
    let node = facts.node("node-1").unwrap();
    assert_eq!(node.nft, None);
    assert!(!node.routes.is_empty() && !node.sysctls.is_empty());
}

#[test]
fn a_namespace_that_is_gone_is_a_gap_and_the_rest_is_seen() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, Hook::Xdp);
    netlab::netlink::Netns::delete(&lab.name().netns("web-2")).unwrap();
    let facts = gather(&scope(&lab), &Subject::everything()).unwrap();
    let [gap] = &facts.gaps[..] else { panic!("{:?}", facts.gaps) };
    assert_eq!((gap.host.as_deref(), gap.source), (Some("web-2"), Source::Namespace));
    assert!(facts.is_blind("web-2", Source::Sockets));
    assert!(facts.host("web-2").is_none() && facts.host("web-1").is_some());
}

fn scope(lab: &Lab) -> Scope {
    Scope::Lab(lab.name().clone())
}
