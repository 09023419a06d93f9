//! The tc hooks at the uplinks and at the VXLAN device.
//!
//! Ingress does what XDP does, for every device and every packet: it forwards
//! masqueraded connections past the stack, which would refuse a packet that arrives
//! with the node's own source address. Egress turns the answers of local backends
//! back into the frontend's.

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    helpers::generated::{bpf_ktime_get_ns, bpf_redirect},
    macros::classifier,
    programs::TcContext,
};
use netlab_common::{
    abi::hook,
    checksum::Sum,
    counters::Counters,
    event::{Trace, stage},
    flow::FlowKey,
    headers::Headers,
    nodeport::{Point, Room, decide},
    packet::{Packet as _, PacketMut as _},
    reply,
    rewrite::{Rewrite, decrement_ttl},
    verdict::{Answer, DropReason, Forward, PassReason, Route, Verdict},
    wire::{
        eth::EthHeader,
        ipv4::Ipv4Header,
        ipv6::Ipv6Header,
        tcp::{self, TcpHeader},
        udp::{self, UdpHeader},
    },
};

use crate::{
    fib::{Fib, Lookup},
    maps::{KernelTables, Scratch, count, end_tc, note},
    skb::{Part, Skb},
};

/// Goes on to the next program of the hook, and then to the stack.
const NEXT: i32 = TC_ACT_UNSPEC;

/// NodePort at an uplink or the VXLAN device.
#[classifier]
pub fn netlab_tc_ingress(ctx: TcContext) -> i32 {
    let action = run(&ctx, hook::TC_INGRESS, Point::Ingress);
    end_tc(&ctx, stage::IN);
    action
}

/// Answers of local backends.
#[classifier]
pub fn netlab_tc_egress(ctx: TcContext) -> i32 {
    let action = run(&ctx, hook::TC_EGRESS, Point::KnownFlows);
    end_tc(&ctx, stage::OUT);
    action
}

#[inline(always)]
fn run(ctx: &TcContext, hook: u32, at: Point) -> i32 {
    let Some(scratch) = Scratch::borrow(hook) else {
        return NEXT;
    };
    if let Some((verdict, action)) = carry_out(ctx, at, scratch) {
        note(hook, scratch, &verdict, 0, action.cast_unsigned());
        count(hook, |counters| counters.record(&verdict));
        action
    } else {
        let verdict = Verdict::Pass(PassReason::StackAnswers);
        note(hook, scratch, &verdict, Trace::LEFT, NEXT.cast_unsigned());
        count(hook, Counters::record_left);
        NEXT
    }
}

/// The verdict and the action; `None` where the packet was left to the stack.
#[inline(always)]
fn carry_out(ctx: &TcContext, at: Point, scratch: &mut Scratch) -> Option<(Verdict, i32)> {
    let mut skb = Skb(ctx.skb.skb);
    let Scratch { headers, room, way, .. } = scratch;
    let verdict = judge(&skb, headers, at, room);
    match verdict {
        Verdict::Pass(_) => Some((verdict, NEXT)),
        Verdict::Drop(_) => Some((verdict, TC_ACT_SHOT)),
        Verdict::Answer(answer) if at == Point::Ingress => {
            send_answer(ctx, &mut skb, headers, answer, 0)
        }
        Verdict::Answer(_) => None,
        Verdict::Forward(Forward { route: Route::Fib, .. }) if at == Point::Ingress => {
            forward(ctx, &mut skb, headers, room.translation(), way, verdict)
        }
        Verdict::Forward(_) => match translate(&mut skb, headers, room.translation()) {
            Ok(()) => Some((verdict, NEXT)),
            Err(reason) => Some(drop(reason)),
        },
    }
}

