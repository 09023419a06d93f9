//! What the kernel decided, beside built journeys.

use super::{super::decided, *};
use crate::trace::{Decision, decision::Made};

#[test]
fn decisions_are_of_the_packet_that_was_there() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let path = remote(&facts);
    let mut lost = seen(&path, arrival(&path, "node-1") + 1, 0);
    lost.time += 1_000_000;
    lost.hops.iter_mut().for_each(|hop| hop.time += 1_000_000);
    let at = lost.hops.last().unwrap().time;
    let blackhole = route("node-1", Some("172.18.255.10"), at + 1, Some("blackhole"));
    let decisions = [
        // A table that has no answer, then one that has.
        route("client", None, lost.time - 3, Some("no route")),
        route("client", None, lost.time - 2, None),
        // Of another packet: nobody was seen there, or it comes from another address.
        route("node-2", Some("172.18.255.10"), at + 1, Some("blackhole")),
        route("node-1", Some("172.18.255.11"), at + 1, Some("blackhole")),
        route("node-1", Some("172.18.255.10"), at + 20_000_000, Some("unreachable")),
        blackhole.clone(),
    ];
    let attempt = |journeys| Attempt {
        from: None,
        outcome: Outcome::Silence,
        micros: 1,
        journeys,
        decisions: Vec::new(),
    };
    let mut ways = [(Way::of(&path.case), vec![attempt(vec![lost.clone()])])];
    decided::tie(&mut ways, &decisions);
    let tied = &ways[0].1[0].decisions;
    assert_eq!(tied, &[decisions[1].clone(), blackhole.clone()]);
    let parted = divergence::of(&facts, &path, &lost).unwrap().decided(tied);
    assert_eq!(parted.decision, Some(blackhole));
    let words = parted.words();
    assert!(words.ends_with("; node-1 looked for a route: table main: blackhole"), "{words}");
    // What nothing has left for is known where nobody else can have asked.
    let mut ways = [(Way::of(&path.case), vec![attempt(Vec::new())])];
    decided::tie(&mut ways, &decisions);
    let tied = &ways[0].1[0].decisions;
    assert_eq!(tied, &decisions[..1]);
    let parted = divergence::before_all(&path).unwrap().decided(tied);
    assert!(parted.words().ends_with("; client looked for a route: table main: no route"));
}

#[test]
fn whoever_refuses_is_known_by_ports() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let path = remote(&facts);
    let journey = seen(&path, path.hops.len(), 0);
    let flow = journey.hops.last().unwrap().flow.unwrap();
    let refused = |port| Decision {
        time: journey.time + 1_000,
        host: journey.hops.last().unwrap().host.clone(),
        source: Some(flow.source().ip()),
        destination: flow.destination().ip(),
        ports: Some((port, flow.destination().port())),
        made: Made::Refused,
    };
    let own = refused(flow.source().port());
    let attempt = Attempt {
        from: None,
        outcome: Outcome::Refused,
        micros: 1,
        journeys: vec![journey.clone()],
        decisions: Vec::new(),
    };
    let mut ways = [(Way::of(&path.case), vec![attempt])];
    decided::tie(&mut ways, &[refused(1), own.clone()]);
    assert_eq!(ways[0].1[0].decisions, [own]);
}

/// A lookup for the address that is dialled.
fn route(host: &str, source: Option<&str>, time: u64, error: Option<&'static str>) -> Decision {
    Decision {
        time,
        host: host.to_owned(),
        source: source.map(|source| source.parse().unwrap()),
        destination: "172.18.0.2".parse().unwrap(),
        ports: None,
        made: Made::Route { table: 254, error, gateway: None, interface: None },
    }
}
