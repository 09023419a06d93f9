//! The Service itself: endpoints, ports, addresses, families.

use super::{Code, Page};

pub(super) const PAGES: &[Page] = &[
    Page {
        code: Code::NoEndpoints,
        wire: "A TCP reset, or ICMP port unreachable, from the node at once; with some rule sets \
               silence. It is the same at every node.",
        known: "It reads the objects: the Service's selector, the pods' labels and the EndpointSlices. \
                The evidence shows the selector beside the labels of the pod that comes nearest.",
        mended: "Correct the selector or the labels; it is mostly one letter, and only then the doctor \
                 has a command for it: a workload that was scaled to none has no pods either. `kubectl get endpointslices \
                 -l kubernetes.io/service-name=NAME` shows at once whether it has helped. A Service \
                 without a selector needs EndpointSlices that somebody writes.",
        related: &[Code::NoneReady, Code::NoLocalEndpoint],
    },
    Page {
        code: Code::NoneReady,
        wire: "Like a Service without endpoints: a reset or port unreachable from the node, at every \
               node.",
        known: "It reads the conditions of the endpoints: each is there, and none is ready (or all are \
                terminating and do not serve any more).",
        mended: "`kubectl describe pod` says which readiness probe fails, and `kubectl logs` why. Mend \
                 the application, or the probe if it asks the wrong thing.",
        related: &[Code::NoEndpoints, Code::NothingListens],
    },
    Page {
        code: Code::NoLocalEndpoint,
        wire: "Silence at nodes without a pod of the Service, and answers at those with one: kube-proxy \
               drops what would have to leave the node.",
        known: "It reads `externalTrafficPolicy: Local` and on which nodes ready endpoints are.",
        mended: "Dial a node that has a pod, as a load balancer does that asks `healthCheckNodePort`; \
                 run a pod on each node (a DaemonSet); or set the policy to Cluster, which costs the \
                 client's address, as connections are masqueraded then.",
        related: &[Code::NoEndpoints, Code::ReplyBypassesEntry],
    },
    Page {
        code: Code::NothingListens,
        wire: "The SYN gets to the pod, and the pod itself answers with a reset (UDP: port \
               unreachable). So all of the network is well.",
        known: "It lists the listening sockets in the pod's namespace, all of which are in the evidence, \
                and finds none on the port that the packet is translated to.",
        mended: "Look which of the two is wrong: a port that something else listens on points to a \
                 wrong `targetPort`; no socket at all to an application that has not started or has \
                 crashed.",
        related: &[Code::ListensOnLoopback, Code::NoneReady],
    },
    Page {
        code: Code::ListensOnLoopback,
        wire: "A reset from the pod, although the application runs and answers inside of it.",
        known: "The only socket of that port in the pod is bound to 127.0.0.1 or ::1.",
        mended: "Have the application listen on all addresses: 0.0.0.0, or [::], which takes both IP \
                 versions. Development servers often need a flag for that, such as `--host 0.0.0.0`.",
        related: &[Code::NothingListens],
    },
    Page {
        code: Code::PortHeld,
        wire: "Somebody answers, and it is not the Service: another greeting, another certificate, or a \
               reset by a program that does not speak the protocol.",
        known: "It lists the node's sockets with the processes that hold them, and rules that redirect \
                the node port. Where translation comes first, the socket is met only by the node itself, \
                and is a risk; where probes are answered by a stranger, it is broken.",
        mended: "Give the other program another port, or delete the redirection. kube-proxy used to hold \
                 node ports open so that nobody else could; it does not any more.",
        related: &[Code::PortEphemeral],
    },
    Page {
        code: Code::PortEphemeral,
        wire: "Nothing, most of the time. Once a local client's socket is given the node port as its \
               source port, its answers may be translated to a pod, and its connection hangs.",
        known: "The node port is in `net.ipv4.ip_local_port_range` and not in \
                `ip_local_reserved_ports`.",
        mended: "Reserve the range of node ports: `sysctl -w \
                 net.ipv4.ip_local_reserved_ports=30000-32767`, and below /etc/sysctl.d for the next \
                 boot.",
        related: &[Code::PortHeld],
    },
    Page {
        code: Code::AddressExcluded,
        wire: "A reset from the node at this address, and answers at others of the same node.",
        known: "It compares the address dialled with those on which node ports answer: those in the \
                datapath's maps, or those others of the node at which its rules translate the same \
                port, as kube-proxy writes them by its `nodePortAddresses`. Of loopback addresses it \
                says nothing.",
        mended: "Dial one of the addresses in the evidence, or widen `nodePortAddresses`. Node ports at \
                 127.0.0.1 exist with kube-proxy's iptables mode alone; nftables never has them.",
        related: &[Code::FamilyMissing, Code::DuplicateNodeAddress],
    },
    Page {
        code: Code::BacklogFull,
        wire: "SYNs, or the last segment of the handshake, are ignored and sent again; now and then one \
               gets in. `ListenOverflows` in the pod's /proc/net/netstat counts up.",
        known: "`ss -lt` in the pod shows more connections waiting (Recv-Q) than the queue takes \
                (Send-Q).",
        mended: "Find out why the program does not accept: it hangs, has too few threads, or waits for \
                 something else. A longer queue (`listen()`'s backlog, `net.core.somaxconn`) only helps \
                 against short bursts.",
        related: &[Code::NothingListens, Code::ConntrackFull],
    },
    Page {
        code: Code::FamilyMissing,
        wire: "Over one IP version the node refuses at once, over the other everything answers. A \
               client that resolves a name prefers IPv6.",
        known: "The Service has cluster addresses and endpoints of one family, and the address dialled \
                is of the other.",
        mended: "Set `ipFamilyPolicy: PreferDualStack`, if cluster and pods have both families; or give \
                 clients the address of the family that there is.",
        related: &[Code::AddressExcluded],
    },
    Page {
        code: Code::SourceRangeDenied,
        wire: "Silence for clients outside of the ranges, answers for those inside.",
        known: "A rule of the node that drops the client's packet names the port dialled and exempts \
                sources, none of which the client is; where the Service has \
                `loadBalancerSourceRanges`, the evidence shows them beside the rule.",
        mended: "Add the client's network to the ranges. Behind a load balancer or NAT the node sees \
                 that one's address, not the client's.",
        related: &[Code::PolicyDropped, Code::InputDropped],
    },
    Page {
        code: Code::DuplicatePodAddress,
        wire: "Answers come and go: packets go to the pod that was last heard by ARP, so connections \
               break off or are refused by turns.",
        known: "Two pods have the same address, in their objects or on the links in their namespaces.",
        mended: "Delete one of the pods, so that it gets another address. It comes from an address \
                 manager that lost its state, or from two nodes with the same podCIDR.",
        related: &[Code::NeighborStale, Code::DuplicateNodeAddress],
    },
];
