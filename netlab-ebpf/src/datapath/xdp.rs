//! The XDP hook at an uplink: NodePort, with forwarding past the stack.
//!
//! It forwards by the interface that the packet came in on, encapsulating and
//! decapsulating VXLAN on the way. It redirects there instead of returning XDP_TX: veth
//! leaves such frames lying unless its peer runs an XDP program of its own. Packets for local
//! backends go up the stack translated; whatever else it cannot forward goes up
//! untouched, and the tc hook of the same interface deals with it.

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    helpers::generated::{bpf_ktime_get_ns, bpf_redirect},
    macros::xdp,
    programs::XdpContext,
};
use netlab_common::{
    abi::hook,
    checksum::Sum,
    counters::Counters,
    event::Trace,
    flow::FlowKey,
    headers::Headers,
    nodeport::{Point, Room, Tables as _, decide, take_back},
    packet::{Packet as _, PacketMut as _},
    reply,
    rewrite::{Rewrite, decrement_ttl},
    verdict::{Answer, DropReason, Forward, Kind, PassReason, Route, Verdict},
    wire::{eth::EthHeader, ipv4::Ipv4Header, tcp::TcpHeader, vxlan::OVERHEAD},
};

use crate::{
    fib::{Fib, Lookup},
    frame::Frame,
    maps::{KernelTables, Scratch, begin_xdp, count, end_xdp, note},
    vxlan,
};

/// At an uplink: captures, if there are any, and then the program.
#[xdp(frags)]
pub fn netlab_xdp(ctx: XdpContext) -> u32 {
    begin_xdp(&ctx);
    XDP_PASS
}

/// NodePort at an uplink.
#[xdp(frags)]
pub fn netlab_xdp_main(ctx: XdpContext) -> u32 {
    let action = run(&ctx);
    end_xdp(&ctx);
    action
}

#[inline(always)]
fn run(ctx: &XdpContext) -> u32 {
    let Some(scratch) = Scratch::borrow(hook::XDP) else {
        return XDP_PASS;
    };
    let mut frame = Frame(ctx);
    match carry_out(ctx, &mut frame, scratch) {
        Done::Verdict(verdict, action) => finish(scratch, &verdict, 0, action),
        Done::Encapsulated(verdict) => {
            finish(scratch, &verdict, Trace::ENCAPSULATED, send_back(ctx))
        }
        Done::Decapsulated(verdict) => {
            finish(scratch, &verdict, Trace::DECAPSULATED, send_back(ctx))
        }
        Done::Sent(verdict) => finish(scratch, &verdict, 0, send_back(ctx)),
        Done::Left(verdict) => {
            if let Verdict::Forward(Forward { kind, .. }) = verdict {
                uncount(scratch, kind);
            }
            note(hook::XDP, scratch, &verdict, Trace::LEFT, XDP_PASS);
            count(hook::XDP, Counters::record_left);
            XDP_PASS
        }
    }
}

/// Counts a packet that was dealt with, and leaves word of it; gives the action back.
#[inline(always)]
fn finish(scratch: &Scratch, verdict: &Verdict, flags: u8, action: u32) -> u32 {
    note(hook::XDP, scratch, verdict, flags, action);
    count(hook::XDP, |counters| {
        counters.record(verdict);
        counters.encapsulated += u64::from(flags & Trace::ENCAPSULATED != 0);
        counters.decapsulated += u64::from(flags & Trace::DECAPSULATED != 0);
    });
    action
}

/// The action that sends the frame out by the interface that it came in on.
#[inline(always)]
fn send_back(ctx: &XdpContext) -> u32 {
    // SAFETY: takes numbers.
    unsafe { bpf_redirect(ctx.ingress_ifindex() as u32, 0) as u32 }
}

/// How a packet was dealt with.
enum Done {
    /// As the verdict says, with this action.
    Verdict(Verdict, u32),
    /// Sent on, or an answer sent.
    Sent(Verdict),
    /// Sent on in a VXLAN packet.
    Encapsulated(Verdict),
    /// Sent on, taken out of a VXLAN packet.
    Decapsulated(Verdict),
    /// Left untouched to the stack, whatever the verdict was.
    Left(Verdict),
}

