//! Ranges that something free is taken from: addresses of networks, node ports.
//!
//! Law: each taking gives the lowest that is free. What is taken never becomes free again, so a
//! search goes on where the one before it ended, and as many takings as there are Services take
//! no longer than one walk over the range.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::RangeInclusive,
};

use ipnet::IpNet;

use super::subnet;

/// The range that Kubernetes draws node ports from unless told otherwise.
const NODE_PORTS: RangeInclusive<i32> = 30000..=32767;

/// Addresses of some networks.
#[derive(Debug)]
pub(super) struct Addresses {
    taken: BTreeSet<IpAddr>,
    /// The first that is given out in each network, counted from the network's own.
    first: u32,
    next: BTreeMap<IpNet, u32>,
}

impl Addresses {
    /// All addresses from the `first` on, counted from their network's own, but for `taken`.
    pub(super) fn new(first: u32, taken: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { taken: taken.into_iter().collect(), first, next: BTreeMap::new() }
    }

    /// The lowest free address of a network, which is free no more.
    pub(super) fn take(&mut self, net: IpNet) -> Option<IpAddr> {
        let next = self.next.entry(net).or_insert(self.first);
        while *next <= subnet::host_count(net) {
            let address = subnet::nth(net, *next);
            *next += 1;
            if self.taken.insert(address) {
                return Some(address);
            }
        }
        None
    }
}

/// Node ports, a range for each protocol.
#[derive(Debug)]
pub(super) struct NodePorts {
    /// By protocol, as written in manifests.
    taken: BTreeMap<String, BTreeSet<i32>>,
    next: BTreeMap<String, i32>,
}

impl NodePorts {
    /// All but `taken`.
    pub(super) fn new(taken: impl IntoIterator<Item = (String, i32)>) -> Self {
        let mut by_protocol: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (protocol, port) in taken {
            by_protocol.entry(protocol).or_default().insert(port);
        }
        Self { taken: by_protocol, next: BTreeMap::new() }
    }

    /// The lowest free port of a protocol, which is free no more.
    pub(super) fn take(&mut self, protocol: &str) -> Option<i32> {
        let taken = self.taken.entry(protocol.to_owned()).or_default();
        let next = self.next.entry(protocol.to_owned()).or_insert(*NODE_PORTS.start());
        let free = (*next..=*NODE_PORTS.end()).find(|port| taken.insert(*port))?;
        *next = free + 1;
        Some(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_the_lowest_free_ones_of_each_network() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut pool = Addresses::new(2, [address("10.0.0.3"), address("10.0.1.2")]);
        assert_eq!(pool.take(net("10.0.0.0/29")), Some(address("10.0.0.2")));
        assert_eq!(pool.take(net("10.0.1.0/29")), Some(address("10.0.1.3")));
        assert_eq!(pool.take(net("10.0.0.0/29")), Some(address("10.0.0.4")));
        for last in [5, 6] {
            assert_eq!(pool.take(net("10.0.0.0/29")), Some(address(&format!("10.0.0.{last}"))));
        }
        assert_eq!(pool.take(net("10.0.0.0/29")), None);
    }

    #[test]
    fn node_ports_are_the_lowest_free_ones_until_there_is_none() {
        let mut ports = NodePorts::new([("TCP".to_owned(), 30001)]);
        assert_eq!(ports.take("TCP"), Some(30000));
        assert_eq!(ports.take("TCP"), Some(30002));
        assert_eq!(ports.take("UDP"), Some(30000));
        assert_eq!((0..2765).filter_map(|_| ports.take("TCP")).last(), Some(32767));
        assert_eq!(ports.take("TCP"), None);
    }
}
