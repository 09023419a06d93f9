//! Row 34: nobody programs the node, or what it is programmed with is of another day.

use crate::doctor::{
    facts::{Agent, Facts, HostFacts, Source},
    finding::{Code, Finding, Severity},
};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let agents = facts.nodes().filter(|(host, _)| !facts.is_blind(&host.name, Source::Agent));
    let agents = agents.filter_map(|(host, _)| Some((host, host.agent.as_ref()?)));
    agents.filter_map(|(host, agent)| of(facts, host, agent)).collect()
}

fn of(facts: &Facts, host: &HostFacts, agent: &Agent) -> Option<Finding> {
    let name = host.name.as_str();
    let status = agent.status.as_ref();
    let pid = status.map_or(0, |status| status.pid);
    let gone = match pid {
        // Process 0 is nobody's.
        0 => "it has left no word of its own: no status.json names its process".to_owned(),
        pid => format!("status.json names process {pid}, which is not there"),
    };
    // kube-proxy's rules stay when whoever loaded them is gone; netlab's programs do not.
    let lasts = status.is_some_and(|status| status.proxy != "ebpf" && !status.proxy.is_empty());
    let is_old = agent.current == Some(false);
    let told = |finding: Finding| match status.and_then(|status| status.error.as_ref()) {
        Some(error) => finding.shown(Source::Agent, format!("error: {error}")),
        None => finding,
    };
    let finding = if !agent.alive {
        let cause = format!("netlab's agent on {name} does not run, so nobody programs the node");
        Finding::broken(Code::ProxyGone, Some(name), cause)
            .severity(if lasts && !is_old { Severity::Risk } else { Severity::Broken })
            .shown(Source::Agent, gone)
            .advised(match &facts.lab {
                Some(lab) => format!("Start the agent: netlab lab up --name {}", lab.name),
                None => "Start the agent: netlab agent".to_owned(),
            })
    } else if agent.stopped {
        let cause = format!("netlab's agent on {name} is stopped, so it follows no change");
        Finding::broken(Code::ProxyStale, Some(name), cause)
            .severity(if is_old { Severity::Broken } else { Severity::Risk })
            .shown(Source::Agent, format!("process {pid} is in state T (stopped)"))
            .mended(["kill".to_owned(), "-CONT".to_owned(), pid.to_string()], "Let it go on")
    } else if is_old {
        let cause = format!("{name} is programmed with older objects than those that are there");
        Finding::broken(Code::ProxyStale, Some(name), cause)
            .shown(Source::Agent, "what it has applied last is not what the objects say now")
            .advised("Mend what the agent complains of; it takes the objects up by itself")
    } else {
        return None;
    };
    Some(told(finding))
}
