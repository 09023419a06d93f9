//! What the kernel decides about packets on its own: route lookups, refusals, connections that
//! stand.
//!
//! Loaded only by captures that ask for it. What is told is for addresses that were asked about,
//! and in namespaces that are captured in.

use aya_ebpf::{
    helpers::generated::{bpf_get_current_task, bpf_ktime_get_ns},
    macros::{btf_tracepoint, map},
    maps::{Array, HashMap},
    programs::BtfTracePointContext,
};
use netlab_common::{
    decision::{Decision, Layout, MOST_ADDRESSES, kind},
    flow::Addr,
};

use crate::{
    kernel::{SkBuff, read},
    maps::{Buffer, RING, Use, namespace, settings},
};

/// `BPF_F_NO_PREALLOC` of linux/bpf.h: captures that ask nothing pay for no room.
const NO_PREALLOCATION: u32 = 1;

#[map]
static DECISIONS: Array<Layout> = Array::with_max_entries(1, 0);
#[map]
static ADDRESSES: HashMap<Addr, u32> = HashMap::with_max_entries(MOST_ADDRESSES, NO_PREALLOCATION);

/// `RT_TABLE_LOCAL` of linux/rtnetlink.h: whether an address is the host's own is no news, and asked
/// for every packet.
const LOCAL: u32 = 255;
/// `BPF_RB_AVAIL_DATA` and `BPF_RB_RING_SIZE` of linux/bpf.h.
const UNREAD: u64 = 0;
const SIZE: u64 = 1;
/// `AF_INET` of linux/socket.h.
const AF_INET: u16 = 2;
/// `IPPROTO_TCP` of linux/in.h.
const TCP: u8 = 6;

/// A lookup in an IPv4 table.
#[btf_tracepoint]
pub fn capture_fib4(ctx: BtfTracePointContext) -> i32 {
    // trace/events/fib.h: table, flow, next hop (none where it fails), error.
    fib4(ctx.arg(0), ctx.arg(1), ctx.arg(2), ctx.arg(3));
    0
}

/// A lookup in an IPv6 table.
#[btf_tracepoint]
pub fn capture_fib6(ctx: BtfTracePointContext) -> i32 {
    // trace/events/fib6.h: namespace, result, table, flow.
    fib6(ctx.arg(0), ctx.arg(1), ctx.arg(2), ctx.arg(3));
    0
}

/// A segment that is answered with a RST.
#[btf_tracepoint]
pub fn capture_reset(ctx: BtfTracePointContext) -> i32 {
    // trace/events/tcp.h: the socket, if there is one, and the segment; newer kernels add why.
    reset(ctx.arg(1));
    0
}

