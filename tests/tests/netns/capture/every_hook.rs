//! Filters of every kind at every hook: each accepts some packets there and rejects others, and
//! they are those that a reader accepts and rejects.

use std::net::{Ipv4Addr, UdpSocket};

use etherparse::PacketBuilder;
use netlab::lab::{Hook, Mode};
use netlab_tests::{
    lab::{Lab, WEB},
    privilege::require_lab,
};

use super::filters::{AT_A_TIME, Expression, dialogue, one_round};

const CLIENT: Ipv4Addr = Ipv4Addr::new(172, 18, 255, 10);

/// The port that Linux takes for VXLAN where nothing else is said.
const VXLAN: u16 = 8472;

#[test]
fn every_filter_is_tested_at_every_hook_around_xdp() {
    at(Hook::Xdp, &["xdp-in", "xdp-out", "tc-in", "tc-out", "nat-out", "drop"]);
}

#[test]
fn every_filter_is_tested_at_every_hook_around_tc() {
    at(Hook::Tc, &["tc-in", "tc-out", "nat-in", "nat-out", "drop"]);
}

fn at(hook: Hook, hooks: &[&str]) {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, hook);
    // XDP leaves a packet to the stack as long as the neighbor is not known.
    dialogue(&lab);
    let named = hooks.join(",");
    let places = ["-i", "eth0,flannel.1,flannel-v6.1", "--hook", &named];
    for round in expressions().chunks(AT_A_TIME) {
        let seen = one_round(&lab, &places, round, false, |lab| {
            dialogue(lab);
            lab.inside("node-1", dropped);
        });
        for (expression, (live, all)) in round.iter().zip(seen) {
            for hook in hooks {
                let place = format!("/{hook}");
                let [accepted, all] = [&live, &all]
                    .map(|seen| seen.iter().filter(|it| it.place.ends_with(&place)).count());
                let both = 0 < accepted && accepted < all;
                assert!(both, "{hook}: {accepted} of {all}: {expression:?}");
            }
        }
    }
}

/// By port; by host and length; by what is in VXLAN; by family; and by one host of many.
fn expressions() -> Vec<Expression> {
    let many: Vec<_> = (1..=100).map(|at| format!("host 172.18.255.{at}")).collect();
    [
        "port 30080",
        "host 172.18.0.2 and ip[2:2] > 100",
        // Behind a translation at tc there is no VXLAN.
        "udp src port 30053 or (vxlan 1 and tcp port 8080)",
        "ip6",
        &many.join(" or "),
    ]
    .map(|text| Expression { args: vec![text.to_owned()], tcpdump: false })
    .into()
}

/// Datagrams that nobody at the client waits for: a short one, a long one, and one that has TCP
/// in VXLAN.
fn dropped() {
    let mut vxlan = vec![8, 0, 0, 0, 0, 0, 1, 0];
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let builder = builder.ipv4([10, 244, 1, 2], [10, 244, 2, 2], 64).tcp(8080, 5, 1, 1000);
    builder.write(&mut vxlan, &[]).unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    for (port, payload) in [(9, &b"?"[..]), (WEB, &[7; 200]), (VXLAN, &vxlan)] {
        // An error of the datagram before may be told first.
        let send = || socket.send_to(payload, (CLIENT, port));
        let _ = send().or_else(|_| send()).unwrap();
    }
}
