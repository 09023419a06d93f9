//! VXLAN between the nodes.

use super::*;
use crate::{doctor::facts::link::LinkKind, netlink::Mac};

fn each(mut test: impl FnMut(Facts)) {
    for proxy in [Proxy::Ebpf, Proxy::Nftables, Proxy::Iptables] {
        test(fixture::lab(Mode::Vxlan, proxy));
    }
}

fn flannel(facts: &mut Facts, node: &str) -> u32 {
    fixture::link(facts, node, "flannel.1").index
}

#[test]
fn an_fdb_entry_that_leads_elsewhere_or_nowhere_is_found() {
    each(|mut facts| {
        let device = flannel(&mut facts, "node-1");
        let fdb = &mut host(&mut facts, "node-1").fdb;
        let entry = fdb.iter_mut().find(|fdb| fdb.device == device).unwrap();
        entry.destination = Some("172.18.255.10".parse().unwrap());
        assert_eq!(only(&facts), on("node-1")(Code::FdbWrong));
        let right =
            "bridge fdb replace 0e:f4:0a:f4:02:00 dev flannel.1 dst 172.18.0.3 self permanent";
        assert_eq!(mend(&first(&facts, Code::FdbWrong)), right);
        host(&mut facts, "node-1").fdb.retain(|fdb| fdb.device != device);
        assert_eq!(only(&facts), on("node-1")(Code::FdbWrong));
        assert_eq!(mend(&first(&facts, Code::FdbWrong)), right);
    });
}

#[test]
fn a_vteps_neighbor_entry_that_is_wrong_or_missing_is_found_and_the_fdb_is_not_blamed() {
    each(|mut facts| {
        let device = flannel(&mut facts, "node-1");
        let wrong = Mac([2, 2, 2, 2, 2, 2]);
        let node = host(&mut facts, "node-1");
        let entry = node.neighbors.iter_mut().find(|of| of.device == device).unwrap();
        entry.mac = Some(wrong);
        let known = node.fdb.iter().find(|fdb| fdb.device == device).unwrap().clone();
        node.fdb.push(crate::doctor::facts::route::FdbEntry { mac: wrong, ..known });
        assert_eq!(only(&facts), on("node-1")(Code::VtepNeighborWrong));
        let right =
            "ip neigh replace 10.244.2.0 lladdr 0e:f4:0a:f4:02:00 dev flannel.1 nud permanent";
        assert_eq!(mend(&first(&facts, Code::VtepNeighborWrong)), right);
        host(&mut facts, "node-1").neighbors.retain(|of| of.device != device);
        assert_eq!(only(&facts), on("node-1")(Code::VtepNeighborWrong));
    });
}

#[test]
fn another_vni_or_port_is_found_at_the_node_that_differs() {
    each(|facts| {
        for (vni, port) in [(2, 8472), (1, 4789)] {
            let mut facts = facts.clone();
            let link = fixture::link(&mut facts, "node-1", "flannel.1");
            let LinkKind::Vxlan(vxlan) = &mut link.kind else { panic!("{link:?}") };
            (vxlan.vni, vxlan.port) = (vni, port);
            assert_eq!(only(&facts), on("node-1")(Code::VxlanMismatch));
        }
    });
}

