//! Translation by netfilter: before routing of destinations, after it of sources, and back.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use super::{
    Stage,
    netfilter::{Hook, Nat, Passage, SourcePorts, View},
    packet::Packet,
    sockets,
    walk::{Connection, Walker},
};
use crate::doctor::{
    facts::{HostFacts, Source},
    finding::{Code, Finding, Severity},
};

impl<'f> Walker<'f> {
    /// Rules before routing, conntrack and destination NAT.
    pub fn prerouting(
        &mut self,
        host: &'f HostFacts,
        input: &str,
        packet: Packet,
    ) -> (Packet, bool) {
        let view = self.view(host, packet, Some(input), None, false);
        let Passage { mut packet, nat, redirect, .. } = self.netfilter(Hook::Prerouting, view);
        if packet.answers {
            if let Some(connection) = self.connection(host, &packet).cloned()
                && connection.original != connection.translated
            {
                packet.destination = connection.original.0;
                packet.back = Some(connection.original.1);
                self.hop(host, Some(input), Stage::Translate, &packet, "translated back");
            }
            return (packet, false);
        }
        let original = (packet.source, packet.destination);
        let translated = self.destination_nat(host, input, nat, &mut packet);
        if let Some(place) = redirect {
            let finding = sockets::held(host, &packet, &place);
            self.find(finding);
        }
        self.connections.push(Connection {
            host: host.name.clone(),
            programs: false,
            original,
            translated: (packet.source, packet.destination),
        });
        (packet, translated)
    }

    fn destination_nat(
        &mut self,
        host: &'f HostFacts,
        input: &str,
        nat: Option<Nat>,
        packet: &mut Packet,
    ) -> bool {
        let to = match nat {
            Some(Nat::Destination(to)) => to,
            Some(Nat::Redirect(port)) => {
                let port = port.unwrap_or(packet.destination.port());
                SocketAddr::new(packet.destination.ip(), port)
            }
            _ => return false,
        };
        let words = format!("{} becomes {to}", packet.destination);
        packet.destination = to;
        self.hop(host, Some(input), Stage::Translate, packet, words);
        true
    }

    /// Rules after routing, and source NAT.
    pub fn postrouting(&mut self, view: View<'f>, output: u32, next: IpAddr) -> Packet {
        let host = view.host;
        let out = host.link_name(output);
        let Passage { mut packet, nat, source_ports, .. } = self.netfilter(Hook::Postrouting, view);
        if let Some(back) = packet.back.take() {
            packet.source = back;
            return packet;
        }
        let source = match nat {
            Some(Nat::Source(source)) => source,
            Some(Nat::Masquerade) => match masquerade(host, output, next) {
                Some(address) => SocketAddr::new(address, packet.source.port()),
                None => return packet,
            },
            _ => return packet,
        };
        let before = packet.source;
        packet.source = source;
        let own = self.connections.iter_mut().rev().find(|connection| {
            connection.host == host.name && connection.translated == (before, packet.destination)
        });
        if let Some(connection) = own {
            connection.translated.0 = source;
        }
        let words = format!("masqueraded: {} becomes {}", before.ip(), source.ip());
        self.hop(host, Some(&out), Stage::Translate, &packet, words);
        if let Some(finding) = source_ports.and_then(|ports| too_few(host, &packet, &ports)) {
            self.find(finding);
        }
        packet
    }
}

/// Fewer ports than this towards one backend last for less than a connection a second: each is
/// kept for two minutes after its connection has ended (nf_conntrack_tcp_timeout_time_wait).
const FEW: u16 = 120;

/// A rule that leaves few ports to masquerade with, and how many of them are taken.
fn too_few(host: &HostFacts, packet: &Packet, ports: &SourcePorts) -> Option<Finding> {
    let (low, high) = (ports.low, ports.high);
    let span = high.checked_sub(low)?.checked_add(1).filter(|span| *span < FEW)?;
    let (source, backend) = (packet.source.ip(), packet.destination);
    let connections = host.conntrack.iter().flat_map(|table| &table.connections);
    let taken: BTreeSet<u16> = connections
        .filter(|of| of.protocol == packet.protocol && of.reply.0 == backend)
        .filter(|of| of.reply.1.ip() == source && (low..=high).contains(&of.reply.1.port()))
        .map(|of| of.reply.1.port())
        .collect();
    let is_full = taken.len() >= usize::from(span);
    let cause = format!(
        "{} masquerades with {span} ports alone, so that many connections to a backend are all \
         that it takes: {}",
        host.name, ports.place.chain
    );
    let finding = Finding::broken(Code::SnatPortsExhausted, Some(&host.name), cause)
        .severity(if is_full { Severity::Impaired } else { Severity::Risk });
    let finding = ports.place.blamed(finding);
    let told = format!("ports {low}-{high} of {source} to {backend}: {} taken", taken.len());
    Some(finding.shown(Source::Conntrack, told))
}

/// The address that MASQUERADE takes: of the outgoing link, on the network of the next hop where
/// there is one.
fn masquerade(host: &HostFacts, output: u32, next: IpAddr) -> Option<IpAddr> {
    let mut all = host.global_of(next.is_ipv4()).filter(|own| own.device == output);
    let first = all.clone().next();
    all.find(|own| own.net.contains(&next)).or(first).map(|own| own.net.addr())
}
