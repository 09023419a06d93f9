//! netlab's programs at a link: what they make of a packet, by their maps (docs/datapath.md).

use std::net::SocketAddr;

use super::{
    Stage, forwarding,
    packet::Packet,
    route::Way,
    walk::{Connection, End, Walker},
};
use crate::doctor::{
    facts::{
        HostFacts, Source,
        datapath::{Backend, Datapath},
        program::{Attach, Owner},
    },
    finding::{Code, Confidence, Finding, Severity},
};

/// What the programs have made of a packet.
pub(super) enum Programmed<'f> {
    /// Up the stack, translated or not.
    Up(Packet),
    /// Past the stack; this is where it ended.
    End(End<'f>),
}

/// Whether a program of netlab's stands at a link.
pub(super) fn has(host: &HostFacts, link: &str, attach: &[Attach]) -> bool {
    host.programs.iter().any(|program| {
        program.owner == Owner::Datapath
            && program.interface == link
            && attach.contains(&program.attach)
    })
}

const INGRESS: [Attach; 3] = [Attach::Xdp, Attach::TcxIngress, Attach::ClsactIngress];
pub(super) const EGRESS: [Attach; 2] = [Attach::TcxEgress, Attach::ClsactEgress];

pub(super) fn ingress<'f>(
    walker: &mut Walker<'f>,
    host: &'f HostFacts,
    device: u32,
    packet: Packet,
) -> Programmed<'f> {
    let link = host.link_name(device);
    let Some(maps) = host.datapath.as_ref().filter(|maps| maps.config.configured) else {
        return Programmed::Up(packet);
    };
    if !has(host, &link, &INGRESS) {
        return Programmed::Up(packet);
    }
    if packet.is_tunnel() {
        return if has(host, &link, &[Attach::Xdp]) {
            decapsulate(walker, host, device, maps, packet)
        } else {
            Programmed::Up(packet)
        };
    }
    if packet.answers {
        return match known(walker, host, &packet) {
            Some(original) => {
                let answer = translated_back(&packet, original);
                walker.hop(host, Some(&link), Stage::Program, &answer, "translated back");
                past_the_stack(walker, host, device, answer)
            }
            None => Programmed::Up(packet),
        };
    }
    open(walker, host, device, maps, packet)
}

/// The connection past the stack that an answer belongs to, as it came.
fn known(
    walker: &Walker<'_>,
    host: &HostFacts,
    packet: &Packet,
) -> Option<(SocketAddr, SocketAddr)> {
    let found = walker.connections.iter().find(|of| {
        of.programs
            && of.host == host.name
            && of.translated == (packet.destination, packet.source)
            // Those of local backends are translated as they leave.
            && of.translated.0 != of.original.0
    });
    found.map(|of| of.original)
}

fn translated_back(packet: &Packet, original: (SocketAddr, SocketAddr)) -> Packet {
    Packet { source: original.1, destination: original.0, ..packet.clone() }
}

/// XDP takes an answer out of its tunnel where it can send it on by the same link.
fn decapsulate<'f>(
    walker: &mut Walker<'f>,
    host: &'f HostFacts,
    device: u32,
    maps: &Datapath,
    packet: Packet,
) -> Programmed<'f> {
    let Some(inner) = &packet.inner else { return Programmed::Up(packet) };
    let is_ours =
        packet.destination.port() == maps.config.vxlan_port && inner.vni == maps.config.vni;
    let Some(original) = known(walker, host, &inner.packet).filter(|_| is_ours) else {
        return Programmed::Up(packet);
    };
    let answer = translated_back(&inner.packet, original);
    let query = super::fib::Query::of(&answer, None);
    let leaves_here = matches!(
        super::fib::lookup(host, &query),
        super::fib::Lookup::Found { hop: Some(hop), .. } if hop.device == device
    );
    if !leaves_here {
        return Programmed::Up(packet);
    }
    let link = host.link_name(device);
    let words = "XDP takes it out of the tunnel and translates it back";
    walker.hop(host, Some(&link), Stage::Program, &answer, words);
    past_the_stack(walker, host, device, answer)
}

/// The first packet of a connection.
fn open<'f>(
    walker: &mut Walker<'f>,
    host: &'f HostFacts,
    device: u32,
    maps: &Datapath,
    mut packet: Packet,
) -> Programmed<'f> {
    let link = host.link_name(device);
    let dialled = packet.destination;
    let found = maps.frontends.iter().find(|frontend| {
        let of = frontend.address;
        let is_here = of.ip() == dialled.ip()
            || (of.ip().is_unspecified()
                && of.is_ipv4() == dialled.is_ipv4()
                && maps.node_addresses.contains(&dialled.ip()));
        is_here && of.port() == dialled.port() && frontend.protocol == packet.protocol
    });
    let Some(frontend) = found else { return Programmed::Up(packet) };
    walker.hop(host, Some(&link), Stage::Program, &packet, format!("{dialled} is a frontend"));
    let Some(wish) = walker.case.backend.clone() else {
        return Programmed::End(End::Lost);
    };
    let Some(backend) = frontend.backends.iter().find(|of| of.address == wish.address) else {
        let cause = format!("{}'s maps do not have the endpoint {}", host.name, wish.address);
        walker.untranslated(host, cause);
        return Programmed::End(End::Lost);
    };
    let original = (packet.source, packet.destination);
    packet.destination = backend.address;
    if !backend.local {
        return remote(walker, host, device, backend, original, packet);
    }
    remember(walker, host, original, &packet);
    let words = format!("{dialled} becomes {}, a pod of this node", backend.address);
    walker.hop(host, Some(&link), Stage::Translate, &packet, words);
    Programmed::Up(packet)
}

