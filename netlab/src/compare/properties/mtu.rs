//! What fits: the MTU of a path, and the segment size that both ends of a connection agree on.
//!
//! Taken from the wire and from the kernel's own word about the socket: the options of SYN and
//! SYN-ACK as they arrive, and TCP_INFO (tcp(7)) of the socket that dialled.

use std::{net::TcpStream, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Beside, Cluster, Error, Result, Seen,
    cluster::{address, netns},
    frame::{Packet, Segment, Transport},
    prediction,
    socket::{self, Tcp},
    watch::Watch,
};
use crate::{
    lab::{Family, Role, UPLINK},
    spec::model::Protocol,
    trace::Hook,
};

/// Connections through a node port; each meets a backend on the far node with the probability
/// that the Service gives it.
const DIALS: usize = 24;
/// How long the packets of a handshake may take to be seen.
const SETTLE: Duration = Duration::from_millis(500);

/// A way through the cluster to a pod on the far node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From a pod on the near node.
    PodToPod,
    /// From the client, through a node port of the near node.
    NodePort,
}

/// What fits a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// From where.
    pub way: Way,
    /// In which family.
    pub family: Family,
    /// The option MSS of the SYN as it arrived at the pod.
    pub offered: Beside<u32>,
    /// The option MSS of the SYN-ACK as it arrived at the dialler.
    pub answered: Beside<u32>,
    /// What holds for both: the smaller.
    pub mss: Beside<u32>,
    /// Most bytes that the dialler puts into a segment: the MSS less the options that every
    /// segment has (timestamps: 12), if there are any.
    pub segment: u32,
    /// The largest IP packet that the agreed MSS makes.
    pub mtu: Beside<u32>,
    /// MTU of the path as the dialler's kernel knows it: of a node port, that of its own link,
    /// until an ICMP error tells it otherwise.
    pub known_mtu: Beside<u32>,
}

/// The two options of one handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// MSS of the SYN.
    pub offered: u32,
    /// MSS of the SYN-ACK.
    pub answered: u32,
}

/// Finds the handshake of a connection between where its SYN arrived and where it came from.
///
/// Neither translation nor encapsulation touches sequence numbers, so these tell it from
/// others: `port` is the dialler's.
#[must_use]
pub fn handshake<'a>(
    at_dialler: impl Iterator<Item = &'a Seen> + Clone,
    at_pod: impl Iterator<Item = &'a Seen>,
    port: u16,
) -> Option<Handshake> {
    let sent = segments(at_dialler.clone())
        .find(|segment| segment.flags == [true, false] && segment.ports[0] == port)?;
    let arrived = segments(at_pod)
        .find(|segment| segment.flags == [true, false] && segment.sequence == sent.sequence)?;
    let answer = segments(at_dialler).find(|segment| {
        segment.flags == [true, true]
            && segment.ports[1] == port
            && segment.acknowledged == sent.sequence.wrapping_add(1)
    })?;
    Some(Handshake { offered: arrived.mss?.into(), answered: answer.mss?.into() })
}

fn segments<'a>(seen: impl Iterator<Item = &'a Seen>) -> impl Iterator<Item = Segment> {
    seen.filter_map(|seen| match Packet::read(&seen.bytes)?.transport {
        Transport::Tcp(segment) => Some(segment),
        _ => None,
    })
}

impl Fit {
    /// What a handshake came to, beside what the MTU of both ends makes of it.
    #[must_use]
    pub fn new(
        way: Way,
        family: Family,
        handshake: Handshake,
        [segment, known_mtu]: [u32; 2],
        [dialler_mtu, pod_mtu]: [u32; 2],
    ) -> Self {
        let agreed = handshake.offered.min(handshake.answered);
        let mss = |mtu| prediction::mss(family, mtu);
        let smaller = dialler_mtu.min(pod_mtu);
        Self {
            way,
            family,
            offered: Beside { measured: handshake.offered, predicted: mss(dialler_mtu) },
            answered: Beside { measured: handshake.answered, predicted: mss(pod_mtu) },
            mss: Beside { measured: agreed, predicted: mss(smaller) },
            segment,
            mtu: Beside {
                measured: agreed + prediction::segment_headers(family),
                predicted: smaller,
            },
            known_mtu: Beside { measured: known_mtu, predicted: dialler_mtu },
        }
    }
}

