//! What the doctor prints, how it exits, and what it mends.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use netlab::{
    doctor::{
        diagnosis::{self, Diagnosis},
        facts::{Facts, Gap, HostFacts, Role, Scope, Source, Subject, gather},
        finding::Code,
        observe::divergence::{Divergence, Drop, Last},
        path,
        probe::{Attempt, Outcome, Way},
        report::{Report, VERSION},
    },
    lab::Mode,
    proxy::Kind,
    trace::{
        Decision,
        decision::Made,
        follow::{Direction, Journey, Outcome as Fate},
    },
};
use netlab_tests::{
    binary::{self, Ran, netlab},
    fields,
    lab::{By, Lab},
    privilege::require_lab,
};
use serde_json::Value;

/// A healthy lab as it was once recorded.
const RECORDED: &str =
    include_str!("../../../netlab/src/doctor/facts/fixture/recorded/vxlan.nftables.json");
const PAGE: &str = include_str!("../../../docs/doctor.md");

/// The facts of a healthy lab whose first node does not forward.
fn broken() -> Facts {
    let mut facts = Facts::read(RECORDED).unwrap();
    let node = facts.hosts.iter_mut().find(|host| host.name == "node-1").unwrap();
    let switches = node.sysctls.iter_mut().filter(|(key, _)| {
        key.starts_with("ipv4/") && (key.ends_with("/forwarding") || key.ends_with("ip_forward"))
    });
    switches.for_each(|(_, value)| *value = "0".to_owned());
    facts.gaps.push(Gap {
        host: Some("node-2".into()),
        source: Source::IptablesLegacy,
        reason: "iptables-legacy-save is not installed".into(),
        hides: "Its rules are not seen.".into(),
    });
    facts
}

/// What the kernel decided about it.
fn decision() -> Decision {
    Decision {
        time: 0,
        host: "client".into(),
        source: None,
        destination: [172, 18, 0, 2].into(),
        ports: None,
        made: Made::Route { table: 254, error: None, gateway: None, interface: None },
    }
}

/// What is found where every connection has ended in one of these ways.
fn diagnosed(facts: &Facts) -> Diagnosis {
    let spec = facts.spec().unwrap();
    let answer = Outcome::Answered {
        pod: "web-1".into(),
        seen_as: SocketAddr::new([10, 244, 1, 1].into(), 40_000),
    };
    let outcomes = [answer, Outcome::Silence, Outcome::Stalled { sent: 4_000, echoed: 0 }];
    let attempt = |outcome: &Outcome| Attempt {
        from: Some(SocketAddr::new([172, 18, 255, 10].into(), 40_000)),
        outcome: outcome.clone(),
        micros: 1_800_000,
        journeys: Vec::new(),
        decisions: vec![decision()],
    };
    let attempts: Vec<_> = outcomes.iter().map(attempt).collect();
    let ways: BTreeSet<_> = path::cases(facts, &spec, &facts.subject).iter().map(Way::of).collect();
    let ways: Vec<_> = ways.into_iter().map(|way| (way, attempts.clone())).collect();
    diagnosis::judge(facts, &spec, &ways)
}

/// With what is told only where somebody watched.
fn watched(mut diagnosis: Diagnosis) -> Diagnosis {
    let told = &mut diagnosis.ways[0];
    told.attempts[0].journeys.push(Journey {
        id: 1,
        answers: None,
        service: None,
        packet: "TCP SYN".into(),
        direction: Direction::Original,
        time: 1,
        duration: 0,
        about: None,
        hops: Vec::new(),
        outcome: Fate::Delivered { host: "node-1".into() },
        losses: Vec::new(),
        reply: None,
    });
    told.divergence = Some(Divergence {
        packet: "TCP SYN".into(),
        answer: false,
        behind: 0,
        expected: 1,
        host: "node-1".into(),
        words: "arrives at node-1".into(),
        last: Some(Last {
            host: "client".into(),
            interface: "eth0".into(),
            hook: "tc out",
            after: 0,
        }),
        refused: Some(("node-1".into(), "ICMP".into())),
        drop: Some(Drop {
            host: "node-1".into(),
            interface: "eth0".into(),
            reason: "NETFILTER_DROP".into(),
            function: Some("nf_hook_slow+0x1f".into()),
        }),
        decision: Some(decision()),
    });
    diagnosis
}

/// Everything is described, and everything that is described is there.
#[test]
fn each_field_of_the_json_is_in_the_table_and_back() {
    let facts = broken();
    let spec = facts.spec().unwrap();
    // One of them has probes, the other a pattern.
    let of = |diagnosis: &Diagnosis| {
        let took = Duration::from_millis(2_100);
        let report = Report { facts: &facts, spec: &spec, diagnosis, took, all_paths: true };
        let json = serde_json::to_value(report).unwrap();
        assert_eq!(json["version"], VERSION);
        // What is in these is described in their rows, or is what stands elsewhere too.
        let leaves =
            ["outcome", "only", "consequences", "then", "inner", "journeys", "decision", "paths"];
        fields::paths(&json, &["backends"], &leaves)
    };
    let mut found = of(&watched(diagnosed(&facts)));
    let mut judged = diagnosis::judge(&facts, &spec, &[]);
    let way = judged.ways[0].way.clone();
    judged.unknown.push(diagnosis::Unknown {
        node: way.node,
        dialled: way.dialled,
        protocol: way.protocol,
        why: String::new(),
    });
    found.extend(of(&judged));
    found.retain(|path| !path.contains("hops[].findings[].") && !path.contains("reply[]."));
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let described: BTreeSet<String> = rows.map(str::to_owned).collect();
    let missing: Vec<_> = found.difference(&described).collect();
    let unknown: Vec<_> = described.difference(&found).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?}");
}

