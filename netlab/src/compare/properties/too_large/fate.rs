//! What became of a datagram, from what was seen of it. Pure.

use std::{
    fmt,
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::super::{
    Seen,
    frame::{Packet, Transport},
    icmp::IcmpError,
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
    /// Somebody told the sender by ICMP that it is lost for another reason.
    Unreachable(Told),
    /// It was dropped, and nobody told the sender.
    Dropped,
    /// It did not arrive, and no reason was seen.
    Silence,
}

/// What the sender was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The host of the lab that told it; None where no host has that address.
    pub host: Option<String>,
    /// Its address, and ICMP's type and code.
    #[serde(flatten)]
    pub error: IcmpError,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, error } = self;
        match host {
            Some(host) => write!(f, "{error} from {host}"),
            None => write!(f, "{error} from {}", error.from),
        }
    }
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
    let told = told(seen, search);
    let too_large = told.iter().find_map(|(error, mtu)| mtu.map(|mtu| (mtu, error.from)));
    if let Some((mtu, from)) = too_large {
        return Fate::FragmentationNeeded { mtu, from };
    }
    if let Some(pieces) = arrived(seen, search) {
        return Fate::Arrived { pieces };
    }
    if let Some((error, _)) = told.into_iter().find(|(error, _)| !error.is_redirect()) {
        return Fate::Unreachable(Told { host: None, error });
    }
    if drops(seen, search.mark).is_empty() { Fate::Silence } else { Fate::Dropped }
}

impl Fate {
    /// The same, with the name of the host that told it.
    #[must_use]
    pub fn named(self, host_of: impl FnOnce(IpAddr) -> Option<String>) -> Self {
        match self {
            Self::Unreachable(Told { error, .. }) => {
                Self::Unreachable(Told { host: host_of(error.from), error })
            }
            other => other,
        }
    }
}

/// ICMP errors that came to the sender about the datagram, each with the MTU that it tells where
/// it says that the datagram was too large. Known by the headers that have to be in them: of the
/// payload, and of the mark in it, nothing needs to be there (RFC 792).
fn told(seen: &[Seen], search: Search<'_>) -> Vec<(IcmpError, Option<u32>)> {
    let at_sender = |hook| seen.iter().filter(move |seen| seen.is_at(search.sender, UPLINK, hook));
    let mut sent = at_sender(Hook::TcOut).filter(|seen| search.mark.is_in_frame(&seen.bytes));
    let Some(sent) = sent.find_map(|seen| headers(&Packet::read(&seen.bytes)?)) else {
        return Vec::new();
    };
    let of_it = |seen: &Seen| {
        let packet = Packet::read(&seen.bytes)?;
        let (error, quoted) = (IcmpError::of(&packet)?, packet.quoted()?);
        let Transport::Icmp { too_large, .. } = packet.transport else { return None };
        (headers(&quoted)? == sent).then_some((error, too_large))
    };
    at_sender(Hook::TcIn).filter_map(of_it).collect()
}

