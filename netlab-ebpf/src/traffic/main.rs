//! Traffic for measurements: who sends it, who takes it, and the least that a forwarder does.
//!
//! Frames are made by test runs with live frames: the kernel hands the program frames of its
//! own, runs it as a driver would, and carries its action out.
#![no_std]
#![no_main]

#[path = "../object.rs"]
mod object;

mod forward;
mod frame;
mod send;
mod take;
