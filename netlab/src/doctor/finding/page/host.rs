//! What the node itself refuses: forwarding, filters, programs of others.

use super::{Code, Page};

pub(super) const PAGES: &[Page] = &[
    Page {
        code: Code::ForwardDropped,
        wire: "The SYN goes into the node by its uplink, and nothing comes out towards the pod; the \
               client sees silence and sends the SYN again after 1, 3 and 7 seconds. Dialled at the \
               pod's own node it often works, since a pod of the same node may be reached another \
               way: hence \"it works only on the node where the pod runs\".",
        known: "It walks the rules of nftables and of both stores of iptables (nft does not list \
                iptables-legacy's) with the packet as it is after DNAT. The evidence is the rule with \
                its handle or number, or the chain's policy. An accept in one table does not help \
                against a drop in another: the packet meets every base chain of the hook.",
        mended: "Delete the rule; where it is the policy, let the pods' networks through by rules of \
                 their own and leave the policy. The finding has the commands. It comes \
                 back with whoever made it: Docker sets the policy of FORWARD to DROP when it starts \
                 (`\"ip-forward-no-drop\": true` in its daemon.json stops that), and so do ufw and \
                 firewalld. A rule that accepts the pod networks ahead of theirs lasts.",
        related: &[Code::ForwardingOff, Code::PolicyDropped, Code::InputDropped],
    },
    Page {
        code: Code::ForwardingOff,
        wire: "Like a drop in FORWARD: the SYN comes to the node and never leaves it. There is no RST \
               and no ICMP error, since a host that does not forward takes the packet for one that \
               came to it by mistake.",
        known: "It reads `net.ipv4.ip_forward` and, because the kernel asks that one for IPv4, \
                `net.ipv4.conf.IF.forwarding` of the interface that the packet came in by; for IPv6 \
                the same below `net.ipv6`.",
        mended: "Write 1 to the switch. Writing `ip_forward` sets all interfaces at once, and so does a \
                 later `sysctl --system`: look below /etc/sysctl.d for a file that sets it back at \
                 the next boot.",
        related: &[Code::ForwardDropped, Code::ReversePathFilter],
    },
    Page {
        code: Code::ReversePathFilter,
        wire: "Each SYN, or each answer, disappears in the node that it comes to. Nobody is told, and \
               only the kernel's counter `IPReversePathFilter` in /proc/net/netstat moves.",
        known: "It reads rp_filter of `all` and of the interface (the larger counts), and looks the \
                packet's source up in the routes and policy rules as the kernel does. Strict (1) drops \
                what the answer would leave by another interface for; loose (2) drops only what there \
                is no way back to.",
        mended: "Set it to 2 where routes are asymmetric on purpose, as with two uplinks or with a \
                 direct route beside a tunnel. Distributions set 1 below /usr/lib/sysctl.d. If the way \
                 back is a mistake, mend the route instead.",
        related: &[Code::PolicyRouting, Code::RouteWrong],
    },
    Page {
        code: Code::InputDropped,
        wire: "The SYN is seen by tcpdump at the node's uplink, and nothing else ever is: it is \
               dropped before its destination is translated, or as a packet for the node itself.",
        known: "It walks netfilter's ingress, prerouting and input for what was dialled, and lists \
                filters of tc that drop. The evidence is the rule, policy or filter with its handle.",
        mended: "Delete the rule, or put one ahead of it that accepts the node ports (30000-32767 as \
                 Kubernetes has them). A security group or a provider's firewall in front of the node \
                 looks the same from outside, and is not on the node: there tcpdump at the uplink sees \
                 no SYN at all.",
        related: &[Code::ForwardDropped, Code::ForeignProgram, Code::VxlanFiltered],
    },
    Page {
        code: Code::ForeignProgram,
        wire: "If it drops, the packet is gone before tcpdump on that host sees it (XDP), or right \
               after (tc). The kernel counts nothing for a program's own drops.",
        known: "It lists programs at XDP and tc of the links on the way and sets netlab's own apart. \
                What a program does cannot be read off it, so where everything answers this is a mere \
                risk; it is blamed only where probes fail and nothing else explains that.",
        mended: "`bpftool prog show id N` and `bpftool link` name it, and often the process that holds \
                 it. Detach it if nobody needs it, or have its owner let the node ports through.",
        related: &[Code::InputDropped, Code::Unexplained],
    },
    Page {
        code: Code::TtlExpired,
        wire: "ICMP time exceeded comes from the router where the TTL ran out. With a routing loop the \
               same packet is seen again and again between two hosts, with a smaller TTL each time.",
        known: "It counts the TTL down from the sender's `net.ipv4.ip_default_ttl` at each hop that \
                forwards, and notices when a packet comes to a host for the second time.",
        mended: "Set `ip_default_ttl` back to 64; or, of a loop, delete the route that sends the \
                 packets back to where they came from.",
        related: &[Code::RouteWrong, Code::PolicyRouting],
    },
    Page {
        code: Code::Unexplained,
        wire: "As the probes show it: silence, a refusal, or a connection that stalls.",
        known: "Probes fail, and no rule, route, switch, table, program or socket that was read stands \
                in the way of the packet. What could not be looked at is listed as gaps, and the cause \
                may be there; so may it be outside of what the doctor can see, as in a provider's \
                firewall.",
        mended: "Watch a packet: `netlab capture --drops --follow port N` on the node shows where it \
                 stops, and the kernel's own word for a drop. Gather facts as root (`--save-facts`) \
                 on the other node too.",
        related: &[Code::ForeignProgram],
    },
];
