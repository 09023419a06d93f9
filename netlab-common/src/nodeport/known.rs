//! Packets of known flows.

use super::{Room, Tables, route};
use crate::{
    abi::CtEntry,
    conntrack::{State, Timeouts},
    headers::Headers,
    verdict::{Kind, Route},
    wire::tcp::flags::{ACK, SYN},
};

/// What a look at a conntrack entry found. The entry's translation is in the room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Alive; the new state where it changed.
    Live(Kind, Route, Option<State>),
    /// Ended, and the client begins anew under the same addresses and ports.
    Restarted,
    /// This direction was silent for too long; the other may not have been.
    Silent,
}

/// Kind and route of a packet of a known flow, whose translation is then in the room.
#[inline(always)]
pub(super) fn known<T: Tables>(
    headers: &Headers,
    now: u64,
    tables: &T,
    room: &mut Room,
) -> Option<(Kind, Route)> {
    let timeouts = &tables.config().timeouts;
    let look = |entry: &mut CtEntry, room: &mut Room, may_be_over: bool| {
        room.to = entry.to;
        look(entry, headers, now, may_be_over.then_some(timeouts))
    };
    let mut seen = tables.conntrack(&headers.flow, |entry| look(entry, room, true))?;
    if let Seen::Live(kind, route, None) = seen {
        return Some((kind, route));
    }
    room.peer = room.to.reverse();
    if seen == Seen::Silent {
        let alive = tables
            .conntrack(&room.peer, |entry| !timeouts.is_over(entry.state, entry.last_seen, now));
        if alive == Some(true) {
            seen = tables.conntrack(&headers.flow, |entry| look(entry, room, false))?;
        }
    }
    match seen {
        Seen::Live(kind, route, changed) => {
            if let Some(state) = changed {
                tables.conntrack(&room.peer, |peer| peer.state = state);
            }
            Some((kind, route))
        }
        Seen::Restarted | Seen::Silent => {
            tables.conntrack_remove(&room.peer);
            tables.conntrack_remove(&headers.flow);
            None
        }
    }
}

/// Looks at the entry of a packet and enters the packet into it if it is alive;
/// without `timeouts` it is known to be.
#[inline(always)]
fn look(entry: &mut CtEntry, headers: &Headers, now: u64, timeouts: Option<&Timeouts>) -> Seen {
    let begins = headers.tcp_flags & (SYN | ACK) == SYN;
    if begins && entry.direction == CtEntry::ORIGINAL && entry.state.is_ended() {
        return Seen::Restarted;
    }
    if timeouts.is_some_and(|timeouts| timeouts.is_over(entry.state, entry.last_seen, now)) {
        return Seen::Silent;
    }
    let next = entry.state.next(entry.direction, headers.tcp_flags);
    let changed = if next == entry.state { None } else { Some(next) };
    entry.state = next;
    entry.last_seen = now;
    let kind = match entry.direction {
        // Opened at another hook, which took back that it had counted the packet.
        CtEntry::ORIGINAL if entry.packets == 0 => Kind::First,
        CtEntry::ORIGINAL => Kind::Original,
        _ => Kind::Reply,
    };
    entry.packets = entry.packets.wrapping_add(1);
    entry.bytes = entry.bytes.wrapping_add(u64::from(headers.ip_len));
    Seen::Live(kind, route(entry), changed)
}
