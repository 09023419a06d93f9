//! IPv6 node ports.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use netlab::{lab::Mode, spec::model::Protocol};
use netlab_tests::{
    lab::{By, DNS, DNS_PODS, Lab, WEB, WEB_PODS, cells_and_peers},
    privilege::require_lab,
};

/// The built-in nodes' addresses, and their VTEPs'.
const NODES: [(&str, Ipv6Addr, Ipv6Addr); 2] = [
    (
        "node-1",
        Ipv6Addr::new(0xfd00, 0x172, 0x18, 0, 0, 0, 0, 2),
        Ipv6Addr::new(0xfd00, 0x10, 0x244, 1, 0, 0, 0, 0),
    ),
    (
        "node-2",
        Ipv6Addr::new(0xfd00, 0x172, 0x18, 0, 0, 0, 0, 3),
        Ipv6Addr::new(0xfd00, 0x10, 0x244, 2, 0, 0, 0, 0),
    ),
];

#[test]
fn ipv6_node_ports_are_answered_by_all() {
    if !require_lab() {
        return;
    }
    for (mode, by) in cells_and_peers() {
        answered(mode, by);
    }
}

fn answered(mode: Mode, by: By) {
    let lab = Lab::up(mode, by);
    for (protocol, port, pods) in
        [(Protocol::Tcp, WEB, WEB_PODS.as_slice()), (Protocol::Udp, DNS, DNS_PODS.as_slice())]
    {
        for (node, address, vtep) in NODES {
            let answers = lab.dials(protocol, (address, port), 64, 48);
            let answered: BTreeSet<_> = answers.iter().map(|answer| answer.pod.as_str()).collect();
            assert_eq!(answered, pods.iter().copied().collect(), "{mode} {by:?} {protocol} {node}");
            let masquerade = if mode == Mode::Vxlan { vtep } else { address };
            for answer in answers {
                match (answer.node == node, by) {
                    (true, By::Ebpf(_)) => assert_eq!(answer.seen_as, answer.from),
                    (true, By::KubeProxy(_)) => {
                        assert_eq!(answer.seen_as.ip(), IpAddr::from(bridge(vtep)), "{answer:?}");
                    }
                    (false, _) => {
                        assert_eq!(answer.seen_as.ip(), IpAddr::from(masquerade), "{answer:?}");
                    }
                }
            }
        }
    }
    let _ = lab.dials(Protocol::Tcp, (NODES[0].1, WEB), 256 << 10, 12);
    assert_eq!(lab.drops(), [""; 0]);
}

/// The first address of a pod network, whose own is the VTEP's.
fn bridge(vtep: Ipv6Addr) -> Ipv6Addr {
    (u128::from(vtep) + 1).into()
}
