//! Bounds-checked access to the bytes of an XDP frame.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len},
    programs::XdpContext,
};
use netlab_common::packet::{Packet, PacketMut};

/// The linear part of an XDP frame. Headers always lie in it.
pub struct Frame<'a>(pub &'a XdpContext);

impl Frame<'_> {
    /// Bytes of the whole frame, fragments of the buffer included.
    #[inline(always)]
    pub fn len(&self) -> i64 {
        // SAFETY: takes the program's context.
        unsafe { bpf_xdp_get_buff_len(self.0.as_ptr().cast()) as i64 }
    }

    /// Moves the start of the frame by `delta` bytes: back where negative.
    #[inline(always)]
    pub fn move_head(&mut self, delta: i32) -> Option<()> {
        // SAFETY: takes the program's context; pointers are read anew afterwards.
        (unsafe { bpf_xdp_adjust_head(self.0.as_ptr().cast(), delta) } == 0).then_some(())
    }

    /// Moves the end of the frame by `delta` bytes.
    #[inline(always)]
    pub fn move_tail(&mut self, delta: i32) -> Option<()> {
        // SAFETY: as above.
        (unsafe { bpf_xdp_adjust_tail(self.0.as_ptr().cast(), delta) } == 0).then_some(())
    }

    #[inline(always)]
    fn at<const N: usize>(&self, offset: usize) -> Option<*mut Even<N>> {
        // An offset comes from header lengths; the bound lets the verifier know it.
        if offset > MAX_OFFSET {
            return None;
        }
        // Volatile: each access brings its own bounds check. Shared between accesses, it
        // would hold for an address that the verifier does not recognise as the same.
        // SAFETY: the context that the kernel handed to the program.
        let (data, end) = unsafe {
            let ctx = self.0.ctx;
            ((&raw const (*ctx).data).read_volatile(), (&raw const (*ctx).data_end).read_volatile())
        };
        let start = data as usize + offset;
        (start + N <= end as usize).then_some(start as *mut Even<N>)
    }
}

/// Bytes at an even address, as all headers are: frames start at one, and every header
/// has an even length. Without it the BPF target would read byte by byte.
#[repr(C, align(2))]
#[derive(Clone, Copy)]
struct Even<const N: usize>([u8; N]);

/// Above the furthest header: encapsulation, two IP headers with options, transport.
const MAX_OFFSET: usize = 255;

impl Packet for Frame<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // SAFETY: `at` has checked that N bytes lie before data_end.
        self.at(offset).map(|bytes| unsafe { (*bytes).0 })
    }
}

impl PacketMut for Frame<'_> {
    #[inline(always)]
    fn store<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()> {
        let place = self.at(offset)?;
        // SAFETY: as for load.
        unsafe { *place = Even(bytes) };
        Some(())
    }
}
