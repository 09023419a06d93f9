//! Each check on a healthy lab, where it finds nothing, and on one where its cause was put in.

mod endpoints;

use std::net::IpAddr;

use serde_json::json;

use super::{super::facts::conntrack, *};
use crate::{
    agent::status::AgentStatus,
    doctor::{
        facts::{
            Agent, Gap, Manifest, Source, Subject,
            datapath::PortUse,
            fixture,
            nft::{Chain, Hook, Rule, Table},
            route::Address,
            socket::{Owner, TcpListener},
        },
        finding::{Code, Confidence, Severity},
    },
    lab::{Mode, Proxy},
    spec::model::Endpoint,
};

fn found(facts: &Facts) -> Vec<Finding> {
    all(facts, &facts.spec().unwrap())
}

/// The only finding.
fn only(facts: &Facts) -> Finding {
    let found = found(facts);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}

fn codes(facts: &Facts) -> Vec<Code> {
    found(facts).iter().map(|finding| finding.code).collect()
}

fn lab() -> Facts {
    fixture::lab(Mode::Vxlan, Proxy::Nftables)
}

/// The lab with other words in its objects.
fn edited(from: &str, to: &str) -> Facts {
    let mut facts = lab();
    let edit =
        |Manifest { origin, text }: Manifest| Manifest { origin, text: text.replace(from, to) };
    let before = facts.manifests.clone();
    facts.manifests = facts.manifests.into_iter().map(edit).collect();
    assert_ne!(facts.manifests, before, "{from:?} is in the objects");
    facts
}

/// The same of a cluster, which has an API server.
fn of_cluster(mut facts: Facts) -> Facts {
    facts.lab = None;
    facts
}

#[test]
fn healthy_labs_have_no_findings() {
    for facts in fixture::all() {
        assert_eq!(found(&facts), [], "{:?}", facts.lab);
    }
}

#[test]
fn ports_to_masquerade_with_count_towards_backends_that_were_asked_about() {
    let with = |backend: &str, ports| {
        let mut facts = fixture::lab(Mode::Vxlan, Proxy::Ebpf);
        let maps = fixture::host(&mut facts, "node-1").datapath.as_mut().unwrap();
        maps.config.snat_ports = (40_000, 40_001);
        let backend = backend.parse().unwrap();
        let masquerade = "10.244.1.0".parse().unwrap();
        maps.conntrack.port_use = vec![PortUse { protocol: 6, masquerade, backend, ports }];
        facts
    };
    let finding = only(&with("10.244.2.2:8080", 2));
    assert_eq!(finding.code, Code::SnatPortsExhausted);
    assert!(finding.cause.starts_with("all ports from 40000 to 40001 "), "{}", finding.cause);
    assert!(finding.evidence[0].text.ends_with("10.244.2.2:8080: 2 taken"), "{finding:?}");
    assert_eq!(codes(&with("10.244.2.2:8080", 1)), [], "one is left");
    assert_eq!(codes(&with("192.0.2.1:443", 2)), [], "nobody asked about that one");
}

#[test]
fn a_full_table_is_told_and_a_busy_one_is_not() {
    let with = |count| {
        let mut facts = lab();
        let table = conntrack::Conntrack { count, max: 1000, ..Default::default() };
        fixture::host(&mut facts, "node-1").conntrack = Some(table);
        facts
    };
    assert_eq!(codes(&with(900)), []);
    let severity = |count| {
        let found = only(&with(count));
        (found.code, found.severity)
    };
    assert_eq!(severity(960), (Code::ConntrackFull, Severity::Risk));
    assert_eq!(severity(1000), (Code::ConntrackFull, Severity::Broken));
}

#[test]
fn udp_flows_to_pods_of_the_past_are_told() {
    let with = |backend: &str, node_port| {
        let mut facts = lab();
        let node = fixture::host(&mut facts, "node-1");
        let client = "172.18.255.10:4000".parse().unwrap();
        let dialled = std::net::SocketAddr::new("172.18.0.2".parse().unwrap(), node_port);
        let connection = conntrack::Connection {
            protocol: 17,
            original: (client, dialled),
            reply: (backend.parse().unwrap(), client),
            state: None,
            replied: true,
            assured: false,
            expires_in: 30,
            mark: 0,
        };
        let table = node.conntrack.get_or_insert_default();
        table.max = 1000;
        table.connections.push(connection);
        facts
    };
    assert_eq!(codes(&with("10.244.7.7:5353", 30053)), [Code::StaleUdpState]);
    assert_eq!(codes(&with("10.244.7.7:5353", 9999)), [], "none of ours");
    assert_eq!(codes(&with("172.18.0.2:30053", 30053)), [], "never translated");
}

