//! Links, addresses, rules, routes, neighbors and FDB entries: from netlink's messages to facts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressFlags, AddressMessage},
    neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop,
        RouteNextHopFlags, RouteType, RouteVia,
    },
    rule::{self, RuleAttribute, RuleFlags, RuleMessage},
};
use rtnetlink::packet_core::Nla;

use super::super::route::{
    Address, FdbEntry, Neighbor, NeighborState, NextHop, Route, RouteKind, Rule, RuleAction,
};
use crate::netlink::{destination, link_layer_address};

/// RTAX_MTU of linux/rtnetlink.h: its bit in RTAX_LOCK.
const LOCKED_MTU: u32 = 1 << 2;

/// FRA_* of linux/fib_rules.h, which the parser has no names for.
const FRA_PAD: u16 = 18;
const FRA_SPORT_MASK: u16 = 28;
const FRA_DPORT_MASK: u16 = 29;

pub(super) fn address(message: &AddressMessage) -> Option<Address> {
    let header = &message.header;
    let (mut local, mut peer) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    Some(Address {
        device: header.index,
        net: IpNet::new(local.or(peer)?, header.prefix_len).ok()?,
        scope: scope(header.scope),
        tentative: flags.contains(AddressFlags::Tentative),
        duplicate: flags.contains(AddressFlags::Dadfailed),
    })
}

pub(super) fn rule(message: &RuleMessage) -> Rule {
    let header = &message.header;
    let mut rule = Rule {
        v4: header.family == AddressFamily::Inet,
        inverted: header.flags.contains(RuleFlags::Invert),
        tos: header.tos,
        ..Rule::default()
    };
    let net = |address: IpAddr, length| IpNet::new(address, length).ok();
    let (mut table, mut goto) = (u32::from(header.table), 0);
    let (mut mark, mut mask) = (None, u32::MAX);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Source(address) => rule.from = net(*address, header.src_len),
            RuleAttribute::Destination(address) => rule.to = net(*address, header.dst_len),
            RuleAttribute::Iifname(name) => rule.input = Some(name.clone()),
            RuleAttribute::Oifname(name) => rule.output = Some(name.clone()),
            RuleAttribute::FwMark(value) => mark = Some(*value),
            RuleAttribute::FwMask(value) => mask = *value,
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Goto(priority) => goto = *priority,
            RuleAttribute::SuppressPrefixLen(length) if *length != u32::MAX => {
                rule.suppress_prefix_length = Some(*length);
            }
            RuleAttribute::IpProtocol(protocol) => {
                rule.protocol = u8::try_from(i32::from(*protocol)).ok();
            }
            RuleAttribute::SourcePortRange(ports) => {
                rule.source_ports = Some((ports.start, ports.end));
            }
            RuleAttribute::DestinationPortRange(ports) => {
                rule.destination_ports = Some((ports.start, ports.end));
            }
            other => rule.asks_more |= asks(other),
        }
    }
    // Where only a mask is told, the mark is zero.
    rule.mark = mark.map(|mark| (mark, mask)).or((mask != u32::MAX).then_some((0, mask)));
    rule.action = match header.action {
        rule::RuleAction::ToTable => RuleAction::Table(table),
        rule::RuleAction::Goto => RuleAction::Goto(goto),
        rule::RuleAction::Nop => RuleAction::Nop,
        rule::RuleAction::Blackhole => RuleAction::Blackhole,
        rule::RuleAction::Unreachable => RuleAction::Unreachable,
        rule::RuleAction::Prohibit => RuleAction::Prohibit,
        other => RuleAction::Other(other.into()),
    };
    rule
}

/// Whether an attribute of a rule that is not written down is a condition.
fn asks(attribute: &RuleAttribute) -> bool {
    match attribute {
        RuleAttribute::TunId(_) | RuleAttribute::L3MDev(_) | RuleAttribute::UidRange(_) => true,
        RuleAttribute::SuppressIfGroup(group) => *group != u32::MAX,
        RuleAttribute::Other(other) => match other.kind() {
            FRA_PAD => false,
            // The range is a single port, and all its bits count.
            FRA_SPORT_MASK | FRA_DPORT_MASK => {
                let mut mask = vec![0; other.value_len()];
                other.emit_value(&mut mask);
                mask.iter().any(|octet| *octet != u8::MAX)
            }
            _ => true,
        },
        _ => false,
    }
}

pub(super) fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let unspecified: IpAddr = match header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let mut destination = unspecified;
    let (mut gateway, mut device, mut hops) = (None, None, Vec::new());
    let mut route = Route {
        table: header.table.into(),
        destination: IpNet::new(unspecified, 0).ok()?,
        kind: kind(header.kind),
        protocol: header.protocol.to_string(),
        scope: scope(header.scope),
        metric: 0,
        tos: header.tos,
        source: None,
        mtu: None,
        mtu_locked: false,
        hops: Vec::new(),
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Destination(address) => destination = ip(address)?,
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::Via(address) => gateway = via(address),
            RouteAttribute::Oif(index) => device = Some(*index),
            RouteAttribute::PrefSource(address) => route.source = ip(address),
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::Metrics(metrics) => metrics.iter().for_each(|m| metric(&mut route, m)),
            RouteAttribute::MultiPath(paths) => {
                hops = paths.iter().map(next_hop).collect();
            }
            _ => {}
        }
    }
    route.destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
    if let (Some(device), true) = (device, hops.is_empty()) {
        hops.push(NextHop {
            gateway,
            device,
            onlink: header.flags.contains(RouteFlags::Onlink),
            dead: header.flags.contains(RouteFlags::Dead),
            link_down: header.flags.contains(RouteFlags::Linkdown),
            weight: 1,
        });
    }
    route.hops = hops;
    Some(route)
}

