//! Cutting a large table down to what the subject can meet.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use ipnet::IpNet;

use super::super::super::{
    HostFacts,
    iptables::{Chain, Rule, Table, net},
    link::Link,
    subject::Subject,
};
use crate::capture::filter::VXLAN_PORTS;

/// Tables with no more rules than this stay whole.
const MOST_RULES: usize = 2048;
/// Chains with no more rules than this stay whole.
const SMALL_CHAIN: usize = 64;

/// What a host's packets meet whatever was asked about.
pub(super) struct Underlay {
    /// Nodes, and who else is on the host's own networks, such as a client.
    nets: Vec<IpNet>,
    /// Of VXLAN.
    ports: HashSet<u16>,
}

impl Underlay {
    pub(super) fn of(host: &HostFacts, nodes: &[IpAddr]) -> Self {
        let own = host.global().map(|own| own.net);
        let devices = host.links.iter().filter_map(Link::vxlan).map(|own| own.port);
        Self {
            nets: nodes.iter().copied().map(IpNet::from).chain(own).collect(),
            ports: VXLAN_PORTS.into_iter().chain(devices).collect(),
        }
    }

    fn touches(&self, net: IpNet) -> bool {
        self.nets.iter().any(|own| own.contains(&net) || net.contains(own))
    }
}

/// Cuts the rules of large chains, and then the chains that nothing leads to any more.
pub(super) fn to_subject(table: &mut Table, subject: &Subject, underlay: &Underlay) {
    let rules: usize = table.chains.iter().map(|chain| chain.rules.len()).sum();
    if rules <= MOST_RULES || subject.is_everything() {
        return;
    }
    for chain in &mut table.chains {
        let before = chain.rules.len();
        if before > SMALL_CHAIN {
            chain.rules.retain(|rule| may_meet(rule, subject, underlay));
            chain.left_out = before - chain.rules.len();
        }
    }
    let before = table.chains.len();
    let reachable = reachable(table);
    table.chains.retain(|chain| reachable.contains(&chain.name));
    table.chains_left_out = before - table.chains.len();
}

/// Whether a rule says nothing that excludes the subject and the underlay: another destination, or
/// another port.
fn may_meet(rule: &Rule, subject: &Subject, underlay: &Underlay) -> bool {
    let words = &rule.arguments;
    words.iter().enumerate().all(|(at, word)| {
        let negated = at > 0 && words[at - 1] == "!";
        let Some(value) = words.get(at + 1).filter(|_| !negated) else { return true };
        match word.as_str() {
            "-d" => net(value).map_or(true, |net| subject.touches(net) || underlay.touches(net)),
            "--dport" => value
                .parse()
                .map_or(true, |port| subject.has_port(port) || underlay.ports.contains(&port)),
            _ => true,
        }
    })
}

fn reachable(table: &Table) -> HashSet<String> {
    let by_name: HashMap<&str, &Chain> =
        table.chains.iter().map(|chain| (chain.name.as_str(), chain)).collect();
    let built_in = table.chains.iter().filter(|chain| chain.policy.is_some());
    let mut waiting: Vec<&str> = built_in.map(|chain| chain.name.as_str()).collect();
    let mut reached = HashSet::new();
    while let Some(name) = waiting.pop() {
        let Some(chain) = by_name.get(name).filter(|_| reached.insert(name.to_owned())) else {
            continue;
        };
        waiting.extend(chain.rules.iter().filter_map(|rule| rule.target.as_deref()));
    }
    reached
}
