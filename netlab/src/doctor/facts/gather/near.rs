//! Which namespaces of a machine belong to this host: those that its links lead to, over however
//! many namespaces. Others are other people's, and may have the same addresses.

use super::{
    host::{self, Gathered},
    on_each, roles,
    scope::Target,
};

/// This host, which comes first, and what its links lead to. Namespaces that cannot be looked into
/// stay, so that looking into them says why.
pub(super) fn of_this_host(targets: Vec<Target>) -> Vec<Target> {
    let looked = on_each(&targets, host::links);
    let is_open: Vec<bool> = looked.iter().map(Result::is_ok).collect();
    let mut linked: Vec<Gathered> = looked.into_iter().filter_map(Result::ok).collect();
    roles::find_peers(&mut linked);
    let names = connected(&linked);
    let is_near = |(target, is_open): &(Target, bool)| !is_open || names.contains(&target.name);
    let near = targets.into_iter().zip(is_open).filter(is_near);
    near.map(|(target, _)| target).collect()
}

/// Names of hosts that links join with the first, in either direction.
fn connected(hosts: &[Gathered]) -> Vec<String> {
    let pairs: Vec<(&str, &str)> = hosts
        .iter()
        .flat_map(|host| {
            let peers = host.facts.links.iter().filter_map(|link| link.peer.as_ref());
            peers.filter_map(|peer| Some((host.facts.name.as_str(), peer.host.as_deref()?)))
        })
        .collect();
    let mut near: Vec<&str> = hosts.iter().take(1).map(|host| host.facts.name.as_str()).collect();
    let mut at = 0;
    while let Some(name) = near.get(at).copied() {
        for (one, other) in &pairs {
            for (from, to) in [(*one, *other), (*other, *one)] {
                if from == name && !near.contains(&to) {
                    near.push(to);
                }
            }
        }
        at += 1;
    }
    near.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::doctor::facts::{
        HostFacts,
        link::{Link, Peer},
    };

    fn host(name: &str, peers: &[&str]) -> Gathered {
        let link = |peer: &&str| Link {
            peer: Some(Peer { index: 1, host: Some((*peer).into()), link: None }),
            ..Link::default()
        };
        let links = peers.iter().map(link).collect();
        Gathered {
            facts: HostFacts { name: name.into(), links, ..HostFacts::default() },
            gaps: Vec::new(),
            netns: None,
            peer_netns: BTreeMap::new(),
        }
    }

    #[test]
    fn links_lead_on_in_either_direction_and_strangers_stay_out() {
        let hosts = [
            host("own", &["switch"]),
            host("pod", &["own"]),
            host("switch", &["own", "client"]),
            host("client", &[]),
            host("other", &["others-pod"]),
            host("others-pod", &["other"]),
        ];
        assert_eq!(connected(&hosts), ["own", "switch", "pod", "client"]);
    }
}
