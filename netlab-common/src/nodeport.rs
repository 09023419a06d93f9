//! The core: what becomes of a packet at a node port.
//!
//! Law: [`decide`] reads headers and [`Tables`] and nothing else, and never panics.
//! Order: a known flow first, since nearly every packet belongs to one; then the
//! frontend, the backend, the source port, and at last the two conntrack entries,
//! the reply's first, because claiming it is what makes the source port ours.

use crate::{
    abi::{Backend, BackendKey, Config, CtEntry, Frontend, FrontendKey},
    conntrack::State,
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

/// Decides about one packet; `now` in nanoseconds since boot.
#[inline(always)]
pub fn decide<T: Tables>(headers: &Headers, at: Point, now: u64, tables: &T) -> Verdict {
    if headers.is_error() {
        return about_error(headers, tables);
    }
    match known(headers, now, tables) {
        Some(verdict) => verdict,
        None => match at {
            Point::Ingress => open(headers, now, tables),
            Point::KnownFlows => Verdict::Pass(PassReason::NoFlow),
        },
    }
}

/// An ICMP error about a known flow. It does not keep the flow alive.
#[inline(always)]
fn about_error<T: Tables>(headers: &Headers, tables: &T) -> Verdict {
    let Some((to, route)) = tables.conntrack(&headers.flow, |entry| (entry.to, route(entry)))
    else {
        return Verdict::Pass(PassReason::NoFlow);
    };
    if route == Route::Fib && headers.ttl <= 1 {
        return Verdict::Drop(DropReason::TtlExpired);
    }
    Verdict::Forward(Forward { to, kind: Kind::Error, route })
}

#[inline(always)]
const fn route(entry: &CtEntry) -> Route {
    if entry.flags & CtEntry::MASQUERADED != 0 { Route::Fib } else { Route::Stack }
}

/// What a look at a conntrack entry found.
enum Seen {
    /// Alive; the new state where it changed.
    Live(Forward, Option<State>),
    /// Ended, and the client begins anew under the same addresses and ports.
    Restarted(FlowKey),
    /// This direction was silent for too long; the other may not have been.
    Silent(FlowKey),
}

/// The verdict for a packet of a known flow.
#[inline(always)]
fn known<T: Tables>(headers: &Headers, now: u64, tables: &T) -> Option<Verdict> {
    let timeouts = &tables.config().timeouts;
    let mut seen =
        tables.conntrack(&headers.flow, |entry| look(entry, headers, now, timeouts, false))?;
    if let Seen::Silent(peer) = seen {
        let alive = tables.conntrack(&peer, |entry| {
            !timeouts.is_over(entry.state, entry.last_seen, now)
        });
        if alive == Some(true) {
            seen = tables
                .conntrack(&headers.flow, |entry| look(entry, headers, now, timeouts, true))?;
        }
    }
    match seen {
        Seen::Live(forward, changed) => {
            if let Some(state) = changed {
                tables.conntrack(&forward.to.reverse(), |peer| peer.state = state);
            }
            if forward.route == Route::Fib && headers.ttl <= 1 {
                return Some(answer(headers, Answer::TimeExceeded));
            }
            Some(Verdict::Forward(forward))
        }
        Seen::Restarted(peer) | Seen::Silent(peer) => {
            tables.conntrack_remove(&peer);
            tables.conntrack_remove(&headers.flow);
            None
        }
    }
}

#[inline(always)]
fn look(
    entry: &mut CtEntry,
    headers: &Headers,
    now: u64,
    timeouts: &crate::conntrack::Timeouts,
    known_alive: bool,
) -> Seen {
    let begins = headers.tcp_flags & (SYN | ACK) == SYN;
    if begins && entry.direction == CtEntry::ORIGINAL && entry.state.is_ended() {
        return Seen::Restarted(entry.to.reverse());
    }
    if !known_alive && timeouts.is_over(entry.state, entry.last_seen, now) {
        return Seen::Silent(entry.to.reverse());
    }
    let next = entry.state.next(entry.direction, headers.tcp_flags);
    let changed = if next == entry.state { None } else { Some(next) };
    entry.state = next;
    entry.last_seen = now;
    entry.packets = entry.packets.wrapping_add(1);
    entry.bytes = entry.bytes.wrapping_add(u64::from(headers.ip_len));
    let kind = if entry.direction == CtEntry::ORIGINAL { Kind::Original } else { Kind::Reply };
    Seen::Live(Forward { to: entry.to, kind, route: route(entry) }, changed)
}

/// The verdict for a packet that belongs to no known flow.
#[inline(always)]
fn open<T: Tables>(headers: &Headers, now: u64, tables: &T) -> Verdict {
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
    let Some(backend) = select(&frontend, tables) else {
        return Verdict::Drop(DropReason::BackendMissing);
    };
    let local = backend.flags & Backend::LOCAL != 0;
    if !local && headers.ttl <= 1 {
        return answer(headers, Answer::TimeExceeded);
    }
    if !local && backend.masquerade.is_unspecified() {
        return Verdict::Drop(DropReason::NoMasqueradeAddress);
    }
    connect(headers, now, &frontend, &backend, tables)
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
    key.addr = Addr::UNSPECIFIED;
    tables.frontend(&key)
}

/// A backend at random. The last slots may just have been taken away; the first
/// one is the last to go.
#[inline(always)]
fn select<T: Tables>(frontend: &Frontend, tables: &T) -> Option<Backend> {
    #[expect(clippy::cast_possible_truncation, reason = "the product's upper half is below backends")]
    let slot = ((u64::from(tables.random()) * u64::from(frontend.backends)) >> 32) as u32;
    tables
        .backend(&BackendKey { service: frontend.service, slot })
        .or_else(|| tables.backend(&BackendKey { service: frontend.service, slot: 0 }))
}

/// Claims a source port and enters the connection into conntrack.
#[inline(always)]
fn connect<T: Tables>(
    headers: &Headers,
    now: u64,
    frontend: &Frontend,
    backend: &Backend,
    tables: &T,
) -> Verdict {
    let local = backend.flags & Backend::LOCAL != 0;
    let tcp = headers.flow.proto == tcp::PROTOCOL;
    let mut entry = CtEntry {
        to: headers.flow.reverse(),
        last_seen: now,
        created: now,
        service: frontend.service,
        backend: backend.id,
        state: if tcp { State::SYN_SENT } else { State::UDP_NEW },
        direction: CtEntry::REPLY,
        flags: if local { 0 } else { CtEntry::MASQUERADED },
        ..CtEntry::default()
    };
    // The reply as the backend sends it.
    let mut reply = FlowKey {
        src: backend.addr,
        dst: if local { headers.flow.src } else { backend.masquerade },
        sport: backend.port,
        dport: headers.flow.sport,
        ..headers.flow
    };
    let [low, high] = tables.config().snat_ports;
    let span = u32::from(high.saturating_sub(low)) + 1;
    let first = tables.random() % span;
    let mut tried = 0;
    loop {
        // A local backend sees the client's own port, unless the same client already
        // reaches the same backend from that port through another frontend.
        if !local || tried > 0 {
            #[expect(clippy::cast_possible_truncation, reason = "below span, which is at most 65536")]
            let port = low.wrapping_add(((first + tried) % span) as u16);
            reply.dport = port.to_be_bytes();
        }
        match tables.conntrack_claim(&reply, &entry) {
            Claim::Stored => break,
            Claim::Full => return Verdict::Drop(DropReason::ConntrackFull),
            Claim::Taken => {}
        }
        tried += 1;
        if tried == SNAT_TRIES {
            return Verdict::Drop(DropReason::SnatPortsExhausted);
        }
    }
    entry.to = reply.reverse();
    entry.direction = CtEntry::ORIGINAL;
    entry.packets = 1;
    entry.bytes = u64::from(headers.ip_len);
    if tables.conntrack_put(&headers.flow, &entry) != Claim::Stored {
        tables.conntrack_remove(&reply);
        return Verdict::Drop(DropReason::ConntrackFull);
    }
    Verdict::Forward(Forward { to: entry.to, kind: Kind::First, route: route(&entry) })
}

/// How a client learns at once that nobody serves it.
#[inline(always)]
const fn refusal(proto: u8) -> Answer {
    if proto == tcp::PROTOCOL { Answer::TcpReset } else { Answer::PortUnreachable }
}

#[inline(always)]
const fn answer(headers: &Headers, answer: Answer) -> Verdict {
    if headers.is_answerable() {
        Verdict::Answer(answer)
    } else {
        Verdict::Pass(PassReason::StackAnswers)
    }
}
