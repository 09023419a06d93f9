//! Forwards by the kernel's own tables and does nothing else: the bound for every NodePort.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup as Params,
        xdp_action::{XDP_DROP, XDP_PASS},
    },
    helpers::generated::{bpf_fib_lookup, bpf_redirect},
    macros::xdp,
    programs::XdpContext,
};
use netlab_common::{
    checksum::{self, Sum},
    wire::{eth::EthHeader, ipv4::Ipv4Header, udp},
};

use crate::frame::{Even, HEADERS, head, ipv4};

const AF_INET: u8 = 2;
/// Bytes of two Ethernet addresses.
const ADDRESSES: usize = 12;

/// See [`netlab_common::traffic::program::FORWARD`].
#[xdp(frags)]
pub fn traffic_forward(mut ctx: XdpContext) -> u32 {
    forward(&mut ctx).unwrap_or(XDP_PASS)
}

/// None for what is the stack's.
#[inline(always)]
fn forward(ctx: &mut XdpContext) -> Option<u32> {
    let frame = head::<HEADERS>(ctx)?;
    let header = ipv4(frame)?;
    if header.protocol() != udp::PROTOCOL {
        return None;
    }
    if header.ttl() <= 1 {
        return Some(XDP_DROP);
    }
    // SAFETY: plain integers, for all of which zero is valid.
    let mut params: Params = unsafe { core::mem::zeroed() };
    params.family = AF_INET;
    params.l4_protocol = udp::PROTOCOL;
    params.__bindgen_anon_1.tot_len = header.total_len();
    #[expect(clippy::cast_possible_truncation, reason = "the context has it as 32 bits")]
    let ingress = ctx.ingress_ifindex() as u32;
    params.ifindex = ingress;
    params.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(header.source());
    params.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(header.destination());
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "64 bytes")]
    // SAFETY: the program's context and a parameter block of the size given.
    let found =
        unsafe { bpf_fib_lookup(ctx.as_ptr(), &raw mut params, size_of::<Params>() as i32, 0) };
    if found != i64::from(BPF_FIB_LKUP_RET_SUCCESS) {
        return None;
    }
    // The lookup is a call of the kernel's: the frame is looked up anew.
    let frame = head::<HEADERS>(ctx)?;
    address(frame, &params);
    age(frame, &header);
    // SAFETY: takes numbers.
    #[expect(clippy::cast_possible_truncation, reason = "an action is a small number")]
    Some(unsafe { bpf_redirect(params.ifindex, 0) as u32 })
}

/// To the next hop, from the interface that it leaves by.
#[inline(always)]
fn address(frame: &mut Even<HEADERS>, params: &Params) {
    let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (params.dmac, params.smac);
    frame.0[..ADDRESSES].copy_from_slice(&[a, b, c, d, e, f, g, h, i, j, k, l]);
}

/// Lowers the time to live.
#[inline(always)]
fn age(frame: &mut Even<HEADERS>, header: &Ipv4Header) {
    const TTL: usize = EthHeader::LEN + Ipv4Header::AT_TTL;
    const CHECKSUM: usize = EthHeader::LEN + Ipv4Header::AT_CHECKSUM;
    let old = [frame.0[TTL], frame.0[TTL + 1]];
    let new = [header.ttl() - 1, old[1]];
    let sum = [frame.0[CHECKSUM], frame.0[CHECKSUM + 1]];
    [frame.0[TTL], frame.0[TTL + 1]] = new;
    [frame.0[CHECKSUM], frame.0[CHECKSUM + 1]] =
        checksum::update(sum, Sum::ZERO.without(old).with(new));
}
