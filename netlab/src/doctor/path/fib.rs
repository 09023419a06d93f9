//! Where a packet is routed: rules, then the longest prefix, then the lowest metric.
//!
//! Law: as fib_rules_lookup and fib_table_lookup of Linux do it. Of a multipath route the first
//! living hop is taken.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::packet::Packet;
use crate::doctor::facts::{
    HostFacts,
    route::{NextHop, Route, RouteKind, Rule, RuleAction, local_table, main_table},
};

/// RT_TABLE_DEFAULT of linux/rtnetlink.h.
const DEFAULT_TABLE: u32 = 253;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'q> {
    pub destination: SocketAddr,
    pub source: SocketAddr,
    /// Name of the link that it came in by; None: the host's own.
    pub input: Option<&'q str>,
    pub mark: u32,
    pub protocol: u8,
}

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lookup<'f> {
    /// A route, by that rule; None where the kernel's own three rules were not among the facts.
    Found { rule: Option<&'f Rule>, route: &'f Route, hop: Option<&'f NextHop> },
    /// A rule refuses.
    Refused(&'f Rule),
    /// No table has a route.
    Nowhere,
}

impl<'q> Query<'q> {
    pub(super) fn of(packet: &Packet, input: Option<&'q str>) -> Self {
        Self {
            destination: packet.destination,
            source: packet.source,
            input,
            mark: packet.mark,
            protocol: packet.protocol,
        }
    }

    /// The way back, as reverse-path filtering asks it.
    pub(super) fn back(packet: &Packet, input: &'q str, mark: u32) -> Self {
        Self {
            destination: packet.source,
            source: packet.destination,
            input: Some(input),
            mark,
            protocol: packet.protocol,
        }
    }
}

impl<'f> Lookup<'f> {
    /// Whether somebody's rule had its say, instead of the kernel's own three.
    pub(super) fn by_policy(&self) -> Option<&'f Rule> {
        let rule = match self {
            Self::Found { rule, .. } => (*rule)?,
            Self::Refused(rule) => rule,
            Self::Nowhere => return None,
        };
        (!is_own(rule)).then_some(rule)
    }
}

fn is_own(rule: &Rule) -> bool {
    let tables = [local_table(), main_table(), DEFAULT_TABLE];
    matches!(rule.action, RuleAction::Table(table) if tables.contains(&table))
        && rule.from.is_none()
        && rule.to.is_none()
        && rule.mark.is_none()
        && rule.input.is_none()
        && rule.output.is_none()
}

/// Asks the rules in their order.
pub(super) fn lookup<'f>(host: &'f HostFacts, query: &Query<'_>) -> Lookup<'f> {
    lookup_by(host, query, |_| true)
}

/// The same, as if only the kernel's own rules were there.
pub(super) fn lookup_plain<'f>(host: &'f HostFacts, query: &Query<'_>) -> Lookup<'f> {
    lookup_by(host, query, is_own)
}

fn lookup_by<'f>(
    host: &'f HostFacts,
    query: &Query<'_>,
    counts: impl Fn(&Rule) -> bool,
) -> Lookup<'f> {
    let v4 = query.destination.is_ipv4();
    let mut rules: Vec<&Rule> = host.rules.iter().filter(|rule| rule.v4 == v4).collect();
    rules.sort_by_key(|rule| rule.priority);
    if rules.is_empty() {
        let tables = [local_table(), main_table(), DEFAULT_TABLE];
        let found = tables.iter().find_map(|table| in_table(host, *table, query, None));
        return found.map_or(Lookup::Nowhere, |(route, hop)| Lookup::Found {
            rule: None,
            route,
            hop,
        });
    }
    let mut skip_to = 0;
    for rule in rules {
        if rule.priority < skip_to || !counts(rule) || !meets(rule, query) {
            continue;
        }
        match rule.action {
            RuleAction::Table(table) => {
                let shortest = rule.suppress_prefix_length;
                if let Some((route, hop)) = in_table(host, table, query, shortest) {
                    return Lookup::Found { rule: Some(rule), route, hop };
                }
            }
            RuleAction::Goto(priority) => skip_to = priority,
            RuleAction::Nop | RuleAction::Other(_) => {}
            RuleAction::Blackhole | RuleAction::Unreachable | RuleAction::Prohibit => {
                return Lookup::Refused(rule);
            }
        }
    }
    Lookup::Nowhere
}

