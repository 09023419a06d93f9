//! Packets that may open a connection.

use super::{
    Claim, Room, Tables,
    answer::{answer, refusal},
    claim::claim_port,
    route,
    select::select,
};
use crate::{
    abi::{Backend, CtEntry, Frontend, FrontendKey},
    conntrack::State,
    flow::{Addr, FlowKey},
    headers::Headers,
    verdict::{Answer, DropReason, Forward, Kind, PassReason, Route, Verdict},
    wire::tcp::{
        self,
        flags::{ACK, RST, SYN},
    },
};

/// The verdict for a packet that belongs to no known flow.
#[inline(always)]
pub(super) fn open<T: Tables>(headers: &Headers, now: u64, tables: &T, room: &mut Room) -> Verdict {
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
