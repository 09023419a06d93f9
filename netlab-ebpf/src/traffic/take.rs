//! Takes: counts what is meant to arrive, and lets the rest of the network live.

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    helpers::generated::bpf_xdp_get_buff_len,
    macros::{map, xdp},
    maps::PerCpuArray,
    programs::XdpContext,
};
use netlab_common::{traffic::Taken, wire::udp};

use crate::frame::{head, ipv4};

#[map]
static TAKEN: PerCpuArray<Taken> = PerCpuArray::with_max_entries(1, 0);

/// See [`netlab_common::traffic::program::TAKE`].
#[xdp(frags)]
pub fn traffic_take(mut ctx: XdpContext) -> u32 {
    let is_meant = head(&mut ctx)
        .and_then(|frame| ipv4(frame))
        .is_some_and(|header| header.protocol() == udp::PROTOCOL);
    if !is_meant {
        return XDP_PASS;
    }
    if let Some(taken) = TAKEN.get_ptr_mut(0) {
        // SAFETY: this CPU's own slot; programs at XDP do not interrupt each other.
        unsafe {
            (*taken).packets += 1;
            (*taken).bytes += bpf_xdp_get_buff_len(ctx.as_ptr().cast());
        }
    }
    XDP_DROP
}
