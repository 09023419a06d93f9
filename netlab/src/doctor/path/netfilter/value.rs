//! Expressions of nftables for one packet (libnftables-json(5)).

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::View;
use crate::doctor::facts::route::RouteKind;
use crate::doctor::{
    facts::nft::Table,
    path::{
        fib::{self, Lookup, Query},
        packet::{TCP, UDP},
    },
};

/// What an expression is of this packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Datum {
    Number(u64),
    Address(IpAddr),
    Word(String),
    /// Of a concatenation.
    All(Vec<Datum>),
}

/// The value of an expression; None where it cannot be known.
pub(super) fn value(expression: &Value, view: &View<'_>) -> Option<Datum> {
    if let Some(number) = expression.as_u64() {
        return Some(Datum::Number(number));
    }
    if let Some(text) = expression.as_str() {
        return Some(word(text));
    }
    let (name, of) = expression.as_object()?.iter().next()?;
    match name.as_str() {
        "payload" => payload(of, view),
        "meta" => meta(of.get("key")?.as_str()?, view),
        "ct" => conntrack(of.get("key")?.as_str()?, view),
        "fib" => fib_type(of, view),
        "concat" => {
            let parts = of.as_array()?.iter().map(|part| value(part, view));
            Some(Datum::All(parts.collect::<Option<_>>()?))
        }
        "&" | "|" | "^" => {
            let (left, right) = (number(of.get(0)?, view)?, number(of.get(1)?, view)?);
            Some(Datum::Number(match name.as_str() {
                "&" => left & right,
                "|" => left | right,
                _ => left ^ right,
            }))
        }
        _ => None,
    }
}

/// The value of an expression that is a number.
pub(super) fn number(expression: &Value, view: &View<'_>) -> Option<u64> {
    match value(expression, view)? {
        Datum::Number(number) => Some(number),
        _ => None,
    }
}

fn word(text: &str) -> Datum {
    match text {
        "tcp" => Datum::Number(TCP.into()),
        "udp" => Datum::Number(UDP.into()),
        "icmp" => Datum::Number(1),
        "ipv6-icmp" | "icmpv6" => Datum::Number(58),
        _ => text.parse().map_or_else(|_| Datum::Word(text.into()), Datum::Address),
    }
}

fn payload(of: &Value, view: &View<'_>) -> Option<Datum> {
    let packet = &view.packet;
    let (protocol, field) = (of.get("protocol")?.as_str()?, of.get("field")?.as_str()?);
    let has_ports = packet.protocol == TCP || packet.protocol == UDP;
    // A packet of another protocol does not have the field, so the rule is not met.
    let other = Some(Datum::Word("of another protocol".into()));
    let port = |port: u16| Some(Datum::Number(port.into()));
    match (protocol, field) {
        ("ip", _) if !packet.is_v4() => other,
        ("ip6", _) if packet.is_v4() => other,
        ("tcp", _) if packet.protocol != TCP => other,
        ("udp", _) if packet.protocol != UDP => other,
        ("th", _) if !has_ports => other,
        ("icmp", _) if packet.protocol != 1 => other,
        ("icmpv6", _) if packet.protocol != 58 => other,
        ("ip" | "ip6", "saddr") => Some(Datum::Address(packet.source.ip())),
        ("ip" | "ip6", "daddr") => Some(Datum::Address(packet.destination.ip())),
        ("ip", "protocol") | ("ip6", "nexthdr") => Some(Datum::Number(packet.protocol.into())),
        ("ip", "ttl") | ("ip6", "hoplimit") => Some(Datum::Number(packet.ttl.into())),
        ("tcp" | "udp" | "th", "sport") => port(packet.source.port()),
        ("tcp" | "udp" | "th", "dport") => port(packet.destination.port()),
        ("icmp" | "icmpv6", "type") => Some(icmp_type(protocol, packet.icmp?.0)),
        ("icmp", "code") => Some(match packet.icmp? {
            (3, 4) => Datum::Word("frag-needed".into()),
            (_, code) => Datum::Number(code.into()),
        }),
        _ => None,
    }
}

fn icmp_type(protocol: &str, number: u8) -> Datum {
    match (protocol, number) {
        ("icmp", 3) => Datum::Word("destination-unreachable".into()),
        ("icmpv6", 2) => Datum::Word("packet-too-big".into()),
        _ => Datum::Number(number.into()),
    }
}

fn meta(key: &str, view: &View<'_>) -> Option<Datum> {
    let name = |link: Option<&str>| Some(Datum::Word(link.unwrap_or_default().into()));
    match key {
        "mark" => Some(Datum::Number(view.packet.mark.into())),
        "l4proto" => Some(Datum::Number(view.packet.protocol.into())),
        "iif" | "iifname" => name(view.input),
        "oif" | "oifname" => name(view.output),
        "nfproto" => Some(Datum::Word(if view.packet.is_v4() { "ipv4" } else { "ipv6" }.into())),
        "protocol" => Some(Datum::Word(if view.packet.is_v4() { "ip" } else { "ip6" }.into())),
        "pkttype" => Some(Datum::Word("host".into())),
        _ => None,
    }
}

