//! The journeys under way in one direction of a connection, by what ties packets to them.
//!
//! Law: however many there are, a question is answered with few, among which is every one that
//! fits; whoever asks looks at those himself. Packets that nothing tells apart pass each place
//! in the order in which they were first seen, but for repetitions: see [`Group::next`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    super::event::Hook,
    identity::{self, Equal, Reach},
    journey::Hop,
    open::{Open, Seen},
    packet::Packet,
    questions::Questions,
};

/// Equal packets of which each is looked at.
const FEW: usize = 32;

/// Nanoseconds that somebody waits for an answer before he sends the same datagram again. Who
/// sends many on purpose seldom waits so long, and hops that take longer are rarer still.
const PATIENCE: u64 = 200_000_000;

/// Sequence numbers of a block, as a power of two: a few segments.
const BLOCK: u32 = 14;

/// Journeys under way.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    all: BTreeSet<u64>,
    /// By what copies of whole packets share.
    equal: BTreeMap<Equal, Group>,
    /// TCP segments that offloads may split or merge, by [`identity::train`] and by the blocks
    /// of sequence numbers that they reach into.
    blocks: BTreeMap<(u64, u32), Vec<u64>>,
    /// Those without an answer.
    pub questions: Questions,
}

/// Journeys of packets that nothing tells apart.
#[derive(Debug, Default)]
struct Group {
    journeys: BTreeSet<u64>,
    /// The last one that was looked for at a place, by a number for the place.
    passed: HashMap<u64, u64>,
}

impl UnderWay {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All, oldest first.
    pub fn all(&self) -> impl Iterator<Item = u64> {
        self.all.iter().copied()
    }

    pub fn insert(&mut self, id: u64, open: &Open) {
        self.all.insert(id);
        self.equal.entry(identity::equal(&open.first)).or_default().journeys.insert(id);
        if let Some(reach) = open.reach {
            self.extend(id, &open.first, reach);
        }
        if open.lacks_answer() {
            self.questions.insert(id, &open.first);
        }
    }

    pub fn remove(&mut self, id: u64, open: &Open) {
        self.all.remove(&id);
        let key = identity::equal(&open.first);
        if let Some(group) = self.equal.get_mut(&key) {
            group.journeys.remove(&id);
            if group.journeys.is_empty() {
                self.equal.remove(&key);
            }
        }
        if let (Some(reach), Some(train)) = (open.reach, identity::train(&open.first)) {
            for block in blocks(reach) {
                if let Some(within) = self.blocks.get_mut(&(train, block)) {
                    within.retain(|other| *other != id);
                    if within.is_empty() {
                        self.blocks.remove(&(train, block));
                    }
                }
            }
        }
        self.questions.remove(id, &open.first);
    }

    /// A journey carries all these bytes now.
    pub fn extend(&mut self, id: u64, first: &Packet, reach: Reach) {
        let Some(train) = identity::train(first) else { return };
        for block in blocks(reach) {
            let within = self.blocks.entry((train, block)).or_default();
            if !within.contains(&id) {
                within.push(id);
            }
        }
    }

