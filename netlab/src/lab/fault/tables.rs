//! Rules in netfilter's tables, and the programs that everything is done with.

use super::{
    FaultError,
    step::{Step, words},
};
use crate::{lab::Host, proxy};

/// A program that is installed.
pub(super) fn program(name: &str) -> Result<proxy::Program, FaultError> {
    proxy::Program::find(name).ok_or_else(|| {
        FaultError::Input(format!("{name} is not installed, and faults are injected with it"))
    })
}

/// A table of nft's of its own, with these chains, which goes whole.
pub(super) fn nft(host: &Host, family: &str, table: &str, chains: &str) -> Step {
    let table = format!("{family} {table}");
    Step::Command {
        netns: host.netns.clone(),
        line: words("nft -f -"),
        input: format!("table {table} {{\n{chains}\n}}\n"),
        // Fine where it is gone already, as `nft destroy` is in newer versions.
        undo: vec![(words("nft -f -"), format!("add table {table}\ndelete table {table}\n"))],
    }
}

/// A base chain with rules, one a line.
pub(super) fn chain(kind: &str, hook: &str, priority: &str, policy: &str, rules: &str) -> String {
    format!(
        "chain {hook} {{\ntype {kind} hook {hook} priority {priority}; policy {policy};\n{rules}\n}}\n"
    )
}
