//! The numbers by which a namespace knows others, as links that lead there have them.

use std::os::fd::AsRawFd as _;

use nix::sys::socket::SockProtocol;

use super::{
    Netns, Result,
    raw::{ACK, REQUEST, Socket, attribute, find},
};

/// RTM_NEWNSID, RTM_GETNSID (linux/rtnetlink.h).
const NEW: u16 = 88;
const GET: u16 = 90;
/// NETNSA_NSID, NETNSA_FD (linux/net_namespace.h).
const NUMBER: u16 = 1;
const DESCRIPTOR: u16 = 3;
/// Octets of struct rtgenmsg, padded.
const FAMILY_HEADER: usize = 4;

/// The calling thread's namespace, asked what it calls others.
#[derive(Debug)]
pub struct Numbers {
    socket: Socket,
}

impl Numbers {
    /// Of the calling thread's namespace.
    ///
    /// # Errors
    ///
    /// Where the socket cannot be made.
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(SockProtocol::NetlinkRoute, "the namespace's number")? })
    }

    /// What it calls that namespace; None where it has no name for it.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn of(&self, netns: &Netns) -> Result<Option<i32>> {
        let mut payload = vec![0; FAMILY_HEADER];
        attribute(&mut payload, DESCRIPTOR, &netns.as_raw_fd().to_ne_bytes());
        self.socket.send(GET, REQUEST | ACK, &payload)?;
        let mut number = None;
        self.socket.answers(|kind, payload| {
            if kind == NEW {
                let value = payload.get(FAMILY_HEADER..).and_then(|bytes| find(bytes, NUMBER));
                number = value.and_then(|v| v.first_chunk()).map(|v| i32::from_ne_bytes(*v));
            }
        })?;
        Ok(number.filter(|number| *number >= 0))
    }
}
