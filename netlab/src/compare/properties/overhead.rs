//! How many bytes more a packet is on the underlay than at the pod, by capture.
//!
//! Every packet is looked for twice: at the interface of the pod that sends it, and where it
//! comes into the fabric, which is the wire whichever hook of the node has sent it. One packet
//! is under way at a time, so that no offload merges two.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::IpAddr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Beside, Cluster, Error, Result, Seen,
    cluster::{address, netns},
    frame::{Identity, Packet, Transport},
    prediction, socket,
    watch::Watch,
};
use crate::{
    lab::{Family, UPLINK},
    netlink::Netns,
    trace::Hook,
};

/// Packets of each kind; what is counted is the same for each of them.
const PACKETS: u8 = 10;
/// How long the last packet may take to be seen.
const SETTLE: Duration = Duration::from_millis(500);

/// Bytes on the underlay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overhead {
    /// By kind of traffic.
    pub rows: Vec<Row>,
    /// One full segment of TCP as it was seen at both places.
    pub example: Example,
}

/// Packets of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Of the pods, and of the underlay too where it is encapsulated.
    pub family: Family,
    /// `TCP` or `UDP`.
    pub protocol: Transported,
    /// Most bytes of payload in a packet.
    pub payload: u32,
    /// Packets seen at both places.
    pub packets: u32,
    /// Bytes that each was longer on the underlay: one number where all were alike.
    pub added: Beside<BTreeSet<i64>>,
    /// Bytes at the pods, Ethernet headers included.
    pub pod_bytes: u64,
    /// Bytes on the underlay, Ethernet headers included.
    pub underlay_bytes: Beside<u64>,
    /// Bytes on the underlay for each byte of payload.
    pub per_payload_byte: Beside<f64>,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transported {
    /// A whole connection: handshake, full segments in both directions, acknowledgements.
    Tcp,
    /// Datagrams of one size.
    Udp,
}

/// A packet at both places, in hexadecimal digits from the Ethernet header on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// As the pod sent it.
    pub pod: String,
    /// As it came into the fabric.
    pub underlay: String,
}

/// A packet that was seen at both places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// At the pod.
    pub pod: &'a Seen,
    /// On the underlay.
    pub underlay: &'a Seen,
    /// Bytes that an application has put into it.
    pub payload: u32,
}

/// Finds the packets that were seen at both places.
#[must_use]
pub fn pairs<'a>(
    at_pod: impl Iterator<Item = &'a Seen>,
    on_underlay: impl Iterator<Item = &'a Seen>,
) -> Vec<Pair<'a>> {
    let mut wire: BTreeMap<Identity, &Seen> = BTreeMap::new();
    for seen in on_underlay {
        let packet = Packet::read(&seen.bytes);
        let inner = packet.as_ref().and_then(Packet::tunnelled);
        let carried = inner.map_or(packet, |(_, inner)| Packet::read(inner));
        if let Some(identity) = carried.and_then(|packet| packet.identity()) {
            wire.entry(identity).or_insert(seen);
        }
    }
    let pair = |pod: &'a Seen| {
        let packet = Packet::read(&pod.bytes)?;
        // Taken, so that what is sent a second time is not counted with the first.
        let underlay = wire.remove(&packet.identity()?)?;
        Some(Pair { pod, underlay, payload: u32::try_from(packet.payload_len()).ok()? })
    };
    at_pod.filter_map(pair).collect()
}

