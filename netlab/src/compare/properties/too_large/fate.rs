//! What became of a datagram, from what was seen of it. Pure.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::super::{
    Seen,
    frame::{Packet, Transport},
    prediction,
};
use crate::{
    lab::{Family, Mode, UPLINK},
    trace::Hook,
};

/// Bytes of the mark.
pub(super) const MARK: usize = 8;

/// A way through the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From a pod to one on another node.
    PodToPod,
    /// From a pod out of the cluster, to the client.
    PodToClient,
    /// From the client, through a node port, to a pod on another node.
    ClientToNodePort,
}

/// What became of a datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Fate {
    /// All of it arrived, in so many packets.
    Arrived {
        /// One, or fragments.
        pieces: u32,
    },
    /// The sender's own kernel refused it (EMSGSIZE), knowing this MTU.
    Refused {
        /// In bytes.
        mtu: u32,
    },
    /// Somebody on the way told the sender by ICMP that it does not fit.
    FragmentationNeeded {
        /// The MTU that was told, in bytes.
        mtu: u32,
        /// Who told it.
        from: IpAddr,
    },
    /// It was dropped, and nobody told the sender.
    Dropped,
    /// It did not arrive, and no reason was seen.
    Silence,
}

/// What a datagram is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark([u8; MARK]);

impl Mark {
    /// Another one than all before.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanoseconds = now.as_nanos().to_le_bytes();
        let [a, b, c, d, e, f, ..] = nanoseconds;
        let [low, high, ..] = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        Self([a, b, c, d, e, f, low, high])
    }

    /// A payload of so many bytes that is nothing else.
    #[must_use]
    pub fn payload(self, len: usize) -> Vec<u8> {
        self.0.into_iter().cycle().take(len).collect()
    }

    fn is_in(self, payload: &[u8]) -> bool {
        payload.starts_with(&self.0)
    }

    /// Whether it is in the datagram of a frame, in a tunnel or not.
    #[must_use]
    pub fn is_in_frame(self, frame: &[u8]) -> bool {
        let Some(packet) = Packet::read(frame) else { return false };
        if let Some((_, inner)) = packet.tunnelled() {
            return self.is_in_frame(inner);
        }
        matches!(packet.transport, Transport::Udp { payload, .. } if self.is_in(payload))
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::new()
    }
}

/// What is to be found: a datagram of this mark and length, on its way between two hosts.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// What it is known by.
    pub mark: Mark,
    /// Length of its IPv4 packet, in bytes.
    pub length: u32,
    /// The host that sent it.
    pub sender: &'a str,
    /// Where it may arrive.
    pub receivers: &'a [String],
}

/// What became of a datagram that the sender's kernel has taken.
#[must_use]
pub fn fate(seen: &[Seen], search: Search<'_>) -> Fate {
    let told = seen.iter().filter(|seen| seen.is_at(search.sender, UPLINK, Hook::TcIn));
    let told = told.filter_map(|seen| Packet::read(&seen.bytes)).find_map(|packet| {
        match packet.transport {
            Transport::Icmp { too_large: Some(mtu), .. } => Some((mtu, packet.source)),
            _ => None,
        }
    });
    if let Some((mtu, from)) = told {
        return Fate::FragmentationNeeded { mtu, from };
    }
    if let Some(pieces) = arrived(seen, search) {
        return Fate::Arrived { pieces };
    }
    if drops(seen, search.mark).is_empty() { Fate::Silence } else { Fate::Dropped }
}

/// In how many pieces all of it arrived at one of the receivers.
fn arrived(seen: &[Seen], search: Search<'_>) -> Option<u32> {
    let came = || {
        seen.iter()
            .filter(|seen| seen.interface == UPLINK && seen.hook == Hook::TcIn)
            .filter(|seen| search.receivers.contains(&seen.host))
    };
    let first = came().find(|seen| search.mark.is_in_frame(&seen.bytes))?;
    let first_packet = Packet::read(&first.bytes)?;
    let of_it = |packet: &Packet<'_>| {
        let ends = |packet: &Packet<'_>| (packet.id, packet.source, packet.destination);
        ends(packet) == ends(&first_packet)
    };
    let pieces: Vec<_> = came()
        .filter(|seen| seen.host == first.host)
        .filter_map(|seen| Packet::read(&seen.bytes))
        .filter(of_it)
        .map(|packet| packet.ip_payload)
        .collect();
    let whole = search.length.saturating_sub(prediction::ip_header(Family::V4));
    // A whole datagram may be there twice where it has no identification; fragments never.
    let is_whole = |bytes: usize| u32::try_from(bytes).is_ok_and(|bytes| bytes == whole);
    if is_whole(*pieces.first()?) {
        return Some(1);
    }
    is_whole(pieces.iter().sum()).then(|| u32::try_from(pieces.len()).ok()).flatten()
}

/// Where, and why, a datagram of this mark was dropped: host and reason, each once.
#[must_use]
pub fn drops(seen: &[Seen], mark: Mark) -> Vec<(String, String)> {
    let mut drops = Vec::new();
    for seen in seen.iter().filter(|seen| mark.is_in_frame(&seen.bytes)) {
        let drop = seen.drop.clone().map(|reason| (seen.host.clone(), reason));
        drops.extend(drop.filter(|drop| !drops.contains(drop)));
    }
    drops
}

