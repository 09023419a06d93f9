//! Packets for the host itself.

use super::{
    Stage,
    packet::Packet,
    sockets,
    walk::{End, Walker},
};
use crate::doctor::{facts::HostFacts, finding::Code};

impl<'f> Walker<'f> {
    /// A packet that is the host's: out of its tunnel, or to its socket.
    pub fn deliver(&mut self, host: &'f HostFacts, packet: Packet) -> End<'f> {
        if packet.is_tunnel() {
            return self.decapsulate(host, packet);
        }
        if packet.answers {
            self.hop(host, None, Stage::Listen, &packet, format!("{} has its answer", host.name));
            return End::At(host, packet);
        }
        self.listen(host, packet)
    }

    fn listen(&mut self, host: &'f HostFacts, packet: Packet) -> End<'f> {
        self.hop(
            host,
            None,
            Stage::Listen,
            &packet,
            format!("to the socket at {}", packet.destination),
        );
        // It is still addressed to the node: nobody has translated it.
        let is_dialled = packet.destination == self.case.dialled;
        let is_due = self.case.backend.is_some() && self.is_node_port();
        if is_dialled && self.is_blind_for_rules(host) {
            return End::Beyond;
        }
        if is_dialled && is_due {
            let is_held = self.hops.iter().flat_map(|hop| &hop.findings);
            let is_held = is_held.into_iter().any(|of| of.code == Code::PortHeld);
            if !is_held {
                let cause = format!("nothing on {} translates {}", host.name, packet.destination);
                self.untranslated(host, cause);
            }
            return End::Lost;
        }
        if self.case.backend.is_none() && self.is_node_port() {
            return End::Lost;
        }
        // A rule was read that gives it to others, and others than this packet may meet it.
        let is_guess = self.case.backend.is_some() && packet.destination == self.case.dialled;
        if is_guess && !self.facts.subject.is_asked() {
            return End::Beyond;
        }
        if let Some(finding) = sockets::missing(self.facts, host, &packet, &self.case) {
            self.find(finding);
        }
        End::At(host, packet)
    }

    /// A Service has it, so a socket of the node's own is not meant.
    fn is_node_port(&self) -> bool {
        let mut ports = self.spec.services.iter().flat_map(|service| &service.ports);
        let dialled = self.case.dialled.port();
        ports.any(|port| port.node_port.is_some_and(|port| port.get() == dialled))
    }

    fn is_blind_for_rules(&self, host: &HostFacts) -> bool {
        use crate::doctor::facts::Source;
        let sources = [Source::Nft, Source::IptablesNft, Source::IptablesLegacy, Source::Datapath];
        sources.into_iter().any(|source| self.facts.is_blind(&host.name, source))
    }
}
