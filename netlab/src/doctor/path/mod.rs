//! The expected path: from facts and objects, hop by hop, what must become of the first packet to
//! a node port, and of its answer.
//!
//! Order: out of the client, over the wire, into the node: programs at the interface, netfilter's
//! ingress and prerouting, translation, reverse-path filtering, routing, forwarding,
//! postrouting; then the neighbor and the wire, or VXLAN and the way of its datagram; at the pod
//! its listener; and the same back.
//!
//! Law: a finding needs a fact that contradicts the passage. Where nobody could look, the packet
//! passes. After an obstacle the walk goes on as if there were none, where it is known where the
//! packet should have gone, so that several causes are named.

mod accept;
mod bypass;
mod case;
mod deliver;
mod fib;
mod forwarding;
mod frontend;
pub mod hairpin;
mod itself;
mod l2;
mod mend;
mod mtu;
mod nat;
mod neighbor;
mod netfilter;
mod outside;
mod packet;
mod resume;
mod route;
mod sockets;
mod stop;
#[cfg(test)]
mod tests;
mod translate;
mod untranslated;
mod vxlan;
mod walk;

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

pub use self::{
    case::{Backend, Case, cases},
    itself::is_dialled_alike,
    outside::undialled,
};
pub(super) use self::{deliver::TRANSLATE, neighbor::unlearnt, sockets::redirected};
use self::{
    packet::Packet,
    walk::{End, Walker},
};
use super::{
    facts::{Facts, HostFacts, Subject},
    finding::{Code, Finding},
};
use crate::spec::{
    Spec,
    model::{Endpoint, Service},
};

/// A source port that stands for whichever the client takes.
const CLIENT_PORT: u16 = 40000;

/// What must become of one connection's first packet and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Path {
    /// Of which connection.
    pub case: Case,
    /// From the client to the listener.
    pub hops: Vec<Hop>,
    /// From the listener to the client; empty where no packet can have got there.
    pub reply: Vec<Hop>,
    /// Both ways could be followed to their ends, obstacles or not.
    pub followed: bool,
}

/// A step of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// Where.
    pub host: String,
    /// By which link, where it is one.
    pub interface: Option<String>,
    /// What happens.
    pub stage: Stage,
    /// The packet when it does.
    pub packet: Tuple,
    /// The same in a line of words.
    pub words: String,
    /// The facts let it happen.
    pub passes: bool,
    /// What is in the way, or may be.
    pub findings: Vec<Finding>,
}

/// What happens at a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// A host sends a packet of its own.
    Leave,
    /// It comes in by a link.
    Arrive,
    /// A program of netlab's datapath deals with it.
    Program,
    /// A hook of netfilter: ingress.
    Ingress,
    /// Before routing.
    Prerouting,
    /// For the host itself.
    Input,
    /// For another.
    Forward,
    /// Of the host itself.
    Output,
    /// After routing.
    Postrouting,
    /// Addresses or ports are changed.
    Translate,
    /// A route is looked up.
    Route,
    /// A bridge passes a frame on.
    Bridge,
    /// The Ethernet address of the next hop.
    Neighbor,
    /// Into a VXLAN datagram.
    Encapsulate,
    /// Out of one.
    Decapsulate,
    /// Nothing of the way between is known, or it is cut; the walk goes on where it should lead.
    Resume,
    /// A socket takes it.
    Listen,
}

/// Addresses of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tuple {
    /// Source; of ICMP, port 0.
    pub source: SocketAddr,
    /// Destination.
    pub destination: SocketAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Of a VXLAN datagram: what it carries.
    pub inner: Option<Box<Tuple>>,
}

