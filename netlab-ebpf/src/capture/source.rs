//! Where the bytes of a packet are read from.

use netlab_common::event::{CAPACITY, MAX_SNAPLEN};

/// Bytes that only a helper of the kernel can reach.
pub trait Source {
    /// Copies `len` bytes, from the packet's byte `from` on, to `to`; false where that fails.
    ///
    /// # Safety
    ///
    /// `to` takes `len` bytes.
    unsafe fn copy(&self, from: u32, to: *mut u8, len: u32) -> bool;
}

/// What stands in front of the bytes of a [`Source`] once it is an Ethernet frame as on the
/// wire: the kernel keeps a VLAN tag beside a packet, and some devices have no Ethernet header.
#[derive(Clone, Copy)]
pub enum Front {
    /// Nothing: the bytes are the frame.
    Nothing,
    /// A VLAN tag behind the addresses: TPID and TCI, as on the wire.
    Tag([u8; 4]),
    /// An Ethernet header without addresses, with this EtherType, as on the wire.
    Header([u8; 2]),
}

impl Front {
    /// Most bytes that one adds, and the addresses before a tag.
    pub const MOST: usize = (CAPACITY - MAX_SNAPLEN) as usize;

    /// Bytes that it adds.
    #[inline(always)]
    pub const fn len(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Tag(_) => 4,
            Self::Header(_) => 14,
        }
    }
}

/// How much of a packet there is.
#[derive(Clone, Copy)]
pub struct Extent {
    /// Length of the source's packet, in bytes.
    pub len: u32,
    /// Of these, how many can be read.
    pub readable: u32,
    /// What makes it a frame.
    pub front: Front,
}