/// Dials a pod on the far node both ways, and reads what was agreed on.
///
/// # Errors
///
/// [`Error::Unseen`] where no handshake was seen at both ends.
pub async fn measure(cluster: &Cluster) -> Result<Vec<Fit>> {
    let (near, far) = (cluster.near_pod()?, cluster.far_pod()?);
    let client = cluster.the(&Role::Client)?;
    let node_port = cluster.node_port(Protocol::Tcp)?;
    let pods = [&near.name, &far.name, &client.name].map(String::as_str);
    let pods: Vec<&str> =
        pods.into_iter().chain(node_port.far.iter().map(String::as_str)).collect();
    let mut watch =
        Watch::start(cluster.sites(&pods)?, &[UPLINK], &[Hook::TcIn, Hook::TcOut]).await?;
    let pod_mtu = |family| prediction::mtu(cluster.options.mode, family, cluster.options.mtu);
    let mut fits = Vec::new();
    for family in cluster.families()? {
        let (from, netns_to, to) = (netns(near)?, netns(far)?, address(far, family)?);
        let dial = move || {
            let (_listener, to) = socket::listen(&netns_to, to)?;
            Dialled::of(socket::connect(&from, to)?).map(|dialled| vec![dialled])
        };
        let mtus = [pod_mtu(family); 2];
        let who = (near.name.as_str(), std::slice::from_ref(&far.name));
        fits.push(fit(&mut watch, Way::PodToPod, family, who, mtus, dial).await?);
    }
    let (from, to) = (netns(client)?, node_port.dial);
    let dial = move || {
        let dial = |_| Dialled::of(socket::connect(&from, to)?);
        (0..DIALS).map(dial).collect::<Result<Vec<_>>>()
    };
    let who = (client.name.as_str(), &node_port.far[..]);
    let mtus = [cluster.options.mtu, pod_mtu(Family::V4)];
    fits.push(fit(&mut watch, Way::NodePort, Family::V4, who, mtus, dial).await?);
    Ok(fits)
}

/// A connection, as its dialler saw it.
struct Dialled {
    port: u16,
    info: Tcp,
}

impl Dialled {
    fn of(stream: TcpStream) -> Result<Self> {
        let told = || Ok((stream.local_addr()?.port(), socket::tcp_info(&stream)?));
        let (port, info) = told().map_err(|source| Error::Socket {
            what: "ask the kernel about a connection".to_owned(),
            source,
        })?;
        Ok(Self { port, info })
    }
}

async fn fit(
    watch: &mut Watch,
    way: Way,
    family: Family,
    (dialler, pods): (&str, &[String]),
    mtus: [u32; 2],
    dial: impl FnOnce() -> Result<Vec<Dialled>> + Send + 'static,
) -> Result<Fit> {
    let find = |dialled: &Vec<Dialled>, seen: &[Seen]| {
        let at_dialler = seen.iter().filter(|seen| seen.host == dialler);
        let at_pod =
            || seen.iter().filter(|seen| pods.contains(&seen.host) && seen.hook == Hook::TcIn);
        dialled
            .iter()
            .find_map(|one| Some((handshake(at_dialler.clone(), at_pod(), one.port)?, one.info)))
    };
    let enough = |dialled: &Vec<Dialled>, seen: &[Seen]| find(dialled, seen).is_some();
    let (dialled, seen) = watch.during(dial, SETTLE, enough).await?;
    let (handshake, info) = find(&dialled, &seen)
        .ok_or_else(|| Error::Unseen(format!("a connection from {dialler} to the far node")))?;
    Ok(Fit::new(way, family, handshake, [info.segment, info.path_mtu], mtus))
}

#[cfg(test)]
mod tests {
    use etherparse::{PacketBuilder, TcpOptionElement};

    use super::*;

    fn seen(ports: [u16; 2], numbers: [u32; 2], syn_ack: bool, mss: u16) -> Seen {
        let mut bytes = Vec::new();
        let tcp = PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(ports[0], ports[1], numbers[0], 1024)
            .syn();
        let tcp = if syn_ack { tcp.ack(numbers[1]) } else { tcp };
        let tcp = tcp.options(&[TcpOptionElement::MaximumSegmentSize(mss)]).unwrap();
        tcp.write(&mut bytes, &[]).unwrap();
        let (host, interface) = ("h".into(), "eth0".into());
        Seen { host, interface, hook: Hook::TcIn, wire_len: 0, bytes, drop: None }
    }

    #[test]
    fn a_handshake_is_found_through_a_translation() {
        let dialler = [
            seen([4000, 30080], [77, 0], false, 1460),
            seen([30080, 4001], [1, 78], true, 1000),
            seen([30080, 4000], [1, 78], true, 1410),
        ];
        let pod = [seen([9, 8080], [76, 0], false, 900), seen([5000, 8080], [77, 0], false, 1459)];
        let found = handshake(dialler.iter(), pod.iter(), 4000);
        assert_eq!(found, Some(Handshake { offered: 1459, answered: 1410 }));
        // Its SYN arrived elsewhere.
        assert_eq!(handshake(dialler.iter(), pod[..1].iter(), 4000), None);
    }

    #[test]
    fn the_smaller_of_two_offers_is_what_holds() {
        let handshake = Handshake { offered: 1460, answered: 1410 };
        let fit = Fit::new(Way::NodePort, Family::V4, handshake, [1398, 1500], [1500, 1450]);
        assert_eq!((fit.mss.measured, fit.mtu.measured), (1410, 1450));
        assert!(fit.offered.agrees() && fit.answered.agrees() && fit.mss.agrees());
        assert!(fit.mtu.agrees() && fit.known_mtu.agrees());
        let other = Fit::new(Way::NodePort, Family::V4, handshake, [1398, 1500], [1500, 1500]);
        assert!(!other.answered.agrees() && !other.mss.agrees() && !other.mtu.agrees());
    }
}
