//! At tc: interfaces, where packets enter and leave the stack, and what the datapath's
//! programs there have done.
//!
//! The first two are what tcpdump sees: on the way in ahead of every other program at tc, on
//! the way out behind them all. The others are called by the datapath's programs when they
//! end, and call the next capture ([`stage`]).

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_UNSPEC},
    helpers::generated::bpf_skb_load_bytes,
    macros::classifier,
    programs::TcContext,
};
use netlab_common::{
    abi,
    event::{Trace, hook, stage},
};

use crate::{
    maps::{Buffer, TC_STAGES, Use, call_next, instance, is_selected, settings, trace},
    offer::{Sighting, send, wanted},
    source::{Front, Source},
};

/// An interface's way in.
#[classifier]
pub fn capture_tc_in(ctx: TcContext) -> i32 {
    look(ctx.skb.skb, hook::TC_IN, None);
    TC_ACT_UNSPEC
}

/// An interface's way out.
#[classifier]
pub fn capture_tc_out(ctx: TcContext) -> i32 {
    look(ctx.skb.skb, hook::TC_OUT, None);
    TC_ACT_UNSPEC
}

/// What the datapath has made of a packet at ingress, unless it let it pass.
#[classifier]
pub fn capture_nat_in(ctx: TcContext) -> i32 {
    after(&ctx, hook::NAT_IN, abi::hook::TC_INGRESS, stage::IN)
}

/// What the datapath has made of a packet at egress, unless it let it pass.
#[classifier]
pub fn capture_nat_out(ctx: TcContext) -> i32 {
    after(&ctx, hook::NAT_OUT, abi::hook::TC_EGRESS, stage::OUT)
}

#[inline(always)]
fn after(ctx: &TcContext, hook: u8, datapath_hook: u32, first: u32) -> i32 {
    let Some(trace) = trace(datapath_hook) else {
        return TC_ACT_UNSPEC;
    };
    if !trace.is_untouched() {
        look(ctx.skb.skb, hook, Some(trace));
    }
    call_next(&TC_STAGES, ctx, first);
    trace.action.cast_signed()
}

struct Skb(*mut __sk_buff);

impl Source for Skb {
    #[inline(always)]
    unsafe fn copy(&self, from: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: `to` takes `len` bytes, as the caller promises.
        unsafe { bpf_skb_load_bytes(self.0.cast(), from, to.cast(), len) == 0 }
    }
}

#[inline(always)]
fn look(skb: *mut __sk_buff, hook: u8, known: Option<&Trace>) -> Option<()> {
    let (settings, instance) = (settings()?, instance()?);
    // SAFETY: the context that the kernel handed to the program.
    let (len, ifindex) = unsafe { ((*skb).len, (*skb).ifindex) };
    // An interface that is not asked for has no program of the capture, but one of the datapath.
    if known.is_some() && !is_selected(settings, instance.namespace, ifindex) {
        return None;
    }
    let buffer = Buffer::borrow(Use::Hook)?;
    let front = front(skb, instance.headerless != 0);
    if !wanted(buffer, settings, &Skb(skb), &Sighting { hook, len, readable: len, front }) {
        return None;
    }
    buffer.record.namespace = instance.namespace;
    buffer.record.ifindex = ifindex;
    buffer.record.location = 0;
    buffer.record.reason = known.map_or(0, |trace| trace.action);
    if let Some(trace) = known {
        buffer.trace = *trace;
    }
    send(buffer, settings, hook, known.is_some());
    Some(())
}

#[inline(always)]
fn front(skb: *mut __sk_buff, headerless: bool) -> Front {
    // SAFETY: the context that the kernel handed to the program.
    unsafe {
        if headerless {
            let [a, b, ..] = (*skb).protocol.to_ne_bytes();
            return Front::Header([a, b]);
        }
        if (*skb).vlan_present == 0 {
            return Front::Nothing;
        }
        // The TPID is big-endian, the TCI is a number.
        let [a, b, ..] = (*skb).vlan_proto.to_ne_bytes();
        let [c, d] = ((*skb).vlan_tci as u16).to_be_bytes();
        Front::Tag([a, b, c, d])
    }
}
