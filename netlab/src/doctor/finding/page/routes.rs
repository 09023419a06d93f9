//! Routes, neighbors and links.

use super::{Code, Page};

pub(super) const PAGES: &[Page] = &[
    Page {
        code: Code::RouteMissing,
        wire: "The translated SYN goes to the default gateway, which knows nothing of pods; or the client \
               gets ICMP network unreachable. Pods of the node that is dialled answer.",
        known: "It looks each packet up in policy rules and routes as the kernel does, and knows from the \
                Node objects (podCIDR) which node has the address.",
        mended: "The finding has the route. Who should have made it is the network plugin: look whether it \
                 runs on that node and sees the other's Node object.",
        related: &[Code::RouteWrong, Code::NotAdjacent, Code::PodRouteWrong],
    },
    Page {
        code: Code::RouteWrong,
        wire: "The SYN is seen at a third host, which sends it back, sends it on to its own gateway, or \
               answers with ICMP host unreachable.",
        known: "It compares the gateway of the route for a pod network with the node that has this podCIDR.",
        mended: "Replace the route; the finding has the command. It is mostly what was left of a node that \
                 had this podCIDR before.",
        related: &[Code::RouteMissing, Code::TtlExpired],
    },
    Page {
        code: Code::NotAdjacent,
        wire: "ARP for the gateway is not answered, and the client gets ICMP host unreachable after three \
               seconds; or a router between the nodes drops packets to pods' addresses.",
        known: "The gateway of the host-gw route is not on the link that it leads out by, or the bridge in \
                between keeps the ports apart.",
        mended: "host-gw needs nodes on one link, that pass each other any address. Where the network \
                 cannot do that (private VLANs, clouds that check sources), take VXLAN, or give the \
                 network's own routing table the pod networks.",
        related: &[Code::RouteMissing, Code::NeighborStale],
    },
    Page {
        code: Code::DuplicateNodeAddress,
        wire: "Some packets for the node go to another host, whoever was last heard by ARP; resets from \
               there, or silence.",
        known: "Two hosts have the address on their links.",
        mended: "Take the address away from the wrong host, and let the others ask anew who has it \
                 (`ip neigh flush to ADDRESS dev LINK`). `arping -D` finds a second owner that is no \
                 node.",
        related: &[Code::NeighborStale, Code::NodeAddressWrong],
    },
    Page {
        code: Code::NodeAddressWrong,
        wire: "Nobody answers ARP for the node's address: the other nodes' packets for its pods, and a \
               client that dials the address of the object, end in ICMP host unreachable.",
        known: "A Node object has an address that no host has on its links; the evidence is what the \
                node has.",
        mended: "Correct the Node object: kubelet writes it from `--node-ip`, or from the address that \
                 the node's name resolves to.",
        related: &[Code::DuplicateNodeAddress, Code::RouteWrong],
    },
    Page {
        code: Code::PodRouteWrong,
        wire: "The SYN reaches the pod, and its answer never leaves it, or goes to an address where nobody \
               is.",
        known: "It walks the answer from inside of the pod: its routes have no way to the client, or their \
                gateway is not the bridge of its node.",
        mended: "`ip route replace default via BRIDGE dev eth0` in the pod; then make the pod anew, so that \
                 the CNI plugin does it, and look at its configuration (`isDefaultGateway`).",
        related: &[Code::RouteMissing, Code::LinkDown],
    },
    Page {
        code: Code::LinkDown,
        wire: "Nothing goes out by that link. The node answers for the pod with ICMP host unreachable after \
               ARP has failed, or routes its packets elsewhere, since the route goes with the link.",
        known: "It reads the state of each link on the way, and of bridges which ports they have.",
        mended: "`ip link set dev LINK up`, `ip link set dev VETH master cni0`. Something else may manage \
                 the link: NetworkManager and systemd-networkd take bridges and veths for theirs unless \
                 told otherwise.",
        related: &[Code::NeighborStale, Code::RouteMissing],
    },
    Page {
        code: Code::NeighborStale,
        wire: "Frames to the pod or node carry a MAC address that nobody has, and nobody takes them.",
        known: "It compares the neighbor entry with the Ethernet address of the link that has the IP \
                address.",
        mended: "`ip neigh del ADDRESS dev LINK`: the kernel asks anew. A permanent entry was made by \
                 somebody and comes back with him.",
        related: &[Code::VtepNeighborWrong, Code::DuplicatePodAddress, Code::LinkDown],
    },
    Page {
        code: Code::PolicyRouting,
        wire: "The question arrives, and the answer leaves by another link, or for another gateway, or is \
               refused.",
        known: "It evaluates `ip rule` with source, mark and interface before any route, and compares with \
                the way that the main table has.",
        mended: "Delete the rule, or except the pod networks from it with one of higher priority: `ip rule \
                 add to PODS lookup main pref 100`. VPNs and multi-uplink setups write such rules.",
        related: &[Code::ReversePathFilter, Code::ReplyBypassesEntry, Code::RouteWrong],
    },
];
