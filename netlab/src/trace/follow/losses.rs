//! When and where packets were lost on their way to the follower: why a hop may be missing.

use std::collections::{BTreeSet, VecDeque};

use serde::Serialize;

use super::{super::event::Hook, journey::Hop, written};

/// Most times to remember; older ones are forgotten.
const MOST: usize = 1024;

/// A place where packets were lost.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LossPlace {
    /// The host; empty for this machine's own namespace.
    pub host: String,
    /// The interface; may be empty.
    pub interface: String,
    /// Where on it.
    #[serde(serialize_with = "written::hook")]
    pub hook: Hook,
}

/// What was lost, oldest first.
#[derive(Debug, Default)]
pub(super) struct Losses {
    times: VecDeque<Time>,
}

#[derive(Debug)]
struct Time {
    /// Nanoseconds since 1970.
    from: u64,
    to: u64,
    places: BTreeSet<LossPlace>,
}

impl Losses {
    /// Notes that packets were lost at some time between two.
    pub fn note(&mut self, from: u64, to: u64, places: BTreeSet<LossPlace>) {
        if places.is_empty() {
            return;
        }
        // One after another, as long as a ring is full.
        if let Some(last) = self.times.back_mut()
            && last.to >= from
            && last.places == places
        {
            last.to = last.to.max(to);
            return;
        }
        self.times.push_back(Time { from, to, places });
        if self.times.len() > MOST {
            self.times.pop_front();
        }
    }

    /// Where packets were lost between two times, but for where these hops were seen.
    pub fn between(&self, from: u64, to: u64, hops: &[Hop]) -> Vec<LossPlace> {
        let meanwhile = self.times.iter().filter(|time| time.from <= to && from <= time.to);
        let places: BTreeSet<&LossPlace> = meanwhile.flat_map(|time| &time.places).collect();
        let seen = |place: &LossPlace| hops.iter().any(|hop| place.is_at(hop));
        places.into_iter().filter(|place| !seen(place)).cloned().collect()
    }
}

impl LossPlace {
    /// Whether a hop was there.
    pub(super) fn is_at(&self, hop: &Hop) -> bool {
        self.hook == hop.hook && self.host == hop.host && self.interface == hop.interface
    }
}
