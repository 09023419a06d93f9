//! Whether a socket takes the packet.

use std::net::{IpAddr, SocketAddr};

use super::{
    Case,
    netfilter::{self, Hook, Nat, Passage, Place, View},
    outside::{anybody, is_on_wire},
    packet::{DEFAULT_TTL, Packet, TCP},
};
use crate::doctor::{
    facts::{Facts, HostFacts, Source},
    finding::{Code, Finding},
};

/// What is wrong where no socket takes it; None where one does, or nobody could look.
pub(super) fn missing(
    facts: &Facts,
    host: &HostFacts,
    packet: &Packet,
    case: &Case,
) -> Option<Finding> {
    if facts.is_blind(&host.name, Source::Sockets) {
        return None;
    }
    let sockets = sockets(host, packet.protocol);
    let to = packet.destination;
    if sockets.iter().any(|(address, v6_only)| takes(*address, *v6_only, to)) {
        return None;
    }
    let protocol = if packet.protocol == TCP { "TCP" } else { "UDP" };
    let pod = case.backend.as_ref().and_then(|backend| backend.pod.as_deref());
    let place = pod.map_or_else(|| format!("on {}", host.name), |pod| format!("in pod {pod}"));
    let own_port = sockets.iter().filter(|(address, _)| address.port() == to.port());
    let on_loopback: Vec<_> =
        own_port.clone().filter(|(address, _)| address.ip().to_canonical().is_loopback()).collect();
    if let Some((address, _)) = on_loopback.first() {
        let cause =
            format!("the program {place} listens on {address} alone, where nobody else reaches it");
        let finding = Finding::broken(Code::ListensOnLoopback, Some(&host.name), cause)
            .shown(Source::Sockets, format!("{protocol} LISTEN {address}"));
        let words = format!(
            "Let the program listen on 0.0.0.0:{} (or [::]:{0}), not on {}.",
            to.port(),
            address.ip()
        );
        return Some(finding.advised(words));
    }
    let cause = format!("nothing {place} listens on {protocol} {to}");
    let mut finding = Finding::broken(Code::NothingListens, Some(&host.name), cause);
    if sockets.is_empty() {
        finding = finding.shown(Source::Sockets, format!("there is no {protocol} socket at all"));
    }
    for (address, _) in sockets.iter().take(4) {
        finding = finding.shown(Source::Sockets, format!("{protocol} LISTEN {address}"));
    }
    let others: Vec<String> =
        sockets.iter().map(|(address, _)| address.port().to_string()).collect();
    let words = match others.first() {
        Some(port) if pod.is_some() => format!(
            "Set the Service's targetPort to {port}, or let the program listen on {}.",
            to.port()
        ),
        _ => format!("Start the program that should listen on {}.", to.port()),
    };
    Some(finding.advised(words))
}

/// A rule that sends what was dialled to a program of the node itself.
pub(super) fn held(host: &HostFacts, packet: &Packet, place: &Place) -> Finding {
    let to = packet.destination;
    let (protocol, socket) = if packet.protocol == TCP {
        let mut own = host.listeners.iter().filter(|of| takes(of.address, of.v6_only, to));
        ("TCP", own.next().map(|of| (of.address, of.owner.as_ref())))
    } else {
        let open = host.udp.iter().filter(|of| of.peer.is_none());
        let mut own = open.filter(|of| takes(of.address, of.v6_only, to));
        ("UDP", own.next().map(|of| (of.address, of.owner.as_ref())))
    };
    let program = socket.and_then(|(_, owner)| owner).map_or_else(
        || "the node itself".to_owned(),
        |owner| format!("{} (process {})", owner.command, owner.pid),
    );
    let cause = format!(
        "a rule on {} gives {} port {} to {program} instead of the Service: {}",
        host.name,
        protocol,
        to.port(),
        place.chain
    );
    let finding = place.blamed(Finding::broken(Code::PortHeld, Some(&host.name), cause));
    match socket {
        Some((address, _)) => {
            finding.shown(Source::Sockets, format!("{protocol} LISTEN {address}: {program}"))
        }
        None => finding,
    }
}

/// The same of a node port that somebody outside dials at one of the host's addresses on the wire;
/// None where no rule gives it to the host itself. A rule for what comes from pods alone is not
/// met.
pub(in crate::doctor) fn redirected(
    host: &HostFacts,
    node_port: u16,
    protocol: u8,
) -> Option<Finding> {
    host.global().filter(|own| is_on_wire(host, own)).find_map(|own| {
        let dialled = SocketAddr::new(own.net.addr(), node_port);
        let source = SocketAddr::new(anybody(dialled.ip()), super::CLIENT_PORT);
        let packet = Packet::new(source, dialled, protocol, DEFAULT_TTL);
        let input = host.link_at(own.device).map(|link| link.name.as_str());
        let view =
            View { host, packet, input, output: None, state: "new", translated: false, wish: None };
        let Passage { mut packet, nat, redirect, .. } = netfilter::pass(Hook::Prerouting, view);
        if let Some(Nat::Redirect(Some(port))) = nat {
            packet.destination.set_port(port);
        }
        Some(held(host, &packet, &redirect?))
    })
}

/// Bound addresses, and whether a socket takes IPv6 alone.
fn sockets(host: &HostFacts, protocol: u8) -> Vec<(SocketAddr, bool)> {
    if protocol == TCP {
        return host.listeners.iter().map(|socket| (socket.address, socket.v6_only)).collect();
    }
    let open = host.udp.iter().filter(|socket| socket.peer.is_none());
    open.map(|socket| (socket.address, socket.v6_only)).collect()
}

fn takes(own: SocketAddr, v6_only: bool, to: SocketAddr) -> bool {
    if own.port() != to.port() {
        return false;
    }
    match (own.ip(), to.ip()) {
        (IpAddr::V6(own), IpAddr::V4(_)) if own.is_unspecified() => !v6_only,
        (own, to) if own.is_unspecified() => own.is_ipv4() == to.is_ipv4(),
        (own, to) => own.to_canonical() == to,
    }
}
