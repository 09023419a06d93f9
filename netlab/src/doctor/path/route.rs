//! Where a packet goes next, and whether that is where the objects say.

use std::net::IpAddr;

use super::{
    Stage, fib,
    fib::{Lookup, Query},
    mend::down,
    packet::Packet,
    walk::{End, Suspect, Walker},
};
use crate::{
    doctor::{
        facts::{
            HostFacts, Role, Source,
            route::{Route, RouteKind, Rule},
        },
        finding::{Code, Confidence, Finding},
    },
    spec::model::Node,
};

const DELETE_ROUTE: &str = "Delete the route.";

/// Where a packet goes next.
pub(super) enum Way<'f> {
    /// It is the host's.
    Own,
    /// Out of a link, to a neighbor.
    Out { device: u32, next: IpAddr },
    /// That was it, or the walk has gone on elsewhere.
    End(End<'f>),
}

impl<'f> Walker<'f> {
    /// Looks up the route of a packet that came in by a link, or is the host's own.
    pub fn way(&mut self, host: &'f HostFacts, input: Option<u32>, packet: &Packet) -> Way<'f> {
        if self.facts.is_blind(&host.name, Source::Routes) {
            return Way::End(End::Beyond);
        }
        let input = input.and_then(|input| host.link_at(input)).map(|link| link.name.as_str());
        let query = Query::of(packet, input);
        let found = fib::lookup(host, &query);
        let to = packet.destination.ip();
        let (route, hop) = match found {
            Lookup::Found { route, .. } if route.kind == RouteKind::Local => {
                self.hop(host, input, Stage::Route, packet, format!("{to} is {}'s own", host.name));
                return Way::Own;
            }
            Lookup::Found { route, hop: Some(hop), .. } if route.kind == RouteKind::Unicast => {
                (route, hop)
            }
            other => return self.no_way(host, input, packet, other),
        };
        let words = fib::words(host, route);
        self.hop(host, input, Stage::Route, packet, format!("{to}: {words}"));
        let next = hop.gateway.unwrap_or(to);
        if let Some(rule) = found.by_policy() {
            let plain = fib::lookup_plain(host, &query);
            if !is_same(&plain, hop.device, next, to) {
                return self.by_policy(host, packet, rule, route, (hop.device, next));
            }
        }
        if let Some(finding) = self.wrong(host, packet, route, hop.gateway, hop.device) {
            self.find(finding);
            return Way::End(self.resume(host, packet.clone()));
        }
        Way::Out { device: hop.device, next }
    }

    /// No route, or one that refuses.
    fn no_way(
        &mut self,
        host: &'f HostFacts,
        input: Option<&str>,
        packet: &Packet,
        found: Lookup<'f>,
    ) -> Way<'f> {
        let to = packet.destination.ip();
        self.hop(host, input, Stage::Route, packet, format!("{to}: there is no way"));
        let finding = match found {
            Lookup::Refused(rule) => refused_by_rule(host, to, rule),
            Lookup::Found { route, .. } => self.refused(host, to, route, found.by_policy()),
            Lookup::Nowhere => self.nowhere(host, to),
        };
        self.find(finding);
        Way::End(self.resume(host, packet.clone()))
    }

    fn refused(&self, host: &HostFacts, to: IpAddr, route: &Route, rule: Option<&Rule>) -> Finding {
        let words = fib::words(host, route);
        let code = match (&host.role, rule) {
            (_, Some(_)) => Code::PolicyRouting,
            (Role::Pod { .. }, None) => Code::PodRouteWrong,
            _ => Code::RouteMissing,
        };
        let cause = format!("{} refuses packets to {to}: its route is {words}", host.name);
        let mut finding =
            Finding::broken(code, Some(&host.name), cause).shown(Source::Routes, words.clone());
        if let Some(rule) = rule {
            finding = finding.shown(Source::Rules, fib::rule_words(rule));
        }
        // A default route that refuses stands for whatever has no other; the right one goes before.
        if route.destination.prefix_len() > 0 {
            finding = finding.mended(deletion(host, route), DELETE_ROUTE);
        }
        self.with_route(finding, host, to)
    }

    fn nowhere(&self, host: &HostFacts, to: IpAddr) -> Finding {
        if let Some(link) = self.link_that_is_down(host, to) {
            return link;
        }
        let is_pod = matches!(host.role, Role::Pod { .. });
        let code = if is_pod { Code::PodRouteWrong } else { Code::RouteMissing };
        let cause = match self.node_of(to) {
            Some(node) if !is_pod => {
                format!(
                    "{} has no route to {to}, which is in the pod network of {}",
                    host.name, node.name
                )
            }
            _ => format!("{} has no route to {to}", host.name),
        };
        let finding = Finding::broken(code, Some(&host.name), cause)
            .shown(Source::Routes, format!("nothing in any table for {to}"));
        self.with_route(finding, host, to)
    }

