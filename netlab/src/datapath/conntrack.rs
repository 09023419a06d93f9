//! The conntrack table from the agent's side: reading, collecting what is over, and
//! forgetting connections to backends that are gone.

use std::{collections::BTreeMap, time::Duration};

use aya::maps::{IterableMap, MapError};
use netlab_common::{
    abi::{Backend, CtEntry, map},
    conntrack::{State, Timeouts},
    flow::FlowKey,
};
use nix::time::{ClockId, clock_gettime};

use super::{
    Result,
    load::{Maps, broken},
};

/// The clock of the entries' times, in nanoseconds: CLOCK_MONOTONIC, as bpf_ktime_get_ns.
#[must_use]
pub fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX))
}

/// Everything in the table, by flow. Entries that come and go meanwhile may be missed.
///
/// # Errors
///
/// Where the map cannot be read.
pub fn read(maps: &Maps) -> Result<BTreeMap<FlowKey, CtEntry>> {
    let mut entries = BTreeMap::new();
    for item in maps.conntrack.iter() {
        match item {
            Ok((key, entry)) => {
                entries.insert(key, entry);
            }
            // Evicted between reading its key and its value.
            Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(broken("read", map::CONNTRACK)(error)),
        }
    }
    Ok(entries)
}

/// How many entries there is room for.
///
/// # Errors
///
/// Where the map cannot be looked at.
pub fn capacity(maps: &Maps) -> Result<u32> {
    let info = IterableMap::map(&maps.conntrack).info();
    Ok(info.map_err(broken("look at", map::CONNTRACK))?.max_entries())
}

/// Removes connections that are over at `now`; returns how many entries stay and go.
///
/// # Errors
///
/// Where the map cannot be read or written.
pub fn collect(maps: &mut Maps, timeouts: &Timeouts, now: u64) -> Result<(usize, usize)> {
    let entries = read(maps)?;
    let mut gone = 0;
    for key in over(&entries, timeouts, now) {
        let is_over = |entry: &CtEntry| timeouts.is_over(entry.state, entry.last_seen, now);
        // Either direction may have come back to life since the table was read.
        let peer = get(maps, &entries[&key].to.reverse())?;
        if peer.as_ref().is_none_or(is_over) {
            gone += remove(maps, &key, is_over)?;
        }
    }
    Ok((entries.len() - gone, gone))
}

/// Forgets all connections.
///
/// # Errors
///
/// Where the map cannot be read or written.
pub fn clear(maps: &mut Maps) -> Result<()> {
    for key in read(maps)?.keys() {
        remove(maps, key, |_| true)?;
    }
    Ok(())
}

/// The flows of connections that neither direction has kept alive.
fn over(entries: &BTreeMap<FlowKey, CtEntry>, timeouts: &Timeouts, now: u64) -> Vec<FlowKey> {
    let is_over = |entry: &CtEntry| timeouts.is_over(entry.state, entry.last_seen, now);
    let silent = entries.iter().filter(|(_, entry)| {
        is_over(entry) && entries.get(&entry.to.reverse()).is_none_or(is_over)
    });
    silent.map(|(key, _)| *key).collect()
}

/// Forgets what must not go on to removed backends, each with its Service: all UDP
/// flows, whose next datagram then picks a live backend, and TCP handshakes that have
/// not been answered. Established connections go on until they end.
///
/// # Errors
///
/// Where the map cannot be read or written.
pub fn forget(maps: &mut Maps, removed: &[(u32, Backend)]) -> Result<usize> {
    if removed.is_empty() {
        return Ok(0);
    }
    let entries = read(maps)?;
    let doomed = |key: &FlowKey, entry: &CtEntry| {
        let endpoint = if entry.direction == CtEntry::ORIGINAL {
            (entry.to.dst, entry.to.dport)
        } else {
            (key.src, key.sport)
        };
        let unanswered =
            matches!(entry.state, State::SYN_SENT | State::UDP_NEW | State::UDP_ASSURED);
        unanswered
            && removed.iter().any(|(service, backend)| {
                *service == entry.service && endpoint == (backend.addr, backend.port)
            })
    };
    let mut gone = 0;
    for (key, _) in entries.iter().filter(|(key, entry)| doomed(key, entry)) {
        gone += remove(maps, key, |entry| doomed(key, entry))?;
    }
    Ok(gone)
}

fn get(maps: &Maps, key: &FlowKey) -> Result<Option<CtEntry>> {
    match maps.conntrack.get(key, 0) {
        Ok(entry) => Ok(Some(entry)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(broken("read", map::CONNTRACK)(error)),
    }
}

/// Removes an entry if it still is what it was; returns how many that were.
fn remove(maps: &mut Maps, key: &FlowKey, still: impl Fn(&CtEntry) -> bool) -> Result<usize> {
    if !get(maps, key)?.as_ref().is_some_and(still) {
        return Ok(0);
    }
    match maps.conntrack.remove(key) {
        Ok(()) => Ok(1),
        Err(MapError::KeyNotFound) => Ok(0),
        Err(error) => Err(broken("write", map::CONNTRACK)(error)),
    }
}

#[cfg(test)]
mod tests {
    use netlab_common::{conntrack::SECOND, flow::Addr};

    use super::*;

    fn connection(last_original: u64, last_reply: u64) -> BTreeMap<FlowKey, CtEntry> {
        let key = FlowKey { src: Addr::v4([1; 4]), dst: Addr::v4([2; 4]), ..FlowKey::default() };
        let to = FlowKey { src: Addr::v4([3; 4]), dst: Addr::v4([4; 4]), ..FlowKey::default() };
        let original = CtEntry {
            to,
            last_seen: last_original,
            state: State::UDP_ASSURED,
            ..CtEntry::default()
        };
        let reply = CtEntry {
            to: key.reverse(),
            last_seen: last_reply,
            direction: CtEntry::REPLY,
            ..original
        };
        BTreeMap::from([(key, original), (to.reverse(), reply)])
    }

    #[test]
    fn either_direction_keeps_a_connection() {
        let now = 1000 * SECOND;
        let over = |a, b| over(&connection(a, b), &Timeouts::DEFAULT, now).len();
        assert_eq!(over(0, now), 0);
        assert_eq!(over(now, 0), 0);
        assert_eq!(over(0, 0), 2);
    }

    #[test]
    fn an_entry_whose_other_half_was_evicted_goes_when_it_is_over() {
        let mut entries = connection(0, 0);
        entries.pop_first();
        assert_eq!(over(&entries, &Timeouts::DEFAULT, 1000 * SECOND).len(), 1);
    }
}
