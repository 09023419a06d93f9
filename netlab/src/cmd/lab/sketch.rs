//! The lab as a person would sketch it.

use std::fmt::Write as _;

use netlab::lab::{
    Proxy, Role, Underlay,
    status::{AgentReport, HostStatus, Status},
};

use crate::cmd::output;

/// Draws hosts from the client inwards, then the services, then what is wrong.
pub(super) fn draw(status: &Status, color: bool) -> String {
    let options = &status.options;
    let mut text = format!(
        "lab {}: {} over {}, MTU {}, proxy {}",
        options.name, options.mode, options.underlay, options.mtu, options.proxy
    );
    if options.proxy == Proxy::Ebpf {
        let _ = write!(text, ", hook {}", options.hook);
    }
    text.push_str("\n\n");
    for role in [Role::Client, Role::Fabric] {
        if let Some(host) = status.hosts.iter().find(|host| host.role == role) {
            let what = match (&role, options.underlay) {
                (Role::Fabric, Underlay::L2) => "switch".to_owned(),
                (Role::Fabric, Underlay::Routed) => format!("router  {}", addresses(host)),
                _ => addresses(host),
            };
            let _ = writeln!(text, "  {}  {what}{}\n    |", host.name, absent(host));
        }
    }
    let nodes: Vec<_> = status.hosts.iter().filter(|host| host.role == Role::Node).collect();
    for (index, node) in nodes.iter().enumerate() {
        let rail = if index + 1 == nodes.len() { " " } else { "|" };
        draw_node(&mut text, status, node, rail);
    }
    text.push_str(&services(status));
    for sentence in &status.not_honoured {
        let _ = writeln!(text, "note: {sentence}");
    }
    if !status.faults.is_empty() {
        let clear = match options.name.as_str() {
            "lab" => String::new(),
            name => format!(" --name {name}"),
        };
        let faults = status.faults.join(", ");
        let _ = writeln!(text, "faults: {faults}; netlab lab fault clear{clear} undoes them");
    }
    for problem in &status.problems {
        let (on, off) = if color { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let _ = writeln!(text, "{on}problem{off}: {problem}");
    }
    text
}

fn draw_node(text: &mut String, status: &Status, node: &HostStatus, rail: &str) {
    let _ = writeln!(text, "    +-- {}  {}{}", node.name, addresses(node), absent(node));
    if let Some(agent) = status.agents.iter().find(|agent| agent.node == node.name) {
        let _ = writeln!(text, "    {rail}   |   agent: {}", describe(agent));
    }
    let networks: Vec<_> = node.pod_cidrs.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "    {rail}   |   cni0: {}", networks.join("  "));
    let pods = status
        .hosts
        .iter()
        .filter(|host| matches!(&host.role, Role::Pod { node: of, .. } if *of == node.name));
    for pod in pods {
        let listens = match pod.listens.as_slice() {
            [] => String::new(),
            ports => format!("  {}", ports.join(", ")),
        };
        let (addresses, absent) = (addresses(pod), absent(pod));
        let _ = writeln!(text, "    {rail}   +-- {}  {addresses}{listens}{absent}", pod.name);
    }
    let _ = writeln!(text, "{}", format!("    {rail}").trim_end());
}

fn describe(agent: &AgentReport) -> String {
    let Some(pid) = agent.pid else { return "not running".to_owned() };
    match &agent.status {
        None => format!("pid {pid}, starting"),
        Some(status) => {
            let what = if status.tool.is_empty() { &status.hook } else { &status.tool };
            let mut text = format!("{what}, pid {pid}, generation {}", status.generation);
            if let Some(error) = &status.error {
                let _ = write!(text, ", {error}");
            }
            text
        }
    }
}

fn addresses(host: &HostStatus) -> String {
    host.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join("  ")
}

fn absent(host: &HostStatus) -> &'static str {
    if host.present { "" } else { "  (missing)" }
}

fn services(status: &Status) -> String {
    if status.services.is_empty() {
        return String::new();
    }
    let mut table = output::table(&["SERVICE", "CLUSTER-IP", "PORT", "NODE PORT", "ENDPOINTS"]);
    for service in &status.services {
        let cluster: Vec<_> = service.cluster_addresses.iter().map(ToString::to_string).collect();
        for port in &service.ports {
            let endpoints: Vec<_> = port
                .endpoints
                .iter()
                .map(|endpoint| {
                    let address = std::net::SocketAddr::new(endpoint.address, endpoint.port.get());
                    let not = if endpoint.ready { "" } else { " (not ready)" };
                    format!("{address}{not}")
                })
                .collect();
            table.add_row([
                service.name.to_string(),
                if cluster.is_empty() { "none".to_owned() } else { cluster.join("\n") },
                format!("{}/{}", port.port, port.protocol),
                port.node_port.map_or_else(|| "-".to_owned(), |port| port.to_string()),
                if endpoints.is_empty() { "none".to_owned() } else { endpoints.join("\n") },
            ]);
        }
    }
    output::drawn(&table) + "\n"
}