    /// A link that is down has no routes, so its network is nowhere.
    fn link_that_is_down(&self, host: &HostFacts, to: IpAddr) -> Option<Finding> {
        let own = host.addresses.iter().find(|own| {
            own.net.contains(&to) && host.link_at(own.device).is_some_and(|link| !link.up)
        });
        // IPv6 loses its addresses with the link, so the objects have to say.
        let bridge = || {
            let node = self.node_of(to)?;
            let is_here = self.facts.node(&node.name).is_some_and(|of| of.name == host.name);
            host.links.iter().find(|link| is_here && link.is_bridge() && !link.up)
        };
        let link = own.and_then(|own| host.link_at(own.device)).or_else(bridge)?;
        Some(down(self.facts, host, link))
    }

    /// Another way than the kernel's own rules would have it.
    fn by_policy(
        &mut self,
        host: &'f HostFacts,
        packet: &Packet,
        rule: &Rule,
        route: &Route,
        (device, next): (u32, IpAddr),
    ) -> Way<'f> {
        let to = packet.destination.ip();
        let words = fib::words(host, route);
        let cause = format!(
            "a rule of policy routing on {} sends packets from {} to {to} another way: {words}",
            host.name,
            packet.source.ip()
        );
        let finding = Finding::broken(Code::PolicyRouting, Some(&host.name), cause)
            .shown(Source::Rules, fib::rule_words(rule))
            .shown(Source::Routes, words)
            .mended(rule_deletion(rule), "Delete the rule.");
        let is_nobodys = self.facts.lab.is_some() && self.facts.owners(next).next().is_none();
        if is_nobodys {
            self.find(finding);
            return Way::End(self.resume(host, packet.clone()));
        }
        // A way of its own may be meant: it is one's fault only if the packet does not arrive.
        self.suspects.push(Suspect { hop: self.hops.len() - 1, finding });
        Way::Out { device, next }
    }

    /// What is wrong about a route to a pod, by what the objects say about where the pod is.
    fn wrong(
        &self,
        host: &HostFacts,
        packet: &Packet,
        route: &Route,
        gateway: Option<IpAddr>,
        device: u32,
    ) -> Option<Finding> {
        let to = packet.destination.ip();
        match host.role {
            Role::Pod { .. } => return self.wrong_in_pod(host, route, gateway?, to.is_ipv4()),
            Role::Node { .. } => {}
            _ => return None,
        }
        let node = self.node_of(to)?;
        let target = self.facts.node(&node.name)?;
        if target.name == host.name {
            return Some(self.own_pods_elsewhere(host, to, route, gateway?));
        }
        if route.destination.prefix_len() > 0 {
            return self.wrong_node(host, to, route, (gateway?, device), (node, target));
        }
        let is_net = node.pod_cidrs.iter().any(|net| net.contains(&to));
        let cause = format!(
            "{} has no route to {to}, which is in the pod network of {}: it goes to the default \
             gateway",
            host.name, node.name
        );
        let finding = Finding::broken(Code::RouteMissing, Some(&host.name), cause)
            .shown(Source::Routes, fib::words(host, route))
            // A router that knows the pod networks is a way, too.
            .confidence(self.likely_in_a_lab());
        is_net.then(|| self.with_route(finding, host, to))
    }

    /// A node sends packets for its own pods to somebody else.
    fn own_pods_elsewhere(
        &self,
        host: &HostFacts,
        to: IpAddr,
        route: &Route,
        gateway: IpAddr,
    ) -> Finding {
        let pod = self.facts.owners(to).find(|(of, _)| matches!(of.role, Role::Pod { .. }));
        let down = pod.and_then(|(pod, _)| self.bridge_down(pod));
        if let Some(link) = down.or_else(|| self.link_that_is_down(host, to)) {
            return link;
        }
        let words = fib::words(host, route);
        // Whatever else leaves the node takes its default route, so that one has to stay.
        if route.destination.prefix_len() == 0 {
            let cause = format!(
                "{} has no route to its own pod network: packets to {to} go to the default \
                 gateway {gateway}",
                host.name
            );
            let finding = Finding::broken(Code::RouteMissing, Some(&host.name), cause)
                .confidence(self.sure_in_a_lab())
                .shown(Source::Routes, words);
            return self.with_route(finding, host, to);
        }
        let cause = format!(
            "{} sends packets for its own pod network ({to}) to {gateway}: {words}",
            host.name
        );
        let is_back =
            self.facts.owners(gateway).any(|(owner, _)| owner.is_node() && owner.name != host.name);
        // The other node sends them back, until their TTL is used up.
        let code = if is_back { Code::TtlExpired } else { Code::RouteWrong };
        Finding::broken(code, Some(&host.name), cause)
            .shown(Source::Routes, words)
            .mended(deletion(host, route), DELETE_ROUTE)
    }

    /// A route to another node's pods that leads to somebody else.
    fn wrong_node(
        &self,
        host: &HostFacts,
        to: IpAddr,
        route: &Route,
        (gateway, device): (IpAddr, u32),
        (node, target): (&Node, &HostFacts),
    ) -> Option<Finding> {
        let owner = self.facts.owners(gateway).map(|(owner, _)| owner).find(|owner| {
            host.link_at(device).is_some_and(|link| link.vxlan().is_some())
                || !matches!(owner.role, Role::Fabric)
                || owner.name == target.name
        });
        let owner = match owner {
            Some(owner) if owner.name == target.name => return None,
            Some(owner) => format!("which is {}", owner.name),
            None if self.facts.owners(gateway).next().is_some() => return None,
            None if self.facts.lab.is_none() => return None,
            None => "which is nobody".to_owned(),
        };
        let cause = format!(
            "{}'s route to the pods of {} ({to}) leads to {gateway}, {owner}",
            host.name, node.name
        );
        let finding = Finding::broken(Code::RouteWrong, Some(&host.name), cause)
            .confidence(self.sure_in_a_lab())
            .shown(Source::Routes, fib::words(host, route));
        Some(self.with_route(finding, host, to))
    }

    /// The bridge that a pod's link is a port of is down, and IPv6 loses its addresses with it.
    pub fn bridge_down(&self, pod: &HostFacts) -> Option<Finding> {
        let (_, node, port) = self.facts.pod_port(pod)?;
        let bridge = node.link_at(port.master?)?;
        (!bridge.up).then(|| down(self.facts, node, bridge))
    }

    fn wrong_in_pod(
        &self,
        pod: &HostFacts,
        route: &Route,
        gateway: IpAddr,
        v4: bool,
    ) -> Option<Finding> {
        let (_, node, _) = self.facts.pod_port(pod)?;
        if node.has_address(gateway) {
            return None;
        }
        if let Some(finding) = self.bridge_down(pod) {
            return Some(finding);
        }
        let (right, device) = self.pods_gateway(pod, v4)?;
        let words = fib::words(pod, route);
        let cause = format!(
            "{}'s gateway {gateway} is not its node {}, whose address there is {right}",
            pod.name, node.name
        );
        let command = format!("ip route replace default via {right} dev {device}");
        Some(
            Finding::broken(Code::PodRouteWrong, Some(&pod.name), cause)
                .shown(Source::Routes, words)
                .mended(command.split(' '), "Make the node the pod's gateway."),
        )
    }

    fn sure_in_a_lab(&self) -> Confidence {
        if self.facts.lab.is_some() { Confidence::Certain } else { Confidence::Likely }
    }

    fn likely_in_a_lab(&self) -> Confidence {
        if self.facts.lab.is_some() { Confidence::Certain } else { Confidence::Possible }
    }

    /// The node that an address of a pod, or of a pod network, belongs to.
    pub fn node_of(&self, address: IpAddr) -> Option<&'f Node> {
        let pod = self.spec.pods.iter().find(|pod| pod.addresses.contains(&address));
        let by_pod = pod.and_then(|pod| self.spec.nodes.iter().find(|node| node.name == pod.node));
        let by_net = || {
            let holds = |node: &&Node| node.pod_cidrs.iter().any(|net| net.contains(&address));
            self.spec.nodes.iter().find(holds)
        };
        by_pod.or_else(by_net)
    }
}

