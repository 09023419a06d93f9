//! Sends: whatever frame comes gets the flood's headers, and leaves.

use aya_ebpf::{
    bindings::xdp_action::XDP_ABORTED,
    helpers::generated::{bpf_get_prandom_u32, bpf_redirect},
    macros::{map, xdp},
    maps::{Array, PerCpuArray},
    programs::XdpContext,
};
use netlab_common::{
    traffic::{Flood, HEAD},
    wire::{eth::EthHeader, ipv4::Ipv4Header},
};

use crate::frame::{Even, head};

#[map]
static FLOOD: Array<Flood> = Array::with_max_entries(1, 0);
#[map]
static NEXT: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

/// Offset of the source port in a frame with IPv4 without options.
const AT_SOURCE_PORT: usize = EthHeader::LEN + Ipv4Header::LEN;

/// See [`netlab_common::traffic::program::SEND`].
#[xdp]
pub fn traffic_send(mut ctx: XdpContext) -> u32 {
    send(&mut ctx).unwrap_or(XDP_ABORTED)
}

#[inline(always)]
fn send(ctx: &mut XdpContext) -> Option<u32> {
    let flood = FLOOD.get(0)?;
    let frame = head::<HEAD>(ctx)?;
    *frame = Even(flood.head);
    let port = flood.first_port + flow(flood)?;
    let [.., high, low] = port.to_be_bytes();
    frame.0[AT_SOURCE_PORT] = high;
    frame.0[AT_SOURCE_PORT + 1] = low;
    // SAFETY: takes numbers.
    #[expect(clippy::cast_possible_truncation, reason = "an action is a small number")]
    Some(unsafe { bpf_redirect(flood.ifindex, 0) as u32 })
}

/// Which flow's turn it is.
#[inline(always)]
fn flow(flood: &Flood) -> Option<u32> {
    if flood.random != 0 {
        // SAFETY: takes nothing and returns a number.
        return unsafe { bpf_get_prandom_u32() }.checked_rem(flood.flows);
    }
    let next = NEXT.get_ptr_mut(0)?;
    // SAFETY: this CPU's own slot; programs at XDP do not interrupt each other.
    unsafe {
        let flow = *next;
        *next = if flow + 1 < flood.flows { flow + 1 } else { 0 };
        Some(flow)
    }
}
