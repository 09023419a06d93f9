//! What the underlay can tell flows apart by: the source ports that it sees.
//!
//! Switches and network cards spread packets by a hash of addresses and ports. Between two
//! nodes an encapsulated packet has the same addresses and destination port whatever is in it,
//! so the source port is all that is left (RFC 7348, section 5). Without encapsulation they see
//! the flows' own.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Beside, Cluster, Error, Result, Seen,
    cluster::{address, netns},
    frame::{Packet, Transport},
    prediction, socket,
    watch::Watch,
};
use crate::{
    lab::{Family, Mode},
    netlink::{self, sysctl},
    trace::Hook,
};

/// How many flows.
pub const FLOWS: u32 = 1000;
/// Datagrams of a flow: with one nobody would see whether a flow keeps its port.
const DATAGRAMS: u32 = 2;
/// Sockets to try for each flow: some get a port that another had.
const DRAWS: u32 = 20;
/// How long the last datagram may take to be seen.
const SETTLE: Duration = Duration::from_secs(1);
/// Where the kernel keeps the range of ports that it chooses from (ip(7)).
const PORT_RANGE: &str = "ipv4/ip_local_port_range";

/// Source ports on the underlay, of as many flows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entropy {
    /// Flows that were seen.
    pub flows: u32,
    /// How many different ports they have. Predicted: drawn at random from the range where they
    /// are encapsulated, or one each.
    pub distinct: Beside<f64>,
    /// Shannon's entropy of the ports, in bits.
    pub bits: Beside<f64>,
    /// Bits that as many flows can have at most.
    pub most_bits: f64,
    /// The lowest and the highest port that was seen.
    pub seen: [u16; 2],
    /// What the kernel of the near node chooses from.
    pub range: [u16; 2],
    /// Ports outside of that range.
    pub outside: u32,
    /// Flows whose packets had different ports, so that they may overtake each other.
    pub unsteady: u32,
}

/// Shannon's entropy of what was drawn how many times, in bits.
#[must_use]
pub fn bits(counts: impl Iterator<Item = u32> + Clone) -> f64 {
    let total: f64 = counts.clone().map(f64::from).sum();
    if total <= 0.0 {
        return 0.0;
    }
    let share = counts.filter(|count| *count > 0).map(|count| f64::from(count) / total);
    share.map(|share| -share * share.log2()).sum::<f64>().max(0.0)
}

/// Source ports on the underlay by flow, the flow being the source port of the pod's socket.
#[must_use]
pub fn ports<'a>(
    on_underlay: impl Iterator<Item = &'a Seen>,
    destination: u16,
) -> BTreeMap<u16, Vec<u16>> {
    let mut flows: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
    for seen in on_underlay {
        let Some(packet) = Packet::read(&seen.bytes) else { continue };
        let (outer, inner) = match packet.tunnelled() {
            Some((port, inner)) => (Some(port), Packet::read(inner)),
            None => (None, Some(packet)),
        };
        if let Some(Transport::Udp { from, to, .. }) = inner.map(|packet| packet.transport)
            && to == destination
        {
            flows.entry(from).or_default().push(outer.unwrap_or(from));
        }
    }
    flows
}

impl Entropy {
    /// Counts ports by flow, which were chosen from `range` if they were `drawn` at random.
    #[must_use]
    pub fn new(flows: &BTreeMap<u16, Vec<u16>>, range: &RangeInclusive<u16>, drawn: bool) -> Self {
        let mut counts: BTreeMap<u16, u32> = BTreeMap::new();
        for port in flows.values().filter_map(|ports| ports.first()) {
            *counts.entry(*port).or_default() += 1;
        }
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let count = number(flows.len());
        let values = u32::from(range.end().saturating_sub(*range.start())) + 1;
        let most_bits = f64::from(count.max(1)).log2();
        let predicted = if drawn {
            [prediction::distinct(count, values), prediction::entropy(count, values)]
        } else {
            [f64::from(count), most_bits]
        };
        let unsteady = flows.values().filter(|ports| ports.iter().any(|port| *port != ports[0]));
        let outside = flows.values().flatten().filter(|port| !range.contains(port));
        Self {
            flows: count,
            distinct: Beside { measured: f64::from(number(counts.len())), predicted: predicted[0] },
            bits: Beside { measured: bits(counts.values().copied()), predicted: predicted[1] },
            most_bits,
            seen: [
                counts.keys().next().copied().unwrap_or_default(),
                counts.keys().next_back().copied().unwrap_or_default(),
            ],
            range: [*range.start(), *range.end()],
            outside: number(outside.count()),
            unsteady: number(unsteady.count()),
        }
    }
}

