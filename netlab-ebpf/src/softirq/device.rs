//! Devices, and the network namespaces that they are in.
//!
//! Offsets are the running kernel's. They are constants when the programs are loaded, so the
//! verifier follows these reads from type to type and no helper has to be called for them.

use netlab_common::softirq::Layout;

#[unsafe(no_mangle)]
static LAYOUT: Layout = Layout { skb_dev: 0, napi_dev: 0, dev_net: 0, net_inum: 0 };

/// A device, by the address of its `net_device`.
#[derive(Clone, Copy)]
pub struct Device(u64);

impl Device {
    /// Of a packet, by the address of its `sk_buff`.
    #[inline(always)]
    pub fn of_packet(packet: u64) -> Self {
        Self(read(packet, layout().skb_dev))
    }

    /// Of a poll, by the address of its `napi_struct`; None for a CPU's backlog.
    #[inline(always)]
    pub fn of_poll(poll: u64) -> Option<Self> {
        let device = read::<u64>(poll, layout().napi_dev);
        (device != 0).then_some(Self(device))
    }

    /// What tells it from other devices.
    #[inline(always)]
    pub fn address(self) -> u64 {
        self.0
    }

    /// Inode number of its network namespace.
    #[inline(always)]
    pub fn namespace(self) -> u32 {
        let net = read::<u64>(self.0, layout().dev_net);
        read(net, layout().net_inum)
    }
}

/// As the loader has set it.
#[inline(always)]
fn layout() -> Layout {
    // SAFETY: the object's own constant. Volatile, since its value is not known when this is
    // compiled.
    unsafe { (&raw const LAYOUT).read_volatile() }
}

/// The value at an offset from an address of a structure of the kernel's.
#[inline(always)]
fn read<T: Copy>(address: u64, offset: u32) -> T {
    let source = (address + u64::from(offset)) as *const T;
    // SAFETY: the verifier accepts this only where the address is that of a structure whose type
    // it knows; where that is gone nevertheless, the kernel reads zero.
    unsafe { source.read_volatile() }
}
