//! Copies of one packet that went different ways: which hop comes after which.
//!
//! A hop comes after the one before it in time, but where that cannot be:
//!
//! - What comes in from a wire comes after something that went out at another host and was met
//!   nowhere since; copies leave in the order in which they arrive.
//! - Several come after one that went out by a bridge, or to a group of receivers.
//! - What goes out by one port of a bridge comes after what came to the bridge, not after what
//!   went out by another port.
//! - A drop comes after what was last seen on its interface.

use std::collections::HashMap;

use super::{super::event::Hook, journey::Hop};

/// Bridges by host and port. Nested, so that looking one up makes no key.
pub(super) type Ports = HashMap<String, HashMap<String, String>>;

/// Tells each hop which one it comes after. `group`: whether the packet is for several receivers.
pub(super) fn tell(hops: &mut [Hop], ports: &Ports, group: bool) {
    let mut branches = Branches { ports, group, leads: vec![Next::Nowhere; hops.len()] };
    for at in 1..hops.len() {
        let after = branches.before(hops, at);
        if let (Some(before), Some(hop)) = (after, hops.get(at)) {
            branches.note(hops, before, hop);
        }
        if let Some(hop) = hops.get_mut(at) {
            hop.after = after;
        }
    }
}

/// Where a hop has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nowhere,
    /// On, in its host.
    On,
    /// To another host.
    Away,
}

struct Branches<'a> {
    ports: &'a Ports,
    group: bool,
    leads: Vec<Next>,
}

impl Branches<'_> {
    fn before(&self, hops: &[Hop], at: usize) -> Option<usize> {
        let hop = hops.get(at)?;
        let here = last(hops, at, |other| other.host == hop.host);
        match hop.hook.is_inbound() {
            None => {
                let there = |other: &Hop| other.host == hop.host && on_same_interface(other, hop);
                last(hops, at, there).or(here).or(at.checked_sub(1))
            }
            Some(false) => match here {
                Some(here) => self.sent(hops, here, hop),
                None => at.checked_sub(1),
            },
            Some(true) => {
                if here.and_then(|here| hops.get(here)).is_some_and(|it| leads_on(it, hop)) {
                    return here;
                }
                let since = here.map_or(0, |here| here + 1);
                let sent = || here.and_then(|here| self.sent(hops, here, hop));
                self.arrived(hops, since..at, hop).or_else(sent).or(at.checked_sub(1))
            }
        }
    }

    /// What a hop in its host comes after: `here`, the last one there, or one that it has in
    /// common with that one.
    fn sent(&self, hops: &[Hop], here: usize, hop: &Hop) -> Option<usize> {
        let mut before = here;
        loop {
            let other = hops.get(before)?;
            // A drop is an end.
            let ended = other.hook == Hook::Drop;
            if !ended && !self.is_other_way(other, self.leads[before], hop) {
                return Some(before);
            }
            match other.after.filter(|after| hops.get(*after).is_some_and(|it| it.host == hop.host))
            {
                Some(after) => before = after,
                // It was sent from here, several times.
                None => return other.after,
            }
        }
    }

    /// Whether a copy has left the host by other means than the one that is seen now.
    fn is_other_way(&self, other: &Hop, leads: Next, hop: &Hop) -> bool {
        if other.hook.is_inbound() != Some(false) || other.interface == hop.interface {
            return false;
        }
        let (one, two) = (self.bridge(other), self.bridge(hop));
        if hop.hook.is_inbound() == Some(true) {
            // The bridge itself, which gets a copy for its host.
            return one.is_some_and(|bridge| *bridge == hop.interface);
        }
        let stacked = two.is_some_and(|bridge| *bridge == other.interface);
        !stacked && is_alike(other, hop) && (leads == Next::Away || one.is_some() && one == two)
    }

    /// What went out at another host and comes in now.
    fn arrived(&self, hops: &[Hop], within: std::ops::Range<usize>, hop: &Hop) -> Option<usize> {
        let sent = |at: &usize| {
            hops.get(*at).is_some_and(|other| {
                other.host != hop.host
                    && other.hook.is_inbound() == Some(false)
                    && is_alike(other, hop)
            })
        };
        let fresh = |at: &usize| self.leads[*at] == Next::Nowhere;
        let mut waiting = within.clone().filter(|at| sent(at) && fresh(at));
        // A lab names a port for the pod behind it.
        let named = |at: &usize| hops.get(*at).is_some_and(|it| it.interface.ends_with(&hop.host));
        let first = waiting.clone().find(|at| !hop.host.is_empty() && named(at)).or(waiting.next());
        first.or_else(|| {
            within
                .rev()
                .find(|at| sent(at) && self.leads[*at] == Next::Away && self.spreads(&hops[*at]))
        })
    }

    /// Whether several copies can arrive of one that went out there.
    fn spreads(&self, hop: &Hop) -> bool {
        let ports = || self.ports.get(&hop.host);
        let is_bridge = || ports().is_some_and(|it| it.values().any(|b| *b == hop.interface));
        self.group || is_bridge()
    }

    fn bridge(&self, hop: &Hop) -> Option<&String> {
        self.ports.get(&hop.host)?.get(&hop.interface)
    }

    fn note(&mut self, hops: &[Hop], before: usize, hop: &Hop) {
        let (Some(leads), Some(other)) = (self.leads.get_mut(before), hops.get(before)) else {
            return;
        };
        // A packet that is dropped behind a hop may have left by it too.
        if hop.hook != Hook::Drop {
            *leads = if other.host == hop.host { Next::On } else { Next::Away };
        }
    }
}

/// The last hop of those before one.
fn last(hops: &[Hop], before: usize, fits: impl Fn(&Hop) -> bool) -> Option<usize> {
    hops.get(..before)?.iter().rposition(fits)
}

/// Whether a packet that comes in was seen on its way into the same interface before.
fn leads_on(before: &Hop, hop: &Hop) -> bool {
    on_same_interface(before, hop)
        && before.hook.is_inbound() == Some(true)
        && before.hook < hop.hook
        && before.ttl == hop.ttl
}

fn on_same_interface(a: &Hop, b: &Hop) -> bool {
    a.interface == b.interface && a.hook != Hook::Drop
}

/// Whether a packet went from one to the other unchanged.
fn is_alike(a: &Hop, b: &Hop) -> bool {
    (a.flow, a.tunnel, a.ttl) == (b.flow, b.tunnel, b.ttl)
}
