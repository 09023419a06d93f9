//! Built journeys beside the paths of healthy and of broken facts.

mod decided;

use std::{net::SocketAddr, slice::from_ref, sync::Arc};

use netlab_common::flow::FlowKey;

use super::{divergence, passive, tie};
use crate::{
    doctor::{
        diagnosis::{Diagnosis, judge},
        facts::{
            Facts, Source,
            fixture::{self, host},
            program::{Attach, Owner, Program},
        },
        finding::{Code, Confidence, Severity},
        path::{Path, Stage, cases, expected},
        probe::{Attempt, Outcome, Way},
    },
    lab::{Mode, Proxy},
    trace::{
        Event, Hook,
        follow::{Direction, Flow, Hop, Journey, Outcome as Fate},
    },
};

const CLIENT: &str = "172.18.255.10:40000";

#[test]
fn a_packet_that_is_answered_parts_from_nothing() {
    for facts in fixture::all() {
        for path in tcp(&facts) {
            let journey = seen(&path, path.hops.len(), path.reply.len());
            assert_eq!(divergence::of(&facts, &path, &journey), None, "{:?}", path.case);
        }
    }
}

#[test]
fn where_a_packet_is_dropped_it_parts_from_its_path() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let path = remote(&facts);
    let in_node = arrival(&path, "node-1");
    let journey = dropped(seen(&path, in_node + 1, 0), "node-1", "NETFILTER_DROP");
    let parted = divergence::of(&facts, &path, &journey).unwrap();
    assert_eq!((parted.behind, parted.host.as_str()), (in_node, "node-2"));
    assert_eq!(parted.place(), "node-1");
    let words = parted.words();
    let ends = "dropped at node-1 eth0: NETFILTER_DROP in nf_hook_slow+0x1f";
    assert!(words.starts_with("TCP SYN 172.18.255.10:40000 > "), "{words}");
    assert!(words.ends_with(ends), "{words}");
    // What is ahead of where it was seen, and what is behind where it should have been, is not it.
    assert!(parted.covers(in_node) && parted.covers(parted.expected));
    assert!(!parted.covers(in_node - 1) && !parted.covers(parted.expected + 1));
}

#[test]
fn a_silent_place_is_not_missing() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let path = remote(&facts);
    let mut journey = seen(&path, path.hops.len(), path.reply.len());
    journey.hops.retain(|hop| hop.host != "node-1");
    assert_eq!(divergence::of(&facts, &path, &journey), None);
}

#[test]
fn an_answer_that_is_lost_parts_on_its_own_way() {
    let facts = fixture::lab(Mode::Vxlan, Proxy::Nftables);
    let path = remote(&facts);
    let back = path.reply.iter().position(|hop| hop.stage == Stage::Arrive).unwrap();
    let journey = seen(&path, path.hops.len(), back + 1);
    let parted = divergence::of(&facts, &path, &journey).unwrap();
    assert!(parted.answer);
    assert_eq!(parted.behind, path.hops.len() + back);
    // Nothing of it was seen to set out.
    let journey = seen(&path, path.hops.len(), 0);
    let parted = divergence::of(&facts, &path, &journey).unwrap();
    assert!(!parted.answer);
    assert_eq!(parted.expected, path.hops.len() - 1);
}

#[test]
fn whoever_refuses_stands_where_the_packet_ended() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let path = remote(&facts);
    let in_node = arrival(&path, "node-1");
    let mut journey = seen(&path, in_node + 1, path.reply.len());
    let reply = journey.reply.as_mut().unwrap();
    reply.hops.retain(|hop| ["node-1", "client"].contains(&hop.host.as_str()));
    journey.outcome = Fate::Refused { by: 2, after: 9, with: "TCP RST".into() };
    let parted = divergence::of(&facts, &path, &journey).unwrap();
    assert_eq!((parted.behind, parted.place()), (in_node, "node-1"));
    let mut journey = seen(&path, path.hops.len(), path.reply.len());
    journey.outcome = Fate::Refused { by: 2, after: 9, with: "TCP RST".into() };
    let parted = divergence::of(&facts, &path, &journey).unwrap();
    assert_eq!((parted.expected, parted.place()), (path.hops.len() - 1, "web-3"));
    // What the client is the first to see did not set out from it.
    let mut journey = seen(&path, in_node, path.reply.len());
    let reply = journey.reply.as_mut().unwrap();
    reply.hops.retain(|hop| hop.host == "client" && hop.hook.is_inbound() == Some(true));
    journey.outcome = Fate::Refused { by: 2, after: 9, with: "ICMP".into() };
    let parted = divergence::of(&facts, &path, &journey).unwrap();
    assert!(parted.words().contains("; fabric refuses it with ICMP"), "{}", parted.words());
}

