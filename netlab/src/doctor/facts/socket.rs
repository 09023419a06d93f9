//! Sockets that somebody can reach.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A listening TCP socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpListener {
    /// Where it listens; `[::]` also takes IPv4 unless [`Self::v6_only`].
    pub address: SocketAddr,
    /// An IPv6 socket that takes no IPv4.
    #[serde(default)]
    pub v6_only: bool,
    /// Index of the link that it is bound to.
    #[serde(default)]
    pub device: Option<u32>,
    /// Connections that wait to be accepted.
    pub accept_queue: u32,
    /// Most that may wait: what listen(2) was given, or net.core.somaxconn.
    pub backlog: u32,
    /// Inode number of the socket.
    pub inode: u64,
    /// Who holds it, where that could be found out.
    #[serde(default)]
    pub owner: Option<Owner>,
}

/// A bound UDP socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpSocket {
    /// Where it is bound.
    pub address: SocketAddr,
    /// Whom alone it hears, where it is connected.
    #[serde(default)]
    pub peer: Option<SocketAddr>,
    /// An IPv6 socket that takes no IPv4.
    #[serde(default)]
    pub v6_only: bool,
    /// Index of the link that it is bound to.
    #[serde(default)]
    pub device: Option<u32>,
    /// Octets that wait to be read.
    pub receive_queue: u32,
    /// Datagrams dropped since it was made: its buffer was full, or a checksum wrong.
    #[serde(default)]
    pub drops: Option<u32>,
    /// Inode number of the socket.
    pub inode: u64,
    /// Who holds it, where that could be found out; nobody holds the kernel's own, as a VXLAN
    /// device's.
    #[serde(default)]
    pub owner: Option<Owner>,
}

/// A process that holds a socket; the first of several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// Its number.
    pub pid: u32,
    /// Its name, as `ps -o comm`.
    pub command: String,
}