#[test]
fn a_family_that_the_service_lacks_is_told_only_where_it_is_dialled() {
    let asked = |facts: &mut Facts, dialled: &str| {
        facts.subject = Subject { asked: dialled.into(), ..Subject::everything() };
    };
    let mut facts = lab();
    asked(&mut facts, "[fd00:18::2]:30080");
    assert_eq!(codes(&facts), []);
    // Only the addresses of IPv4 are left.
    for manifest in &mut facts.manifests {
        let lines = manifest.text.lines();
        let is_v6 = |line: &&str| {
            let line = line.trim_start_matches([' ', '-']).trim_start_matches("ip: ");
            line.parse::<std::net::Ipv6Addr>().is_ok() || line.starts_with("fd")
        };
        manifest.text = lines.filter(|line| !is_v6(line)).map(|line| format!("{line}\n")).collect();
    }
    let codes = codes(&facts);
    assert!(codes.contains(&Code::FamilyMissing), "{codes:?}");
    asked(&mut facts, "172.18.0.2:30080");
    assert!(!self::codes(&facts).contains(&Code::FamilyMissing));
}

#[test]
fn two_pods_with_one_address_are_told() {
    let mut facts = lab();
    let other = facts.host("web-1").unwrap().addresses.clone();
    fixture::host(&mut facts, "web-2").addresses = other;
    let found = found(&facts);
    // One a family, at the pod to which the objects do not give it.
    assert_eq!(found.len(), 2, "{found:?}");
    for finding in found {
        assert_eq!(finding.code, Code::DuplicatePodAddress);
        assert_eq!(finding.host.as_deref(), Some("web-2"));
        let command = finding.fixes[0].command.join(" ");
        assert!(command.starts_with("ip addr del ") && command.ends_with(" dev eth0"), "{command}");
    }
    let facts = lab();
    let mut spec = facts.spec().unwrap();
    spec.pods[1].addresses = spec.pods[0].addresses.clone();
    let of_objects = all(&facts, &spec);
    let hosts: Vec<_> = of_objects.iter().map(|of| (of.code, of.host.as_deref())).collect();
    assert!(hosts.contains(&(Code::DuplicatePodAddress, None)), "{hosts:?}");
}

#[test]
fn what_pods_have_inside_of_them_may_be_the_same() {
    let with = |device: u32| {
        let mut facts = lab();
        for pod in ["web-1", "web-2"] {
            let host = fixture::host(&mut facts, pod);
            let own = host.addresses.last().unwrap().clone();
            let net = "172.17.0.1/16".parse().unwrap();
            host.addresses.push(Address { device, net, ..own });
        }
        codes(&facts)
    };
    let eth0 = fixture::link(&mut lab(), "web-1", "eth0").index;
    assert_eq!(with(77), [], "a bridge of its own containers");
    assert_eq!(with(eth0), [Code::DuplicatePodAddress], "the link to its node");
}

#[test]
fn a_service_of_one_family_is_told_where_all_else_has_both_and_it_would_be_dialled() {
    let narrowed = |names: &[&str], facts: &Facts| {
        let mut spec = facts.spec().unwrap();
        for service in spec.services.iter_mut().filter(|of| names.contains(&&*of.name.name)) {
            service.cluster_addresses.retain(IpAddr::is_ipv4);
            for port in &mut service.ports {
                port.endpoints.retain(|endpoint| endpoint.address.is_ipv4());
            }
        }
        spec
    };
    let facts = lab();
    let found = all(&facts, &narrowed(&["web"], &facts));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].code, found[0].severity), (Code::FamilyMissing, Severity::Impaired));
    assert!(found[0].cause.contains("default/web has no IPv6"), "{}", found[0].cause);
    assert_eq!(all(&facts, &narrowed(&["web", "dns"], &facts)), [], "nobody offers IPv6");
    let mut without = facts.clone();
    let client = fixture::host(&mut without, "client");
    client.addresses.retain(|own| own.net.addr().is_ipv4());
    assert_eq!(all(&without, &narrowed(&["web"], &without)), [], "nobody dials it");
    let mut spec = narrowed(&["web"], &facts);
    spec.pods.iter_mut().for_each(|pod| pod.addresses.retain(IpAddr::is_ipv4));
    assert_eq!(all(&facts, &spec), [], "the pods do not have it");
}

