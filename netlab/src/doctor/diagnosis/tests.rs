//! What probes make of findings.

use serde_json::json;

use super::{seen::Parted, *};
use crate::{
    doctor::{
        facts::{
            Role, Subject,
            fixture::{self, host},
            nft::{Chain, Hook, Rule, Table},
            program::{Attach, Owner, Program},
            socket,
        },
        probe::Outcome,
    },
    lab::{Mode, Proxy},
    spec::model::Protocol,
};

/// A rule of node-1 that masquerades with one port.
fn one_port() -> Facts {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let is = |left, right| json!({"match": {"op": "in", "left": left, "right": right}});
    let dialled = is(json!({"ct": {"key": "status"}}), "dnat");
    let tcp = is(json!({"meta": {"key": "l4proto"}}), "tcp");
    let statements = vec![dialled, tcp, json!({"masquerade": {"port": 1024}})];
    let rules = vec![Rule { handle: 5, statements, ..Rule::default() }];
    let (hook, kind, policy) = ("postrouting".into(), "nat".into(), "accept".into());
    let hook = Some(Hook { hook, kind, priority: 90, policy, devices: vec![] });
    let chains = vec![Chain { name: "postrouting".into(), hook, rules, ..Chain::default() }];
    let (family, name) = ("ip".into(), "narrow".into());
    let table = Table { family, name, chains, ..Table::default() };
    host(&mut facts, "node-1").nft.as_mut().unwrap().tables.push(table);
    facts
}

/// Every way of IPv4 tried four times; of those to the node, over TCP, one in four fails.
fn attempts(facts: &Facts, failing: &str) -> Vec<(Way, Vec<Attempt>)> {
    let cases = path::cases(facts, &facts.spec().unwrap(), &facts.subject);
    let mut ways: Vec<Way> = cases.iter().map(Way::of).collect();
    ways.retain(|way| way.dialled.is_ipv4());
    ways.dedup();
    let attempts = |way: &Way| {
        let of = |outcome| Attempt {
            from: None,
            outcome,
            micros: 1,
            journeys: Vec::new(),
            decisions: Vec::new(),
        };
        let fails = way.node == failing && way.protocol == Protocol::Tcp;
        let pod = if way.protocol == Protocol::Tcp { "web-1" } else { "dns-1" };
        let seen_as = "172.18.255.10:5".parse().unwrap();
        let mut all = vec![of(Outcome::Answered { pod: pod.into(), seen_as }); 4];
        if fails {
            all[3] = of(Outcome::Silence);
        }
        all
    };
    ways.into_iter().map(|way| (way.clone(), attempts(&way))).collect()
}

#[test]
fn few_ports_to_masquerade_with_are_a_risk_until_somebody_gets_none() {
    let facts = one_port();
    let spec = facts.spec().unwrap();
    let severity = |failing: &str| {
        let judged = judge(&facts, &spec, &attempts(&facts, failing));
        let found = judged.findings.iter().find(|of| of.code == Code::SnatPortsExhausted);
        found.map(|of| (of.severity, of.host.clone()))
    };
    let node = || Some("node-1".to_owned());
    assert_eq!(severity("nobody"), Some((Severity::Risk, node())));
    assert_eq!(severity("node-2"), Some((Severity::Risk, node())), "it is node-1's rule");
    assert_eq!(severity("node-1"), Some((Severity::Broken, node())));
}

/// A healthy lab, and what became of probes of its IPv4 ways.
struct Tried {
    facts: Facts,
    attempts: Vec<(Way, Vec<Attempt>)>,
}

/// Answers of each backend of a way, all good.
fn tried() -> Tried {
    let facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    let mut ways = attempts(&facts, "nobody");
    for (way, attempts) in &mut ways {
        let pods: &[&str] = match way.protocol {
            Protocol::Tcp => &["web-1", "web-2", "web-3", "web-4"],
            _ => &["dns-1", "dns-2"],
        };
        *attempts = pods.iter().map(|pod| answered(pod)).collect();
    }
    Tried { facts, attempts: ways }
}

