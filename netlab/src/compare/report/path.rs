//! The way of a packet from the client through a node port to a pod on the other node: what it
//! looks like between any two of them, and who changes it.
//!
//! Addresses, ports and MTUs are those of the captured packets. The client's address is in none
//! of them, so it goes by its name.

use maud::{Markup, html};

use super::{
    headers::{Kind, Layer},
    judgement, packet,
};
use crate::{
    compare::{
        properties::{mtu, too_large::Fate},
        result::{Comparison, Network},
        site::TCP_PORTS,
    },
    lab::Mode,
};

/// What is known of the way.
struct Way {
    mode: Mode,
    /// Of the nodes on the underlay, or their names.
    nodes: [String; 2],
    pod: String,
    pod_mtu: String,
    underlay_mtu: u32,
    /// Port and network identifier of VXLAN.
    tunnel: Option<[String; 2]>,
}

/// A header as it is drawn: its kind, and what is in it.
type Header = (Kind, String);

/// The ways through all networks, beside each other.
pub(super) fn paths(comparison: &Comparison) -> Markup {
    html! {
        p {
            "A client dials node-1 at its node port, and the pod is on node-2. Between two hosts "
            "stands the packet as it is there, the outermost header first; at a host stands what "
            "it does to it. The answer goes back the same way, and node-1 undoes both translations."
        }
        div class="paths" {
            @for network in &comparison.networks { (draw(&Way::of(comparison, network))) }
        }
    }
}

impl Way {
    fn of(comparison: &Comparison, network: &Network) -> Self {
        let mode = network.properties.mode;
        let layers = packet::layers(network);
        let is_ip = |layer: &&Layer| matches!(layer.kind, Kind::Ipv4 | Kind::Ipv6);
        let inner = layers.iter().find(|layer| is_ip(layer) && !layer.outer);
        let pod = inner.map_or_else(|| "pod".to_owned(), |ip| ip.value("destination").to_owned());
        let outer = |kind: Kind| layers.iter().find(move |layer| layer.outer && layer.kind == kind);
        let tunnel = outer(Kind::Udp).zip(outer(Kind::Vxlan)).map(|(udp, vxlan)| {
            [udp.value("destination port").to_owned(), vxlan.value("VNI").to_owned()]
        });
        let fits = &network.properties.mtu;
        let between_pods = fits.iter().find(|fit| fit.way == mtu::Way::PodToPod);
        let pod_mtu = between_pods.map(|fit| fit.mtu.measured.to_string());
        Self {
            mode,
            nodes: nodes(comparison),
            pod,
            pod_mtu: pod_mtu.unwrap_or_else(|| "?".to_owned()),
            underlay_mtu: network.properties.underlay_mtu,
            tunnel,
        }
    }

    /// Node-1's address as the pod sees it: that of the interface that leads there.
    fn masqueraded(&self) -> String {
        match self.mode {
            Mode::HostGw => self.nodes[0].clone(),
            Mode::Vxlan => "node-1 (flannel.1)".to_owned(),
        }
    }

    fn dialled(&self) -> Vec<Header> {
        vec![
            (Kind::Ethernet, "client → node-1".to_owned()),
            (Kind::Ipv4, format!("client → {}", self.nodes[0])),
            (Kind::Tcp, format!("→ {}", TCP_PORTS[0])),
        ]
    }

    fn inner(&self, ends: &str) -> Vec<Header> {
        vec![
            (Kind::Ethernet, ends.to_owned()),
            (Kind::Ipv4, format!("{} → {}", self.masqueraded(), self.pod)),
            (Kind::Tcp, format!("→ {}", TCP_PORTS[1])),
        ]
    }

    fn between_nodes(&self) -> (Vec<Header>, Vec<Header>) {
        match &self.tunnel {
            None => (Vec::new(), self.inner("node-1 → node-2")),
            Some([port, vni]) => (
                vec![
                    (Kind::Ethernet, "node-1 → node-2".to_owned()),
                    (Kind::Ipv4, self.nodes.join(" → ")),
                    (Kind::Udp, format!("hash of the flow → {port}")),
                    (Kind::Vxlan, format!("network {vni}")),
                ],
                self.inner("flannel.1 → flannel.1"),
            ),
        }
    }
}

