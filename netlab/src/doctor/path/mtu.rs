//! Packets too large for a link on the way, and whether their sender is told.

use super::{
    Hop, accept,
    netfilter::{self, Hook, Stop},
    packet::{Packet, TCP},
    walk::{Crossing, Walker},
};
use crate::doctor::{
    facts::{HostFacts, Source, link::Link},
    finding::{Code, Finding},
};

const WIDEN: &str = "Make the link as wide as the others.";

/// Octets that VXLAN adds (RFC 7348, section 5): inner Ethernet 14, VXLAN 8, UDP 8, and IPv4's 20
/// or IPv6's 40.
const fn overhead(v4: bool) -> u32 {
    if v4 { 50 } else { 70 }
}

/// Looks at full segments in both directions; what is found is said at the hop.
pub(super) fn judge(walker: &mut Walker<'_>, there: &mut [Hop]) {
    if walker.case.protocol.number() != TCP {
        return;
    }
    let (Some(client), Some(pod)) =
        (first(walker, &walker.crossings_there), first(walker, &walker.crossings))
    else {
        return;
    };
    // Each side says in its SYN what it takes (RFC 9293, section 3.7.1).
    let size = client.min(pod);
    let found: Vec<_> = holes(walker, &walker.crossings_there, size);
    put(there, found);
    let found = holes(walker, &walker.crossings, size);
    put(&mut walker.hops, found);
}

fn put(hops: &mut [Hop], found: Vec<(usize, Finding)>) {
    for (at, finding) in found {
        // A crossing is noted before its hop where a link is left, so the nearest will do.
        let at = at.min(hops.len().saturating_sub(1));
        if let Some(hop) = hops.get_mut(at) {
            hop.passes = false;
            hop.findings.push(finding);
        }
    }
}

fn first(walker: &Walker<'_>, crossings: &[Crossing]) -> Option<u32> {
    let crossing = crossings.first()?;
    Some(walker.facts.host(&crossing.host)?.link_at(crossing.link)?.mtu)
}

fn holes(walker: &Walker<'_>, crossings: &[Crossing], size: u32) -> Vec<(usize, Finding)> {
    let mut size = size;
    let mut found = Vec::new();
    for crossing in crossings {
        let Some(host) = walker.facts.host(&crossing.host) else { continue };
        let Some(link) = host.link_at(crossing.link) else { continue };
        let outer = crossing.packet.is_tunnel();
        let whole = size + if outer { overhead(crossing.packet.is_v4()) } else { 0 };
        // The other end of a veth pair takes no larger frames than it would send.
        let peer = walker.facts.peer(link).filter(|(_, peer)| whole > peer.mtu);
        if crossing.bridged && whole > link.mtu {
            found.push((crossing.hop, too_narrow(host, link, whole)));
        } else if let (Some((host, peer)), true) = (peer, whole <= link.mtu) {
            found.push((crossing.hop, too_narrow(host, peer, whole)));
        } else if crossing.forwarded && !crossing.bridged && !outer && whole > link.mtu {
            // Told, the sender makes its packets smaller.
            if let Some(stop) = untold(walker, host, link, &crossing.packet) {
                found.push((crossing.hop, black_hole(host, link, whole, &stop)));
            }
            size = link.mtu;
        }
    }
    found
}

/// The rule that keeps the word about a packet's size from its sender.
fn untold(walker: &Walker<'_>, host: &HostFacts, link: &Link, packet: &Packet) -> Option<Stop> {
    let host = walker.facts.host(&host.name)?;
    let mut own = host.global_of(packet.is_v4());
    let router = own.clone().find(|own| own.device == link.index).or_else(|| own.next())?;
    let word = packet.too_large(router.net.addr());
    [Hook::Output, Hook::Postrouting].into_iter().find_map(|hook| {
        let mut view = walker.view(host, word.clone(), None, None, false);
        // conntrack knows which connection an error is about.
        view.state = "related";
        netfilter::pass(hook, view).stops.into_iter().next()
    })
}

fn black_hole(host: &HostFacts, link: &Link, size: u32, stop: &Stop) -> Finding {
    let (name, mtu) = (&link.name, link.mtu);
    let cause = format!(
        "packets of {size} octets do not fit {name} on {} (MTU {mtu}), and their sender is not \
         told, because of the rule in {}",
        host.name, stop.place.chain
    );
    let finding = Finding::broken(Code::MtuBlackHole, Some(&host.name), cause)
        .shown(Source::Links, format!("{name}: mtu {mtu}"));
    let finding = accept::mended_error(finding, &stop.place);
    // A tunnel is narrower for what it adds; a bridge should be as wide as its ports.
    if link.vxlan().is_some() {
        return finding;
    }
    let ports = host.links.iter().filter(|port| port.master == Some(link.index));
    let wide = ports.map(|port| port.mtu).max().unwrap_or(0).max(size).to_string();
    finding.mended(["ip", "link", "set", "dev", name, "mtu", &wide], WIDEN)
}

fn too_narrow(host: &HostFacts, link: &Link, size: u32) -> Finding {
    let (name, mtu) = (&link.name, link.mtu);
    let cause = format!(
        "packets of {size} octets do not get through {name} on {} (MTU {mtu}), and nobody tells \
         their sender",
        host.name
    );
    let size = size.to_string();
    Finding::broken(Code::MtuBlackHole, Some(&host.name), cause)
        .shown(Source::Links, format!("{name}: mtu {mtu}"))
        .mended(["ip", "link", "set", "dev", name, "mtu", &size], WIDEN)
}
