//! The chains, sets and map elements of one Service port.

use std::net::SocketAddr;

use super::{Kind, Ruleset, Set, View};
use crate::proxy::view::PortView;

/// Prefix of chains that translate to an endpoint.
pub(super) const ENDPOINT: &str = "endpoint-";
/// Prefix of sets with the clients that stay with an endpoint.
pub(super) const AFFINITY: &str = "affinity-";

/// Chains of a Service port have a slash in their names, all others have none.
pub(super) fn is_of_service(chain: &str) -> bool {
    chain.contains('/')
}

pub(super) fn render(ruleset: &mut Ruleset, view: &View<'_>, port: &PortView<'_>) {
    let chains = Chains::of(port);
    cluster_ip(ruleset, view, port, &chains);
    if let Some(node_port) = port.node_port {
        let key = format!("{} . {node_port}", port.name.protocol());
        if port.has_endpoints {
            let value = format!(" : goto {}", chains.external);
            ruleset.element("service-nodeports", key.clone(), value);
            external(ruleset, view, port, &chains);
        }
        if !port.has_external() {
            ruleset.element("no-endpoint-nodeports", key, nobody(port));
        }
    }
    for (chain, endpoints) in [(&chains.cluster, &port.cluster), (&chains.local, &port.local)] {
        if !endpoints.is_empty() {
            draw(ruleset, view, port, chain, endpoints);
        }
    }
    for endpoint in port.reachable() {
        translate(ruleset, view, port, endpoint);
    }
}

struct Chains {
    /// Draws among all endpoints.
    cluster: String,
    /// Draws among those on this node.
    local: String,
    /// Where traffic from outside comes in.
    external: String,
}

impl Chains {
    fn of(port: &PortView<'_>) -> Self {
        let name = port.name.nftables();
        Self {
            cluster: format!("service-{name}"),
            local: format!("local-{name}"),
            external: format!("external-{name}"),
        }
    }
}

fn cluster_ip(ruleset: &mut Ruleset, view: &View<'_>, port: &PortView<'_>, chains: &Chains) {
    let (ip, protocol) = (view.family.keyword(), port.name.protocol());
    ruleset.element("cluster-ips", port.cluster_ip.to_string(), String::new());
    let key = format!("{} . {protocol} . {}", port.cluster_ip, port.port);
    if !port.has_internal() {
        ruleset.element("no-endpoint-services", key, nobody(port));
        return;
    }
    let chain = if port.internal_local { &chains.local } else { &chains.cluster };
    ruleset.element("service-ips", key, format!(" : goto {chain}"));
    // Whoever is no pod of this node may have been routed here, and the answer has to come back
    // this way.
    if let Some(pods) = view.pod_networks.first() {
        let dialled = format!("{ip} daddr {} {protocol} dport {}", port.cluster_ip, port.port);
        let rule = format!("{dialled} {ip} saddr != {pods} jump mark-for-masquerade");
        ruleset.rule(chain.clone(), rule);
    }
}

/// Verdict on what nobody answers: to refuse it where there is no endpoint at all, to drop it
/// where another node would have one.
fn nobody(port: &PortView<'_>) -> String {
    let verdict = if port.has_endpoints { "drop" } else { "goto reject-chain" };
    format!(" comment \"{}\" : {verdict}", port.name.label())
}

fn external(ruleset: &mut Ruleset, view: &View<'_>, port: &PortView<'_>, chains: &Chains) {
    let ip = view.family.keyword();
    let Chains { cluster, local, external } = chains;
    if !port.external_local {
        ruleset.rule(external.clone(), "jump mark-for-masquerade");
        ruleset.rule(external.clone(), format!("goto {cluster}"));
        return;
    }
    // Pods and the node itself are not outside: the policy does not bind them.
    if let Some(pods) = view.pod_networks.first() {
        let comment = "comment \"short-circuit pod traffic\"";
        ruleset.rule(external.clone(), format!("{ip} saddr {pods} goto {cluster} {comment}"));
    }
    let own = "fib saddr type local";
    for (verdict, comment) in [
        ("jump mark-for-masquerade".to_owned(), "masquerade local traffic"),
        (format!("goto {cluster}"), "short-circuit local traffic"),
    ] {
        ruleset.rule(external.clone(), format!("{own} {verdict} comment \"{comment}\""));
    }
    if port.has_external() {
        ruleset.rule(external.clone(), format!("goto {local}"));
    }
}

fn draw(
    ruleset: &mut Ruleset,
    view: &View<'_>,
    port: &PortView<'_>,
    chain: &str,
    endpoints: &[SocketAddr],
) {
    let ip = view.family.keyword();
    let names: Vec<_> = endpoints.iter().map(|e| port.name.nftables_endpoint(*e)).collect();
    if port.affinity.is_some() {
        for name in &names {
            let rule = format!("{ip} saddr @{AFFINITY}{name} goto {ENDPOINT}{name}");
            ruleset.rule(chain.to_owned(), rule);
        }
    }
    let choices: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(at, name)| format!("{at} : goto {ENDPOINT}{name}"))
        .collect();
    let rule = format!("numgen random mod {} vmap {{ {} }}", names.len(), choices.join(" , "));
    ruleset.rule(chain.to_owned(), rule);
}

fn translate(ruleset: &mut Ruleset, view: &View<'_>, port: &PortView<'_>, endpoint: SocketAddr) {
    let ip = view.family.keyword();
    let name = port.name.nftables_endpoint(endpoint);
    let chain = format!("{ENDPOINT}{name}");
    // A pod that is sent back to itself would take its own answer for a stranger's.
    let hairpin = format!("{ip} saddr {} jump mark-for-masquerade", endpoint.ip());
    ruleset.rule(chain.clone(), hairpin);
    if let Some(timeout) = port.affinity {
        let set = format!("{AFFINITY}{name}");
        ruleset.rule(chain.clone(), format!("update @{set} {{ {ip} saddr }}"));
        let properties = format!(
            "type {} ; flags dynamic,timeout ; timeout {}s ;",
            view.family.address_type(),
            timeout.as_secs()
        );
        let set_of = Set { kind: Kind::Affinity, properties, elements: Default::default() };
        ruleset.sets.insert(set.into(), set_of);
    }
    let protocol = port.name.protocol();
    ruleset.rule(chain, format!("meta l4proto {protocol} dnat to {endpoint}"));
}
