//! Where the kernel tells what a CPU is at, one program each.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{account::Account, device::Device};

/// `NET_RX_SOFTIRQ` of linux/interrupt.h.
const NET_RX: u32 = 3;

/// See [`netlab_common::softirq::program::ENTER`].
#[btf_tracepoint]
pub fn softirq_enter(ctx: BtfTracePointContext) -> i32 {
    // trace/events/irq.h: the vector.
    if ctx.arg::<u32>(0) == NET_RX {
        Account::begin();
    }
    0
}

/// See [`netlab_common::softirq::program::LEAVE`].
#[btf_tracepoint]
pub fn softirq_leave(ctx: BtfTracePointContext) -> i32 {
    if ctx.arg::<u32>(0) == NET_RX
        && let Some(account) = Account::running()
    {
        account.end();
    }
    0
}

/// See [`netlab_common::softirq::program::RECEIVE`].
#[btf_tracepoint]
pub fn softirq_receive(ctx: BtfTracePointContext) -> i32 {
    if let Some(account) = Account::running() {
        // trace/events/net.h: the packet.
        account.hand_over(Device::of_packet(ctx.arg(0)));
    }
    0
}

/// See [`netlab_common::softirq::program::POLL`].
#[btf_tracepoint]
pub fn softirq_poll(ctx: BtfTracePointContext) -> i32 {
    if let Some(account) = Account::running() {
        // trace/events/napi.h: whose poll, packets, most packets.
        account.close(Device::of_poll(ctx.arg(0)));
    }
    0
}
