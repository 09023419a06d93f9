//! The kernel's own connection tracking: read, forget a connection, and make some up.
//!
//! ctnetlink (linux/netfilter/nfnetlink_conntrack.h): a header of netlink, one of nfnetlink, and
//! attributes in attributes, each padded to four octets. Lengths are in host order, ports and
//! addresses as on the wire.

mod made_up;

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
        socket,
    },
};

pub use made_up::Entries;

use super::{Error, Result};

/// Messages of ctnetlink: NFNL_SUBSYS_CTNETLINK and IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE.
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;

/// NLMSG_ERROR, NLMSG_DONE.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP.
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;

/// Octets of the netlink header, and of nfnetlink's after it.
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;

/// Of an attribute's type, without the flags for nested and big-endian.
const TYPE_MASK: u16 = 0x3fff;
const NESTED: u16 = 0x8000;

/// CTA_TUPLE_ORIG, CTA_TUPLE_REPLY; in them CTA_TUPLE_IP, CTA_TUPLE_PROTO.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ADDRESSES: u16 = 1;
const PROTOCOL: u16 = 2;

/// Room for any message of a dump; the kernel fills 32 KiB at most.
const ROOM: usize = 1 << 16;

/// A connection, by who dialled what and who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// IP protocol number.
    pub protocol: u8,
    /// Where the first packet was sent to, before translation.
    pub dialled: SocketAddr,
    /// Where it went, after translation: the source of the answers.
    pub answers: SocketAddr,
    /// The original direction as the kernel encodes it, to name the connection by.
    original: Vec<u8>,
}

/// The conntrack table of the namespace that this was made in.
#[derive(Debug)]
pub struct Table {
    socket: OwnedFd,
}

impl Table {
    /// That of the calling thread's namespace.
    ///
    /// # Errors
    ///
    /// Where the kernel has no ctnetlink.
    pub fn open() -> Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        );
        Ok(Self { socket: socket.map_err(failed("open"))? })
    }

    /// Connections of one family with ports.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses the dump.
    pub fn read(&self, v4: bool) -> Result<Vec<Entry>> {
        let family = if v4 { libc::AF_INET } else { libc::AF_INET6 };
        self.send(GET, REQUEST | DUMP, family, &[])?;
        let mut entries = Vec::new();
        self.answers(|kind, payload| {
            if kind == GET & 0xff00 {
                entries.extend(payload.get(FAMILY_HEADER..).and_then(Entry::parse));
            }
        })?;
        Ok(entries)
    }

    /// Forgets a connection. Fine where it has ended by itself.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_ADMIN.
    pub fn delete(&self, entry: &Entry) -> Result<()> {
        let family = if entry.dialled.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let mut attributes = Vec::new();
        attribute(&mut attributes, ORIGINAL | NESTED, &entry.original);
        self.send(DELETE, REQUEST | ACK, family, &attributes)?;
        match self.answers(|_, _| {}) {
            Err(error) if error.is_absent() => Ok(()),
            outcome => outcome,
        }
    }

    /// Forgets all connections, of all families.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_ADMIN.
    pub fn clear(&self) -> Result<()> {
        self.send(DELETE, REQUEST | ACK, libc::AF_UNSPEC, &[])?;
        self.answers(|_, _| {})
    }

    fn send(&self, kind: u16, flags: u16, family: i32, attributes: &[u8]) -> Result<()> {
        let message = encode(kind, flags, family, attributes).map_err(failed("ask"))?;
        let kernel = NetlinkAddr::new(0, 0);
        let sent = sendto(self.socket.as_raw_fd(), &message, &kernel, MsgFlags::empty());
        sent.map(|_| ()).map_err(failed("ask"))
    }

    /// Takes messages until the last one, which is DONE or an acknowledgement.
    fn answers(&self, mut take: impl FnMut(u16, &[u8])) -> Result<()> {
        let mut buffer = vec![0; ROOM];
        loop {
            let received = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty());
            let mut rest = &buffer[..received.map_err(failed("read"))?];
            while let Some((kind, payload, next)) = message(rest) {
                match kind {
                    DONE => return Ok(()),
                    ERROR => return acknowledged(payload).map_err(failed("change")),
                    kind => take(kind, payload),
                }
                rest = next;
            }
        }
    }
}

