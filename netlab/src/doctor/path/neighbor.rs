//! Out of a link: the Ethernet address of the next hop, and the wire.

use std::net::IpAddr;

use super::{
    Stage,
    l2::{self, Cut, Reached},
    netfilter::{self, Hook},
    packet::Packet,
    stop, translate,
    walk::{Connection, Crossing, End, Walker},
};
use crate::doctor::{
    facts::{
        HostFacts, Role, Source,
        link::Link,
        route::{Neighbor, NeighborState},
    },
    finding::{Code, Confidence, Finding},
};

impl<'f> Walker<'f> {
    /// Sends a packet out of a link, to a neighbor. `past` says that the host only forwards.
    pub fn transmit(
        &mut self,
        host: &'f HostFacts,
        device: u32,
        next: IpAddr,
        packet: Packet,
        past: bool,
    ) -> End<'f> {
        let Some(link) = host.link_at(device) else { return End::Beyond };
        let packet = self.leave(host, link, packet);
        self.cross(host, link, &packet, false, past);
        if link.vxlan().is_some() {
            return self.encapsulate(host, link, next, packet);
        }
        let Some(reached) = self.neighbor(host, link, next, &packet) else {
            return self.unreached(host, link, next, packet);
        };
        self.over(reached, packet)
    }

    /// netlab's program at the egress of a link gives answers of local backends the address that
    /// was dialled.
    fn leave(&mut self, host: &'f HostFacts, link: &Link, mut packet: Packet) -> Packet {
        translate::strangers(self, host, &link.name, false);
        let is_there = translate::has(host, &link.name, &translate::EGRESS);
        let own = self.connections.iter().find(|of: &&Connection| {
            of.programs
                && of.host == host.name
                && (packet.destination, packet.source) == of.translated
                && of.original.0 == packet.destination
        });
        if let (true, Some(own)) = (is_there && packet.answers, own.cloned()) {
            packet.source = own.original.1;
            let words = format!("the answer gets the source {}", packet.source);
            self.hop(host, Some(&link.name), Stage::Program, &packet, words);
        }
        packet
    }

    pub fn cross(
        &mut self,
        host: &HostFacts,
        link: &Link,
        packet: &Packet,
        bridged: bool,
        forwarded: bool,
    ) {
        self.crossings.push(Crossing {
            host: host.name.clone(),
            link: link.index,
            bridged,
            forwarded,
            hop: self.hops.len().saturating_sub(1),
            packet: packet.clone(),
        });
    }

    /// Who gets a frame for a neighbor; None where nobody does, or it is not known.
    fn neighbor(
        &mut self,
        host: &'f HostFacts,
        link: &'f Link,
        next: IpAddr,
        packet: &Packet,
    ) -> Option<Reached<'f>> {
        let entry = host
            .neighbors
            .iter()
            .find(|entry| entry.device == link.index && entry.address == next && !entry.proxy);
        let words = format!("{next} on {}", link.name);
        self.hop(host, Some(&link.name), Stage::Neighbor, packet, words);
        let reached = l2::reached(self.facts, host, link);
        let own = owners(&reached, next);
        if let Some((duplicate, _)) = own.get(1) {
            let finding = self.duplicate(next, own[0].0.host, duplicate.host, host);
            self.find(finding);
        }
        // The right one is the one that the objects know, where several claim it.
        let right = own.iter().find(|(of, _)| is_of_objects(self, of.host, next)).or(own.first());
        let valid = entry.filter(|entry| entry.state.is_valid());
        if let (Some(entry), Some((right, _))) = (valid, right) {
            let is_right = own.iter().any(|(of, _)| has_mac(of.host, entry));
            if !is_right {
                let finding = stale(host, link, entry, right);
                self.find(finding);
            }
        }
        let (reached, cut) = right?;
        if let Some(cut) = cut {
            self.find(cut.finding(self.facts, host, next));
        }
        Some(reached.clone())
    }

    /// Two hosts with one address: which is the wrong one, the objects say.
    fn duplicate(
        &self,
        address: IpAddr,
        one: &HostFacts,
        other: &HostFacts,
        seen_by: &HostFacts,
    ) -> Finding {
        let wrong = if is_of_objects(self, one, address) { other } else { one };
        let right = if wrong.name == one.name { other } else { one };
        let is_pod = self.spec.pods.iter().any(|pod| pod.addresses.contains(&address));
        let code = if is_pod { Code::DuplicatePodAddress } else { Code::DuplicateNodeAddress };
        let cause = format!("{} has the address {address} of {} as well", wrong.name, right.name);
        let mut finding = Finding::broken(code, Some(&wrong.name), cause);
        for own in wrong.addresses.iter().filter(|own| own.net.addr() == address) {
            finding = finding.taken_away(wrong, own);
        }
        finding = unlearnt(self.facts, finding, wrong, address);
        let learnt = seen_by.neighbors.iter().find(|entry| entry.address == address);
        if let Some(mac) = learnt.and_then(|entry| entry.mac) {
            let text = format!("{address} lladdr {mac}");
            finding = finding.shown_at(&seen_by.name, Source::Neighbors, text);
        }
        finding
    }

    /// Nobody on the link has the next hop's address.
    fn unreached(
        &mut self,
        host: &'f HostFacts,
        link: &'f Link,
        next: IpAddr,
        packet: Packet,
    ) -> End<'f> {
        // What is on a link of the world outside is not known.
        if self.facts.lab.is_none() && self.facts.owners(next).next().is_none() {
            let Some(finding) = self.unanswered(host, link, next, &packet) else {
                return End::Beyond;
            };
            self.find(finding);
            return End::Lost;
        }
        if !link.is_bridge() && self.facts.peer(link).is_none() && link.up {
            return self.resume_at(host, next, packet);
        }
        if let Some(finding) = self.unplugged(host, link, next) {
            self.find(finding);
            return self.resume_at(host, next, packet);
        }
        let elsewhere = self.facts.owners(next).next();
        let finding = match elsewhere {
            Some((owner, _)) => {
                let cause = format!(
                    "{} expects {next} on {}, but {} is not on that link",
                    host.name, link.name, owner.name
                );
                Finding::broken(Code::NotAdjacent, Some(&host.name), cause)
                    .shown(Source::Links, format!("nobody on {} has {next}", link.name))
            }
            None => self.nobodys(host, link, next),
        };
        self.find(finding);
        self.resume(host, packet)
    }

    /// Rules have given the packet to an address that is nobody's: of a link whose only other end
    /// was looked at, or as the kernel has found out by asking.
    fn unanswered(
        &self,
        host: &HostFacts,
        link: &Link,
        next: IpAddr,
        packet: &Packet,
    ) -> Option<Finding> {
        let (to, dialled) = (packet.destination, self.case.dialled);
        if packet.answers || packet.is_tunnel() || to.ip() != next || to == dialled {
            return None;
        }
        let entry = host.neighbors.iter().find(|of| of.device == link.index && of.address == next);
        let state = entry.map(|entry| entry.state);
        let asked = matches!(state, Some(NeighborState::Failed | NeighborState::Incomplete));
        let other = self.facts.peer(link).filter(|(_, end)| end.master.is_none());
        let shown = match (asked, other) {
            (true, _) => format!("{next} dev {} FAILED", link.name),
            (false, Some((there, _))) => format!("{} leads to {} alone", link.name, there.name),
            (false, None) => return None,
        };
        let source = if asked { Source::Neighbors } else { Source::Links };
        let cause = format!(
            "{} gives {dialled} to {to}, and nobody on {} has that address",
            host.name, link.name
        );
        let finding =
            Finding::broken(Code::ProxyStale, Some(&host.name), cause).shown(source, shown);
        let words = "Have the rule name the server's own address, or start the server.";
        Some(finding.confidence(Confidence::Likely).advised(words))
    }

    fn nobodys(&self, host: &HostFacts, link: &Link, next: IpAddr) -> Finding {
        if let Some(finding) = self.bridge_down(host) {
            return finding;
        }
        let is_node = self.spec.nodes.iter().find(|node| node.addresses.contains(&next));
        let shown = format!("nobody on {} has {next}", link.name);
        match is_node {
            Some(node) => {
                let cause = format!(
                    "the Node object {} has the address {next}, which no host has",
                    node.name
                );
                let own = self.facts.node(&node.name).map(|host| {
                    host.global().map(|own| own.net.to_string()).collect::<Vec<_>>().join(", ")
                });
                let finding = Finding::broken(Code::NodeAddressWrong, Some(&node.name), cause)
                    .shown(Source::Objects, format!("Node {}: InternalIP {next}", node.name));
                let finding = match own {
                    Some(own) => finding.shown(Source::Addresses, own),
                    None => finding,
                };
                finding.advised("Write the node's own address into its Node object.")
            }
            None => {
                let cause = format!("{} sends to {next}, which is nobody's address", host.name);
                Finding::broken(Code::RouteWrong, Some(&host.name), cause)
                    .shown(Source::Links, shown)
            }
        }
    }

    /// A pod of the host whose link is no port of the bridge that leads to it.
    fn unplugged(&self, host: &HostFacts, link: &Link, next: IpAddr) -> Option<Finding> {
        let (pod, _) =
            self.facts.owners(next).find(|(owner, _)| matches!(owner.role, Role::Pod { .. }))?;
        let (_, node, port) = self.facts.pod_port(pod)?;
        if node.name != host.name || !link.is_bridge() || port.master == Some(link.index) {
            return None;
        }
        let (name, bridge) = (port.name.as_str(), link.name.as_str());
        let cause =
            format!("{name} on {}, the link of {}, is no port of {bridge}", host.name, pod.name);
        let command = ["ip", "link", "set", "dev", name, "master", bridge];
        let finding = Finding::broken(Code::LinkDown, Some(&host.name), cause)
            .shown(Source::Links, format!("{name}: no master"))
            .mended(command, "Make it a port of the bridge.");
        let mut others = host.links.iter().filter(|other| other.master == Some(link.index));
        if others.any(|other| other.port.as_ref().is_some_and(|port| port.hairpin)) {
            // The mode goes with the port, and pods need it to reach themselves.
            let command = ["bridge", "link", "set", "dev", name, "hairpin", "on"];
            return Some(finding.then(command, "Let it be in hairpin mode, as the others are."));
        }
        Some(finding)
    }

    fn resume_at(&mut self, from: &'f HostFacts, next: IpAddr, packet: Packet) -> End<'f> {
        let Some((owner, link)) = self.facts.owners(next).next() else {
            return self.resume(from, packet);
        };
        let words = format!("as if it had arrived at {}", owner.name);
        self.hop(owner, Some(&link.name), Stage::Resume, &packet, words);
        self.receive(owner, link.index, packet)
    }

    /// Over the bridges to the stack that gets the frame.
    fn over(&mut self, reached: Reached<'f>, mut packet: Packet) -> End<'f> {
        for leg in &reached.legs {
            let bridge = leg.bridge.name.clone();
            self.cross(leg.host, leg.output, &packet, leg.input.is_some(), true);
            let Some(input) = leg.input else { continue };
            let words = format!("{bridge} passes it from {} to {}", input.name, leg.output.name);
            self.hop(leg.host, Some(&bridge), Stage::Bridge, &packet, words);
            let view = self.view(
                leg.host,
                packet.clone(),
                Some(&input.name),
                Some(&leg.output.name),
                false,
            );
            let passage = netfilter::pass(Hook::Bridge, view);
            for stopped in &passage.stops {
                let finding = stop::finding(self, leg.host, Hook::Bridge, stopped, &packet);
                self.find(finding);
            }
            if let (Some(place), Some(inner)) = (passage.spoilt, &mut packet.inner) {
                inner.spoilt = true;
                self.spoilt = Some((leg.host.name.clone(), place));
            }
        }
        // Marks do not outlive their host.
        packet.mark = 0;
        self.receive(reached.host, reached.link.index, packet)
    }
}

/// The mend with what makes others forget that they have learnt the address at the wrong host:
/// they would go on sending there for minutes.
pub(in crate::doctor) fn unlearnt(
    facts: &crate::doctor::facts::Facts,
    finding: Finding,
    wrong: &HostFacts,
    address: IpAddr,
) -> Finding {
    let entries = facts.hosts.iter().flat_map(|host| {
        let own = host.neighbors.iter().filter(|entry| entry.address == address && !entry.proxy);
        own.filter(|entry| entry.state != NeighborState::Permanent && has_mac(wrong, entry))
            .map(move |entry| (host, host.link_name(entry.device)))
    });
    entries.fold(finding, |finding, (host, device)| {
        // Nothing is wrong where the kernel has forgotten it meanwhile.
        let command = format!("ip neigh flush to {address} dev {device}");
        let words = "Let it ask anew who has the address.";
        finding.then_at(&host.name, command.split(' '), words)
    })
}

type Found<'f> = (Reached<'f>, Option<Cut<'f>>);

/// Stacks on the link that have an address; those that nothing cuts off first.
fn owners<'f>(reached: &[Found<'f>], address: IpAddr) -> Vec<Found<'f>> {
    let mut found: Vec<Found<'f>> = Vec::new();
    for (of, cut) in reached.iter().filter(|(of, _)| of.host.has_address(address)) {
        let has_it = of.host.link_with(address).is_some_and(|link| link.index == of.link.index);
        match found.iter_mut().find(|(known, _)| known.host.name == of.host.name) {
            // Of several links of one host, the one that has the address.
            Some(known) if has_it => *known = (of.clone(), *cut),
            Some(_) => {}
            None => found.push((of.clone(), *cut)),
        }
    }
    found.sort_by_key(|(_, cut)| cut.is_some());
    found
}