fn refused_by_rule(host: &HostFacts, to: IpAddr, rule: &Rule) -> Finding {
    let cause = format!("a rule of policy routing on {} refuses packets to {to}", host.name);
    Finding::broken(Code::PolicyRouting, Some(&host.name), cause)
        .shown(Source::Rules, fib::rule_words(rule))
        .mended(rule_deletion(rule), "Delete the rule.")
}

/// The command that deletes a route, and no other of its table.
fn deletion(host: &HostFacts, route: &Route) -> Vec<String> {
    let program = program(route.destination.addr().is_ipv4());
    let command = format!("{program} route del {}", fib::words(host, route));
    command.split(' ').map(str::to_owned).collect()
}

/// The command that deletes a rule: several may share its preference, so it says all of it.
fn rule_deletion(rule: &Rule) -> Vec<String> {
    let (program, selector) = (program(rule.v4), fib::rule_selector(rule));
    let command = format!("{program} rule del {selector} pref {}", rule.priority);
    command.split(' ').map(str::to_owned).collect()
}

/// Where neither `default` nor `all` tells the family, `ip` takes it for IPv4.
const fn program(v4: bool) -> &'static str {
    if v4 { "ip" } else { "ip -6" }
}

fn is_same(plain: &Lookup<'_>, device: u32, next: IpAddr, to: IpAddr) -> bool {
    match plain {
        Lookup::Found { hop: Some(hop), .. } => {
            hop.device == device && hop.gateway.unwrap_or(to) == next
        }
        _ => false,
    }
}
