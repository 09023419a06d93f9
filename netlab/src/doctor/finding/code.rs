//! Every cause that the doctor knows.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $row:literal;)+) => {
        /// A cause, by the name that it keeps.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl Code {
            /// All, in the order of the catalogue.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The row of the catalogue (docs/findings.md); 0 for what is in no row.
            #[must_use]
            pub const fn row(self) -> u8 {
                match self { $(Self::$variant => $row),+ }
            }

            /// What it is, in a paragraph: the comment at its variant.
            #[must_use]
            pub fn about(self) -> String {
                let lines: &[&str] = match self { $(Self::$variant => &[$($doc),+]),+ };
                lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
            }
        }
    };
}

codes! {
    /// Packets from one interface to another are dropped by the netfilter hook forward: a chain's
    /// policy, or a rule. Only what the stack forwards is met, so the Service answers where the
    /// pod is local to a bridge that is not filtered, and nowhere else.
    ForwardDropped = "forward-dropped", 1;
    /// The kernel does not forward: net.ipv4.ip_forward, its like for IPv6, or the switch of an
    /// interface is off.
    ForwardingOff = "forwarding-off", 2;
    /// Strict reverse-path filtering (rp_filter=1) drops what comes in by another interface than
    /// the answer would take.
    ReversePathFilter = "reverse-path-filter", 3;
    /// The Service has no endpoints: its selector matches no pod.
    NoEndpoints = "no-endpoints", 4;
    /// There are endpoints, but none is ready.
    NoneReady = "none-ready", 5;
    /// The traffic policy is Local, and the node that is dialled has no endpoint.
    NoLocalEndpoint = "no-local-endpoint", 6;
    /// Nothing listens on the target port in the pod.
    NothingListens = "nothing-listens", 7;
    /// The pod's program listens on its loopback address alone.
    ListensOnLoopback = "listens-on-loopback", 8;
    /// The answer does not come back through the node that translated the question, so nobody
    /// translates it back.
    ReplyBypassesEntry = "reply-bypasses-entry", 9;
    /// A connection table is full: the kernel's, or netlab's.
    ConntrackFull = "conntrack-full", 10;
    /// All ports to masquerade with towards a backend are in use.
    SnatPortsExhausted = "snat-ports-exhausted", 11;
    /// A UDP flow is still translated to a pod that is no endpoint any more.
    StaleUdpState = "stale-udp-state", 12;
    /// Packets that are larger than a link on the way takes are lost, and nobody tells the sender.
    MtuBlackHole = "mtu-black-hole", 13;
    /// VXLAN's datagrams are filtered between the nodes.
    VxlanFiltered = "vxlan-filtered", 14;
    /// The outer UDP checksum of VXLAN's datagrams is wrong, so the receiver discards them.
    OuterChecksum = "outer-checksum", 15;
    /// The VXLAN devices of the nodes do not agree in VNI or UDP port.
    VxlanMismatch = "vxlan-mismatch", 16;
    /// The forwarding database sends the frames for a node's VTEP to another address, or nowhere.
    FdbWrong = "fdb-wrong", 17;
    /// The neighbor entry of a node's VTEP is missing, or has another MAC address.
    VtepNeighborWrong = "vtep-neighbor-wrong", 17;
    /// There is no route to the pods of another node.
    RouteMissing = "route-missing", 18;
    /// The route to a node's pods leads to another node.
    RouteWrong = "route-wrong", 19;
    /// The next hop of a host-gw route is not on the link.
    NotAdjacent = "not-adjacent", 20;
    /// Two hosts have the same address, of a node or of a VTEP.
    DuplicateNodeAddress = "duplicate-node-address", 21;
    /// A Node object has an address that its host does not have, nor any other.
    NodeAddressWrong = "node-address-wrong", 21;
    /// The node that is dialled drops the packet before anything is translated: netfilter's
    /// ingress, prerouting or input.
    InputDropped = "input-dropped", 22;
    /// A program that is not netlab's, at XDP or tc, is in the way.
    ForeignProgram = "foreign-program", 22;
    /// A rule at or before the pod drops or rejects the packet after its translation, as a network
    /// policy does.
    PolicyDropped = "policy-dropped", 23;
    /// A process of the node holds the node port, and answers in the Service's place.
    PortHeld = "port-held", 24;
    /// The node port is among the ports that local sockets are given, so one may hold it.
    PortEphemeral = "port-ephemeral", 24;
    /// The address that is dialled is none of those on which node ports answer.
    AddressExcluded = "address-excluded", 25;
    /// A pod that dials its own Service is answered past the translation.
    Hairpin = "hairpin", 26;
    /// The listener's queue is full: the program does not accept as fast as clients connect.
    BacklogFull = "backlog-full", 27;
    /// The Service has no addresses of the family that is dialled.
    FamilyMissing = "family-missing", 28;
    /// The client is outside of loadBalancerSourceRanges.
    SourceRangeDenied = "source-range-denied", 29;
    /// The pod has no route for the answer, or a wrong gateway.
    PodRouteWrong = "pod-route-wrong", 30;
    /// A link on the way is down, or is not a port of its bridge.
    LinkDown = "link-down", 31;
    /// A neighbor entry on the way has a MAC address that nobody has.
    NeighborStale = "neighbor-stale", 32;
    /// Two pods have the same address.
    DuplicatePodAddress = "duplicate-pod-address", 33;
    /// Nobody programs the node: the agent or kube-proxy does not run.
    ProxyGone = "proxy-gone", 34;
    /// What the node has been programmed with is not what the objects say.
    ProxyStale = "proxy-stale", 34;
    /// Policy routing sends the packet or its answer another way.
    PolicyRouting = "policy-routing", 35;
    /// The packet has been forwarded as often as its TTL allows.
    TtlExpired = "ttl-expired", 36;
    /// It fails, and nothing that was read says why.
    Unexplained = "unexplained", 0;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|code| code.name() == name).copied();
        found.ok_or_else(|| {
            let nearest = nearest(name).map(|code| format!(" (did you mean {code}?)"));
            format!(
                "there is no finding {name}{}; netlab doctor --explain lists them",
                nearest.unwrap_or_default()
            )
        })
    }
}

/// The code that a word is likely meant for: one that it is a part of, or that it is most like.
fn nearest(word: &str) -> Option<Code> {
    /// What is less like it is no slip of the fingers.
    const ALIKE: f64 = 0.5;
    let parts = |code: &Code| code.name().split('-').any(|part| part == word);
    let likeness = |code: &Code| strsim::normalized_damerau_levenshtein(code.name(), word);
    let all = Code::ALL.iter().copied();
    let alike = all.map(|code| (likeness(&code), code)).filter(|(likeness, _)| *likeness >= ALIKE);
    let alike = || alike.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, code)| code);
    Code::ALL.iter().find(|code| parts(code)).copied().or_else(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_code_is_told_the_nearest() {
        let refused = |word: &str| word.parse::<Code>().unwrap_err();
        assert!(refused("fdb").contains("fdb (did you mean fdb-wrong?);"), "{}", refused("fdb"));
        assert!(refused("foward-droped").contains("(did you mean forward-dropped?)"));
        assert!(!refused("xyz").contains("did you mean"), "{}", refused("xyz"));
    }

    #[test]
    fn every_row_of_the_catalogue_has_a_code_and_every_code_a_name_of_its_own() {
        for row in 1..=36 {
            assert!(Code::ALL.iter().any(|code| code.row() == row), "row {row}");
        }
        for code in Code::ALL {
            assert_eq!(code.name().parse(), Ok(*code));
            assert!(code.about().ends_with('.'), "{code}");
        }
    }
}
