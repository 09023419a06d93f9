//! From what was typed to namespaces, interfaces and hooks.

use std::collections::BTreeSet;

use anyhow::bail;
use netlab::{
    lab::{Role, Topology},
    netlink::{Connection, Netns},
    trace::{Hook, Interfaces, Place},
};

use super::{Outcome, cluster::Cluster, print, runtime};
use crate::cli::{CaptureArgs, capture::Way};

/// All hosts of a lab but the fabric, which is the wire between them.
const ALL: &str = "all";

/// Every interface.
const ANY: &str = "any";

/// The namespaces to capture in: those that were named, or this one.
pub(super) fn places(args: &CaptureArgs, cluster: Option<&Cluster>) -> anyhow::Result<Vec<Place>> {
    let mut places = Vec::new();
    if let Some(cluster) = cluster {
        for name in &args.place.nodes {
            places.extend(hosts(&cluster.topology, name, args)?);
        }
    }
    for name in &args.place.namespaces {
        let netns = Netns::open(name).map_err(|error| {
            let known = Netns::list().unwrap_or_default().join(", ");
            anyhow::Error::from(error)
                .context(format!("there is no network namespace {name}; `ip netns` lists: {known}"))
        })?;
        places.push(Place { name: name.clone(), netns });
    }
    if places.is_empty() {
        places.push(Place { name: String::new(), netns: Netns::current()? });
    }
    let mut seen = BTreeSet::new();
    places.retain(|place| seen.insert(place.netns.inode().unwrap_or(0)));
    Ok(places)
}

fn hosts(topology: &Topology, wanted: &str, args: &CaptureArgs) -> anyhow::Result<Vec<Place>> {
    let chosen: Vec<_> = topology
        .hosts
        .iter()
        .filter(|host| match wanted {
            ALL => host.role != Role::Fabric,
            name => host.name == name,
        })
        .collect();
    if chosen.is_empty() {
        let known: Vec<_> = topology.hosts.iter().map(|host| host.name.as_str()).collect();
        bail!(
            "lab {} has no host {wanted}; it has {}, and `all` means all but the fabric",
            args.place.name.name,
            known.join(", ")
        );
    }
    let place = |host: &netlab::lab::Host| {
        Ok(Place { name: host.name.clone(), netns: Netns::open(&host.netns)? })
    };
    chosen.into_iter().map(place).collect()
}

/// Host, interface and hook, as far as there are any.
pub(super) fn words<'a>(host: &'a str, interface: &'a str, hook: Hook) -> Vec<&'a str> {
    [host, interface, hook.name()].into_iter().filter(|word| !word.is_empty()).collect()
}

/// The interfaces that were named.
pub(super) fn interfaces(args: &CaptureArgs) -> Interfaces {
    match args.place.interfaces.as_slice() {
        [] => Interfaces::AllButLoopback,
        names if names.iter().any(|name| name == ANY) => Interfaces::All,
        names => Interfaces::Named(names.to_vec()),
    }
}

/// The hooks that were named, or meant; not none.
pub(super) fn hooks(args: &CaptureArgs) -> anyhow::Result<BTreeSet<Hook>> {
    let named: BTreeSet<Hook> = args.place.hooks.iter().map(|name| (*name).into()).collect();
    let way = args.choice.direction.filter(|way| *way != Way::Inout);
    if way.is_some() && (only_drops(args) || named == [Hook::Drop].into()) {
        bail!(
            "-Q in and -Q out: nobody knows which way a packet went that the kernel drops; leave \
             -Q out, or see the hooks of one way beside the drops, as in --drops --hook tc-in"
        );
    }
    let mut hooks: BTreeSet<Hook> = match (named.is_empty(), only_drops(args)) {
        (false, _) => named,
        // The datapath's own drops are told where its programs end.
        (true, true) => [Hook::XdpOut, Hook::NatIn, Hook::NatOut].into(),
        (true, false) => Hook::ALL.into_iter().filter(|hook| *hook != Hook::Drop).collect(),
    };
    if args.place.drops {
        hooks.insert(Hook::Drop);
    }
    match way {
        Some(Way::In) => hooks.retain(|hook| hook.is_inbound() != Some(false)),
        Some(Way::Out) => hooks.retain(|hook| hook.is_inbound() != Some(true)),
        Some(Way::Inout) | None => {}
    }
    if hooks.is_empty() {
        bail!("no hook is left to capture at: -Q leaves out all that --hook names");
    }
    Ok(hooks)
}

/// Whether nothing but drops is of interest.
pub(super) fn only_drops(args: &CaptureArgs) -> bool {
    args.place.drops && args.place.hooks.is_empty() && !args.print.follow
}

/// A port of a bridge: host, port and bridge.
pub(super) type Port = (String, String, String);

/// The ports of all bridges, or of what else has ports. What cannot be listed has none.
pub(super) async fn ports(places: &[Place]) -> Vec<Port> {
    let mut ports = Vec::new();
    for place in places {
        let links = match Connection::open(&place.netns) {
            Ok(connection) => connection.links().await.unwrap_or_default(),
            Err(_) => continue,
        };
        for link in &links {
            if let Some(master) = links.iter().find(|other| Some(other.index) == link.master) {
                ports.push((place.name.clone(), link.name.clone(), master.name.clone()));
            }
        }
    }
    ports
}

/// Prints the interfaces there are.
pub(super) fn list(args: &CaptureArgs) -> anyhow::Result<Outcome> {
    let places = places(args, Cluster::of(args)?.as_ref())?;
    let lines = runtime()?.block_on(async {
        let mut lines = String::new();
        for place in &places {
            for link in Connection::open(&place.netns)?.links().await? {
                let state = if link.up { "up" } else { "down" };
                let host = if place.name.is_empty() { "" } else { &format!("{} ", place.name) };
                lines += &format!("{host}{} [{state}]\n", link.name);
            }
        }
        anyhow::Ok(lines)
    })?;
    print(&lines)
}