/// One message.
fn encode(kind: u16, flags: u16, family: i32, attributes: &[u8]) -> Result<Vec<u8>, Errno> {
    let length = HEADER + FAMILY_HEADER + attributes.len();
    let length = u32::try_from(length).map_err(|_| Errno::EMSGSIZE)?;
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence and port: one conversation a socket, so neither tells anything.
    message.extend([0; 8]);
    // Version (NFNETLINK_V0) and resource.
    message.extend([u8::try_from(family).unwrap_or(0), 0, 0, 0]);
    message.extend(attributes);
    Ok(message)
}

fn failed(operation: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::new(operation, "the kernel's conntrack table", errno)
}

/// The error of an NLMSG_ERROR: a negative errno, or 0.
fn acknowledged(payload: &[u8]) -> Result<(), Errno> {
    let code = payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
    if code == 0 { Ok(()) } else { Err(Errno::from_raw(code.saturating_neg())) }
}

/// Kind and payload of the first message, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes([*bytes.get(4)?, *bytes.get(5)?]);
    let payload = bytes.get(HEADER..length)?;
    Some((kind, payload, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// Type and value of each attribute.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

impl Entry {
    /// None for what has no ports.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let original = find(bytes, ORIGINAL)?;
        let (protocol, [_, dialled]) = tuple(original)?;
        let (_, [answers, _]) = tuple(find(bytes, REPLY)?)?;
        Some(Self { protocol, dialled, answers, original: original.to_vec() })
    }
}

/// Protocol, source and destination.
fn tuple(bytes: &[u8]) -> Option<(u8, [SocketAddr; 2])> {
    // CTA_IP_V4_SRC, CTA_IP_V4_DST, CTA_IP_V6_SRC, CTA_IP_V6_DST.
    const V4: [u16; 2] = [1, 2];
    const V6: [u16; 2] = [3, 4];
    // CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT.
    const NUMBER: u16 = 1;
    const PORTS: [u16; 2] = [2, 3];
    let (addresses, protocol) = (find(bytes, ADDRESSES)?, find(bytes, PROTOCOL)?);
    let end = |index: usize| {
        let v4 = || find(addresses, V4[index])?.first_chunk::<4>().map(|v4| IpAddr::from(*v4));
        let v6 = || find(addresses, V6[index])?.first_chunk::<16>().map(|v6| IpAddr::from(*v6));
        let port = u16::from_be_bytes(*find(protocol, PORTS[index])?.first_chunk()?);
        Some(SocketAddr::new(v4().or_else(v6)?, port))
    };
    Some((*find(protocol, NUMBER)?.first()?, [end(0)?, end(1)?]))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;

    use super::*;

    fn side(source: ([u8; 4], u16), destination: ([u8; 4], u16)) -> Vec<u8> {
        let end = |(address, port): ([u8; 4], u16)| SocketAddrV4::new(address.into(), port);
        made_up::side(17, end(source), end(destination))
    }

    #[test]
    fn an_entry_tells_what_was_dialled_and_who_answers() {
        let (client, node, pod) = ([172, 18, 255, 10], [172, 18, 0, 2], [10, 244, 1, 4]);
        let original = side((client, 40053), (node, 30053));
        let mut bytes = Vec::new();
        attribute(&mut bytes, ORIGINAL | NESTED, &original);
        attribute(&mut bytes, REPLY | NESTED, &side((pod, 5353), (client, 40053)));
        let entry = Entry::parse(&bytes).unwrap();
        assert_eq!(entry.protocol, 17);
        assert_eq!(entry.dialled, SocketAddr::from((node, 30053)));
        assert_eq!(entry.answers, SocketAddr::from((pod, 5353)));
        assert_eq!(entry.original, original);
        for length in 0..bytes.len() {
            // Whatever is cut off, nothing is read beyond the end.
            let _ = Entry::parse(&bytes[..length]);
        }
    }

    #[test]
    fn an_error_of_the_kernel_is_one() {
        assert_eq!(acknowledged(&(-1_i32).to_ne_bytes()), Err(Errno::EPERM));
        assert_eq!(acknowledged(&0_i32.to_ne_bytes()), Ok(()));
    }
}