fn answered(pod: &str) -> Attempt {
    let seen_as = "172.18.255.10:5".parse().unwrap();
    let outcome = Outcome::Answered { pod: pod.into(), seen_as };
    Attempt { from: None, outcome, micros: 1, journeys: Vec::new(), decisions: Vec::new() }
}

fn silent() -> Attempt {
    Attempt { outcome: Outcome::Silence, ..answered("") }
}

impl Tried {
    /// The probes of a node over TCP.
    fn of(&mut self, node: &str) -> &mut Vec<Attempt> {
        let is_it =
            |(way, _): &&mut (Way, Vec<Attempt>)| way.node == node && way.protocol == Protocol::Tcp;
        &mut self.attempts.iter_mut().find(is_it).unwrap().1
    }

    fn judged(&self) -> Diagnosis {
        judge(&self.facts, &self.facts.spec().unwrap(), &self.attempts)
    }

    /// Code, host and severity of each finding.
    fn said(&self) -> Vec<(Code, Option<String>, Severity)> {
        let findings = self.judged().findings.into_iter();
        findings.map(|of| (of.code, of.host, of.severity)).collect()
    }
}

#[test]
fn each_way_that_fails_wants_its_own_explanation() {
    let mut tried = tried();
    for node in ["node-1", "node-2"] {
        *tried.of(node) = vec![silent(); 4];
    }
    let healthy = tried.said();
    let unexplained = |node: &str| (Code::Unexplained, Some(node.to_owned()), Severity::Broken);
    assert_eq!(healthy, [unexplained("node-1"), unexplained("node-2")]);
    // What node-1 does not translate explains nothing of node-2's.
    host(&mut tried.facts, "node-1").datapath.as_mut().unwrap().frontends.clear();
    let said = tried.said();
    assert!(said.contains(&unexplained("node-2")), "{said:?}");
    assert!(!said.contains(&unexplained("node-1")), "{said:?}");
}

#[test]
fn one_probe_that_is_lost_and_does_not_repeat_is_shown_and_is_no_finding() {
    let mut tried = tried();
    let good = tried.of("node-1").clone();
    *tried.of("node-1") = [vec![silent()], good[1..].to_vec(), good.clone()].concat();
    let judged = tried.judged();
    assert_eq!(judged.findings, []);
    assert!(judged.has_failed_attempts());
    // Twice is no accident, nor is one that nobody has dialled again, nor a pod that is missing.
    let lost_twice = [vec![silent(); 2], good.clone(), good.clone()].concat();
    let not_again = [vec![silent()], good[1..].to_vec()].concat();
    let one_missing = [vec![silent()], vec![answered("web-1"); 7]].concat();
    for attempts in [lost_twice, not_again, one_missing] {
        *tried.of("node-1") = attempts;
        let said = tried.said();
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0].0, Code::Unexplained);
    }
}

#[test]
fn a_foreign_program_that_lets_every_probe_pass_is_a_gap() {
    let mut tried = tried();
    host(&mut tried.facts, "node-1").programs.push(Program {
        interface: "eth0".into(),
        attach: Attach::TcxIngress,
        id: 7,
        name: "stranger".into(),
        tag: String::new(),
        link: None,
        owner: Owner::Foreign,
    });
    let of_v4 = tried.attempts.clone();
    // Those of IPv6 pass it as well.
    let all = path::cases(&tried.facts, &tried.facts.spec().unwrap(), &tried.facts.subject);
    for way in all.iter().map(Way::of) {
        if !tried.attempts.iter().any(|(known, _)| *known == way) {
            tried.attempts.push((way, vec![answered("web-1")]));
        }
    }
    let judged = tried.judged();
    assert_eq!(judged.findings, []);
    let is_told = |gap: &Gap| gap.source == Source::Programs && gap.reason.contains("stranger");
    assert!(judged.gaps.iter().any(is_told), "{:?}", judged.gaps);
    // Where nobody has tried, it stays a risk.
    tried.attempts = of_v4;
    let said = tried.said();
    assert_eq!(said, [(Code::ForeignProgram, Some("node-1".into()), Severity::Risk)]);
}

