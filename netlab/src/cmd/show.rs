//! `netlab show`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use netlab::{
    datapath::{self, load::Maps, tables::observe, view},
    lab::{LabDir, LabName, Proxy, Role},
    netlink::{Connection, Netns},
    spec::{Spec, read_directory},
};
use serde::Serialize;

use super::{Outcome, output};
use crate::cli::{Output, ShowArgs, Table};

/// A row with the node that it is from.
#[derive(Serialize)]
struct OnNode<T> {
    node: String,
    #[serde(flatten)]
    row: T,
}

/// A node to look at.
struct Node {
    name: String,
    pins: PathBuf,
    /// None for the host that this runs on.
    netns: Option<String>,
}

/// Prints one table of one node, or of all.
///
/// # Errors
///
/// Where there is no such lab or node, or its agent's maps cannot be read.
pub fn run(args: &ShowArgs) -> anyhow::Result<Outcome> {
    let (nodes, spec) = match &args.pin {
        Some(pins) => (vec![this_host(pins.clone())], Spec::default()),
        None => of_lab(args)?,
    };
    if args.pin.is_none() && !matches!(args.table, Table::Routes | Table::Fdb) {
        require_maps(&args.name.name, &nodes)?;
    }
    match args.table {
        Table::Services => {
            let rows = of_maps(&nodes, |maps| Ok(view::services(&observe(maps)?, &spec)))?;
            show(args.output, &rows, &["SERVICE", "FRONTEND", "PROTO", "BACKENDS"], |row| {
                vec![
                    row.service.clone(),
                    row.frontend.clone(),
                    row.protocol.into(),
                    row.backends.to_string(),
                ]
            })
        }
        Table::Backends => show_backends(args.output, &nodes, &spec),
        Table::Conntrack => show_conntrack(args.output, &nodes),
        Table::Counters => {
            let mut rows = of_maps(&nodes, view::counters)?;
            if args.output == Output::Table {
                rows.retain(|row| row.row.packets > 0);
            }
            show(args.output, &rows, &["HOOK", "GROUP", "NAME", "PACKETS", ""], |row| {
                vec![
                    row.hook.into(),
                    row.group.into(),
                    row.name.into(),
                    row.packets.to_string(),
                    row.explanation.unwrap_or_default().into(),
                ]
            })
        }
        Table::Routes => show_routes(args.output, &nodes),
        Table::Fdb => show_fdb(args.output, &nodes),
    }
}

fn show_backends(output: Output, nodes: &[Node], spec: &Spec) -> anyhow::Result<Outcome> {
    let rows = of_maps(nodes, |maps| Ok(view::backends(&observe(maps)?, spec)))?;
    show(output, &rows, &["SERVICE", "SLOT", "BACKEND", "PLACE", "MASQUERADE"], |row| {
        vec![
            row.service.clone(),
            row.slot.to_string(),
            row.backend.to_string(),
            row.place.into(),
            row.masquerade.clone().unwrap_or_else(|| "-".into()),
        ]
    })
}

fn show_conntrack(output: Output, nodes: &[Node]) -> anyhow::Result<Outcome> {
    let rows = of_maps(nodes, view::read_connections)?;
    let columns =
        ["PROTO", "STATE", "CLIENT", "FRONTEND", "AS", "BACKEND", "EXPIRES", "OUT", "BACK"];
    show(output, &rows, &columns, |row| {
        vec![
            row.protocol.into(),
            row.state.into(),
            row.client.to_string(),
            row.frontend.to_string(),
            row.source.to_string(),
            row.backend.to_string(),
            format!("{} s", row.expires_in),
            format!("{} pkt, {} B", row.packets, row.bytes),
            format!("{} pkt, {} B", row.reply_packets, row.reply_bytes),
        ]
    })
}

/// Refuses to show maps of a lab that has none, and names what it has in their place.
fn require_maps(name: &LabName, nodes: &[Node]) -> anyhow::Result<()> {
    let Some(record) = LabDir::new(name).record()? else { return Ok(()) };
    let node = nodes.first().map_or("NODE", |node| node.name.as_str());
    let rules = match record.options.proxy {
        Proxy::Ebpf => return Ok(()),
        Proxy::None => bail!("nobody answers node ports in lab {name} (--proxy none)"),
        Proxy::Nftables => "nft list table ip kube-proxy",
        Proxy::Iptables => "iptables-save",
    };
    bail!(
        "in lab {name} the kernel's netfilter answers node ports (--proxy {}), not netlab's \
         programs: there are no tables of netlab's to show. Its rules: netlab lab exec --name \
         {name} {node} -- {rules}; its connections: conntrack -L in the same place",
        record.options.proxy
    );
}

/// Runs `read` on the maps of each node's agent.
fn of_maps<T>(
    nodes: &[Node],
    read: impl Fn(&Maps) -> datapath::Result<Vec<T>>,
) -> anyhow::Result<Vec<OnNode<T>>> {
    let mut rows = Vec::new();
    for node in nodes {
        let maps = Maps::open(&node.pins)
            .with_context(|| format!("no agent has maps for node {:?}", node.name))?;
        let found = read(&maps)?;
        rows.extend(found.into_iter().map(|row| OnNode { node: node.name.clone(), row }));
    }
    Ok(rows)
}

