//! Offloads of the links that a cell's packets pass.
//!
//! Both ends of the underlay's veths are read: an XDP program on a veth takes segmentation off
//! its *peer*, which is the fabric's port.

use std::collections::BTreeMap;

use super::{CompareError, result::CellConditions};
use crate::{
    lab::{Host, Role, Topology, UPLINK},
    netlink::{
        Netns,
        ethtool::{self, Offload},
    },
};

/// Those that are on, as ethtool calls them, by host and interface.
pub type Offloads = BTreeMap<String, Vec<String>>;

/// Reads those of the uplinks of these hosts, and of the fabric's ports to them.
pub(super) fn read(topology: &Topology, hosts: &[&Host]) -> Result<Offloads, CompareError> {
    let uplinks = hosts.iter().map(|host| (*host, UPLINK));
    let fabric = topology.hosts.iter().filter(|host| host.role == Role::Fabric);
    let ports = fabric.flat_map(|fabric| fabric.links.iter().map(move |link| (fabric, link)));
    let ports = ports.filter(|(_, link)| hosts.iter().any(|host| link.leads_to_uplink(&host.name)));
    let ports = ports.map(|(fabric, link)| (fabric, link.name.as_str()));
    let mut all = Offloads::new();
    for (host, link) in uplinks.chain(ports) {
        let netns = Netns::open(&host.netns)?;
        let mut on = Vec::new();
        for offload in Offload::ALL {
            if ethtool::get(&netns, link, offload)? {
                on.push(offload.letters().to_owned());
            }
        }
        all.insert(format!("{} {link}", host.name), on);
    }
    Ok(all)
}

/// The offloads of several cells, what all have in common told once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// Where all cells have the same.
    pub all: Offloads,
    /// The others, with the cells that have them; none where there are none.
    pub some: Vec<(Vec<String>, Offloads)>,
}

impl Shared {
    /// Of cells by their names.
    #[must_use]
    pub fn of(cells: &BTreeMap<String, CellConditions>) -> Self {
        let mut all = cells.values().next().map(|cell| cell.offloads.clone()).unwrap_or_default();
        all.retain(|place, on| cells.values().all(|cell| cell.offloads.get(place) == Some(on)));
        let mut some: Vec<(Vec<String>, Offloads)> = Vec::new();
        for (name, cell) in cells {
            let mut own = cell.offloads.clone();
            own.retain(|place, _| !all.contains_key(place));
            match some.iter_mut().find(|(_, offloads)| *offloads == own) {
                Some((names, _)) => names.push(name.clone()),
                None => some.push((vec![name.clone()], own)),
            }
        }
        some.retain(|(_, offloads)| !offloads.is_empty());
        Self { all, some }
    }
}

/// In words; places with the same come together.
#[must_use]
pub fn words(offloads: &Offloads) -> String {
    let mut groups: Vec<(&Vec<String>, Vec<&str>)> = Vec::new();
    for (place, on) in offloads {
        match groups.iter_mut().find(|(of, _)| *of == on) {
            Some((_, places)) => places.push(place),
            None => groups.push((on, vec![place])),
        }
    }
    let say = |(on, places): (&Vec<String>, Vec<&str>)| {
        let on = if on.is_empty() { "none".to_owned() } else { on.join(" ") };
        format!("{}: {on}", places.join(", "))
    };
    groups.into_iter().map(say).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(port: &[&str]) -> CellConditions {
        let list = |on: &[&str]| on.iter().map(ToString::to_string).collect();
        let places = [("client eth0", &["tx", "tso"][..]), ("fabric node-1", port)];
        let offloads = places.map(|(place, on)| (place.to_owned(), list(on))).into();
        CellConditions { offloads, ..CellConditions::default() }
    }

    #[test]
    fn what_all_cells_have_is_told_once_and_the_rest_by_cell() {
        let cells = [("a", cell(&["tx", "tso"])), ("b", cell(&["gro"])), ("c", cell(&["gro"]))];
        let cells = cells.map(|(name, cell)| (name.to_owned(), cell)).into();
        let Shared { all, some } = Shared::of(&cells);
        assert_eq!(words(&all), "client eth0: tx tso");
        let some: Vec<_> = some.iter().map(|(cells, of)| (cells.join(" "), words(of))).collect();
        let told = [("a", "fabric node-1: tx tso"), ("b c", "fabric node-1: gro")];
        assert_eq!(some, told.map(|(cells, of)| (cells.to_owned(), of.to_owned())));
    }

    #[test]
    fn where_nothing_differs_no_cell_is_named() {
        let cells = [("a", cell(&["tx", "tso"])), ("b", cell(&["tx", "tso"]))];
        let cells = cells.map(|(name, cell)| (name.to_owned(), cell)).into();
        let Shared { all, some } = Shared::of(&cells);
        assert_eq!(words(&all), "client eth0, fabric node-1: tx tso");
        assert_eq!(some, []);
        assert_eq!(Shared::of(&BTreeMap::new()), Shared::default());
        assert_eq!(words(&[("far eth0".to_owned(), Vec::new())].into()), "far eth0: none");
    }
}
