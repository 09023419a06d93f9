//! The address plan: which ranges the lab draws from, and who stands where in them.
//!
//! | range | for |
//! | --- | --- |
//! | 172.18.0.0/16, fd00:172:18::/64 | underlay `l2`: nodes from .2, client .255.10 |
//! | 172.18.N.0/24, fd00:172:18:N::/64 | underlay `routed`: router .1, node .2; the client in the highest free N |
//! | 10.244.N.0/24, fd00:10:244:N::/64 | pods of node N: `cni0` .1, pods from .2 |
//! | 10.96.0.0/16, fd00:10:96::/112 | ClusterIPs, from .0.10 |
//!
//! Nodes may bring other underlay addresses; then the subnet is what covers them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::netlink::Family;

/// Most nodes that the plan has numbers for.
pub const MAX_NODES: u8 = 250;

/// The subnet of a switch that joins these nodes: the plan's own where all stand in it, else
/// the smallest that covers them (but no smaller than the family's usual LAN: /24, /64).
#[must_use]
pub fn switch_subnet(family: Family, nodes: &[IpAddr]) -> IpNet {
    let mine: Vec<_> = nodes.iter().copied().filter(|node| Family::of(*node) == family).collect();
    let (plan, lan) = match family {
        Family::V4 => (v4([172, 18, 0, 0], 16), 24),
        Family::V6 => (v6([0xfd00, 0x172, 0x18, 0, 0, 0, 0, 0], 64), 64),
    };
    let Some(first) = mine.first() else { return plan };
    if mine.iter().all(|node| plan.contains(node)) {
        return plan;
    }
    (0..=lan)
        .rev()
        .map(|length| network(*first, length))
        .find(|net| mine.iter().all(|node| net.contains(node)))
        .unwrap_or(plan)
}

/// The subnet of one host behind a router.
#[must_use]
pub fn routed_subnet(host: IpAddr) -> IpNet {
    network(host, if host.is_ipv4() { 24 } else { 64 })
}

/// The router's address in a host's subnet: the first, or the last where the host has that.
#[must_use]
pub fn router_address(host: IpAddr) -> IpAddr {
    let net = routed_subnet(host);
    let first = nth(net, 1);
    if first == host { nth(net, 254) } else { first }
}

/// The address that node N (from 1) gets where it brings none.
#[must_use]
pub fn node_address(family: Family, number: u8, routed: bool) -> IpAddr {
    let n = number;
    match (family, routed) {
        (Family::V4, false) => Ipv4Addr::new(172, 18, 0, n.saturating_add(1)).into(),
        (Family::V4, true) => Ipv4Addr::new(172, 18, n, 2).into(),
        (Family::V6, false) => nth(switch_subnet(family, &[]), u32::from(n) + 1),
        (Family::V6, true) => nth(v6([0xfd00, 0x172, 0x18, decimal(n), 0, 0, 0, 0], 64), 2),
    }
}

/// The client's address: 172.18.255.10 in the plan's own subnet; in another switch's, the
/// highest that no node has.
#[must_use]
pub fn client_address(family: Family, routed: bool, nodes: &[IpAddr]) -> IpNet {
    if routed {
        let taken = |net: &IpNet| nodes.iter().any(|node| net.contains(node));
        let net = (0..=u8::MAX)
            .rev()
            .map(|n| match family {
                Family::V4 => v4([172, 18, n, 0], 24),
                Family::V6 => v6([0xfd00, 0x172, 0x18, decimal(n), 0, 0, 0, 0], 64),
            })
            .find(|net| !taken(net))
            .unwrap_or_else(|| switch_subnet(family, &[]));
        return with_host(net, 10);
    }
    let net = switch_subnet(family, nodes);
    let preferred = match family {
        Family::V4 => IpAddr::from([172, 18, 255, 10]),
        Family::V6 => nth(net, 0x00ff_0010),
    };
    if net.contains(&preferred) && !nodes.contains(&preferred) {
        return IpNet::new_assert(preferred, net.prefix_len());
    }
    let host_bits = (net.max_prefix_len() - net.prefix_len()).min(16);
    let last = (1u32 << host_bits) - 2;
    let free = (1..=last).rev().map(|n| nth(net, n)).find(|address| !nodes.contains(address));
    IpNet::new_assert(free.unwrap_or_else(|| nth(net, 1)), net.prefix_len())
}

