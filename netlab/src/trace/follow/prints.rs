//! Journeys under way, whatever their connection, by what a copy keeps through a translation
//! that nobody tells.

use std::collections::{BTreeSet, HashMap};

use netlab_common::flow::{Addr, FlowKey};

use super::identity::Strength;

/// Of more packets that are alike none can be told to have become another.
const DOUBT: usize = 256;

/// Address and port of one end, and whether it is the source.
type End = (bool, Addr, [u8; 2]);

/// Journeys by [`identity::print`](super::identity::print()), and by the ends of their last flow.
#[derive(Debug, Default)]
pub(super) struct Prints {
    all: HashMap<u64, BTreeSet<u64>>,
    ends: HashMap<(u64, End), BTreeSet<u64>>,
}

impl Prints {
    pub fn insert(&mut self, print: u64, flow: FlowKey, id: u64) {
        self.all.entry(print).or_default().insert(id);
        for end in ends(flow) {
            self.ends.entry((print, end)).or_default().insert(id);
        }
    }

    pub fn remove(&mut self, print: u64, flow: FlowKey, id: u64) {
        remove(&mut self.all, print, id);
        for end in ends(flow) {
            remove(&mut self.ends, (print, end), id);
        }
    }

    /// Those that a packet of this flow may be a copy of, oldest first: one end stays, or what
    /// they have in common is telling.
    pub fn like(&self, print: u64, strength: Strength, flow: FlowKey) -> BTreeSet<u64> {
        let alike = self.all.get(&print).filter(|_| strength != Strength::Weak);
        let ends = ends(flow).into_iter().filter_map(|end| self.ends.get(&(print, end)));
        let sure = ends.chain(alike).filter(|journeys| journeys.len() <= DOUBT);
        sure.flatten().copied().collect()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.all.len()
    }
}

fn ends(flow: FlowKey) -> [End; 2] {
    [(true, flow.src, flow.sport), (false, flow.dst, flow.dport)]
}

fn remove<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<u64>>, key: K, id: u64) {
    if let Some(journeys) = map.get_mut(&key) {
        journeys.remove(&id);
        if journeys.is_empty() {
            map.remove(&key);
        }
    }
}
