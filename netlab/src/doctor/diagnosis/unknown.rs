//! What nobody knows although nothing was found, or nothing but risks. Pure.
//!
//! Law: nothing is called well that neither facts nor probes show to be well. Where packets end at
//! the address that was dialled, because what translates them could not be read, or a host's own
//! probes are in vain, that is said.

use std::net::SocketAddr;

use serde::Serialize;

use super::seen::{Seen, is_of_itself};
use crate::{
    doctor::{
        facts::{Facts, Source},
        finding::Code,
        path::{Path, TRANSLATE},
        probe::{Attempt, Way},
    },
    spec::{Spec, model::Protocol},
};

/// Something that is neither well nor known not to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// The host that is dialled.
    pub node: String,
    /// Address and port.
    pub dialled: SocketAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Why, in words that stand behind a colon.
    pub why: String,
}

impl Unknown {
    fn of(way: &Way, why: String) -> Self {
        let Way { node, dialled, protocol, .. } = way;
        Self { node: node.clone(), dialled: *dialled, protocol: *protocol, why }
    }
}

/// All of it, each address and port once.
pub(super) fn all(seen: &Seen<'_>, paths: &[Path], spec: &Spec) -> Vec<Unknown> {
    let facts = seen.facts;
    let mut all: Vec<Unknown> = Vec::new();
    for path in paths {
        let way = Way::of(&path.case);
        let mut own = paths.iter().filter(|other| Way::of(&other.case) == way);
        let is_answered = seen.of(&way).iter().any(|attempt| seen.is_right(attempt));
        let is_new = !all.iter().any(|of| (of.dialled, of.protocol) == (way.dialled, way.protocol));
        // Of a loopback address the host itself is the only client.
        let is_dialled = way.dialled.ip().is_loopback()
            && seen.attempts.iter().any(|(own, _)| own.dialled == way.dialled);
        if is_new && !is_dialled && !is_answered && own.all(|path| ends_nowhere(facts, spec, path))
        {
            all.push(Unknown::of(&way, unfollowed(facts, path)));
        }
    }
    for (way, attempts) in seen.attempts.iter().filter(|(way, _)| is_of_itself(way)) {
        let failed: Vec<_> = attempts.iter().filter(|one| seen.is_wrong(way, one)).collect();
        let is_new = !all.iter().any(|of| (of.dialled, of.protocol) == (way.dialled, way.protocol));
        if let (Some(first), true) = (failed.first(), is_new) {
            let why = in_vain(way, failed.len(), attempts.len(), first);
            all.push(Unknown::of(way, why));
        }
    }
    all
}

/// Nothing is known of where the packet goes, and something should be. A rule that was found where nothing was asked about may be meant for others.
fn ends_nowhere(facts: &Facts, spec: &Spec, path: &Path) -> bool {
    let case = &path.case;
    let has_service = spec.with_node_port(case.dialled.port()).next().is_some();
    if !facts.subject.is_asked() && !has_service {
        return false;
    }
    path.ends_nowhere()
}

/// Why the way of a packet is not known.
fn unfollowed(facts: &Facts, path: &Path) -> String {
    let node = &path.case.node;
    if path.findings().any(|of| of.code == Code::ForeignProgram) {
        return format!("a program that is not netlab's may take its packets on {node}");
    }
    let of_node = |host: &Option<String>| host.as_deref().is_none_or(|host| host == node);
    let gaps = facts.gaps.iter().filter(|gap| of_node(&gap.host));
    let unread: Vec<&str> = gaps
        .filter(|gap| TRANSLATE.contains(&gap.source) || gap.source == Source::Namespace)
        .map(|gap| gap.reason.as_str())
        .collect();
    match (path.hops.is_empty(), unread.is_empty()) {
        (true, _) => "no client's packet could be followed".to_owned(),
        (false, true) => format!("nothing that was read on {node} takes its packets"),
        (false, false) => {
            format!("what translates it on {node} could not be read ({})", unread.join("; "))
        }
    }
}

/// What a host's own probes say: that something is wrong, and not of whom.
fn in_vain(way: &Way, failed: usize, all: usize, first: &Attempt) -> String {
    let how = &first.outcome;
    let told = format!("{failed} of {all} probes from {} itself fail ({how})", way.node);
    if way.dialled.ip().is_loopback() {
        return format!(
            "{told}, and nobody else can dial that address; dial one of the host's others"
        );
    }
    format!(
        "{told}, and nothing that was read is in a client's way; dial it from a client, or watch \
         one with --passive=30"
    )
}
