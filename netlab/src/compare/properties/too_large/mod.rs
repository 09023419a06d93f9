//! What becomes of a datagram that is one byte too large.
//!
//! Each is sent twice: as large as the pod network's MTU lets it be, and one byte larger; the
//! larger one with and without the IPv4 flag "don't fragment" (RFC 791). What it met with is
//! read from the sending socket and from what was seen of it: by a mark in its payload, and of
//! later fragments, which may not have that, by the identification that they share.

mod fate;

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::{
    Beside, Cluster, Error, Result, Seen,
    cluster::{NodePort, address, netns},
    prediction, socket,
    watch::Watch,
};
use crate::{
    lab::{Family, Role, UPLINK},
    netlink::{self, Netns, sysctl},
    spec::model::Protocol,
    trace::Hook,
};

use self::fate::MARK;
pub use self::fate::{Fate, Limit, Mark, Search, Told, Way, drops, fate, predicted};

/// How long a sign may take. Silence is known only when this is over.
const PATIENCE: Duration = Duration::from_millis(400);
/// How many flows through a node port to try for one to the far node.
const FLOWS: usize = 24;

/// One datagram, and what it met with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Which way it was sent.
    pub way: Way,
    /// Length of its IPv4 packet, in bytes.
    pub length: u32,
    /// Whether it must not be fragmented.
    pub dont_fragment: bool,
    /// What became of it.
    pub fate: Beside<Fate>,
    /// Where, and why, it or a part of it was dropped: host and reason.
    pub drops: Vec<(String, String)>,
}

/// Sends a datagram that fits and one that does not, each way.
///
/// # Errors
///
/// [`Error::Unseen`] where no flow through the node port came to the far node.
pub async fn measure(cluster: &Cluster) -> Result<Vec<Attempt>> {
    let (near, far) = (cluster.near_pod()?, cluster.far_pod()?);
    let client = cluster.the(&Role::Client)?;
    let node_port = cluster.node_port(Protocol::Udp)?;
    let (near_node, far_node) = (cluster.near_node()?, cluster.far_node()?);
    let names = [&near.name, &far.name, &client.name, &near_node.name, &far_node.name];
    let hosts: Vec<&str> = names.into_iter().chain(&node_port.all).map(String::as_str).collect();
    let hooks = [Hook::TcIn, Hook::TcOut, Hook::XdpOut, Hook::NatIn, Hook::Drop];
    let mut watch = Watch::start(cluster.sites(&hosts)?, &[UPLINK], &hooks).await?;

    let mtu = prediction::mtu(cluster.options.mode, Family::V4, cluster.options.mtu);
    let tracks = cluster.options.proxy.kube_proxy().is_some();
    let reassembled = tracks.then_some(cluster.options.mtu);
    let limit = Limit { mtu, node: node_port.dial.ip(), reassembled };
    let mut attempts = Vec::new();
    let ways = [(Way::PodToPod, near, far), (Way::PodToClient, near, client)];
    for (way, from, to) in ways {
        let receivers = [to.name.clone()];
        let (_sink, to) = socket::bind(&netns(to)?, address(to, Family::V4)?)?;
        let (socket, _) = socket::bind(&netns(from)?, address(from, Family::V4)?)?;
        connect(&socket, to)?;
        let path = Path { way, cluster, limit, sender: &from.name, receivers: &receivers };
        path.attempt_all(&mut watch, &socket, &mut attempts).await?;
    }

    let netns = netns(client)?;
    // What the client has learnt of the path, now or before, must not speak for the node.
    let _learnt = Learnt::new(&netns)?;
    let socket = flow_to_the_far_node(&mut watch, &netns, &node_port).await?;
    let path = Path {
        way: Way::ClientToNodePort,
        cluster,
        limit,
        sender: &client.name,
        receivers: &node_port.far,
    };
    path.attempt_all(&mut watch, &socket, &mut attempts).await?;
    Ok(attempts)
}

/// A connected socket's way through the cluster.
#[derive(Clone, Copy)]
struct Path<'a> {
    way: Way,
    cluster: &'a Cluster,
    limit: Limit,
    sender: &'a str,
    receivers: &'a [String],
}

