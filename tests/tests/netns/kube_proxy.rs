//! What kube-proxy's rules do beyond netlab's own programs, and that they are kube-proxy's.

use std::{collections::BTreeSet, net::SocketAddr};

use netlab::{
    lab::{LabDir, dial::Answer},
    netlink::Netns,
    proxy::Kind,
    spec::model::Protocol,
};
use netlab_tests::{
    binary::{netlab, netlab_without},
    lab::{By, Lab, NODES, PEERS, WEB, WEB_PODS, bridge_address, once, unused_name},
    poll::until,
    privilege::require_lab,
};
use serde_json::json;

/// Services with the policies of [`LOCAL`], [`STICKY`] and [`ELSEWHERE`].
const SERVICES: &str = "\
apiVersion: v1
kind: Service
metadata: {name: local}
spec:
  type: NodePort
  clusterIP: 10.96.0.101
  externalTrafficPolicy: Local
  internalTrafficPolicy: Local
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30101}]
---
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec:
  type: NodePort
  clusterIP: 10.96.0.102
  sessionAffinity: ClientIP
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30102}]
";
const LOCAL: u16 = 30101;
const STICKY: u16 = 30102;
const WEB_CLUSTER_IP: [u8; 4] = [10, 96, 0, 10];

#[test]
fn services_work_as_kube_proxy_has_them() {
    if !require_lab() {
        return;
    }
    for (mode, by) in PEERS {
        let lab = Lab::up(mode, by);
        a_cluster_ip_is_answered_to_pods(&lab);
        nodes_reach_node_ports(&lab, by);
        lab.write_manifest("policies.yaml", SERVICES);
        lab.wait_for_agents();
        local_keeps_to_the_node_and_shows_the_client(&lab);
        sticky_stays_with_its_endpoint(&lab);
        the_rules_read_like_a_real_nodes(&lab, by);
        rules_outlive_the_agent(&lab);
        show_says_whose_tables_there_are(&lab, by);
        assert_eq!(lab.status().expect(0).json()["problems"], json!([]));
    }
}

#[test]
fn another_proxy_finds_nothing_of_the_one_before() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up_with(&["--proxy", "nftables"]);
    let tables = || lab.exec("node-1", &["nft", "list", "tables"]).expect(0).stdout;
    assert!(tables().contains("table ip kube-proxy"));
    let chains = || lab.exec("node-1", &["iptables-save"]).expect(0).stdout;
    for (proxy, answered) in
        [("iptables", true), ("ebpf", true), ("iptables", true), ("none", false)]
    {
        let _ = lab.again(&["--proxy", proxy]).expect(0);
        assert!(!tables().contains("kube-proxy"), "{proxy}: {}", tables());
        assert_eq!(chains().contains("KUBE-"), proxy == "iptables", "{proxy}: {}", chains());
        assert_eq!(lab.dir().pins().exists(), proxy == "ebpf");
        let outcome = lab.dial(Protocol::Tcp, (NODES[1].1, WEB), 64);
        assert_eq!(outcome.is_ok(), answered, "{proxy}: {outcome:?}");
        let agents = lab.status().expect(0).json()["agents"].as_array().unwrap().len();
        assert_eq!(agents, if answered { NODES.len() } else { 0 });
    }
}

#[test]
fn a_machine_without_the_programs_is_refused_before_anything_is_built() {
    if !require_lab() {
        return;
    }
    for (kind, programs) in [
        (Kind::Nftables, &["nft"][..]),
        (Kind::Iptables, &["iptables", "iptables-nft", "iptables-legacy"]),
    ] {
        let name = unused_name();
        let up = ["lab", "up", "--name", name.as_str(), "--proxy", &kind.to_string()];
        let Some(refused) = netlab_without(programs, &up) else { return };
        let stderr = refused.expect(2).stderr;
        assert!(stderr.contains("is not installed") && stderr.contains("--proxy ebpf"), "{stderr}");
        assert!(!LabDir::new(&name).root().exists());
        assert!(!Netns::exists(&name.netns("node-1")));
    }
}

#[test]
fn a_hook_is_refused_where_no_program_is_attached() {
    if !require_lab() {
        return;
    }
    let name = unused_name();
    let args = ["lab", "up", "--name", name.as_str(), "--proxy", "iptables", "--hook", "xdp"];
    let refused = netlab(&args).expect(2);
    assert!(refused.stderr.contains("leave --hook out"), "{}", refused.stderr);
    assert!(!LabDir::new(&name).root().exists());
}

/// Dials from a host of the lab, which all have to be answered.
fn dials(lab: &Lab, host: &str, to: impl Into<SocketAddr>, count: usize) -> Vec<Answer> {
    let to = to.into();
    let dial = |_| once(Protocol::Tcp, to, 64).unwrap_or_else(|e| panic!("{host} to {to}: {e}"));
    lab.inside(host, || (0..count).map(dial).collect())
}

