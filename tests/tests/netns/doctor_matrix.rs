//! The doctor held against faults, in a shorter form of `cargo xtask bench doctor`.

use netlab::{
    lab::{
        Hook, Mode,
        fault::{self, At, Fault},
    },
    proxy::Kind,
};
use netlab_bench::doctor::{
    patient::Patient,
    trial::{Given, Mark, trial},
};
use netlab_tests::{
    binary,
    lab::{By, Lab, NODES},
    privilege::require_lab,
};

/// One of each family, in the objects, the proxy, netfilter, routes, neighbors, links and
/// sockets; `NETLAB_FAULT=a,b` takes others.
const VXLAN_EBPF: [&str; 10] = [
    "forward-drop",
    "ip-forward-off",
    "no-endpoints",
    "listen-loopback",
    "vxlan-blocked",
    "vni-mismatch",
    "fdb-wrong-vtep",
    "pod-no-default-route",
    "stale-pod-neighbor",
    "agent-stopped",
];
const HOST_GW_NFTABLES: [&str; 10] = [
    "rp-filter-strict",
    "endpoints-not-ready",
    "local-policy",
    "wrong-target-port",
    "host-gw-route-missing",
    "prerouting-drop",
    "pod-policy-reject",
    "bridge-down",
    "rules-lost",
    "policy-routing",
];

/// Runs in the lab as it stands.
const HEALTHY: usize = 3;

#[test]
fn the_first_finding_names_the_fault_vxlan_ebpf() {
    first_findings(Mode::Vxlan, By::Ebpf(Hook::Auto), &VXLAN_EBPF);
}

#[test]
fn the_first_finding_names_the_fault_host_gw_nftables() {
    first_findings(Mode::HostGw, By::KubeProxy(Kind::Nftables), &HOST_GW_NFTABLES);
}

fn first_findings(mode: Mode, by: By, usual: &[&str]) {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(mode, by);
    let patient = Patient::new(binary::path(), lab.name());
    let mut wrong = Vec::new();
    for run in 1..=HEALTHY {
        let answer = patient.diagnose(None).unwrap();
        if !answer.findings.is_empty() {
            wrong.push(format!("well, run {run}: {}", answer.words()));
        }
    }
    let options = lab.dir().record().unwrap().unwrap().options;
    for (at, fault) in chosen(usual).into_iter().enumerate() {
        if let Some(why) = fault.unfit(&options) {
            println!("{mode} {}: {} is not shown: {why}", by.proxy(), fault.name);
            continue;
        }
        let of_node = matches!(fault.at, At::Node | At::Pod);
        let node = of_node.then(|| NODES[at % NODES.len()].0.to_owned());
        let trial = trial(&patient, &[Given { fault, node }]);
        let said = trial.broken.as_ref().map(|answer| answer.words()).unwrap_or_default();
        let place = trial.hits.first().map(|hit| hit.place.as_str()).unwrap_or_default();
        println!("{mode} {}: {} {place}: {said}", by.proxy(), fault.name);
        if trial.marks != [Mark::First] {
            wrong.push(format!("{} {place}: {said} {:?}", fault.name, trial.errors));
        }
        let after = trial.cleared.map(|answer| answer.words()).unwrap_or_default();
        if after != "nothing" {
            wrong.push(format!("after {} {place}: {after} {:?}", fault.name, trial.errors));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn chosen(usual: &[&str]) -> Vec<&'static Fault> {
    let only = std::env::var("NETLAB_FAULT").unwrap_or_default();
    let names = match &*only {
        "" => usual.to_vec(),
        only => only.split(',').collect(),
    };
    let found = |name: &str| fault::find(name).unwrap_or_else(|| panic!("no fault {name}"));
    names.into_iter().map(found).collect()
}
