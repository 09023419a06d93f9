//! What stands in the tables whatever the Services are.

use super::{Ruleset, Table, View};
use crate::proxy::{MASQUERADE_MARK, view::Family};

/// A rule in one of the kernel's own chains, which leads to one of kube-proxy's.
pub(super) struct Jump {
    pub table: Table,
    pub from: &'static str,
    pub to: &'static str,
    /// Without `-A CHAIN` and the target.
    pub rule: &'static str,
}

const fn jump(table: Table, to: &'static str, from: &'static str, rule: &'static str) -> Jump {
    Jump { table, from, to, rule }
}

const PORTALS: &str =
    "-m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\"";
const EXTERNAL_PORTALS: &str = "-m conntrack --ctstate NEW -m comment --comment \
                                \"kubernetes externally-visible service portals\"";
const FIREWALL: &str =
    "-m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\"";
const NAT_PORTALS: &str = "-m comment --comment \"kubernetes service portals\"";

/// Each is put before all that is in its chain, so that the last one here comes first there.
pub(super) const JUMPS: [Jump; 14] = [
    jump(Table::Filter, "KUBE-EXTERNAL-SERVICES", "INPUT", EXTERNAL_PORTALS),
    jump(Table::Filter, "KUBE-EXTERNAL-SERVICES", "FORWARD", EXTERNAL_PORTALS),
    jump(
        Table::Filter,
        "KUBE-NODEPORTS",
        "INPUT",
        "-m comment --comment \"kubernetes health check service ports\"",
    ),
    jump(Table::Filter, "KUBE-SERVICES", "FORWARD", PORTALS),
    jump(Table::Filter, "KUBE-SERVICES", "OUTPUT", PORTALS),
    jump(
        Table::Filter,
        "KUBE-FORWARD",
        "FORWARD",
        "-m comment --comment \"kubernetes forwarding rules\"",
    ),
    jump(Table::Filter, "KUBE-PROXY-FIREWALL", "INPUT", FIREWALL),
    jump(Table::Filter, "KUBE-PROXY-FIREWALL", "OUTPUT", FIREWALL),
    jump(Table::Filter, "KUBE-PROXY-FIREWALL", "FORWARD", FIREWALL),
    jump(Table::Nat, "KUBE-SERVICES", "OUTPUT", NAT_PORTALS),
    jump(Table::Nat, "KUBE-SERVICES", "PREROUTING", NAT_PORTALS),
    jump(
        Table::Nat,
        "KUBE-POSTROUTING",
        "POSTROUTING",
        "-m comment --comment \"kubernetes postrouting rules\"",
    ),
    jump(Table::Filter, "KUBE-FIREWALL", "INPUT", ""),
    jump(Table::Filter, "KUBE-FIREWALL", "OUTPUT", ""),
];

/// Chains that are there even where they are empty. The canary is how kube-proxy notices that
/// somebody has flushed the tables.
const CHAINS: [(Table, &str); 13] = [
    (Table::Mangle, "KUBE-PROXY-CANARY"),
    (Table::Filter, "KUBE-PROXY-CANARY"),
    (Table::Filter, "KUBE-SERVICES"),
    (Table::Filter, "KUBE-EXTERNAL-SERVICES"),
    (Table::Filter, "KUBE-FORWARD"),
    (Table::Filter, "KUBE-NODEPORTS"),
    (Table::Filter, "KUBE-PROXY-FIREWALL"),
    (Table::Filter, "KUBE-FIREWALL"),
    (Table::Nat, "KUBE-PROXY-CANARY"),
    (Table::Nat, "KUBE-SERVICES"),
    (Table::Nat, "KUBE-NODEPORTS"),
    (Table::Nat, "KUBE-POSTROUTING"),
    (Table::Nat, "KUBE-MARK-MASQ"),
];

pub(super) fn render(ruleset: &mut Ruleset, view: &View<'_>) {
    for (table, chain) in CHAINS {
        ruleset.chain(table, chain);
    }
    let mark = MASQUERADE_MARK;
    ruleset.nat("KUBE-POSTROUTING", format!("-m mark ! --mark {mark}/{mark} -j RETURN"));
    // The mark goes, so that a packet that comes round again is not masqueraded again.
    ruleset.nat("KUBE-POSTROUTING", format!("-j MARK --xor-mark {mark}"));
    let comment = "-m comment --comment \"kubernetes service traffic requiring SNAT\"";
    ruleset.nat("KUBE-POSTROUTING", format!("{comment} -j MASQUERADE --random-fully"));
    ruleset.nat("KUBE-MARK-MASQ", format!("-j MARK --or-mark {mark}"));
    if view.family == Family::V4 {
        // route_localnet, which node ports on 127.0.0.1 need, would let the neighbours in.
        let rule = "-m comment --comment \"block incoming localnet connections\" \
                    -d 127.0.0.0/8 ! -s 127.0.0.0/8 \
                    -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP";
        ruleset.filter("KUBE-FIREWALL", rule.to_owned());
    }
    ruleset.filter("KUBE-FORWARD", "-m conntrack --ctstate INVALID -j DROP".to_owned());
    let comment = "-m comment --comment \"kubernetes forwarding rules\"";
    let rule = format!("{comment} -m mark --mark {mark}/{mark} -j ACCEPT");
    ruleset.filter("KUBE-FORWARD", rule);
    let comment = "-m comment --comment \"kubernetes forwarding conntrack rule\"";
    let rule = format!("{comment} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
    ruleset.filter("KUBE-FORWARD", rule);
}

/// After all Services: what is left may be for a node port.
pub(super) fn node_ports(ruleset: &mut Ruleset, view: &View<'_>) {
    let localhost = match view.family {
        Family::V4 => "",
        Family::V6 => " ! -d ::1/128",
    };
    let comment = "-m comment --comment \"kubernetes service nodeports; \
                   NOTE: this must be the last rule in this chain\"";
    let rule = format!("{comment} -m addrtype --dst-type LOCAL{localhost} -j KUBE-NODEPORTS");
    ruleset.nat("KUBE-SERVICES", rule);
}
