//! Rows 7, 8, 24 and 27: who listens, and where.

use super::{
    catalogue::{At, Dialled, Fault, KUBE_PROXY, MODES, PROXIES, Shows},
    netfilter::BEFORE,
    site::Site,
    step::{Plan, Step, words},
    tables::{chain, nft},
};
use crate::lab::{Host, processes::Process};

const LISTENER: Fault = Fault {
    name: "listener-missing",
    rows: &[7],
    imitates: "a pod whose application has not started, or has crashed",
    at: At::Pod,
    modes: MODES,
    proxies: PROXIES,
    limits: "",
    shows: &[Shows::Refused],
    dialled: Dialled::Anywhere,
    programs: &[],
    on_switch: false,
    plan: listener_missing,
};

pub(super) const FAULTS: &[Fault] = &[
    LISTENER,
    Fault {
        name: "listen-loopback",
        rows: &[8],
        imitates: "an application that listens on 127.0.0.1 only",
        plan: |site| with_flags(site, "--listen 127.0.0.1"),
        ..LISTENER
    },
    Fault {
        name: "backlog-overflow",
        rows: &[27],
        imitates: "an application that hangs: its listen backlog is full",
        shows: &[Shows::Silence],
        plan: |site| {
            if site.transport() == "udp" {
                return site.unfit("UDP has no backlog; --service names another Service");
            }
            with_flags(site, "--hang")
        },
        ..LISTENER
    },
    Fault {
        name: "port-held",
        rows: &[24],
        imitates: "a host process that listens on the node port, and a redirection to it ahead of \
                   kube-proxy's rules, as a hostPort or a local load balancer has one",
        at: At::Node,
        proxies: KUBE_PROXY,
        limits: BEFORE,
        shows: &[Shows::Stranger],
        dialled: Dialled::AtNode,
        programs: &["nft"],
        plan: port_held,
        ..LISTENER
    },
];

/// The echo server of a pod.
pub(super) fn server(site: &Site, pod: &Host) -> Result<Process, super::FaultError> {
    let pod = &pod.name;
    site.process(&format!("echo {pod}"), &format!("{pod} has no echo server"))
}

fn listener_missing(site: &Site) -> Plan {
    let server = server(site, site.pod()?)?;
    Ok(vec![Step::Process { name: server.name, after: None }])
}

fn with_flags(site: &Site, flags: &str) -> Plan {
    let mut server = server(site, site.pod()?)?;
    server.args.extend(words(flags));
    Ok(vec![Step::Process { name: server.name.clone(), after: Some(server) }])
}

fn port_held(site: &Site) -> Plan {
    let (node, transport, port) = (&site.node, site.transport(), site.node_port());
    let name = format!("echo port-held-{}", node.name);
    let lab = site.topology.lab.as_str();
    let args = format!("echo --lab {lab} --pod stranger --node {} --{transport} {port}", node.name);
    let holder = Process {
        host: node.name.clone(),
        netns: node.netns.clone(),
        args: words(&args),
        log: site.dir.log(&name),
        name: name.clone(),
    };
    let rule = format!("fib daddr type local {transport} dport {port} counter redirect to :{port}");
    let chain = chain("nat", "prerouting", "dstnat - 10", "accept", &rule);
    Ok(vec![
        Step::Process { name, after: Some(holder) },
        nft(node, "inet", "fault-port-held", &chain),
    ])
}
