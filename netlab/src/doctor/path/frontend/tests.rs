//! Rules of both kinds, and what they give to whom.

use serde_json::json;

use super::*;
use crate::{
    doctor::facts::{
        fixture, iptables,
        nft::{Chain, Rule, Ruleset, Set, Table},
    },
    lab::{Mode, Proxy},
};

fn host(sets: Vec<Set>, chains: &[(&str, Vec<Value>)]) -> HostFacts {
    let chains = chains.iter().map(|(name, rules)| Chain {
        name: (*name).to_owned(),
        rules: rules
            .iter()
            .map(|rule| Rule {
                statements: rule.as_array().cloned().unwrap_or_default(),
                ..Rule::default()
            })
            .collect(),
        ..Chain::default()
    });
    let table = Table {
        family: "ip".into(),
        name: "t".into(),
        chains: chains.collect(),
        sets,
        ..Table::default()
    };
    let nft = Some(Ruleset { tables: vec![table], ..Ruleset::default() });
    HostFacts { nft, ..HostFacts::default() }
}

fn dnat(address: &str, port: u16) -> Value {
    json!({"dnat": {"addr": address, "port": port}})
}

#[test]
fn an_element_of_a_map_leads_over_chains_to_all_that_may_be_drawn() {
    let ports = Set {
        name: "ports".into(),
        map: true,
        elements: vec![
            json!([{"concat": ["tcp", 30080]}, {"goto": {"target": "web"}}]),
            json!([{"concat": ["10.96.0.1", "udp", 53]}, {"goto": {"target": "one"}}]),
            json!([{"concat": ["tcp", 30081]}, {"drop": null}]),
        ],
        ..Set::default()
    };
    let drawn = json!([{"vmap": {"key": {"numgen": {"mode": "random", "mod": 2}},
        "data": {"set": [[0, {"goto": {"target": "one"}}], [1, {"goto": {"target": "two"}}]]}}}]);
    let host = host(
        vec![ports],
        &[
            ("web", vec![json!([{"jump": {"target": "mark"}}]), drawn]),
            ("mark", vec![]),
            ("one", vec![json!([dnat("10.0.0.1", 80)])]),
            ("two", vec![json!([dnat("10.0.0.2", 80)])]),
        ],
    );
    let found = frontends(&host);
    let web = Frontend {
        address: None,
        protocol: Protocol::Tcp,
        port: 30080,
        backends: vec!["10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap()],
    };
    let dns = Frontend {
        address: Some("10.96.0.1".parse().unwrap()),
        protocol: Protocol::Udp,
        port: 53,
        backends: vec!["10.0.0.1:80".parse().unwrap()],
    };
    assert_eq!(found, [web, dns]);
    assert!(!found[1].has("10.96.0.2:53".parse().unwrap()), "another address");
}

#[test]
fn chains_that_jump_to_one_another_by_many_ways_are_looked_into_once() {
    let jumps = |at: usize| {
        let jump = json!([{"jump": {"target": format!("c{}", at + 1)}}]);
        vec![jump; 12]
    };
    let names: Vec<String> = (0..12).map(|at| format!("c{at}")).collect();
    let mut chains: Vec<(&str, Vec<Value>)> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), jumps(at))).collect();
    chains.push(("c12", vec![json!([dnat("10.0.0.1", 80)])]));
    let port = json!({"match": {"op": "==", "right": 8080,
        "left": {"payload": {"protocol": "tcp", "field": "dport"}}}});
    chains.push(("pre", vec![json!([port, {"jump": {"target": "c0"}}])]));
    let found = frontends(&host(Vec::new(), &chains));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].backends, ["10.0.0.1:80".parse().unwrap()]);
}

#[test]
fn a_single_rule_keeps_the_port_that_it_does_not_change() {
    let equal = |protocol: &str, field: &str, right: Value| {
        let left = json!({"payload": {"protocol": protocol, "field": field}});
        json!({"match": {"op": "==", "left": left, "right": right}})
    };
    let host = host(
        Vec::new(),
        &[(
            "pre",
            vec![
                json!([equal("tcp", "dport", json!(8080)), {"dnat": {"addr": "10.0.0.1"}}]),
                json!([equal("tcp", "dport", json!(22)), {"accept": null}]),
            ],
        )],
    );
    let found = frontends(&host);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].backends, ["10.0.0.1:8080".parse().unwrap()]);
    assert!(found[0].has("192.0.2.1:8080".parse().unwrap()), "whatever the address");
}

#[test]
fn rules_of_iptables_lead_over_chains_and_only_a_single_address_is_one() {
    let rule = |text: &str, target: &str| iptables::Rule {
        arguments: text.split(' ').map(str::to_owned).collect(),
        target: Some(target.to_owned()),
        ..iptables::Rule::default()
    };
    let chain = |name: &str, rules| iptables::Chain {
        name: name.to_owned(),
        rules,
        ..iptables::Chain::default()
    };
    let nat = iptables::Table {
        name: "nat".into(),
        chains: vec![
            chain(
                "KUBE-NODEPORTS",
                vec![
                    rule("-p tcp --dport 30080 -j SVC", "SVC"),
                    rule("-d fd00::1/128 -p tcp --dport 80 -j SVC", "SVC"),
                    rule("-p tcp ! --dport 22 -j SVC", "SVC"),
                ],
            ),
            chain("SVC", vec![rule("-j DNAT --to-destination 10.0.0.1:80", "DNAT")]),
        ],
        ..iptables::Table::default()
    };
    let asked: Vec<_> = super::iptables::frontends(&nat)
        .into_iter()
        .map(|of| (of.address, of.port, of.backends))
        .collect();
    let to: Vec<SocketAddr> = vec!["10.0.0.1:80".parse().unwrap()];
    let own = Some("fd00::1".parse().unwrap());
    assert_eq!(asked, [(None, 30080, to.clone()), (own, 80, to)]);
}

#[test]
fn a_table_of_nftables_own_is_read_beside_one_of_iptables_with_its_name() {
    let rule = json!([{"match": {"op": "==", "left": {"payload": {"protocol": "tcp",
        "field": "dport"}}, "right": 30080}}, dnat("10.0.0.1", 80)]);
    let store = iptables::Store {
        variant: iptables::Variant::Nft,
        v4: true,
        tables: vec![iptables::Table { name: "nat".into(), ..iptables::Table::default() }],
    };
    for (family, found) in [("ip", 0), ("ip6", 1), ("inet", 1)] {
        let mut host = host(Vec::new(), &[("PREROUTING", vec![rule.clone()])]);
        let table = &mut host.nft.as_mut().unwrap().tables[0];
        (table.family, table.name) = (family.into(), "nat".into());
        host.iptables = vec![store.clone()];
        assert_eq!(frontends(&host).len(), found, "{family} nat");
    }
}

#[test]
fn what_netlab_s_programs_have_is_a_frontend_too() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    let found = frontends(facts.host("node-1").unwrap());
    let asked = "172.18.0.2:30080".parse().unwrap();
    let web: Vec<_> = found.iter().filter(|of| of.has(asked)).collect();
    assert!(web.iter().any(|of| of.protocol == Protocol::Tcp), "{found:?}");
    assert!(web.iter().all(|of| of.address.is_none() && !of.backends.is_empty()), "{web:?}");
}
