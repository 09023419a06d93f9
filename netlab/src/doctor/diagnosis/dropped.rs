//! What netlab's own programs say of packets that they dropped: their reason is the cause, and it may
//! only come about while the probes are under way.

use netlab_common::verdict::DropReason;

use super::{Placed, observed, seen::Seen};
use crate::doctor::{
    check,
    finding::{Code, Finding},
};

/// Adds what no fact shows, and shows it beside what one does.
pub(super) fn add(seen: &Seen<'_>, findings: &mut Vec<Placed>) {
    for parted in &seen.parted {
        let Some(finding) = parted.divergence.drop.as_ref().and_then(|drop| {
            let own =
                drop.function.is_none() && drop.reason == DropReason::SnatPortsExhausted.name();
            let host = seen.facts.host(&drop.host).filter(|_| own)?;
            Some(check::no_port_left(host, host.datapath.as_ref()?, None))
        }) else {
            continue;
        };
        let mut finding: Finding = finding;
        finding.evidence.push(observed(&parted.divergence));
        let is_known = |known: &&mut Placed| {
            known.finding.code == Code::SnatPortsExhausted && known.finding.host == finding.host
        };
        match findings.iter_mut().find(is_known) {
            Some(known) => {
                known.parts = true;
                // One of the checks is of its host, and of all ways there.
                known.on.iter_mut().for_each(|on| on.push(parted.path));
            }
            None => {
                findings.push(Placed { finding, at: 0, parts: true, on: Some(vec![parted.path]) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doctor::{
            diagnosis::seen::Parted,
            facts::fixture,
            observe::divergence::{Drop, before_all},
            path,
            probe::Way,
        },
        lab::{Mode, Proxy},
    };

    /// What is found where a packet is dropped at node-1 for a reason, by a function of the kernel's
    /// or by a program.
    fn found(reason: &str, function: Option<&str>) -> Vec<Placed> {
        let facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
        let judgement = path::judge(&facts, &facts.spec().unwrap(), &facts.subject);
        let way = Way::of(&judgement.paths[0].case);
        let mut divergence = before_all(&judgement.paths[0]).unwrap();
        divergence.drop = Some(Drop {
            host: "node-1".into(),
            interface: "eth0".into(),
            reason: reason.into(),
            function: function.map(str::to_owned),
        });
        let parted = [0, 1].map(|path| Parted { way: &way, path, divergence: divergence.clone() });
        let seen = Seen { facts: &facts, attempts: &[], parted: parted.into() };
        let mut findings = Vec::new();
        add(&seen, &mut findings);
        findings
    }

    #[test]
    fn ports_that_ran_out_under_the_probes_are_found_once_and_only_by_the_program_s_word() {
        let one = found("snat-ports-exhausted", None);
        let [Placed { finding, on, .. }] = one.as_slice() else { panic!("{} found", one.len()) };
        assert_eq!(on.as_deref(), Some([0, 1].as_slice()), "it explains both ways");
        let (code, host) = (finding.code, finding.host.as_deref());
        assert_eq!((code, host), (Code::SnatPortsExhausted, Some("node-1")));
        assert!(finding.cause.contains("towards other nodes' pods are taken"), "{}", finding.cause);
        assert!(found("NETFILTER_DROP", Some("nf_hook_slow+0x1")).is_empty());
        assert!(found("no-route", None).is_empty());
    }
}
