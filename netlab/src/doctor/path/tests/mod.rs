//! Healthy labs, and each obstacle beside them.

mod nodes;
mod overlay;
mod pods;
mod policies;
mod rules;
mod sources;
mod untranslated;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::{
    doctor::{
        facts::{
            Role, Subject,
            fixture::{self, host},
            nft::{Chain, Hook, Rule, Ruleset, Table},
        },
        finding::{Code, Confidence},
    },
    lab::{Mode, Proxy},
};

/// All cases; kube-proxy's recorded rules are of IPv4 alone.
fn walked(facts: &Facts) -> Vec<Path> {
    let spec = facts.spec().unwrap();
    let is_ebpf = facts.lab.as_ref().is_none_or(|lab| lab.proxy == Proxy::Ebpf);
    let cases = cases(facts, &spec, &Subject::everything()).into_iter();
    let cases = cases.filter(|case| is_ebpf || case.dialled.is_ipv4());
    cases.map(|case| expected(facts, &spec, &case)).collect()
}

/// Codes of all findings, with their hosts, of all cases.
fn codes(facts: &Facts) -> BTreeSet<(Code, String)> {
    let paths = walked(facts);
    let findings = paths.iter().flat_map(Path::findings);
    findings.map(|of| (of.code, of.host.clone().unwrap_or_default())).collect()
}

/// The one finding's code and host, of those of the first case that has any.
fn only(facts: &Facts) -> (Code, String) {
    let found = codes(facts);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

/// The first finding with this code.
fn first(facts: &Facts, code: Code) -> Finding {
    let paths = walked(facts);
    let mut findings = paths.iter().flat_map(Path::findings);
    findings.find(|of| of.code == code).unwrap_or_else(|| panic!("no {code}")).clone()
}

/// The command of the first mend.
fn mend(finding: &Finding) -> String {
    finding.fixes[0].command.join(" ")
}

fn on(name: &str) -> impl Fn(Code) -> (Code, String) {
    move |code| (code, name.to_owned())
}

/// One chain of rules in a table of its own, as `nft -j` has them.
fn chain(host: &mut HostFacts, family: &str, hook: &str, priority: i32, rules: &[Value]) {
    let rules = rules.iter().zip(5..).map(|(statements, handle)| Rule {
        handle,
        text: "as it was read".into(),
        statements: statements.as_array().unwrap().clone(),
        ..Rule::default()
    });
    let kind = "filter".into();
    let at = Hook { hook: hook.into(), kind, priority, policy: "accept".into(), devices: vec![] };
    let chain =
        Chain { name: hook.into(), hook: Some(at), rules: rules.collect(), ..Chain::default() };
    let table = Table {
        family: family.into(),
        name: "fault".into(),
        chains: vec![chain],
        ..Table::default()
    };
    host.nft.get_or_insert_with(Ruleset::default).tables.push(table);
}

/// `PROTOCOL FIELD == VALUE`.
fn matches(protocol: &str, field: &str, value: impl Into<Value>) -> Value {
    let left = json!({"payload": {"protocol": protocol, "field": field}});
    json!({"match": {"op": "==", "left": left, "right": value.into()}})
}

fn show(path: &Path) -> String {
    let line = |hop: &Hop| {
        let Tuple { source, destination, ttl, .. } = &hop.packet;
        let codes: Vec<_> = hop.findings.iter().map(|of| of.cause.as_str()).collect();
        format!(
            "{} {:?} {source} > {destination} ttl {ttl}: {} {codes:?}",
            hop.host, hop.stage, hop.words
        )
    };
    let lines: Vec<_> = path.hops.iter().chain(&path.reply).map(line).collect();
    lines.join("\n")
}

#[test]
fn in_a_healthy_lab_every_backend_is_reached_through_every_node_and_nothing_is_found() {
    let routed = [Proxy::Ebpf].map(|proxy| fixture::routed(Mode::Vxlan, proxy));
    for facts in fixture::all().into_iter().chain(routed) {
        let lab = facts.lab.clone().unwrap();
        let families = if lab.proxy == Proxy::Ebpf { 2 } else { 1 };
        let paths = walked(&facts);
        assert_eq!(paths.len(), families * 2 * (4 + 2), "{lab:?}");
        for path in &paths {
            assert!(path.followed && path.passes(), "{lab:?}\n{}", show(path));
            assert_eq!(path.findings().count(), 0, "{lab:?}\n{}", show(path));
            let end = path.hops.last().unwrap();
            assert_eq!(end.stage, Stage::Listen);
            let pod = path.case.backend.as_ref().unwrap();
            assert_eq!(end.packet.destination, pod.address, "{lab:?}\n{}", show(path));
            let back = path.reply.last().unwrap();
            assert_eq!((back.host.as_str(), back.packet.source), ("client", path.case.dialled));
        }
    }
}

#[test]
fn with_vxlan_a_remote_backend_is_reached_through_the_tunnel_and_a_local_one_is_not() {
    for proxy in [Proxy::Ebpf, Proxy::Nftables] {
        for path in walked(&fixture::lab(Mode::Vxlan, proxy)) {
            let local = path.case.backend.as_ref().unwrap().node.as_ref() == Some(&path.case.node);
            for way in [&path.hops, &path.reply] {
                let tunnelled = way.iter().any(|hop| hop.stage == Stage::Encapsulate);
                assert_eq!(tunnelled, !local, "{}", show(&path));
            }
        }
    }
}

#[test]
fn netlabs_programs_send_to_remote_backends_past_the_stack() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    for path in walked(&facts) {
        let node = &path.case.node;
        let local = path.case.backend.as_ref().unwrap().node.as_ref() == Some(node);
        let forwards = path.hops.iter().any(|hop| hop.stage == Stage::Forward && hop.host == *node);
        assert_eq!(forwards, local, "{}", show(&path));
    }
}