fn remote<'f>(
    walker: &mut Walker<'f>,
    host: &'f HostFacts,
    device: u32,
    backend: &Backend,
    original: (SocketAddr, SocketAddr),
    mut packet: Packet,
) -> Programmed<'f> {
    let Some(address) = backend.masquerade else {
        // The agent takes the address of the link that leads there: most likely none does.
        let way = walker.way(host, Some(device), &packet);
        if !matches!(way, Way::Out { .. }) {
            return Programmed::End(match way {
                Way::End(end) => end,
                _ => End::Lost,
            });
        }
        let cause = format!("{}'s maps have no address to masquerade with", host.name);
        walker.untranslated(host, cause);
        return Programmed::End(End::Lost);
    };
    packet.source.set_ip(address);
    remember(walker, host, original, &packet);
    let words = format!("{} becomes {}, with source {address}", original.1, packet.destination);
    walker.hop(host, Some(&host.link_name(device)), Stage::Translate, &packet, words);
    past_the_stack(walker, host, device, packet)
}

fn remember(
    walker: &mut Walker<'_>,
    host: &HostFacts,
    original: (SocketAddr, SocketAddr),
    packet: &Packet,
) {
    walker.connections.push(Connection {
        host: host.name.clone(),
        programs: true,
        original,
        translated: (packet.source, packet.destination),
    });
}

/// A FIB lookup and out, without netfilter. The lookup heeds the switches of forwarding.
fn past_the_stack<'f>(
    walker: &mut Walker<'f>,
    host: &'f HostFacts,
    device: u32,
    mut packet: Packet,
) -> Programmed<'f> {
    let input = host.link_name(device);
    if let Some(finding) = forwarding::off(host, &input, packet.is_v4()) {
        walker.find(finding);
    }
    if walker.has_looped(host, &packet) {
        return Programmed::End(End::Lost);
    }
    walker.age(host, &mut packet);
    let end = match walker.way(host, Some(device), &packet) {
        Way::Out { device: output, next } => {
            walker.by_xdp = has(host, &input, &[Attach::Xdp]);
            let end = walker.transmit(host, output, next, packet, true);
            walker.by_xdp = false;
            end
        }
        Way::Own => walker.deliver(host, packet),
        Way::End(end) => end,
    };
    Programmed::End(end)
}

/// Programs of others at a link, and filters of tc: what they do nobody can read off them.
pub(super) fn strangers(walker: &mut Walker<'_>, host: &HostFacts, link: &str, ingress: bool) {
    let at = |attach: Attach| match attach {
        Attach::Xdp => ingress.then_some("XDP"),
        Attach::TcxIngress | Attach::ClsactIngress => ingress.then_some("tc ingress"),
        Attach::TcxEgress | Attach::ClsactEgress => (!ingress).then_some("tc egress"),
    };
    let foreign = host
        .programs
        .iter()
        .filter(|program| program.owner == Owner::Foreign && program.interface == link);
    for program in foreign {
        let Some(hook) = at(program.attach) else { continue };
        let (id, name) = (program.id, &program.name);
        let cause = format!(
            "a program that is not netlab's, {name}, sees what passes {link} on {} at {hook}, and \
             may drop it",
            host.name
        );
        let shown = format!("{hook} of {link}: program {name}, id {id}, tag {}", program.tag);
        let finding = Finding::broken(Code::ForeignProgram, Some(&host.name), cause)
            .severity(Severity::Risk)
            .confidence(Confidence::Possible)
            .shown(Source::Programs, shown);
        let finding = match (program.link, program.attach) {
            (Some(by), _) => finding.mended(
                ["bpftool", "link", "detach", "id", &by.to_string()],
                "Detach it, if it is nobody's; whoever holds its link may attach it again.",
            ),
            (None, Attach::Xdp) => finding.mended(
                ["ip", "link", "set", "dev", link, "xdp", "off"],
                "Detach it, if it is nobody's.",
            ),
            _ => finding.advised("Ask who holds it, and what it drops."),
        };
        walker.find(finding);
    }
    let filters = host.tc_filters.iter().filter(|filter| {
        filter.interface == link
            && filter.ingress == ingress
            && filter.action.as_deref() == Some("drop")
    });
    for filter in filters {
        let side = if ingress { "ingress" } else { "egress" };
        let cause =
            format!("a filter of tc drops some of what passes {link} on {} at {side}", host.name);
        let shown = format!(
            "tc filter {} at {side} of {link}, pref {}, action drop",
            filter.kind, filter.preference
        );
        let all = filter.kind == "matchall";
        let finding = Finding::broken(Code::InputDropped, Some(&host.name), cause)
            .severity(if all { Severity::Broken } else { Severity::Risk })
            .confidence(if all { Confidence::Likely } else { Confidence::Possible })
            .shown(Source::TcFilters, shown);
        let command = format!("tc filter del dev {link} {side} pref {}", filter.preference);
        walker.find(finding.mended(command.split(' '), "Delete the filter."));
    }
}