fn conntrack(key: &str, view: &View<'_>) -> Option<Datum> {
    match key {
        "state" => Some(Datum::Word(view.state.into())),
        "direction" => {
            Some(Datum::Word(if view.packet.answers { "reply" } else { "original" }.into()))
        }
        // Others of its bits are not asked.
        "status" => Some(Datum::Word(if view.translated { "dnat" } else { "" }.into())),
        _ => None,
    }
}

fn fib_type(of: &Value, view: &View<'_>) -> Option<Datum> {
    if of.get("result")?.as_str()? != "type" {
        return None;
    }
    let flags = of.get("flags")?;
    let flags: Vec<&str> = match flags {
        Value::String(flag) => vec![flag],
        Value::Array(flags) => flags.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let packet = &view.packet;
    let mut query = Query::of(packet, None);
    if flags.contains(&"saddr") {
        (query.destination, query.source) = (packet.source, packet.destination);
    }
    Some(Datum::Word(address_type(view, &query).into()))
}

/// RTN_* of an address, in lower case.
pub(super) fn address_type(view: &View<'_>, query: &Query<'_>) -> &'static str {
    match fib::lookup(view.host, query) {
        Lookup::Found { route, .. } => match route.kind {
            RouteKind::Local => "local",
            RouteKind::Broadcast => "broadcast",
            RouteKind::Multicast => "multicast",
            RouteKind::Blackhole => "blackhole",
            RouteKind::Unreachable => "unreachable",
            RouteKind::Prohibit => "prohibit",
            _ => "unicast",
        },
        _ => "unreachable",
    }
}

/// Whether a value is what the right side of a match names; None where that cannot be known.
pub(super) fn is_in(datum: &Datum, right: &Value, table: &Table, view: &View<'_>) -> Option<bool> {
    if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@')) {
        let set = table.set(name)?;
        let found = any(datum, &set.elements, table, view)?;
        // What was left out may have it.
        return if found || set.left_out == 0 { Some(found) } else { None };
    }
    match right {
        Value::Array(words) => any(datum, words, table, view),
        Value::Object(members) => {
            let (name, of) = members.iter().next()?;
            match name.as_str() {
                "set" => match of {
                    Value::Array(elements) => any(datum, elements, table, view),
                    one => is_in(datum, one, table, view),
                },
                "prefix" => {
                    let address: IpAddr = of.get("addr")?.as_str()?.parse().ok()?;
                    let length = u8::try_from(of.get("len")?.as_u64()?).ok()?;
                    let net = IpNet::new(address, length).ok()?;
                    Some(matches!(datum, Datum::Address(own) if net.contains(own)))
                }
                "range" => range(datum, of.get(0)?, of.get(1)?),
                "elem" => is_in(datum, of.get("val")?, table, view),
                "concat" => {
                    let (Datum::All(own), parts) = (datum, of.as_array()?) else {
                        return Some(false);
                    };
                    let met =
                        own.iter().zip(parts).map(|(own, part)| is_in(own, part, table, view));
                    Some(met.collect::<Option<Vec<_>>>()?.iter().all(|met| *met))
                }
                _ => Some(value(right, view)? == *datum),
            }
        }
        _ => Some(is_same(datum, &value(right, view)?)),
    }
}

/// Names of links may end in a star.
fn is_same(own: &Datum, named: &Datum) -> bool {
    match (own, named) {
        (Datum::Word(own), Datum::Word(named)) => match named.strip_suffix('*') {
            Some(begin) => own.starts_with(begin),
            None => own == named,
        },
        _ => own == named,
    }
}

fn any(datum: &Datum, of: &[Value], table: &Table, view: &View<'_>) -> Option<bool> {
    let met: Vec<_> = of.iter().map(|one| is_in(datum, one, table, view)).collect();
    if met.contains(&Some(true)) {
        return Some(true);
    }
    met.into_iter().collect::<Option<Vec<_>>>().map(|_| false)
}

fn range(datum: &Datum, low: &Value, high: &Value) -> Option<bool> {
    match datum {
        Datum::Number(own) => Some((low.as_u64()?..=high.as_u64()?).contains(own)),
        Datum::Address(own) => {
            let end = |text: &Value| text.as_str()?.parse::<IpAddr>().ok();
            let (low, high) = (end(low)?, end(high)?);
            Some((low..=high).contains(own))
        }
        _ => Some(false),
    }
}
