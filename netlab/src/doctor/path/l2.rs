//! Who is on a link: over veth pairs and bridges, from one stack to all others.

use std::{collections::VecDeque, net::IpAddr};

use super::mend;
use crate::doctor::{
    facts::{Facts, HostFacts, Source, link::Link},
    finding::{Code, Finding},
};

/// A stack that frames get to.
#[derive(Clone, Debug)]
pub(super) struct Reached<'f> {
    pub host: &'f HostFacts,
    pub link: &'f Link,
    /// Bridges on the way, in order.
    pub legs: Vec<Leg<'f>>,
}

/// A bridge on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg<'f> {
    pub host: &'f HostFacts,
    pub bridge: &'f Link,
    /// The port that frames leave by.
    pub output: &'f Link,
    /// The port that they come in by; None where the bridge's own host sends.
    pub input: Option<&'f Link>,
}

/// Something that keeps frames from a way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut<'f> {
    /// A link is down.
    Down(&'f HostFacts, &'f Link),
    /// Both ports of a bridge are isolated, which keeps them from each other.
    Isolated(Leg<'f>),
    /// A port of a bridge does not forward.
    Blocked(&'f HostFacts, &'f Link),
}

/// All stacks that frames out of a link get to; with what cuts the way to them, where something
/// does.
pub(super) fn reached<'f>(
    facts: &'f Facts,
    host: &'f HostFacts,
    link: &'f Link,
) -> Vec<(Reached<'f>, Option<Cut<'f>>)> {
    let mut found: Vec<(Reached<'f>, Option<Cut<'f>>)> = Vec::new();
    let mut waiting = VecDeque::new();
    if link.is_bridge() {
        let cut = (!link.up).then_some(Cut::Down(host, link));
        out_of_bridge(host, link, None, &[], cut, &mut waiting);
    } else {
        waiting.push_back((host, link, Vec::new(), None));
    }
    let mut seen: Vec<(&str, u32)> = vec![(&host.name, link.index)];
    while let Some((from, out, legs, cut)) = waiting.pop_front() {
        let cut = cut.or((!out.up).then_some(Cut::Down(from, out)));
        let Some((there, end)) = facts.peer(out) else { continue };
        if seen.contains(&(&there.name, end.index)) {
            continue;
        }
        seen.push((&there.name, end.index));
        let cut = cut.or((!end.up).then_some(Cut::Down(there, end)));
        let master = end.master.and_then(|master| there.link_at(master));
        let Some(bridge) = master.filter(|master| master.is_bridge()) else {
            found.push((Reached { host: there, link: end, legs }, cut));
            continue;
        };
        let cut = cut
            .or((!bridge.up).then_some(Cut::Down(there, bridge)))
            .or(is_blocked(end).then_some(Cut::Blocked(there, end)));
        found.push((Reached { host: there, link: bridge, legs: legs.clone() }, cut));
        out_of_bridge(there, bridge, Some(end), &legs, cut, &mut waiting);
    }
    found
}

type Waiting<'f> = VecDeque<(&'f HostFacts, &'f Link, Vec<Leg<'f>>, Option<Cut<'f>>)>;

fn out_of_bridge<'f>(
    host: &'f HostFacts,
    bridge: &'f Link,
    input: Option<&'f Link>,
    legs: &[Leg<'f>],
    cut: Option<Cut<'f>>,
    waiting: &mut Waiting<'f>,
) {
    let is_isolated = |link: &Link| link.port.as_ref().is_some_and(|port| port.isolated);
    let ports = host.links.iter().filter(|port| port.master == Some(bridge.index));
    for output in ports.filter(|port| input.is_none_or(|input| input.index != port.index)) {
        let leg = Leg { host, bridge, output, input };
        let mut legs = legs.to_vec();
        legs.push(leg);
        let isolated = input.is_some_and(is_isolated) && is_isolated(output);
        let cut = cut
            .or(isolated.then_some(Cut::Isolated(leg)))
            .or((output.up && is_blocked(output)).then_some(Cut::Blocked(host, output)));
        waiting.push_back((host, output, legs, cut));
    }
}

fn is_blocked(port: &Link) -> bool {
    let state = port.port.as_ref().map_or("", |port| port.state.as_str());
    // A port without a carrier is disabled, which is its peer's fault.
    matches!(state, "blocking" | "listening" | "learning")
}

impl Cut<'_> {
    /// The cause, as it is on a way between nodes or to a pod.
    pub(super) fn finding(&self, facts: &Facts, from: &HostFacts, to: IpAddr) -> Finding {
        match self {
            Self::Down(host, link) => mend::down(facts, host, link),
            Self::Blocked(host, link) => {
                let state = link.port.as_ref().map_or("", |port| port.state.as_str());
                let cause = format!("the port {} of {} does not forward", link.name, host.name);
                Finding::broken(Code::LinkDown, Some(&host.name), cause)
                    .shown(Source::Links, format!("{}: bridge port state {state}", link.name))
            }
            Self::Isolated(leg) => {
                let cause = format!(
                    "{} does not reach {to} over their link: {} keeps their ports apart",
                    from.name, leg.host.name
                );
                let mut finding = Finding::broken(Code::NotAdjacent, Some(&leg.host.name), cause);
                for port in leg.input.into_iter().chain([leg.output]) {
                    let name = &port.name;
                    finding =
                        finding.shown(Source::Links, format!("{name}: bridge port isolated on"));
                }
                let name = leg.output.name.as_str();
                let command = ["bridge", "link", "set", "dev", name, "isolated", "off"];
                finding.mended(command, "Let the port talk to all others.")
            }
        }
    }
}
