//! Packets that are dropped, each with its reason.

use netlab_common::{
    host::packets::ErrorSketch,
    verdict::DropReason,
    wire::tcp::flags::{RST, SYN},
};

use crate::{
    fixture::{Expect, Fixture, at_ingress, by_hook, check},
    node::*,
};

#[test]
fn drops_have_their_reasons() {
    check(fixtures());
}

#[test]
fn every_drop_reason_has_a_fixture() {
    let fixtures = fixtures();
    for reason in DropReason::ALL {
        match reason {
            // No packet makes an LRU map or a test run refuse: netlab-common provokes
            // both in tests/drop_reasons.rs.
            DropReason::ConntrackFull | DropReason::Truncated => continue,
            DropReason::NoConnection
            | DropReason::TtlExpired
            | DropReason::BackendMissing
            | DropReason::NoMasqueradeAddress
            | DropReason::SnatPortsExhausted
            | DropReason::NoRoute => {}
        }
        let provoked = fixtures
            .iter()
            .flat_map(|fixture| &fixture.expect)
            .any(|(_, expect)| matches!(expect, Expect::Dropped(dropped) if dropped == reason));
        assert!(provoked, "no fixture provokes {reason}");
    }
}

pub fn fixtures() -> Vec<Fixture> {
    let to = |dialled| tcp_in(CLIENT, dialled, SYN).bytes();
    let other_client = tcp_in("192.0.2.9:40001", REMOTE[0], SYN).bytes();
    let arrived = tcp_in(CLIENT, REMOTE[0], SYN).readdressed(masked(NODE), at(REMOTE[1])).bytes();
    let error = ErrorSketch::about(&arrived, 8, [3, 3], [10, 244, 2, 5], NODE);
    let everywhere = [
        (
            "a RST without a connection",
            DropReason::NoConnection,
            vec![],
            tcp_in(CLIENT, LOCAL[0], RST).bytes(),
        ),
        (
            "an ICMP error on its last hop",
            DropReason::TtlExpired,
            vec![to(REMOTE[0])],
            ErrorSketch { ttl: 1, ..error }.bytes(),
        ),
        ("an empty slot", DropReason::BackendMissing, vec![], to(HOLLOW)),
        ("no address to masquerade with", DropReason::NoMasqueradeAddress, vec![], to(UNMASKED[0])),
        (
            "the only port for masquerading is taken",
            DropReason::SnatPortsExhausted,
            vec![to(REMOTE[0])],
            other_client,
        ),
    ];
    let everywhere = everywhere.into_iter().map(|(name, reason, before, packet)| {
        let expect = at_ingress(Expect::Dropped(reason));
        Fixture { name, before, packet, expect }
    });
    let unrouted = Fixture {
        name: "no route to the pod",
        before: vec![],
        packet: to(UNROUTED[0]),
        expect: by_hook(Expect::Left, Expect::Dropped(DropReason::NoRoute)),
    };
    everywhere.chain([unrouted]).collect()
}
