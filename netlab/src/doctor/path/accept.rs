//! Rules that let through what a chain drops by its policy, and no more than that.
//!
//! A policy that is set to accept would open the host to everybody; one rule opens it for the
//! packets that a node port needs.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use super::{
    netfilter::{Adds, Hook, Place},
    packet::{Packet, TCP, UDP},
    walk::Walker,
};
use crate::doctor::finding::Finding;

/// More networks or addresses than this in one rule nobody reads.
const MOST: usize = 16;

/// The finding of a packet that a policy drops, with the rules that let it through; None where
/// none is known that would.
pub(super) fn mended(
    walker: &Walker<'_>,
    finding: Finding,
    place: &Place,
    hook: Hook,
    packet: &Packet,
) -> Option<Finding> {
    let adds = place.adds.as_ref()?;
    let (asks, words) = asks(walker, adds, hook, packet)?;
    Some(with_rules(finding, place, adds, &asks, words))
}

/// The finding of a word about a known connection that is dropped, by a rule or by a policy.
pub(super) fn mended_error(finding: Finding, place: &Place) -> Finding {
    let Some(adds) = &place.adds else { return place.blamed(finding) };
    let words = "Let through what belongs to known connections, and leave the policy as it is.";
    with_rules(finding, place, adds, &[established(adds).to_owned()], words)
}

/// The finding, shown by the policy and mended by one rule for each of these.
fn with_rules(
    finding: Finding,
    place: &Place,
    adds: &Adds,
    asks: &[String],
    words: &str,
) -> Finding {
    let finding = finding.shown(place.store, format!("{}: {}", place.chain, place.rule));
    let mut commands = asks.iter().map(|asks| adds.accepting(asks));
    let finding = finding.mended(commands.next().unwrap_or_default(), words);
    commands.fold(finding, |finding, command| finding.then(command, words))
}

/// What the rules ask, in the words of their store; none is empty.
fn asks(
    walker: &Walker<'_>,
    adds: &Adds,
    hook: Hook,
    packet: &Packet,
) -> Option<(Vec<String>, &'static str)> {
    if packet.is_tunnel() {
        let words = "Let the nodes' datagrams of VXLAN through, and leave the policy as it is.";
        return Some((of_nodes(walker, adds, packet), words));
    }
    match hook {
        Hook::Input if packet.answers => {
            let words = "Let answers through, and leave the policy as it is.";
            Some((vec![established(adds).to_owned()], words))
        }
        Hook::Input => {
            let words = "Let packets to the port through, and leave the policy as it is.";
            Some((vec![port(adds, packet.protocol, packet.destination.port())], words))
        }
        Hook::Forward if is_of_pods(walker, hook, packet) => {
            let words = "Let what goes to the pods and comes from them through, and leave the \
                         policy as it is.";
            Some((networks(walker, adds), words))
        }
        Hook::Forward => {
            let words = "Let connections to the address and port through, with their answers, and \
                         leave the policy as it is.";
            Some((vec![served(adds, packet), established(adds).to_owned()], words))
        }
        _ => None,
    }
}

/// Whether a packet is forwarded to a pod or from one, and the pods' networks are known.
fn is_of_pods(walker: &Walker<'_>, hook: Hook, packet: &Packet) -> bool {
    let ends = [packet.source.ip(), packet.destination.ip()];
    let holds = |net: &IpNet| ends.iter().any(|end| net.contains(end));
    hook == Hook::Forward && walker.spec.nodes.iter().flat_map(|node| &node.pod_cidrs).any(holds)
}

fn port(adds: &Adds, protocol: u8, port: u16) -> String {
    let name = if protocol == TCP { "tcp" } else { "udp" };
    if adds.nft { format!("{name} dport {port}") } else { format!("-p {name} --dport {port}") }
}

/// To the end of the connection that serves it: its address and port.
fn served(adds: &Adds, packet: &Packet) -> String {
    let end = if packet.answers { packet.source } else { packet.destination };
    let port = port(adds, packet.protocol, end.port());
    let to = end.ip();
    format!("{} {port}", one_of(adds, to.is_ipv4(), ("daddr", "-d"), &[to.to_string()]))
}

