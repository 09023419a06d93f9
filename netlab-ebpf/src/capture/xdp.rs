//! Before and after the datapath's XDP program.
//!
//! What that sends on itself, nobody else on the machine sees. It calls what is in the slots
//! around it ([`stage`]) and does not hear back from it. So a capture goes on with the next
//! slot, and with the datapath's program at last.
//!
//! Each datapath has programs of its own here, with the filter in them: to call one that all
//! share, and to go on from there, took as long as a rejected packet may.

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_action::XDP_PASS,
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    macros::xdp,
    programs::XdpContext,
};
use netlab_common::{
    abi,
    event::{Trace, hook, stage},
};

use crate::{
    maps::{Buffer, XDP_STAGES, call_next, is_selected, settings, trace},
    offer::{send, wanted},
    source::{Extent, Front, Source},
};

/// What the datapath is about to look at.
#[xdp(frags)]
pub fn capture_xdp_in(ctx: XdpContext) -> u32 {
    look(&ctx, hook::XDP_IN, None);
    call_next(&XDP_STAGES, &ctx, stage::IN);
    // SAFETY: nothing here has to be dropped.
    unsafe { XDP_STAGES.tail_call(&ctx, stage::MAIN) };
    // The datapath has gone while this ran.
    XDP_PASS
}

/// What the datapath has made of it, unless it let it pass.
#[xdp(frags)]
pub fn capture_xdp_out(ctx: XdpContext) -> u32 {
    let Some(trace) = trace(abi::hook::XDP) else {
        return XDP_PASS;
    };
    if !trace.is_untouched() {
        look(&ctx, hook::XDP_OUT, Some(trace));
    }
    call_next(&XDP_STAGES, &ctx, stage::OUT);
    trace.action
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
fn look(ctx: &XdpContext, hook: u8, known: Option<&Trace>) -> Option<()> {
    let settings = settings()?;
    let buffer = Buffer::borrow_for(known, settings)?;
    let ifindex = ctx.ingress_ifindex() as u32;
    if !is_selected(settings, buffer.record.namespace, ifindex) {
        return None;
    }
    // SAFETY: takes the program's context.
    let len = unsafe { bpf_xdp_get_buff_len(ctx.as_ptr().cast()) } as u32;
    let extent = Extent { len, readable: len, front: Front::Nothing };
    if !wanted(buffer, settings, &Frame(ctx), hook, extent) {
        return None;
    }
    buffer.record.ifindex = ifindex;
    buffer.record.location = 0;
    buffer.record.reason = known.map_or(0, |trace| trace.action);
    send(buffer, settings, hook, known);
    Some(())
}
