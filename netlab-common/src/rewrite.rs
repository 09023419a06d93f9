//! Changing a packet as a verdict says: what to write where, and with which checksums.
//!
//! Read first: RFC 1624 (incremental checksums), RFC 5508, section 4.2 (ICMP errors
//! through a NAT). [`Rewrite::apply`] is for packets whose checksums are complete; a
//! socket buffer's may be partial, so tc edits TCP and UDP with the kernel's helpers
//! and takes only [`Rewrite::addresses`] and [`Rewrite::ports`] from here.

use crate::{
    checksum::{self, Sum},
    flow::{Addr, FlowKey},
    headers::Headers,
    packet::PacketMut,
    verdict::DropReason,
    wire::{icmp::IcmpHeader, ipv4::Ipv4Header, ipv6::Ipv6Header, tcp, udp},
};

/// A translation of one packet, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite<'a> {
    /// Where what stands.
    pub headers: &'a Headers,
    /// What [`Headers::flow`] becomes.
    pub to: &'a FlowKey,
}

impl Rewrite<'_> {
    /// How the sum over the packet's own addresses changes.
    #[inline(always)]
    #[must_use]
    pub fn addresses(&self) -> Sum {
        let Headers { flow, v4, .. } = self.headers;
        replaced(&flow.src, &self.to.src, *v4).plus(replaced(&flow.dst, &self.to.dst, *v4))
    }

    /// How the sum over the packet's own ports changes.
    #[inline(always)]
    #[must_use]
    pub fn ports(&self) -> Sum {
        let flow = &self.headers.flow;
        Sum::ZERO.without(flow.sport).without(flow.dport).with(self.to.sport).with(self.to.dport)
    }

    /// Changes the packet. Nothing but a [`DropReason::Truncated`] can go wrong.
    #[inline(always)]
    pub fn apply<P: PacketMut + ?Sized>(&self, packet: &mut P) -> Result<(), DropReason> {
        let done =
            if self.headers.is_error() { self.apply_error(packet) } else { self.apply_own(packet) };
        done.ok_or(DropReason::Truncated)
    }

    /// TCP and UDP. Everything is read before anything is written, so that a
    /// truncated packet is not half changed.
    #[inline(always)]
    pub fn apply_own<P: PacketMut + ?Sized>(&self, packet: &mut P) -> Option<()> {
        let l4 = self.headers.l4();
        let difference = self.addresses().plus(self.ports());
        if self.headers.flow.proto == udp::PROTOCOL {
            let at = l4 + udp::UdpHeader::AT_CHECKSUM;
            let old = packet.load(at)?;
            packet.store(at, checksum::update_udp(old, difference))?;
        } else {
            let at = l4 + tcp::TcpHeader::AT_CHECKSUM;
            let old = packet.load(at)?;
            packet.store(at, checksum::update(old, difference))?;
        }
        store_ports(packet, l4, self.to.sport, self.to.dport)?;
        self.apply_ip(packet)
    }

    /// The packet's own IP header.
    #[inline(always)]
    fn apply_ip<P: PacketMut + ?Sized>(&self, packet: &mut P) -> Option<()> {
        let (l3, FlowKey { src, dst, .. }) = (self.headers.l3(), self.to);
        if !self.headers.v4 {
            packet.store(l3 + Ipv6Header::AT_ADDRESSES, src.0)?;
            return packet.store(l3 + Ipv6Header::AT_ADDRESSES + 16, dst.0);
        }
        let at = l3 + Ipv4Header::AT_CHECKSUM;
        let old = packet.load(at)?;
        packet.store(at, checksum::update(old, self.addresses()))?;
        store_addresses_v4(packet, l3, src.last4(), dst.last4())
    }

    /// An ICMP error (IPv4): the quoted packet becomes what its sender sent, and the
    /// error is addressed to that sender. Its source changes only where it is the
    /// flow's other end; a router on the way keeps its own address.
    #[inline(always)]
    pub fn apply_error<P: PacketMut + ?Sized>(&self, packet: &mut P) -> Option<()> {
        let (l3, l4) = (self.headers.l3(), self.headers.l4());
        let (quoted_l3, quoted_l4) = (self.headers.quoted_l3(), self.headers.quoted_l4());
        let (addresses, ports) = (self.addresses(), self.ports());
        let ip_at = quoted_l3 + Ipv4Header::AT_CHECKSUM;
        let ip_old = packet.load(ip_at)?;
        let ip_new = checksum::update(ip_old, addresses);
        packet.store(ip_at, ip_new)?;
        let mut difference = addresses.plus(ports).without(ip_old).with(ip_new);

        let (at, is_udp) = if self.headers.flow.proto == udp::PROTOCOL {
            (quoted_l4 + udp::UdpHeader::AT_CHECKSUM, true)
        } else {
            (quoted_l4 + tcp::TcpHeader::AT_CHECKSUM, false)
        };
        // A quote of eight bytes does not reach as far as TCP's checksum.
        if let Some(old) = packet.load::<2>(at) {
            let change = addresses.plus(ports);
            let new = if is_udp {
                checksum::update_udp(old, change)
            } else {
                checksum::update(old, change)
            };
            packet.store(at, new)?;
            difference = difference.without(old).with(new);
        }
        // `to` is the way back: the quoted packet is its reverse.
        store_addresses_v4(packet, quoted_l3, self.to.dst.last4(), self.to.src.last4())?;
        store_ports(packet, quoted_l4, self.to.dport, self.to.sport)?;
        let icmp_at = l4 + IcmpHeader::AT_CHECKSUM;
        let icmp_checksum = packet.load(icmp_at)?;
        packet.store(icmp_at, checksum::update(icmp_checksum, difference))?;
        self.readdress_error(packet, l3)
    }

    /// The outer header of an ICMP error.
    #[inline(always)]
    fn readdress_error<P: PacketMut + ?Sized>(&self, packet: &mut P, l3: usize) -> Option<()> {
        let old: [u8; 8] = packet.load(l3 + Ipv4Header::AT_ADDRESSES)?;
        let [a, b, c, d, ..] = old;
        let from_other_end = [a, b, c, d] == self.headers.flow.src.last4();
        let src = if from_other_end { self.to.src.last4() } else { [a, b, c, d] };
        let dst = self.to.dst.last4();
        let difference = Sum::ZERO.without(old).with(src).with(dst);
        let at = l3 + Ipv4Header::AT_CHECKSUM;
        let checksum = packet.load(at)?;
        packet.store(at, checksum::update(checksum, difference))?;
        store_addresses_v4(packet, l3, src, dst)
    }
}

