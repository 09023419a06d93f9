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

#[path = "../object.rs"]
mod object;

mod decision;
mod drop;
mod kernel;
mod maps;
mod offer;
mod source;
mod tc;
mod xdp;
