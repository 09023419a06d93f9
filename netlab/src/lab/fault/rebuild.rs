//! A VXLAN device made anew with other parameters, since the kernel changes neither VNI nor port
//! of one that exists.

use super::{
    overlay::{fdb_line, neighbor_line},
    site::Site,
    step::{Plan, Step, words},
};
use crate::lab::{
    Host,
    topology::{Link, LinkKind},
};

/// Replaces the IPv4 VXLAN device by one of the same index and name, with everything that
/// stands on it.
pub(super) fn vxlan(site: &Site, node: &Host, change: impl Fn(&mut u32, &mut u16)) -> Plan {
    let link = site.vtep(node)?;
    let index = index_of(site, node, &link.name)?;
    let mut other = link.clone();
    if let LinkKind::Vxlan { vni, port, .. } = &mut other.kind {
        change(vni, port);
    }
    let undo = commands(node, link, &index);
    let mut lines = commands(node, &other, &index).into_iter();
    let Some(first) = lines.next() else { return Ok(Vec::new()) };
    // The first takes the device away; all of what undoes the change belongs to it.
    let undo = undo.into_iter().map(|line| (words(&line), String::new())).collect();
    let (netns, input) = (node.netns.clone(), String::new());
    let mut steps = vec![Step::Command { netns, line: words(&first), input, undo }];
    steps.extend(lines.map(|line| Step::command(node, &line, "")));
    Ok(steps)
}

/// /sys shows the namespace that it was mounted in, so `ip` is asked.
fn index_of(site: &Site, node: &Host, name: &str) -> Result<String, super::FaultError> {
    let shown = site.output(node, &format!("ip -o link show dev {name}"))?;
    match shown.split_once(':') {
        Some((index, _)) => Ok(index.trim().to_owned()),
        None => site.unfit(format!("{} has no {name}", node.name)),
    }
}

/// From the device's end to its last route.
fn commands(node: &Host, link: &Link, index: &str) -> Vec<String> {
    let LinkKind::Vxlan { vni, port, local, device } = &link.kind else { return Vec::new() };
    let name = &link.name;
    let mac = link.mac.map(|mac| format!(" address {mac}")).unwrap_or_default();
    let mut lines = vec![
        format!("ip link del {name}"),
        format!(
            "ip link add {name} index {index}{mac} mtu {} type vxlan id {vni} local {local} dev \
             {device} dstport {port} nolearning",
            link.mtu
        ),
        format!("ip link set {name} up"),
    ];
    let of_link = node.addresses.iter().filter(|address| address.device == *name);
    lines.extend(of_link.map(|address| format!("ip addr add {} dev {name}", address.net)));
    let of_link = node.neighbors.iter().filter(|neighbor| neighbor.device == *name);
    lines.extend(of_link.map(|neighbor| neighbor_line(neighbor, neighbor.mac)));
    let of_link = node.fdb.iter().filter(|fdb| fdb.device == *name);
    lines.extend(of_link.map(|fdb| fdb_line(fdb, fdb.destination)));
    let of_link = node.routes.iter().filter(|route| route.device == *name);
    lines.extend(of_link.map(|route| format!("ip route replace {route}")));
    lines
}