/// A socket that takes on another state.
#[btf_tracepoint]
pub fn capture_state(ctx: BtfTracePointContext) -> i32 {
    // trace/events/sock.h: the socket, its state before and after.
    state(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

#[inline(always)]
fn fib4(table: u32, flow: u64, hop: u64, error: i32) -> Option<()> {
    if table == LOCAL {
        return None;
    }
    let layout = layout()?;
    let destination = Addr::v4(read(flow, layout.flow4_destination)?);
    is_asked(&destination)?;
    let source: [u8; 4] = read(flow, layout.flow4_source)?;
    let mut told = Decision {
        kind: kind::ROUTE,
        source: if source == [0; 4] { Addr::UNSPECIFIED } else { Addr::v4(source) },
        destination,
        table,
        error,
        ..Decision::default()
    };
    told.protocol = read(flow, layout.flow_proto)?;
    match lead(layout, hop, &mut told) {
        Some(inode) => told.namespace = namespace(inode)?,
        None => told.namespace = here(layout, flow, &told)?,
    }
    send(told);
    Some(())
}

#[inline(always)]
fn fib6(net: u64, result: u64, table: u64, flow: u64) -> Option<()> {
    let layout = layout()?;
    let destination = Addr(read(flow, layout.flow6_destination)?);
    is_asked(&destination)?;
    let table = read(table, layout.table6_id)?;
    if table == LOCAL {
        return None;
    }
    let mut told = Decision {
        kind: kind::ROUTE,
        source: Addr(read(flow, layout.flow6_source)?),
        destination,
        table,
        error: error_of(read(result, layout.result6_type)?),
        ..Decision::default()
    };
    told.protocol = read(flow, layout.flow_proto)?;
    told.namespace = namespace(read(net, layout.net_inum)?)?;
    if told.error == 0 {
        let _ = lead(layout, read(result, layout.result6_hop)?, &mut told);
    }
    send(told);
    Some(())
}

#[inline(always)]
fn reset(packet: u64) -> Option<()> {
    // The verifier lets nobody calculate with what may be null.
    if packet == 0 {
        return None;
    }
    let layout = layout()?;
    let settings = settings()?;
    let head: u64 = read(packet, layout.skb_head)?;
    let network = head + u64::from(read::<u16>(packet, layout.skb_network_header)?);
    let transport = head + u64::from(read::<u16>(packet, layout.skb_transport_header)?);
    let mut told = Decision { kind: kind::RESET, protocol: TCP, ..Decision::default() };
    // RFC 791 and RFC 8200: where the addresses are.
    if read::<u8>(network, 0)? >> 4 == 4 {
        told.source = Addr::v4(read(network, 12)?);
        told.destination = Addr::v4(read(network, 16)?);
    } else {
        told.source = Addr(read(network, 8)?);
        told.destination = Addr(read(network, 24)?);
    }
    is_asked(&told.destination)?;
    told.ports = [read(transport, 0)?, read(transport, 2)?];
    told.namespace = namespace(SkBuff(packet).namespace(&settings.layout)?)?;
    send(told);
    Some(())
}

#[inline(always)]
fn state(socket: u64, before: u32, after: u32) -> Option<()> {
    /// `TCP_ESTABLISHED` and `TCP_SYN_RECV` of net/tcp_states.h.
    const ESTABLISHED: u32 = 1;
    const SYN_RECEIVED: u32 = 3;
    if before != SYN_RECEIVED || after != ESTABLISHED {
        return None;
    }
    let layout = layout()?;
    let settings = settings()?;
    let mut told = Decision { kind: kind::ACCEPT, protocol: TCP, ..Decision::default() };
    if read::<u16>(socket, layout.sock_family)? == AF_INET {
        told.source = Addr::v4(read(socket, layout.sock_remote4)?);
        told.destination = Addr::v4(read(socket, layout.sock_local4)?);
    } else {
        told.source = Addr(read(socket, layout.sock_remote6)?);
        told.destination = Addr(read(socket, layout.sock_local6)?);
    }
    is_asked(&told.destination)?;
    let local: u16 = read(socket, layout.sock_local_port)?;
    told.ports = [read(socket, layout.sock_remote_port)?, local.to_be_bytes()];
    let net: u64 = read(socket, settings.layout.sock_net)?;
    told.namespace = namespace(read(net, layout.net_inum)?)?;
    send(told);
    Some(())
}

/// Where a next hop leads; returns the inode number of its device's namespace, if it has one.
#[inline(always)]
fn lead(layout: &Layout, hop: u64, told: &mut Decision) -> Option<u32> {
    if hop == 0 {
        return None;
    }
    let device: u64 = read(hop, layout.hop_dev)?;
    if device == 0 {
        return None;
    }
    told.oif = read(device, layout.dev_ifindex)?;
    let family: u8 = read(hop, layout.hop_family)?;
    if u16::from(family) == AF_INET {
        told.gateway = Addr::v4(read(hop, layout.hop_gateway)?);
    } else if family != 0 {
        told.gateway = Addr(read(hop, layout.hop_gateway)?);
    }
    let net: u64 = read(device, layout.dev_net)?;
    read(net, layout.net_inum)
}

/// In which namespace a lookup failed, which the kernel does not tell: in that of the packet that
/// this CPU is at, unless a socket that has no address yet asks, which its process does.
#[inline(always)]
fn here(layout: &Layout, flow: u64, told: &Decision) -> Option<u32> {
    /// `LOOPBACK_IFINDEX` of net/flow.h: what the host itself sends comes from there.
    const OWN: u32 = 1;
    /// Nanoseconds after which a packet has left its host's stack, or is lost in it.
    const RECENT: u64 = 500_000;
    let own = read::<u32>(flow, layout.flow_iif)?;
    if !told.source.is_unspecified() {
        let last = &Buffer::borrow(Use::Hook)?.record;
        // SAFETY: takes nothing and returns a number.
        let age = unsafe { bpf_ktime_get_ns() }.wrapping_sub(last.time);
        if age < RECENT && (own <= OWN || own == last.ifindex) {
            return Some(last.namespace);
        }
        if own > OWN {
            return None;
        }
    }
    // SAFETY: takes nothing and returns an address.
    let task = unsafe { bpf_get_current_task() };
    let proxy: u64 = read(task, layout.task_nsproxy)?;
    let net: u64 = read(proxy, layout.nsproxy_net)?;
    namespace(read(net, layout.net_inum)?)
}

/// As `ip6_rt_type_to_error` of the kernel: types are of linux/rtnetlink.h, errors of
/// asm-generic/errno.h.
#[inline(always)]
const fn error_of(of: u8) -> i32 {
    match of {
        6 => -22,
        7 => -113,
        8 => -13,
        9 => -11,
        _ => 0,
    }
}

#[inline(always)]
fn layout() -> Option<&'static Layout> {
    settings()?;
    DECISIONS.get(0)
}

#[inline(always)]
fn is_asked(destination: &Addr) -> Option<()> {
    ADDRESSES.get_ptr(destination).map(|_| ())
}

/// Packets are what matters: half of the ring is theirs alone.
#[inline(always)]
fn send(mut told: Decision) {
    if RING.query(UNREAD) > RING.query(SIZE) / 2 {
        return;
    }
    told.tag = Decision::TAG;
    // SAFETY: takes nothing and returns a number.
    told.time = unsafe { bpf_ktime_get_ns() };
    let _ = RING.output::<Decision>(&told, 0);
}
