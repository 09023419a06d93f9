//! Rows 10 to 12: connection tables that are full, ports to masquerade with that are all taken,
//! and UDP flows that go to a pod of the past.

use std::net::SocketAddr;

use super::Asked;
use crate::{
    doctor::{
        facts::{
            Facts, HostFacts, Source,
            datapath::{Datapath, PortUse},
        },
        finding::{Code, Finding, Severity},
    },
    spec::model::Protocol,
};

pub(super) fn check(facts: &Facts, asked: &[Asked<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (host, _) in facts.nodes() {
        findings.extend(full(host));
        findings.extend(exhausted(asked, host));
        findings.extend(stale(asked, host));
    }
    findings
}

/// Row 10. netlab's own table forgets the oldest instead, and is never full.
fn full(host: &HostFacts) -> Option<Finding> {
    let table = host.conntrack.as_ref()?;
    let key = "net.netfilter.nf_conntrack_max";
    let (is, severity) = match () {
        () if table.is_full() => ("full", Severity::Broken),
        () if table.percent() >= 95 => ("nearly full", Severity::Risk),
        () => return None,
    };
    let cause = format!(
        "the conntrack table of {} is {is}: {} of {} entries; new connections are dropped where \
         it has no room",
        host.name, table.count, table.max
    );
    let more = format!("{key}={}", table.max.saturating_mul(2));
    let finding = Finding::broken(Code::ConntrackFull, Some(&host.name), cause)
        .severity(severity)
        .shown(Source::Conntrack, format!("nf_conntrack_count = {}", table.count))
        .shown(Source::Conntrack, format!("nf_conntrack_max = {}", table.max));
    let words = "Make room; then find out who opens so many";
    Some(match &host.netns {
        None => finding.mended(["sysctl", "-w", &more], words),
        // The limit is the machine's, and the kernel lets nobody set it from a namespace.
        Some(_) => finding.advised(format!("{words}: on the machine itself, sysctl -w {more}")),
    })
}

/// Row 11, of netlab's programs: towards the backends that were asked about.
fn exhausted(asked: &[Asked<'_>], host: &HostFacts) -> Vec<Finding> {
    let Some(datapath) = &host.datapath else { return Vec::new() };
    let (low, high) = datapath.config.snat_ports;
    let ports = usize::from(high.saturating_sub(low)) + 1;
    let is_asked = |of: &&PortUse| {
        let mut endpoints = asked.iter().flat_map(|(_, port, _)| {
            port.endpoints.iter().map(|to| (port.protocol.number(), to.address, to.port.get()))
        });
        endpoints.any(|to| to == (of.protocol, of.backend.ip(), of.backend.port()))
    };
    let taken = datapath.conntrack.port_use.iter().filter(|of| of.ports >= ports).filter(is_asked);
    let find = |of: &PortUse| {
        let (from, to, taken) = (of.masquerade, of.backend, of.ports.min(ports));
        no_port_left(host, datapath, Some(to))
            .shown(Source::Datapath, format!("ports {low}-{high} of {from} to {to}: {taken} taken"))
    };
    taken.map(find).collect()
}

/// Row 11, towards a backend, or towards one that nobody has named.
pub(in crate::doctor) fn no_port_left(
    host: &HostFacts,
    datapath: &Datapath,
    backend: Option<SocketAddr>,
) -> Finding {
    let (low, high) = datapath.config.snat_ports;
    let towards = backend.map_or_else(|| "other nodes' pods".to_owned(), |to| to.to_string());
    let (all, are) = match high.saturating_sub(low) {
        0 => (format!("the one port, {low},"), "is"),
        _ => (format!("all ports from {low} to {high}"), "are"),
    };
    let cause = format!(
        "{all} with which {} masquerades towards {towards} {are} taken, so new connections to \
         {} are dropped",
        host.name,
        if backend.is_some() { "it" } else { "them" }
    );
    Finding::broken(Code::SnatPortsExhausted, Some(&host.name), cause)
        .advised("Start the agent with a wider --snat-ports, or spread the load over more backends")
}

/// Row 12: UDP flows from a client to a node port that are translated to no endpoint.
fn stale(asked: &[Asked<'_>], host: &HostFacts) -> Vec<Finding> {
    const UDP: u8 = Protocol::Udp.number();
    let mut findings = Vec::new();
    for &(service, port, node_port) in asked {
        if port.protocol != Protocol::Udp {
            continue;
        }
        let is_endpoint = |backend: SocketAddr| {
            port.endpoints.iter().any(|endpoint| {
                (endpoint.address, endpoint.port.get()) == (backend.ip(), backend.port())
            })
        };
        let of_kernel = host.conntrack.iter().flat_map(|table| &table.connections);
        let of_kernel = of_kernel
            .filter(|connection| connection.protocol == UDP)
            .map(|connection| (connection.original.0, connection.original.1, connection.reply.0));
        let of_netlab = host.datapath.iter().flat_map(|datapath| &datapath.conntrack.connections);
        let of_netlab = of_netlab
            .filter(|connection| connection.protocol == UDP)
            .map(|connection| (connection.client, connection.frontend, connection.backend));
        for (client, dialled, backend) in of_kernel.chain(of_netlab) {
            let is_ours = dialled.port() == node_port && host.has_address(dialled.ip());
            // One that was never translated is answered by the node itself, or by nobody.
            if !is_ours || backend == dialled || is_endpoint(backend) {
                continue;
            }
            let cause = format!(
                "{} still translates UDP from {client} to {backend}, which is no endpoint of \
                 Service {} any more",
                host.name, service.name
            );
            let (address, node_port) = (dialled.ip().to_string(), node_port.to_string());
            let command =
                ["conntrack", "-D", "-p", "udp", "--orig-dst", &address, "--dport", &node_port];
            findings.push(
                Finding::broken(Code::StaleUdpState, Some(&host.name), cause)
                    .severity(Severity::Impaired)
                    .shown(
                        Source::Conntrack,
                        format!("udp {client} > {dialled}, answers from {backend}"),
                    )
                    .mended(
                        command,
                        "Forget these flows, so that the next datagram is translated anew",
                    ),
            );
            break;
        }
    }
    findings
}
