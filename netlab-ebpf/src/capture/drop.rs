//! Where the kernel frees a packet as a drop, with its reason.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use netlab_common::event::hook;

use crate::{
    kernel::SkBuff,
    maps::{Buffer, Use, is_selected, namespace, settings},
    offer::{send, wanted},
};

/// A drop anywhere in the namespaces that are captured in.
#[btf_tracepoint]
pub fn capture_drop(ctx: BtfTracePointContext) -> i32 {
    // trace/events/skb.h: the packet, where, why; newer kernels add the receiving socket.
    look(&SkBuff(ctx.arg(0)), ctx.arg(1), ctx.arg(2));
    0
}

#[inline(always)]
fn look(packet: &SkBuff, location: u64, reason: u32) -> Option<()> {
    let settings = settings()?;
    let namespace = namespace(packet.namespace(&settings.layout)?)?;
    let ifindex = packet.ifindex(&settings.layout);
    if !is_selected(settings, namespace, ifindex) {
        return None;
    }
    let (bytes, extent) = packet.look(&settings.layout)?;
    let buffer = Buffer::borrow(Use::Drop)?;
    if !wanted(buffer, settings, &bytes, hook::DROP, extent) {
        return None;
    }
    buffer.record.namespace = namespace;
    buffer.record.ifindex = ifindex;
    buffer.record.location = location;
    buffer.record.reason = reason;
    send(buffer, settings, hook::DROP, None);
    Some(())
}