/// Lowers the TTL or hop limit by one, as every forwarder must (RFC 1812, 5.3.1).
#[inline(always)]
pub fn decrement_ttl<P: PacketMut + ?Sized>(packet: &mut P, headers: &Headers) -> Option<()> {
    if !headers.v4 {
        let at = headers.l3() + Ipv6Header::AT_NEXT_HEADER;
        let [next_header, limit] = packet.load(at)?;
        return packet.store(at, [next_header, limit.wrapping_sub(1)]);
    }
    let at = headers.l3() + Ipv4Header::AT_TTL;
    let old: [u8; 2] = packet.load(at)?;
    let new = [old[0].wrapping_sub(1), old[1]];
    let sum_at = headers.l3() + Ipv4Header::AT_CHECKSUM;
    let sum = packet.load(sum_at)?;
    packet.store(at, new)?;
    packet.store(sum_at, checksum::update(sum, Sum::ZERO.without(old).with(new)))
}

/// The first twelve bytes of mapped IPv4 addresses are the same, and cancel.
#[inline(always)]
fn replaced(old: &Addr, new: &Addr, v4: bool) -> Sum {
    if v4 {
        Sum::ZERO.without(old.last4()).with(new.last4())
    } else {
        Sum::ZERO.without(old.0).with(new.0)
    }
}

#[inline(always)]
fn store_addresses_v4<P: PacketMut + ?Sized>(
    packet: &mut P,
    l3: usize,
    src: [u8; 4],
    dst: [u8; 4],
) -> Option<()> {
    let ([a, b, c, d], [e, f, g, h]) = (src, dst);
    packet.store(l3 + Ipv4Header::AT_ADDRESSES, [a, b, c, d, e, f, g, h])
}

#[inline(always)]
fn store_ports<P: PacketMut + ?Sized>(
    packet: &mut P,
    l4: usize,
    sport: [u8; 2],
    dport: [u8; 2],
) -> Option<()> {
    packet.store(l4, [sport[0], sport[1], dport[0], dport[1]])
}
