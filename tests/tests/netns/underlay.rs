//! A router between the nodes: no place for host-gw, no matter to VXLAN.

use netlab::{
    lab::{LabDir, Role},
    netlink::Netns,
    spec::model::Protocol,
};
use netlab_tests::{
    binary::netlab,
    lab::{DNS, Lab, WEB, WEB_PODS, unused_name},
    privilege::require_lab,
};

#[test]
fn host_gw_behind_a_router_is_refused_with_the_reason() {
    if !require_lab() {
        return;
    }
    let name = unused_name();
    let asked = ["--mode", "host-gw", "--underlay", "routed"];
    let refused = netlab(&[&["lab", "up", "--name", name.as_str()][..], &asked].concat()).expect(2);
    for words in ["host-gw", "routed", "gateway", "--mode vxlan", "--force"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert!(!LabDir::new(&name).root().exists());
    assert!(!Netns::list().unwrap().iter().any(|netns| netns.starts_with(name.as_str())));
}

#[test]
fn forced_host_gw_behind_a_router_reaches_local_pods_only() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up_with(&["--mode", "host-gw", "--underlay", "routed", "--force"]);
    let nodes = nodes_of(&lab);
    let entry = &nodes[0];
    // Short, since most of them are in vain.
    let program = netlab_tests::binary::path().to_str().unwrap();
    let to = format!("{}:{WEB}", entry.1);
    let dial = [program, "dial", "tcp", &to, "--count", "24", "--timeout", "100", "-o", "json"];
    let report = lab.exec("client", &dial).expect(1).json();
    let answers = report["answers"].as_array().unwrap();
    assert!(!answers.is_empty(), "{report}");
    assert!(answers.iter().all(|answer| answer["node"] == entry.0), "{report}");
    assert!(report["failures"].as_object().unwrap().keys().all(|why| why.contains("no answer")));
}

#[test]
fn vxlan_behind_a_router_is_answered_by_all() {
    if !require_lab() {
        return;
    }
    for hook in ["xdp", "tc"] {
        let lab = Lab::up_with(&["--mode", "vxlan", "--underlay", "routed", "--hook", hook]);
        for (_, address) in nodes_of(&lab) {
            let answers = lab.dials(Protocol::Tcp, (address, WEB), 4096, 64);
            let pods = WEB_PODS.iter().filter(|pod| answers.iter().any(|a| a.pod == **pod));
            assert_eq!(pods.count(), WEB_PODS.len());
            let _ = lab.dials(Protocol::Udp, (address, DNS), 64, 16);
        }
        assert_eq!(lab.drops(), [""; 0]);
    }
}

/// Nodes with their IPv4 addresses.
fn nodes_of(lab: &Lab) -> Vec<(String, std::net::IpAddr)> {
    let topology = lab.dir().topology().unwrap().unwrap();
    let nodes = topology.hosts.iter().filter(|host| host.role == Role::Node);
    nodes
        .map(|node| {
            let uplink = node.addresses.iter().filter(|address| address.device == "eth0");
            let v4 = uplink.map(|address| address.net.addr()).find(std::net::IpAddr::is_ipv4);
            (node.name.clone(), v4.unwrap())
        })
        .collect()
}
