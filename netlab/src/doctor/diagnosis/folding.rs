//! One finding of each cause, and what follows from a cause below it. Pure.
//!
//! Law: two causes are one only where the same mends both; a consequence has the address, the link
//! or the mend in common with its cause, and is never worse than it.

use std::{cmp, net::IpAddr};

use ipnet::IpNet;

use crate::doctor::{
    facts::Facts,
    finding::{Code, Finding, Fix},
    path,
};

/// Makes one of findings of the same cause, and puts what follows from another below it; the worst
/// first, and else in their order.
pub(super) fn folded(all: Vec<Finding>, facts: &Facts) -> Vec<Finding> {
    let kept = merged(all);
    let follows = |cause: &Finding, effect: &Finding| follows(cause, effect, facts);
    let (effects, mut causes): (Vec<_>, Vec<_>) =
        kept.iter().cloned().partition(|finding| kept.iter().any(|cause| follows(cause, finding)));
    for effect in effects {
        match causes.iter_mut().find(|cause| follows(cause, &effect)) {
            Some(cause) => {
                cause.severity = cmp::min(cause.severity, effect.severity);
                cause.consequences.push(effect);
            }
            None => causes.push(effect),
        }
    }
    causes.sort_by_key(|finding| finding.severity);
    shared(causes)
}

/// Puts findings of one code and host below the first with which they have a mend in common, as
/// those of the other family have.
fn shared(all: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in all {
        let Some(first) = kept.iter().position(|known| shares_a_mend(known, &finding)) else {
            kept.push(finding);
            continue;
        };
        let later = kept.split_off(first + 1);
        let (same, others): (Vec<_>, Vec<_>) =
            later.into_iter().partition(|known| shares_a_mend(known, &finding));
        for mut other in same.into_iter().chain([finding]) {
            kept[first].consequences.append(&mut other.consequences);
            kept[first].consequences.push(other);
        }
        kept.extend(others);
    }
    kept
}

fn shares_a_mend(known: &Finding, other: &Finding) -> bool {
    let of_same = known.consequences.iter().filter(|below| below.code == known.code);
    let mut fixes = [known].into_iter().chain(of_same).flat_map(|finding| &finding.fixes);
    let has = |command: &[String]| other.fixes.iter().any(|fix| fix.command == command);
    (known.code, &known.host) == (other.code, &other.host)
        && known.host.is_some()
        && fixes.any(|fix| !fix.command.is_empty() && has(&fix.command))
}

fn merged(all: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in all {
        match kept.iter_mut().find(|known| path::is_same(known, &finding)) {
            Some(known) => {
                let is_new = |evidence: &_| !known.evidence.contains(evidence);
                let evidence: Vec<_> = finding.evidence.into_iter().filter(is_new).collect();
                known.evidence.extend(evidence);
            }
            None => match kept.iter_mut().find(|known| is_twin(known, &finding)) {
                Some(known) => join(known, finding),
                None => kept.push(finding),
            },
        }
    }
    kept
}

/// Whether a host does not forward the other family either, by the switch of all its links: one
/// cause, with a mend of each family.
fn is_twin(known: &Finding, other: &Finding) -> bool {
    let of_all = |finding: &Finding| {
        let mut words = finding.fixes.iter().flat_map(Fix::commands).flatten();
        words.any(|word| {
            ["net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1"].contains(&&**word)
        })
    };
    let are_off = known.code == Code::ForwardingOff && other.code == Code::ForwardingOff;
    are_off && known.host == other.host && of_all(known) && of_all(other)
}

/// Makes one finding of two, with the mends of both, each to consent to: who switches one family on
/// need not want the other.
fn join(known: &mut Finding, other: Finding) {
    let what = other.cause.split_once(": ").map_or(other.cause.as_str(), |(_, what)| what);
    known.cause += &format!(", and {what}");
    known.evidence.extend(other.evidence);
    known.fixes.extend(other.fixes);
}

