//! Nodes whose rules for node ports are gone, or were never read.

use super::{rules::kube_proxy, *};
use crate::doctor::facts::{
    Gap, Source,
    program::{Attach, Owner, Program},
};

#[test]
fn a_node_whose_rules_are_gone_translates_what_ipvs_or_a_strangers_program_may_take() {
    kube_proxy(|mut facts| {
        let node = host(&mut facts, "node-1");
        (node.nft, node.iptables) = (None, vec![]);
        let mut programmed = facts.clone();
        host(&mut programmed, "node-1").programs.push(Program {
            interface: "eth0".into(),
            attach: Attach::TcxIngress,
            id: 77,
            name: "cil_from_netdev".into(),
            tag: "0".into(),
            owner: Owner::Foreign,
            link: None,
        });
        assert_eq!(only(&programmed), on("node-1")(Code::ForeignProgram));
        facts.gaps.push(Gap {
            host: Some("node-1".into()),
            source: Source::Ipvs,
            reason: "IPVS has 2 services".into(),
            hides: String::new(),
        });
        assert_eq!(codes(&facts), BTreeSet::new());
    });
}

#[test]
fn a_node_whose_rules_are_gone_is_said_to_translate_nothing() {
    kube_proxy(|mut facts| {
        let node = host(&mut facts, "node-1");
        (node.nft, node.iptables) = (None, vec![]);
        assert_eq!(only(&facts), on("node-1")(Code::ProxyStale));
        let found = first(&facts, Code::ProxyStale);
        assert!(found.evidence[0].text.starts_with("there is no table"), "{found:?}");
        assert!(found.fixes[0].words.contains("netlab lab up --name lab"), "{found:?}");
    });
}

#[test]
fn of_a_port_that_nobody_has_told_about_it_is_not_known_whether_rules_or_a_program_are_missing() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    facts.lab = None;
    facts.hosts.retain(|host| host.name == "node-1");
    let node = host(&mut facts, "node-1");
    (node.nft, node.iptables) = (None, vec![]);
    let dial = |facts: &Facts| {
        let spec = facts.spec().unwrap();
        let address = "172.18.0.2".parse().unwrap();
        let subject = Subject::dialled("172.18.0.2:30081", address, 30081, &spec);
        let judged = judge(facts, &spec, &subject);
        assert_eq!(judged.findings.len(), 1, "{:?}", judged.findings);
        judged.findings[0].finding.clone()
    };
    // The objects are there, and none has the port.
    let known = dial(&facts);
    assert_eq!(known.confidence, Confidence::Certain);
    assert!(known.evidence.iter().any(|of| of.text == "no Service has node port 30081"));
    facts.manifests.clear();
    let unknown = dial(&facts);
    assert_eq!(unknown.confidence, Confidence::Likely);
    assert!(unknown.cause.contains("translates or listens on TCP port 30081"), "{unknown:?}");
    assert!(!unknown.evidence.iter().any(|of| of.text.contains("no Service")), "{unknown:?}");
    assert!(unknown.fixes[0].words.contains("--kubernetes"), "{unknown:?}");
}
