//! The walk: what a host does with a packet, from link to link.

use std::net::SocketAddr;

use super::{
    Case, Hop, Stage, Tuple, forwarding,
    netfilter::{self, Hook, Passage, Place, View},
    packet::Packet,
    route::Way,
    stop,
    translate::{self, Programmed},
};
use crate::{
    doctor::{
        facts::{Facts, HostFacts, Source},
        finding::{Finding, Severity},
    },
    spec::Spec,
};

/// More hops than any packet has that arrives.
const MOST_HOPS: usize = 512;

/// Where a packet's way ends.
#[derive(Clone, Debug)]
pub(super) enum End<'f> {
    /// At a host whose packet it is.
    At(&'f HostFacts, Packet),
    /// On the way, and it is not known where it should have gone.
    Lost,
    /// Outside of what was looked at.
    Beyond,
}

/// A connection that a host knows, translated or not.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub host: String,
    /// netlab's programs know it; else the kernel's conntrack.
    pub programs: bool,
    /// Source and destination as they came.
    pub original: (SocketAddr, SocketAddr),
    /// And as they went on.
    pub translated: (SocketAddr, SocketAddr),
}

/// A link that a packet has left through.
#[derive(Clone, Debug)]
pub(super) struct Crossing {
    pub host: String,
    pub link: u32,
    /// A bridge has passed the frame on, which can tell nobody about what it drops.
    pub bridged: bool,
    /// The packet is one that the host has forwarded.
    pub forwarded: bool,
    /// Position of the hop.
    pub hop: usize,
    pub packet: Packet,
}

/// What may be the cause if the packet does not arrive.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    pub hop: usize,
    pub finding: Finding,
}

/// A packet that is walked, and what was met.
pub(super) struct Walker<'f> {
    pub facts: &'f Facts,
    pub spec: &'f Spec,
    pub case: Case,
    pub hops: Vec<Hop>,
    pub connections: Vec<Connection>,
    pub crossings: Vec<Crossing>,
    /// Of the way there, once it is behind.
    pub crossings_there: Vec<Crossing>,
    pub suspects: Vec<Suspect>,
    /// A rule that takes marks off, and its host.
    pub unmarked: Option<(String, Place)>,
    /// XDP has made the packet that is being sent.
    pub by_xdp: bool,
    /// A rule that spoils outer checksums, and its host.
    pub spoilt: Option<(String, Place)>,
    /// Hosts that forwarded, with the packet's addresses.
    visited: Vec<(String, SocketAddr, SocketAddr)>,
}

impl<'f> Walker<'f> {
    pub fn new(facts: &'f Facts, spec: &'f Spec, case: &Case) -> Self {
        Self {
            facts,
            spec,
            case: case.clone(),
            hops: Vec::new(),
            connections: Vec::new(),
            crossings: Vec::new(),
            crossings_there: Vec::new(),
            suspects: Vec::new(),
            unmarked: None,
            by_xdp: false,
            spoilt: None,
            visited: Vec::new(),
        }
    }

    /// The hops so far; the walk begins anew, and connections stay known.
    pub fn turn(&mut self) -> Vec<Hop> {
        self.visited.clear();
        self.crossings_there.append(&mut self.crossings);
        std::mem::take(&mut self.hops)
    }

    /// Where the packet did not arrive, what may have been the cause is one.
    pub fn blame_suspects(&mut self, end: &End<'_>) {
        let suspects = std::mem::take(&mut self.suspects);
        if matches!(end, End::Lost) {
            for Suspect { hop, finding } in suspects {
                if let Some(hop) = self.hops.get_mut(hop) {
                    hop.passes = false;
                    hop.findings.push(finding);
                }
            }
        }
    }

    pub fn hop(
        &mut self,
        host: &HostFacts,
        interface: Option<&str>,
        stage: Stage,
        packet: &Packet,
        words: impl Into<String>,
    ) {
        self.hops.push(Hop {
            host: host.name.clone(),
            interface: interface.map(str::to_owned),
            stage,
            packet: Tuple::of(packet),
            words: words.into(),
            passes: true,
            findings: Vec::new(),
        });
    }

    /// Something that is in the way at the last hop, or may be.
    pub fn find(&mut self, finding: Finding) {
        if let Some(hop) = self.hops.last_mut() {
            hop.passes &= finding.severity != Severity::Broken;
            hop.findings.push(finding);
        }
    }

    /// The packet goes no further than the last hop, as it should be.
    fn stop_here(&mut self) {
        if let Some(hop) = self.hops.last_mut() {
            hop.passes = false;
        }
    }

