//! Before and after the datapath's XDP program.
//!
//! What that sends on itself, nobody else on the machine sees. It calls what is in the slots
//! around it ([`stage`]) and does not hear back from it. So a capture goes on with the next
//! slot, and with the datapath's program at last.
//!
//! `capture_xdp_in` and `_out` are called by the datapath, and call `capture_xdp_look`; that
//! goes on with `_in_on` or `_out_on` of the same datapath ([`netlab_common::event::step`]).

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_action::XDP_PASS,
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    macros::xdp,
    programs::XdpContext,
};
use netlab_common::{
    abi,
    event::{hook, stage, step},
};

use crate::{
    maps::{Buffer, Use, XDP_STAGES, XDP_STEPS, call_next, is_selected, note_job, settings, trace},
    offer::{send, wanted},
    source::{Extent, Front, Source},
};

/// What the datapath is about to look at.
#[xdp(frags)]
pub fn capture_xdp_in(ctx: XdpContext) -> u32 {
    if note_job(hook::XDP_IN, None, Some(0)).is_some() {
        look_and_go_on(&ctx);
    }
    go_on_before(&ctx)
}

/// What the datapath has made of it, unless it let it pass.
#[xdp(frags)]
pub fn capture_xdp_out(ctx: XdpContext) -> u32 {
    if let Some(trace) = trace(abi::hook::XDP)
        && !trace.is_untouched()
        && note_job(hook::XDP_OUT, Some(trace), Some(1)).is_some()
    {
        look_and_go_on(&ctx);
    }
    go_on_after(&ctx)
}

/// On, after the packet was looked at before the datapath.
#[xdp(frags)]
pub fn capture_xdp_in_on(ctx: XdpContext) -> u32 {
    go_on_before(&ctx)
}

/// On, after the packet was looked at behind the datapath.
#[xdp(frags)]
pub fn capture_xdp_out_on(ctx: XdpContext) -> u32 {
    go_on_after(&ctx)
}

/// Looks at the packet, for all datapaths.
#[xdp(frags)]
pub fn capture_xdp_look(ctx: XdpContext) -> u32 {
    let Some(buffer) = Buffer::borrow(Use::Hook) else {
        return XDP_PASS;
    };
    look(&ctx, buffer);
    // SAFETY: nothing here has to be dropped.
    unsafe { XDP_STEPS.tail_call(&ctx, buffer.job.next) };
    // The capture is ending.
    if buffer.job.traced != 0 { buffer.trace.action } else { XDP_PASS }
}

/// Returns only where there is no such program: the capture is ending.
#[inline(always)]
fn look_and_go_on(ctx: &XdpContext) {
    // SAFETY: nothing here has to be dropped.
    unsafe { XDP_STEPS.tail_call(ctx, step::LOOK) };
}

#[inline(always)]
fn go_on_before(ctx: &XdpContext) -> u32 {
    call_next(&XDP_STAGES, ctx, stage::IN);
    // SAFETY: nothing here has to be dropped.
    unsafe { XDP_STAGES.tail_call(ctx, stage::MAIN) };
    // The datapath has gone while this ran.
    XDP_PASS
}

#[inline(always)]
fn go_on_after(ctx: &XdpContext) -> u32 {
    call_next(&XDP_STAGES, ctx, stage::OUT);
    trace(abi::hook::XDP).map_or(XDP_PASS, |trace| trace.action)
}

struct Frame<'a>(&'a XdpContext);

impl Source for Frame<'_> {
    #[inline(always)]
    unsafe fn copy(&self, from: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: `to` takes `len` bytes, as the caller promises.
        unsafe { bpf_xdp_load_bytes(self.0.as_ptr().cast(), from, to.cast(), len) == 0 }
    }
}

#[inline(always)]
fn look(ctx: &XdpContext, buffer: &mut Buffer) -> Option<()> {
    let settings = settings()?;
    let ifindex = ctx.ingress_ifindex() as u32;
    if !is_selected(settings, buffer.record.namespace, ifindex) {
        return None;
    }
    // SAFETY: takes the program's context.
    let len = unsafe { bpf_xdp_get_buff_len(ctx.as_ptr().cast()) } as u32;
    let hook = buffer.job.hook as u8;
    let extent = Extent { len, readable: len, front: Front::Nothing };
    if !wanted(buffer, settings, &Frame(ctx), hook, extent) {
        return None;
    }
    let traced = buffer.job.traced != 0;
    buffer.record.ifindex = ifindex;
    buffer.record.location = 0;
    buffer.record.reason = if traced { buffer.trace.action } else { 0 };
    send(buffer, settings, hook, traced);
    Some(())
}
