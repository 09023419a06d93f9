//! Rows 18, 19, 35 and 36: routes and rules of the nodes.

use super::{
    catalogue::{At, Dialled, Fault, MODES, PROXIES, Shows},
    site::Site,
    step::{Plan, Step, words},
};
use crate::lab::{Mode, Role, topology::Route};

const ROUTE: Fault = Fault {
    name: "host-gw-route-missing",
    rows: &[18],
    imitates: "the route to a peer's pod network was never made, or is gone",
    at: At::Node,
    modes: &[Mode::HostGw],
    proxies: PROXIES,
    limits: "with --mode vxlan the route is one of the tunnel",
    shows: &[Shows::Silence, Shows::Unreachable],
    dialled: Dialled::Anywhere,
    programs: &["ip"],
    on_switch: false,
    plan: missing,
};

pub(super) const FAULTS: &[Fault] = &[
    ROUTE,
    Fault {
        name: "pod-network-blackhole",
        imitates: "a peer's pod network is a blackhole route, as of an aggregate",
        modes: MODES,
        limits: "",
        plan: blackhole,
        ..ROUTE
    },
    Fault {
        name: "host-gw-route-wrong",
        rows: &[19],
        imitates: "the route to a peer's pod network leads to a host without that network",
        plan: wrong,
        ..ROUTE
    },
    Fault {
        name: "policy-routing",
        rows: &[35],
        imitates: "a rule sends what comes from the pods through another table, whose default \
                   gateway knows nothing of them",
        modes: MODES,
        limits: "",
        plan: policy,
        ..ROUTE
    },
    Fault {
        name: "routing-loop",
        rows: &[36],
        imitates: "a left-over route sends packets for a pod back to the node that they came from",
        at: At::Pod,
        modes: MODES,
        limits: "",
        plan: routing_loop,
        ..ROUTE
    },
    Fault {
        name: "low-ttl",
        rows: &[36],
        imitates: "a client whose packets have too small a TTL for one more hop",
        at: At::Client,
        modes: MODES,
        limits: "",
        programs: &[],
        plan: |site| Ok(vec![Step::sysctl(site.client()?, "ipv4/ip_default_ttl", "1")]),
        ..ROUTE
    },
];

/// The node's route to the peer's pod network.
fn towards_peer(site: &Site) -> Result<&Route, super::FaultError> {
    let peer = site.peer()?;
    let network = site.pod_network(peer)?;
    match site.node.routes.iter().find(|route| route.destination == network.into()) {
        Some(route) => Ok(route),
        None => site.unfit(format!("{} has no route to {network}", site.node.name)),
    }
}

fn missing(site: &Site) -> Plan {
    Ok(vec![Step::routes(&site.node, towards_peer(site)?.destination, "")])
}

fn blackhole(site: &Site) -> Plan {
    let destination = towards_peer(site)?.destination;
    Ok(vec![Step::routes(&site.node, destination, &format!("blackhole {destination}"))])
}

/// To a third node where there is one, else to the client.
fn wrong(site: &Site) -> Plan {
    let (route, peer) = (towards_peer(site)?, site.peer()?);
    let is_third = |host: &&crate::lab::Host| {
        host.role == Role::Node && host.name != site.node.name && host.name != peer.name
    };
    let third = site.topology.hosts.iter().find(is_third);
    let gateway = site.v4(third.map_or_else(|| site.client(), Ok)?)?;
    let other = Route { gateway: gateway.into(), ..route.clone() };
    Ok(vec![Step::routes(&site.node, route.destination, &other.to_string())])
}

fn policy(site: &Site) -> Plan {
    const TABLE: u32 = 5005;
    let network = site.pod_network(&site.node)?;
    // The last address of the node's subnet, which is nobody's.
    let node = site.v4(&site.node)?;
    let subnet = site.node.addresses.iter().map(|address| address.net).find_map(|net| match net {
        ipnet::IpNet::V4(net) if net.addr() == node => Some(net),
        _ => None,
    });
    let Some(subnet) = subnet else { return site.unfit("the node's subnet is not known") };
    let gateway = std::net::Ipv4Addr::from(u32::from(subnet.broadcast()).saturating_sub(1));
    let table = TABLE.to_string();
    let device = crate::lab::UPLINK;
    let rule = |verb: &str| format!("ip rule {verb} pref 100 from {network} lookup {table}");
    Ok(vec![
        Step::Routes {
            netns: site.node.netns.clone(),
            selector: vec!["default".to_owned(), "table".to_owned(), table.clone()],
            line: words(&format!("default via {gateway} dev {device} onlink table {table}")),
        },
        Step::command(&site.node, &rule("add"), &rule("del")),
    ])
}

fn routing_loop(site: &Site) -> Plan {
    let pod = site.v4(site.pod()?)?;
    let back = towards_peer(site)?;
    let onlink = if back.onlink { " onlink" } else { "" };
    let line = format!("{pod} via {} dev {}{onlink}", back.gateway, back.device);
    Ok(vec![Step::routes(&site.node, format!("{pod}/32"), &line)])
}
