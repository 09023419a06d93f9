//! Netfilter: what drops, and what masquerades no more.

use super::*;
use crate::doctor::facts::{
    Source,
    iptables::{Chain as OldChain, Rule as OldRule, Store, Table as OldTable, Variant},
    program::{Attach, Owner, Program},
};

pub(super) fn each(mut test: impl FnMut(Facts)) {
    for facts in fixture::all() {
        test(facts);
    }
}

pub(super) fn kube_proxy(mut test: impl FnMut(Facts)) {
    each(|facts| {
        if facts.lab.as_ref().unwrap().proxy != Proxy::Ebpf {
            test(facts);
        }
    });
}

fn pod_network() -> Value {
    matches("ip", "daddr", json!({"prefix": {"addr": "10.244.1.0", "len": 24}}))
}

#[test]
fn a_rule_that_drops_what_is_forwarded_to_the_pods_is_found_with_its_handle() {
    each(|mut facts| {
        chain(
            host(&mut facts, "node-1"),
            "inet",
            "forward",
            0,
            &[json!([pod_network(), {"drop": null}])],
        );
        assert_eq!(only(&facts), on("node-1")(Code::ForwardDropped));
        let found = first(&facts, Code::ForwardDropped);
        assert_eq!(mend(&found), "nft delete rule inet fault forward handle 5");
        assert_eq!(found.evidence[0].source, Source::Nft);
    });
}

#[test]
fn a_rule_about_other_packets_is_not_in_the_way() {
    each(|mut facts| {
        let rules = [
            json!([matches("ip", "daddr", "192.0.2.1"), {"drop": null}]),
            json!([matches("tcp", "dport", 9), {"drop": null}]),
            json!([{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "invalid"}}, {"drop": null}]),
            json!([matches("ip6", "daddr", "2001:db8::1"), {"drop": null}]),
            json!([{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "wg*"}}, {"drop": null}]),
        ];
        for hook in ["forward", "prerouting", "input", "output", "postrouting"] {
            chain(host(&mut facts, "node-1"), "inet", hook, 0, &rules);
        }
        assert_eq!(codes(&facts), BTreeSet::new());
    });
}

#[test]
fn what_cannot_be_evaluated_passes_and_makes_what_follows_less_sure() {
    each(|mut facts| {
        let unknown =
            json!({"match": {"op": "==", "left": {"osf": {"key": "name"}}, "right": "Linux"}});
        let rules = [json!([unknown, {"drop": null}])];
        chain(host(&mut facts, "node-1"), "inet", "forward", 0, &rules);
        assert_eq!(codes(&facts), BTreeSet::new());
        let rules = [json!([unknown, {"accept": null}]), json!([pod_network(), {"drop": null}])];
        chain(host(&mut facts, "node-1"), "inet", "forward", 1, &rules);
        assert_eq!(first(&facts, Code::ForwardDropped).confidence, Confidence::Likely);
    });
}

#[test]
fn a_limit_lets_a_first_packet_through_and_makes_what_it_decides_less_sure() {
    let limit = |over: bool| json!({"limit": {"rate": 500, "per": "second", "inv": over}});
    let count = json!({"ct count": {"val": 9, "inv": true}});
    let meter = json!({"set": {"op": "add", "set": "@seen", "elem": {"payload": {}},
        "stmt": [limit(true)]}});
    let named = json!({"quota": "monthly"});
    each(|facts| {
        let with = |rules: &[Value]| {
            let mut facts = facts.clone();
            chain(host(&mut facts, "node-1"), "inet", "forward", 0, rules);
            facts
        };
        for over in [&limit(true), &count, &meter, &named] {
            let facts = with(&[json!([pod_network(), over, {"drop": null}])]);
            assert_eq!(codes(&facts), BTreeSet::new(), "{over}");
        }
        let drop = json!([pod_network(), {"drop": null}]);
        let accepted = [json!([pod_network(), limit(false), {"accept": null}]), drop.clone()];
        assert_eq!(codes(&with(&accepted)), BTreeSet::new(), "under the limit");
        let dropped = with(&[json!([pod_network(), limit(false), {"drop": null}])]);
        assert_eq!(first(&dropped, Code::ForwardDropped).confidence, Confidence::Likely);
        let written = [json!([limit(false), {"log": null}]), drop];
        let found = first(&with(&written), Code::ForwardDropped);
        assert_eq!(found.confidence, Confidence::Certain, "only the log is limited");
    });
}

