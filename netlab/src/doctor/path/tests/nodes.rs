//! Forwarding, reverse paths, routes, neighbors and what lies between the nodes.

use super::*;
use crate::doctor::facts::route::{
    Address, Neighbor, NeighborState, NextHop, Route, RouteKind, Rule as PolicyRule, RuleAction,
};

const MODES: [Mode; 2] = [Mode::HostGw, Mode::Vxlan];
const PROXIES: [Proxy; 3] = [Proxy::Ebpf, Proxy::Nftables, Proxy::Iptables];

fn each(mut test: impl FnMut(Facts)) {
    for mode in MODES {
        for proxy in PROXIES {
            test(fixture::lab(mode, proxy));
        }
    }
}

fn route<'f>(facts: &'f mut Facts, on: &str, to: &str) -> &'f mut Route {
    let to: ipnet::IpNet = to.parse().unwrap();
    host(facts, on).routes.iter_mut().find(|route| route.destination == to).unwrap()
}

#[test]
fn forwarding_that_is_off_is_found_with_its_switch() {
    each(|mut facts| {
        let node = host(&mut facts, "node-1");
        for (key, value) in &mut node.sysctls {
            if key == "ipv4/ip_forward"
                || key.starts_with("ipv4/conf/") && key.ends_with("/forwarding")
            {
                *value = "0".into();
            }
        }
        assert_eq!(only(&facts), on("node-1")(Code::ForwardingOff));
        assert_eq!(mend(&first(&facts, Code::ForwardingOff)), "sysctl -w net/ipv4/ip_forward=1");
    });
}

#[test]
fn forwarding_of_ipv6_is_switched_on_with_the_announced_default_route_kept() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    let node = host(&mut facts, "node-1");
    for (key, value) in &mut node.sysctls {
        if key.starts_with("ipv6/conf/") && key.ends_with("/forwarding") {
            *value = "0".into();
        }
    }
    let eth0 = node.link("eth0").unwrap().index;
    let v4 = node.routes.iter().find(|of| of.destination.prefix_len() == 0).cloned();
    let any = node.routes[0].clone();
    let default = Route {
        destination: "::/0".parse().unwrap(),
        table: crate::doctor::facts::route::main_table(),
        ..v4.unwrap_or(any)
    };
    let with = |protocol: &str| {
        let mut node = node.clone();
        let mut route = Route { protocol: protocol.into(), ..default.clone() };
        route.hops[0].device = eth0;
        node.routes.push(route);
        let found = forwarding::off(&node, "eth0", false).unwrap();
        let commands: Vec<_> = found.fixes[0].commands().map(|of| of.join(" ")).collect();
        (found.fixes.len(), commands)
    };
    let switch = "sysctl -w net/ipv6/conf/all/forwarding=1".to_owned();
    assert_eq!(with("static"), (1, vec![switch.clone()]));
    let keep = "sysctl -w net/ipv6/conf/eth0/accept_ra=2".to_owned();
    assert_eq!(with("ra"), (1, vec![keep, switch]));
}

#[test]
fn forwarding_that_is_off_for_the_uplink_alone_is_found() {
    each(|mut facts| {
        let node = host(&mut facts, "node-1");
        node.sysctls.insert("ipv4/conf/eth0/forwarding".into(), "0".into());
        assert_eq!(only(&facts), on("node-1")(Code::ForwardingOff));
        let found = first(&facts, Code::ForwardingOff);
        assert_eq!(mend(&found), "sysctl -w net/ipv4/conf/eth0/forwarding=1");
    });
}

#[test]
fn strict_reverse_path_filtering_hits_what_comes_in_another_way_only() {
    for proxy in PROXIES {
        let mut facts = fixture::lab(Mode::HostGw, proxy);
        let node = host(&mut facts, "node-1");
        node.sysctls.insert("ipv4/conf/eth0/rp_filter".into(), "1".into());
        assert_eq!(codes(&facts), BTreeSet::new(), "symmetric");
        // The way back to the peer leads through another link.
        let mut second = node_link(&mut facts, "node-1", "eth0");
        (second.index, second.name) = (77, "eth1".into());
        let node = host(&mut facts, "node-1");
        node.links.push(second);
        let peer = "172.18.0.3/32".parse().unwrap();
        node.routes.push(Route { hops: vec![fixture::on_link(77)], ..fixture::unicast(peer) });
        assert_eq!(only(&facts), on("node-1")(Code::ReversePathFilter));
        let found = first(&facts, Code::ReversePathFilter);
        assert_eq!(mend(&found), "sysctl -w net/ipv4/conf/eth0/rp_filter=2");
        host(&mut facts, "node-1").sysctls.insert("ipv4/conf/eth0/rp_filter".into(), "2".into());
        assert_eq!(codes(&facts), BTreeSet::new(), "loose");
    }
}

