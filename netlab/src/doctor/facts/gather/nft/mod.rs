//! nftables' rules: read with nft, where the kernel says that there are any.

mod reduce;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{
        Source,
        nft::{Chain, Counted, Hook, Rule, Ruleset, Set, Table},
        subject::Subject,
    },
    gaps::Gaps,
    tool::Programs,
};
use crate::netlink::nftables;

/// Octets of JSON up to which rules are printed for people too: some hundred Services.
const MOST_PRINTED: usize = 4 << 20;

/// Those of the calling thread's namespace, and the tables that the kernel named.
pub(super) async fn read(
    programs: &Programs,
    subject: &Subject,
    tables: &[nftables::Table],
    gaps: &mut Gaps,
) -> Option<Ruleset> {
    if tables.is_empty() {
        return None;
    }
    let json = programs.run("nft", &["-j", "list", "ruleset"]).await;
    let json = match json {
        Ok(json) => json,
        Err(reason) => {
            gaps.note(Source::Nft, reason, hidden(tables));
            return None;
        }
    };
    let mut ruleset = match parse(&json) {
        Ok(ruleset) => ruleset,
        Err(error) => {
            gaps.note(
                Source::Nft,
                format!("nft's output is not understood: {error}"),
                hidden(tables),
            );
            return None;
        }
    };
    reduce::to_subject(&mut ruleset, subject);
    // Printing a large rule set once more takes longer than everything else together.
    if json.len() <= MOST_PRINTED
        && let Ok(printed) = programs.run("nft", &["-a", "list", "ruleset"]).await
    {
        text::add(&mut ruleset, &printed);
    }
    text::substitute(&mut ruleset);
    Some(ruleset)
}

fn hidden(tables: &[nftables::Table]) -> String {
    let names: Vec<_> =
        tables.iter().map(|table| format!("{} {}", table.family, table.name)).collect();
    format!("What the nftables rules of the tables {} do to packets is not seen.", names.join(", "))
}

/// An object of libnftables-json(5).
#[derive(Deserialize)]
struct Document {
    nftables: Vec<Object>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Object {
    Table(JsonTable),
    Chain(JsonChain),
    Rule(JsonRule),
    Set(JsonSet),
    Map(JsonSet),
    #[serde(untagged)]
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct JsonTable {
    family: String,
    name: String,
    #[serde(default)]
    handle: u64,
    #[serde(default)]
    flags: Value,
}

#[derive(Deserialize)]
struct JsonChain {
    family: String,
    table: String,
    name: String,
    #[serde(default)]
    handle: u64,
    hook: Option<String>,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    prio: i32,
    policy: Option<String>,
    #[serde(default)]
    dev: Value,
}

#[derive(Deserialize)]
struct JsonRule {
    family: String,
    table: String,
    chain: String,
    #[serde(default)]
    handle: u64,
    comment: Option<String>,
    #[serde(default)]
    expr: Vec<Value>,
}

#[derive(Deserialize)]
struct JsonSet {
    family: String,
    table: String,
    name: String,
    #[serde(default)]
    handle: u64,
    #[serde(default)]
    elem: Vec<Value>,
}

/// Everything that `nft -j list ruleset` printed.
fn parse(json: &str) -> serde_json::Result<Ruleset> {
    let document: Document = serde_json::from_str(json)?;
    let mut ruleset = Ruleset::default();
    let mut rules = Vec::new();
    for object in document.nftables {
        match object {
            Object::Table(table) => ruleset.tables.push(Table {
                dormant: words(&table.flags).iter().any(|flag| flag == "dormant"),
                family: table.family,
                name: table.name,
                handle: table.handle,
                ..Table::default()
            }),
            Object::Chain(chain) => add_chain(&mut ruleset, chain),
            Object::Rule(rule) => rules.push(rule),
            Object::Set(set) => add_set(&mut ruleset, set, false),
            Object::Map(set) => add_set(&mut ruleset, set, true),
            Object::Other(_) => {}
        }
    }
    add_rules(&mut ruleset, rules);
    Ok(ruleset)
}

/// nft lists a table before what is in it, and table after table.
fn table<'r>(ruleset: &'r mut Ruleset, family: &str, name: &str) -> Option<&'r mut Table> {
    ruleset.tables.iter_mut().rev().find(|table| table.family == family && table.name == name)
}

fn add_chain(ruleset: &mut Ruleset, chain: JsonChain) {
    let Some(table) = table(ruleset, &chain.family, &chain.table) else { return };
    let hook = chain.hook.map(|hook| Hook {
        hook,
        kind: chain.kind,
        priority: chain.prio,
        policy: chain.policy.unwrap_or_else(|| "accept".to_owned()),
        devices: words(&chain.dev),
    });
    table.chains.push(Chain { name: chain.name, handle: chain.handle, hook, rules: Vec::new() });
}

/// There may be tens of thousands of chains, so they are not searched for each rule.
fn add_rules(ruleset: &mut Ruleset, rules: Vec<JsonRule>) {
    let mut by_chain: HashMap<(String, String, String), Vec<Rule>> = HashMap::new();
    for rule in rules {
        let counter = rule.expr.iter().find_map(|statement| statement.get("counter"));
        by_chain.entry((rule.family, rule.table, rule.chain)).or_default().push(Rule {
            handle: rule.handle,
            text: String::new(),
            comment: rule.comment,
            // A named counter is told by its name alone.
            counter: counter.and_then(|counter| Counted::deserialize(counter).ok()),
            statements: rule.expr,
        });
    }
    for table in &mut ruleset.tables {
        for chain in &mut table.chains {
            let place = (table.family.clone(), table.name.clone(), chain.name.clone());
            chain.rules = by_chain.remove(&place).unwrap_or_default();
        }
    }
}

fn add_set(ruleset: &mut Ruleset, set: JsonSet, map: bool) {
    let Some(table) = table(ruleset, &set.family, &set.table) else { return };
    table.sets.push(Set {
        name: set.name,
        handle: set.handle,
        map,
        elements: set.elem,
        left_out: 0,
    });
}

/// A string, or a list of them.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(word) => vec![word.clone()],
        Value::Array(words) => words.iter().filter_map(|w| w.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}
