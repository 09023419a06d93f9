//! What stops a packet that is on its way: rules, and a TTL that has run out.

use super::{
    Stage, accept, fib,
    fib::{Lookup, Query},
    netfilter::{Hook, Place, Stop},
    packet::Packet,
    walk::Walker,
};
use crate::doctor::{
    facts::{HostFacts, Role, Source},
    finding::{Code, Confidence, Finding},
};

/// Where a hook is on the path, in words.
pub(super) const fn stage(hook: Hook) -> (Stage, &'static str) {
    match hook {
        Hook::Ingress => (Stage::Ingress, "netfilter's ingress"),
        Hook::Prerouting => (Stage::Prerouting, "netfilter's prerouting"),
        Hook::Input => (Stage::Input, "netfilter's input"),
        Hook::Forward => (Stage::Forward, "netfilter's forward"),
        Hook::Output => (Stage::Output, "netfilter's output"),
        Hook::Postrouting => (Stage::Postrouting, "netfilter's postrouting"),
        Hook::Bridge => (Stage::Bridge, "netfilter's forward of the bridge"),
    }
}

/// kube-proxy refuses what no endpoint can take: that there is none is the cause.
pub(super) fn is_meant(walker: &Walker<'_>, stop: &Stop) -> bool {
    walker.case.backend.is_none() && stop.place.is_of_kube_proxy() && !stop.by_source
}

/// A rule, or a policy, that drops or rejects.
pub(super) fn finding(
    walker: &Walker<'_>,
    host: &HostFacts,
    hook: Hook,
    stop: &Stop,
    packet: &Packet,
) -> Finding {
    let code = code(walker, host, hook, stop, packet);
    let does = if stop.rejects { "rejects" } else { "drops" };
    let what = match code {
        Code::VxlanFiltered => format!("VXLAN datagrams to {}", packet.destination),
        _ => format!("packets from {} to {}", packet.source.ip(), packet.destination),
    };
    let mut cause = format!("{} {does} {what}: {}", host.name, stop.place.chain);
    cause += match code {
        Code::SourceRangeDenied => ", for their source is none of those that the rule names",
        Code::ProxyStale => ", as if the Service had no endpoint there",
        _ => "",
    };
    let confidence = if stop.sure { Confidence::Certain } else { Confidence::Likely };
    let finding = Finding::broken(code, Some(&host.name), cause).confidence(confidence);
    if code == Code::ProxyStale {
        // Its rules are not to be deleted one by one.
        let rule = format!("{}: {}", stop.place.chain, stop.place.rule);
        return finding.shown(stop.place.store, rule);
    }
    let finding = mended(walker, finding, hook, stop, packet);
    match walker.service().filter(|service| !service.source_ranges.is_empty()) {
        Some(service) if code == Code::SourceRangeDenied => {
            let ranges: Vec<_> = service.source_ranges.iter().map(ToString::to_string).collect();
            let (name, ranges) = (&service.name, ranges.join(", "));
            finding.shown(
                Source::Objects,
                format!("Service {name}: loadBalancerSourceRanges {ranges}"),
            )
        }
        _ => finding,
    }
}

/// Shown by the rule or the policy, and mended by as little as helps; a policy stays.
fn mended(
    walker: &Walker<'_>,
    finding: Finding,
    hook: Hook,
    stop: &Stop,
    packet: &Packet,
) -> Finding {
    let place = &stop.place;
    if let Some(finding) = accept::mended(walker, finding.clone(), place, hook, packet) {
        return finding;
    }
    if finding.code == Code::PolicyDropped && !place.mend.is_empty() {
        return of_policy(walker, finding, place);
    }
    place.blamed(finding)
}

/// A rule for single pods: outside a lab a controller may have made it of a NetworkPolicy, and what
/// it is for is nobody's to delete unasked.
fn of_policy(walker: &Walker<'_>, finding: Finding, place: &Place) -> Finding {
    if walker.facts.lab.is_some() {
        return place.blamed(finding);
    }
    let words = format!(
        "Find the NetworkPolicy that a controller may have made the rule of, and allow the client \
         there; a rule that was written by hand is deleted with `{}`.",
        place.mend.join(" ")
    );
    finding
        .shown(place.store, format!("{}: {}", place.chain, place.rule))
        .looked_into(["kubectl", "get", "networkpolicy", "-A"], words)
}

fn code(walker: &Walker<'_>, host: &HostFacts, hook: Hook, stop: &Stop, packet: &Packet) -> Code {
    if packet.is_tunnel() {
        return Code::VxlanFiltered;
    }
    if matches!(host.role, Role::Pod { .. }) {
        return Code::PolicyDropped;
    }
    let is_dialled = packet.destination == walker.case.dialled;
    if stop.by_source && is_dialled && walker.service().is_some() {
        return Code::SourceRangeDenied;
    }
    if !packet.answers && stop.place.is_of_kube_proxy() {
        return Code::ProxyStale;
    }
    match hook {
        Hook::Ingress | Hook::Prerouting | Hook::Input if is_dialled || !stop.narrow => {
            Code::InputDropped
        }
        _ if stop.narrow => Code::PolicyDropped,
        _ => Code::ForwardDropped,
    }
}

/// A packet that has been forwarded as often as its TTL allows.
pub(super) fn expired(walker: &Walker<'_>, host: &HostFacts) -> Finding {
    const KEY: &str = "ipv4/ip_default_ttl";
    let first = walker.hops.iter().find(|hop| hop.stage == Stage::Leave);
    let sender = first.and_then(|hop| walker.facts.host(&hop.host));
    let ttl = sender.and_then(|sender| Some((sender, sender.sysctl_number(KEY)?)));
    match ttl {
        Some((sender, ttl)) => {
            let cause = format!(
                "packets of {} have a TTL of {ttl}, and {} has to forward them once more",
                sender.name, host.name
            );
            Finding::broken(Code::TtlExpired, Some(&sender.name), cause)
                .shown(Source::Sysctls, format!("net/{KEY} = {ttl}"))
                .mended(
                    ["sysctl".to_owned(), "-w".to_owned(), format!("net/{KEY}=64")],
                    "Let its packets live for as many hops as usual.",
                )
        }
        None => {
            let cause = format!("the TTL runs out at {}", host.name);
            Finding::broken(Code::TtlExpired, Some(&host.name), cause)
        }
    }
}

/// A packet that comes to a host for the second time.
pub(super) fn looped(walker: &Walker<'_>, host: &HostFacts, packet: &Packet) -> Finding {
    let hosts: Vec<&str> = walker
        .hops
        .iter()
        .filter(|hop| hop.stage == Stage::Forward)
        .map(|hop| hop.host.as_str())
        .collect();
    let cause = format!(
        "packets to {} go round and round ({}) until their TTL has run out",
        packet.destination.ip(),
        hosts.join(", ")
    );
    let finding = Finding::broken(Code::TtlExpired, Some(&host.name), cause);
    match fib::lookup(host, &Query::of(packet, None)) {
        Lookup::Found { route, .. } => finding.shown(Source::Routes, fib::words(host, route)),
        _ => finding,
    }
}
