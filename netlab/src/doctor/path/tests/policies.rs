//! Policies of chains: what they drop, and the rule that lets it through and nothing else.

use super::{
    rules::{each, store},
    *,
};
use crate::doctor::facts::{Source, iptables::Variant};

#[test]
fn the_policy_of_forward_is_found_in_iptables_own_words() {
    each(|mut facts| {
        let mut fine = facts.clone();
        store(&mut fine, Variant::Legacy, "FORWARD", "ACCEPT", None);
        assert_eq!(codes(&fine), BTreeSet::new());
        store(&mut facts, Variant::Legacy, "FORWARD", "DROP", None);
        assert_eq!(only(&facts), on("node-1")(Code::ForwardDropped));
        let found = first(&facts, Code::ForwardDropped);
        let begin = "iptables-legacy -w -t filter -A FORWARD";
        let nets = "10.244.1.0/24,10.244.2.0/24";
        assert_eq!(mend(&found), format!("{begin} -d {nets} -j ACCEPT"));
        assert_eq!(
            found.fixes[0].then[0].command.join(" "),
            format!("{begin} -s {nets} -j ACCEPT")
        );
        assert_eq!(found.evidence[0].source, Source::IptablesLegacy);
    });
}

/// A chain of nftables with these rules and a policy.
fn policy(host: &mut HostFacts, hook: &str, of: &str, rules: &[Value]) {
    chain(host, "inet", hook, 0, rules);
    let table = host.nft.as_mut().unwrap().tables.last_mut().unwrap();
    table.chains[0].hook.as_mut().unwrap().policy = of.into();
}

#[test]
fn a_policy_that_no_rule_would_come_before_is_left_as_it_is() {
    let advised = |facts: &Facts, name| {
        let found = first(facts, Code::ForwardDropped);
        assert_eq!(found.host.as_deref(), Some(name));
        assert!(found.evidence[0].text.to_lowercase().contains("drop"), "{found:?}");
        let fix = &found.fixes[0];
        assert!(found.fixes.len() == 1 && fix.command.is_empty() && !fix.mends, "{found:?}");
        assert!(fix.words.contains("leave the policy as it is"), "{found:?}");
    };
    let healthy = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let mut facts = healthy.clone();
    policy(host(&mut facts, "client"), "output", "drop", &[]);
    advised(&facts, "client");
    // What returns from a base chain is not shown to the rules behind it.
    let mut facts = healthy.clone();
    policy(host(&mut facts, "node-1"), "forward", "drop", &[json!([{"return": null}])]);
    advised(&facts, "node-1");
    let mut facts = healthy;
    store(&mut facts, Variant::Legacy, "FORWARD", "DROP", Some("-d 10.244.0.0/16 -j RETURN"));
    store(&mut facts, Variant::Nft, "FORWARD", "ACCEPT", None);
    advised(&facts, "node-1");
}

#[test]
fn where_no_pods_are_known_a_policy_is_mended_for_the_packets_own_port_and_for_answers() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    facts.lab = None;
    facts.manifests.clear();
    let node = host(&mut facts, "node-1");
    let to = json!([matches("tcp", "dport", 8088), {"dnat": {"addr": "10.244.1.2", "port": 8080}}]);
    chain(node, "ip", "prerouting", -100, &[to]);
    let table = node.nft.as_mut().unwrap().tables.last_mut().unwrap();
    table.chains[0].hook.as_mut().unwrap().kind = "nat".into();
    let spec = facts.spec().unwrap();
    let address = "172.18.0.2".parse().unwrap();
    let subject = Subject::dialled("172.18.0.2:8088", address, 8088, &spec);
    let mends = |facts: &Facts| -> Vec<String> {
        let found = judge(facts, &spec, &subject).findings.into_iter();
        let fixes = found.flat_map(|of| of.finding.fixes);
        let steps = fixes.flat_map(|fix| {
            let then = fix.then.into_iter().map(|step| step.command);
            std::iter::once(fix.command).chain(then).collect::<Vec<_>>()
        });
        steps.map(|command| command.join(" ")).collect()
    };
    assert_eq!(mends(&facts), Vec::<String>::new());
    let mut old = facts.clone();
    store(&mut old, Variant::Legacy, "FORWARD", "DROP", None);
    let begin = "iptables-legacy -w -t filter -A FORWARD";
    let there = format!("{begin} -d 10.244.1.2 -p tcp --dport 8080 -j ACCEPT");
    let back = format!("{begin} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT");
    assert_eq!(mends(&old), [there, back]);
    policy(host(&mut facts, "node-1"), "forward", "drop", &[]);
    let begin = "nft add rule inet fault forward";
    let there = format!("{begin} ip daddr {{10.244.1.2}} tcp dport 8080 accept");
    assert_eq!(mends(&facts), [there, format!("{begin} ct state established,related accept")]);
}

