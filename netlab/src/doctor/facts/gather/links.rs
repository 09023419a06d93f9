//! Links and their counters: from netlink's messages to facts.

use netlink_packet_route::link::{
    BridgePortState, BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData,
    InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, Stats64,
};

use super::super::{
    counters::LinkCounters,
    link::{Bridge, BridgePort, Link, LinkKind, Peer, Vxlan},
};
use crate::netlink::{Mac, ethtool, xdp_programs};

/// A link with what is needed to find its peer.
pub(super) struct Observed {
    pub link: Link,
    pub counters: LinkCounters,
    /// What its namespace calls the one that its peer is in; None: the same.
    pub peer_netns: Option<i32>,
}

/// A link of the calling thread's namespace.
pub(super) fn link(message: &LinkMessage) -> Observed {
    let header = &message.header;
    let mut link = Link {
        index: header.index,
        up: header.flags.contains(LinkFlags::Up),
        // Until the kernel says more: it says so of links that are up alone.
        carrier: header.flags.contains(LinkFlags::LowerUp),
        ..Link::default()
    };
    if header.link_layer_type == LinkLayerType::Loopback {
        link.kind = LinkKind::Loopback;
    }
    let (mut counters, mut peer_netns) = (LinkCounters::default(), None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => link.mac = Mac::from_bytes(bytes),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Carrier(on) => link.carrier = *on != 0,
            LinkAttribute::OperState(state) => link.operstate = state.to_string().to_lowercase(),
            LinkAttribute::Controller(index) => link.master = (*index != 0).then_some(*index),
            LinkAttribute::Link(index) if *index != 0 => {
                link.peer = Some(Peer { index: *index, host: None, link: None });
            }
            LinkAttribute::LinkNetNsId(number) => peer_netns = Some(*number),
            LinkAttribute::Qdisc(name) => link.qdisc.clone_from(name),
            LinkAttribute::TxQueueLen(length) => link.queue_length = Some(*length),
            LinkAttribute::LinkInfo(parts) => info(&mut link, parts),
            LinkAttribute::Xdp(parts) => link.xdp = xdp_programs(parts),
            LinkAttribute::Stats64(stats) => counters = count(stats),
            _ => {}
        }
    }
    link.offloads = ethtool::switches(&link.name);
    Observed { link, counters, peer_netns }
}

fn info(link: &mut Link, parts: &[LinkInfo]) {
    for part in parts {
        match part {
            LinkInfo::Kind(InfoKind::Veth) => link.kind = LinkKind::Veth,
            LinkInfo::Kind(InfoKind::Bridge) => link.kind = LinkKind::Bridge(Bridge::default()),
            LinkInfo::Kind(InfoKind::Vxlan) => link.kind = LinkKind::Vxlan(Vxlan::default()),
            LinkInfo::Kind(other) => link.kind = LinkKind::Other(other.to_string()),
            LinkInfo::PortData(InfoPortData::BridgePort(parameters)) => {
                link.port = Some(port(parameters));
            }
            _ => {}
        }
    }
    for part in parts {
        match (part, &mut link.kind) {
            (LinkInfo::Data(InfoData::Vxlan(parameters)), LinkKind::Vxlan(vxlan)) => {
                *vxlan = vxlan_of(parameters);
            }
            (LinkInfo::Data(InfoData::Bridge(parameters)), LinkKind::Bridge(bridge)) => {
                *bridge = bridge_of(parameters);
            }
            _ => {}
        }
    }
}

fn port(parameters: &[InfoBridgePort]) -> BridgePort {
    let mut port = BridgePort::default();
    for parameter in parameters {
        match parameter {
            InfoBridgePort::State(state) => {
                port.state = match state {
                    BridgePortState::Disabled => "disabled".into(),
                    BridgePortState::Listening => "listening".into(),
                    BridgePortState::Learning => "learning".into(),
                    BridgePortState::Forwarding => "forwarding".into(),
                    BridgePortState::Blocking => "blocking".into(),
                    other => format!("{other:?}"),
                };
            }
            InfoBridgePort::HairpinMode(on) => port.hairpin = *on,
            InfoBridgePort::Isolated(on) => port.isolated = *on,
            InfoBridgePort::Learning(on) => port.learning = *on,
            InfoBridgePort::UnicastFlood(on) => port.flood = *on,
            _ => {}
        }
    }
    port
}

fn bridge_of(parameters: &[InfoBridge]) -> Bridge {
    let mut bridge = Bridge::default();
    for parameter in parameters {
        match parameter {
            InfoBridge::StpState(state) => bridge.stp = *state != BridgeStpState::Disabled,
            InfoBridge::VlanFiltering(on) => bridge.vlan_filtering = *on,
            InfoBridge::NfCallIpTables(on) => bridge.nf_call_iptables = *on,
            InfoBridge::NfCallIp6Tables(on) => bridge.nf_call_ip6tables = *on,
            _ => {}
        }
    }
    bridge
}

fn vxlan_of(parameters: &[InfoVxlan]) -> Vxlan {
    let mut vxlan = Vxlan::default();
    for parameter in parameters {
        match parameter {
            InfoVxlan::Id(vni) => vxlan.vni = *vni,
            InfoVxlan::Port(port) => vxlan.port = *port,
            InfoVxlan::Local(address) => vxlan.local = Some((*address).into()),
            InfoVxlan::Local6(address) => vxlan.local = Some((*address).into()),
            InfoVxlan::Group(address) => vxlan.group = Some((*address).into()),
            InfoVxlan::Group6(address) => vxlan.group = Some((*address).into()),
            InfoVxlan::Link(index) => vxlan.device = (*index != 0).then_some(*index),
            InfoVxlan::Learning(on) => vxlan.learning = *on,
            InfoVxlan::Ttl(ttl) => vxlan.ttl = *ttl,
            InfoVxlan::UDPCsum(on) => vxlan.udp_checksum = *on,
            InfoVxlan::UDPZeroCsumTX(on) => vxlan.udp6_zero_checksum_tx = *on,
            InfoVxlan::UDPZeroCsumRX(on) => vxlan.udp6_zero_checksum_rx = *on,
            InfoVxlan::PortRange(range) => vxlan.source_ports = *range,
            InfoVxlan::CollectMetadata(on) => vxlan.external = *on,
            _ => {}
        }
    }
    vxlan
}

fn count(stats: &Stats64) -> LinkCounters {
    LinkCounters {
        rx_packets: stats.rx_packets,
        rx_bytes: stats.rx_bytes,
        rx_errors: stats.rx_errors,
        rx_dropped: stats.rx_dropped,
        rx_nohandler: stats.rx_nohandler,
        tx_packets: stats.tx_packets,
        tx_bytes: stats.tx_bytes,
        tx_errors: stats.tx_errors,
        tx_dropped: stats.tx_dropped,
        tx_carrier_errors: stats.tx_carrier_errors,
    }
}
