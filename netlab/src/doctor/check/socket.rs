//! Rows 24 and 27: sockets of the node on the node port, and listeners whose queue is full.

use std::{collections::BTreeSet, net::SocketAddr};

use super::Asked;
use crate::{
    doctor::{
        facts::{
            Facts, HostFacts, Role, Source,
            socket::{Owner, TcpListener},
        },
        finding::{Code, Confidence, Finding, Severity},
        path::redirected,
    },
    spec::model::Protocol,
};

pub(super) fn check(facts: &Facts, asked: &[Asked<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (host, _) in facts.nodes() {
        findings.extend(ephemeral(asked, host));
        findings.extend(held(asked, host));
    }
    for host in facts.hosts.iter().filter(|host| matches!(host.role, Role::Pod { .. })) {
        findings.extend(full(asked, host));
    }
    findings
}

/// Row 24: somebody else has the port. Translation comes first where it is programmed, so it is
/// the node itself, and whoever is not translated, that meet the other program.
fn held(asked: &[Asked<'_>], host: &HostFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (service, port, node_port) in asked {
        let tcp = host.listeners.iter().map(|socket| (socket.address, &socket.owner));
        let udp = host.udp.iter().filter(|socket| socket.peer.is_none());
        let udp = udp.map(|socket| (socket.address, &socket.owner));
        let sockets: Vec<(SocketAddr, &Option<Owner>)> = match port.protocol {
            Protocol::Tcp => tcp.collect(),
            Protocol::Udp => udp.collect(),
        };
        let is_there = |of: &&(SocketAddr, &Option<Owner>)| {
            of.0.port() == *node_port && !of.0.ip().is_loopback()
        };
        let Some((address, owner)) = sockets.iter().find(is_there) else { continue };
        // A rule brings it what clients dial: that is what to take away.
        if let Some(finding) = redirected(host, *node_port, port.protocol.number()) {
            // Nobody was seen to dial, and what the rule is for is not known.
            findings.push(finding.severity(Severity::Risk).confidence(Confidence::Possible));
            continue;
        }
        let Some(owner) = owner else { continue };
        let cause = format!(
            "process {} ({}) of {} holds {} port {node_port}, the node port of Service {}",
            owner.command, owner.pid, host.name, port.protocol, service.name
        );
        findings.push(
            Finding::broken(Code::PortHeld, Some(&host.name), cause)
                .severity(Severity::Risk)
                .shown(
                    Source::Sockets,
                    format!(
                        "{} LISTEN {address}: {} (process {})",
                        port.protocol, owner.command, owner.pid
                    ),
                )
                .advised("Have the program use another port, or the Service"),
        );
    }
    findings
}

/// Row 24: the kernel may give the node port to any local socket.
fn ephemeral(asked: &[Asked<'_>], host: &HostFacts) -> Option<Finding> {
    let range = host.sysctl("ipv4/ip_local_port_range")?;
    let mut ends = range.split_whitespace().map(str::parse::<u16>);
    let (Some(Ok(low)), Some(Ok(high))) = (ends.next(), ends.next()) else { return None };
    let reserved = host.sysctl("ipv4/ip_local_reserved_ports").unwrap_or_default();
    let is_reserved = |port: u16| {
        reserved.split(',').any(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            matches!((from.trim().parse(), to.trim().parse()), (Ok(from), Ok(to)) if (from..=to).contains(&port))
        })
    };
    let is_given_away = |port: u16| (low..=high).contains(&port) && !is_reserved(port);
    let (service, _, node_port) = asked.iter().find(|(_, _, port)| is_given_away(*port))?;
    let cause = format!(
        "node port {node_port} of Service {} is among the ports that {} gives to local sockets",
        service.name, host.name
    );
    // The switch takes the whole list, so what is reserved has to stay in it.
    let ports: BTreeSet<u16> =
        asked.iter().map(|of| of.2).filter(|of| is_given_away(*of)).collect();
    let kept = Some(reserved.trim()).filter(|list| !list.is_empty()).map(str::to_owned);
    let list: Vec<_> = kept.into_iter().chain(ports.iter().map(u16::to_string)).collect();
    let reserve = format!("net.ipv4.ip_local_reserved_ports={}", list.join(","));
    Some(
        Finding::broken(Code::PortEphemeral, Some(&host.name), cause)
            .severity(Severity::Risk)
            .shown(Source::Sysctls, format!("net.ipv4.ip_local_port_range = {low} {high}"))
            .mended(["sysctl", "-w", &reserve], "Keep node ports from local sockets"),
    )
}

/// Row 27.
fn full(asked: &[Asked<'_>], host: &HostFacts) -> Vec<Finding> {
    let is_target = |address: SocketAddr| {
        asked.iter().any(|(_, port, _)| {
            port.protocol == Protocol::Tcp
                && port.endpoints.iter().any(|endpoint| {
                    endpoint.port.get() == address.port() && host.has_address(endpoint.address)
                })
        })
    };
    // The kernel takes one more than was asked for.
    let full = host.listeners.iter().filter(|of| of.accept_queue > of.backlog);
    let find = |of: &TcpListener| {
        let owner = of.owner.as_ref().map_or("the program", |owner| owner.command.as_str());
        let cause = format!(
            "{owner} in {} does not accept: {} connections wait, and its queue takes {}",
            host.name, of.accept_queue, of.backlog
        );
        Finding::broken(Code::BacklogFull, Some(&host.name), cause)
            .shown(
                Source::Sockets,
                format!("{} Recv-Q {} Send-Q {}", of.address, of.accept_queue, of.backlog),
            )
            .advised("Find out why the program does not accept, and restart it")
    };
    full.filter(|of| is_target(of.address)).map(find).collect()
}
