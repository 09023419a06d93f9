//! The rules of one Service port.

use std::net::SocketAddr;

use super::{Ruleset, Table, View};
use crate::proxy::view::PortView;

/// Prefix of chains that translate to an endpoint.
pub(super) const ENDPOINT: &str = "KUBE-SEP-";

/// Prefixes of the chains of Service ports.
pub(super) const PREFIXES: [&str; 5] =
    ["KUBE-SVC-", "KUBE-SVL-", ENDPOINT, "KUBE-FW-", "KUBE-EXT-"];

pub(super) fn render(
    ruleset: &mut Ruleset,
    view: &View<'_>,
    port: &PortView<'_>,
    with_comments: bool,
) {
    let names = Names::of(port);
    cluster_ip(ruleset, view, port, &names);
    if let Some(node_port) = port.node_port {
        let dialled = format!("{} --dport {node_port}", names.protocol);
        if port.has_endpoints {
            let rule = format!("{} {dialled} -j {}", comment(&names.label), names.external);
            ruleset.nat("KUBE-NODEPORTS", rule);
            external(ruleset, view, port, &names);
        }
        if !port.has_external() {
            let (why, target) = nobody(port, &names);
            let rule = format!("{why} -m addrtype --dst-type LOCAL {dialled} -j {target}");
            ruleset.filter("KUBE-EXTERNAL-SERVICES", rule);
        }
    }
    for (chain, endpoints) in [(&names.cluster, &port.cluster), (&names.local, &port.local)] {
        if !endpoints.is_empty() {
            draw(ruleset, port, &names, (chain, endpoints), with_comments);
        }
    }
    for endpoint in port.reachable() {
        translate(ruleset, port, &names, endpoint, with_comments);
    }
}

struct Names {
    label: String,
    /// `-m tcp -p tcp`.
    protocol: String,
    /// Draws among all endpoints.
    cluster: String,
    /// Draws among those on this node.
    local: String,
    /// Where traffic from outside comes in.
    external: String,
}

impl Names {
    fn of(port: &PortView<'_>) -> Self {
        let (hash, protocol) = (port.name.iptables(), port.name.protocol());
        Self {
            label: port.name.label(),
            protocol: format!("-m {protocol} -p {protocol}"),
            cluster: format!("KUBE-SVC-{hash}"),
            local: format!("KUBE-SVL-{hash}"),
            external: format!("KUBE-EXT-{hash}"),
        }
    }
}

fn comment(text: &str) -> String {
    format!("-m comment --comment \"{text}\"")
}

/// Comment and target for what nobody answers: refused where there is no endpoint at all, and
/// dropped where the policy leaves none.
fn nobody(port: &PortView<'_>, names: &Names) -> (String, &'static str) {
    let (what, target) = if port.has_endpoints {
        ("no local endpoints", "DROP")
    } else {
        ("no endpoints", "REJECT")
    };
    (comment(&format!("{} has {what}", names.label)), target)
}

fn cluster_ip(ruleset: &mut Ruleset, view: &View<'_>, port: &PortView<'_>, names: &Names) {
    let dialled = format!("{} -d {} --dport {}", names.protocol, port.cluster_ip, port.port);
    if !port.has_internal() {
        let (why, target) = nobody(port, names);
        ruleset.filter("KUBE-SERVICES", format!("{why} {dialled} -j {target}"));
        return;
    }
    let dialled = format!("{} {dialled}", comment(&format!("{} cluster IP", names.label)));
    let chain = if port.internal_local { &names.local } else { &names.cluster };
    ruleset.nat("KUBE-SERVICES", format!("{dialled} -j {chain}"));
    // Whoever is no pod of this node may have been routed here, and the answer has to come back
    // this way.
    if let Some(pods) = view.pod_networks.first() {
        ruleset.nat(chain.clone(), format!("{dialled} ! -s {pods} -j KUBE-MARK-MASQ"));
    }
}

fn external(ruleset: &mut Ruleset, view: &View<'_>, port: &PortView<'_>, names: &Names) {
    let Names { label, cluster, local, external, .. } = names;
    let to = |what: &str| comment(&format!("{what} for {label} external destinations"));
    if !port.external_local {
        ruleset.nat(external.clone(), format!("{} -j KUBE-MARK-MASQ", to("masquerade traffic")));
        ruleset.nat(external.clone(), format!("-j {cluster}"));
        return;
    }
    // Pods and the node itself are not outside: the policy does not bind them.
    if let Some(pods) = view.pod_networks.first() {
        ruleset.nat(external.clone(), format!("{} -s {pods} -j {cluster}", to("pod traffic")));
    }
    let own = "-m addrtype --src-type LOCAL";
    for (what, target) in
        [("masquerade LOCAL traffic", "KUBE-MARK-MASQ"), ("route LOCAL traffic", cluster)]
    {
        ruleset.nat(external.clone(), format!("{} {own} -j {target}", to(what)));
    }
    if port.has_external() {
        ruleset.nat(external.clone(), format!("-j {local}"));
    }
}

fn draw(
    ruleset: &mut Ruleset,
    port: &PortView<'_>,
    names: &Names,
    (chain, endpoints): (&String, &[SocketAddr]),
    with_comments: bool,
) {
    let chosen = |endpoint: &SocketAddr| {
        let to = format!("{ENDPOINT}{}", port.name.iptables_endpoint(*endpoint));
        let why = match with_comments {
            true => format!("{} ", comment(&format!("{} -> {endpoint}", names.label))),
            false => String::new(),
        };
        (why, to)
    };
    if let Some(timeout) = port.affinity {
        for (why, to) in endpoints.iter().map(chosen) {
            let seen = format!("--rcheck --seconds {} --reap", timeout.as_secs());
            ruleset.nat(chain.clone(), format!("{why}-m recent --name {to} {seen} -j {to}"));
        }
    }
    for (index, (why, to)) in endpoints.iter().map(chosen).enumerate() {
        // The first of n takes 1/n; of the rest, the next one takes 1/(n-1); the last one, all.
        let share = match endpoints.len() - index {
            1 => String::new(),
            rest => format!("-m statistic --mode random --probability {} ", one_of(rest)),
        };
        ruleset.nat(chain.clone(), format!("{why}{share}-j {to}"));
    }
}

/// 1/n with ten decimals.
pub(super) fn one_of(n: usize) -> String {
    let n = u32::try_from(n).unwrap_or(u32::MAX);
    format!("{:.10}", 1.0 / f64::from(n))
}

fn translate(
    ruleset: &mut Ruleset,
    port: &PortView<'_>,
    names: &Names,
    endpoint: SocketAddr,
    with_comments: bool,
) {
    let chain = format!("{ENDPOINT}{}", port.name.iptables_endpoint(endpoint));
    let why = if with_comments { format!("{} ", comment(&names.label)) } else { String::new() };
    let recent = match port.affinity {
        Some(_) => format!("-m recent --name {chain} --set "),
        None => String::new(),
    };
    let rules = ruleset.chain(Table::Nat, chain);
    // A pod that is sent back to itself would take its own answer for a stranger's.
    rules.push(format!("{why}-s {} -j KUBE-MARK-MASQ", endpoint.ip()));
    let to = format!("-j DNAT --to-destination {endpoint}");
    rules.push(format!("{why}{recent}{} {to}", names.protocol));
}
