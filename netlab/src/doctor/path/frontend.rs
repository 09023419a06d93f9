//! What a host's own rules give to others: addresses and ports that are translated, and to whom.
//!
//! For hosts of which no objects are known. Read as kube-proxy writes it, in either store, and as
//! people write single rules: a rule or an element of a map that names a port, and the
//! destination NAT that it leads to.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use serde_json::Value;

use super::packet::{TCP, UDP};
use crate::{
    doctor::facts::{HostFacts, datapath, iptables, nft},
    spec::model::Protocol,
};

/// Deeper than rules are nested.
const DEEPEST: usize = 16;

/// What rules lead to.
#[derive(Debug, Default)]
struct Targets {
    /// Addresses, with ports where they are changed.
    found: BTreeSet<(IpAddr, Option<u16>)>,
    /// Names of chains that have been looked into: several ways may lead to each.
    seen: BTreeSet<String>,
}

/// Something that is translated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Frontend {
    /// None for any address that the rule is asked about.
    pub address: Option<IpAddr>,
    pub protocol: Protocol,
    pub port: u16,
    /// To whom; a rule that keeps the port has the frontend's.
    pub backends: Vec<SocketAddr>,
}

impl Frontend {
    /// Whether it is about what was dialled.
    pub fn has(&self, dialled: SocketAddr) -> bool {
        self.port == dialled.port() && self.address.is_none_or(|own| own == dialled.ip())
    }
}

/// All of a host, once each, by address and port.
pub(super) fn frontends(host: &HostFacts) -> Vec<Frontend> {
    let tables = host.nft.iter().flat_map(|rules| &rules.tables);
    let own = tables.filter(|table| {
        let is_ip = matches!(table.family.as_str(), "ip" | "ip6" | "inet");
        // Tables of iptables-nft are read through its own store.
        let of_iptables = host.iptables.iter().any(|store| {
            store.variant == iptables::Variant::Nft && store.table(&table.name).is_some()
        });
        is_ip && !table.dormant && !of_iptables
    });
    let mut found: Vec<Frontend> = own.flat_map(of_nft).collect();
    let stores = host.iptables.iter().filter_map(|store| store.table("nat"));
    found.extend(stores.flat_map(of_iptables));
    found.extend(host.datapath.iter().flat_map(|maps| &maps.frontends).filter_map(of_map));
    found.retain(|frontend| !frontend.backends.is_empty());
    found.sort();
    found.dedup();
    found
}

/// One that netlab's programs have: node ports are at any address, of a family.
fn of_map(of: &datapath::Frontend) -> Option<Frontend> {
    let address = Some(of.address.ip()).filter(|address| !address.is_unspecified());
    let protocol = match of.protocol {
        TCP => Protocol::Tcp,
        UDP => Protocol::Udp,
        _ => return None,
    };
    let backends = of.backends.iter().map(|backend| backend.address).collect();
    Some(Frontend { address, protocol, port: of.address.port(), backends })
}

/// What a rule or a key asks about.
#[derive(Clone, Debug, Default)]
struct Asked {
    address: Option<IpAddr>,
    protocol: Option<Protocol>,
    ports: Vec<u16>,
}

impl Asked {
    fn frontends(&self, targets: &Targets) -> Vec<Frontend> {
        let Some(protocol) = self.protocol else { return Vec::new() };
        let frontend = |port: &u16| Frontend {
            address: self.address,
            protocol,
            port: *port,
            backends: targets
                .found
                .iter()
                .map(|(address, to)| SocketAddr::new(*address, to.unwrap_or(*port)))
                .collect(),
        };
        self.ports.iter().map(frontend).collect()
    }

    /// One word of a key of a map: an address, a protocol, a port.
    fn word(&mut self, word: &Value) {
        match word {
            Value::Number(port) => {
                self.ports.extend(port.as_u64().and_then(|port| u16::try_from(port).ok()));
            }
            Value::String(text) => match protocol(text) {
                Some(protocol) => self.protocol = Some(protocol),
                None => self.address = text.parse().ok().or(self.address),
            },
            _ => {}
        }
    }
}

fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}

fn of_nft(table: &nft::Table) -> Vec<Frontend> {
    let mut found = Vec::new();
    let maps = table.sets.iter().filter(|set| set.map).flat_map(|set| &set.elements);
    for element in maps {
        let (Some(key), Some(verdict)) = (element.get(0), element.get(1)) else { continue };
        let mut asked = Asked::default();
        match key.get("concat").and_then(Value::as_array) {
            Some(words) => words.iter().for_each(|word| asked.word(word)),
            None => continue,
        }
        let mut targets = Targets::default();
        nft_targets(table, verdict, 0, &mut targets);
        found.extend(asked.frontends(&targets));
    }
    for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
        let mut asked = Asked::default();
        rule.statements.iter().for_each(|statement| nft_condition(statement, &mut asked));
        if !asked.ports.is_empty() {
            let mut targets = Targets::default();
            rule.statements.iter().for_each(|of| nft_targets(table, of, 0, &mut targets));
            found.extend(asked.frontends(&targets));
        }
    }
    found
}

