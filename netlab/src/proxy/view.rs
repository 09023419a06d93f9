//! A spec as kube-proxy sees it on one node, in one address family. Pure.
//!
//! Which endpoints a Service port has is Kubernetes' rule, not the rule sets': see
//! kubernetes `pkg/proxy/topology.go`.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;

use super::names::PortName;
pub use crate::netlink::Family;
use crate::spec::{
    Spec,
    model::{Endpoint, Node, Port, Service, ServicePort, TrafficPolicy, usable},
};

/// What one node's rule set of one family is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View<'s> {
    /// The family.
    pub family: Family,
    /// Addresses of the node: where node ports answer.
    pub node_addresses: Vec<IpAddr>,
    /// Pod networks of the node: a packet from there is a pod's (kube-proxy's
    /// `--detect-local-mode NodeCIDR`).
    pub pod_networks: Vec<IpNet>,
    /// In the spec's order.
    pub ports: Vec<PortView<'s>>,
}

/// A Service port that has a ClusterIP of the family. Others are headless, and nothing is
/// programmed for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortView<'s> {
    /// How names and comments call it.
    pub name: PortName<'s>,
    /// ClusterIP.
    pub cluster_ip: IpAddr,
    /// Port on the ClusterIP.
    pub port: Port,
    /// Port on the nodes' addresses.
    pub node_port: Option<Port>,
    /// internalTrafficPolicy Local.
    pub internal_local: bool,
    /// externalTrafficPolicy Local.
    pub external_local: bool,
    /// sessionAffinity ClientIP with its timeout.
    pub affinity: Option<Duration>,
    /// Endpoints for traffic that may go to any node.
    pub cluster: Vec<SocketAddr>,
    /// Endpoints for traffic that has to stay on this node.
    pub local: Vec<SocketAddr>,
    /// Endpoints that still serve, for connections that are there already.
    pub serving: Vec<SocketAddr>,
    /// There is an endpoint on some node.
    pub has_endpoints: bool,
}

impl<'s> View<'s> {
    /// What `node` has to know of `spec`.
    #[must_use]
    pub fn new(spec: &'s Spec, node: &Node, family: Family) -> Self {
        let ports = spec.services.iter().flat_map(|service| {
            let cluster_ip = service.cluster_addresses.iter().find(|ip| Family::of(**ip) == family);
            let ports = cluster_ip.map(|ip| service.ports.iter().map(move |port| (*ip, port)));
            ports
                .into_iter()
                .flatten()
                .map(move |(ip, port)| PortView::new(service, port, ip, &node.name))
        });
        Self {
            family,
            node_addresses: of(family, &node.addresses).collect(),
            pod_networks: node
                .pod_cidrs
                .iter()
                .copied()
                .filter(|net| Family::of(net.addr()) == family)
                .collect(),
            ports: ports.collect(),
        }
    }
}

fn of(family: Family, addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    addresses.iter().copied().filter(move |address| Family::of(*address) == family)
}

impl<'s> PortView<'s> {
    fn new(service: &'s Service, port: &'s ServicePort, cluster_ip: IpAddr, node: &str) -> Self {
        let internal_local = service.internal_policy == TrafficPolicy::Local;
        let external_local = service.external_policy == TrafficPolicy::Local;
        let of_family = port
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.address.is_ipv4() == cluster_ip.is_ipv4());
        let on_node = of_family.clone().filter(|endpoint| endpoint.node.as_deref() == Some(node));
        let mut view = Self {
            name: PortName { service: &service.name, port: &port.name, protocol: port.protocol },
            cluster_ip,
            port: port.port,
            node_port: port.node_port,
            internal_local,
            external_local,
            affinity: service.affinity,
            serving: sockets(of_family.clone().filter(|endpoint| endpoint.serving)),
            cluster: sockets(usable(of_family).into_iter()),
            local: sockets(usable(on_node).into_iter()),
            has_endpoints: false,
        };
        view.has_endpoints = !view.cluster.is_empty();
        if !view.uses_cluster() {
            view.cluster.clear();
        }
        if !view.uses_local() {
            view.local.clear();
        }
        view
    }

    /// Whether the port has a chain for traffic to any node. Externally visible ports always
    /// have, since pods and the node itself are not bound by externalTrafficPolicy.
    fn uses_cluster(&self) -> bool {
        !self.internal_local || self.node_port.is_some()
    }

    fn uses_local(&self) -> bool {
        self.internal_local || self.external_local && self.node_port.is_some()
    }

    /// Whether connections to the ClusterIP find an endpoint.
    #[must_use]
    pub fn has_internal(&self) -> bool {
        self.has_endpoints && !(self.internal_local && self.local.is_empty())
    }

    /// Whether connections from outside to a node port find an endpoint.
    #[must_use]
    pub fn has_external(&self) -> bool {
        self.has_endpoints && !(self.external_local && self.local.is_empty())
    }

    /// All endpoints that some chain of this node leads to, each once.
    #[must_use]
    pub fn reachable(&self) -> Vec<SocketAddr> {
        let mut all = self.cluster.clone();
        all.extend(self.local.iter().filter(|endpoint| !self.cluster.contains(endpoint)));
        all
    }
}

fn sockets<'e>(endpoints: impl Iterator<Item = &'e Endpoint>) -> Vec<SocketAddr> {
    endpoints.map(|endpoint| SocketAddr::new(endpoint.address, endpoint.port.get())).collect()
}