fn next_hop(hop: &RouteNextHop) -> NextHop {
    let gateway = hop.attributes.iter().find_map(|part| match part {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(address) => via(address),
        _ => None,
    });
    NextHop {
        gateway,
        device: hop.interface_index,
        onlink: hop.flags.contains(RouteNextHopFlags::Onlink),
        dead: hop.flags.contains(RouteNextHopFlags::Dead),
        link_down: hop.flags.contains(RouteNextHopFlags::Linkdown),
        weight: u32::from(hop.hops) + 1,
    }
}

fn metric(route: &mut Route, metric: &RouteMetric) {
    match metric {
        RouteMetric::Mtu(mtu) => route.mtu = Some(*mtu),
        RouteMetric::Lock(bits) => route.mtu_locked = bits & LOCKED_MTU != 0,
        _ => {}
    }
}

/// In the words of `ip`, which calls RT_SCOPE_UNIVERSE `global`.
fn scope(scope: impl ToString) -> String {
    match scope.to_string().to_lowercase().as_str() {
        "universe" => "global".to_owned(),
        other => other.to_owned(),
    }
}

const fn kind(kind: RouteType) -> RouteKind {
    match kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::Local => RouteKind::Local,
        RouteType::Broadcast => RouteKind::Broadcast,
        RouteType::Anycast => RouteKind::Anycast,
        RouteType::Multicast => RouteKind::Multicast,
        RouteType::BlackHole => RouteKind::Blackhole,
        RouteType::Unreachable => RouteKind::Unreachable,
        RouteType::Prohibit => RouteKind::Prohibit,
        RouteType::Throw => RouteKind::Throw,
        _ => RouteKind::Other,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

fn via(address: &RouteVia) -> Option<IpAddr> {
    match address {
        RouteVia::Inet(v4) => Some((*v4).into()),
        RouteVia::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

pub(super) fn neighbor(message: &NeighbourMessage) -> Option<Neighbor> {
    let state = match message.header.state {
        NeighbourState::Incomplete => NeighborState::Incomplete,
        NeighbourState::Reachable => NeighborState::Reachable,
        NeighbourState::Stale => NeighborState::Stale,
        NeighbourState::Delay => NeighborState::Delay,
        NeighbourState::Probe => NeighborState::Probe,
        NeighbourState::Failed => NeighborState::Failed,
        NeighbourState::Noarp => NeighborState::Noarp,
        NeighbourState::Permanent => NeighborState::Permanent,
        _ => NeighborState::None,
    };
    Some(Neighbor {
        device: message.header.ifindex,
        address: destination(message)?,
        mac: link_layer_address(message),
        state,
        proxy: message.header.flags.contains(NeighbourFlags::Proxy),
    })
}

/// Without the groups that links listen to, which are in the same tables.
pub(super) fn fdb(message: &NeighbourMessage) -> Option<FdbEntry> {
    let (mac, destination) = (link_layer_address(message)?, destination(message));
    let is_group = mac.0[0] & 1 != 0;
    if is_group && destination.is_none() {
        return None;
    }
    let mut entry = FdbEntry {
        device: message.header.ifindex,
        mac,
        destination,
        port: None,
        vni: None,
        master: None,
        permanent: message.header.state == NeighbourState::Permanent,
        vlan: None,
    };
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Controller(index) => entry.master = Some(*index),
            NeighbourAttribute::Port(port) => entry.port = Some(*port),
            NeighbourAttribute::Vni(vni) => entry.vni = Some(*vni),
            NeighbourAttribute::Vlan(vlan) => entry.vlan = Some(*vlan),
            _ => {}
        }
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::rule::RuleUidRange;
    use rtnetlink::packet_core::DefaultNla;

    use super::*;

    #[test]
    fn a_rule_that_asks_for_more_than_is_written_down_is_marked() {
        let asks_more = |attribute| {
            let mut message = RuleMessage::default();
            message.attributes.push(attribute);
            rule(&message).asks_more
        };
        let other =
            |kind, value: &[u8]| RuleAttribute::Other(DefaultNla::new(kind, value.to_vec()));
        assert!(asks_more(RuleAttribute::UidRange(RuleUidRange { start: 1000, end: 1000 })));
        assert!(asks_more(RuleAttribute::L3MDev(true)));
        assert!(asks_more(other(25, &[46])), "a DSCP");
        assert!(asks_more(other(FRA_DPORT_MASK, &[0xff, 0])));
        assert!(!asks_more(other(FRA_DPORT_MASK, &[0xff, 0xff])), "a single port");
        assert!(!asks_more(RuleAttribute::SuppressIfGroup(u32::MAX)));
        assert!(!asks_more(RuleAttribute::FwMark(1)));
    }
}
