//! The bytes of a frame at fixed places.

use aya_ebpf::programs::XdpContext;
use netlab_common::wire::{eth::EthHeader, ipv4::Ipv4Header};

/// Bytes at an even address, as all headers are; otherwise they were read one by one.
#[repr(C, align(2))]
#[derive(Clone, Copy)]
pub struct Even<const N: usize>(pub [u8; N]);

/// Ethernet and IPv4 headers.
pub const HEADERS: usize = EthHeader::LEN + Ipv4Header::LEN;

/// The frame's first `N` bytes; None where there are fewer.
#[inline(always)]
pub fn head<const N: usize>(ctx: &mut XdpContext) -> Option<&mut Even<N>> {
    let start = ctx.data();
    if start + N > ctx.data_end() {
        return None;
    }
    // SAFETY: N bytes lie there, as was just seen, and nobody else has them while this runs.
    Some(unsafe { &mut *(start as *mut Even<N>) })
}

/// The part of a frame's headers that is IPv4's, if it is.
#[inline(always)]
pub fn ipv4(frame: &Even<HEADERS>) -> Option<Ipv4Header> {
    const ETHERTYPE: usize = EthHeader::LEN - 2;
    let [high, low] = [frame.0[ETHERTYPE], frame.0[ETHERTYPE + 1]];
    if [high, low] != [0x08, 0x00] {
        return None;
    }
    let mut header = [0; Ipv4Header::LEN];
    header.copy_from_slice(&frame.0[EthHeader::LEN..]);
    Some(Ipv4Header(header))
}