/// The pod network of node N (from 1) where it brings none.
#[must_use]
pub fn pod_cidr(family: Family, number: u8) -> IpNet {
    match family {
        Family::V4 => v4([10, 244, number, 0], 24),
        Family::V6 => v6([0xfd00, 0x10, 0x244, decimal(number), 0, 0, 0, 0], 64),
    }
}

/// The range that ClusterIPs are drawn from.
#[must_use]
pub fn service_cidr(family: Family) -> IpNet {
    match family {
        Family::V4 => v4([10, 96, 0, 0], 16),
        Family::V6 => v6([0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0], 112),
    }
}

/// The address at `offset` from the start of a network.
#[must_use]
pub fn nth(net: IpNet, offset: u32) -> IpAddr {
    match net.network() {
        IpAddr::V4(base) => Ipv4Addr::from(u32::from(base).wrapping_add(offset)).into(),
        IpAddr::V6(base) => Ipv6Addr::from(u128::from(base).wrapping_add(offset.into())).into(),
    }
}

/// How many offsets of [`nth`] are hosts' in a network, at most 65534: neither the network's
/// own address nor IPv4's broadcast.
#[must_use]
pub fn host_count(net: IpNet) -> u32 {
    let host_bits = net.max_prefix_len() - net.prefix_len();
    (1u32 << host_bits.min(16)).saturating_sub(2)
}

/// The address at `offset` together with the network's prefix length.
#[must_use]
pub fn with_host(net: IpNet, offset: u32) -> IpNet {
    IpNet::new_assert(nth(net, offset), net.prefix_len())
}

/// A number as an IPv6 group that reads like it: 12 becomes 0x12.
fn decimal(number: u8) -> u16 {
    let n = u16::from(number);
    ((n / 100) << 8) | ((n / 10 % 10) << 4) | (n % 10)
}

fn network(address: IpAddr, length: u8) -> IpNet {
    IpNet::new_assert(address, length).trunc()
}

fn v4(octets: [u8; 4], length: u8) -> IpNet {
    IpNet::new_assert(octets.into(), length)
}

fn v6(groups: [u16; 8], length: u8) -> IpNet {
    IpNet::new_assert(groups.into(), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn the_plan_reads_as_documented() {
        assert_eq!(node_address(Family::V4, 1, false), ip("172.18.0.2"));
        assert_eq!(node_address(Family::V6, 1, false), ip("fd00:172:18::2"));
        assert_eq!(node_address(Family::V4, 12, true), ip("172.18.12.2"));
        assert_eq!(node_address(Family::V6, 12, true), ip("fd00:172:18:12::2"));
        assert_eq!(pod_cidr(Family::V6, 250), net("fd00:10:244:250::/64"));
        assert_eq!(client_address(Family::V4, false, &[]), net("172.18.255.10/16"));
        assert_eq!(client_address(Family::V6, false, &[]), net("fd00:172:18::ff:10/64"));
        assert_eq!(client_address(Family::V4, true, &[]), net("172.18.255.10/24"));
        assert_eq!(client_address(Family::V6, true, &[]), net("fd00:172:18:255::a/64"));
        assert_eq!(router_address(ip("172.18.3.2")), ip("172.18.3.1"));
        assert_eq!(router_address(ip("10.0.0.1")), ip("10.0.0.254"));
    }

    #[test]
    fn foreign_node_addresses_bring_their_own_subnet() {
        let nodes = [ip("192.168.1.10"), ip("192.168.2.11")];
        assert_eq!(switch_subnet(Family::V4, &nodes), net("192.168.0.0/22"));
        assert_eq!(client_address(Family::V4, false, &nodes), net("192.168.3.254/22"));
        assert_eq!(switch_subnet(Family::V4, &[ip("192.168.1.10")]), net("192.168.1.0/24"));
    }

    #[test]
    fn the_client_takes_no_nodes_address() {
        let nodes = [ip("172.18.255.10")];
        assert_eq!(client_address(Family::V4, false, &nodes), net("172.18.255.254/16"));
        assert_eq!(client_address(Family::V4, true, &nodes), net("172.18.254.10/24"));
    }
}
