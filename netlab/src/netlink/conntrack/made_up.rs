//! Connections that were never made, for a table that is to be full or stale.

use std::net::{Ipv4Addr, SocketAddrV4};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::{
    ACK, ADDRESSES, ASSURED, DELETE, NESTED, ORIGINAL, PROTOCOL, PROTOCOL_STATE, REPLIED, REPLY,
    REQUEST, STATUS, TIMEOUT, Table, attribute,
};
use crate::netlink::{Result, raw::encode};

/// IPCTNL_MSG_CT_NEW of NFNL_SUBSYS_CTNETLINK.
const NEW: u16 = 1 << 8;
/// NLM_F_CREATE, NLM_F_EXCL.
const CREATE: u16 = 0x600;

/// IPv4 connections that were never made: `count` of them, from ports and then addresses that
/// follow those of `client`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// IP protocol number: TCP's or UDP's.
    pub protocol: u8,
    /// The source of the first.
    pub client: SocketAddrV4,
    /// Where they go.
    pub dialled: SocketAddrV4,
    /// Where they are translated to, if they are.
    pub answers: Option<SocketAddrV4>,
    /// How many.
    pub count: u32,
}

impl Table {
    /// Makes connections up, which nothing ends for an hour. Ends early where the table is full.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses one for another reason.
    pub fn insert(&self, entries: &Entries) -> Result<()> {
        let attributes = |index| entries.attributes(index);
        self.ask_of_each(entries, NEW, CREATE, attributes, |errno| match errno {
            Errno::ENOMEM => Answer::Enough,
            Errno::EEXIST => Answer::Fine,
            _ => Answer::Failed("add to"),
        })
    }

    /// Forgets connections that were made up.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_ADMIN.
    pub fn remove(&self, entries: &Entries) -> Result<()> {
        let attributes = |index| {
            let mut attributes = Vec::new();
            attribute(&mut attributes, ORIGINAL | NESTED, &entries.original(index));
            attributes
        };
        self.ask_of_each(entries, DELETE, 0, attributes, |errno| match errno {
            Errno::ENOENT => Answer::Fine,
            _ => Answer::Failed("delete from"),
        })
    }

    /// Asks for something about each of the entries, many at once, which saves the time of a
    /// conversation each.
    fn ask_of_each(
        &self,
        entries: &Entries,
        kind: u16,
        flags: u16,
        attributes: impl Fn(u32) -> Vec<u8>,
        judge: impl Fn(Errno) -> Answer,
    ) -> Result<()> {
        const AT_ONCE: u32 = 64;
        let mut first = 0;
        while first < entries.count {
            let end = entries.count.min(first.saturating_add(AT_ONCE));
            let mut messages = Vec::new();
            for index in first..end {
                let payload = super::payload(libc::AF_INET, &attributes(index));
                let message = encode(kind, REQUEST | ACK | flags, &payload);
                messages.extend(message.map_err(self.socket.failed("ask"))?);
            }
            self.socket.send_encoded(&messages)?;
            let mut enough = false;
            for outcome in self.socket.acknowledgements((end - first) as usize)? {
                match outcome.err().map(|errno| (judge(errno), errno)) {
                    Some((Answer::Failed(operation), errno)) => {
                        return Err(self.socket.failed(operation)(errno));
                    }
                    Some((Answer::Enough, _)) => enough = true,
                    Some((Answer::Fine, _)) | None => {}
                }
            }
            if enough {
                break;
            }
            first = end;
        }
        Ok(())
    }
}

/// What an error means for one entry of many.
enum Answer {
    Fine,
    Enough,
    /// At what was tried.
    Failed(&'static str),
}

/// A direction, as the kernel encodes it.
pub(super) fn side(protocol: u8, source: SocketAddrV4, destination: SocketAddrV4) -> Vec<u8> {
    let (mut ip, mut proto, mut tuple) = (Vec::new(), Vec::new(), Vec::new());
    attribute(&mut ip, 1, &source.ip().octets());
    attribute(&mut ip, 2, &destination.ip().octets());
    attribute(&mut proto, 1, &[protocol]);
    attribute(&mut proto, 2, &source.port().to_be_bytes());
    attribute(&mut proto, 3, &destination.port().to_be_bytes());
    attribute(&mut tuple, ADDRESSES | NESTED, &ip);
    attribute(&mut tuple, PROTOCOL | NESTED, &proto);
    tuple
}

impl Entries {
    /// The source of one of them.
    fn source(&self, index: u32) -> SocketAddrV4 {
        const PORTS: u32 = 60_000;
        let address = Ipv4Addr::from(u32::from(*self.client.ip()).wrapping_add(index / PORTS));
        let port = u16::try_from(index % PORTS).unwrap_or(0);
        SocketAddrV4::new(address, self.client.port().wrapping_add(port))
    }

    fn original(&self, index: u32) -> Vec<u8> {
        side(self.protocol, self.source(index), self.dialled)
    }

    /// What ctnetlink is told of one. It works out the other direction's translation itself.
    fn attributes(&self, index: u32) -> Vec<u8> {
        // CTA_NAT_DST.
        const NAT_DESTINATION: u16 = 13;
        // With IPS_CONFIRMED: not the first to go when room is needed.
        const LASTING: u32 = REPLIED | ASSURED | 1 << 3;
        const SECONDS: u32 = 3600;
        // CTA_PROTOINFO_TCP with CTA_PROTOINFO_TCP_STATE: TCP_CONNTRACK_ESTABLISHED.
        const TCP: u8 = 6;
        const ESTABLISHED: u8 = 3;
        let mut all = Vec::new();
        attribute(&mut all, ORIGINAL | NESTED, &self.original(index));
        let reply = side(self.protocol, self.dialled, self.source(index));
        attribute(&mut all, REPLY | NESTED, &reply);
        attribute(&mut all, STATUS, &LASTING.to_be_bytes());
        attribute(&mut all, TIMEOUT, &SECONDS.to_be_bytes());
        if self.protocol == TCP {
            let (mut state, mut of_tcp) = (Vec::new(), Vec::new());
            attribute(&mut state, 1, &[ESTABLISHED]);
            attribute(&mut of_tcp, 1 | NESTED, &state);
            attribute(&mut all, PROTOCOL_STATE | NESTED, &of_tcp);
        }
        if let Some(answers) = self.answers {
            // CTA_NAT_V4_MINIP, CTA_NAT_V4_MAXIP, CTA_NAT_PROTO with CTA_PROTONAT_PORT_MIN, _MAX.
            let (mut ports, mut nat) = (Vec::new(), Vec::new());
            for end in [1, 2] {
                attribute(&mut nat, end, &answers.ip().octets());
                attribute(&mut ports, end, &answers.port().to_be_bytes());
            }
            attribute(&mut nat, 3 | NESTED, &ports);
            attribute(&mut all, NAT_DESTINATION | NESTED, &nat);
        }
        all
    }
}
