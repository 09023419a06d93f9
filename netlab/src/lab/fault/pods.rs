//! Rows 26, 30 and 31: pods, their links and their bridge.

use super::{
    catalogue::{At, Dialled, Fault, KUBE_PROXY, MODES, PROXIES, Shows},
    site::Site,
    step::{Plan, Step, words},
};
use crate::lab::{Host, POD_BRIDGE, UPLINK};

const POD: Fault = Fault {
    name: "pod-no-default-route",
    rows: &[30],
    imitates: "a CNI plugin that gave a pod an address and no default route",
    at: At::Pod,
    modes: MODES,
    proxies: PROXIES,
    limits: "",
    shows: &[Shows::Silence],
    dialled: Dialled::Anywhere,
    programs: &["ip"],
    on_switch: false,
    plan: no_default_route,
};

pub(super) const FAULTS: &[Fault] = &[
    POD,
    Fault {
        name: "pod-wrong-gateway",
        imitates: "a pod whose default gateway is an address of nobody's",
        plan: wrong_gateway,
        ..POD
    },
    Fault {
        name: "pod-link-down",
        rows: &[31],
        imitates: "the node's end of a pod's link is down",
        shows: &[Shows::Silence, Shows::Unreachable],
        plan: link_down,
        ..POD
    },
    Fault {
        name: "pod-not-enslaved",
        rows: &[31],
        imitates: "the node's end of a pod's link is no port of the bridge",
        shows: &[Shows::Silence, Shows::Unreachable],
        plan: not_enslaved,
        ..POD
    },
    Fault {
        name: "bridge-down",
        rows: &[31],
        imitates: "the pod bridge is down",
        at: At::Node,
        shows: &[Shows::Silence, Shows::Unreachable, Shows::Refused],
        plan: bridge_down,
        ..POD
    },
    Fault {
        name: "hairpin-off",
        rows: &[26],
        imitates: "a pod's bridge port without hairpin mode: the pod cannot reach itself through \
                   a Service",
        proxies: KUBE_PROXY,
        limits: "netlab's programs do not answer pods of the same node yet",
        dialled: Dialled::PodToService,
        programs: &["bridge"],
        plan: hairpin_off,
        ..POD
    },
    Fault {
        name: "bridge-nf-off",
        rows: &[26],
        imitates: "net.bridge.bridge-nf-call-iptables=0: answers between pods of a node take the \
                   bridge, past the rules that would translate them back",
        at: At::Node,
        proxies: KUBE_PROXY,
        limits: "netlab's programs do not answer pods of the same node yet",
        dialled: Dialled::PodToService,
        programs: &[],
        plan: bridge_nf_off,
        ..POD
    },
];

fn no_default_route(site: &Site) -> Plan {
    Ok(vec![Step::routes(site.pod()?, "default", "")])
}

/// The last address of the node's pod network, which the lab gives to nobody for long.
fn wrong_gateway(site: &Site) -> Plan {
    let (pod, network) = (site.pod()?, site.pod_network(&site.node)?);
    let last = u32::from(network.broadcast()).saturating_sub(1);
    let is_free = |address: &std::net::Ipv4Addr| {
        let address = std::net::IpAddr::from(*address);
        !site.spec.pods.iter().any(|pod| pod.addresses.contains(&address))
    };
    let free = (u32::from(network.network())..=last).rev().map(std::net::Ipv4Addr::from);
    let Some(gateway) = free.into_iter().find(is_free) else {
        return site.unfit(format!("every address of {network} is a pod's"));
    };
    Ok(vec![Step::routes(pod, "default", &format!("default via {gateway} dev {UPLINK}"))])
}

fn link_down(site: &Site) -> Plan {
    let port = &site.port_of(site.pod()?)?.name;
    let set = |state: &str| format!("ip link set dev {port} {state}");
    let mut steps = vec![Step::command(&site.node, &set("down"), &set("up"))];
    steps.extend(forget(&site.node, site)?);
    Ok(steps)
}

fn not_enslaved(site: &Site) -> Plan {
    let port = site.port_of(site.pod()?)?;
    let name = &port.name;
    let hairpin = if port.hairpin { "on" } else { "off" };
    let undo = vec![
        (words(&format!("ip link set dev {name} master {POD_BRIDGE}")), String::new()),
        (words(&format!("bridge link set dev {name} hairpin {hairpin}")), String::new()),
    ];
    let line = words(&format!("ip link set dev {name} nomaster"));
    let (netns, input) = (site.node.netns.clone(), String::new());
    let mut steps = vec![Step::Command { netns, line, input, undo }];
    steps.extend(forget(&site.node, site)?);
    Ok(steps)
}

/// Who knew the pod's Ethernet address would take a while to notice.
fn forget(node: &Host, site: &Site) -> Plan {
    let line = format!("ip neigh flush to {} dev {POD_BRIDGE}", site.v4(site.pod()?)?);
    Ok(vec![Step::command(node, &line, "")])
}

/// The kernel takes IPv6 addresses away with the link, and no IPv4 ones.
fn bridge_down(site: &Site) -> Plan {
    let mut undo = vec![words(&format!("ip link set dev {POD_BRIDGE} up"))];
    let v6 = site
        .node
        .addresses
        .iter()
        .filter(|address| address.device == POD_BRIDGE && address.net.addr().is_ipv6());
    undo.extend(v6.map(|v6| words(&format!("ip addr replace {} dev {POD_BRIDGE} nodad", v6.net))));
    let undo = undo.into_iter().map(|line| (line, String::new())).collect();
    let line = words(&format!("ip link set dev {POD_BRIDGE} down"));
    Ok(vec![Step::Command { netns: site.node.netns.clone(), line, input: String::new(), undo }])
}

fn hairpin_off(site: &Site) -> Plan {
    let port = &site.port_of(site.pod()?)?.name;
    let set = |value: &str| format!("bridge link set dev {port} hairpin {value}");
    Ok(vec![Step::command(&site.node, &set("off"), &set("on"))])
}

fn bridge_nf_off(site: &Site) -> Plan {
    Ok(vec![Step::sysctl(&site.node, "bridge/bridge-nf-call-iptables", "0")])
}
