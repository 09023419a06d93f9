//! The kernel's own connection tracking: read, forget a connection, and make some up.
//!
//! ctnetlink (linux/netfilter/nfnetlink_conntrack.h): a header of netlink, one of nfnetlink, and
//! attributes. Ports and addresses are as on the wire.

mod made_up;

use std::net::{IpAddr, SocketAddr};

use nix::sys::socket::SockProtocol;

pub use made_up::Entries;

use super::{
    Result,
    raw::{ACK, DUMP, NESTED, REQUEST, Socket, attribute, find},
};

/// Messages of ctnetlink: NFNL_SUBSYS_CTNETLINK and IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE.
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;

/// Octets of nfnetlink's header.
const FAMILY_HEADER: usize = 4;

/// CTA_TUPLE_ORIG, CTA_TUPLE_REPLY; in them CTA_TUPLE_IP, CTA_TUPLE_PROTO.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ADDRESSES: u16 = 1;
const PROTOCOL: u16 = 2;
/// CTA_STATUS, CTA_PROTOINFO, CTA_TIMEOUT, CTA_MARK.
const STATUS: u16 = 3;
const PROTOCOL_STATE: u16 = 4;
const TIMEOUT: u16 = 7;
const MARK: u16 = 8;

/// IPS_SEEN_REPLY and IPS_ASSURED (linux/netfilter/nf_conntrack_common.h).
const REPLIED: u32 = 1 << 1;
const ASSURED: u32 = 1 << 2;

/// States of TCP by number, in the words of conntrack -L (nf_conntrack_tcp.h).
const TCP_STATES: [&str; 10] = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
];

/// A connection, by who dialled what and who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// IP protocol number.
    pub protocol: u8,
    /// Where the first packet was sent to, before translation.
    pub dialled: SocketAddr,
    /// Where it went, after translation: the source of the answers.
    pub answers: SocketAddr,
    /// Who dialled, before translation.
    pub source: SocketAddr,
    /// Who that was after translation: where answers go to.
    pub masqueraded: SocketAddr,
    /// State of TCP, in the words of conntrack -L.
    pub state: Option<&'static str>,
    /// An answer has been seen.
    pub replied: bool,
    /// It is not the first to go where the table is full.
    pub assured: bool,
    /// Seconds until it is forgotten if it stays silent.
    pub expires_in: u32,
    /// Its mark.
    pub mark: u32,
    /// The original direction as the kernel encodes it, to name the connection by.
    original: Vec<u8>,
}

/// The conntrack table of the namespace that this was made in.
#[derive(Debug)]
pub struct Table {
    socket: Socket,
}

impl Table {
    /// That of the calling thread's namespace.
    ///
    /// # Errors
    ///
    /// Where the kernel has no ctnetlink.
    pub fn open() -> Result<Self> {
        let socket = Socket::open(SockProtocol::NetlinkNetFilter, "the kernel's conntrack table")?;
        Ok(Self { socket })
    }

    /// Connections of one family with ports.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses the dump.
    pub fn read(&self, v4: bool) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let family = if v4 { libc::AF_INET } else { libc::AF_INET6 };
        self.dump(family, |entry| entries.push(entry))?;
        Ok(entries)
    }

    /// As [`Table::read`], of both families and one by one: a table may have hundreds of
    /// thousands, and for each dump the kernel goes through those of all namespaces.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses the dump.
    pub fn each(&self, take: impl FnMut(Entry)) -> Result<()> {
        self.dump(libc::AF_UNSPEC, take)
    }

    fn dump(&self, family: i32, mut take: impl FnMut(Entry)) -> Result<()> {
        self.send(GET, REQUEST | DUMP, family, &[])?;
        self.socket.answers(|kind, payload| {
            if kind == GET & 0xff00 {
                payload.get(FAMILY_HEADER..).and_then(Entry::parse).into_iter().for_each(&mut take);
            }
        })
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
        match self.socket.answers(|_, _| {}) {
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
        self.socket.answers(|_, _| {})
    }

    fn send(&self, kind: u16, flags: u16, family: i32, attributes: &[u8]) -> Result<()> {
        self.socket.send(kind, flags, &payload(family, attributes))
    }
}

/// The header of nfnetlink before attributes: family, version (NFNETLINK_V0) and resource.
fn payload(family: i32, attributes: &[u8]) -> Vec<u8> {
    let mut payload = vec![u8::try_from(family).unwrap_or(0), 0, 0, 0];
    payload.extend(attributes);
    payload
}

impl Entry {
    /// None for what has no ports.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let original = find(bytes, ORIGINAL)?;
        let (protocol, [source, dialled]) = tuple(original)?;
        let (_, [answers, masqueraded]) = tuple(find(bytes, REPLY)?)?;
        let number = |kind| find(bytes, kind)?.first_chunk().map(|b| u32::from_be_bytes(*b));
        let status = number(STATUS).unwrap_or(0);
        Some(Self {
            protocol,
            dialled,
            answers,
            source,
            masqueraded,
            state: tcp_state(bytes),
            replied: status & REPLIED != 0,
            assured: status & ASSURED != 0,
            expires_in: number(TIMEOUT).unwrap_or(0),
            mark: number(MARK).unwrap_or(0),
            original: original.to_vec(),
        })
    }
}

fn tcp_state(bytes: &[u8]) -> Option<&'static str> {
    // CTA_PROTOINFO_TCP; in it CTA_PROTOINFO_TCP_STATE.
    const TCP: u16 = 1;
    const STATE: u16 = 1;
    let number = find(find(find(bytes, PROTOCOL_STATE)?, TCP)?, STATE)?.first()?;
    TCP_STATES.get(usize::from(*number)).copied()
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
        attribute(&mut bytes, STATUS, &REPLIED.to_be_bytes());
        attribute(&mut bytes, TIMEOUT, &30_u32.to_be_bytes());
        let entry = Entry::parse(&bytes).unwrap();
        assert_eq!(entry.protocol, 17);
        assert_eq!(entry.dialled, SocketAddr::from((node, 30053)));
        assert_eq!(entry.answers, SocketAddr::from((pod, 5353)));
        assert_eq!(entry.source, SocketAddr::from((client, 40053)));
        assert_eq!(entry.masqueraded, entry.source);
        assert_eq!((entry.state, entry.replied, entry.expires_in), (None, true, 30));
        assert_eq!(entry.original, original);
        for length in 0..bytes.len() {
            // Whatever is cut off, nothing is read beyond the end.
            let _ = Entry::parse(&bytes[..length]);
        }
    }
}
