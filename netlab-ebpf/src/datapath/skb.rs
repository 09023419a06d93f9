//! Access to the bytes of a socket buffer through the kernel's helpers, which cope
//! with data that is not linear.
//!
//! Law: a checksum in a socket buffer may be *partial*: the field holds the sum over
//! the pseudo-header, and the kernel or the device adds the rest on the way out.
//! Whoever changes TCP or UDP must therefore go through [`Skb::replace_l4`].

use aya_ebpf::{
    bindings::{__sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, BPF_F_RECOMPUTE_CSUM},
    helpers::generated::{
        bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_adjust_room, bpf_skb_change_tail,
        bpf_skb_load_bytes, bpf_skb_store_bytes,
    },
};
use netlab_common::{
    checksum::Sum,
    packet::{Packet, PacketMut},
};

/// A socket buffer at a tc hook.
pub struct Skb(pub *mut __sk_buff);

/// What a change of TCP's or UDP's checksum comes from.
#[derive(Clone, Copy)]
pub enum Part {
    /// The pseudo-header: part of a partial checksum too.
    PseudoHeader,
    /// The header itself: not yet in a partial checksum.
    Header,
}

impl Skb {
    /// Writes bytes whose change is cancelled by a checksum that changes with them.
    #[inline(always)]
    pub fn store_balanced<const N: usize>(&mut self, offset: usize, bytes: &[u8; N]) -> Option<()> {
        self.store_with(offset, bytes, 0)
    }

    /// Adds `difference` to the IPv4 header checksum at `offset`.
    #[inline(always)]
    pub fn replace_l3(&mut self, offset: usize, difference: Sum) -> Option<()> {
        // SAFETY: takes the program's context and numbers.
        let result = unsafe {
            bpf_l3_csum_replace(self.0, offset as u32, 0, u64::from(difference.wide()), 0)
        };
        (result == 0).then_some(())
    }

    /// Adds `difference` to the TCP or UDP checksum at `offset`.
    #[inline(always)]
    pub fn replace_l4(
        &mut self,
        offset: usize,
        difference: Sum,
        part: Part,
        udp: bool,
    ) -> Option<()> {
        let pseudo = match part {
            Part::PseudoHeader => BPF_F_PSEUDO_HDR,
            Part::Header => 0,
        };
        let flags = u64::from(pseudo | if udp { BPF_F_MARK_MANGLED_0 } else { 0 });
        // SAFETY: takes the program's context and numbers.
        let result = unsafe {
            bpf_l4_csum_replace(self.0, offset as u32, 0, u64::from(difference.wide()), flags)
        };
        (result == 0).then_some(())
    }

    /// Whether the TCP or UDP checksum at `offset` is partial: then a change of the
    /// header leaves the field alone. The field is put back as it was.
    #[inline(always)]
    pub fn is_partial(&mut self, offset: usize) -> Option<bool> {
        let before: [u8; 2] = self.load(offset)?;
        self.replace_l4(offset, Sum::ZERO.with([0, 1]), Part::Header, false)?;
        let after: [u8; 2] = self.load(offset)?;
        self.store_balanced(offset, &before)?;
        Some(before == after)
    }

    /// Puts `len` bytes behind the Ethernet header.
    #[inline(always)]
    pub fn grow(&mut self, len: usize) -> Option<()> {
        const BEHIND_MAC: u32 = aya_ebpf::bindings::bpf_adj_room_mode::BPF_ADJ_ROOM_MAC;
        // SAFETY: takes the program's context and numbers.
        (unsafe { bpf_skb_adjust_room(self.0, len as i32, BEHIND_MAC, 0) } == 0).then_some(())
    }

    /// Cuts the packet to `len` bytes.
    #[inline(always)]
    pub fn cut(&mut self, len: usize) -> Option<()> {
        // SAFETY: takes the program's context and numbers.
        (unsafe { bpf_skb_change_tail(self.0, len as u32, 0) } == 0).then_some(())
    }

    #[inline(always)]
    fn store_with<const N: usize>(
        &mut self,
        offset: usize,
        bytes: &[u8; N],
        flags: u32,
    ) -> Option<()> {
        // SAFETY: reads N bytes of an array of N.
        let result = unsafe {
            bpf_skb_store_bytes(
                self.0,
                offset as u32,
                bytes.as_ptr().cast(),
                N as u32,
                u64::from(flags),
            )
        };
        (result == 0).then_some(())
    }
}

impl Packet for Skb {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: writes N bytes of an array of N.
        let result = unsafe {
            bpf_skb_load_bytes(self.0.cast(), offset as u32, bytes.as_mut_ptr().cast(), N as u32)
        };
        (result == 0).then_some(bytes)
    }
}

impl PacketMut for Skb {
    /// Keeps a checksum over the whole packet, as some devices deliver it, true.
    #[inline(always)]
    fn store<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()> {
        self.store_with(offset, &bytes, BPF_F_RECOMPUTE_CSUM)
    }
}