fn node_link(facts: &mut Facts, of: &str, name: &str) -> crate::doctor::facts::link::Link {
    fixture::link(facts, of, name).clone()
}

#[test]
fn a_missing_route_to_a_peers_pods_is_found_with_the_route_that_should_be() {
    each(|mut facts| {
        let net: ipnet::IpNet = "10.244.2.0/24".parse().unwrap();
        host(&mut facts, "node-1").routes.retain(|route| route.destination != net);
        assert_eq!(only(&facts), on("node-1")(Code::RouteMissing));
        let right = match facts.lab.as_ref().unwrap().mode {
            Mode::HostGw => "ip route replace 10.244.2.0/24 via 172.18.0.3 dev eth0",
            Mode::Vxlan => "ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
        };
        assert_eq!(mend(&first(&facts, Code::RouteMissing)), right);
    });
}

#[test]
fn a_blackhole_in_its_place_is_found_and_goes_first() {
    each(|mut facts| {
        let route = route(&mut facts, "node-1", "10.244.2.0/24");
        (route.kind, route.hops) = (RouteKind::Blackhole, vec![]);
        assert_eq!(only(&facts), on("node-1")(Code::RouteMissing));
        let found = first(&facts, Code::RouteMissing);
        assert_eq!(mend(&found), "ip route del blackhole 10.244.2.0/24");
        assert_eq!(found.fixes.len(), 2);
    });
}

#[test]
fn a_default_route_that_refuses_is_not_deleted() {
    each(|mut facts| {
        let node = host(&mut facts, "node-1");
        node.routes.retain(|route| route.destination.to_string() != "10.244.2.0/24");
        let default = fixture::unicast("0.0.0.0/0".parse().unwrap());
        node.routes.push(Route { kind: RouteKind::Unreachable, metric: 9, ..default });
        assert_eq!(only(&facts), on("node-1")(Code::RouteMissing));
        let found = first(&facts, Code::RouteMissing);
        assert!(mend(&found).starts_with("ip route replace 10.244.2.0/24"), "{}", mend(&found));
        assert_eq!(found.evidence[0].text, "unreachable default metric 9");
    });
}

#[test]
fn a_route_to_the_wrong_host_is_found_and_its_consequences_there_are_not() {
    for proxy in PROXIES {
        let mut facts = fixture::lab(Mode::HostGw, proxy);
        let route = route(&mut facts, "node-1", "10.244.2.0/24");
        route.hops[0].gateway = Some("172.18.255.10".parse().unwrap());
        assert_eq!(only(&facts), on("node-1")(Code::RouteWrong));
        let right = "ip route replace 10.244.2.0/24 via 172.18.0.3 dev eth0";
        assert_eq!(mend(&first(&facts, Code::RouteWrong)), right);
    }
}

#[test]
fn ports_of_the_switch_that_are_kept_apart_are_found() {
    each(|mut facts| {
        for port in ["node-1", "node-2"] {
            let port = fixture::link(&mut facts, "fabric", port).port.as_mut().unwrap();
            port.isolated = true;
        }
        assert_eq!(only(&facts), on("fabric")(Code::NotAdjacent));
        fixture::link(&mut facts, "fabric", "node-1").port.as_mut().unwrap().isolated = false;
        assert_eq!(codes(&facts), BTreeSet::new(), "one alone talks to all others");
    });
}

#[test]
fn host_gw_over_a_router_finds_that_the_nodes_are_not_on_one_link() {
    let facts = fixture::routed(Mode::HostGw, Proxy::Ebpf);
    let found = codes(&facts);
    assert!(found.iter().all(|(code, _)| *code == Code::NotAdjacent), "{found:?}");
    assert!(!found.is_empty());
}