#[test]
fn a_service_is_told_of_where_none_of_its_endpoints_takes_connections() {
    let facts = lab();
    let with = |change: fn(usize, &mut Endpoint)| {
        let mut spec = facts.spec().unwrap();
        let web = spec.services.iter_mut().find(|of| of.name.name == "web").unwrap();
        for port in &mut web.ports {
            port.endpoints.iter_mut().enumerate().for_each(|(at, of)| change(at, of));
        }
        all(&facts, &spec)
    };
    let found = with(|_, endpoint| (endpoint.ready, endpoint.serving) = (false, false));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].code, found[0].severity), (Code::NoneReady, Severity::Broken));
    assert!(found[0].evidence.iter().all(|of| of.text.ends_with("not ready")), "{found:?}");
    assert_eq!(with(|at, endpoint| endpoint.ready = at == 0), [], "one is ready");
    let last = with(|_, endpoint| {
        (endpoint.ready, endpoint.serving, endpoint.terminating) = (false, true, true);
    });
    assert_eq!(last, [], "those that end serve while there is no other");
}

#[test]
fn an_address_on_which_netlabs_programs_do_not_answer_is_told_where_it_is_dialled() {
    let asked = |dialled: &str, answers: bool| {
        let mut facts = fixture::lab(Mode::HostGw, Proxy::Ebpf);
        facts.subject = Subject { asked: dialled.into(), ..Subject::everything() };
        let datapath = fixture::host(&mut facts, "node-1").datapath.as_mut().unwrap();
        let excluded: IpAddr = "172.18.0.2".parse().unwrap();
        datapath.node_addresses.retain(|own| answers || *own != excluded);
        facts
    };
    assert_eq!(codes(&asked("172.18.0.2:30080", true)), []);
    let mut facts = asked("172.18.0.2:30080", false);
    let finding = only(&facts);
    assert_eq!(finding.code, Code::AddressExcluded);
    assert_eq!(finding.host.as_deref(), Some("node-1"));
    assert!(finding.cause.ends_with("but on fd00:172:18::2"), "{}", finding.cause);
    assert_eq!(codes(&asked("[fd00:172:18::2]:30080", false)), [], "the other address answers");
    assert_eq!(codes(&asked("172.18.0.2:9999", false)), [], "no node port");
    facts.gaps.push(Gap {
        host: Some("node-1".into()),
        source: Source::Datapath,
        reason: String::new(),
        hides: String::new(),
    });
    assert_eq!(codes(&facts), [], "nobody could look");
}

#[test]
fn an_agent_that_is_gone_matters_more_where_its_programs_are_gone_with_it() {
    let with = |proxy: &str, alive, current| {
        let mut facts = lab();
        let status = AgentStatus { proxy: proxy.into(), pid: 7, ..AgentStatus::default() };
        let agent = Agent { status: Some(status), alive, stopped: false, current: Some(current) };
        fixture::host(&mut facts, "node-1").agent = Some(agent);
        facts
    };
    assert_eq!(codes(&with("nftables", true, true)), []);
    assert_eq!(only(&with("nftables", false, true)).severity, Severity::Risk);
    assert_eq!(only(&with("ebpf", false, true)).severity, Severity::Broken);
    for proxy in ["nftables", "ebpf"] {
        assert_eq!(only(&with(proxy, false, true)).code, Code::ProxyGone);
        assert_eq!(codes(&with(proxy, true, true)), []);
    }
    let words = |facts: &Facts| only(facts).evidence[0].text.clone();
    assert!(words(&with("ebpf", false, true)).contains("process 7"));
    let mut silent = with("ebpf", false, true);
    fixture::host(&mut silent, "node-1").agent.as_mut().unwrap().status = None;
    assert!(!words(&silent).contains("process 0"), "{}", words(&silent));
    assert_eq!(only(&with("nftables", true, false)).code, Code::ProxyStale);
}

