//! Rules of iptables (iptables-extensions(8)).

use std::net::IpAddr;

use super::{Asked, DEEPEST, Frontend, Targets, protocol};
use crate::doctor::facts::iptables::{Rule, Table, destination, net};

pub(super) fn frontends(nat: &Table) -> Vec<Frontend> {
    let mut found = Vec::new();
    for rule in nat.chains.iter().flat_map(|chain| &chain.rules) {
        let mut asked = Asked::default();
        let words: Vec<&str> = rule.arguments.iter().map(String::as_str).collect();
        for (at, pair) in words.windows(2).enumerate() {
            if at > 0 && words[at - 1] == "!" {
                continue;
            }
            match pair[0] {
                "-p" => asked.protocol = protocol(pair[1]),
                "-d" => asked.address = single(pair[1]),
                "--dport" | "--dports" => {
                    asked.ports = pair[1].split(',').filter_map(|port| port.parse().ok()).collect();
                }
                _ => {}
            }
        }
        if !asked.ports.is_empty() {
            let mut targets = Targets::default();
            add_targets(nat, rule, 0, &mut targets);
            found.extend(asked.frontends(&targets));
        }
    }
    found
}

/// An address, or a network of one.
fn single(text: &str) -> Option<IpAddr> {
    let net = net(text).ok()?;
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

fn add_targets(nat: &Table, rule: &Rule, depth: usize, targets: &mut Targets) {
    if depth > DEEPEST {
        return;
    }
    let Some(target) = rule.target.as_deref() else { return };
    if target == "DNAT" {
        let to = rule.option("--to-destination");
        targets.found.extend(to.and_then(destination));
    } else if let Some(chain) = nat.chain(target)
        && targets.seen.insert(target.to_owned())
    {
        chain.rules.iter().for_each(|rule| add_targets(nat, rule, depth + 1, targets));
    }
}