// Not inlined, as the functions below: their locals then share the stack, of which a
// program and what it calls have 512 bytes together.
#[inline(never)]
fn judge(skb: &Skb, headers: &mut Headers, at: Point, room: &mut Room) -> Verdict {
    let Some(tables) = KernelTables::open() else {
        return Verdict::Pass(PassReason::NoFlow);
    };
    match headers.read(skb, 0) {
        // SAFETY: takes nothing and returns a number.
        Ok(()) => decide(headers, at, unsafe { bpf_ktime_get_ns() }, &tables, room),
        Err(reason) => Verdict::Pass(reason),
    }
}

#[inline(always)]
const fn drop(reason: DropReason) -> (Verdict, i32) {
    (Verdict::Drop(reason), TC_ACT_SHOT)
}

#[inline(always)]
fn forward(
    ctx: &TcContext,
    skb: &mut Skb,
    headers: &Headers,
    to: &FlowKey,
    way: &mut Fib,
    verdict: Verdict,
) -> Option<(Verdict, i32)> {
    // SAFETY: the context that the kernel handed to the program.
    let (ifindex, gso_size) = unsafe { ((*skb.0).ifindex, (*skb.0).gso_size) };
    // The segments of a large packet fit, whatever its own length is.
    let ip_len = if gso_size > 0 { 0 } else { headers.ip_len };
    match way.lookup(ctx, to, headers.v4, ip_len, ifindex) {
        Lookup::Way | Lookup::Unresolved => {}
        Lookup::TooLarge if must_not_fragment(skb, headers) => {
            return send_answer(ctx, skb, headers, Answer::FragmentationNeeded, way.mtu());
        }
        // May be fragmented: the way is the same for any length.
        Lookup::TooLarge => {
            way.lookup(ctx, to, headers.v4, 0, ifindex);
        }
        Lookup::NoRoute => return Some(drop(DropReason::NoRoute)),
    }
    let translated = translate(skb, headers, to)
        .and_then(|()| decrement_ttl(skb, headers).ok_or(DropReason::Truncated));
    match translated {
        Ok(()) => Some((verdict, way.redirect())),
        Err(reason) => Some(drop(reason)),
    }
}

#[inline(always)]
fn must_not_fragment(skb: &Skb, headers: &Headers) -> bool {
    headers.is_answerable()
        && skb.load(headers.l3()).is_some_and(|ip| Ipv4Header(ip).dont_fragment())
}

/// Translates a packet whose checksum may be partial.
#[inline(always)]
fn translate(skb: &mut Skb, headers: &Headers, to: &FlowKey) -> Result<(), DropReason> {
    let done = if headers.is_error() {
        translate_error(skb, headers, to)
    } else {
        translate_own(skb, headers, to)
    };
    done.ok_or(DropReason::Truncated)
}

#[inline(never)]
fn translate_error(skb: &mut Skb, headers: &Headers, to: &FlowKey) -> Option<()> {
    Rewrite { headers, to }.apply_error(skb)
}

#[inline(never)]
fn translate_own(skb: &mut Skb, headers: &Headers, to: &FlowKey) -> Option<()> {
    let rewrite = Rewrite { headers, to };
    let udp = headers.flow.proto == udp::PROTOCOL;
    let checksum_at = checksum_at(headers);
    let addresses = rewrite.addresses();
    skb.replace_l4(checksum_at, addresses, Part::PseudoHeader, udp)?;
    skb.replace_l4(checksum_at, rewrite.ports(), Part::Header, udp)?;
    let ([a, b], [c, d]) = (to.sport, to.dport);
    skb.store_balanced(headers.l4(), &[a, b, c, d])?;
    if !headers.v4 {
        // The pseudo-header's part of the transport checksum balances them.
        skb.store_balanced(headers.l3() + Ipv6Header::AT_ADDRESSES, &to.src.0)?;
        return skb.store_balanced(headers.l3() + Ipv6Header::AT_ADDRESSES + 16, &to.dst.0);
    }
    let ([a, b, c, d], [e, f, g, h]) = (to.src.last4(), to.dst.last4());
    skb.replace_l3(headers.l3() + Ipv4Header::AT_CHECKSUM, addresses)?;
    skb.store_balanced(headers.l3() + Ipv4Header::AT_ADDRESSES, &[a, b, c, d, e, f, g, h])
}

