//! Who is let in by his address, and the ports that he is masqueraded with.

use super::*;
use crate::doctor::{
    facts::{
        conntrack::{Connection, Conntrack},
        iptables::{Chain as OldChain, Rule as OldRule, Store, Table as OldTable, Variant},
    },
    finding::Severity,
};

/// Labs with kube-proxy's rules, in either mode.
fn each(mut test: impl FnMut(Facts)) {
    for facts in fixture::all() {
        if facts.lab.as_ref().unwrap().proxy != Proxy::Ebpf {
            test(facts);
        }
    }
}

/// A rule of nftables ahead of kube-proxy's, at node-1.
fn nft(facts: &mut Facts, (hook, kind, priority): (&str, &str, i32), rule: Value) {
    let node = host(facts, "node-1");
    chain(node, "ip", hook, priority, &[rule]);
    let table = node.nft.as_mut().unwrap().tables.last_mut().unwrap();
    table.chains[0].hook.as_mut().unwrap().kind = kind.into();
}

/// The same in iptables' old store.
fn iptables(facts: &mut Facts, table: &str, chain: &str, rule: &str) {
    let arguments: Vec<String> = rule.split(' ').map(str::to_owned).collect();
    let at = arguments.iter().position(|word| word == "-j").unwrap();
    let target = arguments.get(at + 1).cloned();
    let rule = OldRule { number: 1, text: rule.into(), arguments, target, ..OldRule::default() };
    let policy = Some("ACCEPT".into());
    let chain = OldChain { name: chain.into(), policy, rules: vec![rule], ..OldChain::default() };
    let table = OldTable { name: table.into(), chains: vec![chain], ..OldTable::default() };
    let store = Store { variant: Variant::Legacy, v4: true, tables: vec![table] };
    host(facts, "node-1").iptables.insert(0, store);
}