/// Whether a finding is what another brings with it.
fn follows(cause: &Finding, effect: &Finding, facts: &Facts) -> bool {
    let is_here = cause.host == effect.host;
    match (cause.code, effect.code) {
        (Code::ProxyGone, Code::ProxyStale) => is_here,
        (Code::LinkDown, Code::RouteMissing | Code::NeighborStale) => {
            is_here && is_of_link(cause, effect, facts)
        }
        (Code::DuplicateNodeAddress | Code::DuplicatePodAddress, Code::NeighborStale) => {
            let addresses: Vec<IpAddr> = addresses(cause).collect();
            self::addresses(effect).any(|address| addresses.contains(&address))
        }
        _ => false,
    }
}

/// Whether a finding names the link that is down, or none at all, as a route does that has gone
/// with its link.
fn is_of_link(down: &Finding, effect: &Finding, facts: &Facts) -> bool {
    let Some(link) = down.evidence.iter().find_map(|of| of.text.split_once(':')) else {
        return false;
    };
    let host = effect.host.as_deref().and_then(|host| facts.host(host));
    let is_link = |word: &str| host.is_some_and(|host| host.links.iter().any(|of| of.name == word));
    let mut named = words(effect).filter(|word| is_link(word)).peekable();
    match named.peek() {
        Some(_) => named.any(|word| word == link.0),
        None => effect.code == Code::RouteMissing,
    }
}

fn addresses(finding: &Finding) -> impl Iterator<Item = IpAddr> {
    words(finding).filter_map(|word| {
        let net = || word.parse::<IpNet>().ok().map(|net| net.addr());
        word.parse().ok().or_else(net)
    })
}

