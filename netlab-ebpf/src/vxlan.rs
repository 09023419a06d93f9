//! Encapsulation in XDP, with what the kernel's VXLAN device would have written.

use aya_ebpf::programs::XdpContext;
use netlab_common::{
    abi::{Config, VtepKey},
    flow::{Addr, FlowKey},
    headers::Headers,
    nodeport::Tables as _,
    packet::{Packet as _, PacketMut as _},
    wire::{
        eth::{self, EthHeader},
        ipv4::Ipv4Header,
        udp::{self, UdpHeader},
        vxlan::{OVERHEAD, VxlanHeader, Vni, source_port},
    },
};

use crate::{
    fib::{Fib, Lookup},
    frame::Frame,
    maps::KernelTables,
};

/// TTL of outer packets, the kernel's default.
const TTL: u8 = 64;

/// Whether `headers` are the outer ones of a packet for this node's VXLAN device.
#[inline(always)]
pub fn is_ours(frame: &Frame<'_>, headers: &Headers, config: &Config) -> bool {
    if headers.flow.proto != udp::PROTOCOL
        || headers.flow.dport != config.vxlan_port
        || config.vxlan_ifindex == 0
        || headers.flow.dst != config.vtep
        || !headers.is_answerable()
    {
        return false;
    }
    let Some(bytes) = frame.load(headers.l4 + UdpHeader::LEN) else {
        return false;
    };
    VxlanHeader(bytes).vni().map(Vni::get) == Some(config.vni)
}

/// The headers that a packet to a remote VTEP gets in front.
pub struct Outer([u8; OVERHEAD]);

/// Where the FDB and the underlay's FIB send an inner packet whose way was `inner`;
/// `None` where the kernel has to find out.
#[inline(always)]
pub fn outer(
    ctx: &XdpContext,
    tables: &KernelTables,
    inner: &Fib,
    flow: &FlowKey,
    inner_len: u16,
) -> Option<Outer> {
    let config = tables.config();
    let remote = tables.vtep(&VtepKey { mac: inner.destination(), reserved: [0; 2] })?.addr;
    if !remote.is_v4() || !config.vtep.is_v4() {
        return None;
    }
    let [low, high] = config.vxlan_source_ports;
    let sport = source_port(flow, low, high);
    let total_len = inner_len.checked_add(OVERHEAD as u16)?;
    let way = underlay_way(ctx, config.vtep, remote, sport, config.vxlan_port, total_len)?;
    let ethernet = EthHeader::new(way.destination(), way.source(), eth::IPV4);
    let (src, dst) = (config.vtep.last4(), remote.last4());
    let ip = Ipv4Header::new(src, dst, udp::PROTOCOL, total_len, 0, TTL);
    let udp_len = total_len - Ipv4Header::LEN as u16;
    let udp = UdpHeader::new(sport, u16::from_be_bytes(config.vxlan_port), udp_len);
    let vxlan = VxlanHeader::new(Vni::new(config.vni)?);
    let mut bytes = [0; OVERHEAD];
    bytes[..14].copy_from_slice(&ethernet.0);
    bytes[14..34].copy_from_slice(&ip.0);
    bytes[34..42].copy_from_slice(&udp.0);
    bytes[42..].copy_from_slice(&vxlan.0);
    Some(Outer(bytes))
}

/// The underlay's way to a VTEP, if it leaves by the interface that the frame came in on.
#[inline(always)]
fn underlay_way(
    ctx: &XdpContext,
    local: Addr,
    remote: Addr,
    sport: u16,
    dport: [u8; 2],
    len: u16,
) -> Option<Fib> {
    let flow = FlowKey {
        src: local,
        dst: remote,
        sport: sport.to_be_bytes(),
        dport,
        proto: udp::PROTOCOL,
        reserved: [0; 3],
    };
    let ingress = ctx.ingress_ifindex() as u32;
    let (way, lookup) = Fib::lookup(ctx, &flow, true, len, ingress);
    (matches!(lookup, Lookup::Way) && way.ifindex() == ingress).then_some(way)
}

/// Puts the outer headers in front of the frame.
#[inline(always)]
pub fn encapsulate(frame: &mut Frame<'_>, outer: &Outer) -> Option<()> {
    frame.move_head(-(OVERHEAD as i32))?;
    frame.store(0, outer.0)
}
