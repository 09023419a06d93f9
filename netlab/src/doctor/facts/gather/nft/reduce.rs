//! Cutting a large rule set down to what the subject can get to.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
};

use ipnet::IpNet;
use serde_json::Value;

use super::super::super::{
    nft::{Chain, Ruleset, Set, Table},
    subject::Subject,
};

/// Rule sets with no more chains than this stay whole.
const MOST_CHAINS: usize = 256;
/// Sets with no more elements than this stay whole.
const SMALL_SET: usize = 64;
/// Most elements of a set that touch the subject.
const MOST_ELEMENTS: usize = 512;

/// Cuts the elements of sets, and then the chains that nothing leads to any more.
pub(super) fn to_subject(ruleset: &mut Ruleset, subject: &Subject) {
    for set in ruleset.tables.iter_mut().flat_map(|table| &mut table.sets) {
        cut(set, subject);
    }
    let chains: usize = ruleset.tables.iter().map(|table| table.chains.len()).sum();
    if chains <= MOST_CHAINS {
        return;
    }
    for table in &mut ruleset.tables {
        let reachable = reachable(table);
        table.chains.retain(|chain| reachable.contains(&chain.name));
    }
    let left: usize = ruleset.tables.iter().map(|table| table.chains.len()).sum();
    ruleset.chains_left_out = chains - left;
}

fn cut(set: &mut Set, subject: &Subject) {
    let before = set.elements.len();
    if before <= SMALL_SET {
        return;
    }
    set.elements.retain(|element| touches(key(element, set.map), subject));
    set.elements.truncate(MOST_ELEMENTS);
    set.left_out = before - set.elements.len();
}

/// Of a map, an element is a pair.
fn key(element: &Value, map: bool) -> &Value {
    match element {
        Value::Array(pair) if map => pair.first().unwrap_or(element),
        _ => element,
    }
}

/// Whether one of its addresses and one of its ports are the subject's; a key without addresses
/// is judged by its ports alone, and one without either stays.
fn touches(key: &Value, subject: &Subject) -> bool {
    let mut leaves = Leaves::default();
    leaves.walk(key);
    let has_address = leaves.nets.is_empty() || leaves.nets.iter().any(|net| subject.touches(*net));
    let has_port = leaves.numbers.is_empty()
        || leaves.numbers.iter().any(|(low, high)| {
            subject.is_everything() || subject.ports.range(*low..=*high).next().is_some()
        });
    has_address && has_port
}

/// Addresses and numbers in an element.
#[derive(Default)]
struct Leaves {
    nets: Vec<IpNet>,
    numbers: Vec<(u16, u16)>,
}

impl Leaves {
    fn walk(&mut self, value: &Value) {
        match value {
            Value::Number(number) => {
                let number = number.as_u64().and_then(|number| u16::try_from(number).ok());
                self.numbers.extend(number.map(|number| (number, number)));
            }
            Value::String(text) => {
                self.nets.extend(text.parse::<IpAddr>().map(IpNet::from));
            }
            Value::Array(values) => values.iter().for_each(|value| self.walk(value)),
            Value::Object(members) => {
                for (name, member) in members {
                    match name.as_str() {
                        "prefix" => self.nets.extend(prefix(member)),
                        "range" => self.range(member),
                        // Of an element with a timeout, a counter or a comment.
                        "elem" | "val" | "concat" | "set" => self.walk(member),
                        _ => {}
                    }
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// A range of addresses counts as everything: it is small in number.
    fn range(&mut self, ends: &Value) {
        let end = |index: usize| ends.get(index)?.as_u64().and_then(|n| u16::try_from(n).ok());
        if let (Some(low), Some(high)) = (end(0), end(1)) {
            self.numbers.push((low.min(high), high));
        }
    }
}

fn prefix(value: &Value) -> Option<IpNet> {
    let address = value.get("addr")?.as_str()?.parse().ok()?;
    let length = u8::try_from(value.get("len")?.as_u64()?).ok()?;
    IpNet::new(address, length).ok()
}

/// Names of base chains and of what rules lead to from there.
fn reachable(table: &Table) -> HashSet<String> {
    let by_name: std::collections::HashMap<&str, &Chain> =
        table.chains.iter().map(|chain| (chain.name.as_str(), chain)).collect();
    let mut reached: HashSet<String> = HashSet::new();
    let mut waiting: Vec<&str> = table
        .chains
        .iter()
        .filter(|chain| chain.hook.is_some())
        .map(|chain| chain.name.as_str())
        .collect();
    let mut looked_at = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if !reached.insert(name.to_owned()) {
            continue;
        }
        let Some(chain) = by_name.get(name) else { continue };
        for statement in chain.rules.iter().flat_map(|rule| &rule.statements) {
            targets(statement, table, &mut waiting, &mut looked_at);
        }
    }
    reached
}

/// Chains that a statement, or an element of a map that it names, leads to.
fn targets<'t>(
    value: &'t Value,
    table: &'t Table,
    found: &mut Vec<&'t str>,
    looked_at: &mut BTreeSet<&'t str>,
) {
    match value {
        Value::Array(values) => {
            values.iter().for_each(|value| targets(value, table, found, looked_at));
        }
        Value::Object(members) => {
            for (name, member) in members {
                if let ("jump" | "goto", Some(target)) = (name.as_str(), member.get("target")) {
                    found.extend(target.as_str());
                } else {
                    targets(member, table, found, looked_at);
                }
            }
        }
        Value::String(text) => {
            let Some(name) = text.strip_prefix('@').filter(|name| looked_at.insert(name)) else {
                return;
            };
            let Some(set) = table.set(name) else { return };
            set.elements.iter().for_each(|element| targets(element, table, found, looked_at));
        }
        _ => {}
    }
}