#[inline(always)]
const fn checksum_at(headers: &Headers) -> usize {
    headers.l4()
        + if headers.flow.proto == udp::PROTOCOL {
            UdpHeader::AT_CHECKSUM
        } else {
            TcpHeader::AT_CHECKSUM
        }
}

/// Turns the packet into an answer and sends it back by the interface it came from.
#[inline(always)]
fn send_answer(
    ctx: &TcContext,
    skb: &mut Skb,
    headers: &Headers,
    answer: Answer,
    mtu: u16,
) -> Option<(Verdict, i32)> {
    let written = match answer {
        Answer::TcpReset => write_reset(skb),
        _ => write_error(skb, headers, answer, mtu),
    };
    if written.is_none() {
        return Some(drop(DropReason::Truncated));
    }
    // SAFETY: the context that the kernel handed to the program; numbers otherwise.
    let action = unsafe { bpf_redirect((*ctx.skb.skb).ifindex, 0) };
    Some((Verdict::Answer(answer), action as i32))
}

#[inline(never)]
fn write_reset(skb: &mut Skb) -> Option<()> {
    const L3: usize = EthHeader::LEN;
    const L4: usize = L3 + Ipv4Header::LEN;
    let partial = skb.is_partial(L4 + TcpHeader::AT_CHECKSUM)?;
    let eth = reply::turn(&EthHeader(skb.load(0)?));
    let (ip, mut tcp) = reply::reset(&Ipv4Header(skb.load(L3)?), &TcpHeader(skb.load(L4)?));
    let pseudo = reply::reset_pseudo_sum(&ip);
    let field =
        if partial { pseudo.folded() } else { pseudo.plus(Sum::ZERO.with(tcp.0)).checksum() };
    [tcp.0[TcpHeader::AT_CHECKSUM], tcp.0[TcpHeader::AT_CHECKSUM + 1]] = field;
    skb.cut(reply::RESET_LEN)?;
    skb.store(0, eth.0)?;
    skb.store(L3, ip.0)?;
    skb.store(L4, tcp.0)
}

#[inline(never)]
fn write_error(skb: &mut Skb, headers: &Headers, answer: Answer, mtu: u16) -> Option<()> {
    const L3: usize = EthHeader::LEN;
    let proto = headers.flow.proto;
    let eth = reply::turn(&EthHeader(skb.load(0)?));
    let offender = Ipv4Header(skb.load(L3)?);
    let quoted = Sum::ZERO.with(offender.0).plus(transport_sum(skb, headers)?);
    let (ip, icmp) = reply::error(answer, &offender, quoted, mtu);
    skb.cut(L3 + reply::quote_len(proto))?;
    skb.grow(reply::ERROR_GROWTH)?;
    skb.store(0, eth.0)?;
    skb.store(L3, ip.0)?;
    skb.store(L3 + Ipv4Header::LEN, icmp.0)
}

/// The sum over the transport header that an ICMP error quotes. A partial checksum
/// in it will still be completed, over just the bytes that are quoted.
#[inline(always)]
fn transport_sum(skb: &mut Skb, headers: &Headers) -> Option<Sum> {
    let at = checksum_at(headers);
    let tcp = headers.flow.proto == tcp::PROTOCOL;
    let sum = if tcp {
        Sum::ZERO.with(skb.load::<{ TcpHeader::LEN }>(headers.l4())?)
    } else {
        Sum::ZERO.with(skb.load::<8>(headers.l4())?)
    };
    if !skb.is_partial(at)? {
        return Some(sum);
    }
    let completed = match sum.checksum() {
        [0, 0] if !tcp => [0xff, 0xff],
        completed => completed,
    };
    Some(sum.without(skb.load::<2>(at)?).with(completed))
}
