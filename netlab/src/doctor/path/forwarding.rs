//! Whether a host forwards: the switches, and reverse-path filtering.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    fib::{self, Lookup, Query},
    packet::Packet,
};
use crate::doctor::{
    facts::{HostFacts, Source, route::RouteKind},
    finding::{Code, Finding},
};

/// Why a host does not forward what comes in by a link; None where it does, or cannot be known.
pub(super) fn off(host: &HostFacts, input: &str, v4: bool) -> Option<Finding> {
    let (whole, own) = if v4 {
        ("ipv4/ip_forward".to_owned(), format!("ipv4/conf/{input}/forwarding"))
    } else {
        ("ipv6/conf/all/forwarding".to_owned(), format!("ipv6/conf/{input}/forwarding"))
    };
    // IPv4 asks the link alone; the switch for all sets those of all links as it is written.
    let deciding = host.sysctl_number(&own).or_else(|| host.sysctl_number(&whole))?;
    if deciding != 0 {
        return None;
    }
    let keys: Vec<&String> =
        [&whole, &own].into_iter().filter(|key| host.sysctl_number(key) == Some(0)).collect();
    let what = if keys.contains(&&whole) {
        format!("{} forwards nothing", host.name)
    } else {
        format!("{} forwards nothing that comes in by {input}", host.name)
    };
    let name = |key: &str| format!("net.{}", key.replace('.', "/").replace('/', "."));
    let mut finding = Finding::broken(
        Code::ForwardingOff,
        Some(&host.name),
        format!("{what}: {} is 0", keys.first().map_or(String::new(), |key| name(key))),
    );
    for key in &keys {
        finding = finding.shown(Source::Sysctls, format!("net/{key} = 0"));
    }
    // The switch of the whole host sets those of all links.
    match keys.first() {
        Some(key) => Some(switched_on(host, finding, key, v4)),
        None => Some(finding),
    }
}

/// With the command that switches forwarding on. A host that forwards IPv6 drops the default routes
/// that routers have announced, unless it is told to accept them all the same
/// (networking/ip-sysctl.rst, accept_ra).
fn switched_on(host: &HostFacts, finding: Finding, key: &str, v4: bool) -> Finding {
    // The slashes stand for themselves, so that names of links may have dots.
    let switch =
        |key: &str, value: u8| ["sysctl".to_owned(), "-w".to_owned(), format!("net/{key}={value}")];
    let words = "Switch forwarding on.";
    let announced = if v4 { BTreeSet::new() } else { announced(host) };
    let mut keeps = announced.iter().map(|link| switch(&format!("ipv6/conf/{link}/accept_ra"), 2));
    let Some(first) = keeps.next() else { return finding.mended(switch(key, 1), words) };
    let kept = "Keep the default route that a router announces, which a host that forwards drops.";
    let finding = keeps.fold(finding.mended(first, kept), |finding, keep| finding.then(keep, kept));
    finding.then(switch(key, 1), words)
}

/// The links of default routes that routers of IPv6 have announced.
fn announced(host: &HostFacts) -> BTreeSet<String> {
    let of_routers = host.default_routes().filter(|route| route.protocol == "ra");
    of_routers.flat_map(|route| &route.hops).map(|hop| host.link_name(hop.device)).collect()
}

/// Why a packet that came in by a link is dropped for its source; None where it is not.
pub(super) fn source_refused(host: &HostFacts, input: u32, packet: &Packet) -> Option<Finding> {
    // The kernel has it for IPv4 only.
    if !packet.is_v4() {
        return None;
    }
    let name = host.link_name(input);
    let number = |scope: &str, key: &str| {
        host.sysctl_number(&format!("ipv4/conf/{scope}/{key}")).unwrap_or(0)
    };
    let (whole, own) = (number("all", "rp_filter"), number(&name, "rp_filter"));
    let mode = whole.max(own);
    if mode == 0 || host.link_at(input)?.name == "lo" {
        return None;
    }
    let valid_mark = number("all", "src_valid_mark") != 0 || number(&name, "src_valid_mark") != 0;
    let mark = if valid_mark { packet.mark } else { 0 };
    let back = fib::lookup(host, &Query::back(packet, &name, mark));
    let way = match back {
        Lookup::Found { route, hop, .. } if route.kind == RouteKind::Unicast => {
            let leaves = route.hops.iter().any(|hop| hop.device == input);
            if mode == 2 || leaves {
                return None;
            }
            format!(
                "{} leads out by {}",
                fib::words(host, route),
                hop.map_or_else(|| "nothing".into(), |hop| host.link_name(hop.device))
            )
        }
        // A host's own address is refused by another check.
        Lookup::Found { route, .. } if route.kind == RouteKind::Local => return None,
        _ => "there is no route back".to_owned(),
    };
    let source: IpAddr = packet.source.ip();
    let key = if own >= whole { name.as_str() } else { "all" };
    let mut finding = Finding::broken(
        Code::ReversePathFilter,
        Some(&host.name),
        format!(
            "{} drops packets from {source} that come in by {name}: rp_filter is {}, and {way}",
            host.name,
            if mode == 1 { "strict" } else { "loose" },
        ),
    )
    .shown(Source::Sysctls, format!("net/ipv4/conf/{key}/rp_filter = {mode}"));
    if let Lookup::Found { route, .. } = back {
        finding = finding.shown(Source::Routes, fib::words(host, route));
    }
    let mend = if mode == 1 { "2" } else { "0" };
    for scope in ["all", &name] {
        if number(scope, "rp_filter") == mode {
            finding = finding.mended(
                ["sysctl".into(), "-w".into(), format!("net/ipv4/conf/{scope}/rp_filter={mend}")],
                "Let packets in by another link than the answer leaves by.",
            );
        }
    }
    Some(finding)
}