/// A route, by names.
#[derive(Serialize)]
struct RouteRow {
    destination: String,
    via: Option<String>,
    device: String,
    onlink: bool,
}

fn show_routes(output: Output, nodes: &[Node]) -> anyhow::Result<Outcome> {
    let rows = of_network(nodes, async |connection| {
        let links = connection.links().await?;
        let routes = connection.routes().await?;
        Ok(routes
            .into_iter()
            .map(|route| RouteRow {
                destination: route.destination.to_string(),
                via: route.gateway.map(|gateway| gateway.to_string()),
                device: name_of(&links, route.device),
                onlink: route.onlink,
            })
            .collect())
    })?;
    show(output, &rows, &["DESTINATION", "VIA", "DEVICE", "ONLINK"], |row| {
        vec![
            row.destination.clone(),
            row.via.clone().unwrap_or_else(|| "-".into()),
            row.device.clone(),
            if row.onlink { "onlink".into() } else { String::new() },
        ]
    })
}

/// An FDB entry, by names.
#[derive(Serialize)]
struct FdbRow {
    device: String,
    mac: String,
    vtep: Option<String>,
    permanent: bool,
}

fn show_fdb(output: Output, nodes: &[Node]) -> anyhow::Result<Outcome> {
    let rows = of_network(nodes, async |connection| {
        let links = connection.links().await?;
        let entries = connection.fdb().await?;
        Ok(entries
            .into_iter()
            .map(|entry| FdbRow {
                device: name_of(&links, Some(entry.device)),
                mac: entry.mac.to_string(),
                vtep: entry.destination.map(|address| address.to_string()),
                permanent: entry.permanent,
            })
            .collect())
    })?;
    show(output, &rows, &["DEVICE", "MAC", "VTEP", ""], |row| {
        vec![
            row.device.clone(),
            row.mac.clone(),
            row.vtep.clone().unwrap_or_else(|| "-".into()),
            if row.permanent { "permanent".into() } else { String::new() },
        ]
    })
}

/// Runs `read` on the network of each node.
fn of_network<T>(
    nodes: &[Node],
    read: impl AsyncFn(&Connection) -> anyhow::Result<Vec<T>>,
) -> anyhow::Result<Vec<OnNode<T>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut rows = Vec::new();
        for node in nodes {
            let netns = node.netns.as_deref().map_or_else(Netns::current, Netns::open)?;
            let connection = Connection::open(&netns)?;
            let found = read(&connection).await?;
            rows.extend(found.into_iter().map(|row| OnNode { node: node.name.clone(), row }));
        }
        Ok(rows)
    })
}

fn name_of(links: &[netlab::netlink::Link], index: Option<u32>) -> String {
    let link = links.iter().find(|link| Some(link.index) == index);
    link.map_or_else(|| "-".into(), |link| link.name.clone())
}

fn this_host(pins: PathBuf) -> Node {
    Node { name: "-".into(), pins, netns: None }
}

fn of_lab(args: &ShowArgs) -> anyhow::Result<(Vec<Node>, Spec)> {
    let lab = LabDir::new(&args.name.name);
    let nodes = nodes(&lab, &args.name.name, args.node.as_deref())?;
    // A broken manifest must not hide what the kernel has; names are then numbers.
    let spec = read_directory(&lab.manifests())
        .and_then(|objects| objects.resolve())
        .inspect_err(|error| log::warn!("{error}; Services are shown by number"))
        .unwrap_or_default();
    Ok((nodes, spec))
}

/// The lab's nodes, or the one that was named.
fn nodes(lab: &LabDir, name: &LabName, wanted: Option<&str>) -> anyhow::Result<Vec<Node>> {
    let Some(topology) = lab.topology()? else {
        bail!("there is no lab {:?}; make one with: netlab lab up --name {name}", name.as_str());
    };
    let hosts = topology.hosts.iter().filter(|host| host.role == Role::Node);
    let all: Vec<&str> = hosts.map(|host| host.name.as_str()).collect();
    if let Some(wanted) = wanted.filter(|wanted| !all.contains(wanted)) {
        bail!("lab {:?} has no node {wanted:?}; it has {}", name.as_str(), all.join(", "));
    }
    let shown = all.into_iter().filter(|node| wanted.is_none_or(|wanted| wanted == *node));
    Ok(shown
        .map(|node| Node {
            name: node.to_owned(),
            pins: lab.pins().join(node),
            netns: Some(name.netns(node)),
        })
        .collect())
}

fn show<T: Serialize>(
    output: Output,
    rows: &[OnNode<T>],
    columns: &[&str],
    cells: impl Fn(&T) -> Vec<String>,
) -> anyhow::Result<Outcome> {
    match output {
        Output::Table => {
            let mut header = vec!["NODE"];
            header.extend(columns);
            let mut table = output::table(&header);
            for OnNode { node, row } in rows {
                table.add_row(std::iter::once(node.clone()).chain(cells(row)));
            }
            output::print(&format!("{}\n", table.trim_fmt()))
        }
        Output::Json => output::print_json(&rows),
        Output::Yaml => output::print_yaml(&rows),
    }
}