/// `tcp dport 80`, `ip daddr 10.0.0.1`, `meta l4proto udp`.
fn nft_condition(statement: &Value, asked: &mut Asked) {
    let Some(of) = statement.get("match") else { return };
    let is_equal = of.get("op").and_then(Value::as_str).is_none_or(|op| op == "==" || op == "in");
    let (Some(left), Some(right)) = (of.get("left"), of.get("right")) else { return };
    if !is_equal {
        return;
    }
    let word = |key: &str, of: &str| left.get(key)?.get(of)?.as_str();
    let values = right
        .get("set")
        .and_then(Value::as_array)
        .map_or_else(|| std::slice::from_ref(right), Vec::as_slice);
    match word("payload", "field") {
        Some("dport") => {
            if let Some(of) = word("payload", "protocol").and_then(protocol) {
                asked.protocol = Some(of);
            }
            values.iter().filter(|value| value.is_number()).for_each(|value| asked.word(value));
        }
        Some("daddr") if right.is_string() => asked.word(right),
        Some("protocol" | "nexthdr") if right.is_string() => asked.word(right),
        None if word("meta", "key") == Some("l4proto") && right.is_string() => asked.word(right),
        _ => {}
    }
}

/// Destinations that a statement leads to.
fn nft_targets(table: &nft::Table, value: &Value, depth: usize, targets: &mut Targets) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::Array(values) => {
            values.iter().for_each(|value| nft_targets(table, value, depth, targets));
        }
        Value::Object(members) => {
            for (name, of) in members {
                match name.as_str() {
                    "dnat" => targets.found.extend(nft_destination(of)),
                    "jump" | "goto" => {
                        let target = of.get("target").and_then(Value::as_str);
                        let is_new = |name: &&str| targets.seen.insert((*name).to_owned());
                        let chain = target.filter(is_new).and_then(|name| table.chain(name));
                        let rules = chain.iter().flat_map(|chain| &chain.rules);
                        rules.flat_map(|rule| &rule.statements).for_each(|statement| {
                            nft_targets(table, statement, depth + 1, targets);
                        });
                    }
                    // By chance, or by the client: any of its elements.
                    "vmap" | "data" | "set" => nft_targets(table, of, depth, targets),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn nft_destination(of: &Value) -> Option<(IpAddr, Option<u16>)> {
    let address = of.get("addr")?.as_str()?.parse().ok()?;
    let port = of.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    Some((address, port))
}

fn of_iptables(nat: &iptables::Table) -> Vec<Frontend> {
    let mut found = Vec::new();
    for rule in nat.chains.iter().flat_map(|chain| &chain.rules) {
        let mut asked = Asked::default();
        let words: Vec<&str> = rule.arguments.iter().map(String::as_str).collect();
        for (at, pair) in words.windows(2).enumerate() {
            if at > 0 && words[at - 1] == "!" {
                continue;
            }
            match pair[0] {
                "-p" => asked.protocol = protocol(pair[1]),
                "-d" => asked.address = single(pair[1]),
                "--dport" | "--dports" => {
                    asked.ports = pair[1].split(',').filter_map(|port| port.parse().ok()).collect();
                }
                _ => {}
            }
        }
        if !asked.ports.is_empty() {
            let mut targets = Targets::default();
            iptables_targets(nat, rule, 0, &mut targets);
            found.extend(asked.frontends(&targets));
        }
    }
    found
}

/// An address, or a network of one.
fn single(text: &str) -> Option<IpAddr> {
    let net: IpNet =
        text.parse().or_else(|_| text.parse().map(IpNet::from as fn(IpAddr) -> _)).ok()?;
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

fn iptables_targets(
    nat: &iptables::Table,
    rule: &iptables::Rule,
    depth: usize,
    targets: &mut Targets,
) {
    if depth > DEEPEST {
        return;
    }
    let Some(target) = rule.target.as_deref() else { return };
    if target == "DNAT" {
        let at = rule.arguments.iter().position(|word| word == "--to-destination");
        let to = at.and_then(|at| rule.arguments.get(at + 1));
        let parsed = to.and_then(|to| match to.parse::<SocketAddr>() {
            Ok(to) => Some((to.ip(), Some(to.port()))),
            Err(_) => Some((to.parse().ok()?, None)),
        });
        targets.found.extend(parsed);
    } else if let Some(chain) = nat.chain(target)
        && targets.seen.insert(target.to_owned())
    {
        chain.rules.iter().for_each(|rule| iptables_targets(nat, rule, depth + 1, targets));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::facts::nft::{Chain, Rule, Ruleset, Set, Table};

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
    fn what_netlab_s_programs_have_is_a_frontend_too() {
        use crate::{
            doctor::facts::fixture,
            lab::{Mode, Proxy},
        };
        let facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
        let found = frontends(facts.host("node-1").unwrap());
        let asked = "172.18.0.2:30080".parse().unwrap();
        let web: Vec<_> = found.iter().filter(|of| of.has(asked)).collect();
        assert!(web.iter().any(|of| of.protocol == Protocol::Tcp), "{found:?}");
        assert!(web.iter().all(|of| of.address.is_none() && !of.backends.is_empty()), "{web:?}");
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
        let asked: Vec<_> =
            of_iptables(&nat).into_iter().map(|of| (of.address, of.port, of.backends)).collect();
        let to: Vec<SocketAddr> = vec!["10.0.0.1:80".parse().unwrap()];
        let own = Some("fd00::1".parse().unwrap());
        assert_eq!(asked, [(None, 30080, to.clone()), (own, 80, to)]);
    }
}
