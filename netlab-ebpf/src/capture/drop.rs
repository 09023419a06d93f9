//! Where the kernel frees a packet as a drop, with its reason.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use netlab_common::event::hook;

use crate::{
    kernel::SkBuff,
    maps::{Buffer, Use, is_selected, namespace, settings},
    offer::{Sighting, send, wanted},
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
    let sight = packet.look(&settings.layout)?;
    let buffer = Buffer::borrow(Use::Drop)?;
    let (len, readable, front) = (sight.len, sight.readable, sight.front);
    let seen = Sighting { hook: hook::DROP, len, readable, front };
    if !wanted(buffer, settings, &sight.start, &seen) {
        return None;
    }
    buffer.record.namespace = namespace;
    buffer.record.ifindex = ifindex;
    buffer.record.location = location;
    buffer.record.reason = reason;
    send(buffer, settings, hook::DROP, false);
    Some(())
}