#[test]
fn of_a_stranger_s_datagrams_silence_says_nothing() {
    let mut tried = tried();
    let silence = |tried: &mut Tried| {
        for (way, attempts) in &mut tried.attempts {
            if way.protocol == Protocol::Udp {
                *attempts = vec![silent(); 4];
            }
        }
    };
    silence(&mut tried);
    let is_unexplained = |tried: &Tried| {
        tried.judged().findings.iter().any(|finding| finding.code == Code::Unexplained)
    };
    assert!(is_unexplained(&tried), "the lab's servers answer each datagram");
    let spec = tried.facts.spec().unwrap();
    tried.facts.lab = None;
    let judged = judge(&tried.facts, &spec, &tried.attempts);
    let unexplained = judged.findings.iter().find(|of| of.code == Code::Unexplained);
    assert_eq!(unexplained, None);
}

#[test]
fn what_fails_now_and_then_where_packets_part_is_not_refuted_by_an_answer() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    host(&mut facts, "node-1").sysctls.insert("ipv4/conf/eth0/forwarding".into(), "0".into());
    let spec = facts.spec().unwrap();
    let judgement = path::judge(&facts, &spec, &facts.subject);
    let found = judgement.findings.iter().find(|of| of.finding.code == Code::ForwardingOff);
    let found = found.unwrap();
    let attempts: Vec<(Way, Vec<Attempt>)> = found
        .paths
        .iter()
        .map(|at| {
            let case = &judgement.paths[*at].case;
            let pod = case.backend.as_ref().unwrap().pod.clone().unwrap();
            let pod = pod.rsplit('/').next().unwrap().to_owned();
            (Way::of(case), answered(&pod))
        })
        .fold(Vec::new(), |mut all: Vec<(Way, Vec<Attempt>)>, (way, attempt)| {
            match all.iter_mut().find(|(known, _)| *known == way) {
                Some((_, attempts)) => attempts.push(attempt),
                None => all.push((way, vec![attempt])),
            }
            all
        });
    let severity = |parted| {
        let seen = Seen { facts: &facts, attempts: &attempts, parted };
        let placed = of_paths(&judgement, &seen);
        let mut of = placed.iter().map(|placed| &placed.finding);
        of.find(|of| of.code == Code::ForwardingOff).map(|of| (of.severity, of.confidence))
    };
    assert_eq!(severity(Vec::new()), None);
    let path = found.paths[0];
    let place = place(&judgement.paths[path], &found.finding).unwrap();
    let mut divergence =
        crate::doctor::observe::divergence::before_all(&judgement.paths[path]).unwrap();
    (divergence.behind, divergence.expected) = (place, place + 1);
    let parted = Parted { way: &attempts[0].0, path, divergence };
    assert_eq!(severity(vec![parted]), Some((Severity::Impaired, Confidence::Likely)));
}

#[test]
fn an_answer_of_a_pod_that_is_not_there_is_a_stranger_s() {
    let mut tried = tried();
    let owner = Some(socket::Owner { pid: 9, command: "netlab".into() });
    let held = socket::TcpListener {
        address: "0.0.0.0:30080".parse().unwrap(),
        v6_only: false,
        device: None,
        accept_queue: 0,
        backlog: 128,
        inode: 1,
        owner,
    };
    host(&mut tried.facts, "node-1").listeners.push(held);
    let held = |severity| (Code::PortHeld, Some("node-1".to_owned()), severity);
    assert_eq!(tried.said(), [held(Severity::Risk)], "its own pods answer");
    *tried.of("node-1") = vec![answered("stranger"); 4];
    assert_eq!(tried.said()[0], held(Severity::Broken));
    let evidence = &tried.judged().findings[0].evidence;
    assert!(evidence.iter().any(|of| of.text.contains("by a stranger")), "{evidence:?}");
}