/// Sends datagrams of [`FLOWS`] flows between pods of two nodes, and looks at the underlay.
///
/// # Errors
///
/// [`Error::Unseen`] where not all of them were seen there.
pub async fn measure(cluster: &Cluster) -> Result<Entropy> {
    let (near, far) = (cluster.near_pod()?, cluster.far_pod()?);
    let node = cluster.near_node()?;
    let (fabric, port) = cluster.port_to(&node.name)?;
    let drawn = cluster.options.mode == Mode::Vxlan;
    // Who chooses the port: the node that encapsulates, or the pod whose socket it is.
    let chooser = netns(if drawn { node } else { near })?;
    let range = port_range(&sysctl::read(&chooser, PORT_RANGE)?)?;
    let sites = cluster.sites(&[&fabric.name])?;
    let mut watch = Watch::start(sites, &[port], &[Hook::TcIn]).await?;
    let (from, source) = (netns(near)?, address(near, Family::V4)?);
    let (sink, to) = socket::bind(&netns(far)?, address(far, Family::V4)?)?;
    let send = move || {
        let send = || send_flows(source, to);
        socket::inside(&from, || format!("send {FLOWS} flows to {to}"), send)
    };
    let enough = |_: &(), seen: &[Seen]| {
        let flows = ports(seen.iter(), to.port());
        let packets: usize = flows.values().map(Vec::len).sum();
        u32::try_from(packets).is_ok_and(|packets| packets >= FLOWS * DATAGRAMS)
    };
    let ((), seen) = watch.during(send, SETTLE, enough).await?;
    drop(sink);
    let entropy = Entropy::new(&ports(seen.iter(), to.port()), &range, drawn);
    if entropy.flows < FLOWS {
        return Err(Error::Unseen(format!("{} of {FLOWS} flows", FLOWS - entropy.flows)));
    }
    Ok(entropy)
}

/// Sends from as many sockets, one after the other, so that few descriptors are needed.
fn send_flows(source: IpAddr, to: SocketAddr) -> io::Result<()> {
    let mut used = BTreeSet::new();
    for _ in 0..FLOWS * DRAWS {
        let socket = UdpSocket::bind((source, 0))?;
        // A port of an earlier flow would be that flow.
        if !used.insert(socket.local_addr()?.port()) {
            continue;
        }
        for _ in 0..DATAGRAMS {
            socket.send_to(b"flow", to)?;
        }
        if used.len() >= FLOWS as usize {
            break;
        }
    }
    Ok(())
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(low)), Some(Ok(high))) => Ok(low..=high),
        _ => Err(netlink::Error::new(
            "read the sysctl",
            format!("net/{PORT_RANGE}"),
            netlink::Cause::Unfit("it is not two port numbers"),
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::frame::tests as frames, *};

    fn seen(bytes: Vec<u8>) -> Seen {
        let (host, interface) = ("fabric".into(), "node-1".into());
        Seen { host, interface, hook: Hook::TcIn, wire_len: 0, bytes, drop: None }
    }

    #[test]
    fn entropy_is_shannons() {
        assert!((bits([1; 8].into_iter()) - 3.0).abs() < 1e-9);
        assert!((bits([3, 1].into_iter()) - 0.811_278).abs() < 1e-6);
        assert!(bits([5].into_iter()).abs() < 1e-9);
        assert!(bits([].into_iter()).abs() < 1e-9);
    }

    #[test]
    fn outer_ports_are_found_by_inner_flow() {
        let packet =
            |outer, inner| seen(frames::encapsulated(outer, &frames::datagram(inner, b"x")));
        let stray = seen(frames::encapsulated(1, b"no frame"));
        let captured =
            [packet(40000, 1), packet(50000, 2), packet(40000, 1), packet(50001, 2), stray];
        let flows = ports(captured.iter(), 9);
        assert_eq!(flows, BTreeMap::from([(1, vec![40000, 40000]), (2, vec![50000, 50001])]));
        assert!(ports(captured.iter(), 10).is_empty());
        let entropy = Entropy::new(&flows, &(40000..=50000), true);
        assert_eq!((entropy.flows, entropy.unsteady, entropy.outside), (2, 1, 1));
        assert_eq!(entropy.seen, [40000, 50000]);
        assert!((entropy.bits.measured - 1.0).abs() < 1e-9);
    }

    #[test]
    fn flows_that_are_not_encapsulated_have_their_own_ports() {
        let captured = [1, 2, 3].map(|port| seen(frames::datagram(port, b"x")));
        let entropy = Entropy::new(&ports(captured.iter(), 9), &(1..=3), false);
        assert!(entropy.distinct.agrees() && entropy.bits.agrees(), "{entropy:?}");
        assert!((entropy.bits.measured - entropy.most_bits).abs() < 1e-9);
    }

    #[test]
    fn flows_that_share_a_port_cannot_be_told_apart() {
        let flows: BTreeMap<u16, Vec<u16>> = (1..=4).map(|flow| (flow, vec![8472])).collect();
        let entropy = Entropy::new(&flows, &(32768..=60999), true);
        assert!(entropy.bits.measured.abs() < 1e-9);
        assert!((entropy.distinct.measured - 1.0).abs() < 1e-9);
        assert_eq!(entropy.outside, 4);
    }

    #[test]
    fn a_range_is_two_numbers() {
        assert_eq!(port_range("32768\t60999").unwrap(), 32768..=60999);
        assert!(port_range("32768").is_err());
        assert!(port_range("a b").is_err());
    }
}
