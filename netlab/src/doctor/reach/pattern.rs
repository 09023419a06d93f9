//! What the combinations that fail have in common.

use std::fmt;

use serde::Serialize;

use super::Cell;
use crate::spec::model::Protocol;

/// What fails, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pattern {
    /// Within what it holds; everything else works.
    pub scope: Scope,
    /// What of that fails.
    pub only: Only,
    /// Small answers come, large ones do not.
    pub stalls: bool,
}

/// A part of what was looked at: None where all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// Of this Service.
    pub service: Option<String>,
    /// Over this IP version.
    pub family: Option<u8>,
    /// TCP or UDP.
    pub protocol: Option<Protocol>,
}

/// What fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Only {
    /// All.
    Everything,
    /// A node with the pods of others: it works on the pod's own node alone.
    Remote,
    /// A node with its own pods.
    Local,
    /// Whatever is dialled at this node.
    Through(String),
    /// The pods of this node, wherever they are dialled.
    PodsOf(String),
    /// Whatever this node has to pass on: dialled at it, or for its pods.
    OnTheWay(String),
    /// This backend, wherever it is dialled.
    Backend(String),
    /// From this node to the pods of that one.
    Between(String, String),
    /// At this node, this backend.
    BackendAt(String, String),
    /// At this address.
    Address(String),
}

/// Finds the widest that holds.
pub(super) fn of(cells: &[Cell]) -> Option<Pattern> {
    let known: Vec<&Cell> = cells.iter().filter(|cell| cell.works.is_some()).collect();
    let failing: Vec<&Cell> =
        known.iter().filter(|cell| cell.works == Some(false)).copied().collect();
    let first = *failing.first()?;
    let stalls = failing.iter().all(|cell| cell.stalls);
    let scopes = scopes(first, &known);
    let scopes = scopes.iter().filter(|scope| failing.iter().all(|cell| scope.has(cell)));
    for scope in scopes {
        let within: Vec<&Cell> = known.iter().filter(|cell| scope.has(cell)).copied().collect();
        // What nobody knows may fail as well: only where all of it is within, "only" is true.
        let unknown = || cells.iter().filter(|cell| cell.works.is_none());
        let fits = |only: &Only| {
            within.iter().all(|cell| only.has(cell) == (cell.works == Some(false)))
                && unknown().all(|cell| scope.has(cell) && only.has(cell))
        };
        if let Some(only) = candidates(first).into_iter().find(fits) {
            return Some(Pattern { scope: scope.clone(), only, stalls });
        }
    }
    None
}

/// The parts that a cell is in, the fewest restrictions first; restrictions to what all cells have
/// say nothing.
fn scopes(cell: &Cell, all: &[&Cell]) -> Vec<Scope> {
    let service = all.iter().any(|other| other.service != cell.service);
    let is_v6 = |cell: &Cell| cell.dialled.is_ipv6();
    let family = all.iter().any(|other| is_v6(other) != is_v6(cell));
    let protocol = all.iter().any(|other| other.protocol != cell.protocol);
    let mut scopes = Vec::new();
    // By bits: a Service is named rather than its protocol.
    for bits in [0_u8, 1, 2, 4, 3, 6, 5, 7] {
        let wants = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
        let says = [service, family, protocol];
        if wants.iter().zip(says).any(|(wants, says)| *wants && !says) {
            continue;
        }
        scopes.push(Scope {
            service: wants[0].then(|| cell.service.clone()),
            family: wants[1].then_some(if is_v6(cell) { 6 } else { 4 }),
            protocol: wants[2].then_some(cell.protocol),
        });
    }
    scopes
}

/// What a failing cell is an example of, the widest first.
fn candidates(cell: &Cell) -> Vec<Only> {
    let mut all = vec![Only::Everything, Only::Remote, Only::Local];
    all.push(Only::Through(cell.node.clone()));
    all.extend(cell.home.clone().map(Only::PodsOf));
    all.push(Only::OnTheWay(cell.node.clone()));
    all.extend(cell.home.clone().map(Only::OnTheWay));
    all.push(Only::Backend(cell.backend.clone()));
    all.push(Only::Address(cell.dialled.ip().to_string()));
    all.extend(cell.home.clone().map(|home| Only::Between(cell.node.clone(), home)));
    all.push(Only::BackendAt(cell.node.clone(), cell.backend.clone()));
    all
}

impl Scope {
    fn has(&self, cell: &Cell) -> bool {
        let version = if cell.dialled.is_ipv6() { 6 } else { 4 };
        self.service.as_ref().is_none_or(|service| *service == cell.service)
            && self.family.is_none_or(|family| family == version)
            && self.protocol.is_none_or(|protocol| protocol == cell.protocol)
    }

    /// `Service default/web, UDP, IPv6`; empty for everything.
    fn words(&self) -> Vec<String> {
        let service = self.service.as_ref().map(|service| format!("Service {service}"));
        let protocol = self.protocol.map(|protocol| protocol.to_string());
        let family = self.family.map(|family| format!("IPv{family}"));
        [service, protocol, family].into_iter().flatten().collect()
    }
}

impl Only {
    fn has(&self, cell: &Cell) -> bool {
        let is_local = cell.home.as_ref() == Some(&cell.node);
        match self {
            Self::Everything => true,
            Self::Remote => !is_local,
            Self::Local => is_local,
            Self::Through(node) => cell.node == *node,
            Self::PodsOf(node) => cell.home.as_ref() == Some(node),
            Self::OnTheWay(node) => cell.node == *node || cell.home.as_ref() == Some(node),
            Self::Backend(backend) => cell.backend == *backend,
            Self::Between(node, home) => cell.node == *node && cell.home.as_ref() == Some(home),
            Self::BackendAt(node, backend) => cell.node == *node && cell.backend == *backend,
            Self::Address(address) => cell.dialled.ip().to_string() == *address,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.scope.words();
        if self.only == Only::Everything {
            return match (words.is_empty(), self.stalls) {
                (true, false) => f.write_str("nothing answers, at whichever node it is dialled"),
                (true, true) => {
                    f.write_str("connections stand everywhere, and large answers do not come")
                }
                (false, stalls) => {
                    let does = if stalls { "stalls" } else { "fails" };
                    write!(f, "only {} {does}; everything else answers", words.join(" over "))
                }
            };
        }
        match &self.only {
            Only::Everything => Ok(()),
            Only::Remote => f.write_str("it works only on the node where the pod runs"),
            Only::Local => f.write_str("it fails only on the node where the pod runs"),
            Only::Through(node) => write!(f, "it fails only through {node}"),
            Only::PodsOf(node) => write!(f, "only the pods of {node} fail, at whichever node"),
            Only::OnTheWay(node) => write!(f, "it fails wherever {node} is on the way"),
            Only::Backend(pod) => write!(f, "only pod {pod} fails, at whichever node"),
            Only::Between(node, home) => {
                write!(f, "it fails only from {node} to the pods of {home}")
            }
            Only::BackendAt(node, pod) => {
                write!(f, "only pod {pod} fails, and only through {node}")
            }
            Only::Address(address) => write!(f, "it fails only at {address}"),
        }?;
        if !words.is_empty() {
            write!(f, " ({} alone)", words.join(", "))?;
        }
        if self.stalls {
            f.write_str("; connections stand, and large answers do not come")?;
        }
        Ok(())
    }
}
