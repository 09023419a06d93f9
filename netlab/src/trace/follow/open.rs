//! Journeys that are under way.

use netlab_common::flow::FlowKey;

use super::{
    super::event::Hook,
    flows::Way,
    identity::{self, Likeness, Reach, Strength},
    journey::{Hop, Part},
    packet::Packet,
};

/// A packet at a place, read.
#[derive(Debug)]
pub(super) struct Seen {
    pub hop: Hop,
    pub packet: Packet,
}

/// A journey under way.
#[derive(Debug)]
pub(super) struct Open {
    /// The packet as it was first seen.
    pub first: Packet,
    /// The bytes that it carries, with those of packets that were merged with it.
    pub reach: Option<Reach>,
    /// In the order of their time; never empty.
    pub hops: Vec<Hop>,
    pub way: Way,
    /// What copies of it have in common.
    pub print: u64,
    /// The packet that it answers.
    pub answers: Option<u64>,
    /// Whose block it is printed in: its own, or that of an open journey that it answers.
    pub leader: u64,
    /// The open journey that answers it, printed in its block.
    pub reply: Option<u64>,
    /// A journey that answers it, and others; when that was first seen.
    pub answered_by: Option<(u64, u64)>,
    /// The journey that it went on in.
    pub merged: Option<u64>,
    /// When it was last seen.
    pub last: u64,
    /// When it, or its reply, was last seen.
    pub group_last: u64,
}

impl Open {
    /// Whether it answers nothing, and nothing has answered it.
    pub const fn lacks_answer(&self) -> bool {
        self.answers.is_none() && self.reply.is_none() && self.answered_by.is_none()
    }

    /// Its addresses and ports where it was last seen, which a translation may change; none
    /// where it is not IP.
    pub fn last_flow(&self) -> FlowKey {
        self.hops.last().and_then(|hop| hop.flow).map_or_else(FlowKey::default, |flow| flow.0)
    }

    /// What a sighting is to this journey; different where that place is taken, since then it
    /// is a repetition.
    pub fn compare(&self, seen: &Seen) -> Likeness {
        let likeness = identity::compare(&self.first, self.reach, &seen.packet);
        if likeness == Likeness::Different || self.has_been_at(seen) {
            return Likeness::Different;
        }
        likeness
    }

    /// Whether these very bytes were seen at this very place. A packet that comes around in a
    /// loop has a lower TTL, and a drop is not a place.
    fn has_been_at(&self, seen: &Seen) -> bool {
        let new = &seen.hop;
        self.hops.iter().any(|hop| {
            hop.hook == new.hook
                && hop.ttl == new.ttl
                && hop.host == new.host
                && hop.interface == new.interface
                && hop.tunnel.is_some() == new.tunnel.is_some()
                && (hop.hook != Hook::Drop || hop.event == new.event)
                && self.shares(hop, &seen.packet)
        })
    }

    fn shares(&self, hop: &Hop, packet: &Packet) -> bool {
        let (Some(own), Some(of_packet)) = (identity::reach(&self.first), identity::reach(packet))
        else {
            return true;
        };
        let of_hop =
            hop.part.map_or(own, |part| (own.0.wrapping_add_signed(part.offset), part.length));
        identity::overlap(of_hop, of_packet)
    }

    /// Adds a hop where it belongs by its time, and at equal times by the way through a host.
    pub fn add(&mut self, mut seen: Seen, likeness: Likeness) {
        if likeness == Likeness::Part
            && let (Some(own), Some(reach), Some(part)) =
                (identity::reach(&self.first), self.reach, identity::reach(&seen.packet))
        {
            let offset = part.0.wrapping_sub(own.0).cast_signed();
            seen.hop.part = Some(Part { offset, length: part.1 });
            self.reach = Some(identity::union(reach, part));
        }
        self.last = self.last.max(seen.hop.time);
        let key = |hop: &Hop| (hop.time, hop.hook);
        let at = self.hops.partition_point(|hop| key(hop) <= key(&seen.hop));
        self.hops.insert(at, seen.hop);
    }

    /// Whether a packet of another flow, with the same [`identity::print`], may be a copy of
    /// this one that somebody translated without saying so. None: no. Higher is likelier.
    pub fn may_have_become(&self, seen: &Seen, strength: Strength) -> Option<u8> {
        if self.merged.is_some() || self.compare(seen) != Likeness::Same {
            return None;
        }
        let last = self.hops.last()?;
        // What is not IP nobody translates.
        let (old, new) = (last.flow?.0, seen.packet.flow?);
        if old.proto != new.proto || old.src.is_v4() != new.src.is_v4() {
            return None;
        }
        let been_here = self.hops.iter().any(|hop| hop.host == seen.hop.host);
        // Who sends a packet from a host that it never came to has made it there.
        if seen.hop.hook.is_inbound() == Some(false) && !been_here {
            return None;
        }
        // DNAT keeps the source, SNAT the destination.
        let one_end = (old.src, old.sport) == (new.src, new.sport)
            || (old.dst, old.dport) == (new.dst, new.dport);
        match strength {
            _ if one_end => Some(2),
            Strength::Strong => Some(1),
            Strength::Identified => Some(u8::from(been_here)),
            Strength::Weak => None,
        }
    }
}