/// A tunnel's datagrams, of all families that the chain meets and tunnels have, so that both are
/// mended at once: from all nodes' addresses, and from the packet's own.
fn of_nodes(walker: &Walker<'_>, adds: &Adds, packet: &Packet) -> Vec<String> {
    let port = port(adds, UDP, packet.destination.port());
    let nodes = walker.spec.nodes.iter().flat_map(|node| node.addresses.iter().copied());
    let all: BTreeSet<IpAddr> = nodes.chain([packet.source.ip()]).collect();
    let is_used = |v4: bool| {
        v4 == packet.is_v4() || walker.facts.nodes().any(|(node, _)| node.vtep(v4).is_some())
    };
    let of_family = |v4: bool| {
        let own = all.iter().filter(|address| address.is_ipv4() == v4);
        let list: Vec<String> = own.map(ToString::to_string).collect();
        let rule = |part: &[String]| format!("{} {port}", one_of(adds, v4, ("saddr", "-s"), part));
        list.chunks(MOST).map(rule).collect::<Vec<_>>()
    };
    families(adds).filter(|v4| is_used(*v4)).flat_map(of_family).collect()
}

/// Those that the chain meets: true for IPv4.
fn families(adds: &Adds) -> impl Iterator<Item = bool> + use<> {
    let own = [(true, adds.families.0), (false, adds.families.1)];
    own.into_iter().filter(|(_, meets)| *meets).map(|(v4, _)| v4)
}

const fn established(adds: &Adds) -> &'static str {
    if adds.nft {
        "ct state established,related"
    } else {
        "-m conntrack --ctstate ESTABLISHED,RELATED"
    }
}

/// To the pods' networks of all nodes, and from them.
fn networks(walker: &Walker<'_>, adds: &Adds) -> Vec<String> {
    let all: Vec<IpNet> =
        walker.spec.nodes.iter().flat_map(|node| node.pod_cidrs.iter().copied()).collect();
    families(adds).flat_map(|v4| of_family(adds, &all, v4)).collect()
}

fn of_family(adds: &Adds, all: &[IpNet], v4: bool) -> Vec<String> {
    let own = all.iter().filter(|net| net.addr().is_ipv4() == v4).map(IpNet::trunc).collect();
    let nets = IpNet::aggregate(&own);
    let list: Vec<String> = nets.iter().map(ToString::to_string).collect();
    let both = |part: &[String]| {
        [("daddr", "-d"), ("saddr", "-s")].map(|field| one_of(adds, v4, field, part))
    };
    list.chunks(MOST).flat_map(both).collect()
}

/// That a field, in nft's word and in iptables' option, is one of these addresses or networks.
fn one_of(adds: &Adds, v4: bool, (field, option): (&str, &str), list: &[String]) -> String {
    let list = list.join(",");
    match (adds.nft, v4) {
        (true, true) => format!("ip {field} {{{list}}}"),
        (true, false) => format!("ip6 {field} {{{list}}}"),
        (false, _) => format!("{option} {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_networks_are_one_pair_of_rules_and_of_many_none_is_named_that_is_not_the_pods() {
        let adds = Adds { command: Vec::new(), nft: true, families: (true, true) };
        let nets = |count: u8| -> Vec<IpNet> {
            (0..count).map(|of| format!("10.244.{}.0/24", 2 * of).parse().unwrap()).collect()
        };
        let few = of_family(&adds, &nets(2), true);
        let right =
            ["ip daddr {10.244.0.0/24,10.244.2.0/24}", "ip saddr {10.244.0.0/24,10.244.2.0/24}"];
        assert_eq!(few, right);
        assert_eq!(of_family(&adds, &nets(2), false), Vec::<String>::new());
        let many = of_family(&adds, &nets(100), true);
        assert_eq!(many.len(), 2 * 7, "{many:?}");
        for field in ["ip daddr {", "ip saddr {"] {
            let lists = many.iter().filter_map(|rule| rule.strip_prefix(field));
            let named = lists.flat_map(|list| list.trim_end_matches('}').split(','));
            let named: Vec<IpNet> = named.map(|net| net.parse().unwrap()).collect();
            assert_eq!(named, nets(100), "{field}");
        }
    }
}
