//! Row 34: nobody answers node ports, or with what was true once.

use super::{
    catalogue::{At, Dialled, Fault, KUBE_PROXY, MODES, PROXIES, Shows},
    manifests::{edit, unready},
    site::Site,
    sockets::server,
    step::{Plan, Step, words},
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

fn agent(site: &Site) -> Result<Process, super::FaultError> {
    let name = format!("agent {}", site.node.name);
    match site.dir.processes()?.into_iter().find(|process| process.name == name) {
        Some(process) => Ok(process),
        None => site.unfit(format!("{} has no agent", site.node.name)),
    }
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
    steps.extend(lines.into_iter().map(|line| Step::Command {
        netns: site.node.netns.clone(),
        line: words(line),
        input: String::new(),
        undo: Vec::new(),
    }));
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
