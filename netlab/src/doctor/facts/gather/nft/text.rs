//! Rules as nft prints them for people, tied to the others by their handles.

use std::collections::HashMap;

use super::super::super::nft::Ruleset;

/// Family, name of the table, handle.
type Place = (String, String, u64);

/// Adds the texts that `nft -a list ruleset` printed. A rule that came or went meanwhile has
/// none.
pub(super) fn add(ruleset: &mut Ruleset, printed: &str) {
    let mut texts = texts(printed);
    let mut devices = devices(printed);
    for table in &mut ruleset.tables {
        // nft up to 1.0.6 leaves them out of its JSON.
        for chain in &mut table.chains {
            let place = (table.family.clone(), table.name.clone(), chain.name.clone());
            if let Some(hook) = chain.hook.as_mut().filter(|hook| hook.devices.is_empty()) {
                hook.devices = devices.remove(&place).unwrap_or_default();
            }
        }
        for rule in table.chains.iter_mut().flat_map(|chain| &mut chain.rules) {
            let place = (table.family.clone(), table.name.clone(), rule.handle);
            rule.text = texts.remove(&place).unwrap_or_default();
        }
    }
}

/// Rules without a text get their statements, as JSON.
pub(super) fn substitute(ruleset: &mut Ruleset) {
    let chains = ruleset.tables.iter_mut().flat_map(|table| &mut table.chains);
    for rule in chains.flat_map(|chain| &mut chain.rules).filter(|rule| rule.text.is_empty()) {
        let statements: Vec<_> = rule.statements.iter().map(ToString::to_string).collect();
        rule.text = statements.join(" ");
    }
}

fn texts(printed: &str) -> HashMap<Place, String> {
    let mut texts = HashMap::new();
    let (mut family, mut table) = (String::new(), String::new());
    let mut in_chain = false;
    // A rule with many addresses goes over several lines.
    let mut begun = String::new();
    for line in printed.lines() {
        let words = line.trim();
        if let Some(rest) = line.strip_prefix("table ") {
            let mut names = rest.split_whitespace();
            family = names.next().unwrap_or_default().to_owned();
            table = names.next().unwrap_or_default().to_owned();
        } else if let Some(rest) = line.strip_prefix('\t').filter(|rest| !rest.starts_with('\t')) {
            in_chain = rest.starts_with("chain ");
            begun.clear();
        } else if in_chain && !is_header(words) {
            if !begun.is_empty() {
                begun.push(' ');
            }
            begun.push_str(words);
            if let Some((rule, handle)) = begun.rsplit_once(" # handle ") {
                if let Ok(handle) = handle.parse() {
                    texts.insert((family.clone(), table.clone(), handle), rule.to_owned());
                }
                begun.clear();
            }
        }
    }
    texts
}

/// The links that chains are hooked to, by family, table and chain:
/// `type filter hook ingress device "eth0" priority filter;` or `devices = { eth0, eth1 }`.
fn devices(printed: &str) -> HashMap<(String, String, String), Vec<String>> {
    let mut found = HashMap::new();
    let mut table = (String::new(), String::new());
    let mut chain = String::new();
    for line in printed.lines() {
        let words = line.trim();
        if let Some(rest) = line.strip_prefix("table ") {
            let mut names = rest.split_whitespace().map(str::to_owned);
            table = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        } else if let Some(rest) = words.strip_prefix("chain ") {
            chain = rest.split_whitespace().next().unwrap_or_default().to_owned();
        } else if is_header(words)
            && let Some((_, rest)) = words.split_once(" device")
            && let Some((names, _)) = rest.split_once(" priority ")
        {
            let names = names.trim_start_matches('s').trim_start_matches([' ', '=']);
            let names = names.trim_matches(['{', '}', ' ']).split(',');
            let names = names.map(|name| name.trim().trim_matches('"').to_owned()).collect();
            found.insert((table.0.clone(), table.1.clone(), chain.clone()), names);
        }
    }
    found
}

/// Lines of a chain that are no rules.
fn is_header(words: &str) -> bool {
    let is_hook = words.starts_with("type ") && words.ends_with(';');
    is_hook || (words.starts_with("comment \"") && words.ends_with('"'))
}
