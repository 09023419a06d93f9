//! What a compiled capture filter is given in the kernel: a frame, and how much of it there is.
//!
//! The filter is a BPF function of one argument, a pointer to these bytes in a map value:
//! `captured` (u32, host order), `wire_len` (u32, host order), then the frame.

/// Offset of the number of valid bytes of the frame.
pub const AT_CAPTURED: usize = 0;
/// Offset of the frame's length on the wire.
pub const AT_WIRE_LEN: usize = 4;
/// Offset of the frame's first byte.
pub const AT_BYTES: usize = 8;
/// Room for the frame: the largest IP packet, its link layer and some tags.
pub const CAPACITY: usize = 65_600;
/// Size of the whole.
pub const SIZE: usize = AT_BYTES + CAPACITY;
