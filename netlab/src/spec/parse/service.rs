//! Service objects, by themselves.

use std::{collections::BTreeSet, time::Duration};

use ipnet::IpNet;
use k8s_openapi::{api::core::v1, apimachinery::pkg::util::intstr::IntOrString};

use super::{
    Located,
    error::{Place, Reason, SpecError, Unsupported},
    field::{Field, addresses, plural},
};
use crate::spec::model::{Port, Service, ServicePort, TrafficPolicy};

/// What `sessionAffinity: ClientIP` means without a timeout, from the Service API.
const AFFINITY_SECONDS: i32 = 10_800;
/// The longest timeout that the Service API allows: a day.
const AFFINITY_MAX_SECONDS: i32 = 86_400;

/// A Service without endpoints yet, and what is needed to find them.
pub(super) struct Draft {
    pub service: Service,
    /// One for each of `service.ports`.
    pub targets: Vec<Target>,
    pub families: Families,
}

/// `targetPort`.
pub(super) enum Target {
    Number(Port),
    Name(String),
}

/// Address families that a Service has endpoints of.
#[derive(Clone, Copy)]
pub(super) struct Families {
    pub v4: bool,
    pub v6: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    ClusterIp,
    NodePort,
    LoadBalancer,
}

/// Checks one Service. `primary_v6`: whether a Service that says nothing is an IPv6 one.
pub(super) fn service(
    located: &Located<v1::Service>,
    primary_v6: bool,
) -> Result<Draft, SpecError> {
    let Located { place, object } = located;
    let field = |path| Field { place, path };
    let name = located.name();
    field("metadata.name").service_name(&name.name)?;
    field("metadata.namespace").label(&name.namespace)?;
    let Some(spec) = &object.spec else {
        return Err(field("spec").refuse(Reason::Missing));
    };
    let kind = match spec.type_.as_deref().unwrap_or("ClusterIP") {
        "ClusterIP" => Type::ClusterIp,
        "NodePort" => Type::NodePort,
        "LoadBalancer" => Type::LoadBalancer,
        "ExternalName" => {
            let reason = Reason::Unsupported(Unsupported::ExternalName);
            return Err(field("spec.type").refuse(reason));
        }
        other => {
            let accepted = &["ClusterIP", "NodePort", "LoadBalancer"];
            return Err(field("spec.type").not_one_of(other, accepted));
        }
    };

    let listed = spec.cluster_ips.as_deref().unwrap_or_default();
    let mut texts = plural(
        place,
        ("spec.clusterIP", spec.cluster_ip.as_deref()),
        ("spec.clusterIPs", listed.iter().map(String::as_str).collect()),
    )?;
    // "None" makes a Service headless.
    texts.retain(|(_, text)| *text != "None");
    let cluster_addresses = addresses(place, &texts)?;

    let mut ports = Vec::new();
    let mut targets = Vec::new();
    for (index, port) in spec.ports.iter().flatten().enumerate() {
        let path = format!("spec.ports[{index}]");
        let (port, target) = service_port(place, &path, port, kind)?;
        ports.push(port);
        targets.push(target);
    }
    distinct(place, &ports)?;

    let families = families(field("spec.ipFamilies"), spec, &cluster_addresses, primary_v6)?;
    let external = field("spec.externalTrafficPolicy");
    let internal = field("spec.internalTrafficPolicy");
    let service = Service {
        name,
        selector: spec.selector.clone().unwrap_or_default(),
        ports,
        cluster_addresses,
        external_policy: policy(external, spec.external_traffic_policy.as_deref())?,
        internal_policy: policy(internal, spec.internal_traffic_policy.as_deref())?,
        affinity: affinity(place, spec)?,
        source_ranges: source_ranges(place, spec)?,
        publish_not_ready: spec.publish_not_ready_addresses.unwrap_or_default(),
    };
    Ok(Draft { service, targets, families })
}

fn service_port(
    place: &Place,
    path: &str,
    port: &v1::ServicePort,
    kind: Type,
) -> Result<(ServicePort, Target), SpecError> {
    let path = |leaf| format!("{path}.{leaf}");
    let protocol = Field { place, path: &path("protocol") }.protocol(port.protocol.as_deref())?;
    let number = Field { place, path: &path("port") }.port(port.port)?;
    let name = port.name.clone().unwrap_or_default();
    if !name.is_empty() {
        Field { place, path: &path("name") }.label(&name)?;
    }
    let node_path = path("nodePort");
    let node_field = Field { place, path: &node_path };
    // 0 stands for "none" in the API.
    let node_port = match (port.node_port.filter(|number| *number != 0), kind) {
        (Some(_), Type::ClusterIp) => return Err(node_field.refuse(Reason::NodePortOfClusterIp)),
        (None, Type::NodePort) => return Err(node_field.refuse(Reason::Unassigned)),
        (Some(number), _) => Some(node_field.port(number)?),
        (None, _) => None,
    };
    let target = match &port.target_port {
        None | Some(IntOrString::Int(0)) => Target::Number(number),
        Some(IntOrString::Int(target)) => {
            Target::Number(Field { place, path: &path("targetPort") }.port(*target)?)
        }
        Some(IntOrString::String(name)) => Target::Name(name.clone()),
    };
    Ok((ServicePort { name, protocol, port: number, node_port, endpoints: Vec::new() }, target))
}

