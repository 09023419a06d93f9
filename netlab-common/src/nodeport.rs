//! The core: what becomes of a packet at a node port.
//!
//! Law: [`decide`] reads headers and [`Tables`] and nothing else, and never panics.
//! Order: a known flow first, since nearly every packet belongs to one; then the
//! frontend, the backend, the source port, and at last the two conntrack entries,
//! the reply's first, because claiming it is what makes the source port ours.

use crate::{
    abi::{Backend, BackendKey, Config, CtEntry, Frontend, FrontendKey},
    conntrack::{State, Timeouts},
    flow::{Addr, FlowKey},
    headers::Headers,
    verdict::{Answer, DropReason, Forward, Kind, PassReason, Route, Verdict},
    wire::tcp::{
        self,
        flags::{ACK, RST, SYN},
    },
};

/// Tries to find a free source port, as many as Cilium makes.
pub const SNAT_TRIES: u32 = 32;

/// The state that decisions are made on: BPF maps in the kernel, plain maps in tests.
pub trait Tables {
    /// The node's configuration.
    fn config(&self) -> &Config;
    /// Runs `f` on the entry of `key`, if there is one.
    fn conntrack<R>(&self, key: &FlowKey, f: impl FnOnce(&mut CtEntry) -> R) -> Option<R>;
    /// Stores `entry` under `key` only if nothing stands there.
    fn conntrack_claim(&self, key: &FlowKey, entry: &CtEntry) -> Claim;
    /// Stores `entry` under `key`, replacing what stands there.
    fn conntrack_put(&self, key: &FlowKey, entry: &CtEntry) -> Claim;
    /// Removes the entry of `key`, if there is one.
    fn conntrack_remove(&self, key: &FlowKey);
    /// The Service port behind an address and port.
    fn frontend(&self, key: &FrontendKey) -> Option<Frontend>;
    /// Whether node ports answer on this address.
    fn is_node_address(&self, address: &Addr) -> bool;
    /// The backend in a slot.
    fn backend(&self, key: &BackendKey) -> Option<Backend>;
    /// 32 random bits.
    fn random(&self) -> u32;
}

/// What came of storing a conntrack entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It stands.
    Stored,
    /// Another entry has the key.
    Taken,
    /// There is no room.
    Full,
}

/// Where on its way a packet is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// On its way in: may open a connection.
    Ingress,
    /// On its way out, or inside an encapsulation: known flows only.
    KnownFlows,
}

/// Room for one decision, its translation included. A BPF stack has 512 bytes in all,
/// so in the kernel this lies in a per-CPU map.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    to: FlowKey,
    peer: FlowKey,
    entry: CtEntry,
    backend: Backend,
}

impl Room {
    /// What the flow of a packet becomes that is forwarded; of an ICMP error, what the
    /// flow becomes that it is about.
    #[inline(always)]
    #[must_use]
    pub const fn translation(&self) -> &FlowKey {
        &self.to
    }
}

/// Decides about one packet; `now` in nanoseconds of CLOCK_MONOTONIC.
#[inline(always)]
pub fn decide<T: Tables>(
    headers: &Headers,
    at: Point,
    now: u64,
    tables: &T,
    room: &mut Room,
) -> Verdict {
    if headers.is_error() {
        return about_error(headers, tables, room);
    }
    if let Some((kind, route)) = known(headers, now, tables, room) {
        if route == Route::Fib && headers.ttl <= 1 {
            return answer(headers, Answer::TimeExceeded);
        }
        return Verdict::Forward(Forward { kind, route });
    }
    match at {
        Point::Ingress => open(headers, now, tables, room),
        Point::KnownFlows => Verdict::Pass(PassReason::NoFlow),
    }
}

/// Takes back that [`decide`] has counted a packet which it wanted forwarded and which the
/// hook leaves untouched to the next, so that the next counts it. The choice of a backend
/// stays: drawn anew whenever a hook cannot send the packet, it would favour those backends
/// that it can send to.
#[inline(always)]
pub fn take_back<T: Tables>(headers: &Headers, kind: Kind, tables: &T) {
    if kind == Kind::Error {
        return;
    }
    tables.conntrack(&headers.flow, |entry| {
        entry.packets = entry.packets.wrapping_sub(1);
        entry.bytes = entry.bytes.wrapping_sub(u64::from(headers.ip_len));
    });
}

/// An ICMP error about a known flow. It does not keep the flow alive.
#[inline(always)]
fn about_error<T: Tables>(headers: &Headers, tables: &T, room: &mut Room) -> Verdict {
    let found = tables.conntrack(&headers.flow, |entry| {
        room.to = entry.to;
        route(entry)
    });
    let Some(route) = found else {
        return Verdict::Pass(PassReason::NoFlow);
    };
    if route == Route::Fib && headers.ttl <= 1 {
        return Verdict::Drop(DropReason::TtlExpired);
    }
    Verdict::Forward(Forward { kind: Kind::Error, route })
}

