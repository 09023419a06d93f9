//! What belongs together across hosts: ends of veth pairs, and the objects that hosts play.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{HostFacts, Role, link::Link},
    host::Gathered,
};
use crate::{
    netlink::{Netns, nsid},
    spec::Spec,
};

/// Name of each link by its index, and the index that it leads to.
type Ends = BTreeMap<u32, (String, Option<u32>)>;

/// Finds where each link's peer stands.
///
/// Links of two hosts may have the same indices, so the kernel is asked which namespace a link
/// leads to. It is asked about hosts alone that have a link that leads back.
pub(super) fn find_peers(hosts: &mut [Gathered]) {
    let ends: Vec<Ends> = hosts.iter().map(|host| ends(&host.facts.links)).collect();
    let names: Vec<String> = hosts.iter().map(|host| host.facts.name.clone()).collect();
    for at in 0..hosts.len() {
        let known = namespaces_of(at, hosts, &ends);
        let Gathered { facts, peer_netns, .. } = &mut hosts[at];
        for link in &mut facts.links {
            let there = match peer_netns.get(&link.index) {
                Some(number) => known.get(number).copied(),
                None => Some(at),
            };
            let Some(peer) = &mut link.peer else { continue };
            let found = there.and_then(|there| Some((there, ends[there].get(&peer.index)?)));
            if let Some((there, (name, _))) = found {
                peer.link = Some(name.clone());
                peer.host = Some(names[there].clone());
            }
        }
    }
}

fn ends(links: &[Link]) -> Ends {
    let end = |link: &Link| (link.name.clone(), link.peer.as_ref().map(|peer| peer.index));
    links.iter().map(|link| (link.index, end(link))).collect()
}

/// Which hosts the numbers stand for by which a host's links name other namespaces.
fn namespaces_of(at: usize, hosts: &[Gathered], ends: &[Ends]) -> BTreeMap<i32, usize> {
    let host = &hosts[at];
    let wanted: BTreeSet<i32> = host.peer_netns.values().copied().collect();
    if wanted.is_empty() {
        return BTreeMap::new();
    }
    // This host's has no name, and inside another it would be the other's.
    let own = Netns::current().ok();
    let leads_back = |other: usize| {
        host.peer_netns.keys().any(|own| {
            let peer = ends[at].get(own).and_then(|(_, peer)| *peer);
            let back = peer.and_then(|peer| ends[other].get(&peer)).and_then(|(_, back)| *back);
            back == Some(*own)
        })
    };
    let ask = || {
        let mut known = BTreeMap::new();
        let Ok(numbers) = nsid::Numbers::open() else { return known };
        for other in (0..hosts.len()).filter(|other| *other != at && leads_back(*other)) {
            if known.len() == wanted.len() {
                break;
            }
            let netns = hosts[other].netns.clone().or_else(|| own.clone());
            let number = netns.and_then(|netns| numbers.of(&netns).ok().flatten());
            if let Some(number) = number.filter(|number| wanted.contains(number)) {
                known.insert(number, other);
            }
        }
        known
    };
    match &host.netns {
        Some(netns) => netns.run(ask).unwrap_or_default(),
        None => ask(),
    }
}

/// Finds nodes and pods by their addresses, where nobody has said which they are.
pub(super) fn play(hosts: &mut [HostFacts], spec: &Spec) {
    for host in hosts.iter_mut().filter(|host| host.role == Role::Plain) {
        let is_own =
            |addresses: &[std::net::IpAddr]| addresses.iter().any(|a| host.has_address(*a));
        let node = spec.nodes.iter().find(|node| is_own(&node.addresses));
        let pod = spec.pods.iter().find(|pod| is_own(&pod.addresses));
        if let Some(node) = node {
            host.role = Role::Node { node: node.name.clone() };
        } else if let Some(pod) = pod {
            host.role = Role::Pod { pod: pod.name.to_string(), node: pod.node.clone() };
        }
    }
}