#[test]
fn an_address_of_a_node_that_another_host_has_too_is_found_at_the_other() {
    each(|mut facts| {
        let bridge = fixture::link(&mut facts, "fabric", "br0").index;
        host(&mut facts, "fabric").addresses.push(Address {
            device: bridge,
            net: "172.18.0.2/32".parse().unwrap(),
            scope: "global".into(),
            tentative: false,
            duplicate: false,
        });
        assert_eq!(only(&facts), on("fabric")(Code::DuplicateNodeAddress));
        let found = first(&facts, Code::DuplicateNodeAddress);
        assert_eq!(mend(&found), "ip addr del 172.18.0.2/32 dev br0");
        assert_eq!(found.fixes[0].then, [], "nobody has learnt it there");
        // Whoever has learnt it at the wrong host is told to ask anew, with the same mend.
        let mac = fixture::link(&mut facts, "fabric", "br0").mac;
        let device = fixture::link(&mut facts, "client", "eth0").index;
        host(&mut facts, "client").neighbors.push(Neighbor {
            device,
            address: "172.18.0.2".parse().unwrap(),
            mac,
            state: NeighborState::Reachable,
            proxy: false,
        });
        let found = first(&facts, Code::DuplicateNodeAddress);
        let step = &found.fixes[0].then[0];
        assert_eq!(step.host.as_deref(), Some("client"));
        assert_eq!(step.command.join(" "), "ip neigh flush to 172.18.0.2 dev eth0");
    });
}

#[test]
fn a_node_object_with_an_address_of_nobodys_is_found() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let text = &mut facts.manifests[0].text;
    *text = text.replace("172.18.0.2", "172.18.0.102");
    let found = codes(&facts);
    assert!(found.contains(&on("node-1")(Code::NodeAddressWrong)), "{found:?}");
    assert!(found.iter().all(|(code, _)| *code != Code::DuplicateNodeAddress), "{found:?}");
}

#[test]
fn policy_routing_that_leads_answers_astray_is_found_with_its_rule() {
    each(|mut facts| {
        let node = host(&mut facts, "node-1");
        let eth0 = node.link("eth0").unwrap().index;
        node.rules.push(PolicyRule {
            v4: true,
            priority: 100,
            from: Some("10.244.1.0/24".parse().unwrap()),
            action: RuleAction::Table(5005),
            ..PolicyRule::default()
        });
        assert_eq!(codes(&facts), BTreeSet::new(), "the table is empty, so it decides nothing");
        let gateway = Some("172.18.255.254".parse().unwrap());
        let hop = NextHop { gateway, onlink: true, ..fixture::on_link(eth0) };
        let default = fixture::unicast("0.0.0.0/0".parse().unwrap());
        let node = host(&mut facts, "node-1");
        node.routes.push(Route { table: 5005, hops: vec![hop], ..default });
        assert_eq!(only(&facts), on("node-1")(Code::PolicyRouting));
        let found = first(&facts, Code::PolicyRouting);
        assert_eq!(mend(&found), "ip rule del from 10.244.1.0/24 lookup 5005 pref 100");
        host(&mut facts, "node-1").rules.last_mut().unwrap().asks_more = true;
        assert_eq!(codes(&facts), BTreeSet::new(), "whom it is about nobody can say");
    });
}

#[test]
fn a_rule_of_ipv6_is_deleted_with_all_that_it_asks() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    let rule = |from: &str, action| PolicyRule {
        priority: 100,
        from: Some(from.parse().unwrap()),
        destination_ports: Some((40000, 40001)),
        action,
        ..PolicyRule::default()
    };
    // Its preference is another's, too.
    host(&mut facts, "node-1").rules.push(rule("fd00:9::/64", RuleAction::Table(7)));
    assert_eq!(codes(&facts), BTreeSet::new());
    host(&mut facts, "node-1").rules.push(rule("fd00:10:244:1::/64", RuleAction::Unreachable));
    assert_eq!(only(&facts), on("node-1")(Code::PolicyRouting));
    assert_eq!(
        mend(&first(&facts, Code::PolicyRouting)),
        "ip -6 rule del from fd00:10:244:1::/64 dport 40000-40001 unreachable pref 100"
    );
}

/// A default route of the node's, which its pods' packets may fall back on.
fn default_route(facts: &mut Facts) {
    let eth0 = fixture::link(facts, "node-1", "eth0").index;
    let gateway = Some("172.18.255.254".parse().unwrap());
    let hop = NextHop { gateway, onlink: true, ..fixture::on_link(eth0) };
    let default = fixture::unicast("0.0.0.0/0".parse().unwrap());
    host(facts, "node-1").routes.push(Route { hops: vec![hop], ..default });
}

