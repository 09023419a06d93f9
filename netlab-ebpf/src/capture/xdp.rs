//! Before and after an XDP program, whosever it is.
//!
//! What the program sends on itself, by XDP_TX or redirect, nobody else on the machine sees.

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_action::XDP_PASS,
    helpers::generated::bpf_get_func_ret,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use netlab_common::{
    abi,
    event::{Trace, hook},
};

use crate::{
    kernel::XdpBuff,
    maps::{Buffer, Use, instance, is_selected, settings, trace},
    offer::{Sighting, send, wanted},
};

/// What the program is about to look at.
#[fentry]
pub fn capture_xdp_in(ctx: FEntryContext) -> i32 {
    look(&XdpBuff(ctx.arg(0)), hook::XDP_IN, 0, None);
    0
}

/// What the program has done with it.
#[fexit]
pub fn capture_xdp_out(ctx: FExitContext) -> i32 {
    let mut action = 0;
    // SAFETY: writes the result of the function that is traced.
    if unsafe { bpf_get_func_ret(ctx.as_ptr(), &raw mut action) } != 0 {
        return 0;
    }
    let action = action as u32;
    match trace(abi::hook::XDP) {
        // The datapath says that the packet goes on as it came.
        Some(Trace { class: Trace::PASS, .. }) if action == XDP_PASS => {}
        Some(Trace { flags, .. }) if flags & Trace::LEFT != 0 => {}
        known => {
            let known = known.filter(|trace| trace.class != 0);
            look(&XdpBuff(ctx.arg(0)), hook::XDP_OUT, action, known);
        }
    }
    0
}

#[inline(always)]
fn look(frame: &XdpBuff, hook: u8, action: u32, known: Option<&Trace>) -> Option<()> {
    let (settings, instance) = (settings()?, instance()?);
    let buffer = Buffer::borrow(Use::Hook)?;
    let sight = frame.look(&settings.layout)?;
    if settings.selected != 0 {
        let ifindex = frame.ifindex(&settings.layout)?;
        if !is_selected(settings, instance.namespace, ifindex) {
            return None;
        }
    }
    let (len, readable, front) = (sight.len, sight.readable, sight.front);
    if !wanted(buffer, settings, &sight.start, &Sighting { hook, len, readable, front }) {
        return None;
    }
    buffer.record.namespace = instance.namespace;
    buffer.record.ifindex = frame.ifindex(&settings.layout)?;
    buffer.record.location = 0;
    buffer.record.reason = action;
    if let Some(trace) = known {
        buffer.trace = *trace;
    }
    send(buffer, settings, hook, known.is_some());
    Some(())
}
