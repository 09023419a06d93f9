//! The kernel programs of a capture: one file a hook, around one way to look at a packet
//! and to hand it over.
//!
//! A hook says how the bytes of its packet are read ([`source::Source`]);
//! [`offer::wanted`] copies as many as the filter needs and asks it; [`offer::send`] sends the
//! packet to the ring. Law: no program here changes a packet, an action or a map of anybody else.
#![no_std]
#![no_main]
#![expect(
    clippy::cast_possible_truncation,
    reason = "the kernel's helpers take and return 64-bit registers for lengths and indices"
)]

mod drop;
mod kernel;
mod maps;
mod offer;
mod source;
mod tc;
mod xdp;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier proves that no program gets here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