/// The words of its sentence, and of what shows and mends it.
fn words(finding: &Finding) -> impl Iterator<Item = &str> {
    let shown = finding.evidence.iter().map(|evidence| evidence.text.as_str());
    let commands = finding.fixes.iter().flat_map(|fix| &fix.command).map(String::as_str);
    let all = std::iter::once(finding.cause.as_str()).chain(shown).chain(commands);
    all.flat_map(str::split_whitespace).map(|word| word.trim_matches(['(', ')', ',', ';', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doctor::{
            facts::{Source, fixture},
            finding::Severity,
        },
        lab::{Mode, Proxy},
    };

    fn finding(code: Code, host: Option<&str>, cause: &str) -> Finding {
        Finding::broken(code, host, cause)
    }

    /// Codes of what is left, each with those of its consequences.
    fn left(all: &[Finding]) -> Vec<(Code, Vec<Code>)> {
        let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
        let folded = folded(all.to_vec(), &facts).into_iter();
        let codes = |of: Finding| (of.code, of.consequences.iter().map(|of| of.code).collect());
        folded.map(codes).collect()
    }

    #[test]
    fn what_the_same_mends_is_one_and_what_has_only_its_code_in_common_is_not() {
        let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
        let of = |service: &str| {
            let command = ["kubectl", "patch", "service", service];
            let cause = format!("Service {service} has no endpoints");
            finding(Code::NoEndpoints, None, &cause).mended(command, "Patch it.")
        };
        let again = of("web").shown(Source::Objects, "web: again");
        let folded = folded(vec![of("web"), of("dns"), again], &facts);
        let causes: Vec<_> = folded.iter().map(|of| of.cause.as_str()).collect();
        assert_eq!(causes, ["Service web has no endpoints", "Service dns has no endpoints"]);
        assert_eq!((folded[0].fixes.len(), folded[0].evidence.len()), (1, 1));
    }

    #[test]
    fn forwarding_that_is_off_for_both_families_is_one_and_for_a_link_it_is_another() {
        let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
        let off = |host: &str, key: &str| {
            let cause = format!("{host} forwards nothing: {key} is 0");
            finding(Code::ForwardingOff, Some(host), &cause)
                .shown(Source::Sysctls, format!("{key} = 0"))
                .mended(["sysctl".to_owned(), "-w".to_owned(), format!("{key}=1")], "Switch it on.")
        };
        let (v4, v6) = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding");
        let both = folded(vec![off("node-1", v4), off("node-1", v6)], &facts);
        assert_eq!(both.len(), 1, "{both:?}");
        assert!(both[0].cause.ends_with(&format!("{v4} is 0, and {v6} is 0")), "{both:?}");
        assert_eq!((both[0].evidence.len(), both[0].fixes.len()), (2, 2));
        assert!(both[0].fixes.iter().all(|fix| fix.mends && fix.then.is_empty()), "{both:?}");
        let apart = [off("node-2", v6), off("node-1", "net/ipv6/conf/eth0/forwarding")];
        for other in apart {
            assert_eq!(folded(vec![off("node-1", v4), other], &facts).len(), 2);
        }
    }

    #[test]
    fn a_cause_is_as_bad_as_what_follows_from_it() {
        let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
        let gone = finding(Code::ProxyGone, Some("node-1"), "no agent").severity(Severity::Risk);
        let stale = |host| finding(Code::ProxyStale, Some(host), &format!("{host} is behind"));
        let folded = folded(vec![stale("node-1"), gone.clone()], &facts);
        assert_eq!((folded.len(), folded[0].severity), (1, Severity::Broken));
        assert_eq!(folded[0].consequences.len(), 1);
        // That of another host is another cause, and the worse of them comes first.
        assert_eq!(
            left(&[gone, stale("node-2")]),
            [(Code::ProxyStale, vec![]), (Code::ProxyGone, vec![])]
        );
    }

    #[test]
    fn what_has_a_mend_in_common_with_another_stands_below_it_through_others_too() {
        let hole = |host, mends: &[&'static str]| {
            let finding = finding(Code::MtuBlackHole, Some(host), &mends.join(" "));
            mends.iter().fold(finding, |finding, mend| finding.mended([*mend], "Mend it."))
        };
        let (v4, v6) = (hole("node-1", &["rule-v4", "widen"]), hole("node-1", &["rule-v6"]));
        let both = hole("node-1", &["rule-v6", "widen"]);
        let alone = (Code::MtuBlackHole, vec![]);
        assert_eq!(left(&[v4.clone(), v6.clone()]), [alone.clone(), alone.clone()]);
        let below = vec![Code::MtuBlackHole; 2];
        assert_eq!(left(&[v4.clone(), v6, both]), [(Code::MtuBlackHole, below)]);
        assert_eq!(left(&[v4, hole("node-2", &["widen"])]), [alone.clone(), alone]);
    }

    #[test]
    fn a_stale_neighbor_follows_from_its_own_address_alone_wherever_it_is() {
        let twice = finding(Code::DuplicatePodAddress, None, "pods a and b have 10.244.1.4")
            .shown(Source::Addresses, "10.244.1.4/24 dev eth0");
        let stale = |address: &str| {
            finding(Code::NeighborStale, Some("node-1"), "a neighbor")
                .shown(Source::Neighbors, format!("{address} dev cni0 lladdr x"))
        };
        let both = |address| left(&[twice.clone(), stale(address)]);
        let follows = [(Code::DuplicatePodAddress, vec![Code::NeighborStale])];
        assert_eq!(both("10.244.1.4"), follows);
        assert_eq!(both("10.244.1.5").len(), 2);
    }

    #[test]
    fn what_uses_a_link_that_is_down_follows_from_it_and_what_uses_another_does_not() {
        let down = finding(Code::LinkDown, Some("node-1"), "cni0 on node-1 is down")
            .shown(Source::Links, "cni0: state DOWN");
        let stale = |link: &str| {
            finding(Code::NeighborStale, Some("node-1"), "a neighbor")
                .shown(Source::Neighbors, format!("10.244.1.4 dev {link} lladdr x"))
        };
        let both = |link| left(&[down.clone(), stale(link)]);
        assert_eq!(both("cni0"), [(Code::LinkDown, vec![Code::NeighborStale])]);
        assert_eq!(both("eth0").len(), 2);
        let missing = finding(Code::RouteMissing, Some("node-1"), "no route to 10.244.1.4");
        let gone = [(Code::LinkDown, vec![Code::RouteMissing])];
        assert_eq!(left(&[down.clone(), missing.clone()]), gone);
        let missing = missing.mended(["ip", "route", "add", "x", "dev", "eth0"], "Add it.");
        assert_eq!(left(&[down, missing]).len(), 2);
    }
}
