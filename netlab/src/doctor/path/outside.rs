//! Who dials where no lab has a client: somebody outside, who comes in by the link with the address
//! that is dialled, or where that is no network, by the one of the default route; and of addresses
//! elsewhere, this host itself.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::case::Case;
use crate::{
    doctor::facts::{
        Facts, Gap, HostFacts, Role, Source,
        link::Link,
        route::{Address, NextHop, Route, RouteKind, is_link_local},
    },
    spec::Spec,
};

/// Who dials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dialler {
    /// The host; empty where it is none of the facts'.
    pub client: String,
    /// The address that it dials from, where it is none of the facts'.
    pub source: Option<IpAddr>,
}

/// Who dials an address.
pub(super) fn dialler(facts: &Facts, spec: &Spec, dialled: IpAddr) -> Dialler {
    if let Some(client) = facts.hosts.iter().find(|host| host.role == Role::Client) {
        return Dialler { client: client.name.clone(), source: None };
    }
    let Some(here) = facts.here() else { return Dialler::default() };
    if !here.has_address(dialled) {
        return Dialler { client: here.name.clone(), source: None };
    }
    let Some(source) = outsider(facts, spec, here, dialled) else { return Dialler::default() };
    match facts.owners(source).next() {
        Some((host, _)) => Dialler { client: host.name.clone(), source: None },
        None => Dialler { client: String::new(), source: Some(source) },
    }
}

/// An address that nobody here has: on the link of the one that is dialled where that is a
/// network, of nobody that plays a part: of a namespace
/// that was looked into, of a neighbor that the host knows, of its gateway, or any.
fn outsider(facts: &Facts, spec: &Spec, here: &HostFacts, dialled: IpAddr) -> Option<IpAddr> {
    on_link(facts, spec, here, dialled).or_else(|| beyond_default(spec, here, dialled))
}

/// The link that somebody outside comes in by: the one with the address that is dialled. Addresses
/// of `lo`, and of links that are no network, are reached by the link of the default route.
pub(super) fn arrival(host: &HostFacts, dialled: IpAddr) -> Option<&Link> {
    let link = host.link_with(dialled)?;
    match link.name.as_str() {
        "lo" => host.link_at(default_hop(host, dialled.is_ipv4())?.device),
        _ => Some(link),
    }
}

/// The gateway of the default route, or where it has no address that one can dial from, one that
/// is kept for documentation (RFC 5737, RFC 3849), which is everybody beyond that route.
fn beyond_default(spec: &Spec, here: &HostFacts, dialled: IpAddr) -> Option<IpAddr> {
    let hop = default_hop(here, dialled.is_ipv4())?;
    let is_fit = |gateway: &IpAddr| {
        gateway.is_ipv4() == dialled.is_ipv4()
            && !is_link_local(*gateway)
            && !plays_a_part(spec, *gateway)
    };
    Some(hop.gateway.filter(is_fit).unwrap_or_else(|| anybody(dialled)))
}

/// An address of the family that is kept for documentation.
pub(super) const fn anybody(dialled: IpAddr) -> IpAddr {
    match dialled {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    }
}

/// Whether an address is on a link that somebody outside comes in by: bridges and tunnels lead to
/// pods.
pub(super) fn is_on_wire(host: &HostFacts, own: &Address) -> bool {
    let is_wire = |link: &Link| link.name != "lo" && !link.is_bridge() && link.vxlan().is_none();
    host.link_at(own.device).is_some_and(is_wire)
}

fn default_hop(host: &HostFacts, v4: bool) -> Option<&NextHop> {
    let is_fit =
        |of: &&Route| of.destination.addr().is_ipv4() == v4 && of.kind == RouteKind::Unicast;
    let best = host.default_routes().filter(is_fit).min_by_key(|route| route.metric);
    best.and_then(|route| route.hops.first())
}

/// Whether an address is a node's or a pod's.
fn plays_a_part(spec: &Spec, address: IpAddr) -> bool {
    let nodes = spec.nodes.iter().flat_map(|node| &node.addresses);
    let pods = spec.pods.iter().flat_map(|pod| &pod.addresses);
    nodes.chain(pods).any(|of| *of == address)
}

