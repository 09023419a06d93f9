//! Sockets of a namespace, as `ss` sees them.
//!
//! sock_diag (linux/sock_diag.h, linux/inet_diag.h): numbers are in host order, ports and
//! addresses as on the wire.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::sys::socket::SockProtocol;

use super::{
    Result,
    raw::{DUMP, REQUEST, Socket, find},
};

/// SOCK_DIAG_BY_FAMILY.
const BY_FAMILY: u16 = 20;
/// Octets of struct inet_diag_msg.
const MESSAGE: usize = 72;
/// TCP_LISTEN, and with it a UDP socket's TCP_CLOSE and, connected, TCP_ESTABLISHED
/// (net/tcp_states.h).
const LISTEN: u32 = 1 << 10;
const BOUND: u32 = 1 << 7 | 1 << 1;
/// INET_DIAG_SKMEMINFO, and which of its numbers counts drops (SK_MEMINFO_DROPS).
const MEMORY: u16 = 7;
const DROPS: usize = 8;
/// INET_DIAG_SKV6ONLY.
const V6_ONLY: u16 = 11;

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InetSocket {
    /// Its own end.
    pub local: SocketAddr,
    /// The other end, where it is connected.
    pub peer: Option<SocketAddr>,
    /// An IPv6 socket that takes no IPv4.
    pub v6_only: bool,
    /// Index of the link that it is bound to.
    pub device: Option<u32>,
    /// Of a listening socket: connections to be accepted; else octets to be read.
    pub receive_queue: u32,
    /// Of a listening socket: most connections that may wait; else octets to be sent.
    pub send_queue: u32,
    /// What it has dropped.
    pub drops: Option<u32>,
    /// Its inode number.
    pub inode: u32,
}

/// TCP sockets that listen in the calling thread's namespace.
///
/// # Errors
///
/// Where the kernel has no sock_diag.
pub fn tcp_listeners() -> Result<Vec<InetSocket>> {
    dump(libc::IPPROTO_TCP, LISTEN)
}

/// UDP sockets that are bound in the calling thread's namespace.
///
/// # Errors
///
/// Where the kernel has no sock_diag.
pub fn udp_sockets() -> Result<Vec<InetSocket>> {
    dump(libc::IPPROTO_UDP, BOUND)
}

fn dump(protocol: i32, states: u32) -> Result<Vec<InetSocket>> {
    let socket = Socket::open(SockProtocol::NetlinkSockDiag, "the sockets")?;
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        // struct inet_diag_req_v2: family, protocol, extensions, padding, states, and an
        // identity that a dump does not look at.
        let byte = |number: i32| u8::try_from(number).unwrap_or(0);
        let mut request = vec![byte(family), byte(protocol), 1 << (MEMORY - 1), 0];
        request.extend(states.to_ne_bytes());
        request.extend([0; 48]);
        socket.send(BY_FAMILY, REQUEST | DUMP, &request)?;
        socket.answers(|_, payload| found.extend(InetSocket::parse(payload)))?;
    }
    Ok(found)
}

impl InetSocket {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let attributes = bytes.get(MESSAGE..)?;
        let number = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let port = |at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let v4 = i32::from(*bytes.first()?) == libc::AF_INET;
        let address = |at: usize| -> Option<IpAddr> {
            let bytes = bytes.get(at..)?;
            if v4 {
                Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into())
            } else {
                Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into())
            }
        };
        // Family, state, timer, retransmits; then struct inet_diag_sockid: ports, addresses,
        // interface, cookie; then expiry, queues, owner, inode.
        let peer = SocketAddr::new(address(24)?, port(6)?);
        let memory = find(attributes, MEMORY);
        let drops = memory.and_then(|numbers| numbers.get(DROPS * 4..)?.first_chunk());
        Some(Self {
            local: SocketAddr::new(address(8)?, port(4)?),
            peer: (peer.port() != 0).then_some(peer),
            v6_only: find(attributes, V6_ONLY).is_some_and(|value| value.first() == Some(&1)),
            device: number(40).filter(|index| *index != 0),
            receive_queue: number(56)?,
            send_queue: number(60)?,
            drops: drops.map(|bytes| u32::from_ne_bytes(*bytes)),
            inode: number(68)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::raw::attribute;

    #[test]
    fn a_socket_is_read_as_the_kernel_writes_it() {
        let mut bytes = vec![0; MESSAGE];
        bytes[0] = 10;
        bytes[4..6].copy_from_slice(&8080_u16.to_be_bytes());
        bytes[23] = 1;
        bytes[40] = 3;
        bytes[56..60].copy_from_slice(&2_u32.to_ne_bytes());
        bytes[60..64].copy_from_slice(&128_u32.to_ne_bytes());
        bytes[68..72].copy_from_slice(&77_u32.to_ne_bytes());
        attribute(&mut bytes, V6_ONLY, &[1]);
        let memory: Vec<u8> = (0..9_u32).flat_map(u32::to_ne_bytes).collect();
        attribute(&mut bytes, MEMORY, &memory);
        let expected = InetSocket {
            local: "[::1]:8080".parse().unwrap(),
            peer: None,
            v6_only: true,
            device: Some(3),
            receive_queue: 2,
            send_queue: 128,
            drops: Some(8),
            inode: 77,
        };
        assert_eq!(InetSocket::parse(&bytes), Some(expected));
        for length in 0..bytes.len() {
            let _ = InetSocket::parse(&bytes[..length]);
        }
    }

    #[test]
    fn a_listening_socket_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = tcp_listeners().unwrap();
        let own = found.iter().find(|socket| socket.local == address).unwrap();
        assert!(own.send_queue > 0 && own.inode > 0, "{own:?}");
    }
}