/// What has to become of it: nobody lets a packet pass that is larger than his own link, and who
/// is not at that link has to be told. Pods stand at it, the client does not.
#[must_use]
pub fn predicted(mode: Mode, way: Way, over: u32, dont_fragment: bool, limit: Limit) -> Fate {
    match (over, dont_fragment) {
        (0, _) => Fate::Arrived { pieces: 1 },
        (_, false) => Fate::Arrived { pieces: 2 },
        (_, true) if mode == Mode::Vxlan && way == Way::ClientToNodePort => {
            Fate::FragmentationNeeded { mtu: limit.mtu, from: limit.node }
        }
        (_, true) => Fate::Refused { mtu: limit.mtu },
    }
}

/// What fits, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// MTU of the pod network, in bytes.
    pub mtu: u32,
    /// Address of the node that the client dials.
    pub node: IpAddr,
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::{super::super::frame::tests as frames, *};

    const LENGTH: u32 = 20 + 8 + 24;

    fn seen(host: &str, hook: Hook, bytes: Vec<u8>) -> Seen {
        let (host, interface) = (host.to_owned(), UPLINK.to_owned());
        Seen { host, interface, hook, wire_len: 0, bytes, drop: None }
    }

    fn found(seen: &[Seen], mark: Mark) -> Fate {
        let receivers = ["pod".to_owned()];
        fate(seen, Search { mark, length: LENGTH, sender: "client", receivers: &receivers })
    }

    /// An IPv4 fragment of identification 7, from byte `at` of the payload on.
    fn fragment(at: u16, payload: &[u8], more: bool) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap();
        let protocol = etherparse::IpNumber::UDP;
        let mut header = etherparse::Ipv4Header::new(length, 64, protocol, [1; 4], [2; 4]).unwrap();
        header.identification = 7;
        header.more_fragments = more;
        header.fragment_offset = etherparse::IpFragOffset::try_new(at / 8).unwrap();
        let mut frame = [&[1; 6][..], &[2; 6], &[8, 0]].concat();
        header.write(&mut frame).unwrap();
        frame.extend(payload);
        frame
    }

    #[test]
    fn a_datagram_that_arrives_whole_is_found_by_its_mark() {
        let mark = Mark::new();
        let packet = frames::datagram(1, &mark.payload(24));
        let arrived = Fate::Arrived { pieces: 1 };
        assert_eq!(found(&[seen("pod", Hook::TcIn, packet.clone())], mark), arrived);
        // Elsewhere, going the other way, or another datagram: not arrived.
        assert_eq!(found(&[seen("node", Hook::TcIn, packet.clone())], mark), Fate::Silence);
        assert_eq!(found(&[seen("pod", Hook::TcOut, packet.clone())], mark), Fate::Silence);
        assert_eq!(found(&[seen("pod", Hook::TcIn, packet)], Mark::new()), Fate::Silence);
    }

    #[test]
    fn fragments_have_arrived_when_all_of_them_have() {
        let mark = Mark::new();
        let datagram = frames::datagram(1, &mark.payload(24));
        let payload = &datagram[34..];
        let first = seen("pod", Hook::TcIn, fragment(0, &payload[..24], true));
        let last = seen("pod", Hook::TcIn, fragment(24, &payload[24..], false));
        assert_eq!(found(&[first.clone(), last], mark), Fate::Arrived { pieces: 2 });
        assert_eq!(found(&[first], mark), Fate::Silence);
    }

    #[test]
    fn an_icmp_error_at_the_sender_is_what_it_met_with() {
        let mark = Mark::new();
        let mut error = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([172, 18, 0, 2], [172, 18, 255, 10], 64)
            .icmpv4_raw(3, 4, [0, 0, 0x05, 0xaa])
            .write(&mut error, &[0; 28])
            .unwrap();
        let told = Fate::FragmentationNeeded { mtu: 1450, from: [172, 18, 0, 2].into() };
        assert_eq!(found(&[seen("client", Hook::TcIn, error.clone())], mark), told);
        assert_eq!(found(&[seen("pod", Hook::TcIn, error)], mark), Fate::Silence);
    }

    #[test]
    fn a_drop_without_a_word_is_told_from_silence() {
        let mark = Mark::new();
        let inner = frames::datagram(1, &mark.payload(24));
        let mut dropped = seen("node", Hook::Drop, frames::encapsulated(1, &inner));
        dropped.drop = Some("PKT_TOO_BIG".to_owned());
        let twice = [dropped.clone(), dropped];
        assert_eq!(found(&twice, mark), Fate::Dropped);
        assert_eq!(drops(&twice, mark), [("node".to_owned(), "PKT_TOO_BIG".to_owned())]);
        assert!(drops(&twice, Mark::new()).is_empty());
    }

    #[test]
    fn only_who_is_not_at_the_smaller_link_has_to_be_told() {
        let limit = Limit { mtu: 1450, node: [172, 18, 0, 2].into() };
        let of = |mode, way, over, flag| predicted(mode, way, over, flag, limit);
        let told = Fate::FragmentationNeeded { mtu: 1450, from: limit.node };
        assert_eq!(of(Mode::Vxlan, Way::ClientToNodePort, 1, true), told);
        let refused = Fate::Refused { mtu: 1450 };
        assert_eq!(of(Mode::Vxlan, Way::PodToPod, 1, true), refused);
        assert_eq!(of(Mode::HostGw, Way::ClientToNodePort, 1, true), refused);
        assert_eq!(of(Mode::Vxlan, Way::PodToPod, 0, true), Fate::Arrived { pieces: 1 });
        assert_eq!(of(Mode::Vxlan, Way::PodToPod, 1, false), Fate::Arrived { pieces: 2 });
    }
}
