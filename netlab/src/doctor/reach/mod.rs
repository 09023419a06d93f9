//! Which backends answer at which nodes, and what pattern that has: "it works only on the node
//! where the pod runs" and its like. Pure.
//!
//! Law: a pattern is said only where it holds for every combination that is known, where every
//! unknown one lies within it, and where something else works: what fails altogether has no pattern
//! but that. The widest sentence counts: all of a Service before one pod, all of a node before one
//! pair.

mod pattern;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

pub use self::pattern::{Only, Pattern, Scope};
use super::{
    diagnosis::{Diagnosis, Fate, Told},
    path::Case,
    probe::{Outcome, Way},
};
use crate::spec::{Spec, model::Protocol};

/// Which backends answer at which nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Each address with each backend, in the order of the diagnosis.
    pub cells: Vec<Cell>,
}

/// An address that is dialled, and a backend of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// `namespace/name` of the Service; empty where none has the node port.
    pub service: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Address and port.
    pub dialled: SocketAddr,
    /// The host that is dialled.
    pub node: String,
    /// Name of the pod, or the backend's address.
    pub backend: String,
    /// The node that it runs on.
    pub home: Option<String>,
    /// Whether it answers; None where nothing is known.
    pub works: Option<bool>,
    /// The connection stands, and what is large does not come.
    pub stalls: bool,
}

impl Reach {
    /// That of a diagnosis.
    #[must_use]
    pub fn of(diagnosis: &Diagnosis, spec: &Spec) -> Self {
        let cell = |case: &Case| {
            let backend = case.backend.as_ref()?;
            let way = Way::of(case);
            let told = diagnosis.ways.iter().find(|told| told.way == way)?;
            let name = backend.name();
            let fate = told.backends.get(&name)?;
            let works = works(told, *fate);
            let failed = told.attempts.iter().filter(|attempt| !told.is_answered(attempt));
            let mut outcomes = failed.map(|attempt| &attempt.outcome).peekable();
            let stalls = works == Some(false)
                && outcomes.peek().is_some()
                && outcomes.all(|outcome| matches!(outcome, Outcome::Stalled { .. }));
            Some(Cell {
                service: service(spec, case).unwrap_or_default(),
                protocol: case.protocol,
                dialled: case.dialled,
                node: case.node.clone(),
                backend: name.rsplit('/').next().unwrap_or(&name).to_owned(),
                home: backend.node.clone(),
                works,
                stalls,
            })
        };
        Self { cells: diagnosis.paths.iter().filter_map(|path| cell(&path.case)).collect() }
    }

    /// What those that fail have in common, and nobody else has.
    #[must_use]
    pub fn pattern(&self) -> Option<Pattern> {
        pattern::of(&self.cells)
    }

    /// The Services of which something fails, in order.
    #[must_use]
    pub fn failing(&self) -> Vec<&str> {
        let mut services: Vec<&str> = Vec::new();
        for cell in self.cells.iter().filter(|cell| cell.works == Some(false)) {
            if !services.contains(&cell.service.as_str()) {
                services.push(&cell.service);
            }
        }
        services
    }
}

/// A backend that nobody has seen may answer, where others of its way have answered and the
/// failures are those of others still; where nothing at all has answered and no other explains it,
/// it does not. Where nothing was sent, the facts alone say it.
fn works(told: &Told, fate: Fate) -> Option<bool> {
    let failed = told.attempts.iter().filter(|attempt| !told.is_answered(attempt)).count();
    match fate {
        Fate::Answered => Some(true),
        Fate::Failing => Some(false),
        Fate::Unseen if failed == 0 => Some(true),
        Fate::Unseen if failed == told.attempts.len() && !told.knows_why() => Some(false),
        Fate::Unseen => (told.knows_why() && failed < told.attempts.len()).then_some(true),
    }
}

impl Told {
    /// Some backend is known to fail, which explains that attempts do.
    fn knows_why(&self) -> bool {
        self.backends.values().any(|fate| *fate == Fate::Failing)
    }
}

/// The Service that has the node port.
#[must_use]
pub fn service(spec: &Spec, case: &Case) -> Option<String> {
    let mut of_number = spec.with_node_port(case.dialled.port());
    let (service, _) = of_number.find(|(_, port)| port.protocol == case.protocol)?;
    Some(service.name.to_string())
}
