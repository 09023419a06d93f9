//! What the kernel decided about packets, as a capture's ring has it: where a route lookup led,
//! who refused a segment, which socket took a connection.
//!
//! A [`Decision`] lies in the same ring as packets do, so that both are in order; its first byte
//! is one that neither a [`crate::event::Record`] nor a [`crate::event::Trace`] begins with.
//!
//! Law: as in [`crate::event`].

use crate::flow::Addr;

/// What was decided.
pub mod kind {
    /// A route lookup: tracepoints `fib_table_lookup` and `fib6_table_lookup`.
    pub const ROUTE: u8 = 1;
    /// A TCP segment is answered with a RST: tracepoint `tcp_send_reset`.
    pub const RESET: u8 = 2;
    /// A connection that a listener was asked for stands: tracepoint `inet_sock_set_state`.
    pub const ACCEPT: u8 = 3;
}

/// A decision. 80 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// [`Self::TAG`].
    pub tag: u8,
    /// One of [`kind`].
    pub kind: u8,
    /// Of IP; 0 where the kernel does not tell.
    pub protocol: u8,
    /// Zero.
    pub reserved: u8,
    /// Number of the network namespace in this capture.
    pub namespace: u32,
    /// When, nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// Whose packet; unspecified where a socket has no address yet.
    pub source: Addr,
    /// Whom it is for.
    pub destination: Addr,
    /// Ports as on the wire; zero where they play no part.
    pub ports: [[u8; 2]; 2],
    /// Of a route: the table.
    pub table: u32,
    /// Of a route: zero, or a negative number of the kernel's errors.
    pub error: i32,
    /// Of a route: index of the interface that it leads to, 0 for none.
    pub oif: u32,
    /// Of a route: the next hop; unspecified where there is none.
    pub gateway: Addr,
}

impl Decision {
    /// What its first byte is.
    pub const TAG: u8 = 0xff;
}

/// Byte offsets of fields in the running kernel's structures, from its BTF. 108 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// `flowi_common.flowic_iif`, at the start of both kinds of flows.
    pub flow_iif: u32,
    /// `flowi_common.flowic_proto`.
    pub flow_proto: u32,
    /// `flowi4.saddr`.
    pub flow4_source: u32,
    /// `flowi4.daddr`.
    pub flow4_destination: u32,
    /// `flowi6.saddr`.
    pub flow6_source: u32,
    /// `flowi6.daddr`.
    pub flow6_destination: u32,
    /// `fib_nh_common.nhc_dev`; also of `fib6_nh`, which begins with one.
    pub hop_dev: u32,
    /// `fib_nh_common.nhc_gw_family`.
    pub hop_family: u32,
    /// `fib_nh_common.nhc_gw`.
    pub hop_gateway: u32,
    /// `fib6_result.nh`.
    pub result6_hop: u32,
    /// `fib6_result.fib6_type`.
    pub result6_type: u32,
    /// `fib6_table.tb6_id`.
    pub table6_id: u32,
    /// `task_struct.nsproxy`.
    pub task_nsproxy: u32,
    /// `nsproxy.net_ns`.
    pub nsproxy_net: u32,
    /// `sk_buff.transport_header`.
    pub skb_transport_header: u32,
    /// `sock_common.skc_family`, at the start of every socket.
    pub sock_family: u32,
    /// `sock_common.skc_daddr`.
    pub sock_remote4: u32,
    /// `sock_common.skc_rcv_saddr`.
    pub sock_local4: u32,
    /// `sock_common.skc_v6_daddr`.
    pub sock_remote6: u32,
    /// `sock_common.skc_v6_rcv_saddr`.
    pub sock_local6: u32,
    /// `sock_common.skc_dport`, as on the wire.
    pub sock_remote_port: u32,
    /// `sock_common.skc_num`, a number.
    pub sock_local_port: u32,
    /// `net_device.ifindex`.
    pub dev_ifindex: u32,
    /// `net_device.nd_net.net`.
    pub dev_net: u32,
    /// `net.ns.inum`.
    pub net_inum: u32,
    /// `sk_buff.head`.
    pub skb_head: u32,
    /// `sk_buff.network_header`.
    pub skb_network_header: u32,
}

/// Map names in the object of the capture programs.
pub mod map {
    /// Array, one [`super::Layout`].
    pub const DECISIONS: &str = "DECISIONS";
    /// Hash, [`super::Addr`] to u32 (unused): decisions are told of what is for these addresses.
    pub const ADDRESSES: &str = "ADDRESSES";
}

/// Addresses that decisions can be asked about.
pub const MOST_ADDRESSES: u32 = 4_096;

const _: () = assert!(size_of::<Decision>() == 80 && size_of::<Layout>() == 108);

// SAFETY: repr(C), Copy, without padding (sizes are the sums of their fields, asserted above) and
// valid for every bit pattern.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Decision {}
// SAFETY: as above.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Layout {}
