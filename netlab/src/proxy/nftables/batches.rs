//! A large rule set into an empty table, piece by piece.
//!
//! For every rule with a map of its own, and each Service has one, the kernel walks the whole
//! transaction (`__nft_set_trans_bind`), so a single one takes time by the square of its size:
//! with 10,000 Services of one endpoint each 18 s of a processor in place of 8, and more by the
//! square of the endpoints, all of it in one call that no signal ends. What is left grows with
//! the square of the Services whatever the pieces: for the name of such a map the kernel walks
//! all that there are (`nf_tables_set_alloc_name`). Law: no packet meets a part of the rules,
//! since the maps that lead to Services are filled by the last piece alone.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    Chain, Existing, Kind, Ruleset, Set,
    services::{AFFINITY, ENDPOINT, is_of_service},
    transaction,
};

/// Chains of one piece; smaller rule sets are loaded whole.
const CHAINS: usize = 2000;

/// Transactions, one after the other, that fill an empty table.
#[must_use]
pub fn batches(wanted: &Ruleset) -> Vec<String> {
    let nothing = Existing::default();
    if wanted.chains.len() <= CHAINS {
        return vec![transaction(wanted, None, &nothing)];
    }
    let mut services: Vec<_> =
        wanted.chains.iter().filter(|(name, _)| is_of_service(name)).collect();
    // What is named before what names it.
    services.sort_by_key(|(name, _)| rank(name));
    let mut scripts = vec![transaction(&frame(wanted), None, &nothing)];
    let empty = piece(wanted, &[]);
    for some in services.chunks(CHAINS) {
        scripts.push(transaction(&piece(wanted, some), Some(&empty), &nothing));
    }
    scripts.push(transaction(wanted, Some(&emptied(wanted)), &nothing));
    scripts
}

fn rank(chain: &str) -> u8 {
    match chain {
        _ if chain.starts_with(ENDPOINT) => 0,
        _ if chain.starts_with("external-") => 2,
        _ => 1,
    }
}

/// What does not depend on Services, and no elements.
fn frame(wanted: &Ruleset) -> Ruleset {
    let mut frame = emptied(wanted);
    frame.chains.retain(|name, _| !is_of_service(name));
    frame.sets.retain(|_, set| set.kind != Kind::Affinity);
    frame
}

/// Some chains, and the sets of clients that go with endpoints among them.
fn piece(wanted: &Ruleset, chains: &[(&Cow<'static, str>, &Chain)]) -> Ruleset {
    let set_of = |name: &str| {
        let set = format!("{AFFINITY}{}", name.strip_prefix(ENDPOINT)?);
        let (name, set) = wanted.sets.get_key_value(set.as_str())?;
        Some((name.clone(), set.clone()))
    };
    Ruleset {
        family: wanted.family,
        sets: chains.iter().filter_map(|(name, _)| set_of(name)).collect(),
        chains: chains.iter().map(|(name, chain)| ((*name).clone(), (*chain).clone())).collect(),
    }
}

/// The same without elements.
fn emptied(wanted: &Ruleset) -> Ruleset {
    let without = |set: &Set| Set { elements: BTreeMap::new(), ..set.clone() };
    let sets = wanted.sets.iter().map(|(name, set)| (name.clone(), without(set)));
    Ruleset { sets: sets.collect(), ..wanted.clone() }
}
