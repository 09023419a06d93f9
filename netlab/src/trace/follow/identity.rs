//! Whether two packets are copies of one, and whether one answers the other.
//!
//! Addresses, ports, checksums, TTL, DSCP and ECN, Ethernet addresses and tags, and VXLAN
//! headers change on the way. Offloads split TCP segments and merge them: their timestamps
//! and acknowledgment number stay, and the bytes that they carry overlap.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use super::{
    packet::Packet,
    transport::{Segment, Transport, flag},
};

/// FIN, SYN, RST, ACK and URG. Merging sets PSH, and ECN changes its bits on the way.
const LASTING_FLAGS: u8 = 0x37;

/// What two packets are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// Copies.
    Same,
    /// TCP segments that carry some of the same bytes.
    Part,
    /// Different packets.
    Different,
}

/// TCP sequence numbers: the first, and how many.
pub(super) type Reach = (u32, u32);

/// What `seen` is to a packet that was first seen as `first` and carries the bytes in `reach`.
/// Addresses and ports are not looked at.
pub(super) fn compare(first: &Packet, reach: Option<Reach>, seen: &Packet) -> Likeness {
    if let (Transport::Tcp(a), Transport::Tcp(b), Some(reach)) =
        (&first.transport, &seen.transport, reach)
        && (a.seq, a.len) != (b.seq, b.len)
    {
        let ours = a.ack == b.ack && a.timestamps == b.timestamps && !resets(a) && !resets(b);
        let share = b.len > 0 && overlap(reach, (b.seq, b.len));
        return if ours && share { Likeness::Part } else { Likeness::Different };
    }
    let same = lasting(first) == lasting(seen)
        && (first.id == seen.id || first.id == 0 || seen.id == 0)
        && first.payload.iter().zip(&seen.payload).all(|(a, b)| a == b);
    if same { Likeness::Same } else { Likeness::Different }
}

fn resets(segment: &Segment) -> bool {
    segment.has(flag::SYN) || segment.has(flag::RST)
}

/// Whether two ranges of sequence numbers share any.
pub(super) const fn overlap(a: Reach, b: Reach) -> bool {
    b.0.wrapping_sub(a.0) < a.1 || a.0.wrapping_sub(b.0) < b.1
}

/// Whether the first range is all in the second.
pub(super) const fn within(inner: Reach, outer: Reach) -> bool {
    let offset = inner.0.wrapping_sub(outer.0);
    offset < outer.1 && inner.1 <= outer.1 - offset
}

/// The smallest range that has both, which overlap.
pub(super) fn union(a: Reach, b: Reach) -> Reach {
    let (first, second) = if b.0.wrapping_sub(a.0) < a.1 { (a, b) } else { (b, a) };
    let end = second.0.wrapping_sub(first.0).saturating_add(second.1);
    (first.0, first.1.max(end))
}

/// The bytes of a TCP segment.
pub(super) const fn reach(packet: &Packet) -> Option<Reach> {
    match &packet.transport {
        Transport::Tcp(segment) if segment.len > 0 => Some((segment.seq, segment.len)),
        _ => None,
    }
}

/// What is the same in all copies that were not split or merged, as numbers.
fn lasting(packet: &Packet) -> [u64; 5] {
    match &packet.transport {
        Transport::Tcp(segment) => {
            let numbers = u64::from(segment.seq) << 32 | u64::from(segment.ack);
            let flags = u64::from(segment.flags & LASTING_FLAGS);
            let (value, echo) = segment.timestamps.unwrap_or_default();
            let times = u64::from(value) << 32 | u64::from(echo);
            [6, numbers, flags, segment.len.into(), times]
        }
        Transport::Udp { len } => [17, *len as u64, 0, 0, 0],
        Transport::Echo { reply, sequence, len } => {
            [1, u64::from(*reply), u64::from(*sequence), *len as u64, 0]
        }
        Transport::Error(error) => {
            let kind = u64::from(error.kind) << 8 | u64::from(error.code);
            [2, u64::from(error.v6), kind, error.id.into(), error.mark.into()]
        }
        Transport::Fragment { protocol, offset, len } => {
            [3, u64::from(*protocol), *offset as u64, *len as u64, 0]
        }
        Transport::Other { protocol: Some(protocol), len, .. } => {
            [4, u64::from(*protocol), *len as u64, 0, 0]
        }
        Transport::Neighbor(neighbor) => {
            let kind = u64::from(neighbor.asks()) << 1 | u64::from(neighbor.tells());
            [7, kind, hash(&neighbor.subject()), 0, 0]
        }
        // Short frames may be padded on the way.
        Transport::Other { protocol: None, .. } => [5, 0, 0, 0, 0],
    }
}

