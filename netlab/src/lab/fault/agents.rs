//! Row 34: nobody answers node ports, or with what was true once.

use super::{
    catalogue::{At, Dialled, Fault, KUBE_PROXY, MODES, PROXIES, Shows},
    manifests::{edit, unready},
    site::Site,
    sockets::server,
    step::{Plan, Step},
};
use crate::lab::{Proxy, Role, processes::Process};

const AGENT: Fault = Fault {
    name: "agent-stopped",
    rows: &[34],
    imitates: "the agent of a node is not running, so no program is attached",
    at: At::Node,
    modes: MODES,
    proxies: &[Proxy::Ebpf],
    limits: "kube-proxy's rules stay when it ends; rules-lost takes them away too",
    shows: &[Shows::Refused],
    dialled: Dialled::AtNode,
    programs: &[],
    on_switch: false,
    plan: stopped,
};

pub(super) const FAULTS: &[Fault] = &[
    AGENT,
    Fault {
        name: "rules-lost",
        imitates: "somebody has flushed all rules, and kube-proxy is not there to load them again",
        proxies: KUBE_PROXY,
        limits: "netlab's programs are no rules; agent-stopped takes them away",
        programs: &["nft"],
        plan: rules_lost,
        ..AGENT
    },
    Fault {
        name: "agent-stale",
        imitates: "an agent that hangs while pods elsewhere go: it keeps sending to them",
        proxies: PROXIES,
        limits: "",
        plan: stale,
        ..AGENT
    },
];

/// The node's agent.
pub(super) fn agent(site: &Site) -> Result<Process, super::FaultError> {
    let node = &site.node.name;
    site.process(&format!("agent {node}"), &format!("{node} has no agent"))
}

fn stopped(site: &Site) -> Plan {
    Ok(vec![Step::Process { name: agent(site)?.name, after: None }])
}

/// The agent loads its rules again when it comes back, so nothing needs to be kept.
fn rules_lost(site: &Site) -> Plan {
    let mut steps = stopped(site)?;
    let lines = match site.options.proxy {
        Proxy::Nftables => {
            vec!["nft delete table ip kube-proxy", "nft delete table ip6 kube-proxy"]
        }
        _ => vec!["iptables -t nat -F", "iptables -t nat -X", "iptables -F", "iptables -X"],
    };
    steps.extend(lines.into_iter().map(|line| Step::command(&site.node, line, "")));
    Ok(steps)
}

/// Pods of another node go, as in a deployment's update, and the agent does not hear of it.
fn stale(site: &Site) -> Plan {
    let peer = site.peer()?.name.clone();
    let gone = site.endpoint_pods(Some(&peer));
    if gone.is_empty() {
        return site.unfit(format!("the Service has no pod on {peer}"));
    }
    let mut steps = vec![Step::Freeze { node: site.node.name.clone() }];
    steps.extend(edit(site, |objects| unready(objects, &gone))?);
    for host in &site.topology.hosts {
        let Role::Pod { object, .. } = &host.role else { continue };
        if gone.iter().any(|name| name.to_string() == *object) {
            steps.push(Step::Process { name: server(site, host)?.name, after: None });
        }
    }
    Ok(steps)
}
