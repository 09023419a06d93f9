//! Packets for the host itself.

use super::{
    Stage,
    packet::Packet,
    sockets,
    walk::{End, Walker},
};
use crate::{
    doctor::{
        facts::{HostFacts, Source},
        finding::{Code, Finding},
    },
    spec::model::{Endpoint, Service, ServicePort},
};

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
        if is_dialled && self.is_blind_for_rules(host) {
            return End::Beyond;
        }
        if is_dialled && self.case.backend.is_some() && self.service().is_some() {
            let mut known = self.hops.iter().flat_map(|hop| &hop.findings);
            if !known.any(|of| of.code == Code::PortHeld) {
                let cause = format!("nothing on {} translates {}", host.name, packet.destination);
                self.untranslated(host, cause);
            }
            return End::Lost;
        }
        if self.case.backend.is_none() && self.service().is_some() {
            return End::Lost;
        }
        // A rule was read that gives it to others, and others than this packet may meet it.
        let is_guess = self.case.backend.is_some() && packet.destination == self.case.dialled;
        if is_guess && !self.facts.subject.is_asked() {
            return End::Beyond;
        }
        if let Some(finding) = sockets::missing(self.facts, host, &packet, &self.case) {
            let finding = match self.case.backend {
                None if packet.destination == self.case.dialled => self.no_node_port(finding),
                _ => finding,
            };
            self.find(finding);
        }
        End::At(host, packet)
    }

    /// The Service whose node port is dialled; then a socket of the node's own is not meant.
    pub fn service(&self) -> Option<&'f Service> {
        self.spec.with_node_port(self.case.dialled.port()).next().map(|(service, _)| service)
    }

    /// Which Services have the port that was dialled as another than their node port.
    fn no_node_port(&self, finding: Finding) -> Finding {
        let number = self.case.dialled.port();
        let mut finding =
            finding.shown(Source::Objects, format!("no Service has node port {number}"));
        for service in &self.spec.services {
            let is_meant = |port: &&ServicePort| {
                let is_target = |endpoint: &Endpoint| endpoint.port.get() == number;
                port.port.get() == number || port.endpoints.iter().any(is_target)
            };
            for port in service.ports.iter().filter(is_meant) {
                let (name, own) = (&service.name, port.port);
                let (node_port, words) = match port.node_port {
                    Some(port) => {
                        (port.to_string(), format!("Dial Service {name} at port {port}."))
                    }
                    None => (
                        "none".to_owned(),
                        format!("Make Service {name} one of type NodePort to dial it at a node."),
                    ),
                };
                finding = finding
                    .shown(
                        Source::Objects,
                        format!("Service {name}: port {own}, nodePort {node_port}"),
                    )
                    .mended([""; 0], words);
            }
        }
        finding
    }

    fn is_blind_for_rules(&self, host: &HostFacts) -> bool {
        let sources = [Source::Nft, Source::IptablesNft, Source::IptablesLegacy, Source::Datapath];
        sources.into_iter().any(|source| self.facts.is_blind(&host.name, source))
    }
}