impl Path {
    /// All that is in the way, in the order of the path.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.hops.iter().chain(&self.reply).flat_map(|hop| &hop.findings)
    }

    /// Nothing is known of where the packet goes: it could not be followed at all, or ends where it
    /// was dialled, with nothing in its way and nobody to take it.
    #[must_use]
    pub fn ends_nowhere(&self) -> bool {
        let Some(last) = self.hops.last() else { return true };
        let is_dialled = last.packet.destination == self.case.dialled;
        last.stage == Stage::Listen && is_dialled && self.reply.is_empty() && self.passes()
    }

    /// It gets as far as a socket on a host that was looked at.
    #[must_use]
    pub fn gets_to_listener(&self) -> bool {
        let is_last = self.hops.last().is_some_and(|last| last.stage == Stage::Listen);
        is_last && !self.ends_nowhere()
    }

    /// Nothing that was seen is in the way.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.hops.iter().chain(&self.reply).all(|hop| hop.passes)
    }
}

impl Tuple {
    fn of(packet: &Packet) -> Self {
        Self {
            source: packet.source,
            destination: packet.destination,
            protocol: packet.protocol,
            ttl: packet.ttl,
            inner: packet.inner.as_ref().map(|inner| Box::new(Self::of(&inner.packet))),
        }
    }
}

/// All that is in the way of a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The way of each case.
    pub paths: Vec<Path>,
    /// Each cause once, the worst first, then in the order they are met.
    pub findings: Vec<Found>,
}

/// A cause, and whom it hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The cause, in the words of the first case.
    pub finding: Finding,
    /// Positions of those paths that it is on; none where it hits pods that dial their own node.
    pub paths: Vec<usize>,
}

/// Walks all cases of a subject, and says each cause once.
#[must_use]
pub fn judge(facts: &Facts, spec: &Spec, subject: &Subject) -> Judgement {
    let cases = cases(facts, spec, subject);
    let paths: Vec<Path> = cases.iter().map(|case| expected(facts, spec, case)).collect();
    let mut findings: Vec<Found> = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        for finding in path.findings() {
            match findings.iter_mut().find(|of| is_same(&of.finding, finding)) {
                Some(known) if known.paths.last() == Some(&at) => {}
                Some(known) => known.paths.push(at),
                None => findings.push(Found { finding: finding.clone(), paths: vec![at] }),
            }
        }
    }
    merge_silent_pods(facts, spec, &paths, &mut findings);
    let of_pods = hairpin::findings(facts, spec).into_iter();
    findings.extend(of_pods.map(|finding| Found { finding, paths: Vec::new() }));
    findings.sort_by_key(|of| of.finding.severity);
    Judgement { paths, findings }
}

/// Packets of different addresses meet the same cause, where the same mends it.
pub(super) fn is_same(one: &Finding, other: &Finding) -> bool {
    let same =
        if one.fixes.is_empty() { one.cause == other.cause } else { one.fixes == other.fixes };
    one.code == other.code && one.host == other.host && same
}

/// Where nothing listens in several pods, and the same would mend all, it is one cause: the port
/// of the Service, or what the pods were made of.
fn merge_silent_pods(facts: &Facts, spec: &Spec, paths: &[Path], findings: &mut Vec<Found>) {
    let words = |of: &Found| of.finding.fixes.first().map(|fix| fix.words.clone());
    let mut at = 0;
    while at < findings.len() {
        let first = findings[at].clone();
        at += 1;
        if first.finding.code != Code::NothingListens {
            continue;
        }
        let is_like =
            |of: &Found| of.finding.code == first.finding.code && words(of) == words(&first);
        let (like, others): (Vec<_>, Vec<_>) =
            findings.split_off(at).into_iter().partition(is_like);
        findings.extend(others);
        if like.is_empty() {
            continue;
        }
        let one = &mut findings[at - 1];
        one.finding.cause += &format!(", nor in {} others of its Service", like.len());
        let hosts: Vec<_> = like.iter().chain([&first]).map(|of| &of.finding.host).collect();
        let path = first.paths.first().and_then(|at| paths.get(*at));
        let silent = path.and_then(|path| all_silent(facts, spec, &path.case, &hosts));
        if let Some((service, port)) = silent {
            // What is wrong is where the Service sends to, or what all its pods were made of.
            one.finding.host = None;
            one.finding.cause = format!(
                "Service {} sends to port {port}, where none of its pods listens: {}",
                service.name, one.finding.cause
            );
        }
        for of in like {
            one.finding.evidence.extend(of.finding.evidence);
            one.paths.extend(of.paths);
        }
        one.paths.sort_unstable();
        one.paths.dedup();
    }
}

