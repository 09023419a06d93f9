//! Whether pods of different nodes reach each other at all, and what the network says where
//! they do not.
//!
//! host-gw on a routed underlay: the near node sends to the far node's address as if that were
//! on its own link, and asks for its Ethernet address. The router has that address not, and
//! says nothing.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    Beside, Cluster, Result, Seen,
    cluster::{address, netns},
    frame::{Arp, Packet, Transport},
    icmp::IcmpError,
    prediction, socket,
    watch::Watch,
};
use crate::{
    lab::{Family, UPLINK},
    trace::Hook,
};

/// How long to wait for a connection. The kernel gives a neighbor up after three questions, a
/// second apart (arp(7): mcast_solicit, retrans_time_ms), and tells the dialler then.
const PATIENCE: Duration = Duration::from_secs(4);

/// Whether a pod reaches one on another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// Whether a connection was made.
    pub reached: Beside<bool>,
    /// What the dialling socket said, where there was none.
    pub error: Option<String>,
    /// How long it took, either way, in microseconds.
    pub micros: u64,
    /// What was on the way meanwhile.
    pub signs: Signs,
}

/// What tells why there is no connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signs {
    /// Questions on the wire for the far node's Ethernet address.
    pub asked: usize,
    /// Answers to them.
    pub answered: usize,
    /// SYNs that came onto the wire, encapsulated or not.
    pub syns: usize,
    /// ICMP errors that came to the dialling pod.
    pub icmp: BTreeSet<IcmpError>,
    /// Why SYNs were dropped, and on which host: the kernel's names.
    pub drops: BTreeSet<(String, String)>,
}

/// Who plays which part in what was seen.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The pod that dials.
    pub pod: &'a str,
    /// Whom it dials.
    pub to: SocketAddr,
    /// The fabric, and its port towards the pod's node.
    pub wire: (&'a str, &'a str),
    /// Underlay address of the node of the pod that is dialled.
    pub node: IpAddr,
}

impl Signs {
    /// Counts what was seen.
    #[must_use]
    pub fn of(seen: &[Seen], parts: Parts<'_>) -> Self {
        let mut signs = Self::default();
        for seen in seen {
            if let Some(reason) = &seen.drop {
                if is_syn(&seen.bytes, parts.to) {
                    signs.drops.insert((seen.host.clone(), reason.clone()));
                }
                continue;
            }
            let (fabric, port) = parts.wire;
            let from_node = seen.is_at(fabric, port, Hook::TcIn);
            let to_node = seen.is_at(fabric, port, Hook::TcOut);
            match Arp::read(&seen.bytes) {
                Some(arp) if arp.about == parts.node => {
                    signs.asked += usize::from(from_node && arp.is_request);
                    signs.answered += usize::from(to_node && !arp.is_request);
                }
                _ => signs.syns += usize::from(from_node && is_syn(&seen.bytes, parts.to)),
            }
            if seen.is_at(parts.pod, UPLINK, Hook::TcIn) {
                let packet = Packet::read(&seen.bytes);
                signs.icmp.extend(packet.and_then(|packet| IcmpError::of(&packet)));
            }
        }
        signs
    }
}

fn is_syn(frame: &[u8], to: SocketAddr) -> bool {
    let Some(packet) = Packet::read(frame) else { return false };
    if let Some((_, inner)) = packet.tunnelled() {
        return is_syn(inner, to);
    }
    match packet.transport {
        Transport::Tcp(segment) => {
            segment.flags == [true, false]
                && SocketAddr::new(packet.destination, segment.ports[1]) == to
        }
        _ => false,
    }
}

/// Dials from a pod on the near node to one on the far node.
///
/// # Errors
///
/// Where no socket can be made or nothing watched; not where nobody answers.
pub async fn measure(cluster: &Cluster) -> Result<Reach> {
    let (near, far) = (cluster.near_pod()?, cluster.far_pod()?);
    let (near_node, far_node) = (cluster.near_node()?, cluster.far_node()?);
    let (fabric, port) = cluster.port_to(&near_node.name)?;
    let sites = cluster.sites(&[&near.name, &near_node.name, &fabric.name])?;
    let hooks = [Hook::TcIn, Hook::TcOut, Hook::Drop];
    let mut watch = Watch::start(sites, &[UPLINK, port], &hooks).await?;
    let from = netns(near)?;
    let (listener, to) = socket::listen(&netns(far)?, address(far, Family::V4)?)?;
    let dial = move || Ok(from.run(|| dial(to))?);
    let ((outcome, took), seen) = watch.during(dial, Duration::ZERO, |_, _| true).await?;
    drop(listener);
    let parts = Parts {
        pod: &near.name,
        to,
        wire: (&fabric.name, port),
        node: address(far_node, Family::V4)?,
    };
    Ok(Reach {
        reached: Beside {
            measured: outcome.is_ok(),
            predicted: prediction::reaches(cluster.options.mode, cluster.options.underlay),
        },
        error: outcome.err().map(|error| error.to_string()),
        micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        signs: Signs::of(&seen, parts),
    })
}