    /// Journeys that a sighting may be a hop of, oldest first. `last` tells when a journey was
    /// last seen, if the sighting may be its next hop.
    pub fn copies(&mut self, seen: &Seen, last: impl Fn(u64) -> Option<u64>) -> Vec<u64> {
        let mut found = self.sharing(&seen.packet);
        let is_numbered = identity::is_numbered(&seen.packet);
        for key in self.equals(&seen.packet) {
            if let Some(group) = self.equal.get_mut(&key) {
                if is_numbered && group.journeys.len() <= FEW {
                    found.extend(&group.journeys);
                } else {
                    found.extend(group.next(place(&seen.hop), &last));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Journeys that may carry some of the bytes of a TCP segment; oldest first.
    pub fn sharing(&self, packet: &Packet) -> Vec<u64> {
        let (Some(reach), Some(train)) = (identity::reach(packet), identity::train(packet)) else {
            return Vec::new();
        };
        let within = blocks(reach).filter_map(|block| self.blocks.get(&(train, block)));
        let mut found: Vec<u64> = within.flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The groups whose packets may be this one: what was kept of the one is the beginning of
    /// what was kept of the other, and an identification of zero is as good as any.
    fn equals(&self, packet: &Packet) -> Vec<Equal> {
        let own = identity::equal(packet);
        let mut found = Vec::new();
        if own.id != 0 {
            self.equals_with(&own, &mut found);
            self.equals_with(&Equal { id: 0, ..own }, &mut found);
            return found;
        }
        let mut next = Some(0);
        while let Some(id) = next {
            let from = Equal { id, payload: Vec::new(), ..own };
            let Some((key, _)) = self.equal.range(from..).next() else { break };
            if key.lasting != own.lasting {
                break;
            }
            self.equals_with(&Equal { id: key.id, ..own.clone() }, &mut found);
            next = key.id.checked_add(1);
        }
        found
    }

    fn equals_with(&self, wanted: &Equal, found: &mut Vec<Equal>) {
        let same = |key: &Equal| key.lasting == wanted.lasting && key.id == wanted.id;
        let longer = self.equal.range(wanted.clone()..).map(|(key, _)| key);
        let longer = longer.take_while(|key| same(key) && key.payload.starts_with(&wanted.payload));
        found.extend(longer.cloned());
        // The next shorter beginning can be no longer than what the key before has in common.
        let mut shorter = wanted.clone();
        while let Some((key, _)) = self.equal.range(..&shorter).next_back().filter(|it| same(it.0))
        {
            let common = key.payload.iter().zip(&shorter.payload).take_while(|(a, b)| a == b);
            let common = common.count();
            shorter.payload.truncate(common);
            if common == key.payload.len() {
                found.push(key.clone());
            } else if self.equal.contains_key(&shorter) {
                found.push(shorter.clone());
            }
        }
    }
}

impl Group {
    /// The oldest that a sighting at a place may be the next hop of, unless the one behind it
    /// was seen so much later that it is a repetition, and the first was lost. Of many none is
    /// looked at again where one behind it has passed.
    fn next(&mut self, place: u64, last: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let is_small = self.journeys.len() <= FEW;
        let passed = self.passed.get(&place).filter(|_| !is_small);
        let behind = passed.map_or(0, |passed| passed + 1);
        let mut found: Option<(u64, u64)> = None;
        for id in self.journeys.range(behind..) {
            let Some(last) = last(*id) else { continue };
            if found.is_some_and(|(_, before)| last.saturating_sub(before) < PATIENCE) {
                break;
            }
            found = Some((*id, last));
        }
        let found = found.map(|(id, _)| id);
        let passed = found.or(self.journeys.last().copied());
        self.passed.extend(passed.map(|passed| (place, passed)));
        found
    }
}

/// A number for the place where a packet was seen, as far as it tells a repetition.
fn place(hop: &Hop) -> u64 {
    let drop = hop.event.as_ref().filter(|_| hop.hook == Hook::Drop).map(ToString::to_string);
    identity::hash(&(&hop.host, &hop.interface, hop.hook, hop.ttl, hop.tunnel.is_some(), drop))
}

/// Numbers of the blocks that a range of sequence numbers, which wrap around, reaches into.
fn blocks((first, count): Reach) -> impl Iterator<Item = u32> {
    let blocks = 1_u32 << (u32::BITS - BLOCK);
    let begin = first >> BLOCK;
    let offset = first & ((1 << BLOCK) - 1);
    let behind = (u64::from(offset) + u64::from(count)).div_ceil(1 << BLOCK);
    let behind = u32::try_from(behind).unwrap_or(u32::MAX).min(blocks);
    (0..behind).map(move |at| (begin + at) % blocks)
}
