//! All faults by name, where each applies, and what no fault here can show.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    agents, forwarding, limits, manifests, neighbors, netfilter, overlay, pods, programs, routes,
    site::Site, sockets, step::Plan, underlay,
};
use crate::lab::{Mode, Options, Proxy, Underlay};

/// A fault that can be injected.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Fault {
    /// Stable, in kebab-case.
    pub name: &'static str,
    /// Rows of the catalogue of causes that it imitates.
    pub rows: &'static [u8],
    /// What it imitates, in a sentence.
    pub imitates: &'static str,
    /// What it is done to.
    pub at: At,
    /// Pod networks that it shows in.
    pub modes: &'static [Mode],
    /// Proxies that it shows with.
    pub proxies: &'static [Proxy],
    /// Why nowhere else; empty where it shows everywhere.
    pub limits: &'static str,
    /// What a dial meets, one of these.
    pub shows: &'static [Shows],
    /// Who has to dial what to see it.
    pub dialled: Dialled,
    /// Programs that it is injected with, each one needed.
    pub programs: &'static [&'static str],
    /// It is done to the switch, so there has to be one (`--underlay l2`).
    #[serde(skip)]
    pub(super) on_switch: bool,
    /// Looks, changes nothing, and says what to do.
    #[serde(skip)]
    pub(super) plan: fn(&Site) -> Plan,
}

/// What a fault is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// A node: `--node`.
    Node,
    /// A pod of the Service: `--pod`, or the first on `--node`.
    Pod,
    /// The manifests.
    Service,
    /// The client outside.
    Client,
}

/// What somebody who dials sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shows {
    /// No answer at all.
    Silence,
    /// A TCP reset, or ICMP port unreachable.
    Refused,
    /// Another ICMP error: host, network unreachable, prohibited, time exceeded.
    Unreachable,
    /// The handshake and small answers come, large ones do not.
    Stalls,
    /// Somebody answers who is no pod of the Service.
    Stranger,
}

/// Who dials what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialled {
    /// The client, the node port of the node with the fault.
    AtNode,
    /// The client, that of another node, whose backends are partly on the node with the fault.
    AtPeer,
    /// The client, those of all nodes in turn.
    Anywhere,
    /// The client, the node's node port over IPv6.
    AtNodeV6,
    /// The client, with many bytes, at all nodes in turn.
    Bulk,
    /// The client, over UDP from one source port, at the node.
    UdpFlow,
    /// A pod beside those of the Service, the Service's cluster address.
    PodToService,
    /// The node itself, the node port at 127.0.0.1.
    Loopback,
}

/// A cause that no fault shows.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NotShown {
    /// Row of the catalogue of causes.
    pub row: u8,
    /// What cannot be shown.
    pub what: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// Both pod networks.
pub(super) const MODES: &[Mode] = &[Mode::HostGw, Mode::Vxlan];
/// Everybody who answers node ports.
pub(super) const PROXIES: &[Proxy] = &[Proxy::Ebpf, Proxy::Nftables, Proxy::Iptables];
/// kube-proxy's modes.
pub(super) const KUBE_PROXY: &[Proxy] = &[Proxy::Nftables, Proxy::Iptables];

const FAMILIES: [&[Fault]; 12] = [
    forwarding::FAULTS,
    netfilter::FAULTS,
    programs::FAULTS,
    manifests::FAULTS,
    sockets::FAULTS,
    agents::FAULTS,
    limits::FAULTS,
    overlay::FAULTS,
    routes::FAULTS,
    neighbors::FAULTS,
    underlay::FAULTS,
    pods::FAULTS,
];

const NOT_SHOWN: &[NotShown] = &[
    NotShown {
        row: 10,
        what: "netlab's own table, full",
        reason: "it forgets the connections that were silent for longest instead of refusing new \
                 ones, so a full table loses no SYN",
    },
    NotShown {
        row: 25,
        what: "nodePortAddresses that exclude the address dialled",
        reason: "neither netlab's programs nor its kube-proxy rules have that setting; \
                 route-localnet-off shows the other half of the row",
    },
    NotShown {
        row: 29,
        what: "loadBalancerSourceRanges",
        reason: "netlab does not honour them yet, and kube-proxy asks them of load-balancer \
                 addresses, not of node ports; source-range-drop imitates the rule that a cloud \
                 provider makes of them",
    },
];

impl Fault {
    /// Why it would show nothing in a lab of these options; None where it applies.
    #[must_use]
    pub fn unfit(&self, options: &Options) -> Option<String> {
        let because = |what: String| {
            let limits = self.limits;
            if limits.is_empty() { what } else { format!("{what}: {limits}") }
        };
        if options.proxy == Proxy::None {
            return Some("nobody answers node ports in a lab with --proxy none".to_owned());
        }
        if !self.modes.contains(&options.mode) {
            return Some(because(format!("it shows nothing with --mode {}", options.mode)));
        }
        if !self.proxies.contains(&options.proxy) {
            return Some(because(format!("it shows nothing with --proxy {}", options.proxy)));
        }
        (options.underlay == Underlay::Routed && self.on_switch)
            .then(|| "it is done to the switch, and this lab has --underlay routed".to_owned())
    }

    /// Where it applies, in words: `host-gw, vxlan / ebpf, nftables`.
    #[must_use]
    pub fn applies(&self) -> String {
        let words = |all: bool, words: Vec<String>| match all {
            true => "all".to_owned(),
            false => words.join(", "),
        };
        let modes = self.modes.iter().map(ToString::to_string).collect();
        let proxies = self.proxies.iter().map(ToString::to_string).collect();
        let modes = words(self.modes.len() == MODES.len(), modes);
        format!("{modes} / {}", words(self.proxies.len() == PROXIES.len(), proxies))
    }

    /// Its rows: `1`, or `17, 21`.
    #[must_use]
    pub fn row_list(&self) -> String {
        self.rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// All faults, by row of the catalogue of causes and then by name.
#[must_use]
pub fn all() -> Vec<&'static Fault> {
    let mut faults: Vec<&Fault> = FAMILIES.into_iter().flatten().collect();
    faults.sort_by_key(|fault| (fault.rows, fault.name));
    faults
}

/// The fault of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Fault> {
    FAMILIES.into_iter().flatten().find(|fault| fault.name == name)
}

/// What no fault shows.
#[must_use]
pub fn not_shown() -> &'static [NotShown] {
    NOT_SHOWN
}

/// The word that JSON has for it.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// The tables of docs/faults.md.
#[must_use]
pub fn table() -> String {
    let mut text = "| row | name | imitates | at | pod network / proxy | a dial meets |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for fault in all() {
        let shows: Vec<_> = fault.shows.iter().map(word).collect();
        let limits = match fault.limits {
            "" => String::new(),
            limits => format!(" ({limits})"),
        };
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | {} | {}{limits} | {} |",
            fault.row_list(),
            fault.name,
            fault.imitates,
            word(&fault.at),
            fault.applies(),
            shows.join(" or ")
        );
    }
    text.push_str("\n| row | not shown | because |\n| --- | --- | --- |\n");
    for not in NOT_SHOWN {
        let _ = writeln!(text, "| {} | {} | {} |", not.row, not.what, not.reason);
    }
    text
}
