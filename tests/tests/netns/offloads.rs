//! Node ports are answered whatever the offload settings of the lab's links are.

use std::collections::BTreeSet;

use netlab::{
    lab::{Hook, Mode},
    netlink::ethtool::{self, Offload},
    spec::model::Protocol,
};
use netlab_tests::{
    lab::{DNS, Lab, NODES, WEB},
    privilege::require_lab,
};

/// Bytes through one connection: many segments, of which offloads make few packets.
const BULK: usize = 64 << 10;
/// Dials a setting, protocol and node.
const DIALS: usize = 12;

/// Hosts and links whose settings are tried. Not the fabric's ports: they are the wire.
const LINKS: [(&str, &[&str]); 9] = [
    ("client", &["eth0"]),
    ("node-1", &["eth0", "vethweb-1", "vethweb-2", "vethdns-1"]),
    ("node-2", &["eth0", "vethweb-3", "vethweb-4", "vethdns-2"]),
    ("web-1", &["eth0"]),
    ("web-2", &["eth0"]),
    ("web-3", &["eth0"]),
    ("web-4", &["eth0"]),
    ("dns-1", &["eth0"]),
    ("dns-2", &["eth0"]),
];

/// Transmit checksum, TSO, GSO, GRO.
const SETTINGS: [[bool; 4]; 7] = [
    [true, true, true, true],
    [true, true, true, false],
    [true, false, true, true],
    [true, false, false, false],
    [false, false, true, true],
    [false, false, false, true],
    [false, false, false, false],
];

#[test]
fn host_gw_through_xdp_is_answered_under_every_offload_setting() {
    answered_under_every_setting(Mode::HostGw, Hook::Xdp);
}

#[test]
fn host_gw_through_tc_is_answered_under_every_offload_setting() {
    answered_under_every_setting(Mode::HostGw, Hook::Tc);
}

#[test]
fn vxlan_through_xdp_is_answered_under_every_offload_setting() {
    answered_under_every_setting(Mode::Vxlan, Hook::Xdp);
}

#[test]
fn vxlan_through_tc_is_answered_under_every_offload_setting() {
    answered_under_every_setting(Mode::Vxlan, Hook::Tc);
}

fn answered_under_every_setting(mode: Mode, hook: Hook) {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(mode, hook);
    // Over all settings: a few dials of one may well go to one node by chance.
    let mut answered = BTreeSet::new();
    for setting in SETTINGS {
        for (host, links) in LINKS {
            let netns = lab.netns(host);
            for link in links {
                for (offload, on) in Offload::ALL.into_iter().zip(setting) {
                    ethtool::set(&netns, link, offload, on).unwrap();
                }
            }
        }
        println!("{mode} {hook} with [tx, tso, gso, gro] = {setting:?}");
        for (node, address) in NODES {
            let answers = lab.dials(Protocol::Tcp, (address, WEB), BULK, DIALS);
            answered.extend(answers.into_iter().map(|answer| (node, answer.node)));
            let _ = lab.dials(Protocol::Udp, (address, DNS), 1000, DIALS);
        }
    }
    assert_eq!(answered.len(), 4, "backends on both nodes answer at both: {answered:?}");
    assert_eq!(lab.drops(), [""; 0]);
}
