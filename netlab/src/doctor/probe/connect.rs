//! A TCP connection whose client's address and port are known however it ends.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd as _,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage},
};

/// Connects, and says from where: None where it did not even get an address.
pub(super) fn connect(
    to: &SocketAddr,
    patience: Duration,
) -> (Option<SocketAddr>, io::Result<TcpStream>) {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let stream = match socket::socket(family, SockType::Stream, flags, None) {
        Ok(socket) => TcpStream::from(socket),
        Err(errno) => return (None, Err(errno.into())),
    };
    let begun = socket::connect(stream.as_raw_fd(), &SockaddrStorage::from(*to));
    // Without an address nothing has left: there is no route.
    let from = stream.local_addr().ok().filter(|own| !own.ip().is_unspecified());
    let connected = match begun {
        Ok(()) => Ok(()),
        Err(Errno::EINPROGRESS) => established(&stream, patience),
        Err(errno) => Err(errno.into()),
    };
    let stream = connected.and_then(|()| stream.set_nonblocking(false)).map(|()| stream);
    (from, stream)
}

/// Waits until the connection stands or has failed.
fn established(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        let mut wanted = libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one structure, which outlives the call.
        match unsafe { libc::poll(&raw mut wanted, 1, left) } {
            0 => return Err(io::ErrorKind::TimedOut.into()),
            1.. => return stream.take_error()?.map_or(Ok(()), Err),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}
