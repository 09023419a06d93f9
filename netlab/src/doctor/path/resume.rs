//! Going on behind an obstacle, where the objects say where the packet should have gone.

use std::net::IpAddr;

use super::{
    Stage,
    packet::Packet,
    walk::{End, Walker},
};
use crate::doctor::facts::{HostFacts, Role, link::Link};

impl<'f> Walker<'f> {
    /// Goes on as if the packet had got where it should go from here.
    pub fn resume(&mut self, from: &'f HostFacts, packet: Packet) -> End<'f> {
        let to = packet.destination.ip();
        if let (Some((link, vtep)), false) = (self.tunnel_to(from, to), packet.is_tunnel()) {
            let words = format!("as if its route had led out by {}", link.name);
            self.hop(from, Some(&link.name), Stage::Resume, &packet, words);
            return self.encapsulate(from, link, vtep, packet);
        }
        let place = match from.role {
            // A pod's packets go to its node, whatever they are.
            Role::Pod { .. } => self.facts.pod_port(from).and_then(|(_, node, port)| {
                Some((node, node.link_at(port.master.unwrap_or(port.index))?.index))
            }),
            _ => self.entry(from, to),
        };
        let Some((host, link)) = place else { return End::Lost };
        let words = format!("as if it had arrived at {}", host.name);
        let name = host.link_name(link);
        self.hop(host, Some(&name), Stage::Resume, &packet, words);
        self.receive(host, link, packet)
    }

    /// The VXLAN device by which a node should reach another's pods, and the VTEP behind it.
    fn tunnel_to(&self, from: &'f HostFacts, to: IpAddr) -> Option<(&'f Link, IpAddr)> {
        let Role::Node { node: own } = &from.role else { return None };
        let node = self.node_of(to).filter(|node| node.name != *own)?;
        let net = node.pod_cidrs.iter().find(|net| net.contains(&to))?;
        Some((from.vtep(to.is_ipv4())?, net.network()))
    }

    /// The host that should get a packet next, and by which link.
    fn entry(&self, from: &HostFacts, to: IpAddr) -> Option<(&'f HostFacts, u32)> {
        let owner = self.facts.owners(to).next();
        let node = self.node_of(to).and_then(|node| self.facts.node(&node.name));
        match (node, owner) {
            (Some(node), _) if node.name != from.name => {
                let v4 = to.is_ipv4();
                let tunnel = node.vtep(v4);
                let uplink = || {
                    let spec = self
                        .spec
                        .nodes
                        .iter()
                        .find(|of| of.addresses.iter().any(|own| node.has_address(*own)))?;
                    node.link_with(*spec.addresses.iter().find(|own| own.is_ipv4() == v4)?)
                };
                let link = tunnel.or_else(uplink)?;
                Some((node, link.index))
            }
            (_, Some((owner, link))) => Some((owner, link.index)),
            _ => None,
        }
    }
}