/// Whoever has the first finding alone can act on it.
#[test]
fn the_first_finding_stands_by_itself() {
    let facts = broken();
    let diagnosis = diagnosed(&facts);
    let first = serde_json::to_value(&diagnosis.findings[0]).unwrap();
    assert_eq!(first["code"], Code::ForwardingOff.name());
    assert_eq!((&first["row"], &first["severity"]), (&2.into(), &"broken".into()));
    assert_eq!((&first["confidence"], &first["host"]), (&"certain".into(), &"node-1".into()));
    assert!(first["evidence"][0]["text"].as_str().unwrap().contains("= 0"), "{first}");
    let netns = facts.host("node-1").unwrap().netns.clone().unwrap();
    let typed = first["fixes"][0]["typed"].as_str().unwrap();
    let command = format!("ip netns exec {netns} sysctl -w net/ipv4/ip_forward=1");
    assert_eq!((typed, &first["fixes"][0]["mends"]), (command.as_str(), &true.into()));
}

fn doctor(lab: &Lab, args: &[&str]) -> Ran {
    let mut line = vec!["doctor", "--name", lab.name().as_str()];
    line.extend(args);
    netlab(&line)
}

fn inject(lab: &Lab, fault: &str) {
    let _ = netlab(&["lab", "fault", "inject", fault, "--name", lab.name().as_str()]).expect(0);
}

fn clear(lab: &Lab) -> Ran {
    netlab(&["lab", "fault", "clear", "--name", lab.name().as_str()])
}

#[test]
fn fix_mends_and_proves_it_and_faults_can_be_cleared_after_it() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::Vxlan, By::KubeProxy(Kind::Nftables));
    let healthy = doctor(&lab, &[]).expect(0);
    assert_eq!(healthy.stdout.lines().count(), 2, "{}", healthy.stdout);
    assert!(healthy.stdout.lines().all(|line| line.starts_with("healthy: ")), "{}", healthy.stdout);
    for (fault, code) in [
        ("forward-drop", Code::ForwardDropped),
        ("ip-forward-off", Code::ForwardingOff),
        ("forward-drop-legacy", Code::ForwardDropped),
    ] {
        inject(&lab, fault);
        let found = doctor(&lab, &[]).expect(1);
        for part in ["Facts  ", "Expected path  ", "Observed path", "Verdict  ", code.name()] {
            assert!(found.stdout.contains(part), "{part}: {}", found.stdout);
        }
        let fixed = doctor(&lab, &["--fix", "--yes"]).expect(0);
        assert!(fixed.stdout.contains(&format!("gone: {code} at node-1")), "{}", fixed.stdout);
        assert!(fixed.stdout.contains("\nhealthy: "), "{}", fixed.stdout);
        // Its undoing may find that there is nothing left to undo.
        let _ = clear(&lab).expect(0);
        let _ = doctor(&lab, &["--no-probe"]).expect(0);
    }
}

#[test]
fn nothing_is_changed_that_nobody_has_consented_to() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, By::KubeProxy(Kind::Nftables));
    inject(&lab, "ip-forward-off");
    let before = shown(&lab);
    let dry = doctor(&lab, &["--dry-run"]).expect(1);
    let netns = lab.netns("node-1");
    let command =
        format!("ip netns exec {} sysctl -w net/ipv4/ip_forward=1\n", netns.given_name().unwrap());
    assert_eq!(dry.stdout, command);
    // No terminal, and nobody has said yes.
    let refused = doctor(&lab, &["--fix"]).expect(2);
    assert!(refused.stderr.contains("--yes") && refused.stdout.is_empty(), "{refused:?}");
    assert_eq!(shown(&lab), before);
    let _ = doctor(&lab, &["web"]).expect(1);
    let _ = doctor(&lab, &["nonsense"]).expect(2);
    let _ = doctor(&lab, &["--yes"]).expect(2);
    let _ = doctor(&lab, &["--dry-run", "--yes"]).expect(2);
    let nowhere = netlab(&["doctor", "--name", "nlno-such-lab"]).expect(2);
    assert!(nowhere.stderr.contains("there is no lab"), "{}", nowhere.stderr);
    // A reader that has had enough is no failure.
    let mut child = Command::new(binary::path())
        .args(["doctor", "--explain"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// What a mend could change: all but what counts, ages and comes by itself.
fn shown(lab: &Lab) -> Vec<Value> {
    let facts = gather(&Scope::Lab(lab.name().clone()), &Subject::everything()).unwrap();
    let nodes = facts.hosts.into_iter().filter(|host| matches!(host.role, Role::Node { .. }));
    let still = |host: HostFacts| {
        let HostFacts { sysctls, routes, rules, fdb, links, .. } = host;
        let sysctls: Vec<_> =
            sysctls.into_iter().filter(|(key, _)| !key.contains("conntrack")).collect();
        let links: Vec<_> = links.into_iter().map(|link| (link.name, link.up, link.mtu)).collect();
        serde_json::json!([sysctls, routes, rules, fdb, links])
    };
    nodes.map(still).collect()
}

#[test]
fn explanations_need_neither_lab_nor_privilege() {
    let list = netlab(&["doctor", "--explain"]).expect(0).stdout;
    for code in Code::ALL {
        assert!(list.contains(code.name()), "{code}");
        let page = netlab(&["doctor", "--explain", code.name()]).expect(0).stdout;
        for heading in ["On the wire", "How the doctor knows", "How to mend it", "See also"] {
            assert!(page.contains(heading), "{code}: {heading}");
        }
    }
    let unknown = netlab(&["doctor", "--explain", "forward-droped"]).expect(2);
    assert!(unknown.stderr.contains("netlab doctor --explain lists them"), "{}", unknown.stderr);
}
