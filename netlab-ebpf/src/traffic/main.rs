//! Traffic for measurements: who sends it, who takes it, and the least that a forwarder does.
//!
//! Frames are made by test runs with live frames: the kernel hands the program frames of its
//! own, runs it as a driver would, and carries its action out.
#![no_std]
#![no_main]

mod forward;
mod frame;
mod send;
mod take;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier proves that no program gets here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
