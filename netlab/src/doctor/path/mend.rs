//! Routes as they should be, by the objects.

use std::net::IpAddr;

use super::walk::Walker;
use crate::doctor::{
    facts::{HostFacts, Role, route::Address},
    finding::Finding,
};

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
        let vtep = host.links.iter().find(|link| {
            let has_family = |local: IpAddr| local.is_ipv4() == to.is_ipv4();
            link.vxlan().and_then(|vxlan| vxlan.local).is_some_and(has_family)
        });
        if let Some(vtep) = vtep {
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
        let own = |own: &&Address| own.net.addr().is_ipv4() == v4 && own.scope == "global";
        let bridge = port.master;
        let network = pod.addresses.iter().filter(own).find(|own| own.device == link.index)?.net;
        let is_net = |own: &&Address| own.net.prefix_len() < own.net.max_prefix_len();
        let mut all = node.addresses.iter().filter(own).filter(is_net);
        let on_bridge = all
            .clone()
            .find(|own| Some(own.device) == bridge)
            .or_else(|| all.find(|own| network.contains(&own.net.addr())))?;
        Some((on_bridge.net.addr(), link.name.clone()))
    }
}