/// The Service that is dialled, and the port that it sends to, where all endpoints of this port of
/// its are on these hosts.
fn all_silent<'s>(
    facts: &Facts,
    spec: &'s Spec,
    case: &Case,
    hosts: &[&Option<String>],
) -> Option<(&'s Service, u16)> {
    let sent_to = case.backend.as_ref()?.address.port();
    let is_silent = |of: &Endpoint| {
        let pod = of.pod.as_ref().and_then(|pod| facts.pod(&pod.to_string()));
        pod.is_some_and(|pod| hosts.contains(&&Some(pod.name.clone())))
    };
    let mut dialled = spec.with_node_port(case.dialled.port());
    let (service, _) = dialled.find(|(_, port)| {
        let is_it = port.protocol == case.protocol;
        is_it && port.endpoints.len() > 1 && port.endpoints.iter().all(is_silent)
    })?;
    Some((service, sent_to))
}

/// Walks one connection's first packet and its answer.
#[must_use]
pub fn expected(facts: &Facts, spec: &Spec, case: &Case) -> Path {
    let mut walker = Walker::new(facts, spec, case);
    let end = begin(&mut walker, facts, case);
    walker.blame_suspects(&end);
    let mut hops = walker.turn();
    let mut followed = false;
    if let End::At(host, packet) = end {
        let ttl = default_ttl(host, packet.is_v4());
        let end = walker.send(host, packet.answer(ttl));
        walker.blame_suspects(&end);
        followed = matches!(end, End::At(..) | End::Beyond);
        bypass::judge(&mut walker, &hops, &end);
        mtu::judge(&mut walker, &mut hops);
    }
    Path { case: case.clone(), hops, reply: walker.turn(), followed }
}

fn begin<'f>(walker: &mut Walker<'f>, facts: &'f Facts, case: &Case) -> End<'f> {
    let number = case.protocol.number();
    if let Some(client) = facts.host(&case.client) {
        let Some(source) = own_address(client, case.dialled.ip()) else { return End::Beyond };
        let source = SocketAddr::new(source, CLIENT_PORT);
        return walker.send(
            client,
            Packet::new(source, case.dialled, number, default_ttl(client, case.dialled.is_ipv4())),
        );
    }
    let (Some(node), Some(source)) = (facts.host(&case.node), case.source) else {
        return End::Beyond;
    };
    // Somebody outside of what was looked at: by the link that leads outside.
    let Some(link) = outside::arrival(node, case.dialled.ip()) else { return End::Beyond };
    let source = SocketAddr::new(source, CLIENT_PORT);
    walker.receive(node, link.index, Packet::new(source, case.dialled, number, packet::DEFAULT_TTL))
}

fn default_ttl(host: &HostFacts, v4: bool) -> u8 {
    if !v4 {
        // IPv6 has a switch of its own, of each link.
        return packet::DEFAULT_TTL;
    }
    let ttl = host.sysctl_number("ipv4/ip_default_ttl").and_then(|ttl| u8::try_from(ttl).ok());
    ttl.unwrap_or(packet::DEFAULT_TTL)
}

/// The address that a host sends from: on the link that leads there, of the family.
fn own_address(host: &HostFacts, to: IpAddr) -> Option<IpAddr> {
    let any = SocketAddr::new(to, 0);
    let unknown = SocketAddr::new(if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() }, 0);
    let query = fib::Query {
        destination: any,
        source: unknown,
        input: None,
        mark: 0,
        protocol: packet::TCP,
    };
    let device = match fib::lookup(host, &query) {
        fib::Lookup::Found { route, hop, .. } => match (route.source, hop) {
            (Some(source), _) => return Some(source),
            (None, Some(hop)) => Some(hop.device),
            _ => None,
        },
        _ => None,
    };
    let mut all = host.global_of(to.is_ipv4());
    let on = all.clone().find(|own| Some(own.device) == device).or_else(|| all.next());
    on.map(|own| own.net.addr())
}