#[test]
fn an_address_that_is_asked_about_is_the_only_one_looked_at() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    let spec = facts.spec().unwrap();
    let address = "172.18.0.3".parse().unwrap();
    let subject = Subject::dialled("172.18.0.3:30080", address, 30080, &spec);
    let cases = cases(&facts, &spec, &subject);
    assert_eq!(cases.len(), 4);
    assert!(cases.iter().all(|case| case.node == "node-2" && case.client == "client"));
}

#[test]
fn what_nobody_could_look_at_is_not_held_against_the_packet() {
    use crate::doctor::facts::{Gap, Source};
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Nftables);
    host(&mut facts, "node-1").nft = None;
    host(&mut facts, "web-1").listeners.clear();
    let gap = |host: &str, source| Gap {
        host: Some(host.into()),
        source,
        reason: "it is not installed".into(),
        hides: "Rules.".into(),
    };
    facts.gaps = vec![gap("node-1", Source::Nft), gap("web-1", Source::Sockets)];
    let found: Vec<_> = codes(&facts).into_iter().filter(|(_, host)| host != "node-2").collect();
    assert_eq!(found, []);
}

#[test]
fn without_a_client_among_the_facts_the_walk_begins_at_the_node() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    facts.hosts.retain(|host| !matches!(host.role, Role::Client | Role::Fabric));
    facts.lab = None;
    let spec = facts.spec().unwrap();
    let mut cases = cases(&facts, &spec, &Subject::everything());
    for case in &mut cases {
        assert_eq!(case.client, "");
        let v4 = case.dialled.is_ipv4();
        case.source =
            Some(if v4 { "172.18.255.10" } else { "fd00:172:18::ff:10" }.parse().unwrap());
        let path = expected(&facts, &spec, case);
        assert_eq!(path.findings().count(), 0, "{}", show(&path));
        assert!(!path.hops.is_empty());
    }
}

#[test]
fn in_healthy_labs_as_they_were_recorded_nothing_is_found() {
    let recorded = [
        include_str!("../../facts/fixture/recorded/host-gw.ebpf.json"),
        include_str!("../../facts/fixture/recorded/host-gw.nftables.json"),
        include_str!("../../facts/fixture/recorded/vxlan.ebpf.json"),
        include_str!("../../facts/fixture/recorded/vxlan.nftables.json"),
    ];
    for text in recorded {
        let facts = Facts::read(text).unwrap();
        let spec = facts.spec().unwrap();
        let judged = judge(&facts, &spec, &Subject::everything());
        assert_eq!(judged.paths.len(), 2 * 2 * (4 + 2));
        assert_eq!(judged.findings, [], "{:?}", facts.lab);
        for path in &judged.paths {
            assert!(path.followed && path.passes(), "{}", show(path));
            let back = path.reply.last().unwrap();
            assert_eq!((back.host.as_str(), back.packet.source), ("client", path.case.dialled));
        }
    }
}