#[test]
fn rules_without_end_are_given_up_and_not_held_against_the_packet() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let with = |facts: &mut Facts, jumps: usize| {
        let jump = |at: usize| json!([{"jump": {"target": format!("c{at}")}}]);
        chain(host(facts, "node-1"), "inet", "forward", 0, &[jump(0)]);
        let tables = &mut host(facts, "node-1").nft.as_mut().unwrap().tables;
        let table = tables.last_mut().unwrap();
        table.chains[0].hook.as_mut().unwrap().policy = "drop".into();
        for at in 0..11 {
            let statements = jump(at + 1).as_array().unwrap().clone();
            let rules = vec![Rule { statements, ..Rule::default() }; jumps];
            table.chains.push(Chain { name: format!("c{at}"), rules, ..Chain::default() });
        }
    };
    let mut few = facts.clone();
    with(&mut few, 1);
    assert_eq!(only(&few), on("node-1")(Code::ForwardDropped), "the policy is reached");
    with(&mut facts, 4);
    let spec = facts.spec().unwrap();
    let case = cases(&facts, &spec, &Subject::everything()).remove(0);
    let path = expected(&facts, &spec, &case);
    assert_eq!(path.findings().count(), 0, "{}", show(&path));
}

#[test]
fn a_policy_for_a_single_pod_is_told_from_a_rule_for_all() {
    each(|mut facts| {
        let new = json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}});
        let jump = json!([matches("ip", "daddr", "10.244.1.2"), new, {"jump": {"target": "pod"}}]);
        chain(host(&mut facts, "node-1"), "inet", "forward", 0, &[jump]);
        let tables = &mut host(&mut facts, "node-1").nft.as_mut().unwrap().tables;
        let rejects = json!([{"reject": {"type": "icmp", "expr": "admin-prohibited"}}]);
        let rule =
            Rule { handle: 9, statements: rejects.as_array().unwrap().clone(), ..Rule::default() };
        let pod = Chain { name: "pod".into(), rules: vec![rule], ..Chain::default() };
        tables.last_mut().unwrap().chains.push(pod);
        assert_eq!(only(&facts), on("node-1")(Code::PolicyDropped));
        let found = first(&facts, Code::PolicyDropped);
        assert!(found.cause.contains("rejects"), "{}", found.cause);
        assert_eq!(mend(&found), "nft delete rule inet fault pod handle 9");
        // Outside a lab the rule may be a controller's, and no consent is to take it away.
        let spec = facts.spec().unwrap();
        let cases = cases(&facts, &spec, &Subject::everything());
        facts.lab = None;
        let paths: Vec<_> = cases.iter().map(|case| expected(&facts, &spec, case)).collect();
        let mut found = paths.iter().flat_map(Path::findings);
        let found = found.find(|of| of.code == Code::PolicyDropped).unwrap();
        assert_eq!(mend(found), "kubectl get networkpolicy -A");
        assert!(found.fixes.iter().all(|fix| !fix.mends), "{found:?}");
        let by_hand = "`nft delete rule inet fault pod handle 9`";
        assert!(found.fixes[0].words.contains(by_hand), "{found:?}");
    });
}

#[test]
fn rules_before_translation_are_met_with_kube_proxy_and_not_with_netlabs_programs() {
    each(|mut facts| {
        let rule = json!([matches("tcp", "dport", 30080), {"drop": null}]);
        let node = host(&mut facts, "node-1");
        chain(node, "inet", "prerouting", -300, std::slice::from_ref(&rule));
        chain(node, "netdev", "ingress", 0, &[rule]);
        let tables = &mut node.nft.as_mut().unwrap().tables;
        tables.last_mut().unwrap().chains[0].hook.as_mut().unwrap().devices = vec!["eth0".into()];
        let found = codes(&facts);
        if facts.lab.as_ref().unwrap().proxy == Proxy::Ebpf {
            assert_eq!(found, BTreeSet::new());
        } else {
            assert_eq!(found, [on("node-1")(Code::InputDropped)].into());
        }
    });
}

