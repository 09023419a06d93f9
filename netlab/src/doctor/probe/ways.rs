//! All addresses and ports that a diagnosis is about, each dialled until every backend has
//! answered or it is plain that some do not.

use std::{collections::BTreeSet, net::SocketAddr, thread, time::Duration};

use serde::Serialize;

use super::dial::{Attempt, Outcome, Probe, dial};
use crate::{doctor::path::Case, netlink::Netns, spec::model::Protocol};

/// How long one probe may take: one SYN that was lost is sent again after a second.
const PATIENCE: Duration = Duration::from_millis(1_800);
/// Probes of one way at a time, and at most.
const AT_ONCE: usize = 4;
const MOST: usize = 16;
/// Most ways that are dialled at the same time.
const MOST_WAYS: usize = 256;
/// Bytes that are echoed: more than two packets.
const PAYLOAD: usize = 4_000;

/// Who dials what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Way {
    /// The host that dials.
    pub client: String,
    /// The host that is dialled.
    pub node: String,
    /// Address and port.
    pub dialled: SocketAddr,
    /// TCP or UDP.
    #[serde(serialize_with = "as_word")]
    pub protocol: Protocol,
}

fn as_word<S: serde::Serializer>(protocol: &Protocol, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(protocol)
}

impl Way {
    /// That of a connection, whoever answers it.
    #[must_use]
    pub fn of(case: &Case) -> Self {
        Self {
            client: case.client.clone(),
            node: case.node.clone(),
            dialled: case.dialled,
            protocol: case.protocol,
        }
    }
}

/// Dials every way of these connections from a namespace, all at once.
#[must_use]
pub fn probe(netns: &Netns, cases: &[Case]) -> Vec<(Way, Vec<Attempt>)> {
    let ways: BTreeSet<Way> = cases.iter().map(Way::of).collect();
    let backends = |way: &Way| {
        cases.iter().filter(|case| case.backend.is_some() && Way::of(case) == *way).count()
    };
    thread::scope(|scope| {
        let running: Vec<_> = ways
            .into_iter()
            .take(MOST_WAYS)
            .map(|way| {
                let count = backends(&way);
                let dialled = way.clone();
                (way, scope.spawn(move || all(netns, &dialled, count)))
            })
            .collect();
        running.into_iter().map(|(way, thread)| (way, thread.join().unwrap_or_default())).collect()
    })
}

/// Until so many pods have answered, or a probe has failed, or it is enough.
fn all(netns: &Netns, way: &Way, backends: usize) -> Vec<Attempt> {
    let payload = if way.protocol == Protocol::Tcp { PAYLOAD } else { 0 };
    let probe = Probe { to: way.dialled, protocol: way.protocol, payload, patience: PATIENCE };
    let mut attempts: Vec<Attempt> = Vec::new();
    while attempts.len() < MOST {
        let some: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> =
                (0..AT_ONCE).map(|_| scope.spawn(|| dial(netns, &probe))).collect();
            running.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        attempts.extend(some);
        let pods: BTreeSet<_> = attempts
            .iter()
            .filter_map(|attempt| match &attempt.outcome {
                Outcome::Answered { pod, .. } => Some(pod),
                _ => None,
            })
            .collect();
        let has_failed = attempts.iter().any(|attempt| !attempt.outcome.is_answer());
        if has_failed || pods.len() >= backends {
            break;
        }
    }
    attempts
}
