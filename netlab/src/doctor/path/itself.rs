//! Whether a host that dials its own address meets the rules that its clients meet.

use std::net::SocketAddr;

use super::{
    CLIENT_PORT, Case, default_ttl,
    netfilter::{self, Hook, Nat},
    packet::Packet,
    walk::Walker,
};
use crate::{
    doctor::facts::{
        Facts, HostFacts,
        program::{Owner, Program},
    },
    spec::Spec,
};

/// Whether a probe from the dialled host itself says anything: what it sends is translated as what
/// comes in is, or nothing is to be translated. Programs at interfaces, and rules before routing,
/// see only what comes in. Of loopback addresses the host itself is the only client.
#[must_use]
pub fn is_dialled_alike(facts: &Facts, spec: &Spec, host: &HostFacts, case: &Case) -> bool {
    if case.backend.is_none() || case.dialled.ip().is_loopback() {
        return true;
    }
    let walker = Walker::new(facts, spec, case);
    let source = SocketAddr::new(case.dialled.ip(), CLIENT_PORT);
    let ttl = default_ttl(host, case.dialled.is_ipv4());
    let packet = Packet::new(source, case.dialled, case.protocol.number(), ttl);
    let view = walker.view(host, packet, None, Some("lo"), false);
    let nat = netfilter::pass(Hook::Output, view).nat;
    let is_translated = matches!(nat, Some(Nat::Destination(_)));
    is_translated || walker.is_blind_for_rules(host) || has_strangers(host, case)
}

/// Programs of others where the case's packets come in: what they do for the host's own packets
/// nobody can read off them, so that only a probe can tell.
fn has_strangers(host: &HostFacts, case: &Case) -> bool {
    let Some(link) = host.link_with(case.dialled.ip()) else { return false };
    let is_there = |of: &Program| of.owner == Owner::Foreign && of.interface == link.name;
    host.programs.iter().any(is_there)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doctor::{
            facts::{
                fixture::{self, host},
                program::Attach,
            },
            path,
        },
        lab::{Mode, Proxy},
    };

    #[test]
    fn kube_proxy_answers_its_own_host_and_programs_at_interfaces_do_not() {
        for (proxy, alike) in
            [(Proxy::Nftables, true), (Proxy::Iptables, true), (Proxy::Ebpf, false)]
        {
            let facts = fixture::lab(Mode::HostGw, proxy);
            let spec = facts.spec().unwrap();
            let cases = path::cases(&facts, &spec, &facts.subject);
            let case = cases.iter().find(|case| case.node == "node-1").unwrap();
            let host = facts.host("node-1").unwrap();
            assert_eq!(is_dialled_alike(&facts, &spec, host, case), alike, "{proxy:?}");
            let own = Case { dialled: "127.0.0.1:30080".parse().unwrap(), ..case.clone() };
            assert!(is_dialled_alike(&facts, &spec, host, &own), "nobody else can dial it");
        }
    }

    #[test]
    fn a_strangers_program_may_answer_its_own_host_so_that_it_is_dialled() {
        let mut facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
        let node = host(&mut facts, "node-1");
        node.nft = None;
        node.programs.push(Program {
            interface: "eth0".into(),
            attach: Attach::TcxIngress,
            id: 7,
            name: "cil_from_netdev".into(),
            tag: String::new(),
            owner: Owner::Foreign,
            link: None,
        });
        let spec = facts.spec().unwrap();
        let cases = path::cases(&facts, &spec, &facts.subject);
        let case = cases.iter().find(|case| case.node == "node-1").unwrap();
        let alike =
            |facts: &Facts| is_dialled_alike(facts, &spec, facts.host("node-1").unwrap(), case);
        assert!(alike(&facts));
        facts.hosts.iter_mut().for_each(|host| host.programs.clear());
        assert!(!alike(&facts));
    }
}