#[test]
fn a_policy_is_mended_by_a_rule_for_what_it_drops_and_no_further() {
    let policy = |facts: &mut Facts, hook: &str, of: &str| {
        policy(host(facts, "node-1"), hook, of, &[]);
    };
    for proxy in [Proxy::Ebpf, Proxy::Nftables] {
        let mut facts = fixture::lab(Mode::Vxlan, proxy);
        policy(&mut facts, "input", "accept");
        assert_eq!(codes(&facts), BTreeSet::new());
        policy(&mut facts, "input", "drop");
        assert_eq!(only(&facts), on("node-1")(Code::VxlanFiltered));
        let found = first(&facts, Code::VxlanFiltered);
        let asks = "ip saddr {172.18.0.2,172.18.0.3} udp dport 8472";
        assert_eq!(mend(&found), format!("nft add rule inet fault input {asks} accept"));
        let both: Vec<_> = found.fixes[0].commands().map(|of| of.join(" ")).collect();
        assert_eq!(both.len(), 2, "one mend for the tunnels of both families: {both:?}");
        assert!(both[1].contains("ip6 saddr {fd00:172:18::2,fd00:172:18::3} udp"), "{both:?}");
        assert!(found.evidence[0].text.ends_with("policy drop"), "{found:?}");
    }
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    policy(&mut facts, "forward", "drop");
    assert_eq!(only(&facts), on("node-1")(Code::ForwardDropped));
    let found = first(&facts, Code::ForwardDropped);
    let commands: Vec<_> = found.fixes[0].commands().map(|of| of.join(" ")).collect();
    assert_eq!(commands.len(), 4, "{commands:?}");
    let begin = "nft add rule inet fault forward";
    assert_eq!(commands[0], format!("{begin} ip daddr {{10.244.1.0/24,10.244.2.0/24}} accept"));
    assert!(commands.iter().all(|of| of.starts_with(begin)), "{commands:?}");
}

#[test]
fn a_policy_behind_rules_that_were_cut_away_is_not_sure() {
    each(|mut facts| {
        store(&mut facts, Variant::Legacy, "FORWARD", "DROP", Some("-d 192.0.2.1 -j ACCEPT"));
        assert_eq!(first(&facts, Code::ForwardDropped).confidence, Confidence::Certain);
        let of_store = |facts: &mut Facts, number, left_out| {
            let chain = &mut host(facts, "node-1").iptables[0].tables[0].chains[0];
            (chain.rules[0].number, chain.left_out) = (number, left_out);
        };
        for number in [1, 2] {
            of_store(&mut facts, number, 1);
            let confidence = first(&facts, Code::ForwardDropped).confidence;
            assert_eq!(confidence, Confidence::Likely, "rule {number} of two");
        }
        let dropped = Some("-d 10.244.1.0/24 -j DROP");
        host(&mut facts, "node-1").iptables.remove(0);
        store(&mut facts, Variant::Legacy, "FORWARD", "ACCEPT", dropped);
        for (number, confidence) in [(1, Confidence::Certain), (2, Confidence::Likely)] {
            of_store(&mut facts, number, 1);
            let found = first(&facts, Code::ForwardDropped).confidence;
            assert_eq!(found, confidence, "what was cut away comes after rule 1, before rule 2");
        }
    });
}
