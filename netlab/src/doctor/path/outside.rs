//! Who dials where no lab has a client: somebody outside, who comes in by the link with the address
//! that is dialled; and of addresses elsewhere, this host itself.

use std::net::IpAddr;

use crate::{
    doctor::facts::{Facts, HostFacts, Role},
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

/// An address on the link of the one that is dialled, of nobody that plays a part: of a namespace
/// that was looked into, of a neighbor that the host knows, of its gateway, or any.
fn outsider(facts: &Facts, spec: &Spec, here: &HostFacts, dialled: IpAddr) -> Option<IpAddr> {
    let own = here.addresses.iter().find(|own| own.net.addr() == dialled)?;
    let link = here.link_at(own.device).filter(|link| link.name != "lo")?;
    let is_node = |address: IpAddr| {
        let nodes = spec.nodes.iter().flat_map(|node| &node.addresses);
        let pods = spec.pods.iter().flat_map(|pod| &pod.addresses);
        nodes.chain(pods).any(|of| *of == address)
    };
    let is_fit = |address: &IpAddr| {
        // The first address of an IPv6 network is every router's of it.
        let is_host = *address != own.net.network();
        is_host && own.net.contains(address) && !here.has_address(*address) && !is_node(*address)
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