/// What copies that were not split or merged share: in an order in which those that differ in
/// how much of the payload was kept are neighbors.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Equal {
    pub lasting: [u64; 5],
    /// IPv4 identification.
    pub id: u16,
    pub payload: Vec<u8>,
}

/// What [`compare`] looks for in a whole copy.
pub(super) fn equal(packet: &Packet) -> Equal {
    Equal { lasting: lasting(packet), id: packet.id, payload: packet.payload.clone() }
}

/// Whether the sender numbers what he sends, so that an equal packet is a repetition: a TCP
/// segment that has to be acknowledged.
pub(super) const fn is_numbered(packet: &Packet) -> bool {
    matches!(&packet.transport, Transport::Tcp(segment) if segment.asks())
}

/// A number for TCP segments that offloads may split into each other or merge; None of others.
pub(super) fn train(packet: &Packet) -> Option<u64> {
    match &packet.transport {
        Transport::Tcp(segment) if segment.len > 0 && !resets(segment) => {
            Some(hash(&(segment.ack, segment.timestamps)))
        }
        _ => None,
    }
}

/// A number that a question has in common with its answer, where neither is TCP nor an error.
pub(super) fn subject(packet: &Packet) -> Option<u64> {
    match &packet.transport {
        Transport::Udp { .. } => Some(0),
        Transport::Echo { sequence, .. } => Some(u64::from(*sequence)),
        Transport::Neighbor(neighbor) => Some(hash(&neighbor.subject())),
        _ => None,
    }
}

/// A number for a value, the same as long as this process runs.
pub(super) fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// How sure an equal [`print()`] makes that two packets are copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// Equal requests of two clients have it too.
    Weak,
    /// 16 bits of IPv4 identification.
    Identified,
    /// TCP's numbers, which begin at random.
    Strong,
}

/// A number that copies have in common, to find them by.
pub(super) fn print(packet: &Packet) -> (u64, Strength) {
    let mut hasher = DefaultHasher::new();
    lasting(packet).hash(&mut hasher);
    let strength = match &packet.transport {
        Transport::Tcp(_) => Strength::Strong,
        _ => {
            packet.id.hash(&mut hasher);
            if packet.id == 0 { Strength::Weak } else { Strength::Identified }
        }
    };
    (hasher.finish(), strength)
}

/// Whether a packet, sent in the other direction of the connection, answers this one.
pub(super) fn answers(question: &Packet, answer: &Packet) -> bool {
    match (&question.transport, &answer.transport) {
        (Transport::Tcp(_), Transport::Tcp(answer)) if answer.has(flag::RST) => true,
        (Transport::Tcp(question), Transport::Tcp(answer)) => {
            // Serial arithmetic (RFC 1982): not before the end.
            let confirmed = answer.ack.wrapping_sub(question.end()) < 1 << 31;
            question.asks() && answer.has(flag::ACK) && confirmed
        }
        (Transport::Udp { .. }, Transport::Udp { .. }) => true,
        (
            Transport::Echo { reply: false, sequence: asked, .. },
            Transport::Echo { reply: true, sequence, .. },
        ) => asked == sequence,
        (Transport::Neighbor(question), Transport::Neighbor(answer)) => {
            question.asks() && answer.tells() && question.subject() == answer.subject()
        }
        (of, Transport::Error(error)) => {
            let id = error.id == question.id || error.id == 0 || question.id == 0;
            id && match of {
                Transport::Tcp(of) => {
                    error.mark == of.seq || overlap((of.seq, of.len), (error.mark, 1))
                }
                // The length field counts the header.
                Transport::Udp { len } => error.mark as usize == len + 8,
                Transport::Error(_) => false,
                _ => true,
            }
        }
        _ => false,
    }
}

/// Whether the sender of a packet waits for something to come back.
pub(super) fn expects_answer(packet: &Packet) -> bool {
    match &packet.transport {
        Transport::Tcp(segment) => segment.asks() && !segment.has(flag::RST),
        Transport::Udp { .. } | Transport::Echo { reply: false, .. } => true,
        Transport::Neighbor(neighbor) => neighbor.asks(),
        _ => false,
    }
}

/// Whether a packet refuses what it answers.
pub(super) const fn refuses(packet: &Packet) -> bool {
    match &packet.transport {
        Transport::Tcp(segment) => segment.has(flag::RST),
        Transport::Error(_) => true,
        _ => false,
    }
}