fn dial(to: SocketAddr) -> (io::Result<TcpStream>, Duration) {
    let began = Instant::now();
    let outcome = TcpStream::connect_timeout(&to, PATIENCE);
    (outcome, began.elapsed())
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::{super::frame::tests as frames, *};

    fn seen(host: &str, interface: &str, hook: Hook, bytes: Vec<u8>) -> Seen {
        let (host, interface) = (host.to_owned(), interface.to_owned());
        Seen { host, interface, hook, wire_len: 0, bytes, drop: None }
    }

    fn syn() -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([10, 244, 1, 2], [10, 244, 2, 2], 64)
            .tcp(4000, 80, 1, 1)
            .syn()
            .write(&mut frame, &[])
            .unwrap();
        frame
    }

    fn arp(operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        let head = [&[0xff; 6][..], &[5; 6], &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation]].concat();
        [&head[..], &[5; 6], &sender, &[0; 6], &target].concat()
    }

    fn parts() -> Parts<'static> {
        let to = "10.244.2.2:80".parse().unwrap();
        Parts { pod: "web-1", to, wire: ("fabric", "node-1"), node: [172, 18, 2, 2].into() }
    }

    #[test]
    fn a_question_without_an_answer_is_counted_and_the_drop_named() {
        let question = arp(1, [172, 18, 1, 2], [172, 18, 2, 2]);
        let about_another = arp(1, [172, 18, 1, 2], [172, 18, 1, 1]);
        let mut dropped = seen("node-1", "eth0", Hook::Drop, syn());
        dropped.drop = Some("NEIGH_FAILED".to_owned());
        let mut unreachable = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([10, 244, 1, 1], [10, 244, 1, 2], 64)
            .icmpv4_raw(3, 1, [0; 4])
            .write(&mut unreachable, &[0; 28])
            .unwrap();
        let mut report = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv6([0xfe; 16], [0xff; 16], 1)
            .icmpv6_raw(143, 0, [0; 4])
            .write(&mut report, &[0; 20])
            .unwrap();
        let signs = Signs::of(
            &[
                seen("fabric", "node-1", Hook::TcIn, question.clone()),
                // The same question, as the node sends it.
                seen("node-1", "eth0", Hook::TcOut, question),
                seen("fabric", "node-1", Hook::TcIn, about_another),
                seen("web-1", "eth0", Hook::TcIn, unreachable),
                // Which groups the bridge listens to (MLD) is no error.
                seen("web-1", "eth0", Hook::TcIn, report),
                dropped,
            ],
            parts(),
        );
        let icmp = IcmpError { from: [10, 244, 1, 1].into(), kind: 3, code: 1 };
        let drop = ("node-1".to_owned(), "NEIGH_FAILED".to_owned());
        let (icmp, drops) = (BTreeSet::from([icmp]), BTreeSet::from([drop]));
        assert_eq!(signs, Signs { asked: 1, answered: 0, syns: 0, icmp, drops });
    }

    #[test]
    fn an_answer_and_a_syn_on_the_wire_are_counted() {
        let answer = arp(2, [172, 18, 2, 2], [172, 18, 1, 2]);
        let signs = Signs::of(
            &[
                seen("fabric", "node-1", Hook::TcOut, answer),
                seen("fabric", "node-1", Hook::TcIn, syn()),
                seen("fabric", "node-1", Hook::TcIn, frames::encapsulated(5, &syn())),
                seen("fabric", "node-1", Hook::TcOut, syn()),
            ],
            parts(),
        );
        assert_eq!(signs, Signs { answered: 1, syns: 2, ..Signs::default() });
    }
}
