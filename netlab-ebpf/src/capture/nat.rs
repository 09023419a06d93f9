//! After the datapath's tc programs: what they did with the packets that they did not let pass.

use aya_ebpf::{
    EbpfContext as _, helpers::generated::bpf_get_func_ret, macros::fexit, programs::FExitContext,
};
use netlab_common::{
    abi,
    event::{Trace, hook},
};

use crate::{
    kernel::SkBuff,
    maps::{Buffer, Use, instance, is_selected, settings, trace},
    offer::{Sighting, send, wanted},
};

/// After the program at tc ingress.
#[fexit]
pub fn capture_nat_in(ctx: FExitContext) -> i32 {
    look(&ctx, hook::NAT_IN, abi::hook::TC_INGRESS);
    0
}

/// After the program at tc egress.
#[fexit]
pub fn capture_nat_out(ctx: FExitContext) -> i32 {
    look(&ctx, hook::NAT_OUT, abi::hook::TC_EGRESS);
    0
}

#[inline(always)]
fn look(ctx: &FExitContext, hook: u8, datapath_hook: u32) -> Option<()> {
    let trace = trace(datapath_hook)?;
    if trace.class <= Trace::PASS || trace.flags & Trace::LEFT != 0 {
        return None;
    }
    let (settings, instance) = (settings()?, instance()?);
    let packet = SkBuff(ctx.arg(0));
    let ifindex = packet.ifindex(&settings.layout);
    if !is_selected(settings, instance.namespace, ifindex) {
        return None;
    }
    let buffer = Buffer::borrow(Use::Hook)?;
    let sight = packet.look_at_tc(&settings.layout, false)?;
    let (len, readable, front) = (sight.len, sight.readable, sight.front);
    if !wanted(buffer, settings, &sight.start, &Sighting { hook, len, readable, front }) {
        return None;
    }
    let mut action = 0;
    // SAFETY: writes the result of the function that is traced.
    if unsafe { bpf_get_func_ret(ctx.as_ptr(), &raw mut action) } != 0 {
        return None;
    }
    buffer.record.namespace = instance.namespace;
    buffer.record.ifindex = ifindex;
    buffer.record.location = 0;
    buffer.record.reason = action as u32;
    buffer.trace = *trace;
    send(buffer, settings, hook, true);
    Some(())
}