#[inline(always)]
fn carry_out(ctx: &XdpContext, frame: &mut Frame<'_>, scratch: &mut Scratch) -> Done {
    let verdict = judge(frame, &mut scratch.headers, &mut scratch.room);
    let tunnelled = is_tunnelled(&scratch.headers);
    match verdict {
        Verdict::Pass(_) => Done::Verdict(verdict, XDP_PASS),
        Verdict::Drop(_) => Done::Verdict(verdict, XDP_DROP),
        Verdict::Answer(answer) if !tunnelled => send_answer(frame, &scratch.headers, answer, 0),
        Verdict::Forward(Forward { route: Route::Fib, .. }) => {
            forward(ctx, frame, scratch, verdict, tunnelled)
        }
        Verdict::Forward(_) if !tunnelled => {
            match translate(frame, &scratch.headers, scratch.room.translation()) {
                Ok(()) => Done::Verdict(verdict, XDP_PASS),
                Err(reason) => drop(reason),
            }
        }
        _ => Done::Left(verdict),
    }
}

/// Whether the headers read are those inside an encapsulation.
#[inline(always)]
const fn is_tunnelled(headers: &Headers) -> bool {
    headers.l3() > OVERHEAD
}

// Not inlined, as the functions below: their locals then share the stack, of which a
// program and what it calls have 512 bytes together.
#[inline(never)]
fn judge(frame: &Frame<'_>, headers: &mut Headers, room: &mut Room) -> Verdict {
    let Some(tables) = KernelTables::open() else {
        return Verdict::Pass(PassReason::NoFlow);
    };
    if let Err(reason) = headers.read(frame, 0) {
        return Verdict::Pass(reason);
    }
    let mut at = Point::Ingress;
    if vxlan::is_ours(frame, headers, tables.config()) {
        // What cannot be read the VXLAN device hands to its own tc hook, which counts why.
        if headers.read(frame, OVERHEAD).is_err() {
            return Verdict::Pass(PassReason::NoFlow);
        }
        at = Point::KnownFlows;
    }
    // SAFETY: takes nothing and returns a number.
    decide(headers, at, unsafe { bpf_ktime_get_ns() }, &tables, room)
}

#[inline(never)]
fn uncount(scratch: &Scratch, kind: Kind) {
    if let Some(tables) = KernelTables::open() {
        take_back(&scratch.headers, kind, &tables);
    }
}

#[inline(always)]
fn translate(frame: &mut Frame<'_>, headers: &Headers, to: &FlowKey) -> Result<(), DropReason> {
    let done = if headers.is_error() {
        translate_error(frame, headers, to)
    } else {
        translate_own(frame, headers, to)
    };
    done.ok_or(DropReason::Truncated)
}

#[inline(never)]
fn translate_own(frame: &mut Frame<'_>, headers: &Headers, to: &FlowKey) -> Option<()> {
    Rewrite { headers, to }.apply_own(frame)
}

#[inline(never)]
fn translate_error(frame: &mut Frame<'_>, headers: &Headers, to: &FlowKey) -> Option<()> {
    Rewrite { headers, to }.apply_error(frame)
}

#[inline(always)]
const fn drop(reason: DropReason) -> Done {
    Done::Verdict(Verdict::Drop(reason), XDP_DROP)
}

#[inline(always)]
fn forward(
    ctx: &XdpContext,
    frame: &mut Frame<'_>,
    scratch: &mut Scratch,
    verdict: Verdict,
    tunnelled: bool,
) -> Done {
    let Scratch { headers, room, way, .. } = scratch;
    let to = room.translation();
    let ingress = ctx.ingress_ifindex() as u32;
    match way.lookup(ctx, to, headers.v4, headers.ip_len, ingress) {
        Lookup::Way => {}
        Lookup::TooLarge if !tunnelled && must_not_fragment(frame, headers) => {
            return send_answer(frame, headers, Answer::FragmentationNeeded, way.mtu());
        }
        _ => return Done::Left(verdict),
    }
    if way.ifindex() == ingress {
        return match send(frame, headers, to, way, tunnelled) {
            Ok(()) if tunnelled => Done::Decapsulated(verdict),
            Ok(()) => Done::Sent(verdict),
            Err(reason) => drop(reason),
        };
    }
    if tunnelled || vxlan::prepare(ctx, scratch).is_none() {
        return Done::Left(verdict);
    }
    let Scratch { headers, room, way, outer, .. } = scratch;
    let sent = send(frame, headers, room.translation(), way, false)
        .and_then(|()| vxlan::encapsulate(frame, outer).ok_or(DropReason::Truncated));
    match sent {
        Ok(()) => Done::Encapsulated(verdict),
        Err(reason) => drop(reason),
    }
}

