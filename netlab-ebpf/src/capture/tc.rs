//! At tc: interfaces, where packets enter and leave the stack, and what the datapath's
//! programs there have done.
//!
//! `capture_tc_in` and `_out` are attached to interfaces and see what tcpdump sees: on the way
//! in ahead of every other program at tc, on the way out behind them all. `capture_nat_in` and
//! `_out` are called by the datapath's programs when they end ([`stage`]), and have to go on
//! with the next capture. All of them call `capture_tc_look`, which goes on with `_in_on` or
//! `_out_on` of the same datapath, if it came from there ([`netlab_common::event::step`]).

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_UNSPEC},
    helpers::generated::bpf_skb_load_bytes,
    macros::classifier,
    programs::TcContext,
};
use netlab_common::{
    abi,
    event::{hook, stage, step},
};

use crate::{
    maps::{Buffer, TC_STAGES, TC_STEPS, Use, call_next, is_selected, note_job, settings, trace},
    offer::{send, wanted},
    source::{Extent, Front, Source},
};

/// An interface's way in.
#[classifier]
pub fn capture_tc_in(ctx: TcContext) -> i32 {
    at_interface(&ctx, hook::TC_IN)
}

/// An interface's way out.
#[classifier]
pub fn capture_tc_out(ctx: TcContext) -> i32 {
    at_interface(&ctx, hook::TC_OUT)
}

/// What the datapath has made of a packet at ingress, unless it let it pass.
#[classifier]
pub fn capture_nat_in(ctx: TcContext) -> i32 {
    behind_datapath(&ctx, hook::NAT_IN, abi::hook::TC_INGRESS, 0);
    go_on(&ctx, abi::hook::TC_INGRESS, stage::IN)
}

/// What the datapath has made of a packet at egress, unless it let it pass.
#[classifier]
pub fn capture_nat_out(ctx: TcContext) -> i32 {
    behind_datapath(&ctx, hook::NAT_OUT, abi::hook::TC_EGRESS, 1);
    go_on(&ctx, abi::hook::TC_EGRESS, stage::OUT)
}

/// On, after the packet was looked at behind the datapath's program at ingress.
#[classifier]
pub fn capture_nat_in_on(ctx: TcContext) -> i32 {
    go_on(&ctx, abi::hook::TC_INGRESS, stage::IN)
}

/// On, after the packet was looked at behind the datapath's program at egress.
#[classifier]
pub fn capture_nat_out_on(ctx: TcContext) -> i32 {
    go_on(&ctx, abi::hook::TC_EGRESS, stage::OUT)
}

/// Looks at the packet, for all interfaces and datapaths.
#[classifier]
pub fn capture_tc_look(ctx: TcContext) -> i32 {
    let Some(buffer) = Buffer::borrow(Use::Hook) else {
        return TC_ACT_UNSPEC;
    };
    look(ctx.skb.skb, buffer);
    if buffer.job.traced == 0 {
        return TC_ACT_UNSPEC;
    }
    // SAFETY: nothing here has to be dropped.
    unsafe { TC_STEPS.tail_call(&ctx, buffer.job.next) };
    // The capture is ending.
    buffer.trace.action.cast_signed()
}

#[inline(always)]
fn at_interface(ctx: &TcContext, hook: u8) -> i32 {
    if note_job(hook, None, None).is_some() {
        // SAFETY: nothing here has to be dropped.
        unsafe { TC_STEPS.tail_call(ctx, step::LOOK) };
    }
    TC_ACT_UNSPEC
}

/// Looks at the packet and goes on. Returns where there is nothing to look for.
#[inline(always)]
fn behind_datapath(ctx: &TcContext, hook: u8, datapath_hook: u32, next: u32) {
    if let Some(trace) = trace(datapath_hook)
        && !trace.is_untouched()
        && note_job(hook, Some(trace), Some(next)).is_some()
    {
        // SAFETY: nothing here has to be dropped.
        unsafe { TC_STEPS.tail_call(ctx, step::LOOK) };
    }
}

#[inline(always)]
fn go_on(ctx: &TcContext, datapath_hook: u32, first: u32) -> i32 {
    call_next(&TC_STAGES, ctx, first);
    trace(datapath_hook).map_or(TC_ACT_UNSPEC, |trace| trace.action.cast_signed())
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
fn look(skb: *mut __sk_buff, buffer: &mut Buffer) -> Option<()> {
    let settings = settings()?;
    // SAFETY: the context that the kernel handed to the program.
    let (len, ifindex) = unsafe { ((*skb).len, (*skb).ifindex) };
    let traced = buffer.job.traced != 0;
    // An interface that is not asked for has no program of the capture, but one of the datapath.
    if traced && !is_selected(settings, buffer.record.namespace, ifindex) {
        return None;
    }
    let hook = buffer.job.hook as u8;
    let front = front(skb, buffer.job.headerless != 0);
    if !wanted(buffer, settings, &Skb(skb), hook, Extent { len, readable: len, front }) {
        return None;
    }
    buffer.record.ifindex = ifindex;
    buffer.record.location = 0;
    buffer.record.reason = if traced { buffer.trace.action } else { 0 };
    send(buffer, settings, hook, traced);
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
