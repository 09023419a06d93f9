//! The core: what becomes of a packet at a node port.
//!
//! Law: [`decide`] reads headers and [`Tables`] and nothing else, and never panics.
//! Order: a known flow first, since nearly every packet belongs to one; then the
//! frontend, the backend, the source port, and at last the two conntrack entries,
//! the reply's first, because claiming it is what makes the source port ours.

mod answer;
mod claim;
mod known;
mod open;
mod select;

pub use claim::SNAT_TRIES;

use crate::{
    abi::{Backend, BackendKey, Config, CtEntry, Frontend, FrontendKey},
    flow::{Addr, FlowKey},
    headers::Headers,
    verdict::{Answer, DropReason, Forward, Kind, PassReason, Route, Verdict},
};
use answer::answer;
use known::known;
use open::open;

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
