//! Packets for the host itself.

use std::net::IpAddr;

use super::{
    Stage,
    netfilter::{self, Hook, Nat},
    packet::Packet,
    sockets,
    walk::{End, Walker},
};
use crate::{
    doctor::{
        facts::{HostFacts, Source},
        finding::{Code, Confidence, Finding},
    },
    spec::model::{Endpoint, Service, ServicePort},
};

/// What may give a packet another destination.
pub const TRANSLATE: [Source; 5] =
    [Source::Nft, Source::IptablesNft, Source::IptablesLegacy, Source::Ipvs, Source::Datapath];

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
        let has_backend = self.case.backend.is_some();
        if is_dialled && (self.is_blind_for_rules(host) || self.has_met_stranger(host)) {
            return End::Beyond;
        }
        if self.service().is_some() && (is_dialled || !has_backend) {
            if has_backend {
                self.passed_over(host, &packet);
            }
            return End::Lost;
        }
        // A rule was read that gives it to others, and others than this packet may meet it.
        if is_dialled && has_backend && !self.facts.subject.is_asked() {
            return End::Beyond;
        }
        if let Some(finding) = sockets::missing(self.facts, host, &packet, &self.case) {
            let is_own_port = is_dialled && !has_backend;
            let finding = match is_own_port {
                true if self.knows_nothing() => self.unknown_port(finding, host),
                true => self.no_node_port(finding),
                false => finding,
            };
            self.find(finding);
        }
        End::At(host, packet)
    }

    /// The packet has a backend, and nobody has given it to that one.
    fn passed_over(&mut self, host: &'f HostFacts, packet: &Packet) {
        let mut known = self.hops.iter().flat_map(|hop| &hop.findings);
        if known.any(|of| of.code == Code::PortHeld) {
            return;
        }
        match self.excluded(host, packet) {
            Some(finding) => self.find(finding),
            None => {
                let cause = format!("nothing on {} translates {}", host.name, packet.destination);
                self.untranslated(host, cause);
            }
        }
    }

    /// The host's rules translate the node port at other addresses of its: this one is left out.
    fn excluded(&self, host: &'f HostFacts, packet: &Packet) -> Option<Finding> {
        let dialled = packet.destination;
        let input = host.link_with(dialled.ip()).map(|link| link.name.as_str());
        let is_translated = |address: &IpAddr| {
            let mut asked = packet.clone();
            asked.destination.set_ip(*address);
            let view = self.view(host, asked, input, None, false);
            let passage = netfilter::pass(Hook::Prerouting, view);
            matches!(passage.nat, Some(Nat::Destination(_)))
        };
        let others = host.global_of(dialled.is_ipv4()).map(|own| own.net.addr());
        let answering: Vec<_> = others.filter(is_translated).map(|own| own.to_string()).collect();
        if answering.is_empty() {
            return None;
        }
        let (own, answering) = (dialled.ip(), answering.join(", "));
        let cause =
            format!("node ports of {} do not answer on {own}, but on {answering}", host.name);
        let shown = format!("port {} is translated at {answering}, not at {own}", dialled.port());
        let finding = Finding::broken(Code::AddressExcluded, Some(&host.name), cause)
            .confidence(Confidence::Likely)
            .shown(Source::Addresses, shown);
        let words = "Dial one of these addresses, or have kube-proxy's nodePortAddresses name \
                     this one too";
        Some(finding.advised(words))
    }

    /// The Service whose node port is dialled; then a socket of the node's own is not meant.
    pub fn service(&self) -> Option<&'f Service> {
        self.spec.with_node_port(self.case.dialled.port()).next().map(|(service, _)| service)
    }

    /// Nobody has given any objects, so that none is missing among them.
    fn knows_nothing(&self) -> bool {
        self.facts.lab.is_none() && self.spec.services.is_empty() && self.spec.nodes.is_empty()
    }

    /// Which Services have the port that was dialled as another than their node port.
    fn no_node_port(&self, finding: Finding) -> Finding {
        let number = self.case.dialled.port();
        let mut finding =
            finding.shown(Source::Objects, format!("no Service has node port {number}"));
        let ports = self.spec.services.iter().flat_map(|service| {
            let own =
                service.ports.iter().filter_map(|port| Some((port.node_port?, port.protocol)));
            own.map(move |(port, protocol)| format!("{port}/{protocol} ({})", service.name))
        });
        // Of many, some will do.
        let known: Vec<String> = ports.take(8).collect();
        if !known.is_empty() {
            let known = format!("node ports there are: {}", known.join(", "));
            finding = finding.shown(Source::Objects, known);
        }
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
                    .advised(words);
            }
        }
        finding
    }

    /// What translates on a host could not be read, or not all of it.
    pub fn is_blind_for_rules(&self, host: &HostFacts) -> bool {
        TRANSLATE.into_iter().any(|source| self.facts.is_blind(&host.name, source))
    }

    /// The packet has passed a program of others on this host, which may have translated it, as
    /// those of a cluster without kube-proxy do.
    fn has_met_stranger(&self, host: &HostFacts) -> bool {
        let hops = self.hops.iter().filter(|hop| hop.host == host.name);
        hops.flat_map(|hop| &hop.findings).any(|of| of.code == Code::ForeignProgram)
    }
}
