//! Interfaces, where packets enter and leave the stack: what tcpdump sees.
//!
//! On the way in ahead of every other program at tc, on the way out behind them all.

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_UNSPEC},
    helpers::generated::bpf_skb_load_bytes,
    macros::classifier,
    programs::TcContext,
};
use netlab_common::event::hook;

use crate::{
    maps::{Buffer, Use, instance, settings},
    offer::{Sighting, send, wanted},
    source::{Front, Source},
};

/// On the way in.
#[classifier]
pub fn capture_tc_in(ctx: TcContext) -> i32 {
    look(ctx.skb.skb, hook::TC_IN);
    TC_ACT_UNSPEC
}

/// On the way out.
#[classifier]
pub fn capture_tc_out(ctx: TcContext) -> i32 {
    look(ctx.skb.skb, hook::TC_OUT);
    TC_ACT_UNSPEC
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
fn look(skb: *mut __sk_buff, hook: u8) -> Option<()> {
    let (settings, instance) = (settings()?, instance()?);
    let buffer = Buffer::borrow(Use::Hook)?;
    // SAFETY: the context that the kernel handed to the program.
    let (len, ifindex, front) = unsafe {
        let front = if instance.headerless != 0 {
            let [a, b, ..] = (*skb).protocol.to_ne_bytes();
            Front::Header([a, b])
        } else if (*skb).vlan_present != 0 {
            // The TPID is big-endian, the TCI is a number.
            let [a, b, ..] = (*skb).vlan_proto.to_ne_bytes();
            let tci = ((*skb).vlan_tci as u16).to_be_bytes();
            Front::Tag([a, b, tci[0], tci[1]])
        } else {
            Front::Nothing
        };
        ((*skb).len, (*skb).ifindex, front)
    };
    if !wanted(buffer, settings, &Skb(skb), &Sighting { hook, len, readable: len, front }) {
        return None;
    }
    buffer.record.namespace = instance.namespace;
    buffer.record.ifindex = ifindex;
    buffer.record.location = 0;
    buffer.record.reason = 0;
    send(buffer, settings, hook, false);
    Some(())
}