#[test]
fn a_bridge_that_is_down_is_the_cause_where_its_network_takes_the_default_route() {
    each(|mut facts| {
        default_route(&mut facts);
        assert_eq!(codes(&facts), BTreeSet::new());
        fixture::link(&mut facts, "node-1", "cni0").up = false;
        let found = codes(&facts);
        assert!(found.contains(&on("node-1")(Code::LinkDown)), "{found:?}");
        for finding in walked(&facts).iter().flat_map(Path::findings) {
            assert_eq!(finding.code, Code::LinkDown, "{finding:?}");
        }
    });
}

#[test]
fn a_node_that_has_lost_the_route_to_its_own_pods_keeps_its_default_route() {
    each(|mut facts| {
        default_route(&mut facts);
        let net: ipnet::IpNet = "10.244.1.0/24".parse().unwrap();
        host(&mut facts, "node-1").routes.retain(|route| route.destination != net);
        assert_eq!(only(&facts), on("node-1")(Code::RouteMissing));
        let found = first(&facts, Code::RouteMissing);
        assert!(found.cause.contains("no route to its own pod network"), "{}", found.cause);
        assert_eq!(mend(&found), "ip route replace 10.244.1.0/24 dev cni0 src 10.244.1.1");
        assert_eq!(found.fixes.len(), 1);
    });
}

#[test]
fn a_route_that_sends_a_nodes_own_pod_back_is_found_as_a_loop() {
    each(|mut facts| {
        let back = route(&mut facts, "node-1", "10.244.2.0/24").clone();
        let pod = "10.244.1.2/32".parse().unwrap();
        host(&mut facts, "node-1").routes.push(Route { destination: pod, ..back });
        assert_eq!(only(&facts), on("node-1")(Code::TtlExpired));
        assert!(
            mend(&first(&facts, Code::TtlExpired)).starts_with("ip route del 10.244.1.2/32 via")
        );
    });
}

#[test]
fn a_client_whose_ttl_is_too_small_is_found_and_one_that_has_just_enough_is_not() {
    each(|mut facts| {
        let ttl = |facts: &mut Facts, ttl: &str| {
            host(facts, "client").sysctls.insert("ipv4/ip_default_ttl".into(), ttl.into());
        };
        ttl(&mut facts, "1");
        assert_eq!(only(&facts), on("client")(Code::TtlExpired));
        ttl(&mut facts, "8");
        assert_eq!(codes(&facts), BTreeSet::new());
    });
}

#[test]
fn a_narrow_bridge_is_a_black_hole_only_where_nobody_may_say_so() {
    each(|mut facts| {
        fixture::link(&mut facts, "node-1", "cni0").mtu -= 100;
        assert_eq!(codes(&facts), BTreeSet::new(), "the sender is told");
        let rule = json!([
            matches("icmp", "type", "destination-unreachable"),
            matches("icmp", "code", "frag-needed"),
            {"counter": {"packets": 0, "bytes": 0}},
            {"drop": null}
        ]);
        chain(host(&mut facts, "node-1"), "inet", "output", 0, &[rule]);
        assert_eq!(only(&facts), on("node-1")(Code::MtuBlackHole));
        let found = first(&facts, Code::MtuBlackHole);
        assert_eq!(mend(&found), "nft delete rule inet fault output handle 5");
        let mtu = fixture::link(&mut facts, "node-1", "cni0").mtu + 100;
        let wide = found.fixes[1].command.join(" ");
        assert_eq!(wide, format!("ip link set dev cni0 mtu {mtu}"));
    });
}

#[test]
fn a_policy_that_keeps_the_word_about_the_size_is_mended_by_a_rule_for_it() {
    each(|mut facts| {
        fixture::link(&mut facts, "node-1", "cni0").mtu -= 100;
        let ports = json!([{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}},
            "right": {"set": ["tcp", "udp"]}}}, {"accept": null}]);
        chain(host(&mut facts, "node-1"), "inet", "output", 0, &[ports]);
        let table = host(&mut facts, "node-1").nft.as_mut().unwrap().tables.last_mut().unwrap();
        table.chains[0].hook.as_mut().unwrap().policy = "drop".into();
        assert_eq!(only(&facts), on("node-1")(Code::MtuBlackHole));
        let right = "nft add rule inet fault output ct state established,related accept";
        assert_eq!(mend(&first(&facts, Code::MtuBlackHole)), right);
    });
}

#[test]
fn a_switch_with_a_narrow_port_is_a_black_hole() {
    each(|mut facts| {
        fixture::link(&mut facts, "fabric", "node-1").mtu = 1300;
        assert_eq!(only(&facts), on("fabric")(Code::MtuBlackHole));
    });
}
