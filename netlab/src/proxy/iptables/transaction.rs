//! From the rules that are there to those that should be, as input of
//! `iptables-restore --noflush`.
//!
//! Each table changes at once; the tables change one after the other, as kube-proxy's do. Law: a
//! `:CHAIN` line makes the chain or empties it, and what is not named stays.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{
    Ruleset, Table,
    base::{JUMPS, Jump},
    services::PREFIXES,
};

const TABLES: [Table; 3] = [Table::Mangle, Table::Filter, Table::Nat];

/// What `iptables-save` shows, as far as it matters: an agent before this one, or a person, may
/// have left something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    chains: BTreeSet<(Table, String)>,
    /// Rules of the kernel's own chains that lead to a chain `KUBE-...`, as `-A` lines.
    jumps: Vec<(Table, String)>,
}

impl Saved {
    /// Reads the output of `iptables-save`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut saved = Self::default();
        let mut table = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = TABLES.into_iter().find(|table| table.name() == name);
            }
            let Some(table) = table else { continue };
            if let Some(chain) = line.strip_prefix(':') {
                let name = chain.split(' ').next().unwrap_or_default();
                saved.chains.insert((table, name.to_owned()));
            } else if line.starts_with("-A ")
                && !line.starts_with("-A KUBE-")
                && target(line).is_some_and(|target| target.starts_with("KUBE-"))
            {
                saved.jumps.push((table, line.to_owned()));
            }
        }
        saved
    }

    fn has(&self, jump: &Jump) -> bool {
        let from = format!("-A {} ", jump.from);
        self.jumps.iter().any(|(table, line)| {
            *table == jump.table && line.starts_with(&from) && target(line) == Some(jump.to)
        })
    }
}

fn target(line: &str) -> Option<&str> {
    line.rsplit_once(" -j ").map(|(_, target)| target.trim())
}

/// What makes the tables be `wanted`; empty where they are already. Without `present`,
/// everything is written anew, and of what `saved` shows what is not wanted goes.
#[must_use]
pub fn transaction(wanted: &Ruleset, present: Option<&Ruleset>, saved: &Saved) -> String {
    let mut text = String::new();
    for table in TABLES {
        let part = match present {
            Some(present) => change(wanted, present, table),
            None => anew(wanted, saved, table),
        };
        part.write(table, &mut text);
    }
    text
}

/// What takes away every chain of kube-proxy's, and who calls them; empty where there is none.
#[must_use]
pub fn removal(saved: &Saved) -> String {
    let mut text = String::new();
    for table in TABLES {
        let mut part = Part::default();
        for (_, line) in saved.jumps.iter().filter(|(of, _)| *of == table) {
            part.rules.push(line.replacen("-A ", "-D ", 1));
        }
        let own =
            saved.chains.iter().filter(|(of, name)| *of == table && name.starts_with("KUBE-"));
        for (_, name) in own {
            part.remove(name);
        }
        part.write(table, &mut text);
    }
    text
}

/// Lines for one table.
#[derive(Default)]
struct Part {
    /// Chains that are made or emptied.
    chains: Vec<String>,
    rules: Vec<String>,
    removed: Vec<String>,
}

impl Part {
    fn fill(&mut self, chain: &str, rules: &[String]) {
        self.chains.push(chain.to_owned());
        self.rules.extend(rules.iter().map(|rule| format!("-A {chain} {rule}")));
    }

    /// A chain can go when it is empty and no rule leads there.
    fn remove(&mut self, chain: &str) {
        self.chains.push(chain.to_owned());
        self.removed.push(chain.to_owned());
    }

    fn write(&self, table: Table, text: &mut String) {
        if self.chains.is_empty() && self.rules.is_empty() {
            return;
        }
        let _ = writeln!(text, "*{}", table.name());
        for chain in &self.chains {
            let _ = writeln!(text, ":{chain} - [0:0]");
        }
        for rule in &self.rules {
            let _ = writeln!(text, "{rule}");
        }
        for chain in &self.removed {
            let _ = writeln!(text, "-X {chain}");
        }
        text.push_str("COMMIT\n");
    }
}

fn of(ruleset: &Ruleset, table: Table) -> BTreeMap<&str, &Vec<String>> {
    let own = ruleset.chains.iter().filter(|((of, _), _)| *of == table);
    own.map(|((_, name), rules): (&(Table, Cow<'_, str>), _)| (name.as_ref(), rules)).collect()
}

fn change(wanted: &Ruleset, present: &Ruleset, table: Table) -> Part {
    let (wanted, present) = (of(wanted, table), of(present, table));
    let mut part = Part::default();
    for (chain, rules) in &wanted {
        if present.get(chain) != Some(rules) {
            part.fill(chain, rules);
        }
    }
    for chain in present.keys().filter(|chain| !wanted.contains_key(*chain)) {
        part.remove(chain);
    }
    part
}

fn anew(wanted: &Ruleset, saved: &Saved, table: Table) -> Part {
    let wanted = of(wanted, table);
    let mut part = Part::default();
    for (chain, rules) in &wanted {
        part.fill(chain, rules);
    }
    for jump in JUMPS.iter().filter(|jump| jump.table == table && !saved.has(jump)) {
        let space = if jump.rule.is_empty() { "" } else { " " };
        part.rules.push(format!("-I {} 1 {}{space}-j {}", jump.from, jump.rule, jump.to));
    }
    for (_, chain) in saved.chains.iter().filter(|(of, _)| *of == table) {
        let of_service = PREFIXES.iter().any(|prefix| chain.starts_with(prefix));
        if of_service && !wanted.contains_key(chain.as_str()) {
            part.remove(chain);
        }
    }
    part
}