impl Path<'_> {
    /// What must not be fragmented comes last: the sender learns the MTU by it.
    async fn attempt_all(
        self,
        watch: &mut Watch,
        socket: &UdpSocket,
        attempts: &mut Vec<Attempt>,
    ) -> Result<()> {
        for (over, dont_fragment) in [(0, true), (1, false), (1, true)] {
            attempts.push(self.attempt(watch, socket, over, dont_fragment).await?);
        }
        Ok(())
    }

    async fn attempt(
        self,
        watch: &mut Watch,
        socket: &UdpSocket,
        over: u32,
        dont_fragment: bool,
    ) -> Result<Attempt> {
        let Self { way, cluster, limit, sender, receivers } = self;
        let length = limit.mtu + over;
        let search = Search { mark: Mark::new(), length, sender, receivers };
        let sender = socket.try_clone().map_err(|source| failed(socket, source))?;
        let send = move || send(&sender, search.mark, length, dont_fragment);
        let enough = |refused: &Option<u32>, seen: &[Seen]| {
            refused.is_some() || !matches!(fate(seen, search), Fate::Silence | Fate::Dropped)
        };
        let (refused, seen) = watch.during(send, PATIENCE, enough).await?;
        let measured = refused.map_or_else(|| fate(&seen, search), |mtu| Fate::Refused { mtu });
        let measured = measured.named(|address| cluster.host_of(address));
        let predicted = predicted(cluster.options.mode, way, over, dont_fragment, limit);
        let fate = Beside { measured, predicted };
        Ok(Attempt { way, length, dont_fragment, fate, drops: drops(&seen, search.mark) })
    }
}

/// Sends one datagram; returns the MTU that the kernel knows where that is too little.
fn send(socket: &UdpSocket, mark: Mark, length: u32, dont_fragment: bool) -> Result<Option<u32>> {
    let payload = prediction::datagram(Family::V4, length);
    let payload = mark.payload(usize::try_from(payload).unwrap_or_default());
    // What became of the one before must not speak for this one.
    let _ = socket.take_error();
    let sent =
        socket::set_dont_fragment(socket, dont_fragment).and_then(|()| socket.send(&payload));
    match sent {
        Ok(_) => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => {
            Ok(Some(socket::path_mtu(socket).map_err(|source| failed(socket, source))?))
        }
        Err(source) => Err(failed(socket, source)),
    }
}

fn connect(socket: &UdpSocket, to: SocketAddr) -> Result<()> {
    socket.connect(to).map_err(|source| failed(socket, source))
}

fn failed(socket: &UdpSocket, source: io::Error) -> Error {
    let to = socket.peer_addr().map_or_else(|_| "its peer".to_owned(), |to| to.to_string());
    Error::Socket { what: format!("send a datagram to {to}"), source }
}

/// A socket of the client whose datagrams the near node sends to a backend on the far node.
async fn flow_to_the_far_node(
    watch: &mut Watch,
    client: &Netns,
    port: &NodePort,
) -> Result<UdpSocket> {
    let flows = |seen: &[Seen], flows: &[(UdpSocket, Mark)]| {
        flows.iter().position(|(_, mark)| {
            let came = |seen: &Seen| port.far.contains(&seen.host) && seen.hook == Hook::TcIn;
            seen.iter().any(|seen| came(seen) && mark.is_in_frame(&seen.bytes))
        })
    };
    let (client, to) = (client.clone(), port.dial);
    let work = move || {
        let flow = |_| -> io::Result<_> {
            let socket = UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect(to)?;
            let mark = Mark::new();
            socket.send(&mark.payload(MARK))?;
            Ok((socket, mark))
        };
        let what = || format!("send datagrams to {to}");
        socket::inside(&client, what, || (0..FLOWS).map(flow).collect::<io::Result<Vec<_>>>())
    };
    let enough = |sent: &Vec<(UdpSocket, Mark)>, seen: &[Seen]| flows(seen, sent).is_some();
    let (mut sent, seen) = watch.during(work, PATIENCE, enough).await?;
    let found = flows(&seen, &sent);
    let found = found.ok_or_else(|| Error::Unseen(format!("a flow to {to} at the far node")))?;
    Ok(sent.swap_remove(found).0)
}

/// What a namespace has learnt of path MTUs is forgotten when this begins and ends.
struct Learnt<'a>(&'a Netns);

impl<'a> Learnt<'a> {
    fn new(netns: &'a Netns) -> Result<Self> {
        forget(netns)?;
        Ok(Self(netns))
    }
}

impl Drop for Learnt<'_> {
    fn drop(&mut self) {
        // It would expire by itself (route(8): mtu_expires).
        let _ = forget(self.0);
    }
}

fn forget(netns: &Netns) -> Result<(), netlink::Error> {
    sysctl::write(netns, "ipv4/route/flush", "1")
}
