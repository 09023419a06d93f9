//! Rows 1 to 3: the node does not forward.

use super::{
    catalogue::{At, Dialled, Fault, KUBE_PROXY, MODES, PROXIES, Shows},
    site::Site,
    step::{Plan, Step, words},
    tables::{chain, nft},
};
use crate::lab::{Mode, UPLINK};

const FORWARD: Fault = Fault {
    name: "forward-drop",
    rows: &[1],
    imitates: "a firewall's rule in FORWARD that drops what goes to the pods",
    at: At::Node,
    modes: MODES,
    proxies: PROXIES,
    limits: "",
    shows: &[Shows::Silence],
    dialled: Dialled::Anywhere,
    programs: &["nft"],
    on_switch: false,
    plan: forward_drop,
};

pub(super) const FAULTS: &[Fault] = &[
    FORWARD,
    Fault {
        name: "forward-policy-drop",
        imitates: "Docker or a hardening guide has set the policy of FORWARD to DROP",
        programs: &["iptables", "nft"],
        plan: forward_policy_drop,
        ..FORWARD
    },
    Fault {
        name: "forward-drop-legacy",
        imitates: "the same rule in the store of iptables-legacy, which nft does not list",
        programs: &["iptables-legacy"],
        plan: forward_drop_legacy,
        ..FORWARD
    },
    Fault {
        name: "ip-forward-off",
        rows: &[2],
        imitates: "sysctl --system after a boot has set net.ipv4.ip_forward back to 0",
        programs: &[],
        plan: ip_forward_off,
        ..FORWARD
    },
    Fault {
        name: "interface-forwarding-off",
        rows: &[2],
        imitates: "forwarding is on, but off for the uplink",
        programs: &[],
        plan: interface_forwarding_off,
        ..FORWARD
    },
    Fault {
        name: "rp-filter-strict",
        rows: &[3],
        imitates: "rp_filter 1 where the way back leads through another interface: a second \
                   uplink (host-gw), or a direct route beside the tunnel (vxlan)",
        dialled: Dialled::AtPeer,
        programs: &["ip"],
        plan: rp_filter_strict,
        ..FORWARD
    },
    Fault {
        name: "missing-snat",
        rows: &[9],
        imitates: "another agent clears the mark that asks kube-proxy's rules to masquerade",
        proxies: KUBE_PROXY,
        limits: "netlab's programs masquerade without a mark",
        dialled: Dialled::AtNode,
        plan: missing_snat,
        ..FORWARD
    },
];

fn forward_drop(site: &Site) -> Plan {
    let pods = site.pod_network(&site.node)?;
    let rules = format!("ip daddr {pods} counter drop");
    let chain = chain("filter", "forward", "filter", "accept", &rules);
    Ok(vec![nft(&site.node, "inet", "fault-forward-drop", &chain)])
}

fn forward_policy_drop(site: &Site) -> Plan {
    let before = site.output(&site.node, "iptables -S FORWARD")?;
    let policy = before.lines().find_map(|line| line.strip_prefix("-P FORWARD "));
    let mut undo = vec![words(&format!("iptables -P FORWARD {}", policy.unwrap_or("ACCEPT")))];
    let tables = site.output(&site.node, "nft list tables")?;
    let is_nft = site.output(&site.node, "iptables --version")?.contains("nf_tables");
    if is_nft && !tables.lines().any(|line| line == "table ip filter") {
        undo.push(words("nft delete table ip filter"));
    }
    let undo = undo.into_iter().map(|line| (line, String::new())).collect();
    let (netns, input) = (site.node.netns.clone(), String::new());
    Ok(vec![Step::Command { netns, line: words("iptables -P FORWARD DROP"), input, undo }])
}

fn forward_drop_legacy(site: &Site) -> Plan {
    let rule = format!("FORWARD -d {} -j DROP", site.pod_network(&site.node)?);
    let command = |letter: &str| format!("iptables-legacy -w {letter} {rule}");
    Ok(vec![Step::command(&site.node, &command("-I"), &command("-D"))])
}

/// The switch for all sets those of each interface, which have to be put back after it.
fn ip_forward_off(site: &Site) -> Plan {
    let all = ["default".to_owned()].into_iter();
    let scopes = all.chain(site.node.links.iter().map(|link| link.name.clone()));
    let each = scopes.map(|scope| format!("ipv4/conf/{scope}/forwarding"));
    let mut steps: Vec<_> = each.map(|key| Step::sysctl(&site.node, key, "0")).collect();
    steps.push(Step::sysctl(&site.node, "ipv4/ip_forward", "0"));
    Ok(steps)
}

fn interface_forwarding_off(site: &Site) -> Plan {
    Ok(vec![Step::sysctl(&site.node, format!("ipv4/conf/{UPLINK}/forwarding"), "0")])
}

fn rp_filter_strict(site: &Site) -> Plan {
    let strict =
        |device: &str| Step::sysctl(&site.node, format!("ipv4/conf/{device}/rp_filter"), "1");
    let mut steps = match site.options.mode {
        Mode::HostGw => second_uplink(site)?,
        Mode::Vxlan => {
            let peer = site.peer()?;
            let (network, address) = (site.pod_network(peer)?, site.v4(peer)?);
            let direct = format!("{network} via {address} dev {UPLINK} onlink");
            let device = &site.vtep(&site.node)?.name;
            return Ok(vec![Step::routes(&site.node, network, &direct), strict(device)]);
        }
    };
    steps.push(strict(UPLINK));
    Ok(steps)
}

/// A second uplink that only the way to the peer leads through. It asks and answers nobody for
/// addresses: otherwise requests would come in by it too.
fn second_uplink(site: &Site) -> Plan {
    if site.options.underlay != crate::lab::Underlay::L2 {
        return site.unfit("with --mode host-gw it needs --underlay l2");
    }
    let (node, fabric, peer) = (&site.node, site.fabric()?, site.peer()?);
    let (own, address) = (site.v4(node)?, site.v4(peer)?);
    let mac = peer.links.iter().find(|link| link.name == UPLINK).and_then(|link| link.mac);
    let Some(mac) = mac else { return site.unfit("the peer's Ethernet address is not known") };
    let index = site.topology.hosts.iter().position(|host| host.name == node.name);
    let port = format!("second-{}", index.unwrap_or_default());
    let netns = &node.netns;
    Ok(vec![
        Step::command(
            fabric,
            &format!("ip link add {port} type veth peer name eth1 netns {netns}"),
            &format!("ip link del {port}"),
        ),
        Step::command(fabric, &format!("ip link set {port} master br0 up"), ""),
        Step::command(node, "ip link set eth1 arp off up", ""),
        Step::command(
            node,
            &format!("ip neigh add {address} lladdr {mac} dev eth1 nud permanent"),
            "",
        ),
        Step::routes(node, format!("{address}/32"), &format!("{address} dev eth1 src {own}")),
    ])
}

fn missing_snat(site: &Site) -> Plan {
    // Priority mangle: after the rules have set the mark, before they look at it.
    let chain = chain("filter", "forward", "mangle", "accept", "meta mark set 0x0 counter");
    Ok(vec![nft(&site.node, "inet", "fault-missing-snat", &chain)])
}
