//! Node objects.

use k8s_openapi::api::core::v1;

use super::{
    Located,
    error::{Reason, SpecError},
    field::{Field, addresses, plural},
};
use crate::spec::model::Node;

/// The type of the addresses that nodes reach each other at, from the Node API.
pub(super) const INTERNAL: &str = "InternalIP";

/// Checks one Node by itself.
pub(super) fn node(located: &Located<v1::Node>) -> Result<Node, SpecError> {
    let Located { place, object } = located;
    let name = located.name().name;
    Field { place, path: "metadata.name" }.subdomain(&name)?;

    let listed = object.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let internal: Vec<_> = listed
        .enumerate()
        .filter(|(_, address)| address.type_ == INTERNAL)
        .map(|(i, address)| (format!("status.addresses[{i}].address"), address.address.as_str()))
        .collect();
    let addresses = addresses(place, &internal)?;
    if addresses.is_empty() {
        return Err(SpecError::object(place, "status.addresses", Reason::Unassigned));
    }

    let spec = object.spec.as_ref();
    let many = spec.and_then(|spec| spec.pod_cidrs.as_deref()).unwrap_or_default();
    let texts = plural(
        place,
        ("spec.podCIDR", spec.and_then(|spec| spec.pod_cidr.as_deref())),
        ("spec.podCIDRs", many.iter().map(String::as_str).collect()),
    )?;
    let mut pod_cidrs = Vec::with_capacity(texts.len());
    for (path, text) in &texts {
        let field = Field { place, path };
        let cidr = field.network(text)?;
        let v4 = cidr.addr().is_ipv4();
        if pod_cidrs.iter().any(|other: &ipnet::IpNet| other.addr().is_ipv4() == v4) {
            return Err(field.refuse(Reason::SecondOfFamily(cidr.to_string())));
        }
        pod_cidrs.push(cidr);
    }
    Ok(Node { name, addresses, pod_cidrs })
}
