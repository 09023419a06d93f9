//! What stands in the table whatever the Services are.

use super::{Chain, Kind, Ruleset, Set, View};
use crate::proxy::MASQUERADE_MARK;

/// Chains that the kernel calls. Filters run on what the client dialled where they stand before
/// DNAT, and the checks of what nobody answers after it.
const BASE_CHAINS: [(&str, &str); 8] = [
    ("filter-prerouting-pre-dnat", "type filter hook prerouting priority -110 ;"),
    ("filter-output-pre-dnat", "type filter hook output priority -110 ;"),
    ("filter-input", "type filter hook input priority 0 ;"),
    ("filter-forward", "type filter hook forward priority 0 ;"),
    ("filter-output", "type filter hook output priority 0 ;"),
    ("nat-prerouting", "type nat hook prerouting priority -100 ;"),
    ("nat-output", "type nat hook output priority -100 ;"),
    ("nat-postrouting", "type nat hook postrouting priority 100 ;"),
];

/// Who calls which of the chains below, in this order.
const JUMPS: [(&str, &str); 11] = [
    ("filter-input", "ct state new jump nodeport-endpoints-check"),
    ("filter-input", "ct state new jump service-endpoints-check"),
    ("filter-forward", "ct state new jump service-endpoints-check"),
    ("filter-forward", "ct state new jump cluster-ips-check"),
    ("filter-output", "ct state new jump service-endpoints-check"),
    ("filter-output", "ct state new jump cluster-ips-check"),
    ("filter-prerouting-pre-dnat", "ct state new jump firewall-check"),
    ("filter-output-pre-dnat", "ct state new jump firewall-check"),
    ("nat-prerouting", "jump services"),
    ("nat-output", "jump services"),
    ("nat-postrouting", "jump masquerading"),
];

/// Sets and maps: whether the key begins with an address and ends with protocol and port, the
/// kind, and the comment.
const SETS: [(&str, Key, Kind, &str); 7] = [
    ("cluster-ips", Key::Address, Kind::Set, "Active ClusterIPs"),
    ("nodeport-ips", Key::Address, Kind::Set, "IPs that accept NodePort traffic"),
    ("service-ips", Key::Socket, Kind::Map, "ClusterIP, ExternalIP and LoadBalancer IP traffic"),
    ("service-nodeports", Key::Port, Kind::Map, "NodePort traffic"),
    (
        "no-endpoint-services",
        Key::Socket,
        Kind::Map,
        "vmap to drop or reject packets to services with no endpoints",
    ),
    (
        "no-endpoint-nodeports",
        Key::Port,
        Kind::Map,
        "vmap to drop or reject packets to service nodeports with no endpoints",
    ),
    (
        "firewall-ips",
        Key::Socket,
        Kind::Map,
        "destinations that are subject to LoadBalancerSourceRanges",
    ),
];

#[derive(Clone, Copy)]
enum Key {
    Address,
    Socket,
    Port,
}

pub(super) fn render(ruleset: &mut Ruleset, view: &View<'_>) {
    for (name, properties) in BASE_CHAINS {
        ruleset.chains.insert(name.into(), Chain { properties, rules: Vec::new() });
    }
    let comment = "comment \"helper for @no-endpoint-services / @no-endpoint-nodeports\" ;";
    ruleset.chains.insert("reject-chain".into(), Chain { properties: comment, rules: Vec::new() });
    for (chain, rule) in JUMPS {
        ruleset.rule(chain, rule);
    }
    let address_type = view.family.address_type();
    for (name, key, kind, comment) in SETS {
        let key = match key {
            Key::Address => address_type.to_owned(),
            Key::Socket => format!("{address_type} . inet_proto . inet_service : verdict"),
            Key::Port => "inet_proto . inet_service : verdict".to_owned(),
        };
        let properties = format!("type {key} ; comment \"{comment}\" ;");
        let set = Set { kind, properties, elements: Default::default() };
        ruleset.sets.insert(name.into(), set);
    }
    for address in &view.node_addresses {
        ruleset.element("nodeport-ips", address.to_string(), String::new());
    }
    dispatch(ruleset, view.family.keyword());
    masquerading(ruleset);
}

fn dispatch(ruleset: &mut Ruleset, ip: &str) {
    let socket = format!("{ip} daddr . meta l4proto . th dport vmap");
    let node_port = format!("{ip} daddr @nodeport-ips meta l4proto . th dport vmap");
    ruleset.rule("services", format!("{socket} @service-ips"));
    ruleset.rule("services", format!("{node_port} @service-nodeports"));
    ruleset.rule("service-endpoints-check", format!("{socket} @no-endpoint-services"));
    ruleset.rule("nodeport-endpoints-check", format!("{node_port} @no-endpoint-nodeports"));
    ruleset.rule("firewall-check", format!("{socket} @firewall-ips"));
    let comment = "comment \"Reject traffic to invalid ports of ClusterIPs\"";
    ruleset.rule("cluster-ips-check", format!("{ip} daddr @cluster-ips reject {comment}"));
    ruleset.rule("reject-chain", "reject");
}

fn masquerading(ruleset: &mut Ruleset) {
    let mark = MASQUERADE_MARK;
    ruleset.rule("mark-for-masquerade", format!("mark set mark or {mark}"));
    ruleset.rule("masquerading", format!("mark and {mark} == 0 return"));
    // The mark goes, so that a packet that comes round again is not masqueraded again.
    ruleset.rule("masquerading", format!("mark set mark xor {mark}"));
    ruleset.rule("masquerading", "masquerade fully-random");
}
