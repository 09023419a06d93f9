//! Rules and maps of nftables (libnftables-json(5)).

use std::net::IpAddr;

use serde_json::Value;

use super::{Asked, DEEPEST, Frontend, Targets, protocol};
use crate::doctor::facts::nft::{Table, port};

pub(super) fn frontends(table: &Table) -> Vec<Frontend> {
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
        add_targets(table, verdict, 0, &mut targets);
        found.extend(asked.frontends(&targets));
    }
    for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
        let mut asked = Asked::default();
        rule.statements.iter().for_each(|statement| condition(statement, &mut asked));
        if !asked.ports.is_empty() {
            let mut targets = Targets::default();
            rule.statements.iter().for_each(|of| add_targets(table, of, 0, &mut targets));
            found.extend(asked.frontends(&targets));
        }
    }
    found
}

/// `tcp dport 80`, `ip daddr 10.0.0.1`, `meta l4proto udp`.
fn condition(statement: &Value, asked: &mut Asked) {
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
fn add_targets(table: &Table, value: &Value, depth: usize, targets: &mut Targets) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::Array(values) => {
            values.iter().for_each(|value| add_targets(table, value, depth, targets));
        }
        Value::Object(members) => {
            for (name, of) in members {
                match name.as_str() {
                    "dnat" => targets.found.extend(destination(of)),
                    "jump" | "goto" => {
                        let target = of.get("target").and_then(Value::as_str);
                        let is_new = |name: &&str| targets.seen.insert((*name).to_owned());
                        let chain = target.filter(is_new).and_then(|name| table.chain(name));
                        let rules = chain.iter().flat_map(|chain| &chain.rules);
                        rules.flat_map(|rule| &rule.statements).for_each(|statement| {
                            add_targets(table, statement, depth + 1, targets);
                        });
                    }
                    // By chance, or by the client: any of its elements.
                    "vmap" | "data" | "set" => add_targets(table, of, depth, targets),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn destination(of: &Value) -> Option<(IpAddr, Option<u16>)> {
    let address = of.get("addr")?.as_str()?.parse().ok()?;
    Some((address, of.get("port").and_then(port)))
}
