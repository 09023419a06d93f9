//! What belongs to a Service, as an expression of the pcap-filter language.
//!
//! A packet belongs to it if it goes to, or comes from, one of its sockets: node port,
//! cluster address, endpoint. That holds before and after translation, since each leaves one
//! end at such a socket. An ICMP error belongs to it if the packet that it quotes does.
//!
//! Not matched: fragments other than the first, which have no ports; and errors about VXLAN
//! packets, which quote no more of a packet than the headers around it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::{
    spec::{
        Spec,
        model::{Protocol, Service},
    },
    trace::follow::Follower,
};

/// Why there is no filter for a Service.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// No Service has the name.
    #[error("there is no Service {name}{}; {}", suggestion(nearest.as_ref()), listing(known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The name that is most like it.
        nearest: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// Several Services have the name, in different namespaces.
    #[error("{name} is several Services: {}; say which", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Their full names.
        candidates: Vec<String>,
    },
    /// The Service has no node port, no address and no endpoint.
    #[error("Service {name} has neither node ports nor addresses nor endpoints to capture at")]
    Nowhere {
        /// Its full name.
        name: String,
    },
}

fn suggestion(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(" (did you mean {nearest}?)"))
}

fn listing(known: &[String]) -> String {
    if known.is_empty() {
        "there are no Services at all".to_owned()
    } else {
        format!("there are: {}", known.join(", "))
    }
}

/// The Service of a name, `web` or `namespace/web`.
///
/// # Errors
///
/// Where no Service, or more than one, has it.
pub fn find<'s>(spec: &'s Spec, name: &str) -> Result<&'s Service, ServiceError> {
    let matches = |service: &&Service| match name.split_once('/') {
        Some((namespace, name)) => service.name.namespace == namespace && service.name.name == name,
        None => service.name.name == name,
    };
    let found: Vec<_> = spec.services.iter().filter(matches).collect();
    match found.as_slice() {
        [service] => Ok(service),
        [] => Err(unknown(spec, name)),
        several => Err(ServiceError::Ambiguous {
            name: name.to_owned(),
            candidates: several.iter().map(|service| service.name.to_string()).collect(),
        }),
    }
}

/// A name that is less like another than this is no slip of the fingers.
const ALIKE: f64 = 0.5;

fn unknown(spec: &Spec, name: &str) -> ServiceError {
    let asked = name.rsplit_once('/').map_or(name, |(_, name)| name);
    // The same name in another namespace is nearest.
    let likeness = |service: &&Service| {
        let whole = strsim::normalized_damerau_levenshtein(&service.name.to_string(), name);
        whole.max(strsim::normalized_damerau_levenshtein(&service.name.name, asked))
    };
    let nearest = spec
        .services
        .iter()
        .map(|service| (likeness(&service), service))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, service)| service.name.to_string());
    let known = spec.services.iter().map(|service| service.name.to_string()).collect();
    ServiceError::Unknown { name: name.to_owned(), nearest, known }
}

/// The sockets of a Service: node ports on all nodes, cluster addresses, endpoints.
#[must_use]
pub fn sockets(spec: &Spec, service: &Service) -> BTreeSet<(Protocol, SocketAddr)> {
    let nodes: Vec<IpAddr> = spec.nodes.iter().flat_map(|node| node.addresses.clone()).collect();
    let mut sockets = BTreeSet::new();
    for port in &service.ports {
        let mut add = |address: IpAddr, number: u16| {
            sockets.insert((port.protocol, SocketAddr::new(address, number)));
        };
        if let Some(node_port) = port.node_port {
            nodes.iter().for_each(|node| add(*node, node_port.get()));
        }
        service.cluster_addresses.iter().for_each(|address| add(*address, port.port.get()));
        port.endpoints.iter().for_each(|endpoint| add(endpoint.address, endpoint.port.get()));
    }
    sockets
}

/// An expression for all packets of a Service, `web` or `namespace/web`. It looks at a packet
/// as it is: packets inside of VXLAN have to be shown to it without.
///
/// # Errors
///
/// Where there is no such Service, or nothing that could be captured of it.
pub fn filter(spec: &Spec, name: &str) -> Result<String, ServiceError> {
    let service = find(spec, name)?;
    let sockets = sockets(spec, service);
    if sockets.is_empty() {
        return Err(ServiceError::Nowhere { name: service.name.to_string() });
    }
    let mut v4: Groups<Ipv4Addr> = Groups::new();
    let mut v6: Groups<Ipv6Addr> = Groups::new();
    for (protocol, socket) in sockets {
        let key = (protocol, socket.port());
        match socket.ip() {
            IpAddr::V4(address) => v4.entry(key).or_default().push(address),
            IpAddr::V6(address) => v6.entry(key).or_default().push(address),
        }
    }
    let parts = packets(&v4)
        .into_iter()
        .chain(packets(&v6))
        .chain(errors(&v4, &QUOTED_V4, quoted_v4))
        .chain(errors(&v6, &QUOTED_V6, quoted_v6));
    Ok(any(parts))
}