#[test]
fn the_cause_at_the_place_where_packets_part_comes_first_and_is_shown() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    for node in ["node-1", "node-2"] {
        host(&mut facts, node).sysctls.insert("ipv4/conf/eth0/forwarding".into(), "0".into());
    }
    let path = remote(&facts);
    let at = arrival(&path, "node-1");
    let lost = dropped(seen(&path, at + 1, 0), "node-1", "IP_INADDRERRORS");
    let found = diagnosed(&facts, &path, vec![lost]);
    let first = &found.findings[0];
    assert_eq!((first.code, first.host.as_deref()), (Code::ForwardingOff, Some("node-1")));
    let shown = first.evidence.iter().find(|of| of.source == Source::Observed).unwrap();
    assert!(shown.text.contains("IP_INADDRERRORS"), "{shown:?}");
    let told = found.ways.iter().find(|told| !told.attempts.is_empty()).unwrap();
    assert_eq!(told.divergence.as_ref().map(|parted| parted.behind), Some(at));
    // Seen at the next node, the first one forwards; the second does not.
    let at = arrival(&path, "node-2");
    let lost = dropped(seen(&path, at + 1, 0), "node-2", "IP_INADDRERRORS");
    let found = diagnosed(&facts, &path, vec![lost]);
    let first = &found.findings[0];
    assert_eq!((first.code, first.host.as_deref()), (Code::ForwardingOff, Some("node-2")));
}

#[test]
fn what_facts_do_not_explain_is_told_with_its_place_and_the_kernel_s_reason() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    let path = remote(&facts);
    let lost = dropped(seen(&path, arrival(&path, "node-2") + 1, 0), "node-2", "TC_INGRESS");
    let found = diagnosed(&facts, &path, vec![lost]);
    assert_eq!(found.findings.len(), 1, "{:?}", found.findings);
    let only = &found.findings[0];
    assert_eq!((only.code, only.host.as_deref()), (Code::Unexplained, Some("node-2")));
    assert_eq!(only.confidence, Confidence::Likely);
    assert!(only.cause.contains("TC_INGRESS in nf_hook_slow"), "{}", only.cause);
    // Without a watch there is the node that was dialled, and no more.
    let found = diagnosed(&facts, &path, Vec::new());
    let only = &found.findings[0];
    assert_eq!((only.code, only.host.as_deref()), (Code::Unexplained, Some("node-1")));
    assert_eq!(only.confidence, Confidence::Possible);
}

#[test]
fn a_foreign_program_is_blamed_where_packets_part_and_not_where_they_pass() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    for node in ["node-1", "node-2"] {
        host(&mut facts, node).programs.push(Program {
            interface: "eth0".into(),
            attach: Attach::TcxIngress,
            id: 7,
            name: "stranger".into(),
            tag: String::new(),
            link: None,
            owner: Owner::Foreign,
        });
    }
    let path = remote(&facts);
    for (last, guilty, innocent) in [("node-1", "node-1", "node-2"), ("node-2", "node-2", "node-1")]
    {
        let lost = dropped(seen(&path, arrival(&path, last) + 1, 0), last, "TC_INGRESS");
        let found = diagnosed(&facts, &path, vec![lost]);
        let first = &found.findings[0];
        assert_eq!(first.host.as_deref(), Some(guilty), "{:?}", found.findings);
        assert_eq!((first.code, first.severity), (Code::ForeignProgram, Severity::Broken));
        let other = found.findings.iter().find(|of| of.host.as_deref() == Some(innocent)).unwrap();
        assert_eq!(other.severity, Severity::Risk);
    }
}