/// Several ports need names, and no two share a name or a protocol and number.
fn distinct(place: &Place, ports: &[ServicePort]) -> Result<(), SpecError> {
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let name = format!("spec.ports[{index}].name");
        let number = format!("spec.ports[{index}].port");
        if port.name.is_empty() && ports.len() > 1 {
            return Err(SpecError::object(place, name, Reason::Missing));
        }
        if !names.insert(port.name.as_str()) {
            let reason = Reason::Twice(format!("{:?}", port.name));
            return Err(SpecError::object(place, name, reason));
        }
        if !numbers.insert((port.protocol, port.port)) {
            let reason = Reason::Twice(format!("{}/{}", port.port, port.protocol));
            return Err(SpecError::object(place, number, reason));
        }
    }
    Ok(())
}

/// The families of the cluster addresses; without any, what the object asks for.
fn families(
    field: Field<'_>,
    spec: &v1::ServiceSpec,
    cluster: &[std::net::IpAddr],
    primary_v6: bool,
) -> Result<Families, SpecError> {
    let listed = spec.ip_families.as_deref().unwrap_or_default();
    for family in listed {
        if !matches!(family.as_str(), "IPv4" | "IPv6") {
            return Err(field.not_one_of(family, &["IPv4", "IPv6"]));
        }
    }
    let dual = match spec.ip_family_policy.as_deref().unwrap_or("SingleStack") {
        "SingleStack" => false,
        "PreferDualStack" | "RequireDualStack" => true,
        other => {
            let field = Field { place: field.place, path: "spec.ipFamilyPolicy" };
            let accepted = &["SingleStack", "PreferDualStack", "RequireDualStack"];
            return Err(field.not_one_of(other, accepted));
        }
    };
    Ok(if !cluster.is_empty() {
        let v4 = cluster.iter().any(std::net::IpAddr::is_ipv4);
        Families { v4, v6: cluster.iter().any(std::net::IpAddr::is_ipv6) }
    } else if dual {
        Families { v4: true, v6: true }
    } else if !listed.is_empty() {
        let has = |family: &str| listed.iter().any(|listed| listed == family);
        Families { v4: has("IPv4"), v6: has("IPv6") }
    } else {
        Families { v4: !primary_v6, v6: primary_v6 }
    })
}

fn policy(field: Field<'_>, text: Option<&str>) -> Result<TrafficPolicy, SpecError> {
    match text.unwrap_or("Cluster") {
        "Cluster" => Ok(TrafficPolicy::Cluster),
        "Local" => Ok(TrafficPolicy::Local),
        other => Err(field.not_one_of(other, &["Cluster", "Local"])),
    }
}

fn affinity(place: &Place, spec: &v1::ServiceSpec) -> Result<Option<Duration>, SpecError> {
    match spec.session_affinity.as_deref().unwrap_or("None") {
        "None" => return Ok(None),
        "ClientIP" => {}
        other => {
            let field = Field { place, path: "spec.sessionAffinity" };
            return Err(field.not_one_of(other, &["None", "ClientIP"]));
        }
    }
    let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let seconds = config.and_then(|client_ip| client_ip.timeout_seconds);
    let seconds = seconds.unwrap_or(AFFINITY_SECONDS);
    match u64::try_from(seconds) {
        Ok(positive) if (1..=AFFINITY_MAX_SECONDS).contains(&seconds) => {
            Ok(Some(Duration::from_secs(positive)))
        }
        _ => Err(SpecError::object(
            place,
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            Reason::Range { found: seconds.into(), low: 1, high: AFFINITY_MAX_SECONDS.into() },
        )),
    }
}

fn source_ranges(place: &Place, spec: &v1::ServiceSpec) -> Result<Vec<IpNet>, SpecError> {
    let listed = spec.load_balancer_source_ranges.iter().flatten().enumerate();
    listed
        .map(|(index, text)| {
            let path = format!("spec.loadBalancerSourceRanges[{index}]");
            Field { place, path: &path }.network(text)
        })
        .collect()
}
