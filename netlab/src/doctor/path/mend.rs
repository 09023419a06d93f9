//! Routes and links as they should be, by the objects and by those that are well.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use super::walk::Walker;
use crate::doctor::{
    facts::{Facts, HostFacts, Role, Source, link::Link, route::Address},
    finding::{Code, Finding},
};

/// A link that is administratively down.
pub(super) fn down(facts: &Facts, host: &HostFacts, link: &Link) -> Finding {
    let name = link.name.as_str();
    let cause = format!("{name} on {} is down", host.name);
    let command = ["ip", "link", "set", "dev", name, "up"];
    let finding = Finding::broken(Code::LinkDown, Some(&host.name), cause)
        .shown(Source::Links, format!("{name}: state DOWN"))
        .mended(command, "Bring the link up.");
    lost_gateways(facts, host, link).into_iter().fold(finding, |finding, net| {
        let command = format!("ip addr add {net} dev {name} nodad");
        let words = "Give it back the IPv6 address that it has lost with its state, by which \
                     the pods leave.";
        finding.then(command.split(' '), words)
    })
}

/// IPv6 addresses that pods behind a bridge have as their gateways, and that their node does not
/// have: a link that goes down loses them.
fn lost_gateways(facts: &Facts, host: &HostFacts, bridge: &Link) -> BTreeSet<IpNet> {
    let ports = host.links.iter().filter(|port| port.master == Some(bridge.index));
    let pods = ports.filter_map(|port| facts.peer(port));
    let gateways = pods.filter_map(|(pod, link)| {
        let gateway = pod.default_routes().flat_map(|route| &route.hops).find_map(|hop| {
            hop.gateway.filter(|gateway| gateway.is_ipv6() && !host.has_address(*gateway))
        })?;
        let holds = |own: &&Address| own.device == link.index && own.net.contains(&gateway);
        let network = pod.addresses.iter().find(holds)?.net;
        IpNet::new(gateway, network.prefix_len()).ok()
    });
    gateways.collect()
}

impl HostFacts {
    /// The VXLAN devices whose datagrams are of a family.
    pub(super) fn vteps(&self, v4: bool) -> impl Iterator<Item = &Link> + Clone {
        self.links.iter().filter(move |link| {
            link.vxlan().and_then(|own| own.local).is_some_and(|local| local.is_ipv4() == v4)
        })
    }

    /// The first of [`HostFacts::vteps`].
    pub(super) fn vtep(&self, v4: bool) -> Option<&Link> {
        self.vteps(v4).next()
    }
}

impl Finding {
    /// Shows an address that its host should not have, and the command that takes it away.
    pub(in crate::doctor) fn taken_away(self, host: &HostFacts, own: &Address) -> Self {
        let place = format!("{} dev {}", own.net, host.link_name(own.device));
        let command = format!("ip addr del {place}");
        self.shown(Source::Addresses, place)
            .mended(command.split(' '), "Take the address away from the wrong host.")
    }
}

impl Walker<'_> {
    /// Adds the command that makes the route as it should be.
    pub fn with_route(&self, finding: Finding, host: &HostFacts, to: IpAddr) -> Finding {
        match self.right_route(host, to) {
            Some(line) => {
                let command = format!("ip route replace {line}");
                finding.mended(command.split(' '), "Make the route.")
            }
            None => finding,
        }
    }

    /// The route that a host should have to an address, as `ip route replace` takes it.
    fn right_route(&self, host: &HostFacts, to: IpAddr) -> Option<String> {
        if let Role::Pod { .. } = host.role {
            let (gateway, device) = self.pods_gateway(host, to.is_ipv4())?;
            return Some(format!("default via {gateway} dev {device}"));
        }
        let node = self.node_of(to)?;
        let net = node.pod_cidrs.iter().find(|net| net.contains(&to))?;
        if self.facts.node(&node.name).is_some_and(|own| own.name == host.name) {
            let has = |own: &&Address| net.contains(&own.net.addr());
            let bridge = |own: &&Address| host.link_at(own.device).is_some_and(Link::is_bridge);
            let own = host.global().filter(has).find(bridge)?;
            return Some(format!(
                "{net} dev {} src {}",
                host.link_name(own.device),
                own.net.addr()
            ));
        }
        if let Some(vtep) = host.vtep(to.is_ipv4()) {
            return Some(format!("{net} via {} dev {} onlink", net.network(), vtep.name));
        }
        let gateway = node.addresses.iter().find(|own| own.is_ipv4() == to.is_ipv4())?;
        let own = host.addresses.iter().find(|own| {
            own.net.contains(gateway) && own.net.prefix_len() < own.net.max_prefix_len()
        })?;
        Some(format!("{net} via {gateway} dev {}", host.link_name(own.device)))
    }

    /// The address of the bridge that a pod's link is a port of, and the pod's link.
    pub fn pods_gateway(&self, pod: &HostFacts, v4: bool) -> Option<(IpAddr, String)> {
        let (link, node, port) = self.facts.pod_port(pod)?;
        let bridge = port.master;
        let network = pod.global_of(v4).find(|own| own.device == link.index)?.net;
        let is_net = |own: &&Address| own.net.prefix_len() < own.net.max_prefix_len();
        let mut all = node.global_of(v4).filter(is_net);
        let on_bridge = all
            .clone()
            .find(|own| Some(own.device) == bridge)
            .or_else(|| all.find(|own| network.contains(&own.net.addr())))?;
        Some((on_bridge.net.addr(), link.name.clone()))
    }
}
