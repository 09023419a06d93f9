//! Rules that let through what a chain drops by its policy, and no more than that.
//!
//! A policy that is set to accept would open the host to everybody; one rule opens it for the
//! packets that a node port needs.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    netfilter::{Adds, Hook},
    packet::{Packet, TCP, UDP},
    walk::Walker,
};
use crate::doctor::finding::Finding;

/// More networks than this in one rule nobody reads.
const MOST_NETWORKS: usize = 16;

/// The finding of a packet that a policy drops, with the rules that let it through; as it came
/// where none is known that would.
pub(super) fn mended(
    walker: &Walker<'_>,
    finding: Finding,
    adds: &Adds,
    hook: Hook,
    packet: &Packet,
) -> Option<Finding> {
    let (asks, words) = asks(walker, adds, hook, packet)?;
    let mut asks = asks.into_iter();
    let finding = finding.mended(adds.accepting(&asks.next()?), words);
    Some(asks.fold(finding, |finding, asks| finding.then(adds.accepting(&asks), words)))
}

/// What the rules ask, in the words of their store.
fn asks(
    walker: &Walker<'_>,
    adds: &Adds,
    hook: Hook,
    packet: &Packet,
) -> Option<(Vec<String>, &'static str)> {
    if packet.is_tunnel() {
        let words = "Let the datagrams of VXLAN through, and leave the policy as it is.";
        return Some((vec![port(adds, UDP, packet.destination.port())], words));
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
        Hook::Forward => {
            let ends = [packet.source.ip(), packet.destination.ip()];
            let is_pods = ends.iter().any(|end| walker.node_of(*end).is_some());
            let rules = if is_pods { networks(walker, adds) } else { Vec::new() };
            let words = "Let what goes to the pods and comes from them through, and leave the \
                         policy as it is.";
            (!rules.is_empty()).then_some((rules, words))
        }
        _ => None,
    }
}

fn port(adds: &Adds, protocol: u8, port: u16) -> String {
    let name = if protocol == TCP { "tcp" } else { "udp" };
    if adds.nft { format!("{name} dport {port}") } else { format!("-p {name} --dport {port}") }
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
    let own = [(true, adds.families.0), (false, adds.families.1)];
    let families = own.into_iter().filter(|(_, meets)| *meets).map(|(v4, _)| v4);
    families.flat_map(|v4| of_family(adds, &all, v4)).collect()
}

fn of_family(adds: &Adds, all: &[IpNet], v4: bool) -> Vec<String> {
    let own = all.iter().filter(|net| net.addr().is_ipv4() == v4).map(IpNet::trunc).collect();
    let mut nets = IpNet::aggregate(&own);
    if nets.len() > MOST_NETWORKS {
        nets = common(&nets).into_iter().collect();
    }
    if nets.is_empty() {
        return Vec::new();
    }
    let list: Vec<_> = nets.iter().map(ToString::to_string).collect();
    let list = list.join(",");
    let rule = |field: &str, option: &str| match (adds.nft, v4) {
        (true, true) => format!("ip {field} {{{list}}}"),
        (true, false) => format!("ip6 {field} {{{list}}}"),
        (false, _) => format!("{option} {list}"),
    };
    vec![rule("daddr", "-d"), rule("saddr", "-s")]
}

/// The smallest network that all are in.
fn common(nets: &[IpNet]) -> Option<IpNet> {
    let low = nets.iter().map(IpNet::network).min()?;
    let high = nets.iter().map(IpNet::broadcast).max()?;
    let length = match (low, high) {
        (IpAddr::V4(low), IpAddr::V4(high)) => (low.to_bits() ^ high.to_bits()).leading_zeros(),
        (IpAddr::V6(low), IpAddr::V6(high)) => (low.to_bits() ^ high.to_bits()).leading_zeros(),
        _ => return None,
    };
    let length = u8::try_from(length).ok()?;
    let net = match low {
        IpAddr::V4(low) => IpNet::from(Ipv4Net::new(low, length).ok()?),
        IpAddr::V6(low) => IpNet::from(Ipv6Net::new(low, length).ok()?),
    };
    Some(net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_that_many_are_in_is_the_smallest_one() {
        let nets = |list: &[&str]| list.iter().map(|net| net.parse().unwrap()).collect::<Vec<_>>();
        let of = |list: &[&str]| common(&nets(list)).map(|net| net.to_string());
        assert_eq!(of(&["10.244.1.0/24", "10.244.200.0/24"]).unwrap(), "10.244.0.0/16");
        assert_eq!(of(&["10.244.4.0/24", "10.244.5.0/24"]).unwrap(), "10.244.4.0/23");
        assert_eq!(of(&["fd00:0:0:1::/64", "fd00:0:0:2::/64"]).unwrap(), "fd00::/62");
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn many_networks_are_one_and_few_are_named() {
        let adds = Adds { command: Vec::new(), nft: true, families: (true, true) };
        let nets = |count: u8| -> Vec<IpNet> {
            (0..count).map(|of| format!("10.244.{}.0/24", 2 * of).parse().unwrap()).collect()
        };
        let few = of_family(&adds, &nets(2), true);
        let right =
            ["ip daddr {10.244.0.0/24,10.244.2.0/24}", "ip saddr {10.244.0.0/24,10.244.2.0/24}"];
        assert_eq!(few, right);
        assert_eq!(of_family(&adds, &nets(100), true)[0], "ip daddr {10.244.0.0/16}");
        assert_eq!(of_family(&adds, &nets(2), false), Vec::<String>::new());
    }
}