/// Underlay addresses of the nodes: those of a tunnel's outer header, or what told a sender that
/// its packet is too large; their names where neither was seen.
fn nodes(comparison: &Comparison) -> [String; 2] {
    let outer = |network: &Network| {
        let layers = packet::layers(network);
        let ip = layers.into_iter().find(|layer| layer.outer && layer.kind == Kind::Ipv4)?;
        Some([ip.value("source").to_owned(), ip.value("destination").to_owned()])
    };
    let told = |network: &Network| {
        let mut fates = network.properties.too_large.iter().map(|attempt| &attempt.fate.measured);
        fates.find_map(|fate| match fate {
            Fate::FragmentationNeeded { from, .. } => Some([from.to_string(), "node-2".to_owned()]),
            _ => None,
        })
    };
    let networks = || comparison.networks.iter();
    let known = networks().find_map(outer).or_else(|| networks().find_map(told));
    known.unwrap_or_else(|| ["node-1", "node-2"].map(str::to_owned))
}

fn draw(way: &Way) -> Markup {
    let (outer, inner) = way.between_nodes();
    let encapsulated = way.tunnel.is_some();
    html! {
        div class="path" {
            h4 { (judgement::network(way.mode)) }
            ol {
                (host("client", "outside of the cluster", &[]))
                (wire(&[], &way.dialled(), way.underlay_mtu.to_string().as_str()))
                (host("node-1", &way.nodes[0], &at_node_1(way)))
                (wire(&outer, &inner, &way.underlay_mtu.to_string()))
                (host("fabric", "a switch: neither address nor TTL changes", &[]))
                (wire(&outer, &inner, &way.underlay_mtu.to_string()))
                @if encapsulated {
                    (host("node-2", &way.nodes[1], &[
                        ("DECAP", "takes the outer headers off".to_owned()),
                        ("ROUTE", "to the pod's interface; TTL less 1".to_owned()),
                    ]))
                } @else {
                    (host("node-2", &way.nodes[1], &[
                        ("ROUTE", "to the pod's interface; TTL less 1".to_owned()),
                    ]))
                }
                (wire(&[], &way.inner("node-2 → pod"), &way.pod_mtu))
                (host("pod", &way.pod, &[]))
            }
        }
    }
}

fn at_node_1(way: &Way) -> Vec<(&'static str, String)> {
    let mut does = vec![
        (
            "DNAT",
            format!(
                "destination {}:{} becomes {}:{}",
                way.nodes[0], TCP_PORTS[0], way.pod, TCP_PORTS[1]
            ),
        ),
        ("SNAT", format!("source client becomes {}, with a port of the node's", way.masqueraded())),
        (
            "ROUTE",
            match way.mode {
                Mode::HostGw => format!("the pod's subnet is behind {}; TTL less 1", way.nodes[1]),
                Mode::Vxlan => "the pod's subnet is behind flannel.1; TTL less 1".to_owned(),
            },
        ),
    ];
    if let Some([port, _]) = &way.tunnel {
        let to = &way.nodes[1];
        does.push(("ENCAP", format!("into UDP to {to}:{port}, 50 bytes more on IPv4")));
    }
    does
}

fn host(name: &str, address: &str, does: &[(&str, String)]) -> Markup {
    html! {
        li class="host" {
            p { b { (name) } @if address != name { " " span class="muted" { (address) } } }
            @if !does.is_empty() {
                ul { @for (what, how) in does { li { span class="does" { (what) } " " (how) } } }
            }
        }
    }
}

fn wire(outer: &[Header], inner: &[Header], mtu: &str) -> Markup {
    let header = |(kind, what): &Header| {
        html! {
            span class={ "header " (packet::class(*kind)) } { b { (kind.name()) } " " (what) }
        }
    };
    html! {
        li class="wire" {
            div class="packet" {
                @if outer.is_empty() {
                    @for of in inner { (header(of)) }
                } @else {
                    @for of in outer { (header(of)) }
                    div class="inside" { @for of in inner { (header(of)) } }
                }
            }
            p class="muted" { "MTU " (mtu) }
        }
    }
}