fn is_of_objects(walker: &Walker<'_>, host: &HostFacts, address: IpAddr) -> bool {
    match &host.role {
        Role::Node { node } => {
            walker.spec.nodes.iter().any(|of| of.name == *node && of.addresses.contains(&address))
        }
        Role::Pod { pod, .. } => walker
            .spec
            .pods
            .iter()
            .any(|of| of.name.to_string() == *pod && of.addresses.contains(&address)),
        _ => false,
    }
}

fn has_mac(host: &HostFacts, entry: &Neighbor) -> bool {
    host.links.iter().any(|link| link.mac.is_some() && link.mac == entry.mac)
}

/// An entry whose Ethernet address is not that of the host with the address.
fn stale(host: &HostFacts, link: &Link, entry: &Neighbor, right: &Reached<'_>) -> Finding {
    let (address, device) = (entry.address, &link.name);
    let mac = entry.mac.map_or_else(|| "nobody".into(), |mac| mac.to_string());
    let real = right.link.mac.map_or_else(|| "another".into(), |mac| mac.to_string());
    let cause =
        format!("{} takes {address} for {mac}, but {} is {real}", host.name, right.host.name);
    let permanent = entry.state == NeighborState::Permanent;
    let state = if permanent { " PERMANENT" } else { "" };
    let command = format!("ip neigh del {address} dev {device}");
    Finding::broken(Code::NeighborStale, Some(&host.name), cause)
        // The kernel finds out by itself about those that it has learnt.
        .confidence(if permanent { Confidence::Certain } else { Confidence::Likely })
        .shown(Source::Neighbors, format!("{address} dev {device} lladdr {mac}{state}"))
        .mended(command.split(' '), "Delete the entry, so that the kernel asks anew.")
}