fn pods(answers: &[Answer]) -> BTreeSet<&str> {
    answers.iter().map(|answer| answer.pod.as_str()).collect()
}

/// By all pods, and by the dialling one too: hairpin.
fn a_cluster_ip_is_answered_to_pods(lab: &Lab) {
    let answers = dials(lab, "web-1", (WEB_CLUSTER_IP, 80), 60);
    assert_eq!(pods(&answers), WEB_PODS.into());
    for answer in &answers {
        if answer.pod == "web-1" {
            assert_eq!(answer.seen_as.ip(), bridge_address("node-1"), "{answer:?}");
        } else {
            assert_eq!(answer.seen_as, answer.from, "{answer:?}");
        }
    }
}

fn nodes_reach_node_ports(lab: &Lab, by: By) {
    assert_eq!(pods(&dials(lab, "node-1", (NODES[0].1, WEB), 60)), WEB_PODS.into());
    if by == By::KubeProxy(Kind::Iptables) {
        assert_eq!(pods(&dials(lab, "node-1", ([127, 0, 0, 1], WEB), 60)), WEB_PODS.into());
    }
}

fn local_keeps_to_the_node_and_shows_the_client(lab: &Lab) {
    let answers = lab.dials(Protocol::Tcp, (NODES[0].1, LOCAL), 64, 30);
    assert_eq!(pods(&answers), ["web-1", "web-2"].into());
    assert!(answers.iter().all(|answer| answer.seen_as == answer.from), "{answers:?}");
    // To a pod, a node port is not outside, but the ClusterIP stays inside the node.
    assert_eq!(pods(&dials(lab, "dns-1", (NODES[0].1, LOCAL), 60)), WEB_PODS.into());
    let inside = dials(lab, "dns-1", ([10, 96, 0, 101], 80), 30);
    assert_eq!(pods(&inside), ["web-1", "web-2"].into());
}

fn sticky_stays_with_its_endpoint(lab: &Lab) {
    let answers = lab.dials(Protocol::Tcp, (NODES[0].1, STICKY), 64, 20);
    assert_eq!(pods(&answers).len(), 1, "{answers:?}");
}

/// Words of every real node's rules, and the hash that any kube-proxy gives `default/web:http`.
fn the_rules_read_like_a_real_nodes(lab: &Lab, by: By) {
    let (command, words): (&[&str], &[&str]) = match by {
        By::KubeProxy(Kind::Nftables) => (
            &["nft", "list", "ruleset"],
            &[
                "table ip kube-proxy {",
                "table ip6 kube-proxy {",
                "chain service-SUSTUHLJ-default/web/tcp/http {",
                "numgen random mod 4 vmap { 0 : goto endpoint-SVLGPL42-",
                "type nat hook prerouting priority dstnat; policy accept;",
                "tcp . 30080 : goto external-SUSTUHLJ-default/web/tcp/http",
                "masquerade fully-random",
                "flags dynamic,timeout",
            ],
        ),
        _ => (
            &["iptables-save"],
            &[
                "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
                ":KUBE-SVC-CDGGSHYLG3RE2FKL - [0:0]",
                "--mode random --probability 0.25000000000 -j KUBE-SEP-UIQK3OSOSTRHRPBX",
                "-j DNAT --to-destination 10.244.1.2:8080",
                "-j MASQUERADE --random-fully",
                "-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-",
            ],
        ),
    };
    let rules = lab.exec("node-1", command).expect(0).stdout;
    for word in words {
        assert!(rules.contains(word), "{word}\n{rules}");
    }
}

/// Killed, it is started again, and finds its rules as they should be.
fn rules_outlive_the_agent(lab: &Lab) {
    let pid = || lab.dir().agent_status("node-1").unwrap().map(|status| status.pid);
    let old = pid().unwrap();
    let raw = i32::try_from(old).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(raw), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    let mut dialled = 0;
    until("a new agent", || {
        dialled += lab.dials(Protocol::Tcp, (NODES[0].1, WEB), 64, 1).len();
        pid().filter(|pid| *pid != old)
    });
    assert!(dialled > 0);
    lab.wait_for_agents();
    sticky_stays_with_its_endpoint(lab);
}

fn show_says_whose_tables_there_are(lab: &Lab, by: By) {
    for table in ["services", "backends", "conntrack", "counters"] {
        let refused = netlab(&["show", table, "--name", lab.name().as_str()]).expect(2);
        let words = format!("--proxy {}", by.proxy());
        assert!(refused.stderr.contains(&words), "{table}: {}", refused.stderr);
    }
    assert!(!lab.show("routes").is_empty());
}
