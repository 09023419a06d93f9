//! What needs no clock: bytes, what fits, what becomes of what does not, ports, state, and
//! routed underlays.

use maud::{Markup, html};

use super::{judgement, packet, path, scaling, table};
use crate::{
    compare::{
        properties::{
            Beside, mtu,
            overhead::{Row, Transported},
            state::Entries,
            too_large::{self, Attempt, Fate},
        },
        result::{Comparison, Network},
    },
    lab::Family,
};

/// All sections; nothing where none of it was measured.
pub(super) fn sections(comparison: &Comparison) -> Option<Markup> {
    let networks = &comparison.networks;
    (!networks.is_empty()).then(|| {
        html! {
            section id="path" { h2 { "The way of a packet" } (path::paths(comparison)) }
            section id="packet" {
                h2 { "A packet, byte by byte" }
                (packet::stacks(networks))
            }
            section id="bytes" { h2 { "Bytes on the underlay" } (bytes(networks)) }
            section id="mtu" { h2 { "What fits" } (fits(networks)) (too_large(networks)) }
            section id="entropy" { h2 { "What the underlay can tell flows apart by" } (entropy(networks)) }
            section id="nodes" {
                h2 { "With many nodes" }
                (per_peer(networks))
                (scaling::nodes(networks))
            }
            section id="routed" { h2 { "On a routed underlay" } (routed(networks)) }
        }
    })
}

fn words(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn name(network: &Network) -> String {
    judgement::network(network.properties.mode).to_owned()
}

const fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// What was measured, and what should have been where that is something else.
fn beside<T: PartialEq>(of: &Beside<T>, show: impl Fn(&T) -> String) -> String {
    let measured = show(&of.measured);
    if of.agrees() { measured } else { format!("{measured} (expected: {})", show(&of.predicted)) }
}

fn overhead_rows(network: &Network) -> impl Iterator<Item = &Row> + Clone {
    network.properties.overhead.iter().flat_map(|overhead| &overhead.rows)
}

fn bytes(networks: &[Network]) -> Markup {
    let row = |network: &Network, row: &Row| {
        let protocol = match row.protocol {
            Transported::Tcp => "a TCP connection".to_owned(),
            Transported::Udp if row.payload == 1 => "UDP, 1 byte".to_owned(),
            Transported::Udp => format!("UDP, {} bytes", row.payload),
        };
        let added: Vec<_> = row.added.measured.iter().map(i64::to_string).collect();
        let expected: Vec<_> = row.added.predicted.iter().map(i64::to_string).collect();
        vec![
            name(network),
            family(row.family).to_owned(),
            protocol,
            added.join(", "),
            expected.join(", "),
            row.underlay_bytes.measured.to_string(),
            format!("{:.3}", row.per_payload_byte.measured),
        ]
    };
    let of = |network: &Network| -> Vec<Vec<String>> {
        overhead_rows(network).map(|of| row(network, of)).collect()
    };
    let rows: Vec<_> = networks.iter().flat_map(of).collect();
    let all = networks.iter().flat_map(overhead_rows);
    let agree = all.clone().all(|row| row.added.agrees());
    let said = if agree {
        "Counted by capture, each packet at the pod and where it comes onto the underlay. All are \
         as much longer as arithmetic says."
    } else {
        "Counted by capture, each packet at the pod and where it comes onto the underlay. Not all \
         are as much longer as arithmetic says."
    };
    let header = words(&[
        "network",
        "family",
        "traffic",
        "bytes added",
        "predicted",
        "bytes on the underlay",
        "for each byte of payload",
    ]);
    html! { p { (said) } (table("Bytes on the underlay", &header, &rows)) }
}

fn fits(networks: &[Network]) -> Markup {
    let row = |network: &Network, fit: &mtu::Fit| {
        let way = match fit.way {
            mtu::Way::PodToPod => "pod to pod".to_owned(),
            mtu::Way::NodePort => {
                format!("client through a node port ({})", network.properties.proxy)
            }
        };
        let number = |of: &Beside<u32>| beside(of, u32::to_string);
        vec![
            name(network),
            way,
            family(fit.family).to_owned(),
            number(&fit.mtu),
            number(&fit.offered),
            number(&fit.answered),
            number(&fit.mss),
            fit.segment.to_string(),
        ]
    };
    let of = |network: &Network| -> Vec<Vec<String>> {
        network.properties.mtu.iter().map(|fit| row(network, fit)).collect()
    };
    let rows: Vec<_> = networks.iter().flat_map(of).collect();
    let header = words(&[
        "network",
        "way",
        "family",
        "MTU",
        "MSS offered",
        "MSS answered",
        "MSS that holds",
        "bytes a segment",
    ]);
    html! {
        p {
            "The MSS is read from the handshakes as they arrive. The bytes of a segment are fewer "
            "where each has options, such as timestamps."
        }
        (table("What fits", &header, &rows))
    }
}

fn too_large(networks: &[Network]) -> Markup {
    let row = |network: &Network, attempt: &Attempt| {
        let way = match attempt.way {
            too_large::Way::PodToPod => "pod to pod".to_owned(),
            too_large::Way::PodToClient => "pod to client".to_owned(),
            too_large::Way::ClientToNodePort => {
                format!("client to node port ({})", network.properties.proxy)
            }
        };
        let drops: Vec<_> =
            attempt.drops.iter().map(|(host, reason)| format!("{reason} at {host}")).collect();
        vec![
            name(network),
            way,
            attempt.length.to_string(),
            if attempt.dont_fragment { "yes" } else { "no" }.to_owned(),
            beside(&attempt.fate, fate),
            if drops.is_empty() { "–".to_owned() } else { drops.join(", ") },
        ]
    };
    let of = |network: &Network| -> Vec<Vec<String>> {
        network.properties.too_large.iter().map(|attempt| row(network, attempt)).collect()
    };
    let rows: Vec<_> = networks.iter().flat_map(of).collect();
    let header =
        words(&["network", "way", "bytes", "don't fragment", "what became of it", "dropped"]);
    let remark = networks.iter().find_map(|network| network.properties.remark());
    html! {
        h3 { "One byte too large" }
        p { "A datagram that just fits, and one that is a byte longer, in IPv4." }
        (table("One byte too large", &header, &rows))
        @if let Some(remark) = remark { p { (remark) } }
    }
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Arrived { pieces: 1 } => "arrived whole".to_owned(),
        Fate::Arrived { pieces } => format!("arrived in {pieces} fragments"),
        Fate::Refused { mtu } => format!("refused by the sender's own kernel, MTU {mtu}"),
        Fate::FragmentationNeeded { mtu, from } => {
            format!("{from} told the sender by ICMP: fragmentation needed, MTU {mtu}")
        }
        Fate::Unreachable(told) => format!("lost; the sender was told: {told}"),
        Fate::Dropped => "dropped, and the sender was not told".to_owned(),
        Fate::Silence => "did not arrive, and nobody said why".to_owned(),
    }
}

