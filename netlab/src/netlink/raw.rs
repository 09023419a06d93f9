//! Netlink conversations that rtnetlink has no call for: a header, and attributes in attributes,
//! each padded to four octets. Lengths are in host order (linux/netlink.h).

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
        socket,
    },
};

use super::{Error, Result};

/// NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP.
pub(super) const REQUEST: u16 = 1;
pub(super) const ACK: u16 = 4;
pub(super) const DUMP: u16 = 0x300;

/// NLMSG_ERROR, NLMSG_DONE.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// Octets of the netlink header.
const HEADER: usize = 16;

/// Of an attribute's type, without the flags for nested and big-endian.
const TYPE_MASK: u16 = 0x3fff;
/// NLA_F_NESTED.
pub(super) const NESTED: u16 = 0x8000;

/// Room for any message of a dump; the kernel fills 32 KiB at most.
const ROOM: usize = 1 << 16;

/// A netlink socket of the namespace that it was made in.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    /// What is talked about, for errors.
    subject: &'static str,
}

impl Socket {
    /// One of the calling thread's namespace.
    pub(super) fn open(protocol: SockProtocol, subject: &'static str) -> Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol);
        Ok(Self { fd: fd.map_err(|errno| Error::new("open", subject, errno))?, subject })
    }

    pub(super) fn send(&self, kind: u16, flags: u16, payload: &[u8]) -> Result<()> {
        let message = encode(kind, flags, payload).map_err(self.failed("ask"))?;
        self.send_encoded(&message)
    }

    /// Sends messages that [`encode`] has made, one behind the other: many at once save the time
    /// of a conversation each.
    pub(super) fn send_encoded(&self, messages: &[u8]) -> Result<()> {
        let kernel = NetlinkAddr::new(0, 0);
        let sent = sendto(self.fd.as_raw_fd(), messages, &kernel, MsgFlags::empty());
        sent.map(|_| ()).map_err(self.failed("ask"))
    }

    /// So many acknowledgements, in the order of what was asked.
    pub(super) fn acknowledgements(&self, count: usize) -> Result<Vec<Result<(), Errno>>> {
        let mut buffer = vec![0; ROOM];
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            let received = recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty());
            let mut rest = &buffer[..received.map_err(self.failed("read"))?];
            while let Some((kind, payload, next)) = message(rest) {
                if kind == ERROR {
                    all.push(acknowledged(payload));
                }
                rest = next;
            }
        }
        Ok(all)
    }

    /// Takes messages until the last one, which is DONE or an acknowledgement.
    pub(super) fn answers(&self, mut take: impl FnMut(u16, &[u8])) -> Result<()> {
        let mut buffer = vec![0; ROOM];
        loop {
            let received = recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty());
            let mut rest = &buffer[..received.map_err(self.failed("read"))?];
            while let Some((kind, payload, next)) = message(rest) {
                match kind {
                    DONE => return Ok(()),
                    ERROR => return acknowledged(payload).map_err(self.failed("read or change")),
                    kind => take(kind, payload),
                }
                rest = next;
            }
        }
    }

    pub(super) fn failed(&self, operation: &'static str) -> impl Fn(Errno) -> Error + use<> {
        let subject = self.subject;
        move |errno| Error::new(operation, subject, errno)
    }
}

/// One message.
pub(super) fn encode(kind: u16, flags: u16, payload: &[u8]) -> Result<Vec<u8>, Errno> {
    let length = u32::try_from(HEADER + payload.len()).map_err(|_| Errno::EMSGSIZE)?;
    let mut message = Vec::with_capacity(HEADER + payload.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence and port: one conversation a socket, so neither tells anything.
    message.extend([0; 8]);
    message.extend(payload);
    Ok(message)
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
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of a type.
pub(super) fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// Adds an attribute.
pub(super) fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_kernel_is_one() {
        assert_eq!(acknowledged(&(-1_i32).to_ne_bytes()), Err(Errno::EPERM));
        assert_eq!(acknowledged(&0_i32.to_ne_bytes()), Ok(()));
    }

    #[test]
    fn attributes_are_found_and_nothing_is_read_beyond_the_end() {
        let mut bytes = Vec::new();
        attribute(&mut bytes, 7, b"abcde");
        attribute(&mut bytes, 9 | NESTED, b"x");
        assert_eq!(find(&bytes, 9), Some(&b"x"[..]));
        assert_eq!(find(&bytes, 8), None);
        for length in 0..bytes.len() {
            attributes(&bytes[..length]).for_each(drop);
        }
    }
}
