use super::{reduce::to_subject, *};

/// `nft -j list ruleset`, nft 1.0.6.
const JSON: &str = r#"{"nftables": [
{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
{"table": {"family": "ip", "name": "kube-proxy", "handle": 1}},
{"map": {"family": "ip", "name": "service-nodeports", "table": "kube-proxy",
  "type": ["inet_proto", "inet_service"], "handle": 33, "map": "verdict", "elem": [
  [{"concat": ["udp", 30053]}, {"goto": {"target": "external-dns"}}],
  [{"concat": ["tcp", 30080]}, {"goto": {"target": "external-web"}}]]}},
{"chain": {"family": "ip", "table": "kube-proxy", "name": "external-dns", "handle": 9}},
{"chain": {"family": "ip", "table": "kube-proxy", "name": "external-web", "handle": 8}},
{"chain": {"family": "ip", "table": "kube-proxy", "name": "nat-prerouting", "handle": 20,
  "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}},
{"rule": {"family": "ip", "table": "kube-proxy", "chain": "external-web", "handle": 47,
  "comment": "why", "expr": [{"counter": {"packets": 3, "bytes": 180}},
  {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
  "right": {"set": ["10.0.0.1", "10.0.0.2"]}}}, {"drop": null}]}},
{"rule": {"family": "ip", "table": "kube-proxy", "chain": "nat-prerouting", "handle": 66,
  "expr": [{"vmap": {"key": {"concat": [{"meta": {"key": "l4proto"}},
  {"payload": {"protocol": "th", "field": "dport"}}]}, "data": "@service-nodeports"}}]}},
{"table": {"family": "netdev", "name": "edge", "handle": 2, "flags": ["dormant"]}},
{"chain": {"family": "netdev", "table": "edge", "name": "in", "handle": 1, "type": "filter",
  "hook": "ingress", "prio": 0, "policy": "drop", "dev": "eth0"}},
{"ct helper": {"family": "ip", "name": "x", "table": "kube-proxy"}}
]}"#;

/// `nft -a list ruleset` of the same.
const TEXT: &str = "table ip kube-proxy { # handle 1
\tmap service-nodeports { # handle 33
\t\ttype inet_proto . inet_service : verdict
\t\telements = { udp . 30053 : goto external-dns,
\t\t\t     tcp . 30080 : goto external-web }
\t}

\tchain external-web { # handle 8
\t\tcomment \"of a chain\"
\t\tcounter packets 3 bytes 180 ip saddr { 10.0.0.1,
\t\t\t     10.0.0.2 } drop comment \"why\" # handle 47
\t}

\tchain nat-prerouting { # handle 20
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tmeta l4proto . th dport vmap @service-nodeports # handle 66
\t}
}
";

fn ruleset() -> Ruleset {
    let mut ruleset = parse(JSON).unwrap();
    text::add(&mut ruleset, TEXT);
    ruleset
}

#[test]
fn rules_have_their_text_their_handle_and_what_was_counted() {
    let ruleset = ruleset();
    let table = ruleset.table("ip", "kube-proxy").unwrap();
    let rule = &table.chain("external-web").unwrap().rules[0];
    assert_eq!((rule.handle, rule.comment.as_deref()), (47, Some("why")));
    assert_eq!(rule.counter, Some(Counted { packets: 3, bytes: 180 }));
    assert_eq!(
        rule.text,
        "counter packets 3 bytes 180 ip saddr { 10.0.0.1, 10.0.0.2 } drop comment \"why\""
    );
    let rule = &table.chain("nat-prerouting").unwrap().rules[0];
    assert_eq!(rule.text, "meta l4proto . th dport vmap @service-nodeports");
    assert_eq!(rule.counter, None);
}

#[test]
fn a_rule_that_was_not_printed_has_its_statements() {
    let mut ruleset = parse(JSON).unwrap();
    text::substitute(&mut ruleset);
    let rule = &ruleset.tables[0].chain("external-web").unwrap().rules[0];
    assert!(rule.text.starts_with(r#"{"counter":{"#) && rule.text.ends_with(r#"{"drop":null}"#));
}

#[test]
fn base_chains_have_their_hook_its_priority_and_policy() {
    let ruleset = ruleset();
    let chain = ruleset.table("ip", "kube-proxy").unwrap().chain("nat-prerouting").unwrap();
    let hook = chain.hook.as_ref().unwrap();
    assert_eq!((hook.hook.as_str(), hook.priority), ("prerouting", -100));
    assert_eq!(hook.policy, "accept");
    let edge = ruleset.table("netdev", "edge").unwrap();
    assert!(edge.dormant);
    let hook = edge.chain("in").unwrap().hook.as_ref().unwrap();
    assert_eq!((hook.policy.as_str(), &hook.devices[..]), ("drop", &["eth0".to_owned()][..]));
}

/// As many Services as it takes for a rule set to be cut.
fn many() -> Ruleset {
    let mut ruleset = ruleset();
    let table = &mut ruleset.tables[0];
    for port in 31000..31300_u16 {
        let name = format!("external-{port}");
        let element = serde_json::json!([{"concat": ["tcp", port]}, {"goto": {"target": name}}]);
        table.sets[0].elements.push(element);
        table.chains.push(Chain { name, ..Chain::default() });
    }
    ruleset
}

#[test]
fn a_large_rule_set_is_cut_down_to_what_the_subject_gets_to() {
    let mut ruleset = many();
    let subject = Subject { ports: [30080, 31007].into(), ..Subject::everything() };
    to_subject(&mut ruleset, &subject);
    let table = ruleset.table("ip", "kube-proxy").unwrap();
    let names: Vec<_> = table.chains.iter().map(|chain| chain.name.as_str()).collect();
    assert_eq!(names, ["external-web", "nat-prerouting", "external-31007"]);
    assert_eq!((table.sets[0].elements.len(), table.sets[0].left_out), (2, 300));
    assert_eq!(ruleset.chains_left_out, 300);
}

#[test]
fn about_everything_a_large_rule_set_stays_up_to_its_bounds() {
    let mut ruleset = many();
    let before = ruleset.clone();
    to_subject(&mut ruleset, &Subject::everything());
    assert_eq!(ruleset, before);
}

#[test]
fn a_small_rule_set_stays_whole() {
    let mut ruleset = ruleset();
    let subject = Subject { ports: [1].into(), ..Subject::everything() };
    to_subject(&mut ruleset, &subject);
    assert_eq!(ruleset.table("ip", "kube-proxy").unwrap().chains.len(), 3);
}

#[test]
fn the_links_of_a_chain_are_taken_from_the_text_where_the_json_has_none() {
    let json = JSON.replace(r#", "dev": "eth0""#, "");
    for (text, links) in [
        ("hook ingress device \"eth0\" priority filter;", vec!["eth0"]),
        ("hook ingress devices = { eth0, \"eth1\" } priority 0;", vec!["eth0", "eth1"]),
        ("hook ingress priority filter;", vec![]),
    ] {
        let printed = format!(
            "table netdev edge {{ # handle 2\n\tchain in {{ # handle 1\n\t\ttype filter {text} \
             policy drop;\n\t}}\n}}\n"
        );
        let mut ruleset = parse(&json).unwrap();
        text::add(&mut ruleset, &printed);
        let chain = ruleset.table("netdev", "edge").unwrap().chain("in").unwrap();
        assert_eq!(chain.hook.as_ref().unwrap().devices, links, "{text}");
    }
}