/// A store of its own with one rule, or none and a policy.
pub(super) fn store(
    facts: &mut Facts,
    variant: Variant,
    chain: &str,
    policy: &str,
    rule: Option<&str>,
) {
    let rules = rule.map(|text| OldRule {
        number: 1,
        text: text.into(),
        arguments: text.split(' ').map(str::to_owned).collect(),
        target: text.rsplit(' ').next().map(str::to_owned),
        ..OldRule::default()
    });
    let chain = OldChain {
        name: chain.into(),
        policy: Some(policy.into()),
        rules: rules.into_iter().collect(),
        ..OldChain::default()
    };
    let table = OldTable { name: "filter".into(), chains: vec![chain], ..OldTable::default() };
    let store = Store { variant, v4: true, tables: vec![table] };
    host(facts, "node-1").iptables.insert(0, store);
}

#[test]
fn a_rule_in_the_legacy_store_is_found_and_is_deleted_by_what_it_says() {
    each(|mut facts| {
        let rule = Some("-d 10.244.1.0/24 -j DROP");
        store(&mut facts, Variant::Legacy, "FORWARD", "ACCEPT", rule);
        assert_eq!(only(&facts), on("node-1")(Code::ForwardDropped));
        let found = first(&facts, Code::ForwardDropped);
        let right = "iptables-legacy -w -t filter -D FORWARD -d 10.244.1.0/24 -j DROP";
        assert_eq!(mend(&found), right);
        assert!(found.evidence.iter().any(|of| of.text.ends_with("(number 1)")), "{found:?}");
    });
}

#[test]
fn a_rule_against_vxlan_in_the_legacy_store_is_found_with_vxlan_only() {
    each(|mut facts| {
        let mode = facts.lab.as_ref().unwrap().mode;
        store(
            &mut facts,
            Variant::Legacy,
            "INPUT",
            "ACCEPT",
            Some("-p udp -m udp --dport 8472 -j DROP"),
        );
        let found = codes(&facts);
        match mode {
            Mode::Vxlan => assert_eq!(found, [on("node-1")(Code::VxlanFiltered)].into()),
            Mode::HostGw => assert_eq!(found, BTreeSet::new()),
        }
    });
}

#[test]
fn a_mark_that_is_cleared_leaves_the_answer_to_go_past_the_entry() {
    kube_proxy(|mut facts| {
        let rule = json!([{"mangle": {"key": {"meta": {"key": "mark"}}, "value": 0}}]);
        chain(host(&mut facts, "node-1"), "inet", "forward", -150, &[rule]);
        let paths = walked(&facts);
        for path in &paths {
            let remote = path.case.backend.as_ref().unwrap().node.as_deref() == Some("node-2");
            let found: Vec<_> = path.findings().map(|of| of.code).collect();
            let bypassed = path.case.node == "node-1" && remote;
            assert_eq!(
                found,
                [Code::ReplyBypassesEntry][..usize::from(bypassed)],
                "{}",
                show(path)
            );
        }
        let found = first(&facts, Code::ReplyBypassesEntry);
        assert_eq!(mend(&found), "nft delete rule inet fault forward handle 5");
    });
}

#[test]
fn a_strangers_program_is_a_risk_and_a_capture_is_none() {
    each(|mut facts| {
        let program = |owner| Program {
            interface: "eth0".into(),
            attach: Attach::TcxIngress,
            id: 77,
            name: "filter_port".into(),
            tag: "0".into(),
            owner,
            link: None,
        };
        host(&mut facts, "node-1").programs.push(program(Owner::Capture));
        assert_eq!(codes(&facts), BTreeSet::new());
        host(&mut facts, "node-1").programs.push(program(Owner::Foreign));
        assert_eq!(only(&facts), on("node-1")(Code::ForeignProgram));
        assert_eq!(mend(&first(&facts, Code::ForeignProgram)), "");
        host(&mut facts, "node-1").programs.last_mut().unwrap().link = Some(5);
        let found = first(&facts, Code::ForeignProgram);
        assert_eq!(mend(&found), "bpftool link detach id 5");
        assert!(walked(&facts).iter().all(Path::passes));
    });
}

#[test]
fn two_causes_on_one_path_are_both_found() {
    each(|mut facts| {
        chain(
            host(&mut facts, "node-1"),
            "inet",
            "forward",
            0,
            &[json!([pod_network(), {"drop": null}])],
        );
        host(&mut facts, "web-1").listeners.clear();
        let found = codes(&facts);
        let both = [on("node-1")(Code::ForwardDropped), on("web-1")(Code::NothingListens)];
        assert_eq!(found, both.into());
    });
}
