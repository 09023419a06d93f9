//! The cluster as netlab sees it: nodes, pods, Services and their endpoints.
//!
//! Law: a value of these types is consistent. Every name that refers to another
//! object refers to one that exists, every address fits its family, every port is
//! in range. Whatever breaks that is refused by [`super::parse`] with the place it
//! stands in.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hasher},
    net::IpAddr,
    num::NonZeroU16,
    time::Duration,
};

use ipnet::IpNet;
use serde::Serialize;

/// A transport port, never zero.
pub type Port = NonZeroU16;

/// Transport protocol of a Service port. SCTP is refused by the parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// IP protocol 6.
    Tcp,
    /// IP protocol 17.
    Udp,
}

impl Protocol {
    /// The number in the IP header (IANA protocol numbers).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// `namespace/name` of a namespaced object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectName {
    /// The Kubernetes namespace, `default` where none is given.
    pub namespace: String,
    /// The object's own name.
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A cluster node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Name of the Node object; also the lab's host name.
    pub name: String,
    /// `status.addresses` of type InternalIP, in the object's order, at most one a family.
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs`, at most one a family.
    pub pod_cidrs: Vec<IpNet>,
}

/// A pod. Host-network pods are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pod {
    /// Namespace and name.
    #[serde(flatten)]
    pub name: ObjectName,
    /// `spec.nodeName`.
    pub node: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `status.podIPs`, at most one a family.
    pub addresses: Vec<IpAddr>,
    /// `containerPort`s by name, for Services that name their target port.
    pub named_ports: BTreeMap<String, (Protocol, Port)>,
    /// The Ready condition; true where the object has no conditions.
    pub ready: bool,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
}

/// externalTrafficPolicy or internalTrafficPolicy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum TrafficPolicy {
    /// Any endpoint.
    #[default]
    Cluster,
    /// Endpoints on the receiving node only.
    Local,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Namespace and name.
    #[serde(flatten)]
    pub name: ObjectName,
    /// `spec.selector`; empty where endpoints come from EndpointSlices alone.
    pub selector: BTreeMap<String, String>,
    /// `spec.ports`, in the object's order.
    pub ports: Vec<ServicePort>,
    /// `spec.clusterIPs` that are addresses (not `None`).
    pub cluster_addresses: Vec<IpAddr>,
    /// `spec.externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// `spec.internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// sessionAffinity ClientIP with its timeout; None for no affinity.
    pub affinity: Option<Duration>,
    /// `spec.loadBalancerSourceRanges`.
    pub source_ranges: Vec<IpNet>,
    /// `spec.publishNotReadyAddresses`.
    pub publish_not_ready: bool,
}

/// One port of a Service, with the endpoints behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServicePort {
    /// `name`, empty for the only port of a Service.
    pub name: String,
    /// `protocol`.
    pub protocol: Protocol,
    /// `port`: what a client of the ClusterIP dials.
    pub port: Port,
    /// `nodePort`, for Services of type NodePort and LoadBalancer.
    pub node_port: Option<Port>,
    /// From the EndpointSlices, or derived from matching pods; sorted and free of duplicates.
    pub endpoints: Vec<Endpoint>,
}

impl ServicePort {
    /// The endpoints that new connections go to; empty means reject.
    #[must_use]
    pub fn usable_endpoints(&self) -> Vec<&Endpoint> {
        usable(self.endpoints.iter())
    }
}

/// Those of some endpoints that new connections go to: those that are ready; if there are
/// none, those that still serve while they terminate.
pub fn usable<'e>(endpoints: impl Iterator<Item = &'e Endpoint> + Clone) -> Vec<&'e Endpoint> {
    let ready: Vec<_> = endpoints.clone().filter(|endpoint| endpoint.ready).collect();
    if !ready.is_empty() {
        return ready;
    }
    endpoints.filter(|endpoint| endpoint.serving && endpoint.terminating).collect()
}

/// One address and port behind a Service port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Endpoint {
    /// Pod address.
    pub address: IpAddr,
    /// Port at the pod.
    pub port: Port,
    /// Name of the node that it runs on, where known.
    pub node: Option<String>,
    /// `<namespace>/<pod>` where known.
    pub pod: Option<ObjectName>,
    /// `conditions.ready` (absent means true, as in the API's own words).
    pub ready: bool,
    /// `conditions.serving` (absent: as ready).
    pub serving: bool,
    /// `conditions.terminating` (absent: false).
    pub terminating: bool,
}

/// The whole of what should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spec {
    /// Sorted by name.
    pub nodes: Vec<Node>,
    /// Sorted by name.
    pub pods: Vec<Pod>,
    /// Sorted by name.
    pub services: Vec<Service>,
}

impl Spec {
    /// Services with this node port, and their ports that have it: one a protocol at most.
    pub fn with_node_port(&self, number: u16) -> impl Iterator<Item = (&Service, &ServicePort)> {
        let own = self.node_ports().filter(move |(.., of)| *of == number);
        own.map(|(service, port, _)| (service, port))
    }

    /// All node ports, with their Services and the ports of those that they stand for.
    pub fn node_ports(&self) -> impl Iterator<Item = (&Service, &ServicePort, u16)> {
        self.services.iter().flat_map(|service| {
            let ports = service.ports.iter();
            ports.filter_map(move |port| Some((service, port, port.node_port?.get())))
        })
    }

    /// 16 hex digits that tell specs apart: SipHash of the JSON, without a random key, so
    /// that every process of one build of netlab agrees on it.
    #[must_use]
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).expect("a spec has string keys only");
        let mut hasher = DefaultHasher::new();
        hasher.write(&json);
        format!("{:016x}", hasher.finish())
    }
}