#[test]
fn a_node_port_that_somebody_holds_is_a_risk() {
    let mut facts = lab();
    let node = fixture::host(&mut facts, "node-1");
    let owner = Some(Owner { pid: 9, command: "nginx".into() });
    node.listeners.push(TcpListener {
        address: "0.0.0.0:30080".parse().unwrap(),
        v6_only: false,
        device: None,
        accept_queue: 0,
        backlog: 128,
        inode: 1,
        owner,
    });
    let finding = only(&facts);
    assert_eq!((finding.code, finding.severity), (Code::PortHeld, Severity::Risk));
    assert!(finding.evidence[0].text.ends_with("nginx (process 9)"), "{finding:?}");
    // A rule that brings it what clients dial is what is to be taken away, if it is nobody's who
    // wants it; one for what comes from pods is none of those.
    for (port, link, is_told) in
        [(30080, "eth0", true), (30080, "cni0", false), (30081, "eth0", false)]
    {
        let mut facts = facts.clone();
        let left = json!({"payload": {"protocol": "tcp", "field": "dport"}});
        let input = json!({"meta": {"key": "iifname"}});
        let statements = vec![
            json!({"match": {"op": "==", "left": input, "right": link}}),
            json!({"match": {"op": "==", "left": left, "right": port}}),
            json!({"redirect": {"port": 30080}}),
        ];
        let rule = Rule { handle: 7, statements, ..Rule::default() };
        let hook = Hook {
            hook: "prerouting".into(),
            kind: "nat".into(),
            priority: -110,
            policy: "accept".into(),
            devices: vec![],
        };
        let chain =
            Chain { name: "pre".into(), hook: Some(hook), rules: vec![rule], ..Chain::default() };
        let table = Table {
            family: "inet".into(),
            name: "own".into(),
            chains: vec![chain],
            ..Table::default()
        };
        let node = fixture::host(&mut facts, "node-1");
        node.nft.get_or_insert_default().tables.push(table);
        let finding = only(&facts);
        assert_eq!((finding.code, finding.severity), (Code::PortHeld, Severity::Risk));
        let command = "nft delete rule inet own pre handle 7";
        assert_eq!(finding.fixes[0].command.join(" ") == command, is_told, "{finding:?}");
        assert_eq!(finding.confidence == Confidence::Possible, is_told, "{finding:?}");
        let socket = finding.evidence.iter().find(|of| of.source == Source::Sockets).unwrap();
        assert!(socket.text.contains("LISTEN 0.0.0.0:30080: nginx (process 9)"), "{finding:?}");
    }
}

#[test]
fn a_node_port_that_may_be_given_to_a_socket_is_to_be_reserved() {
    let with = |reserved: &str| {
        let mut facts = lab();
        let sysctls = &mut fixture::host(&mut facts, "node-1").sysctls;
        sysctls.insert("ipv4/ip_local_port_range".into(), "30000\t60999".into());
        sysctls.insert("ipv4/ip_local_reserved_ports".into(), reserved.into());
        found(&facts)
    };
    // One command for all of a host's node ports, which keeps what was reserved before.
    for (reserved, list) in
        [("", "30053,30080"), ("8080,9100", "8080,9100,30053,30080"), ("30080", "30080,30053")]
    {
        let found = with(reserved);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].code, Code::PortEphemeral);
        let commands: Vec<_> = found[0].fixes.iter().map(|fix| fix.command.join(" ")).collect();
        assert_eq!(commands, [format!("sysctl -w net.ipv4.ip_local_reserved_ports={list}")]);
    }
    assert_eq!(with("30000-32767"), []);
}

#[test]
fn a_listener_whose_queue_is_full_is_told_of_endpoints_alone() {
    let with = |name: &str, waiting| {
        let mut facts = lab();
        let pod = fixture::host(&mut facts, name);
        for listener in &mut pod.listeners {
            (listener.accept_queue, listener.backlog) = (waiting, 4);
        }
        codes(&facts)
    };
    assert_eq!(with("web-1", 4), []);
    assert_eq!(with("web-1", 5), [Code::BacklogFull]);
    assert_eq!(with("client", 5), []);
}
