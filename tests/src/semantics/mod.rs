//! The rows of NodePort's semantics, and the tests that prove each: what docs/semantics.md is made
//! from.

mod page;
mod rows;

pub use page::{page, unproven};
pub use rows::ROWS;

/// One behaviour.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// From 1, as they are counted everywhere.
    pub number: u8,
    /// What it is about.
    pub name: &'static str,
    /// What exactly happens.
    pub behaviour: &'static str,
    /// How much of it there is.
    pub state: State,
    /// Where it holds: hooks, modes, families.
    pub holds: &'static str,
    /// Where it cannot, why, and what a user reads there; empty where it holds everywhere.
    pub limits: &'static str,
    /// Where kube-proxy's rules behave otherwise; empty where they do not, or do not have it.
    pub kube_proxy: &'static str,
    /// Tests: file below `tests/tests` or `netlab-common`, and function.
    pub tests: &'static [(&'static str, &'static str)],
}

/// How much of a row there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All of it.
    Done,
    /// Some, and what is missing.
    Part(&'static str),
    /// Nothing; what asks for it is named by `netlab lab status` and the agent's log.
    NotYet,
}
