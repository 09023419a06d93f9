//! The kernel programs of netlab: one file a hook, around the core in netlab-common.
//!
//! A hook reads the packet's headers, asks [`netlab_common::nodeport::decide`] and
//! carries the verdict out. Law: what a hook cannot carry out, it leaves untouched to
//! the next one: XDP to tc, tc to the stack.
#![no_std]
#![no_main]
#![expect(
    clippy::cast_possible_truncation,
    reason = "the kernel's helpers take and return 64-bit registers for lengths and indices"
)]

#[path = "../object.rs"]
mod object;

mod fib;
mod frame;
mod maps;
mod skb;
mod tc;
mod vxlan;
mod xdp;
