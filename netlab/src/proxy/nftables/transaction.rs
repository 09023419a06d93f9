//! From the rules that are there to those that should be, as input of `nft -f -`.
//!
//! nft hands the whole of it to the kernel at once: packets meet the old rules or the new ones.
//! Law: chains and sets come before whatever names them, and go after it.

use std::{borrow::Cow, collections::BTreeSet, fmt::Write as _};

use super::{
    Chain, Kind, Ruleset,
    services::{AFFINITY, is_of_service},
};
use crate::proxy::view::Family;

/// Elements of one command: enough to spare most of the words, few enough for a line.
const ELEMENTS: usize = 100;

/// Names in a table that somebody else filled: an agent before this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// Its chains.
    pub chains: BTreeSet<String>,
    /// Its sets.
    pub sets: BTreeSet<String>,
}

/// What is there before.
enum Before<'r> {
    /// This.
    Known(&'r Ruleset),
    /// Nobody knows but for names.
    Names(&'r Existing),
}

/// What makes the table be `wanted`; empty where it is already. Without `present`, everything is
/// written anew, and of what `existing` names what is not wanted goes. Clients that stay with an
/// endpoint stay in either case.
#[must_use]
pub fn transaction(wanted: &Ruleset, present: Option<&Ruleset>, existing: &Existing) -> String {
    let before = present.map_or(Before::Names(existing), Before::Known);
    let mut script = Script { text: String::new(), table: wanted.family.table() };
    if matches!(before, Before::Names(_)) {
        script
            .line(&format!("add table {} {{ comment \"rules for kube-proxy\" ; }}", script.table));
    }
    script.remove_elements(wanted, &before);
    script.chains(wanted, &before);
    script.sets(wanted, &before);
    script.rules(wanted, &before);
    script.add_elements(wanted, &before);
    script.remove_chains(wanted, &before);
    script.remove_sets(wanted, &before);
    script.text
}

/// A reader of what [`Existing`] holds: the answer of `nft --json list chains` or `sets`.
impl Existing {
    /// Names of the objects of one kind in the table of a family.
    #[must_use]
    pub fn names(json: &serde_json::Value, kind: &str, family: Family) -> BTreeSet<String> {
        let objects = json["nftables"].as_array().into_iter().flatten();
        let of_kind = objects.filter_map(|object| object.get(kind));
        of_kind
            .filter(|object| {
                object["family"] == family.keyword() && object["table"] == super::TABLE
            })
            .filter_map(|object| object["name"].as_str().map(str::to_owned))
            .collect()
    }
}

struct Script {
    text: String,
    table: &'static str,
}

impl Script {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn object(&mut self, verb: &str, kind: &str, name: &str) {
        let _ = writeln!(self.text, "{verb} {kind} {} {name}", self.table);
    }

    /// First of all: a chain cannot go while an element leads to it, nor an element be replaced.
    fn remove_elements(&mut self, wanted: &Ruleset, before: &Before<'_>) {
        let Before::Known(present) = before else { return };
        for (name, set) in &present.sets {
            let Some(stays) = wanted.sets.get(name) else { continue };
            let gone = set.elements.iter().filter(|(key, value)| {
                stays.elements.get(*key).is_none_or(|wanted| wanted != *value)
            });
            let keys: Vec<&str> = gone.map(|(key, _)| key.as_str()).collect();
            self.elements("delete", name, &keys);
        }
    }

    fn chains(&mut self, wanted: &Ruleset, before: &Before<'_>) {
        let replaced = replaced(wanted, before);
        for (name, chain) in &wanted.chains {
            let known = match before {
                Before::Known(present) => present.chains.get(name),
                Before::Names(_) => None,
            };
            if known == Some(chain) && !replaced.iter().any(|set| names(chain, set)) {
                continue;
            }
            if known.is_none() {
                let properties = match chain.properties {
                    "" => String::new(),
                    properties => format!(" {{ {properties} }}"),
                };
                let _ = writeln!(self.text, "add chain {} {name}{properties}", self.table);
            }
            let may_have_rules = match before {
                Before::Known(_) => known.is_some(),
                Before::Names(existing) => existing.chains.contains(name.as_ref()),
            };
            if may_have_rules {
                self.object("flush", "chain", name);
            }
        }
    }

    fn sets(&mut self, wanted: &Ruleset, before: &Before<'_>) {
        for (name, set) in &wanted.sets {
            let keyword = set.kind.keyword();
            let present = match before {
                Before::Known(present) => present.sets.get(name),
                Before::Names(_) => None,
            };
            if let Some(present) = present {
                if present.properties == set.properties {
                    continue;
                }
                self.object("delete", keyword, name);
            }
            let table = self.table;
            let _ = writeln!(self.text, "add {keyword} {table} {name} {{ {} }}", set.properties);
            let existed =
                matches!(before, Before::Names(existing) if existing.sets.contains(name.as_ref()));
            if existed && set.kind != Kind::Affinity {
                self.object("flush", keyword, name);
            }
        }
    }

    fn rules(&mut self, wanted: &Ruleset, before: &Before<'_>) {
        let replaced = replaced(wanted, before);
        for (name, chain) in &wanted.chains {
            let stays =
                matches!(before, Before::Known(present) if present.chains.get(name) == Some(chain));
            if stays && !replaced.iter().any(|set| names(chain, set)) {
                continue;
            }
            for rule in &chain.rules {
                let _ = writeln!(self.text, "add rule {} {name} {rule}", self.table);
            }
        }
    }

    fn add_elements(&mut self, wanted: &Ruleset, before: &Before<'_>) {
        for (name, set) in &wanted.sets {
            let present = match before {
                Before::Known(present) => present.sets.get(name),
                Before::Names(_) => None,
            };
            let is_there = |key: &String, value: &String| {
                present.is_some_and(|present| present.elements.get(key) == Some(value))
            };
            let new = set.elements.iter().filter(|(key, value)| !is_there(key, value));
            let new: Vec<String> = new.map(|(key, value)| format!("{key}{value}")).collect();
            self.elements("add", name, &new);
        }
    }

    fn elements(&mut self, verb: &str, set: &str, elements: &[impl AsRef<str>]) {
        for some in elements.chunks(ELEMENTS) {
            let listed: Vec<&str> = some.iter().map(AsRef::as_ref).collect();
            let listed = listed.join(", ");
            let _ = writeln!(self.text, "{verb} element {} {set} {{ {listed} }}", self.table);
        }
    }

    /// Emptied first, all of them: one may lead to another.
    fn remove_chains(&mut self, wanted: &Ruleset, before: &Before<'_>) {
        let gone: Vec<&str> = match before {
            Before::Known(present) => unwanted(present.chains.keys(), &wanted.chains),
            Before::Names(existing) => existing
                .chains
                .iter()
                .map(String::as_str)
                .filter(|name| is_of_service(name) && !wanted.chains.contains_key(*name))
                .collect(),
        };
        for verb in ["flush", "delete"] {
            for name in &gone {
                self.object(verb, "chain", name);
            }
        }
    }

    fn remove_sets(&mut self, wanted: &Ruleset, before: &Before<'_>) {
        let gone: Vec<&str> = match before {
            Before::Known(present) => unwanted(present.sets.keys(), &wanted.sets),
            Before::Names(existing) => existing
                .sets
                .iter()
                .map(String::as_str)
                .filter(|name| name.starts_with(AFFINITY) && !wanted.sets.contains_key(*name))
                .collect(),
        };
        for name in gone {
            self.object("delete", "set", name);
        }
    }
}

/// Sets that have to be made anew, since the kernel does not change the timeout of one, nor
/// take one away that a rule names.
fn replaced<'r>(wanted: &'r Ruleset, before: &Before<'_>) -> Vec<&'r str> {
    let Before::Known(present) = before else { return Vec::new() };
    let other = |(name, set): &(&Cow<'static, str>, &super::Set)| {
        present.sets.get(*name).is_some_and(|present| present.properties != set.properties)
    };
    wanted.sets.iter().filter(other).map(|(name, _)| name.as_ref()).collect()
}

fn names(chain: &Chain, set: &str) -> bool {
    let named =
        |rule: &String| rule.split_whitespace().any(|word| word.strip_prefix('@') == Some(set));
    chain.rules.iter().any(named)
}

fn unwanted<'n, T>(
    present: impl Iterator<Item = &'n Cow<'static, str>>,
    wanted: &std::collections::BTreeMap<Cow<'static, str>, T>,
) -> Vec<&'n str> {
    present.filter(|name| !wanted.contains_key(*name)).map(AsRef::as_ref).collect()
}