#[test]
fn a_cause_is_said_once_with_all_paths_that_it_is_on() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    for pod in ["web-1", "web-2", "web-3", "web-4"] {
        host(&mut facts, pod).listeners[0].address.set_port(9090);
    }
    let spec = facts.spec().unwrap();
    let judged = judge(&facts, &spec, &Subject::everything());
    assert_eq!(judged.findings.len(), 1, "{:?}", judged.findings);
    let found = &judged.findings[0];
    assert_eq!((found.finding.code, found.paths.len()), (Code::NothingListens, 2 * 2 * 4));
    assert!(found.finding.cause.contains("nor in 3 others"), "{}", found.finding.cause);
    // It is none of the pods' fault that the Service sends elsewhere.
    assert_eq!(found.finding.host, None);
    let begin = "Service default/web sends to port 8080, where none of its pods listens: ";
    assert!(found.finding.cause.starts_with(begin), "{}", found.finding.cause);
    // Where one of them listens there, it is that of the others.
    host(&mut facts, "web-4").listeners[0].address.set_port(8080);
    let judged = judge(&facts, &spec, &Subject::everything());
    let found = &judged.findings[0].finding;
    assert_eq!(found.host.as_deref(), Some("web-1"));
    assert!(found.cause.starts_with("nothing in pod default/web-1"), "{}", found.cause);
}

#[test]
fn a_port_of_no_service_is_the_hosts_own_or_where_its_rules_send_it() {
    let mut facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    let dial = |facts: &Facts| {
        let spec = facts.spec().unwrap();
        let address = "172.18.0.2".parse().unwrap();
        let subject = Subject::dialled("172.18.0.2:8088", address, 8088, &spec);
        let judged = judge(facts, &spec, &subject);
        assert_eq!(judged.paths.len(), 1);
        let found = judged.findings.into_iter().map(|of| (of.finding.code, of.finding.host));
        (judged.paths[0].clone(), found.collect::<Vec<_>>())
    };
    assert_eq!(dial(&facts).1, [(Code::NothingListens, Some("node-1".to_owned()))]);
    let to = json!([matches("tcp", "dport", 8088), {"dnat": {"addr": "10.244.1.2", "port": 8080}}]);
    chain(host(&mut facts, "node-1"), "ip", "prerouting", -100, &[to]);
    let table = host(&mut facts, "node-1").nft.as_mut().unwrap().tables.last_mut().unwrap();
    table.chains[0].hook.as_mut().unwrap().kind = "nat".into();
    let (path, found) = dial(&facts);
    assert_eq!(found, [], "{}", show(&path));
    assert_eq!(path.hops.last().unwrap().host, "web-1");
    let back = path.reply.last().unwrap();
    assert_eq!((back.host.as_str(), back.packet.source), ("client", path.case.dialled));
}

#[test]
fn who_dials_the_port_of_a_service_at_a_node_is_told_of_its_node_port() {
    let facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
    let spec = facts.spec().unwrap();
    for (number, is_told) in [(80, true), (8080, true), (81, false)] {
        let dialled = format!("172.18.0.2:{number}");
        let subject = Subject::dialled(&dialled, "172.18.0.2".parse().unwrap(), number, &spec);
        let judged = judge(&facts, &spec, &subject);
        assert_eq!(judged.findings.len(), 1, "{:?}", judged.findings);
        let found = &judged.findings[0].finding;
        assert_eq!(found.code, Code::NothingListens);
        let mut texts = found.evidence.iter().map(|of| of.text.as_str());
        let told = texts.any(|text| text == "Service default/web: port 80, nodePort 30080");
        assert_eq!(told, is_told, "{found:?}");
    }
}

#[test]
#[ignore = "prints what is found in the facts of files in $FACTS"]
fn recorded_facts() {
    let Ok(dir) = std::env::var("FACTS") else { return };
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "json")) {
        let facts = Facts::read(&std::fs::read_to_string(file).unwrap()).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy();
        let Ok(spec) = facts.spec() else { continue };
        let judged = judge(&facts, &spec, &Subject::everything());
        let ways = judged.paths.len();
        println!("{name}");
        for Found { finding, paths } in judged.findings {
            let mends: Vec<_> = finding.fixes.iter().map(|fix| fix.command.join(" ")).collect();
            println!("    {} {}/{ways} {} {mends:?}", finding.code, paths.len(), finding.cause);
        }
    }
}
