//! Tunnels between nodes, and what they carry.

use super::{Code, Page};

pub(super) const PAGES: &[Page] = &[
    Page {
        code: Code::MtuBlackHole,
        wire: "The handshake works and small answers come; then the connection stalls. The same full \
               segment is sent again and again with DF set, and no ICMP \"fragmentation needed\" comes \
               back.",
        known: "It follows a full segment (by the MTUs of both ends) over each link both ways, adds what \
                VXLAN adds (50 octets over IPv4, 70 over IPv6), and looks for the rule that keeps the \
                ICMP error from the sender. The probe sends 4,000 bytes for this reason.",
        mended: "Make the narrow link as wide as the others, or the pods' links narrower; and let ICMP \
                 type 3 code 4 (IPv6: type 2) pass, which never was a danger. Clamping \
                 (`nft ... tcp option maxseg size set rt mtu`) helps TCP where neither can be had.",
        related: &[Code::VxlanFiltered, Code::ForwardDropped],
    },
    Page {
        code: Code::VxlanFiltered,
        wire: "Outer packets (UDP, port 8472 or 4789) leave one node and never reach the other, or are \
               dropped as they come in. Pods of the node that is dialled answer, those of others do not.",
        known: "It walks the outer datagram through the filters of both nodes and what is between them.",
        mended: "Let UDP 8472 (flannel, the kernel's default) or 4789 (RFC 7348) pass between the nodes: \
                 in the node's firewall, and in the provider's security group, which no tool on the node \
                 can see.",
        related: &[Code::InputDropped, Code::OuterChecksum, Code::VxlanMismatch],
    },
    Page {
        code: Code::OuterChecksum,
        wire: "Outer packets arrive at the other node, tcpdump shows them with a bad UDP checksum, and \
               nothing comes out of the tunnel. `UdpInCsumErrors` counts up there.",
        known: "It walks the outer packet over the rules of both nodes and of whatever else lies between, \
                and finds one that changes its UDP checksum. An offload that computes it wrong it does \
                not see: `nstat -az UdpInCsumErrors` at the receiver does.",
        mended: "`ethtool -K flannel.1 tx-checksum-ip-generic off` at the sender, which has the kernel \
                 compute what the interface's offload gets wrong; or have the device send none \
                 (`noudpcsum`), which RFC 7348 allows over IPv4. A rule that spoils it is named by the \
                 finding.",
        related: &[Code::VxlanFiltered],
    },
    Page {
        code: Code::VxlanMismatch,
        wire: "Outer packets arrive and nothing comes out: with another VNI the kernel drops them, with \
               another port it answers with ICMP port unreachable.",
        known: "It compares VNI and UDP port of the VXLAN devices of all nodes, and says which is the odd \
                one.",
        mended: "Neither can be changed on a device: delete it and make it anew, or have the network \
                 plugin do so (flannel: `ip link del flannel.1`, then restart it). Mind the plugin's \
                 configuration, which must be one for all nodes.",
        related: &[Code::VxlanFiltered, Code::FdbWrong],
    },
    Page {
        code: Code::FdbWrong,
        wire: "Outer packets go to an address where no VTEP is, or none leaves at all.",
        known: "It looks the next VTEP's Ethernet address up in the VXLAN device's FDB and compares with \
                the address of the peer's device.",
        mended: "`bridge fdb replace MAC dev flannel.1 dst NODE self permanent`. The plugin writes it from \
                 the Node objects' annotations; one that was made by hand does not last if those are wrong.",
        related: &[Code::VtepNeighborWrong, Code::DuplicateNodeAddress],
    },
    Page {
        code: Code::VtepNeighborWrong,
        wire: "No outer packet leaves (nobody answers ARP on the device), or the peer discards the inner \
               frame because it is not for its MAC address.",
        known: "It looks the next hop up in the neighbor table of the VXLAN device and compares with the \
                peer's link.",
        mended: "`ip neigh replace VTEP lladdr MAC dev flannel.1 nud permanent`. A node that was made anew \
                 under the same name has another MAC address than its annotation says.",
        related: &[Code::FdbWrong, Code::NeighborStale],
    },
];