/// `meta l4proto tcp masquerade to :PORTS`.
fn masquerade(port: Value) -> Value {
    let tcp = json!({"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}});
    json!([tcp, {"masquerade": {"port": port}}])
}

const NAT: (&str, &str, i32) = ("postrouting", "nat", 90);

#[test]
fn few_ports_to_masquerade_with_are_a_risk_and_many_are_not() {
    each(|facts| {
        for port in [json!(1024), json!({"range": [1024, 1100]})] {
            let mut facts = facts.clone();
            nft(&mut facts, NAT, masquerade(port));
            assert_eq!(only(&facts), on("node-1")(Code::SnatPortsExhausted));
            let found = first(&facts, Code::SnatPortsExhausted);
            assert_eq!(found.severity, Severity::Risk);
            assert_eq!(mend(&found), "nft delete rule ip fault postrouting handle 5");
            assert!(walked(&facts).iter().all(Path::passes));
        }
        let mut facts = facts.clone();
        nft(&mut facts, NAT, masquerade(json!({"range": [1024, 65535]})));
        assert_eq!(codes(&facts), BTreeSet::new());
    });
}

#[test]
fn iptables_says_its_ports_in_words_of_its_own() {
    each(|facts| {
        let of = |rule: &str| {
            let mut facts = facts.clone();
            iptables(&mut facts, "nat", "POSTROUTING", rule);
            codes(&facts)
        };
        let few = [on("node-1")(Code::SnatPortsExhausted)].into();
        assert_eq!(of("-p tcp -j MASQUERADE --to-ports 1024-1025"), few);
        assert_eq!(of("-p tcp -j SNAT --to-source 172.18.0.2:1024-1025"), few);
        assert_eq!(of("-p tcp -j MASQUERADE --to-ports 1024-65535"), BTreeSet::new());
        assert_eq!(of("-p tcp -j SNAT --to-source 172.18.0.2"), BTreeSet::new());
    });
}

#[test]
fn ports_that_are_all_taken_towards_a_backend_impair_it() {
    each(|mut facts| {
        nft(&mut facts, NAT, masquerade(json!(1024)));
        let mut conntrack = Conntrack { count: 1, max: 1000, ..Conntrack::default() };
        let mut connect = |backend: &str, port: u16| {
            conntrack.connections.push(Connection {
                protocol: 6,
                original: (
                    "172.18.255.10:5000".parse().unwrap(),
                    "172.18.0.2:30080".parse().unwrap(),
                ),
                reply: (
                    backend.parse().unwrap(),
                    SocketAddr::new("172.18.0.2".parse().unwrap(), port),
                ),
                state: Some("TIME_WAIT".into()),
                replied: true,
                assured: true,
                expires_in: 100,
                mark: 0,
            });
            let mut facts = facts.clone();
            host(&mut facts, "node-1").conntrack = Some(conntrack.clone());
            // The address is the uplink's with host-gw, and the tunnel's or the bridge's else.
            let paths = walked(&facts);
            let mut all = paths.iter().flat_map(Path::findings);
            all.any(|of| of.severity == Severity::Impaired)
        };
        let direct = facts.lab.as_ref().unwrap().mode == Mode::HostGw;
        assert!(!connect("10.244.2.2:8080", 1023), "another port");
        assert!(!connect("10.244.9.9:8080", 1024), "another backend");
        assert_eq!(connect("10.244.2.2:8080", 1024), direct);
    });
}

fn other_sources() -> Value {
    let left = json!({"payload": {"protocol": "ip", "field": "saddr"}});
    let right = json!({"prefix": {"addr": "203.0.113.0", "len": 24}});
    json!({"match": {"op": "!=", "left": left, "right": right}})
}

#[test]
fn a_rule_for_the_port_that_spares_other_sources_is_told_from_a_firewall() {
    let at = ("prerouting", "filter", -150);
    let port = || matches("tcp", "dport", 30080);
    each(|facts| {
        let of = |rule: Value| {
            let mut facts = facts.clone();
            nft(&mut facts, at, rule);
            codes(&facts)
        };
        let denied = [on("node-1")(Code::SourceRangeDenied)].into();
        let dropped: BTreeSet<_> = [on("node-1")(Code::InputDropped)].into();
        assert_eq!(of(json!([port(), other_sources(), {"drop": null}])), denied);
        assert_eq!(of(json!([port(), {"drop": null}])), dropped);
        assert!(
            of(json!([other_sources(), {"drop": null}]))
                .contains(&on("node-1")(Code::InputDropped))
        );
        let own = json!({"payload": {"protocol": "ip", "field": "saddr"}});
        let net = json!({"prefix": {"addr": "172.18.0.0", "len": 16}});
        let own = json!({"match": {"op": "!=", "left": own, "right": net}});
        assert_eq!(of(json!([port(), own, {"drop": null}])), BTreeSet::new());
    });
}

#[test]
fn the_same_is_told_in_iptables() {
    each(|facts| {
        let of = |rule: &str| {
            let mut facts = facts.clone();
            iptables(&mut facts, "mangle", "PREROUTING", rule);
            codes(&facts)
        };
        let denied = [on("node-1")(Code::SourceRangeDenied)].into();
        assert_eq!(of("! -s 203.0.113.0/24 -p tcp -m tcp --dport 30080 -j DROP"), denied);
        let dropped = [on("node-1")(Code::InputDropped)].into();
        assert_eq!(of("-p tcp -m tcp --dport 30080 -j DROP"), dropped);
        let let_in = of("! -s 172.18.0.0/16 -p tcp -m tcp --dport 30080 -j DROP");
        assert_eq!(let_in, BTreeSet::new());
    });
}

#[test]
fn kube_proxys_own_refusal_is_no_cause_without_endpoints_and_out_of_date_with_some() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let table = &mut host(&mut facts, "node-1").nft.as_mut().unwrap().tables[0];
    let is_web = |element: &Value| element.to_string().contains("30080");
    let set = |table: &mut Table, name: &str| {
        let at = table.sets.iter().position(|set| set.name == name).unwrap();
        std::mem::take(&mut table.sets[at].elements)
    };
    let mut all = set(table, "service-nodeports");
    all.retain(|element| !is_web(element));
    let refused = json!([{"concat": ["tcp", 30080]}, {"goto": {"target": "reject-chain"}}]);
    for of in &mut table.sets {
        match of.name.as_str() {
            "service-nodeports" => of.elements.clone_from(&all),
            "no-endpoint-nodeports" => of.elements = vec![refused.clone()],
            _ => {}
        }
    }
    assert_eq!(only(&facts), on("node-1")(Code::ProxyStale));
    for manifest in &mut facts.manifests {
        let before = manifest.text.clone();
        manifest.text = before.replace("selector:\n    app: web", "selector:\n    app: wbe");
    }
    assert_eq!(codes(&facts), BTreeSet::new());
}

#[test]
fn an_address_that_kube_proxy_was_told_to_leave_out_is_told_from_rules_that_are_gone() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let answering = |facts: &mut Facts, address: Option<&str>| {
        let tables = &mut host(facts, "node-1").nft.as_mut().unwrap().tables;
        let sets =
            tables.iter_mut().filter(|table| table.family == "ip").flat_map(|of| &mut of.sets);
        let mut ips = sets.filter(|set| set.name == "nodeport-ips");
        ips.next().unwrap().elements = address.into_iter().map(Value::from).collect();
    };
    answering(&mut facts, None);
    assert_eq!(only(&facts), on("node-1")(Code::ProxyStale));
    answering(&mut facts, Some("10.244.1.1"));
    assert_eq!(only(&facts), on("node-1")(Code::AddressExcluded));
    let found = first(&facts, Code::AddressExcluded);
    assert!(found.cause.contains("172.18.0.2, but on 10.244.1.1"), "{}", found.cause);
    answering(&mut facts, Some("172.18.0.2"));
    assert_eq!(codes(&facts), BTreeSet::new());
}
