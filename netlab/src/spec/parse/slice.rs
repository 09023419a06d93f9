//! EndpointSlice objects, by themselves.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::discovery::v1;

use super::{
    Located,
    error::{Place, Reason, SpecError, Unsupported},
    field::Field,
    pod::existing_node,
};
use crate::spec::model::{Node, ObjectName, Port, Protocol};

/// The label that ties a slice to its Service, from the EndpointSlice API.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// A slice that belongs to a Service.
pub(super) struct Slice {
    pub service: ObjectName,
    pub ports: Vec<SlicePort>,
    pub endpoints: Vec<SliceEndpoint>,
}

pub(super) struct SlicePort {
    pub name: String,
    pub protocol: Protocol,
    pub port: Port,
}

pub(super) struct SliceEndpoint {
    pub address: IpAddr,
    pub node: Option<String>,
    pub pod: Option<ObjectName>,
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
}

/// Checks one EndpointSlice; None for one without the label that names a Service.
pub(super) fn slice(
    located: &Located<v1::EndpointSlice>,
    nodes: &BTreeMap<String, Node>,
) -> Result<Option<Slice>, SpecError> {
    let Located { place, object } = located;
    let field = |path| Field { place, path };
    let name = located.name();
    field("metadata.name").subdomain(&name.name)?;
    field("metadata.namespace").label(&name.namespace)?;
    let family = match object.address_type.as_str() {
        "IPv4" => "IPv4",
        "IPv6" => "IPv6",
        "" => return Err(field("addressType").refuse(Reason::Missing)),
        "FQDN" => {
            return Err(field("addressType").refuse(Reason::Unsupported(Unsupported::Fqdn)));
        }
        other => return Err(field("addressType").not_one_of(other, &["IPv4", "IPv6"])),
    };
    let ports = object.ports.iter().flatten().enumerate();
    let ports = ports.map(|(i, port)| slice_port(place, i, port)).collect::<Result<_, _>>()?;
    let endpoints = object.endpoints.iter().flatten().enumerate();
    let endpoints = endpoints
        .map(|(i, listed)| endpoint(place, i, listed, family, &name.namespace, nodes))
        .collect::<Result<_, _>>()?;

    Ok(located.service().map(|service| Slice { service, ports, endpoints }))
}

impl Located<v1::EndpointSlice> {
    /// The Service that it belongs to; None without the label that names one.
    #[must_use]
    pub fn service(&self) -> Option<ObjectName> {
        let name = self.object.metadata.labels.as_ref()?.get(SERVICE_NAME)?.clone();
        Some(ObjectName { namespace: self.name().namespace, name })
    }
}

/// The field that names a slice's Service.
pub(super) const SERVICE_FIELD: &str = "metadata.labels[kubernetes.io/service-name]";

fn slice_port(
    place: &Place,
    index: usize,
    port: &v1::EndpointPort,
) -> Result<SlicePort, SpecError> {
    let path = |leaf| format!("ports[{index}].{leaf}");
    let protocol = Field { place, path: &path("protocol") }.protocol(port.protocol.as_deref())?;
    let number_path = path("port");
    let field = Field { place, path: &number_path };
    let number = port.port.ok_or_else(|| field.refuse(Reason::Missing))?;
    let name = port.name.clone().unwrap_or_default();
    Ok(SlicePort { name, protocol, port: field.port(number)? })
}

fn endpoint(
    place: &Place,
    index: usize,
    listed: &v1::Endpoint,
    family: &'static str,
    namespace: &str,
    nodes: &BTreeMap<String, Node>,
) -> Result<SliceEndpoint, SpecError> {
    // Addresses beyond the first have no meaning, in the API's own words.
    let path = format!("endpoints[{index}].addresses");
    let field = Field { place, path: &path };
    let first = listed.addresses.first().ok_or_else(|| field.refuse(Reason::Missing))?;
    let path = format!("endpoints[{index}].addresses[0]");
    let field = Field { place, path: &path };
    let address = field.address(first)?;
    if address.is_ipv4() != (family == "IPv4") {
        return Err(field.refuse(Reason::WrongFamily { address, family }));
    }
    if let Some(name) = &listed.node_name {
        let path = format!("endpoints[{index}].nodeName");
        existing_node(Field { place, path: &path }, name, nodes)?;
    }
    let target = listed.target_ref.as_ref();
    let target = target.filter(|target| target.kind.as_deref() == Some("Pod"));
    let pod = target.and_then(|target| {
        Some(ObjectName {
            namespace: target.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
            name: target.name.clone()?,
        })
    });
    let conditions = listed.conditions.clone().unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true);
    Ok(SliceEndpoint {
        address,
        node: listed.node_name.clone(),
        pod,
        ready,
        serving: conditions.serving.unwrap_or(ready),
        terminating: conditions.terminating.unwrap_or(false),
    })
}
