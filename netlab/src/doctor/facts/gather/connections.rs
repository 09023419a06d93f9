//! Sockets, and the kernel's conntrack table.

use std::{collections::BTreeMap, fs};

use super::{
    super::{
        Source,
        conntrack::{Connection, Conntrack},
        socket::{TcpListener, UdpSocket},
        subject::Subject,
    },
    gaps::Gaps,
};
use crate::netlink::{self, conntrack, sockets};

/// Most connections of each protocol and sockets of each kind that are told: thousands of one
/// protocol do not hide the one of another that is looked for.
const MOST: usize = 512;

/// Listening sockets of the calling thread's namespace; their owners come later.
pub(super) fn listeners() -> netlink::Result<Vec<TcpListener>> {
    let sockets = sockets::tcp_listeners()?.into_iter().take(MOST);
    Ok(sockets
        .map(|socket| TcpListener {
            address: socket.local,
            v6_only: socket.v6_only,
            device: socket.device,
            accept_queue: socket.receive_queue,
            backlog: socket.send_queue,
            inode: socket.inode.into(),
            owner: None,
        })
        .collect())
}

/// Bound UDP sockets of the calling thread's namespace; their owners come later.
pub(super) fn udp() -> netlink::Result<Vec<UdpSocket>> {
    let sockets = sockets::udp_sockets()?.into_iter().take(MOST);
    Ok(sockets
        .map(|socket| UdpSocket {
            address: socket.local,
            peer: socket.peer,
            v6_only: socket.v6_only,
            device: socket.device,
            receive_queue: socket.receive_queue,
            drops: socket.drops,
            inode: socket.inode.into(),
            owner: None,
        })
        .collect())
}

/// The conntrack table of the calling thread's namespace; None where the kernel has none.
pub(super) fn conntrack(subject: &Subject, gaps: &mut Gaps) -> Option<Conntrack> {
    let number = |name: &str| -> Option<u64> {
        let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    let mut facts =
        Conntrack { count: number("count")?, max: number("max")?, ..Conntrack::default() };
    if facts.count == 0 {
        return Some(facts);
    }
    // That breaks enough, and reading it takes seconds.
    if facts.is_full() {
        facts.left_out = usize::try_from(facts.count).unwrap_or(usize::MAX);
        return Some(facts);
    }
    let mut told: BTreeMap<u8, usize> = BTreeMap::new();
    let mut tell = |entry: &conntrack::Entry| {
        let of_protocol = told.entry(entry.protocol).or_default();
        *of_protocol += 1;
        if *of_protocol <= MOST {
            facts.connections.push(connection(entry));
        } else {
            facts.left_out += 1;
        }
    };
    let outcome = conntrack::Table::open().and_then(|table| {
        table.each(|entry| {
            if touches(&entry, subject) {
                tell(&entry);
            }
        })
    });
    let hides = "Connections that go on to a translation of before are not seen.";
    gaps.take(outcome, Source::Conntrack, hides);
    Some(facts)
}

/// Whether it was dialled at a port that counts, or goes to an address that does.
fn touches(entry: &conntrack::Entry, subject: &Subject) -> bool {
    subject.has_port(entry.dialled.port()) || subject.has_address(entry.answers.ip())
}

fn connection(entry: &conntrack::Entry) -> Connection {
    Connection {
        protocol: entry.protocol,
        original: (entry.source, entry.dialled),
        reply: (entry.answers, entry.masqueraded),
        state: entry.state.map(str::to_owned),
        replied: entry.replied,
        assured: entry.assured,
        expires_in: entry.expires_in,
        mark: entry.mark,
    }
}
