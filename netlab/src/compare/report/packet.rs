//! A captured packet in each network, byte by byte: as the pod sent it, and as it came onto the
//! underlay.

use maud::{Markup, html};

use super::{
    headers::{self, Field, Kind, Layer},
    judgement,
};
use crate::compare::{properties::overhead::Example, result::Network};

/// Bytes of a field that are shown; of more, so many and how many there are.
const SHOWN: usize = 16;

/// The stacks of all networks beside each other.
pub(super) fn stacks(networks: &[Network]) -> Markup {
    html! {
        p {
            "A packet from one pod to a pod of the other node, as it was captured where it comes "
            "onto the underlay. Every byte is here, in its order; a colour is a header. What has "
            "a frame around it was put around the pod's own packet on the way."
        }
        div class="stacks" {
            @for stack in networks.iter().filter_map(stack) { (stack) }
        }
    }
}

fn stack(network: &Network) -> Option<Markup> {
    let Example { pod, underlay } = &network.properties.overhead.as_ref()?.example;
    let layers = layers(network);
    let (outer, inner): (Vec<_>, Vec<_>) = layers.iter().partition(|layer| layer.outer);
    let bytes = |layers: &[&Layer]| layers.iter().map(|layer| layer.len()).sum::<usize>();
    let mode = judgement::network(network.properties.mode);
    Some(html! {
        div class="stack" data-bytes=(underlay.len() / 2) {
            h4 { (mode) ": " (underlay.len() / 2) " bytes, " (pod.len() / 2) " of them the pod's" }
            @if !outer.is_empty() {
                div class="outer" {
                    p class="outer-name" { "added on the way: " (bytes(&outer)) " bytes" }
                    @for layer in &outer { (one(layer)) }
                }
            }
            @for layer in &inner { (one(layer)) }
        }
    })
}

fn one(layer: &Layer) -> Markup {
    html! {
        div class={ "layer " (class(layer.kind)) } {
            p class="layer-name" {
                b { @if layer.outer && layer.kind != Kind::Vxlan { "outer " } (layer.kind.name()) }
                " " span class="muted" { (layer.len()) @if layer.len() == 1 { " byte" } @else { " bytes" } }
            }
            dl class="fields" { @for field in &layer.fields { (cell(field)) } }
        }
    }
}

fn cell(field: &Field) -> Markup {
    let shown: Vec<_> = field.bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    let more = field.bytes.len().saturating_sub(SHOWN);
    html! {
        div class="field" {
            dt { (field.name.trim_end()) }
            dd {
                code { (shown.join(" ")) @if more > 0 { " … " (more) " more" } }
                span { (field.value) }
            }
        }
    }
}

/// The class that colours a header.
pub(super) const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Ethernet => "h-eth",
        Kind::Ipv4 | Kind::Ipv6 => "h-ip",
        Kind::Udp => "h-udp",
        Kind::Tcp => "h-tcp",
        Kind::Vxlan => "h-vxlan",
        Kind::Payload => "h-data",
    }
}

/// What a network's packet has been found to be made of, for others that draw it.
pub(super) fn layers(of: &Network) -> Vec<Layer> {
    let overhead = of.properties.overhead.as_ref();
    let bytes = overhead.and_then(|overhead| headers::bytes(&overhead.example.underlay));
    bytes.map(|bytes| headers::layers(&bytes)).unwrap_or_default()
}
