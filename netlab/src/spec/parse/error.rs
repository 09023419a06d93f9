//! What can be wrong with a manifest, and where.

use std::{fmt, net::IpAddr, path::PathBuf};

use ipnet::IpNet;

use crate::spec::model::Protocol;

/// Where an object was read from. Displays as `pods.yaml: document 2: Pod default/web-1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Path of the file as given, or the origin named to [`super::read_str`].
    pub file: String,
    /// Position of the YAML document in its file, from 1; documents without content do not count.
    pub document: usize,
    /// Kind, namespace and name: `Pod default/web-1`, `Node node-1`.
    pub object: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: document {}: {}", self.file, self.document, self.object)
    }
}

/// Why manifests were refused. Displays file, document, object, field and reason in one
/// line, causes included; so none of them is a `source` that a report would print again.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// A file or directory could not be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A file is neither YAML nor JSON.
    #[error("{file}: line {line}: not valid YAML: {message}")]
    Syntax {
        /// Path of the file as given.
        file: String,
        /// From 1; 0 where the parser cannot tell.
        line: u64,
        /// The parser's words.
        message: String,
    },
    /// An object that netlab cannot take.
    #[error("{place}: {field}: {reason}")]
    Object {
        /// File, document and object.
        place: Box<Place>,
        /// Path of the field, such as `spec.ports[0].nodePort`.
        field: String,
        /// What is wrong with it.
        reason: Box<Reason>,
    },
}

impl SpecError {
    /// An error about one field of the object at `place`.
    pub(super) fn object(place: &Place, field: impl Into<String>, reason: Reason) -> Self {
        Self::Object {
            place: Box::new(place.clone()),
            field: field.into(),
            reason: Box::new(reason),
        }
    }
}

/// What is wrong with a field.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// A required field is absent.
    #[error("is missing")]
    Missing,
    /// An address, podCIDR or node port that only the lab assigns is absent.
    #[error("is missing; `netlab lab up` assigns one, an agent needs it given")]
    Unassigned,
    /// A pod has no node or address so far.
    #[error("is not there yet: the pod waits for a node, or for its network")]
    NotYet,
    /// The value has the wrong type.
    #[error("{0}")]
    Malformed(serde_json::Error),
    /// The object has no such field.
    #[error("no such field{}", suggestion.as_ref().map(|s| format!("; did you mean {s:?}?")).unwrap_or_default())]
    UnknownField {
        /// A field with a similar name.
        suggestion: Option<&'static str>,
    },
    /// The document is no mapping, so it is no Kubernetes object.
    #[error("is no Kubernetes object, which starts with `apiVersion` and `kind`")]
    NotAnObject,
    /// A value outside a closed set.
    #[error("{found:?} is not accepted here (there are {})", accepted.join(", "))]
    NotOneOf {
        /// The value.
        found: String,
        /// All values accepted.
        accepted: &'static [&'static str],
    },
    /// Something that Kubernetes has and netlab does not.
    #[error("{0}")]
    Unsupported(Unsupported),
    /// A name against the rules of RFC 1123 (or RFC 1035 for Services).
    #[error("{found:?} is no valid name: {rule}")]
    InvalidName {
        /// The name.
        found: String,
        /// The rule.
        rule: &'static str,
    },
    /// The same thing twice in one object.
    #[error("{0} stands there twice")]
    Twice(String),
    /// Something that must be unique has been given to another object already.
    #[error("{what} is taken by {by}")]
    Taken {
        /// An address, a port, a name.
        what: String,
        /// Who has it, with the place it stands in.
        by: Place,
    },
    /// No Node has this name.
    #[error("no Node is called {found:?} ({})", known_nodes(known))]
    NoSuchNode {
        /// The name.
        found: String,
        /// The names of all Nodes.
        known: Vec<String>,
    },
    /// No Service has this name, in this namespace.
    #[error("there is no Service {0}")]
    NoSuchService(String),
    /// Text that is no usable IP address.
    #[error("{found:?} {why}")]
    Address {
        /// The text.
        found: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Text that is no network in CIDR notation.
    #[error("{0:?} is no network such as 10.244.1.0/24 or fd00:10:244:1::/64")]
    NotANetwork(String),
    /// Two addresses or networks of one family, where one is the limit.
    #[error("{0} is the second of its family; one IPv4 and one IPv6 are the limit")]
    SecondOfFamily(String),
    /// The singular field (`podIP`) disagrees with the plural one (`podIPs`).
    #[error("{found} disagrees with {plural}, whose first entry it must repeat")]
    Disagrees {
        /// The value of the singular field.
        found: String,
        /// Name of the plural field.
        plural: &'static str,
    },
    /// A pod's address does not belong to its node.
    #[error("{address} is outside the pod network of {node} ({})", join(cidrs))]
    OutsidePodNetwork {
        /// The pod's address.
        address: IpAddr,
        /// Its node.
        node: String,
        /// That node's podCIDRs.
        cidrs: Vec<IpNet>,
    },
    /// Two nodes' pod networks overlap.
    #[error("{cidr} overlaps {other} of {by}")]
    Overlap {
        /// The network refused.
        cidr: IpNet,
        /// The network that was there.
        other: IpNet,
        /// Whose that is.
        by: Place,
    },
    /// An EndpointSlice's address of the other family.
    #[error("{address} is no {family} address, as addressType promises")]
    WrongFamily {
        /// The address.
        address: IpAddr,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// A number outside its range.
    #[error("{found} is outside {low}..={high}")]
    Range {
        /// The number.
        found: i64,
        /// Lowest allowed.
        low: i64,
        /// Highest allowed.
        high: i64,
    },
    /// None of the matching pods has a container port of that name and protocol.
    #[error(
        "no pod that the selector matches has a {protocol} containerPort called {found:?} \
         (they have {})", if known.is_empty() { "no named ports".to_owned() } else { known.join(", ") }
    )]
    NoSuchPort {
        /// The name.
        found: String,
        /// The Service port's protocol.
        protocol: Protocol,
        /// Named ports of the matching pods, as `http/TCP`.
        known: Vec<String>,
    },
    /// A node port on a Service of a type that has none.
    #[error("only Services of type NodePort and LoadBalancer have one; this is of type ClusterIP")]
    NodePortOfClusterIp,
}

/// What Kubernetes has and netlab refuses, each with what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Protocol SCTP.
    #[error("SCTP is not supported: netlab translates TCP and UDP")]
    Sctp,
    /// Services that are a DNS alias.
    #[error(
        "ExternalName is not supported: such a Service is a DNS alias, no packet passes through it"
    )]
    ExternalName,
    /// Pods in their node's network namespace.
    #[error(
        "host-network pods are not supported: a pod has a network namespace and an address of its own here"
    )]
    HostNetwork,
    /// EndpointSlices of names instead of addresses.
    #[error("FQDN is not supported: an endpoint is an IPv4 or IPv6 address here")]
    Fqdn,
}

fn known_nodes(known: &[String]) -> String {
    match known {
        [] => "there are no Nodes".to_owned(),
        [one] => format!("there is {one}"),
        many if many.len() <= 8 => format!("there are {}", many.join(", ")),
        many => format!("there are {}, ... {} in all", many[..8].join(", "), many.len()),
    }
}

fn join(networks: &[IpNet]) -> String {
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