#[test]
fn a_device_with_another_vni_is_made_anew_with_all_that_stands_on_it() {
    let mut facts = fixture::lab(Mode::Vxlan, Proxy::Nftables);
    let link = fixture::link(&mut facts, "node-1", "flannel.1");
    let LinkKind::Vxlan(vxlan) = &mut link.kind else { panic!("{link:?}") };
    vxlan.vni = 2;
    let index = link.index;
    let found = first(&facts, Code::VxlanMismatch);
    let cause = "flannel.1 on node-1 has VNI 2, where node-2 has VNI 1";
    assert_eq!(found.cause, cause, "the port is the same");
    let lines: Vec<_> = found.fixes[0].commands().map(|command| command.join(" ")).collect();
    assert_eq!(found.fixes.len(), 1, "all of it, or none");
    assert_eq!(lines[0], "ip link del dev flannel.1");
    let add = format!("ip link add name flannel.1 index {index} mtu ");
    assert!(lines[1].starts_with(&add), "{}", lines[1]);
    assert!(lines[1].contains(" type vxlan id 1 dstport 8472 local 172.18.0.2 "), "{}", lines[1]);
    for line in [
        "ip link set dev flannel.1 up",
        "ip addr add 10.244.1.0/32 dev flannel.1",
        "ip neigh replace 10.244.2.0 lladdr 0e:f4:0a:f4:02:00 dev flannel.1 nud permanent",
        "bridge fdb replace 0e:f4:0a:f4:02:00 dev flannel.1 dst 172.18.0.3 self permanent",
        "ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
    ] {
        assert!(lines.iter().any(|of| of == line), "{line}: {lines:#?}");
    }
}

#[test]
fn a_rule_of_the_switch_against_the_datagrams_is_found_there() {
    each(|mut facts| {
        let rule = json!([
            matches("ip", "daddr", "172.18.0.2"),
            matches("udp", "dport", 8472),
            {"drop": null}
        ]);
        chain(host(&mut facts, "fabric"), "bridge", "forward", 0, &[rule]);
        assert_eq!(only(&facts), on("fabric")(Code::VxlanFiltered));
    });
}

#[test]
fn a_host_firewall_without_vxlan_is_found_by_its_policy() {
    each(|mut facts| {
        let rules = [
            json!([{"match": {"op": "in", "left": {"ct": {"key": "state"}},
                    "right": ["established", "related"]}}, {"accept": null}]),
            json!([{"match": {"op": "==", "left": {"meta": {"key": "iif"}}, "right": "lo"}},
                   {"accept": null}]),
            json!([{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}},
                    "right": {"set": ["icmp", "ipv6-icmp"]}}}, {"accept": null}]),
            json!([matches("tcp", "dport", 22), {"accept": null}]),
        ];
        chain(host(&mut facts, "node-1"), "inet", "input", 0, &rules);
        assert_eq!(codes(&facts), BTreeSet::new(), "the policy accepts");
        let tables = &mut host(&mut facts, "node-1").nft.as_mut().unwrap().tables;
        tables.last_mut().unwrap().chains[0].hook.as_mut().unwrap().policy = "drop".into();
        assert_eq!(only(&facts), on("node-1")(Code::VxlanFiltered));
        let right = "nft add rule inet fault input ip saddr {172.18.0.2,172.18.0.3} udp dport \
                     8472 accept";
        assert_eq!(mend(&first(&facts, Code::VxlanFiltered)), right);
    });
}

#[test]
fn a_rule_that_spoils_the_outer_checksum_is_found_where_the_stack_decapsulates() {
    each(|mut facts| {
        let raw = json!({"payload": {"base": "th", "offset": 48, "len": 16}});
        let rule = json!([
            matches("ip", "daddr", "172.18.0.2"),
            matches("udp", "dport", 8472),
            {"mangle": {"key": raw, "value": 57005}}
        ]);
        chain(host(&mut facts, "fabric"), "bridge", "forward", 0, &[rule]);
        assert_eq!(only(&facts), on("fabric")(Code::OuterChecksum));
    });
}

#[test]
fn behind_a_route_that_is_missing_the_tunnel_is_looked_at_all_the_same() {
    each(|mut facts| {
        let device = flannel(&mut facts, "node-1");
        let node = host(&mut facts, "node-1");
        node.routes.retain(|route| {
            route.table != crate::doctor::facts::route::main_table()
                || !route.destination.to_string().starts_with("10.244.2.")
        });
        let found = codes(&facts);
        assert_eq!(found, [on("node-1")(Code::RouteMissing)].into());
        host(&mut facts, "node-1").fdb.retain(|fdb| fdb.device != device);
        let both = [on("node-1")(Code::RouteMissing), on("node-1")(Code::FdbWrong)];
        assert_eq!(codes(&facts), both.into());
    });
}