/// Translates the frame, addresses it to the next hop and takes off the encapsulation.
#[inline(always)]
fn send(
    frame: &mut Frame<'_>,
    headers: &Headers,
    to: &FlowKey,
    way: &Fib,
    tunnelled: bool,
) -> Result<(), DropReason> {
    translate(frame, headers, to)?;
    decrement_ttl(frame, headers).ok_or(DropReason::Truncated)?;
    let eth_at = headers.l3() - EthHeader::LEN;
    let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (way.destination(), way.source());
    frame.store(eth_at, [a, b, c, d, e, f, g, h, i, j, k, l]).ok_or(DropReason::Truncated)?;
    if tunnelled {
        frame.move_head(OVERHEAD as i32).ok_or(DropReason::Truncated)?;
    }
    Ok(())
}

#[inline(always)]
fn must_not_fragment(frame: &Frame<'_>, headers: &Headers) -> bool {
    headers.is_answerable()
        && frame.load(headers.l3()).is_some_and(|ip| Ipv4Header(ip).dont_fragment())
}

/// Turns the frame into an answer to its sender.
#[inline(always)]
fn send_answer(frame: &mut Frame<'_>, headers: &Headers, answer: Answer, mtu: u16) -> Done {
    let written = match answer {
        Answer::TcpReset => write_reset(frame),
        _ => write_error(frame, headers.flow.proto, answer, mtu),
    };
    match written {
        Some(()) => Done::Sent(Verdict::Answer(answer)),
        None => drop(DropReason::Truncated),
    }
}

#[inline(never)]
fn write_reset(frame: &mut Frame<'_>) -> Option<()> {
    const L3: usize = EthHeader::LEN;
    const L4: usize = L3 + Ipv4Header::LEN;
    let eth = reply::turn(&EthHeader(frame.load(0)?));
    let (ip, mut tcp) = reply::reset(&Ipv4Header(frame.load(L3)?), &TcpHeader(frame.load(L4)?));
    let checksum = reply::reset_pseudo_sum(&ip).plus(Sum::ZERO.with(tcp.0)).checksum();
    [tcp.0[TcpHeader::AT_CHECKSUM], tcp.0[TcpHeader::AT_CHECKSUM + 1]] = checksum;
    frame.store(0, eth.0)?;
    frame.store(L3, ip.0)?;
    frame.store(L4, tcp.0)?;
    let surplus = frame.len() - reply::RESET_LEN as i64;
    frame.move_tail(-(surplus as i32))
}

#[inline(never)]
fn write_error(frame: &mut Frame<'_>, proto: u8, answer: Answer, mtu: u16) -> Option<()> {
    const L3: usize = EthHeader::LEN;
    let eth = reply::turn(&EthHeader(frame.load(0)?));
    let offender: [u8; Ipv4Header::LEN] = frame.load(L3)?;
    let transport_at = L3 + Ipv4Header::LEN;
    let transport = if reply::quote_len(proto) == Ipv4Header::LEN + TcpHeader::LEN {
        Sum::ZERO.with(frame.load::<{ TcpHeader::LEN }>(transport_at)?)
    } else {
        Sum::ZERO.with(frame.load::<8>(transport_at)?)
    };
    let quoted = Sum::ZERO.with(offender).plus(transport);
    let (ip, icmp) = reply::error(answer, &Ipv4Header(offender), quoted, mtu);
    frame.move_head(-(reply::ERROR_GROWTH as i32))?;
    frame.store(0, eth.0)?;
    frame.store(L3, ip.0)?;
    frame.store(L3 + Ipv4Header::LEN, icmp.0)?;
    let wanted = L3 + reply::ERROR_GROWTH + reply::quote_len(proto);
    let surplus = frame.len() - wanted as i64;
    frame.move_tail(-(surplus as i32))
}
