//! What a diagnosis is about.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::spec::{
    Spec,
    model::{Service, ServicePort},
};

/// Most node ports of all nodes together that are looked at where nothing was asked: each is
/// walked with all its endpoints, and dialled.
const MOST_DIALLED: usize = 64;
/// So many node ports at least, however many nodes there are.
const FEWEST_PORTS: usize = 4;

/// What was asked about: by this, tables that grow with the cluster are cut down.
///
/// An empty one is about everything; tables are then cut at their bounds alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// As it was typed: a Service, an address with a port, or nothing.
    pub asked: String,
    /// Addresses that count: dialled ones, of nodes, of endpoints, ClusterIPs.
    pub addresses: BTreeSet<IpAddr>,
    /// Ports that count: node ports, ports of Services and of endpoints.
    pub ports: BTreeSet<u16>,
    /// Node ports that do not count because there are too many: those that count are a sample.
    #[serde(default)]
    pub left_out: usize,
}

impl Subject {
    /// Everything.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Everything; of more node ports than can be walked and dialled in good time, some, evenly
    /// spread over all.
    #[must_use]
    pub fn sample(spec: &Spec) -> Self {
        let all: BTreeSet<u16> = spec.node_ports().map(|(.., port)| port).collect();
        let addresses: usize = spec.nodes.iter().map(|node| node.addresses.len()).sum();
        let most = (MOST_DIALLED / addresses.max(1)).max(FEWEST_PORTS);
        if all.len() <= most {
            return Self::everything();
        }
        let chosen: BTreeSet<u16> =
            all.iter().copied().step_by(all.len().div_ceil(most)).take(most).collect();
        let mut subject = Self { left_out: all.len() - chosen.len(), ..Self::default() };
        for (service, port, _) in spec.node_ports().filter(|(.., of)| chosen.contains(of)) {
            subject.addresses.extend(&service.cluster_addresses);
            subject.add(port);
        }
        subject
    }

    /// A Service: its node ports, its ClusterIPs and its endpoints.
    #[must_use]
    pub fn service(asked: &str, service: &Service) -> Self {
        let mut subject = Self { asked: asked.to_owned(), ..Self::default() };
        subject.addresses.extend(&service.cluster_addresses);
        service.ports.iter().for_each(|port| subject.add(port));
        subject
    }

    /// An address and port that is dialled; and what the spec knows of this node port.
    #[must_use]
    pub fn dialled(asked: &str, address: IpAddr, port: u16, spec: &Spec) -> Self {
        let mut subject = Self { asked: asked.to_owned(), ..Self::default() };
        subject.addresses.insert(address);
        subject.ports.insert(port);
        for (service, of) in spec.with_node_port(port) {
            subject.addresses.extend(&service.cluster_addresses);
            subject.add(of);
        }
        subject
    }

    /// Whether it is about everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.addresses.is_empty() && self.ports.is_empty()
    }

    /// Whether something was asked about, so that the rest is nobody's concern.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether an address counts.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.is_everything() || self.addresses.contains(&address)
    }

    /// Whether a port counts.
    #[must_use]
    pub fn has_port(&self, port: u16) -> bool {
        self.is_everything() || self.ports.contains(&port)
    }

    /// Whether a network has an address that counts.
    #[must_use]
    pub fn touches(&self, net: IpNet) -> bool {
        self.is_everything() || self.addresses.iter().any(|address| net.contains(address))
    }

    fn add(&mut self, port: &ServicePort) {
        self.ports.insert(port.port.get());
        self.ports.extend(port.node_port.map(|port| port.get()));
        for endpoint in &port.endpoints {
            self.addresses.insert(endpoint.address);
            self.ports.insert(endpoint.port.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::spec::read_str;

    fn spec(services: u16) -> Spec {
        let mut text = String::from(
            "{apiVersion: v1, kind: Node, metadata: {name: a}, spec: {podCIDR: 10.244.1.0/24}, \
             status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}}\n",
        );
        for number in 0..services {
            let _ = write!(
                text,
                "---\n{{apiVersion: v1, kind: Service, metadata: {{name: s-{number}}}, spec: \
                 {{type: NodePort, clusterIP: 10.96.{}.{}, ports: [{{port: 80, nodePort: {}}}]}}}}\n",
                number / 200,
                number % 200 + 1,
                30_000 + number
            );
        }
        read_str("test", &text).unwrap().resolve().unwrap()
    }

    #[test]
    fn of_few_node_ports_all_count_and_of_many_an_even_sample() {
        assert_eq!(Subject::sample(&spec(64)), Subject::everything());
        let subject = Subject::sample(&spec(1_000));
        assert!(!subject.is_asked() && !subject.is_everything());
        let chosen: Vec<_> = subject.ports.range(30_000..).collect();
        assert!((32..=64).contains(&chosen.len()), "{chosen:?}");
        assert_eq!(subject.left_out, 1_000 - chosen.len());
        assert!(chosen.windows(2).all(|pair| pair[1] - pair[0] <= 32), "{chosen:?}");
        assert!(subject.has_address("10.96.0.1".parse().unwrap()), "the first one's ClusterIP");
    }
}
