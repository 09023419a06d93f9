//! What probes make of findings.

use serde_json::json;

use super::*;
use crate::{
    doctor::{
        facts::{
            fixture::{self, host},
            nft::{Chain, Hook, Rule, Table},
        },
        probe::Outcome,
    },
    lab::{Mode, Proxy},
    spec::model::Protocol,
};

/// A rule of node-1 that masquerades with one port.
fn one_port() -> Facts {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let is = |left, right| json!({"match": {"op": "in", "left": left, "right": right}});
    let dialled = is(json!({"ct": {"key": "status"}}), "dnat");
    let tcp = is(json!({"meta": {"key": "l4proto"}}), "tcp");
    let statements = vec![dialled, tcp, json!({"masquerade": {"port": 1024}})];
    let rules = vec![Rule { handle: 5, statements, ..Rule::default() }];
    let (hook, kind, policy) = ("postrouting".into(), "nat".into(), "accept".into());
    let hook = Some(Hook { hook, kind, priority: 90, policy, devices: vec![] });
    let chains = vec![Chain { name: "postrouting".into(), hook, rules, ..Chain::default() }];
    let (family, name) = ("ip".into(), "narrow".into());
    let table = Table { family, name, chains, ..Table::default() };
    host(&mut facts, "node-1").nft.as_mut().unwrap().tables.push(table);
    facts
}

/// Every way of IPv4 tried four times; of those to the node, over TCP, one in four fails.
fn attempts(facts: &Facts, failing: &str) -> Vec<(Way, Vec<Attempt>)> {
    let cases = path::cases(facts, &facts.spec().unwrap(), &facts.subject);
    let mut ways: Vec<Way> = cases.iter().map(Way::of).collect();
    ways.retain(|way| way.dialled.is_ipv4());
    ways.dedup();
    let attempts = |way: &Way| {
        let of = |outcome| Attempt {
            from: None,
            outcome,
            micros: 1,
            journeys: Vec::new(),
            decisions: Vec::new(),
        };
        let fails = way.node == failing && way.protocol == Protocol::Tcp;
        let pod = if way.protocol == Protocol::Tcp { "web-1" } else { "dns-1" };
        let seen_as = "172.18.255.10:5".parse().unwrap();
        let mut all = vec![of(Outcome::Answered { pod: pod.into(), seen_as }); 4];
        if fails {
            all[3] = of(Outcome::Silence);
        }
        all
    };
    ways.into_iter().map(|way| (way.clone(), attempts(&way))).collect()
}

#[test]
fn few_ports_to_masquerade_with_are_a_risk_until_somebody_gets_none() {
    let facts = one_port();
    let spec = facts.spec().unwrap();
    let severity = |failing: &str| {
        let judged = judge(&facts, &spec, &attempts(&facts, failing));
        let found = judged.findings.iter().find(|of| of.code == Code::SnatPortsExhausted);
        found.map(|of| (of.severity, of.host.clone()))
    };
    let node = || Some("node-1".to_owned());
    assert_eq!(severity("nobody"), Some((Severity::Risk, node())));
    assert_eq!(severity("node-2"), Some((Severity::Risk, node())), "it is node-1's rule");
    assert_eq!(severity("node-1"), Some((Severity::Broken, node())));
}