#[test]
fn journeys_are_of_the_attempt_whose_socket_they_have() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let path = remote(&facts);
    let first = seen(&path, path.hops.len(), path.reply.len());
    let lost = dropped(seen(&path, arrival(&path, "node-1") + 1, 0), "node-1", "PKT_TOO_BIG");
    let journeys = [first.clone(), lost.clone()];
    let own = CLIENT.parse().unwrap();
    let other = "172.18.255.10:40001".parse().unwrap();
    let tied = |from: SocketAddr, outcome: Outcome| {
        let attempt = Attempt {
            from: Some(from),
            outcome,
            micros: 1,
            journeys: Vec::new(),
            decisions: Vec::new(),
        };
        let mut ways = [(Way::of(&path.case), vec![attempt])];
        tie::tie(&mut ways, &journeys);
        let [(_, attempts)] = ways;
        attempts.into_iter().flat_map(|attempt| attempt.journeys).collect::<Vec<_>>()
    };
    assert_eq!(tied(own, Outcome::Silence), [first.clone(), lost]);
    assert_eq!(tied(own, Outcome::Somebody(String::new())), [first]);
    assert_eq!(tied(other, Outcome::Silence), []);
}

/// The end of a watch, long after what was seen.
const LONG: u64 = 60_000_000_000;

#[test]
fn a_connection_that_the_end_cuts_off_is_not_called_silent() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let path = remote(&facts);
    let count = |journey: &Journey, end| {
        let ways = passive::ways(&facts, from_ref(&path.case), from_ref(journey), end);
        ways.len()
    };
    let silent = seen(&path, arrival(&path, "node-1") + 1, 0);
    assert_eq!((count(&silent, 1_000_000_000), count(&silent, 2_000_000_000)), (0, 1));
    let answered = seen(&path, path.hops.len(), path.reply.len());
    assert_eq!(count(&answered, 1_000_000_000), 1);
}

#[test]
fn what_others_dial_is_judged_as_probes_are() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let path = remote(&facts);
    let cases = [path.case.clone()];
    let outcome = |journey: Journey| {
        let ways = passive::ways(&facts, &cases, &[journey.clone(), journey], LONG);
        let [(way, attempts)] = &ways[..] else { panic!("{ways:?}") };
        assert_eq!(way, &Way::of(&path.case));
        assert_eq!(attempts.len(), 1, "a repetition is the same attempt");
        attempts[0].outcome.clone()
    };
    let mut answered = seen(&path, path.hops.len(), path.reply.len());
    assert!(matches!(outcome(answered.clone()), Outcome::Answered { pod, .. } if pod == "web-3"));
    let lost = dropped(seen(&path, arrival(&path, "node-1") + 1, 0), "node-1", "X");
    assert_eq!(outcome(lost), Outcome::Silence);
    // Neither what began earlier nor what goes elsewhere is told of.
    answered.packet = "TCP ACK".into();
    assert_eq!(passive::ways(&facts, &cases, from_ref(&answered), LONG), []);
    answered.packet = "TCP SYN".into();
    assert_eq!(passive::ways(&facts, &[], &[answered], LONG), []);
}

/// Paths of the built-in TCP Service, IPv4.
fn tcp(facts: &Facts) -> Vec<Path> {
    let spec = facts.spec().unwrap();
    let cases = cases(facts, &spec, &facts.subject).into_iter();
    let cases = cases.filter(|case| case.dialled.is_ipv4() && case.dialled.port() == 30080);
    cases.map(|case| expected(facts, &spec, &case)).collect()
}

