//! At tc: interfaces, where packets enter and leave the stack, and what the datapath's
//! programs there have done.
//!
//! `capture_tc_in` and `_out` are attached to interfaces and see what tcpdump sees: on the way
//! in ahead of every other program at tc, on the way out behind them all. There may be many
//! namespaces, each with its own of them: they are small, and call `capture_tc_look`, which has
//! the filter. `capture_nat_in` and `_out` are called by the datapath's programs when they end
//! ([`stage`]), and have to go on with the next capture. These have the filter in them.

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_UNSPEC},
    helpers::generated::bpf_skb_load_bytes,
    macros::classifier,
    programs::TcContext,
};
use netlab_common::{
    abi,
    event::{Settings, Trace, hook, stage},
};

use crate::{
    maps::{
        Buffer, Job, TC_LOOK, TC_STAGES, Use, call_next, instance, is_selected, settings, trace,
    },
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

/// Looks at the packet, for all interfaces.
#[classifier]
pub fn capture_tc_look(ctx: TcContext) -> i32 {
    if let Some(settings) = settings()
        && let Some(buffer) = Buffer::borrow(Use::Hook)
    {
        look(ctx.skb.skb, settings, buffer, buffer.job, None);
    }
    TC_ACT_UNSPEC
}

/// What the datapath has made of a packet at ingress, unless it let it pass.
#[classifier]
pub fn capture_nat_in(ctx: TcContext) -> i32 {
    behind_datapath(&ctx, hook::NAT_IN, abi::hook::TC_INGRESS, stage::IN)
}

/// What the datapath has made of a packet at egress, unless it let it pass.
#[classifier]
pub fn capture_nat_out(ctx: TcContext) -> i32 {
    behind_datapath(&ctx, hook::NAT_OUT, abi::hook::TC_EGRESS, stage::OUT)
}

/// Leaves word of where the packet is, and has it looked at.
#[inline(always)]
fn at_interface(ctx: &TcContext, hook: u8) -> i32 {
    if settings().is_some()
        && let Some(instance) = instance()
        && let Some(buffer) = Buffer::borrow(Use::Hook)
    {
        buffer.job = Job { hook: hook.into(), headerless: instance.headerless };
        buffer.record.namespace = instance.namespace;
        // SAFETY: nothing here has to be dropped.
        unsafe { TC_LOOK.tail_call(ctx, 0) };
    }
    // The capture is ending.
    TC_ACT_UNSPEC
}

/// Looks at the packet and goes on with the next capture.
#[inline(always)]
fn behind_datapath(ctx: &TcContext, hook: u8, datapath_hook: u32, first: u32) -> i32 {
    let Some(trace) = trace(datapath_hook) else {
        return TC_ACT_UNSPEC;
    };
    if !trace.is_untouched() {
        look_behind(ctx.skb.skb, hook, trace);
    }
    call_next(&TC_STAGES, ctx, first);
    trace.action.cast_signed()
}

#[inline(always)]
fn look_behind(skb: *mut __sk_buff, hook: u8, trace: &Trace) -> Option<()> {
    let settings = settings()?;
    let buffer = Buffer::borrow_for(Some(trace), settings)?;
    // SAFETY: the context that the kernel handed to the program.
    let ifindex = unsafe { (*skb).ifindex };
    // An interface that is not asked for has no program of the capture, but one of the datapath.
    if is_selected(settings, buffer.record.namespace, ifindex) {
        let job = Job { hook: hook.into(), headerless: 0 };
        look(skb, settings, buffer, job, Some(trace));
    }
    Some(())
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
fn look(
    skb: *mut __sk_buff,
    settings: &Settings,
    buffer: &mut Buffer,
    job: Job,
    known: Option<&Trace>,
) {
    // SAFETY: the context that the kernel handed to the program.
    let (len, ifindex) = unsafe { ((*skb).len, (*skb).ifindex) };
    let hook = job.hook as u8;
    let front = front(skb, job.headerless != 0);
    if wanted(buffer, settings, &Skb(skb), hook, Extent { len, readable: len, front }) {
        buffer.record.ifindex = ifindex;
        buffer.record.location = 0;
        buffer.record.reason = known.map_or(0, |trace| trace.action);
        send(buffer, settings, hook, known);
    }
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
