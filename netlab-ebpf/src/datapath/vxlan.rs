//! Encapsulation in XDP: addresses, ports and MACs as the kernel's VXLAN device would
//! have written them; no outer UDP checksum (RFC 7348, section 5), identification 0.

use aya_ebpf::programs::XdpContext;
use netlab_common::{
    abi::{Config, VtepKey},
    flow::FlowKey,
    headers::Headers,
    nodeport::Tables as _,
    packet::{Packet as _, PacketMut as _},
    wire::{
        eth::{self, EthHeader},
        ipv4::Ipv4Header,
        udp::{self, UdpHeader},
        vxlan::{OVERHEAD, Vni, VxlanHeader, source_port},
    },
};

use crate::{
    fib::{Fib, Lookup},
    frame::Frame,
    maps::{KernelTables, Scratch},
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
    let Some(bytes) = frame.load(headers.l4() + UdpHeader::LEN) else {
        return false;
    };
    VxlanHeader(bytes).vni().map(Vni::get) == Some(config.vni)
}

/// The headers that a packet to a remote VTEP gets in front.
pub struct Outer([u8; OVERHEAD]);

/// Prepares the outer headers of a packet whose way leads through the VXLAN device:
/// the FDB says to which node, the underlay's FIB how to get there. `None` where the
/// way is another one, or where the kernel has to find out.
#[inline(never)]
pub fn prepare(ctx: &XdpContext, scratch: &mut Scratch) -> Option<()> {
    let tables = KernelTables::open()?;
    let config = tables.config();
    let Scratch { headers, room, way, outer_way, outer } = scratch;
    if way.ifindex() != config.vxlan_ifindex {
        return None;
    }
    let remote = tables.vtep(&VtepKey { mac: way.destination(), reserved: [0; 2] })?.addr;
    if !remote.is_v4() || !config.vtep.is_v4() {
        return None;
    }
    let [low, high] = config.vxlan_source_ports;
    let flow = FlowKey {
        src: config.vtep,
        dst: remote,
        sport: source_port(room.translation(), low, high).to_be_bytes(),
        dport: config.vxlan_port,
        proto: udp::PROTOCOL,
        reserved: [0; 3],
    };
    let total_len = headers.ip_len.checked_add(OVERHEAD as u16)?;
    // XDP sends by the interface that the frame came in on.
    let ingress = ctx.ingress_ifindex() as u32;
    let lookup = outer_way.lookup(ctx, &flow, true, total_len, ingress);
    if !matches!(lookup, Lookup::Way) || outer_way.ifindex() != ingress {
        return None;
    }
    outer.write(outer_way, &flow, total_len, Vni::new(config.vni)?);
    Some(())
}

impl Outer {
    #[inline(always)]
    fn write(&mut self, way: &Fib, flow: &FlowKey, total_len: u16, vni: Vni) {
        const IP: usize = EthHeader::LEN;
        const UDP: usize = IP + Ipv4Header::LEN;
        const VXLAN: usize = UDP + UdpHeader::LEN;
        let ethernet = EthHeader::new(way.destination(), way.source(), eth::IPV4);
        let (src, dst) = (flow.src.last4(), flow.dst.last4());
        let ip = Ipv4Header::new(src, dst, udp::PROTOCOL, total_len, 0, TTL);
        let udp_len = total_len - Ipv4Header::LEN as u16;
        let udp = UdpHeader::new(flow.source_port(), flow.destination_port(), udp_len);
        self.0[..IP].copy_from_slice(&ethernet.0);
        self.0[IP..UDP].copy_from_slice(&ip.0);
        self.0[UDP..VXLAN].copy_from_slice(&udp.0);
        self.0[VXLAN..].copy_from_slice(&VxlanHeader::new(vni).0);
    }
}

/// Puts the outer headers in front of the frame.
#[inline(always)]
pub fn encapsulate(frame: &mut Frame<'_>, outer: &Outer) -> Option<()> {
    frame.move_head(-(OVERHEAD as i32))?;
    frame.store(0, outer.0)
}