/// The path through node-1 to web-3 on node-2.
fn remote(facts: &Facts) -> Path {
    let is_it = |path: &Path| {
        let pod = path.case.backend.as_ref().and_then(|backend| backend.pod.as_deref());
        path.case.node == "node-1" && pod == Some("default/web-3")
    };
    tcp(facts).into_iter().find(is_it).unwrap()
}

/// Position of the arrival at a host.
fn arrival(path: &Path, host: &str) -> usize {
    let is_it = |hop: &crate::doctor::path::Hop| hop.host == host && hop.stage == Stage::Arrive;
    path.hops.iter().position(is_it).unwrap()
}

/// A packet that was seen at so many hops of its path, and its answer at so many of its own.
fn seen(path: &Path, there: usize, back: usize) -> Journey {
    let mut question = journey(&path.hops[..there], Direction::Original);
    let mut reply = (back > 0).then(|| Box::new(journey(&path.reply[..back], Direction::Reply)));
    if let Some(reply) = reply.as_mut().filter(|_| back == path.reply.len()) {
        question.outcome = Fate::Answered { by: 2, after: 5_000 };
        reply.outcome = Fate::Delivered { host: "client".into() };
    }
    Journey { reply, ..question }
}

fn journey(path: &[crate::doctor::path::Hop], direction: Direction) -> Journey {
    let first =
        path.first().map(|hop| Hop { hook: Hook::TcOut, interface: "eth0".into(), ..hop_of(hop) });
    let arrivals = path.iter().filter(|hop| hop.stage == Stage::Arrive).map(hop_of);
    let hops: Vec<Hop> = first.into_iter().chain(arrivals).collect();
    let last = hops.last().map_or_else(String::new, |hop| hop.host.clone());
    Journey {
        id: 1,
        answers: None,
        service: None,
        packet: "TCP SYN".into(),
        direction,
        time: 1,
        duration: 0,
        about: None,
        hops,
        outcome: Fate::LastSeen { host: last, interface: "eth0".into(), hook: Hook::TcIn },
        losses: Vec::new(),
        reply: None,
    }
}

fn hop_of(hop: &crate::doctor::path::Hop) -> Hop {
    let packet = &hop.packet;
    let flow = FlowKey {
        src: packet.source.ip().into(),
        dst: packet.destination.ip().into(),
        sport: packet.source.port().to_be_bytes(),
        dport: packet.destination.port().to_be_bytes(),
        proto: packet.protocol,
        reserved: [0; 3],
    };
    Hop {
        time: 1,
        host: hop.host.clone(),
        interface: hop.interface.clone().unwrap_or_default(),
        hook: Hook::TcIn,
        after: None,
        flow: Some(Flow(flow)),
        tunnel: None,
        ttl: packet.ttl,
        length: 74,
        part: None,
        event: None,
    }
}

/// The same, dropped by the kernel of a host.
fn dropped(mut journey: Journey, host: &str, reason: &str) -> Journey {
    let event =
        Event::KernelDrop { reason: Arc::from(reason), function: Arc::from("nf_hook_slow+0x1f") };
    let last = journey.hops.last().unwrap().clone();
    journey.hops.push(Hop { hook: Hook::Drop, event: Some(event), ..last });
    let (host, interface) = (host.to_owned(), "eth0".to_owned());
    let (reason, explanation) = (reason.to_owned(), None);
    journey.outcome = Fate::Dropped { host, interface, reason, explanation };
    journey
}

/// What is said of the attempts of one way, all silent, whose journeys these are; of one without
/// a journey where there are none.
fn diagnosed(facts: &Facts, path: &Path, journeys: Vec<Journey>) -> Diagnosis {
    let attempt = |journeys| Attempt {
        from: CLIENT.parse().ok(),
        outcome: Outcome::Silence,
        micros: 1_800_000,
        journeys,
        decisions: Vec::new(),
    };
    let attempts = match journeys.is_empty() {
        true => vec![attempt(Vec::new())],
        false => journeys.into_iter().map(|journey| attempt(vec![journey])).collect(),
    };
    judge(facts, &facts.spec().unwrap(), &[(Way::of(&path.case), attempts)])
}
