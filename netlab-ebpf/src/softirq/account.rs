//! A CPU's clock, and to whom its time is booked.

use aya_ebpf::{
    helpers::generated::bpf_ktime_get_ns,
    macros::map,
    maps::{PerCpuArray, PerCpuHashMap},
};
use netlab_common::softirq::MOST_NAMESPACES;

use crate::device::Device;

#[map]
static TIMES: PerCpuHashMap<u32, u64> = PerCpuHashMap::with_max_entries(MOST_NAMESPACES, 0);
#[map]
static ACCOUNT: PerCpuArray<Account> = PerCpuArray::with_max_entries(1, 0);

/// What a CPU is at.
#[repr(C)]
pub struct Account {
    /// Not zero: it is in NET_RX.
    running: u32,
    /// Inode number of the device's namespace.
    namespace: u32,
    /// Address of the device whose packet it is at; 0: it is at none yet in this poll.
    device: u64,
    /// Nanoseconds of this poll before its first packet.
    kept: u64,
    /// When that began what is not booked yet and not kept.
    since: u64,
}

impl Account {
    /// Of this CPU, which the programs have to themselves: softirqs do not interrupt each other.
    #[inline(always)]
    fn of_this_cpu() -> Option<&'static mut Self> {
        let account = ACCOUNT.get_ptr_mut(0)?;
        // SAFETY: this CPU's own slot, and of four programs none interrupts another.
        Some(unsafe { &mut *account })
    }

    /// Of this CPU, if it is in NET_RX: there are packets outside, too.
    #[inline(always)]
    pub fn running() -> Option<&'static mut Self> {
        Self::of_this_cpu().filter(|account| account.running != 0)
    }

    /// NET_RX begins.
    #[inline(always)]
    pub fn begin() {
        if let Some(account) = Self::of_this_cpu() {
            *account = Self { running: 1, namespace: 0, device: 0, kept: 0, since: now() };
        }
    }

    /// A packet of this device is next.
    #[inline(always)]
    pub fn hand_over(&mut self, device: Device) {
        if self.device == device.address() {
            return;
        }
        let spent = self.lap();
        if self.device == 0 {
            self.kept += spent;
        } else {
            book(self.namespace, spent);
        }
        self.device = device.address();
        self.namespace = device.namespace();
    }

    /// A poll of this device's, or of the backlog, is over.
    #[inline(always)]
    pub fn close(&mut self, device: Option<Device>) {
        let spent = self.lap();
        match device {
            Some(device) => book(device.namespace(), self.kept + spent),
            None if self.device != 0 => book(self.namespace, spent),
            None => {}
        }
        self.device = 0;
        self.kept = 0;
    }

    /// NET_RX is over.
    #[inline(always)]
    pub fn end(&mut self) {
        if self.device != 0 {
            let spent = self.lap();
            book(self.namespace, spent);
        }
        self.running = 0;
    }

    /// Nanoseconds since this was last asked.
    #[inline(always)]
    fn lap(&mut self) -> u64 {
        let now = now();
        let spent = now.saturating_sub(self.since);
        self.since = now;
        spent
    }
}

#[inline(always)]
fn book(namespace: u32, nanoseconds: u64) {
    if let Some(time) = TIMES.get_ptr_mut(namespace) {
        // SAFETY: this CPU's own value, as with its account.
        unsafe { *time += nanoseconds };
    }
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: takes nothing and returns a number.
    unsafe { bpf_ktime_get_ns() }
}
