//! nftables' rules: read with nft, where the kernel says that there are any.

mod reduce;
#[cfg(test)]
mod tests;
mod text;

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
    let (json, text) = tokio::join!(
        programs.run("nft", &["-j", "list", "ruleset"]),
        programs.run("nft", &["-a", "list", "ruleset"]),
    );
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
    text::add(&mut ruleset, &text.unwrap_or_default());
    reduce::to_subject(&mut ruleset, subject);
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
            Object::Rule(rule) => add_rule(&mut ruleset, rule),
            Object::Set(set) => add_set(&mut ruleset, set, false),
            Object::Map(set) => add_set(&mut ruleset, set, true),
            Object::Other(_) => {}
        }
    }
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

fn add_rule(ruleset: &mut Ruleset, rule: JsonRule) {
    let Some(table) = table(ruleset, &rule.family, &rule.table) else { return };
    // The rules of a chain follow each other, so the last one that was met is looked at first.
    let Some(chain) = table.chains.iter_mut().rev().find(|chain| chain.name == rule.chain) else {
        return;
    };
    let counter = rule.expr.iter().find_map(|statement| statement.get("counter"));
    chain.rules.push(Rule {
        handle: rule.handle,
        text: String::new(),
        comment: rule.comment,
        // A named counter is told by its name alone.
        counter: counter.and_then(|counter| Counted::deserialize(counter).ok()),
        statements: rule.expr,
    });
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