#[test]
fn an_answer_of_somebody_who_is_no_pod_is_none() {
    let mut tried = tried();
    for stranger in
        [answered("node-1"), Attempt { outcome: Outcome::Somebody("x".into()), ..silent() }]
    {
        *tried.of("node-1") = vec![stranger; 4];
        let judged = tried.judged();
        assert!(judged.has_failed_attempts());
        let cause = &judged.findings[0].cause;
        assert!(
            cause.contains("4 of 4 attempts at TCP 172.18.0.2:30080 fail (answered by a str"),
            "{cause}"
        );
    }
}

/// node-1 seen from within, and what became of its own probes of its node port.
fn of_itself(blind: bool, outcome: Option<&Outcome>) -> Diagnosis {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    let spec = facts.spec().unwrap();
    facts.lab = None;
    facts.hosts.retain(|host| host.name == "node-1" || matches!(host.role, Role::Pod { .. }));
    let asked = "172.18.0.2:30080";
    let dialled: std::net::SocketAddr = asked.parse().unwrap();
    facts.subject = Subject::dialled(asked, dialled.ip(), dialled.port(), &spec);
    if blind {
        host(&mut facts, "node-1").nft = None;
        facts.gaps.push(Gap {
            host: Some("node-1".into()),
            source: Source::Nft,
            reason: "nft is not installed".into(),
            hides: String::new(),
        });
    }
    let (client, node) = ("node-1".to_owned(), "node-1".to_owned());
    let way = Way { client, node, dialled, protocol: Protocol::Tcp };
    let attempt = |outcome: &Outcome| Attempt { outcome: outcome.clone(), ..silent() };
    let attempts = outcome.map(|outcome| (way, vec![attempt(outcome); 4]));
    judge(&facts, &spec, &Vec::from_iter(attempts))
}

#[test]
fn what_could_not_be_read_and_probes_in_vain_are_not_called_healthy() {
    let somebody = Outcome::Somebody(String::new());
    let why = |blind, outcome| {
        let judged = of_itself(blind, outcome);
        assert_eq!(judged.findings, [], "nothing is concluded from it");
        let is_well = !blind && outcome != Some(&Outcome::Refused);
        assert_eq!(judged.is_healthy(), is_well, "blind: {blind}, {outcome:?}");
        judged.unknown.first().map(|of| of.why.clone()).unwrap_or_default()
    };
    assert_eq!(why(false, None), "");
    assert_eq!(why(false, Some(&somebody)), "");
    let refused = why(false, Some(&Outcome::Refused));
    assert!(refused.starts_with("4 of 4 probes from node-1 itself fail (refused)"), "{refused}");
    let unread = "what translates it on node-1 could not be read (nft is not installed)";
    for outcome in [None, Some(&somebody), Some(&Outcome::Refused)] {
        assert_eq!(why(true, outcome), unread);
    }
}

#[test]
fn a_risk_hides_nothing_of_what_is_not_known() {
    let mut tried = tried();
    let node = host(&mut tried.facts, "node-1");
    node.datapath = None;
    node.programs.clear();
    node.programs.push(Program {
        interface: "eth0".into(),
        attach: Attach::TcxIngress,
        id: 7,
        name: "cil_from_netdev".into(),
        tag: String::new(),
        link: None,
        owner: Owner::Foreign,
    });
    let spec = fixture::lab(Mode::HostGw, Proxy::Ebpf).spec().unwrap();
    let judged = judge(&tried.facts, &spec, &[]);
    let said: Vec<_> = judged.findings.iter().map(|of| (of.code, of.severity)).collect();
    assert_eq!(said, [(Code::ForeignProgram, Severity::Risk)]);
    let why = "a program that is not netlab's may take its packets on node-1";
    assert!(judged.unknown.iter().any(|of| of.why == why), "{:?}", judged.unknown);
    // What is broken may be the reason.
    let forwarding = "ipv4/conf/eth0/forwarding".to_owned();
    host(&mut tried.facts, "node-2").sysctls.insert(forwarding, "0".into());
    let judged = judge(&tried.facts, &spec, &[]);
    assert_eq!(judged.findings[0].severity, Severity::Broken, "{:?}", judged.findings);
    assert_eq!(judged.unknown, []);
}