fn entropy(networks: &[Network]) -> Markup {
    let row = |network: &Network| {
        let entropy = network.properties.entropy.as_ref()?;
        Some(vec![
            name(network),
            entropy.flows.to_string(),
            format!("{:.0} ({:.0})", entropy.distinct.measured, entropy.distinct.predicted),
            format!("{:.2} ({:.2})", entropy.bits.measured, entropy.bits.predicted),
            format!("{:.2}", entropy.most_bits),
            format!("{} – {}", entropy.seen[0], entropy.seen[1]),
            entropy.unsteady.to_string(),
        ])
    };
    let rows: Vec<_> = networks.iter().filter_map(row).collect();
    let header = words(&[
        "network",
        "flows",
        "different ports",
        "entropy in bits",
        "most there can be",
        "ports seen",
        "flows with more than one",
    ]);
    html! {
        p {
            "Switches and network cards spread packets by a hash of addresses and ports. Between "
            "two nodes the source port is all that tells encapsulated flows apart. In brackets: "
            "what ports drawn at random would come to, or one of its own for each flow."
        }
        (table("Source ports on the underlay", &header, &rows))
    }
}

fn per_peer(networks: &[Network]) -> Markup {
    let row = |network: &Network| {
        let per_peer = network.properties.state.as_ref()?.per_peer;
        let number = |of: fn(&Entries) -> usize| {
            let Beside { measured, predicted } = &per_peer;
            let of = Beside { measured: of(measured), predicted: of(predicted) };
            beside(&of, usize::to_string)
        };
        Some(vec![name(network), number(|e| e.routes), number(|e| e.neighbors), number(|e| e.fdb)])
    };
    let rows: Vec<_> = networks.iter().filter_map(row).collect();
    let header = words(&["network", "routes", "neighbors", "FDB entries"]);
    html! {
        p { "What a node is told of each other node, for each family:" }
        (table("Entries for each peer", &header, &rows))
    }
}

fn routed(networks: &[Network]) -> Markup {
    let one = |network: &Network| {
        let reach = network.routed.as_ref()?;
        let signs = &reach.signs;
        let took = crate::compare::wording::time(micros(reach.micros));
        let drops: Vec<_> =
            signs.drops.iter().map(|(host, reason)| format!("{reason} at {host}")).collect();
        Some(html! {
            li {
                b { (name(network)) } ": "
                @if reach.reached.measured {
                    "pods of different nodes reach each other; a connection took " (took) "."
                } @else {
                    "pods of different nodes do not reach each other. "
                    @if let Some(error) = &reach.error { "After " (took) " the dialler is told: " (error) ". " }
                    "The node asks " (signs.asked) " times for the other node's Ethernet address "
                    "and is answered " (signs.answered) " times; "
                    (signs.syns) " packets of the dialler come onto the wire."
                    @if !drops.is_empty() { " Dropped: " (drops.join(", ")) "." }
                }
                @if !reach.reached.agrees() { " Arithmetic expected otherwise." }
            }
        })
    };
    html! {
        p {
            "With a router between the nodes, each in a subnet of its own, the other node is no "
            "neighbor, so it cannot be a gateway."
        }
        ul { @for item in networks.iter().filter_map(one) { (item) } }
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a measurement")]
const fn micros(micros: u64) -> f64 {
    micros as f64
}
