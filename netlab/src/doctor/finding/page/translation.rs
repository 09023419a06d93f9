//! Translation and who programs it.

use super::{Code, Page};

pub(super) const PAGES: &[Page] = &[
    Page {
        code: Code::ReplyBypassesEntry,
        wire: "The pod's SYN-ACK goes to the client straight, from the pod's address. The client has \
               dialled somebody else, and answers with a reset.",
        known: "It walks the answer too: it gets to the client without the translation back, because \
                nothing masqueraded the question at the node that was dialled, or a rule took the mark \
                off that asks for it.",
        mended: "Delete the rule that clears the mark (kube-proxy's is 0x4000), or mend the masquerading. \
                 With externalTrafficPolicy Local nothing is masqueraded on purpose; then the pod has to \
                 be on the node that is dialled.",
        related: &[Code::PolicyRouting, Code::NoLocalEndpoint],
    },
    Page {
        code: Code::ConntrackFull,
        wire: "New connections are lost at random while old ones go on. The kernel's log has \
               `nf_conntrack: table full, dropping packet`.",
        known: "It reads nf_conntrack_count beside nf_conntrack_max.",
        mended: "Raise `net.netfilter.nf_conntrack_max` (an entry takes some 300 bytes), then find out \
                 who opens so many: `conntrack -L` by source. Timeouts of a day for established TCP keep \
                 what nobody closed.",
        related: &[Code::SnatPortsExhausted, Code::BacklogFull],
    },
    Page {
        code: Code::SnatPortsExhausted,
        wire: "SYNs to a busy backend are dropped at the node that is dialled; other backends answer.",
        known: "Of netlab's programs it counts the ports in use towards each backend; of rules, it reads \
                the range that they masquerade with.",
        mended: "Widen the range (`netlab agent --snat-ports`, `masquerade to :1024-65535`), or spread \
                 the load: the limit is one range of ports for each backend and protocol.",
        related: &[Code::ConntrackFull],
    },
    Page {
        code: Code::StaleUdpState,
        wire: "Datagrams of one client, always from the same port, go to an address where no pod is any \
               more; other clients are answered. It does not end as long as the client keeps sending.",
        known: "It reads conntrack's UDP entries of the node port and compares where they lead with the \
                Service's endpoints.",
        mended: "Delete the entries: `conntrack -D -p udp --orig-dst NODE --dport PORT`. kube-proxy does \
                 so when an endpoint goes; one that was down at that moment has missed it.",
        related: &[Code::ProxyStale, Code::NeighborStale],
    },
    Page {
        code: Code::PolicyDropped,
        wire: "The packet goes in to the node, is translated, and is dropped (silence) or rejected (ICMP \
               administratively prohibited, or a reset) just before the pod.",
        known: "The rule matches single pods' addresses or interfaces, as those do that are made of a \
                NetworkPolicy, and stands after the translation.",
        mended: "`kubectl get networkpolicy -A`, and allow the client: a rule that was made of a \
                 NetworkPolicy is its controller's, which writes it again where it is deleted. One that was \
                 written by hand is deleted by the command in the finding's words. Mind that a node port masquerades: the pod sees the node's address, \
                 which the policy has to allow.",
        related: &[Code::ForwardDropped, Code::SourceRangeDenied],
    },
    Page {
        code: Code::Hairpin,
        wire: "A pod that dials its own Service is answered from an address that it has not dialled, and \
               resets; from outside everything works.",
        known: "It reads whether bridged packets meet netfilter (`bridge-nf-call-iptables`), and whether \
                the pod's bridge port is in hairpin mode.",
        mended: "`sysctl -w net.bridge.bridge-nf-call-iptables=1` (the module br_netfilter has to be \
                 loaded), and `bridge link set dev PORT hairpin on`; CNI's bridge plugin has \
                 `hairpinMode: true`.",
        related: &[Code::ReplyBypassesEntry],
    },
    Page {
        code: Code::ProxyGone,
        wire: "A reset from the node: nothing translates the node port, so the node answers for itself. \
               Rules that were loaded before stay, so this may show only with the next change.",
        known: "It looks for the agent's process, its programs at the interface, and rules for the node \
                port.",
        mended: "Start it again and read its log: `systemctl status`, `kubectl -n kube-system logs` of \
                 kube-proxy's pod on that node; in a lab `netlab lab up`.",
        related: &[Code::ProxyStale],
    },
    Page {
        code: Code::ProxyStale,
        wire: "Resets or silence where the old backends were, at this node only; or a new node port is \
               refused here and answers elsewhere.",
        known: "It compares the node's maps or rules with the endpoints in the objects, and reads whether \
                whoever programs them is stopped or complains.",
        mended: "Let the process go on if it is stopped, mend what it complains of, or start it again: it \
                 writes everything anew then.",
        related: &[Code::ProxyGone, Code::StaleUdpState],
    },
];
