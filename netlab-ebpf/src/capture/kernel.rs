//! Packets as the kernel keeps them, for the programs that trace it.
//!
//! Field offsets are the running kernel's, from the [`Layout`]: nothing here knows how its
//! structures look. Only the linear part of a packet can be read this way.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use netlab_common::event::Layout;

use crate::source::{Extent, Front, Source};

/// Bytes in one piece of the kernel's memory.
pub struct Linear(pub u64);

impl Source for Linear {
    #[inline(always)]
    unsafe fn copy(&self, from: u32, to: *mut u8, len: u32) -> bool {
        let source = (self.0 + u64::from(from)) as *const core::ffi::c_void;
        // SAFETY: `to` takes `len` bytes; the helper copes with any source.
        unsafe { bpf_probe_read_kernel(to.cast(), len, source) == 0 }
    }
}

/// The value at an offset from an address.
#[inline(always)]
pub fn read<T: Copy + Default>(address: u64, offset: u32) -> Option<T> {
    let mut value = T::default();
    let source = (address + u64::from(offset)) as *const core::ffi::c_void;
    // SAFETY: writes a T's bytes, of which any pattern is one; the helper copes with any source.
    let result =
        unsafe { bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, source) };
    (result == 0).then_some(value)
}

/// A socket buffer, by the address of its `sk_buff`.
pub struct SkBuff(pub u64);

impl SkBuff {
    /// `mac_header` and `network_header` where there is none.
    const UNSET: u16 = u16::MAX;
    /// Length of an Ethernet header: less in front of the network header is none.
    const ETHERNET: u16 = 14;

    /// The packet wherever it is on its way: it begins with its Ethernet header, if it has
    /// one, and with its network header otherwise.
    #[inline(always)]
    pub fn look(&self, layout: &Layout) -> Option<(Linear, Extent)> {
        let head: u64 = read(self.0, layout.skb_head)?;
        let data: u64 = read(self.0, layout.skb_data)?;
        let mac: u16 = read(self.0, layout.skb_mac_header)?;
        let network: u16 = read(self.0, layout.skb_network_header)?;
        if mac != Self::UNSET && network >= mac && network - mac >= Self::ETHERNET {
            return self.sight(layout, head + u64::from(mac), data, false);
        }
        let start =
            if network == Self::UNSET || network == 0 { data } else { head + u64::from(network) };
        self.sight(layout, start, data, true)
    }

    #[inline(always)]
    fn sight(
        &self,
        layout: &Layout,
        start: u64,
        data: u64,
        headerless: bool,
    ) -> Option<(Linear, Extent)> {
        let [len, elsewhere]: [u32; 2] = read(self.0, layout.skb_len)?;
        // Layers pull what they have read from the data.
        let pulled = (data as u32).wrapping_sub(start as u32);
        let len = len.wrapping_add(pulled);
        let readable = len.wrapping_sub(elsewhere);
        if readable > len || len > Self::LONGEST {
            return None;
        }
        let front = if headerless {
            match read::<[u8; 2]>(self.0, layout.skb_protocol)? {
                // No packet of a network: netlink and unix sockets have buffers too.
                [0, 0] => return None,
                ethertype => Front::Header(ethertype),
            }
        } else {
            self.tag(layout)?
        };
        Some((Linear(start), Extent { len, readable, front }))
    }

    /// Above the longest packet: GRO and GSO make packets of up to 8 times 64 KiB.
    const LONGEST: u32 = 1 << 20;

    #[inline(always)]
    fn tag(&self, layout: &Layout) -> Option<Front> {
        let [a, b, c, d]: [u8; 4] = read(self.0, layout.skb_vlan)?;
        if [a, b, c, d] == [0; 4] {
            return Some(Front::Nothing);
        }
        // The TPID is big-endian, the TCI is a number.
        let tci = u16::from_ne_bytes([c, d]).to_be_bytes();
        Some(Front::Tag([a, b, tci[0], tci[1]]))
    }

    /// Its interface; 0 where it has none.
    #[inline(always)]
    pub fn ifindex(&self, layout: &Layout) -> u32 {
        match read(self.0, layout.skb_dev) {
            None | Some(0) => 0,
            Some(device) => read::<u32>(device, layout.dev_ifindex).unwrap_or(0),
        }
    }

    /// Inode number of the network namespace of its interface, or of its socket.
    #[inline(always)]
    pub fn namespace(&self, layout: &Layout) -> Option<u32> {
        let device: u64 = read(self.0, layout.skb_dev)?;
        let net: u64 = if device != 0 {
            read(device, layout.dev_net)?
        } else {
            let socket: u64 = read(self.0, layout.skb_sk)?;
            if socket == 0 {
                return None;
            }
            read(socket, layout.sock_net)?
        };
        read(net, layout.net_inum)
    }
}