/// An expression for what goes to or comes from any of some ports, wherever, and for all ICMP
/// errors: smaller than that of sockets, and it does not grow with the number of nodes and pods.
#[must_use]
pub fn of_ports(ports: &BTreeSet<(Protocol, u16)>) -> String {
    let port = |(protocol, port): &(Protocol, u16)| {
        format!("{} port {port}", protocol.to_string().to_lowercase())
    };
    let errors = [QUOTED_V4.error, QUOTED_V6.error].map(|error| format!("({error})"));
    any(ports.iter().map(port).chain(errors))
}

/// Tells a follower whose addresses and sockets are whose: each address with its host, and those
/// of nodes, where node ports are fronts.
pub fn introduce<'a>(
    follower: &mut Follower,
    spec: Option<&Spec>,
    addresses: impl IntoIterator<Item = (&'a str, IpAddr)>,
    nodes: &BTreeSet<IpAddr>,
) {
    for (host, address) in addresses {
        follower.locate(address, host);
    }
    for service in spec.map_or(&[][..], |spec| &spec.services) {
        let sockets = spec.map_or_else(BTreeSet::new, |spec| sockets(spec, service));
        for (protocol, socket) in sockets {
            follower.name(protocol.number(), socket, &service.name.to_string());
            // Pods have addresses of their own.
            if nodes.contains(&socket.ip()) {
                follower.front(protocol.number(), socket);
            }
        }
    }
}

/// Addresses that share protocol and port.
type Groups<A> = BTreeMap<(Protocol, u16), Vec<A>>;

/// The packets that go to or come from any of the sockets.
fn packets<A: ToString>(groups: &Groups<A>) -> Vec<String> {
    let direction = |way: &str, protocol: Protocol, port: u16, addresses: &[A]| {
        let hosts = any(addresses.iter().map(|host| format!("{way} host {}", host.to_string())));
        format!("({} {way} port {port} and {hosts})", protocol.to_string().to_lowercase())
    };
    groups
        .iter()
        .flat_map(|((protocol, port), addresses)| {
            ["dst", "src"].map(|way| direction(way, *protocol, *port, addresses))
        })
        .collect()
}

/// Where fields of the packet that an ICMP error quotes are.
struct Quoted {
    /// What is an error at all.
    error: &'static str,
    protocol: &'static str,
    /// Source and destination port.
    ports: [&'static str; 2],
}

/// RFC 792: unreachable, source quench, redirect, time exceeded, parameter problem; then the
/// quoted IPv4 header, which may have options.
const QUOTED_V4: Quoted = Quoted {
    error: "icmp and (icmp[0] = 3 or icmp[0] = 4 or icmp[0] = 5 or icmp[0] = 11 or icmp[0] = 12)",
    protocol: "icmp[17]",
    ports: ["icmp[8 + ((icmp[8] & 0xf) << 2):2]", "icmp[10 + ((icmp[8] & 0xf) << 2):2]"],
};

/// RFC 4443: errors are the types below 128. libpcap has no index into ICMPv6 in all releases,
/// so all counts from the IPv6 header; neither may have extension headers.
const QUOTED_V6: Quoted = Quoted {
    error: "ip6[6] = 58 and ip6[40] < 128",
    protocol: "ip6[54]",
    ports: ["ip6[88:2]", "ip6[90:2]"],
};

/// The condition that an address is the quoted packet's source (0) or destination (1).
type Condition<A> = fn(usize, &A) -> String;

fn quoted_v4(end: usize, address: &Ipv4Addr) -> String {
    format!("icmp[{}:4] = {:#010x}", 20 + 4 * end, address.to_bits())
}

fn quoted_v6(end: usize, address: &Ipv6Addr) -> String {
    let words = address.to_bits().to_be_bytes();
    let words = words.chunks_exact(4).enumerate().map(|(at, word)| {
        let word = word.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("ip6[{}:4] = 0x{word}", 56 + 16 * end + 4 * at)
    });
    format!("({})", words.collect::<Vec<_>>().join(" and "))
}

/// The ICMP errors about packets that go to or come from any of the sockets.
fn errors<A>(groups: &Groups<A>, quoted: &Quoted, is_end: Condition<A>) -> Option<String> {
    let socket = |(key, addresses): (&(Protocol, u16), &Vec<A>)| {
        let (protocol, port) = key;
        let ends = any((0..2).map(|end| {
            let address = any(addresses.iter().map(|address| is_end(end, address)));
            format!("({} = {port} and {address})", quoted.ports[end])
        }));
        format!("({} = {} and {ends})", quoted.protocol, protocol.number())
    };
    if groups.is_empty() {
        return None;
    }
    Some(format!("({} and {})", quoted.error, any(groups.iter().map(socket))))
}

/// Any of several conditions.
fn any(conditions: impl IntoIterator<Item = String>) -> String {
    let conditions: Vec<_> = conditions.into_iter().collect();
    match conditions.as_slice() {
        [one] => one.clone(),
        several => format!("({})", several.join(" or ")),
    }
}

#[cfg(test)]
mod tests;
