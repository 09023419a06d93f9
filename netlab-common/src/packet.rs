//! Access to the bytes of a packet, wherever it lies.
//!
//! Offsets and lengths are even, as those of all headers are: the kernel's view of a
//! frame relies on it.
//!
//! Law: a `None` changes nothing and means that the packet ends before
//! `offset + N`. Offsets count from the first byte of the Ethernet header.

/// Reads from a packet.
pub trait Packet {
    /// The `N` bytes at `offset`.
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

/// Writes to a packet without changing its length.
pub trait PacketMut: Packet {
    /// Replaces the `N` bytes at `offset`.
    fn store<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()>;
}

impl Packet for [u8] {
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

impl PacketMut for [u8] {
    fn store<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()> {
        *self.get_mut(offset..)?.first_chunk_mut()? = bytes;
        Some(())
    }
}