fn meets(rule: &Rule, query: &Query<'_>) -> bool {
    // Of a packet that a user's socket sent, nobody could tell.
    if rule.asks_more {
        return false;
    }
    let holds = |net: &Option<IpNet>, address: IpAddr| net.is_none_or(|net| net.contains(&address));
    let in_range =
        |range: Option<(u16, u16)>, port: u16| range.is_none_or(|(a, b)| (a..=b).contains(&port));
    let met = holds(&rule.from, query.source.ip())
        && holds(&rule.to, query.destination.ip())
        && rule.input.as_deref().is_none_or(|input| input == query.input.unwrap_or("lo"))
        // Only sockets that are bound to a link are asked about it.
        && rule.output.is_none()
        && rule.mark.is_none_or(|(mark, mask)| query.mark & mask == mark & mask)
        && rule.protocol.is_none_or(|protocol| protocol == query.protocol)
        && in_range(rule.source_ports, query.source.port())
        && in_range(rule.destination_ports, query.destination.port())
        && rule.tos == 0;
    met != rule.inverted
}

fn in_table<'f>(
    host: &'f HostFacts,
    table: u32,
    query: &Query<'_>,
    shortest: Option<u32>,
) -> Option<(&'f Route, Option<&'f NextHop>)> {
    let target = query.destination.ip();
    let routes = host
        .routes
        .iter()
        .filter(|route| route.table == table && route.tos == 0)
        .filter(|route| route.destination.contains(&target))
        .filter_map(|route| living(host, route).map(|hop| (route, hop)));
    let (route, hop) = routes.min_by_key(|(route, _)| {
        (std::cmp::Reverse(route.destination.prefix_len()), route.metric)
    })?;
    let is_short = shortest.is_some_and(|most| u32::from(route.destination.prefix_len()) <= most);
    (route.kind != RouteKind::Throw && !is_short).then_some((route, hop))
}

/// The hop of a route that is alive; None where all are dead; of a route without hops, no hop.
fn living<'f>(host: &HostFacts, route: &'f Route) -> Option<Option<&'f NextHop>> {
    if route.hops.is_empty() {
        return Some(None);
    }
    let is_up = |hop: &&NextHop| {
        !hop.dead
            && host.link_at(hop.device).is_none_or(|link| link.up || route.kind == RouteKind::Local)
    };
    route.hops.iter().find(is_up).map(Some)
}

/// A route in the words of `ip route`.
pub(super) fn words(host: &HostFacts, route: &Route) -> String {
    let mut text = match route.kind {
        RouteKind::Unicast => String::new(),
        kind => format!("{} ", format!("{kind:?}").to_lowercase()),
    };
    text += &destination(route);
    let hops = route.hops.iter().map(|hop| hop_words(host, hop));
    let is_single = route.hops.len() < 2;
    if is_single {
        text.extend(hops.clone());
    }
    if route.table != main_table() {
        text += &format!(" table {}", route.table);
    }
    if route.metric != 0 {
        text += &format!(" metric {}", route.metric);
    }
    // Whatever follows a hop of several would be that hop's.
    if !is_single {
        let weights = route.hops.iter().map(|hop| hop.weight);
        text.extend(hops.zip(weights).map(|(hop, of)| format!(" nexthop{hop} weight {of}")));
    }
    text
}

fn hop_words(host: &HostFacts, hop: &NextHop) -> String {
    let mut text = hop.gateway.map_or_else(String::new, |gateway| format!(" via {gateway}"));
    text += &format!(" dev {}", host.link_name(hop.device));
    if hop.onlink {
        text += " onlink";
    }
    text
}

/// A route's destination, as `ip route` takes it.
pub(super) fn destination(route: &Route) -> String {
    match route.destination.prefix_len() {
        0 => "default".into(),
        _ => route.destination.to_string(),
    }
}

/// A rule in the words of `ip rule`.
pub(super) fn rule_words(rule: &Rule) -> String {
    format!("{}: {}", rule.priority, rule_selector(rule))
}

/// What a rule asks and does, as `ip rule add` and `ip rule del` take it.
pub(super) fn rule_selector(rule: &Rule) -> String {
    let mut text = if rule.inverted { "not from " } else { "from " }.to_owned();
    text += &rule.from.map_or_else(|| "all".into(), |net| net.to_string());
    let mut put = |word: &str, value: Option<String>| {
        if let Some(value) = value {
            text += &format!(" {word} {value}");
        }
    };
    let range = |(low, high): (u16, u16)| {
        if low == high { low.to_string() } else { format!("{low}-{high}") }
    };
    put("to", rule.to.map(|net| net.to_string()));
    put("fwmark", rule.mark.map(|(mark, mask)| format!("{mark:#x}/{mask:#x}")));
    put("iif", rule.input.clone());
    put("oif", rule.output.clone());
    put("ipproto", rule.protocol.map(|number| number.to_string()));
    put("sport", rule.source_ports.map(range));
    put("dport", rule.destination_ports.map(range));
    put("suppress_prefixlength", rule.suppress_prefix_length.map(|most| most.to_string()));
    text += &match rule.action {
        RuleAction::Table(table) => format!(" lookup {table}"),
        RuleAction::Goto(priority) => format!(" goto {priority}"),
        ref other => format!(" {}", format!("{other:?}").to_lowercase()),
    };
    text
}
