//! The packet that is walked.

use std::net::{IpAddr, SocketAddr};

use crate::{netlink::Mac, spec::model::Protocol};

/// UDP's number (RFC 768).
pub(super) const UDP: u8 = Protocol::Udp.number();
/// TCP's number (RFC 9293).
pub(super) const TCP: u8 = Protocol::Tcp.number();
/// TTL of packets that the kernel makes for itself, as VXLAN's (net.ipv4.ip_default_ttl).
pub(super) const DEFAULT_TTL: u8 = 64;

/// A packet on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// IP protocol number.
    pub protocol: u8,
    pub ttl: u8,
    /// Firewall mark, which does not outlive its host.
    pub mark: u32,
    /// It answers, so a connection that has been seen is known.
    pub answers: bool,
    /// Type and code, of ICMP.
    pub icmp: Option<(u8, u8)>,
    /// What its source becomes as it leaves the host that has just translated its destination
    /// back.
    pub back: Option<SocketAddr>,
    /// What it carries, of VXLAN.
    pub inner: Option<Box<Inner>>,
}

/// What a VXLAN datagram carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inner {
    pub packet: Packet,
    pub vni: u32,
    /// Ethernet destination of the frame.
    pub mac: Mac,
    /// Something on the way has spoilt the outer checksum.
    pub spoilt: bool,
}

impl Packet {
    pub(super) fn new(source: SocketAddr, destination: SocketAddr, protocol: u8, ttl: u8) -> Self {
        Self {
            source,
            destination,
            protocol,
            ttl,
            mark: 0,
            answers: false,
            icmp: None,
            back: None,
            inner: None,
        }
    }

    /// The first answer to it, as its receiver sends it.
    pub(super) fn answer(&self, ttl: u8) -> Self {
        let answer = Self::new(self.destination, self.source, self.protocol, ttl);
        Self { answers: true, ..answer }
    }

    /// What a router tells its sender where it is too large: RFC 792's fragmentation needed, RFC
    /// 4443's packet too big.
    pub(super) fn too_large(&self, router: IpAddr) -> Self {
        let (protocol, icmp) = if self.is_v4() { (1, (3, 4)) } else { (58, (2, 0)) };
        let from = SocketAddr::new(router, 0);
        let to = SocketAddr::new(self.source.ip(), 0);
        Self { icmp: Some(icmp), ..Self::new(from, to, protocol, DEFAULT_TTL) }
    }

    pub(super) fn is_v4(&self) -> bool {
        self.destination.is_ipv4()
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.inner.is_some()
    }
}