/// Adds packets of one kind up; None where there are none.
#[must_use]
pub fn row(family: Family, protocol: Transported, pairs: &[Pair<'_>], added: u32) -> Option<Row> {
    let sum = |of: fn(&Pair<'_>) -> u32| pairs.iter().map(|pair| u64::from(of(pair))).sum::<u64>();
    let packets = u32::try_from(pairs.len()).ok().filter(|packets| *packets > 0)?;
    let pod_bytes = sum(|pair| pair.pod.wire_len);
    let underlay_bytes = Beside {
        measured: sum(|pair| pair.underlay.wire_len),
        predicted: pod_bytes + u64::from(packets) * u64::from(added),
    };
    let payload = sum(|pair| pair.payload);
    let difference =
        |pair: &Pair<'_>| i64::from(pair.underlay.wire_len) - i64::from(pair.pod.wire_len);
    Some(Row {
        family,
        protocol,
        payload: pairs.iter().map(|pair| pair.payload).max()?,
        packets,
        added: Beside {
            measured: pairs.iter().map(difference).collect(),
            predicted: BTreeSet::from([added.into()]),
        },
        pod_bytes,
        underlay_bytes,
        per_payload_byte: Beside {
            measured: ratio(underlay_bytes.measured, payload),
            predicted: ratio(underlay_bytes.predicted, payload),
        },
    })
}

#[expect(clippy::cast_precision_loss, reason = "far fewer bytes than 2^52")]
fn ratio(bytes: u64, payload: u64) -> f64 {
    bytes as f64 / payload.max(1) as f64
}

/// Sends packets of all kinds between pods of two nodes, in each family that both have, and
/// finds them on the underlay.
///
/// # Errors
///
/// [`Error::Unseen`] where a kind of traffic was not seen at both places.
pub async fn measure(cluster: &Cluster) -> Result<Overhead> {
    let (near, far) = (cluster.near_pod()?, cluster.far_pod()?);
    let (fabric, near_port) = cluster.port_to(&cluster.near_node()?.name)?;
    let (_, far_port) = cluster.port_to(&cluster.far_node()?.name)?;
    let sites = cluster.sites(&[&near.name, &far.name, &fabric.name])?;
    let hooks = [Hook::TcIn, Hook::TcOut];
    let mut watch = Watch::start(sites, &[UPLINK, near_port, far_port], &hooks).await?;
    let (mut rows, mut example) = (Vec::new(), None);
    for family in cluster.families()? {
        let ends = Ends {
            near: (netns(near)?, address(near, family)?),
            far: (netns(far)?, address(far, family)?),
        };
        let added = prediction::encapsulation(cluster.options.mode, family);
        let mtu = prediction::mtu(cluster.options.mode, family, cluster.options.mtu);
        for kind in kinds(family, mtu) {
            let traffic = ends.clone();
            let (addresses, ports) = ([ends.near.1, ends.far.1], [near_port, far_port]);
            let at_pod = |seen: &&Seen| {
                [near, far].iter().any(|pod| seen.is_at(&pod.name, UPLINK, Hook::TcOut))
                    && is_ours(seen, addresses, kind.protocol())
            };
            let on_wire =
                |seen: &&Seen| ports.iter().any(|port| seen.is_at(&fabric.name, port, Hook::TcIn));
            let found = |seen: &[Seen]| {
                pairs(seen.iter().filter(at_pod), seen.iter().filter(on_wire)).len()
            };
            let enough = |_: &(), seen: &[Seen]| {
                let pairs = found(seen);
                pairs > 0 && pairs == seen.iter().filter(at_pod).count()
            };
            let ((), seen) = watch.during(move || kind.send(&traffic), SETTLE, enough).await?;
            let pairs = pairs(seen.iter().filter(at_pod), seen.iter().filter(on_wire));
            let row = row(family, kind.protocol(), &pairs, added);
            rows.push(row.ok_or_else(|| Error::Unseen(format!("{kind:?} over {family:?}")))?);
            if kind.protocol() == Transported::Tcp {
                // The one whose way is drawn goes from the first node to the other.
                let there = pairs.iter().filter(|pair| pair.pod.host == near.name);
                let longest = there.max_by_key(|pair| pair.payload);
                example = example.or_else(|| longest.map(Example::of));
            }
        }
    }
    let example =
        example.ok_or_else(|| Error::Lacks("pods with addresses of one family".into()))?;
    Ok(Overhead { rows, example })
}

/// What is sent, by family: the smallest, one in between and the largest datagram; and a
/// connection.
fn kinds(family: Family, mtu: u32) -> [Kind; 4] {
    let largest = prediction::datagram(family, mtu);
    [Kind::Datagrams(1), Kind::Datagrams(512), Kind::Datagrams(largest), Kind::Connection]
}

fn is_ours(seen: &Seen, ends: [IpAddr; 2], protocol: Transported) -> bool {
    Packet::read(&seen.bytes).is_some_and(|packet| {
        let is_protocol = match packet.transport {
            Transport::Tcp(_) => protocol == Transported::Tcp,
            Transport::Udp { .. } => protocol == Transported::Udp,
            _ => false,
        };
        is_protocol && ends.contains(&packet.source) && ends.contains(&packet.destination)
    })
}

/// Two pods.
#[derive(Clone, Debug)]
struct Ends {
    near: (Netns, IpAddr),
    far: (Netns, IpAddr),
}

/// A kind of traffic.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// With so many bytes of payload.
    Datagrams(u32),
    Connection,
}

impl Kind {
    const fn protocol(self) -> Transported {
        match self {
            Self::Datagrams(_) => Transported::Udp,
            Self::Connection => Transported::Tcp,
        }
    }

    fn send(self, ends: &Ends) -> Result<()> {
        let failed = |source| Error::Socket {
            what: format!("exchange {:?} between {} and {}", self, ends.near.1, ends.far.1),
            source,
        };
        match self {
            Self::Datagrams(len) => {
                // Keeps the port from being answered for by ICMP errors.
                let (_sink, to) = socket::bind(&ends.far.0, ends.far.1)?;
                let (sender, _) = socket::bind(&ends.near.0, ends.near.1)?;
                let len = usize::try_from(len).unwrap_or_default();
                // Each is unlike the others, or they could not be told apart.
                (0..PACKETS).try_for_each(|number| {
                    sender.send_to(&vec![number; len], to).map(|_| ()).map_err(failed)
                })
            }
            Self::Connection => {
                let (listener, to) = socket::listen(&ends.far.0, ends.far.1)?;
                let mut client = socket::connect(&ends.near.0, to)?;
                let mut exchange = || {
                    let (mut server, _) = listener.accept()?;
                    server.set_nodelay(true)?;
                    server.set_read_timeout(Some(socket::PATIENCE))?;
                    let segment = socket::tcp_info(&client)?.segment;
                    let mut bytes = vec![7; usize::try_from(segment).unwrap_or_default()];
                    for _ in 0..PACKETS {
                        client.write_all(&bytes)?;
                        server.read_exact(&mut bytes)?;
                        server.write_all(&bytes)?;
                        client.read_exact(&mut bytes)?;
                    }
                    Ok(())
                };
                exchange().map_err(failed)
            }
        }
    }
}

impl Example {
    fn of(pair: &Pair<'_>) -> Self {
        Self { pod: hex(&pair.pod.bytes), underlay: hex(&pair.underlay.bytes) }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{super::frame::tests as frames, *};

    fn seen(bytes: Vec<u8>) -> Seen {
        Seen {
            host: "h".into(),
            interface: "i".into(),
            hook: Hook::TcOut,
            wire_len: u32::try_from(bytes.len()).unwrap(),
            bytes,
            drop: None,
        }
    }

    #[test]
    fn an_encapsulated_packet_is_found_and_is_50_bytes_longer() {
        let inner: Vec<_> = [b"one".as_slice(), b"twos"].map(|p| frames::datagram(7, p)).into();
        let pod: Vec<_> = inner.iter().cloned().map(seen).collect();
        // In the other order, and with strangers between.
        let stray = frames::datagram(8, b"stray");
        let outer = [&inner[1], &stray, &inner[0]];
        let wire: Vec<_> = outer.map(|inner| seen(frames::encapsulated(5, inner))).into();
        let pairs = pairs(pod.iter(), wire.iter());
        assert_eq!(pairs.len(), 2);
        let row = row(Family::V4, Transported::Udp, &pairs, 50).unwrap();
        assert_eq!(row.added.measured, BTreeSet::from([50]));
        assert!(row.added.agrees() && row.underlay_bytes.agrees(), "{row:?}");
        assert_eq!((row.packets, row.payload, row.pod_bytes), (2, 4, 42 + 3 + 42 + 4));
        assert!((row.per_payload_byte.measured - f64::from(91 + 100) / 7.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_encapsulated_is_as_long_as_it_was() {
        let pod = [seen(frames::datagram(7, b"x"))];
        let pairs = pairs(pod.iter(), pod.iter());
        let row = row(Family::V4, Transported::Udp, &pairs, 0).unwrap();
        assert!(row.added.agrees(), "{row:?}");
        // A prediction of something else is seen to be wrong.
        let wrong = super::row(Family::V4, Transported::Udp, &pairs, 50).unwrap();
        assert!(!wrong.added.agrees() && !wrong.underlay_bytes.agrees());
    }

    #[test]
    fn a_packet_sent_twice_is_counted_once() {
        let pod = [seen(frames::datagram(7, b"x")), seen(frames::datagram(7, b"x"))];
        assert_eq!(pairs(pod.iter(), pod.iter()).len(), 1);
        assert_eq!(row(Family::V4, Transported::Udp, &[], 0), None);
    }
}