/// Identification, addresses and ports of a datagram.
fn headers(packet: &Packet<'_>) -> Option<(u16, [IpAddr; 2], [u16; 2])> {
    let Transport::Udp { from, to, .. } = packet.transport else { return None };
    Some((packet.id, [packet.source, packet.destination], [from, to]))
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
        (_, false) => {
            let leaves_whole = limit.reassembled.is_some_and(|most| limit.mtu + over <= most);
            Fate::Arrived { pieces: if way == Way::PodToClient && leaves_whole { 1 } else { 2 } }
        }
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
    /// Where nodes track connections, as for kube-proxy's rules, they put fragments together
    /// before they send them on: the most bytes that leave the cluster in one packet then.
    pub reassembled: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::{super::super::frame::tests as frames, *};

    const LENGTH: u32 = 20 + 8 + 24;
    /// Who says what [`frames::error_about`] makes.
    const NODE: [u8; 4] = [172, 18, 0, 2];

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
        let datagram = frames::datagram(1, &mark.payload(24));
        let sent = seen("client", Hook::TcOut, datagram.clone());
        let error = frames::error_about(&datagram, [3, 4], 1450, 28);
        let told = Fate::FragmentationNeeded { mtu: 1450, from: NODE.into() };
        let at_client = seen("client", Hook::TcIn, error.clone());
        assert_eq!(found(&[sent.clone(), at_client.clone()], mark), told);
        assert_eq!(found(&[sent, seen("pod", Hook::TcIn, error)], mark), Fate::Silence);
        // About another datagram.
        let other = seen("client", Hook::TcOut, frames::datagram(2, &mark.payload(24)));
        assert_eq!(found(&[other, at_client], mark), Fate::Silence);
    }

    #[test]
    fn a_sender_that_is_told_of_a_loss_by_icmp_is_told() {
        let mark = Mark::new();
        let datagram = frames::datagram(1, &mark.payload(24));
        let sent = seen("client", Hook::TcOut, datagram.clone());
        let mut dropped = seen("node-1", Hook::Drop, datagram.clone());
        dropped.drop = Some("NO_SOCKET".to_owned());
        let answer = |kind| frames::error_about(&datagram, [kind, 3], 0, 28);
        let all = |kind| [sent.clone(), dropped.clone(), seen("client", Hook::TcIn, answer(kind))];
        let error = IcmpError { from: NODE.into(), kind: 3, code: 3 };
        let fate = found(&all(3), mark);
        let told = |host| Told { host, error };
        assert_eq!(fate, Fate::Unreachable(told(None)));
        assert_eq!(told(None).to_string(), "ICMP port unreachable from 172.18.0.2");
        let named = fate.named(|address| (address == error.from).then(|| "node-1".to_owned()));
        let by_name = told(Some("node-1".to_owned()));
        assert_eq!(by_name.to_string(), "ICMP port unreachable from node-1");
        assert_eq!(named, Fate::Unreachable(by_name));
        let json = serde_json::to_value(&named).unwrap();
        let written = serde_json::json!(
            {"what": "unreachable", "host": "node-1", "from": "172.18.0.2", "kind": 3, "code": 3}
        );
        assert_eq!(json, written);
        assert_eq!(serde_json::from_value::<Fate>(json).unwrap(), named);
        // Neither a ping nor a better way says what became of it, nor an error elsewhere.
        assert_eq!(found(&all(0), mark), Fate::Dropped);
        assert_eq!(found(&all(5), mark), Fate::Dropped);
        assert_eq!(
            found(&[sent, dropped, seen("pod", Hook::TcIn, answer(3))], mark),
            Fate::Dropped
        );
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
        let limit = Limit { mtu: 1450, node: NODE.into(), reassembled: None };
        let of = |mode, way, over, flag| predicted(mode, way, over, flag, limit);
        let told = Fate::FragmentationNeeded { mtu: 1450, from: limit.node };
        assert_eq!(of(Mode::Vxlan, Way::ClientToNodePort, 1, true), told);
        let refused = Fate::Refused { mtu: 1450 };
        assert_eq!(of(Mode::Vxlan, Way::PodToPod, 1, true), refused);
        assert_eq!(of(Mode::HostGw, Way::ClientToNodePort, 1, true), refused);
        assert_eq!(of(Mode::Vxlan, Way::PodToPod, 0, true), Fate::Arrived { pieces: 1 });
        assert_eq!(of(Mode::Vxlan, Way::PodToPod, 1, false), Fate::Arrived { pieces: 2 });
        assert_eq!(of(Mode::Vxlan, Way::PodToClient, 1, false), Fate::Arrived { pieces: 2 });
    }

    #[test]
    fn fragments_that_a_node_puts_together_leave_the_cluster_as_one_where_that_fits() {
        let pieces = |mtu, way| {
            let limit = Limit { mtu, node: NODE.into(), reassembled: Some(1500) };
            predicted(Mode::Vxlan, way, 1, false, limit)
        };
        assert_eq!(pieces(1450, Way::PodToClient), Fate::Arrived { pieces: 1 });
        // The tunnel takes no more than before, and 1501 bytes are more than the underlay takes.
        assert_eq!(pieces(1450, Way::PodToPod), Fate::Arrived { pieces: 2 });
        assert_eq!(pieces(1500, Way::PodToClient), Fate::Arrived { pieces: 2 });
    }
}
