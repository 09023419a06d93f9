//! Sockets in the lab's namespaces, and what the kernel tells about them.
//!
//! A socket belongs to the namespace that it was made in, so it can be used from anywhere.

use std::{
    ffi::c_int,
    io,
    mem::{MaybeUninit, size_of, size_of_val},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use super::{Error, Result};
use crate::netlink::Netns;

/// How long anything may take that has to succeed.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Makes a socket in a namespace.
pub(super) fn inside<T: Send>(
    netns: &Netns,
    what: impl FnOnce() -> String,
    make: impl FnOnce() -> io::Result<T> + Send,
) -> Result<T> {
    netns.run(make)?.map_err(|source| Error::Socket { what: what(), source })
}

/// A socket that waits for connections at a free port; the kernel accepts them even where
/// nobody asks for them.
pub(super) fn listen(netns: &Netns, address: IpAddr) -> Result<(TcpListener, SocketAddr)> {
    let what = || format!("listen at {address} in {}", netns.name());
    inside(netns, what, || {
        let socket = TcpListener::bind((address, 0))?;
        let at = socket.local_addr()?;
        Ok((socket, at))
    })
}

/// Dials, within [`PATIENCE`].
pub(super) fn connect(netns: &Netns, to: SocketAddr) -> Result<TcpStream> {
    let what = || format!("connect to {to} from {}", netns.name());
    inside(netns, what, || {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    })
}

/// A datagram socket at a free port.
pub(super) fn bind(netns: &Netns, address: IpAddr) -> Result<(UdpSocket, SocketAddr)> {
    let what = || format!("bind {address} in {}", netns.name());
    inside(netns, what, || {
        let socket = UdpSocket::bind((address, 0))?;
        let at = socket.local_addr()?;
        Ok((socket, at))
    })
}

/// What the kernel knows of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tcp {
    /// Most bytes that it puts into a segment, options taken off.
    pub segment: u32,
    /// MTU of the path, as far as it is known.
    pub path_mtu: u32,
}

/// Asks the kernel about a connection (TCP_INFO, tcp(7)).
pub(super) fn tcp_info(stream: &TcpStream) -> io::Result<Tcp> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).unwrap_or_default();
    // SAFETY: the kernel writes at most `len` bytes to a structure of that size.
    let outcome = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: integers, zeroed before the kernel wrote some of them.
    let info = unsafe { info.assume_init() };
    Ok(Tcp { segment: info.tcpi_snd_mss, path_mtu: info.tcpi_pmtu })
}

/// Lets a socket send datagrams that nobody may fragment, or such as everybody may (ip(7)).
pub(super) fn set_dont_fragment(socket: &UdpSocket, on: bool) -> io::Result<()> {
    let mode: c_int = if on { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT };
    // SAFETY: the kernel reads one integer.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            (&raw const mode).cast(),
            libc::socklen_t::try_from(size_of_val(&mode)).unwrap_or_default(),
        )
    };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// MTU of the path of a connected socket, as far as the kernel knows it.
pub(super) fn path_mtu(socket: &impl AsFd) -> io::Result<u32> {
    let mtu = nix::sys::socket::getsockopt(&socket.as_fd(), nix::sys::socket::sockopt::IpMtu)?;
    Ok(u32::try_from(mtu).unwrap_or_default())
}
