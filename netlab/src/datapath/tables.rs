//! Making the maps agree with what was compiled.
//!
//! Order: backends before the frontends that count them, and away only after them, so
//! that a packet at any moment finds every slot that its frontend promises.

use std::collections::BTreeMap;

use aya::{
    Pod,
    maps::{HashMap, IterableMap, MapData, MapError},
};
use netlab_common::{
    abi::{Backend, BackendKey, Config, Frontend, FrontendKey, Vtep, VtepKey, map},
    flow::Addr,
};

use super::{
    Error, Result,
    compile::Tables,
    load::{Maps, broken},
};
use crate::plan::{Plan, Step, difference};

/// The ordered difference between two [`Tables`].
#[derive(Debug)]
pub struct TablesPlan {
    frontends: Plan<FrontendKey, Frontend>,
    backends: Plan<BackendKey, Backend>,
    node_addresses: Plan<Addr, u32>,
}

impl TablesPlan {
    /// What has to be done for `present` to become `desired`.
    #[must_use]
    pub fn new(desired: &Tables, present: &Tables) -> Self {
        Self {
            frontends: difference(&desired.frontends, &present.frontends),
            backends: difference(&desired.backends, &present.backends),
            node_addresses: difference(&desired.node_addresses, &present.node_addresses),
        }
    }

    /// Number of map entries that it touches.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frontends.len() + self.backends.len() + self.node_addresses.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Backend address, port and protocol of the endpoints that are in no slot of their
    /// Service any more.
    #[must_use]
    pub fn removed_backends(&self, desired: &Tables) -> Vec<(u32, Backend)> {
        let stays = |service, backend: &Backend| {
            let slots = BackendKey { service, slot: 0 }..=BackendKey { service, slot: u32::MAX };
            desired
                .backends
                .range(slots)
                .any(|(_, other)| (other.addr, other.port) == (backend.addr, backend.port))
        };
        let gone = self.backends.steps().iter().filter_map(|step| match step {
            Step::Update { key, from, .. } => Some((key.service, *from)),
            Step::Delete(key, from) => Some((key.service, *from)),
            Step::Create(..) => None,
        });
        gone.filter(|(service, backend)| !stays(*service, backend)).collect()
    }
}

/// What is in the maps now.
///
/// # Errors
///
/// Where a map cannot be read.
pub fn observe(maps: &Maps) -> Result<Tables> {
    Ok(Tables {
        frontends: read(&maps.frontends).map_err(broken("read", map::FRONTENDS))?,
        backends: read(&maps.backends).map_err(broken("read", map::BACKENDS))?,
        node_addresses: read(&maps.node_addresses).map_err(broken("read", map::NODE_ADDRESSES))?,
    })
}

/// Refuses what the maps have no room for, before anything is written.
///
/// # Errors
///
/// [`Error::Full`] with the map and its room.
pub fn check_room(maps: &Maps, desired: &Tables) -> Result<()> {
    let Tables { frontends, backends, node_addresses } = desired;
    fits(&maps.frontends, map::FRONTENDS, "node ports, by family", frontends.len())?;
    fits(&maps.backends, map::BACKENDS, "endpoints of node ports", backends.len())?;
    fits(&maps.node_addresses, map::NODE_ADDRESSES, "addresses of the node", node_addresses.len())
}

fn fits<K: Pod, V: Pod>(
    present: &HashMap<MapData, K, V>,
    map: &'static str,
    what: &'static str,
    wanted: usize,
) -> Result<()> {
    let info = IterableMap::map(present).info().map_err(broken("look at", map))?;
    let room = info.max_entries();
    if u32::try_from(wanted).is_ok_and(|wanted| wanted <= room) {
        Ok(())
    } else {
        Err(Error::Full { map, what, wanted, room })
    }
}

/// Carries a plan out.
///
/// # Errors
///
/// Where a map cannot be written; what was done until then stays, and a new plan from
/// what is then observed carries on.
pub fn apply(maps: &mut Maps, plan: &TablesPlan) -> Result<()> {
    write(&mut maps.backends, &plan.backends).map_err(broken("write", map::BACKENDS))?;
    write(&mut maps.frontends, &plan.frontends).map_err(broken("write", map::FRONTENDS))?;
    write(&mut maps.node_addresses, &plan.node_addresses)
        .map_err(broken("write", map::NODE_ADDRESSES))?;
    erase(&mut maps.node_addresses, &plan.node_addresses)
        .map_err(broken("write", map::NODE_ADDRESSES))?;
    erase(&mut maps.frontends, &plan.frontends).map_err(broken("write", map::FRONTENDS))?;
    erase(&mut maps.backends, &plan.backends).map_err(broken("write", map::BACKENDS))
}

/// Configures the programs; until then they pass everything.
///
/// # Errors
///
/// Where the map cannot be written.
pub fn configure(maps: &mut Maps, config: &Config) -> Result<()> {
    maps.config.set(0, config, 0).map_err(broken("write", map::CONFIG))
}

/// Makes the copy of the FDB agree with `desired`.
///
/// # Errors
///
/// Where the map cannot be read or written.
pub fn apply_vteps(maps: &mut Maps, desired: &BTreeMap<VtepKey, Vtep>) -> Result<()> {
    let present = read(&maps.vteps).map_err(broken("read", map::VTEPS))?;
    let plan = difference(desired, &present);
    write(&mut maps.vteps, &plan).map_err(broken("write", map::VTEPS))?;
    erase(&mut maps.vteps, &plan).map_err(broken("write", map::VTEPS))
}

fn read<K: Pod + Ord, V: Pod>(map: &HashMap<MapData, K, V>) -> Result<BTreeMap<K, V>, MapError> {
    map.iter().collect()
}

fn write<K: Pod, V: Pod>(
    map: &mut HashMap<MapData, K, V>,
    plan: &Plan<K, V>,
) -> Result<(), MapError> {
    for step in plan.steps() {
        if let Step::Create(key, value) | Step::Update { key, to: value, .. } = step {
            map.insert(key, value, 0)?;
        }
    }
    Ok(())
}

fn erase<K: Pod, V: Pod>(
    map: &mut HashMap<MapData, K, V>,
    plan: &Plan<K, V>,
) -> Result<(), MapError> {
    for step in plan.steps() {
        if let Step::Delete(key, _) = step {
            match map.remove(key) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