    /// A packet of the host's own.
    pub fn send(&mut self, host: &'f HostFacts, packet: Packet) -> End<'f> {
        self.hop(host, None, Stage::Leave, &packet, format!("{} sends", host.name));
        let (device, next) = match self.way(host, None, &packet) {
            Way::Out { device, next } => (device, next),
            Way::Own => return End::At(host, packet),
            Way::End(end) => return end,
        };
        let output = host.link_name(device);
        let view = self.view(host, packet, None, Some(&output), false);
        let packet = self.netfilter(Hook::Output, view).packet;
        let view = self.view(host, packet, None, Some(&output), false);
        let packet = self.netfilter(Hook::Postrouting, view).packet;
        self.transmit(host, device, next, packet, false)
    }

    /// A packet that comes in by a link.
    pub fn receive(&mut self, host: &'f HostFacts, device: u32, packet: Packet) -> End<'f> {
        if self.hops.len() > MOST_HOPS {
            return End::Lost;
        }
        let input = host.link_name(device);
        self.hop(host, Some(&input), Stage::Arrive, &packet, format!("in by {input}"));
        translate::strangers(self, host, &input, true);
        let packet = match translate::ingress(self, host, device, packet) {
            Programmed::Up(packet) => packet,
            Programmed::End(end) => return end,
        };
        let view = self.view(host, packet, Some(&input), None, false);
        let packet = self.netfilter(Hook::Ingress, view).packet;
        let (packet, translated) = self.prerouting(host, &input, packet);
        if let Some(finding) = forwarding::source_refused(host, device, &packet) {
            self.hop(host, Some(&input), Stage::Route, &packet, "the source is checked");
            self.find(finding);
        }
        match self.way(host, Some(device), &packet) {
            Way::Own => {
                let view = self.view(host, packet, Some(&input), None, translated);
                let packet = self.netfilter(Hook::Input, view).packet;
                self.deliver(host, packet)
            }
            Way::Out { device: output, next } => {
                self.forward(host, device, output, next, packet, translated)
            }
            Way::End(end) => end,
        }
    }

    fn forward(
        &mut self,
        host: &'f HostFacts,
        input: u32,
        output: u32,
        next: std::net::IpAddr,
        mut packet: Packet,
        translated: bool,
    ) -> End<'f> {
        let (from, to) = (host.link_name(input), host.link_name(output));
        self.hop(
            host,
            Some(&to),
            Stage::Forward,
            &packet,
            format!("forwarded from {from} to {to}"),
        );
        if let Some(finding) = forwarding::off(host, &from, packet.is_v4()) {
            self.find(finding);
        }
        if self.has_looped(host, &packet) {
            return End::Lost;
        }
        self.age(host, &mut packet);
        let view = self.view(host, packet, Some(&from), Some(&to), translated);
        let packet = self.netfilter(Hook::Forward, view).packet;
        let view = self.view(host, packet, Some(&from), Some(&to), translated);
        let packet = self.postrouting(view, output, next);
        self.transmit(host, output, next, packet, true)
    }

    /// One hop off the TTL.
    pub fn age(&mut self, host: &HostFacts, packet: &mut Packet) {
        if packet.ttl <= 1 {
            let finding = stop::expired(self, host);
            self.find(finding);
            // Goes on as if it had been enough.
            packet.ttl = super::packet::DEFAULT_TTL;
        }
        packet.ttl -= 1;
    }

    /// Whether the host forwards the same packet for the second time.
    pub fn has_looped(&mut self, host: &HostFacts, packet: &Packet) -> bool {
        let place = (host.name.clone(), packet.source, packet.destination);
        if self.visited.contains(&place) {
            let finding = stop::looped(self, host, packet);
            self.find(finding);
            return true;
        }
        self.visited.push(place);
        false
    }

    /// Asks netfilter, and says what it dropped.
    pub fn netfilter(&mut self, hook: Hook, view: View<'f>) -> Passage {
        let (host, input, output) = (view.host, view.input, view.output);
        let link = output.or(input).map(str::to_owned);
        let asked = view.packet.clone();
        let passage = netfilter::pass(hook, view);
        // After routing, kube-proxy takes its own mark off again.
        if let (Some(place), true) = (&passage.unmarked, hook != Hook::Postrouting) {
            self.unmarked.get_or_insert((host.name.clone(), place.clone()));
        }
        for stopped in &passage.stops {
            let (stage, words) = stop::stage(hook);
            self.hop(host, link.as_deref(), stage, &asked, words);
            if stop::is_meant(self, stopped) {
                self.stop_here();
            } else {
                let finding = stop::finding(self, host, hook, stopped, &asked);
                self.find(finding);
            }
        }
        passage
    }

    pub fn view(
        &self,
        host: &'f HostFacts,
        packet: Packet,
        input: Option<&str>,
        output: Option<&str>,
        translated: bool,
    ) -> View<'f> {
        let name = |name: Option<&str>| {
            name.and_then(|name| host.link(name)).map(|link| link.name.as_str())
        };
        let known = self.connection(host, &packet).is_some();
        let state = match (packet.answers, known) {
            (true, true) => "established",
            // conntrack has never seen what this answers.
            (true, false) if packet.protocol == super::packet::TCP => "invalid",
            _ => "new",
        };
        let wish = self.case.backend.as_ref().map(|backend| backend.address);
        let translated = translated || packet.back.is_some();
        View { host, input: name(input), output: name(output), state, translated, wish, packet }
    }

    /// The connection of the kernel's that an answer belongs to.
    pub fn connection(&self, host: &HostFacts, packet: &Packet) -> Option<&Connection> {
        self.connections.iter().find(|connection| {
            let (source, destination) = connection.translated;
            let is_back = packet.source == destination && packet.destination == source;
            // After its destination has been translated back, it is looked for by its source.
            let is_half = packet.back.is_some_and(|back| back == connection.original.1)
                && packet.destination == connection.original.0;
            !connection.programs && connection.host == host.name && (is_back || is_half)
        })
    }

    /// The same finding, less sure where somebody could not look at what may say otherwise.
    pub fn unless_blind(&self, finding: Finding, host: &str, source: Source) -> Option<Finding> {
        (!self.facts.is_blind(host, source)).then_some(finding)
    }
}