#[inline(always)]
const fn route(entry: &CtEntry) -> Route {
    if entry.flags & CtEntry::MASQUERADED != 0 { Route::Fib } else { Route::Stack }
}

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
fn known<T: Tables>(
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

/// The verdict for a packet that belongs to no known flow.
#[inline(always)]
fn open<T: Tables>(headers: &Headers, now: u64, tables: &T, room: &mut Room) -> Verdict {
    let Some(frontend) = lookup_frontend(headers, tables) else {
        return Verdict::Pass(PassReason::NoFlow);
    };
    if headers.flow.proto == tcp::PROTOCOL && headers.tcp_flags & (SYN | ACK) != SYN {
        return if headers.tcp_flags & RST != 0 {
            Verdict::Drop(DropReason::NoConnection)
        } else {
            answer(headers, Answer::TcpReset)
        };
    }
    if frontend.backends == 0 {
        return answer(headers, refusal(headers.flow.proto));
    }
    if !select(&frontend, tables, room) {
        return Verdict::Drop(DropReason::BackendMissing);
    }
    if room.backend.flags & Backend::LOCAL == 0 {
        if headers.ttl <= 1 {
            return answer(headers, Answer::TimeExceeded);
        }
        if room.backend.masquerade.is_unspecified() {
            return Verdict::Drop(DropReason::NoMasqueradeAddress);
        }
    }
    match connect(headers, now, frontend.service, tables, room) {
        Ok(route) => Verdict::Forward(Forward { kind: Kind::First, route }),
        Err(reason) => Verdict::Drop(reason),
    }
}

/// A frontend for exactly this address, or a node port if the address is the node's.
#[inline(always)]
fn lookup_frontend<T: Tables>(headers: &Headers, tables: &T) -> Option<Frontend> {
    let mut key = FrontendKey {
        addr: headers.flow.dst,
        port: headers.flow.dport,
        proto: headers.flow.proto,
        reserved: 0,
    };
    if let Some(frontend) = tables.frontend(&key) {
        return Some(frontend);
    }
    if !tables.is_node_address(&headers.flow.dst) {
        return None;
    }
    key.addr = Addr::any(headers.v4);
    tables.frontend(&key)
}

/// Puts a backend, chosen at random, into the room. The last slots may just have been
/// taken away; the first one is the last to go.
#[inline(always)]
fn select<T: Tables>(frontend: &Frontend, tables: &T, room: &mut Room) -> bool {
    // The product's upper half: a number below `backends`.
    let slot = ((u64::from(tables.random()) * u64::from(frontend.backends)) >> 32) as u32;
    for slot in [slot, 0] {
        let key = BackendKey { service: frontend.service, slot };
        if let Some(backend) = tables.backend(&key) {
            room.backend = backend;
            return true;
        }
    }
    false
}

/// Claims a source port towards the room's backend and enters the connection into conntrack.
#[inline(always)]
fn connect<T: Tables>(
    headers: &Headers,
    now: u64,
    service: u32,
    tables: &T,
    room: &mut Room,
) -> Result<Route, DropReason> {
    let Room { to, peer, entry, backend } = room;
    let local = backend.flags & Backend::LOCAL != 0;
    let tcp = headers.flow.proto == tcp::PROTOCOL;
    *entry = CtEntry {
        to: headers.flow.reverse(),
        last_seen: now,
        created: now,
        service,
        backend: backend.id,
        state: if tcp { State::SYN_SENT } else { State::UDP_NEW },
        direction: CtEntry::REPLY,
        flags: if local { 0 } else { CtEntry::MASQUERADED },
        ..CtEntry::default()
    };
    // The reply as the backend sends it.
    *peer = FlowKey {
        src: backend.addr,
        dst: if local { headers.flow.src } else { backend.masquerade },
        sport: backend.port,
        dport: headers.flow.sport,
        proto: headers.flow.proto,
        reserved: [0; 3],
    };
    claim_port(local, tables, peer, entry)?;
    *to = peer.reverse();
    entry.to = *to;
    entry.direction = CtEntry::ORIGINAL;
    entry.packets = 1;
    entry.bytes = u64::from(headers.ip_len);
    if tables.conntrack_put(&headers.flow, entry) != Claim::Stored {
        tables.conntrack_remove(peer);
        return Err(DropReason::ConntrackFull);
    }
    Ok(route(entry))
}

/// Enters the reply's entry under a destination port that no other connection to the
/// same backend has. A local backend sees the client's own port, unless the same
/// client already reaches the same backend from it through another frontend.
#[inline(always)]
fn claim_port<T: Tables>(
    local: bool,
    tables: &T,
    reply: &mut FlowKey,
    entry: &CtEntry,
) -> Result<(), DropReason> {
    let [low, high] = tables.config().snat_ports;
    let span = u32::from(high.saturating_sub(low)) + 1;
    let first = tables.random() % span;
    for tried in 0..SNAT_TRIES {
        if !local || tried > 0 {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "below span, which is at most 65536"
            )]
            let port = low.wrapping_add(((first + tried) % span) as u16);
            reply.dport = port.to_be_bytes();
        }
        match tables.conntrack_claim(reply, entry) {
            Claim::Stored => return Ok(()),
            Claim::Full => return Err(DropReason::ConntrackFull),
            Claim::Taken => {}
        }
    }
    Err(DropReason::SnatPortsExhausted)
}

/// How a client learns at once that nobody serves it.
#[inline(always)]
const fn refusal(proto: u8) -> Answer {
    if proto == tcp::PROTOCOL { Answer::TcpReset } else { Answer::PortUnreachable }
}

#[inline(always)]
const fn answer(headers: &Headers, answer: Answer) -> Verdict {
    match answer {
        _ if headers.is_answerable() => Verdict::Answer(answer),
        // The stack would take the packet for its own, and refuse it.
        Answer::TimeExceeded => Verdict::Drop(DropReason::TtlExpired),
        _ => Verdict::Pass(PassReason::StackAnswers),
    }
}