/// Somebody on the link of the address that is dialled.
fn on_link(facts: &Facts, spec: &Spec, here: &HostFacts, dialled: IpAddr) -> Option<IpAddr> {
    let own = here.addresses.iter().find(|own| own.net.addr() == dialled)?;
    let link = here.link_at(own.device).filter(|link| link.name != "lo")?;
    let is_fit = |address: &IpAddr| {
        // The first address of an IPv6 network is every router's of it.
        let is_host = *address != own.net.network();
        let is_known = here.has_address(*address) || plays_a_part(spec, *address);
        is_host && own.net.contains(address) && !is_known
    };
    // A router forwards, so a host that does not is more of a client.
    let mut others: Vec<&HostFacts> =
        facts.hosts.iter().filter(|host| host.role == Role::Plain).collect();
    others.sort_by_key(|host| host.sysctl_number("ipv4/ip_forward") == Some(1));
    let known = others.iter().flat_map(|host| &host.addresses).map(|of| of.net.addr());
    let neighbors = here
        .neighbors
        .iter()
        .filter(|entry| entry.device == link.index && entry.state.is_valid() && !entry.proxy)
        .map(|entry| entry.address);
    let gateways = here.routes.iter().flat_map(|route| &route.hops);
    let gateways = gateways.filter(|hop| hop.device == link.index).filter_map(|hop| hop.gateway);
    let is_tried = |address: &IpAddr| here.neighbors.iter().any(|of| of.address == *address);
    let any = own.net.hosts().take(MOST).filter(|address| !is_tried(address));
    known.chain(neighbors).chain(gateways).chain(any).find(is_fit)
}

/// More addresses than a host has of its own in one network, and of nodes and pods.
const MOST: usize = 4096;

/// Says that nobody is known who could dial some of these, so that no packet is walked.
#[must_use]
pub fn undialled(cases: &[Case]) -> Vec<Gap> {
    // A loopback address nobody dials but its own host.
    let is_unknown = |case: &&Case| {
        let has_client = !case.client.is_empty() || case.source.is_some();
        !has_client && !case.dialled.ip().is_loopback()
    };
    let dialled: BTreeSet<_> =
        cases.iter().filter(is_unknown).map(|case| (&case.node, case.dialled)).collect();
    let gap = |(node, dialled): (&String, SocketAddr)| Gap {
        host: Some(node.clone()),
        source: Source::Routes,
        reason: format!(
            "nobody is known who could dial {dialled}: its link has no network, and there is no \
             default route"
        ),
        hides: format!("What becomes of packets to {dialled} is not judged."),
    };
    dialled.into_iter().map(gap).collect()
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;
    use crate::doctor::facts::{Subject, fixture};

    const DIALLED: &str = "172.18.0.2";

    /// node-1 as seen from within, with an address that is no network, on a link of this index.
    fn here(device: u32, gateway: Option<&str>) -> Facts {
        let mut facts = fixture::lab(crate::lab::Mode::HostGw, crate::lab::Proxy::Nftables);
        facts.lab = None;
        facts.hosts.retain(|host| host.name == "node-1");
        let host = fixture::host(&mut facts, "node-1");
        let wire = host.link_with(DIALLED.parse().unwrap()).unwrap().index;
        for own in &mut host.addresses {
            if own.net.addr().to_string() == DIALLED {
                own.net = IpNet::from(own.net.addr());
                own.device = if device == 0 { wire } else { device };
            }
        }
        host.routes.retain(|route| route.destination.prefix_len() > 0);
        if let Some(gateway) = gateway {
            let mut route = host.main_routes().next().unwrap().clone();
            route.destination = "0.0.0.0/0".parse().unwrap();
            route.kind = RouteKind::Unicast;
            route.hops = vec![NextHop {
                device: wire,
                gateway: Some(gateway.parse().unwrap()),
                ..route.hops[0].clone()
            }];
            host.routes.push(route);
        }
        facts
    }

    fn cases(facts: &Facts) -> Vec<Case> {
        let asked = format!("{DIALLED}:30080");
        let subject = Subject { asked, ..Subject::default() };
        super::super::cases(facts, &facts.spec().unwrap(), &subject)
    }

    #[test]
    fn who_dials_an_address_that_is_no_network_comes_by_the_default_route() {
        for device in [0, 1] {
            for (gateway, source) in [("172.18.0.1", "172.18.0.1"), ("fe80::1", "192.0.2.1")] {
                let facts = here(device, Some(gateway));
                let cases = cases(&facts);
                assert!(!cases.is_empty() && undialled(&cases).is_empty());
                for case in cases {
                    assert_eq!(case.source, Some(source.parse().unwrap()));
                    let path = super::super::expected(&facts, &facts.spec().unwrap(), &case);
                    assert!(!path.hops.is_empty());
                }
            }
        }
    }

    #[test]
    fn where_nobody_can_come_from_there_is_a_gap() {
        let facts = here(1, None);
        let gaps = undialled(&cases(&facts));
        assert_eq!(gaps.len(), 1);
        assert!(gaps[0].reason.contains("172.18.0.2:30080"), "{gaps:?}");
    }
}
