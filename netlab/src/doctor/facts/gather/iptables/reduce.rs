//! Cutting a large table down to what the subject can meet.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use ipnet::IpNet;

use super::super::super::{
    iptables::{Chain, Rule, Table},
    subject::Subject,
};

/// Tables with no more rules than this stay whole.
const MOST_RULES: usize = 2048;
/// Chains with no more rules than this stay whole.
const SMALL_CHAIN: usize = 64;

/// Cuts the rules of large chains, and then the chains that nothing leads to any more.
pub(super) fn to_subject(table: &mut Table, subject: &Subject) {
    let rules: usize = table.chains.iter().map(|chain| chain.rules.len()).sum();
    if rules <= MOST_RULES || subject.is_everything() {
        return;
    }
    for chain in &mut table.chains {
        let before = chain.rules.len();
        if before > SMALL_CHAIN {
            chain.rules.retain(|rule| may_meet(rule, subject));
            chain.left_out = before - chain.rules.len();
        }
    }
    let before = table.chains.len();
    let reachable = reachable(table);
    table.chains.retain(|chain| reachable.contains(&chain.name));
    table.chains_left_out = before - table.chains.len();
}

/// Whether a rule says nothing that excludes the subject: another destination, or another port.
fn may_meet(rule: &Rule, subject: &Subject) -> bool {
    let words = &rule.arguments;
    words.iter().enumerate().all(|(at, word)| {
        let negated = at > 0 && words[at - 1] == "!";
        let Some(value) = words.get(at + 1).filter(|_| !negated) else { return true };
        match word.as_str() {
            "-d" => value
                .parse::<IpNet>()
                .or_else(|_| value.parse::<IpAddr>().map(IpNet::from))
                .map_or(true, |net| subject.touches(net)),
            "--dport" => value.parse().map_or(true, |port| subject.has_port(port)),
            _ => true,
        }
    })
}

fn reachable(table: &Table) -> HashSet<String> {
    let by_name: HashMap<&str, &Chain> =
        table.chains.iter().map(|chain| (chain.name.as_str(), chain)).collect();
    let built_in = table.chains.iter().filter(|chain| chain.policy.is_some());
    let mut waiting: Vec<&str> = built_in.map(|chain| chain.name.as_str()).collect();
    let mut reached = HashSet::new();
    while let Some(name) = waiting.pop() {
        let Some(chain) = by_name.get(name).filter(|_| reached.insert(name.to_owned())) else {
            continue;
        };
        waiting.extend(chain.rules.iter().filter_map(|rule| rule.target.as_deref()));
    }
    reached
}
