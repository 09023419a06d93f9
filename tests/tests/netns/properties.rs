//! What differs between the pod networks and can be counted: exactly what arithmetic says.

use netlab::{
    compare::{
        options::Proxy,
        properties::{
            Beside, Cluster, Properties,
            icmp::IcmpError,
            measure,
            mtu::{Fit, Way},
            prediction,
            reach::{self, Reach},
            state::{self, Entries, NODES},
            too_large::{self, Attempt, Fate, Told},
        },
    },
    lab::{Family, Hook, Mode},
    proxy::Kind,
};
use netlab_tests::{
    lab::{By, Lab, node_address},
    privilege::require_lab,
};

/// MTU of the lab's underlay.
const UNDERLAY: u32 = 1500;

#[test]
fn vxlan_costs_50_bytes_a_packet_and_spreads_flows_by_its_source_ports() {
    if !require_lab() {
        return;
    }
    let found = measured(Mode::Vxlan, Hook::Xdp);
    overhead_is(&found, [50, 70]);
    fits(&found, [1450, 1430]);
    let from = node_address("node-1").into();
    too_large_meets(&found, Fate::FragmentationNeeded { mtu: 1450, from });
    let entropy = found.entropy.as_ref().unwrap();
    assert_eq!((entropy.flows, entropy.outside, entropy.unsteady), (1000, 0, 0), "{entropy:?}");
    // About 982 different ones, give or take a few; of all 1000 alike or alone there is no chance.
    assert!((950.0..1000.0).contains(&entropy.distinct.measured), "{entropy:?}");
    assert!((entropy.bits.measured - entropy.bits.predicted).abs() < 0.1, "{entropy:?}");
    state_is(&found, Entries { routes: 1, neighbors: 1, fdb: 1 });
}

#[test]
fn host_gw_costs_nothing_and_shows_the_flows_themselves() {
    if !require_lab() {
        return;
    }
    let found = measured(Mode::HostGw, Hook::Tc);
    overhead_is(&found, [0, 0]);
    fits(&found, [1500, 1500]);
    too_large_meets(&found, Fate::Refused { mtu: UNDERLAY });
    assert!(found.remark().is_some());
    let entropy = found.entropy.as_ref().unwrap();
    assert_eq!((entropy.flows, entropy.outside, entropy.unsteady), (1000, 0, 0), "{entropy:?}");
    assert!(entropy.distinct.agrees(), "{entropy:?}");
    assert!((entropy.bits.measured - entropy.most_bits).abs() < 1e-6, "{entropy:?}");
    state_is(&found, Entries { routes: 1, neighbors: 0, fdb: 0 });
}

#[test]
fn kube_proxys_rules_let_host_gw_carry_fragments_through_a_node_port() {
    if !require_lab() {
        return;
    }
    let found = measured(Mode::HostGw, By::KubeProxy(Kind::Nftables));
    assert_eq!(found.proxy, Proxy::Nftables);
    too_large_meets(&found, Fate::Refused { mtu: UNDERLAY });
    is_as_predicted(&found, [0, 0], [1500, 1500]);
}

#[test]
fn kube_proxys_rules_let_vxlan_tell_the_client_what_fits() {
    if !require_lab() {
        return;
    }
    let found = measured(Mode::Vxlan, By::KubeProxy(Kind::Iptables));
    assert_eq!(found.proxy, Proxy::Iptables);
    let from = node_address("node-1").into();
    too_large_meets(&found, Fate::FragmentationNeeded { mtu: 1450, from });
    is_as_predicted(&found, [50, 70], [1450, 1430]);
}

/// Whoever answers node ports: nothing is but what arithmetic says.
fn is_as_predicted(found: &Properties, added: [i64; 2], mtus: [u32; 2]) {
    overhead_is(found, added);
    fits(found, mtus);
    for attempt in &found.too_large {
        assert!(attempt.fate.agrees(), "{attempt:?}");
    }
    assert_eq!(found.remark(), None);
    let entropy = found.entropy.as_ref().unwrap();
    assert_eq!((entropy.flows, entropy.outside, entropy.unsteady), (1000, 0, 0), "{entropy:?}");
    let state = found.state.as_ref().unwrap();
    assert!(state.per_peer.agrees(), "{state:?}");
}

#[test]
fn host_gw_behind_a_router_asks_for_the_other_node_in_vain() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up_with(&["--mode", "host-gw", "--underlay", "routed", "--force"]);
    let reach = run(&lab, async |cluster| reach::measure(cluster).await.unwrap());
    assert_eq!(reach.reached, Beside { measured: false, predicted: false }, "{reach:?}");
    let signs = &reach.signs;
    assert!(signs.asked > 0 && signs.answered == 0 && signs.syns == 0, "{reach:?}");
    assert!(reach.error.is_some(), "{reach:?}");
}

/// Everything of a lab in this mode, which stays as it was.
fn measured(mode: Mode, by: impl Into<By>) -> Properties {
    let lab = Lab::up(mode, by);
    let found = run(&lab, async |cluster| measure(cluster, state::measure(mode).await).await);
    assert_eq!(found.failures, []);
    assert_eq!((found.mode, found.underlay_mtu), (mode, UNDERLAY));
    let Reach { reached, signs, .. } = found.reach.as_ref().unwrap();
    assert_eq!(*reached, Beside { measured: true, predicted: true }, "{:?}", found.reach);
    assert!(signs.syns == 1 && signs.icmp.is_empty() && signs.drops.is_empty(), "{signs:?}");
    let json = serde_json::to_string(&found).unwrap();
    let read: Properties = serde_json::from_str(&json).unwrap();
    assert_eq!((read.mtu, read.too_large), (found.mtu.clone(), found.too_large.clone()));
    // What was learnt of path MTUs is forgotten again.
    let route = lab.exec("client", &["ip", "route", "get", "172.18.0.2"]);
    assert!(!route.stdout.contains("mtu"), "{}", route.stdout);
    found
}

fn run<T>(lab: &Lab, work: impl AsyncFnOnce(&Cluster) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cluster = Cluster::open(lab.name()).unwrap();
    runtime.block_on(work(&cluster))
}

fn overhead_is(found: &Properties, [v4, v6]: [i64; 2]) {
    let overhead = found.overhead.as_ref().unwrap();
    let rows = &overhead.rows;
    assert_eq!(rows.len(), 8, "three sizes of datagrams and a connection, in two families");
    for row in rows {
        let added = if row.family == Family::V4 { v4 } else { v6 };
        assert_eq!(Vec::from_iter(&row.added.measured), [&added], "{row:?}");
        assert!(row.added.agrees() && row.underlay_bytes.agrees(), "{row:?}");
        assert!(row.packets >= 10, "{row:?}");
        let difference = row.underlay_bytes.measured - row.pod_bytes;
        assert_eq!(Ok(difference), u64::try_from(added).map(|a| a * u64::from(row.packets)));
    }
    let example = &overhead.example;
    let added = usize::try_from(v4).unwrap();
    assert_eq!(example.underlay.len(), example.pod.len() + 2 * added);
}

fn fits(found: &Properties, mtus: [u32; 2]) {
    let ways: Vec<_> = found.mtu.iter().map(|fit| (fit.way, fit.family)).collect();
    let expected =
        [(Way::PodToPod, Family::V4), (Way::PodToPod, Family::V6), (Way::NodePort, Family::V4)];
    assert_eq!(ways, expected);
    for fit in &found.mtu {
        let mtu = if fit.family == Family::V4 { mtus[0] } else { mtus[1] };
        let mss = prediction::mss(fit.family, mtu);
        assert_eq!((fit.mtu.measured, fit.mss.measured), (mtu, mss), "{fit:?}");
        assert_eq!(fit.answered.measured, mss, "{fit:?}");
        let Fit { offered, answered, mss, mtu, known_mtu, .. } = fit;
        assert!([offered, answered, mss, mtu, known_mtu].iter().all(|it| it.agrees()), "{fit:?}");
    }
    // The client stands outside: it offers what its own link takes.
    assert_eq!(found.mtu[2].offered.measured, 1460);
}

/// One byte too large meets with this through a node port; a pod's own kernel refuses it.
fn too_large_meets(found: &Properties, through_node_port: Fate) {
    let mtu = if found.mode == Mode::Vxlan { 1450 } else { UNDERLAY };
    let ways = [
        (too_large::Way::PodToPod, Fate::Refused { mtu }),
        (too_large::Way::PodToClient, Fate::Refused { mtu }),
        (too_large::Way::ClientToNodePort, through_node_port),
    ];
    for (way, met) in ways {
        let fate = |length: u32, flag: bool| {
            let this = |attempt: &&Attempt| {
                (attempt.way, attempt.length, attempt.dont_fragment) == (way, length, flag)
            };
            let attempt = found.too_large.iter().find(this);
            attempt.unwrap_or_else(|| panic!("{way:?} {length} {flag}")).fate.clone()
        };
        assert_eq!(fate(mtu, true).measured, Fate::Arrived { pieces: 1 }, "{way:?}");
        assert_eq!(
            fate(mtu + 1, true),
            Beside { measured: met.clone(), predicted: met },
            "{way:?}"
        );
        // Fragments that the client makes are not netlab's to translate yet, and the stack of
        // the node puts them together and has nobody who listens.
        let made_by_client = found.mode == Mode::HostGw && way == too_large::Way::ClientToNodePort;
        let expected = if made_by_client && found.proxy.hook().is_some() {
            let error = IcmpError { from: node_address("node-1").into(), kind: 3, code: 3 };
            Fate::Unreachable(Told { host: Some("node-1".to_owned()), error })
        } else {
            Fate::Arrived { pieces: 2 }
        };
        // A node that tracks connections puts together what its own pods have fragmented, and
        // what does not go into the tunnel fits then.
        let leaves_whole = found.mode == Mode::Vxlan
            && way == too_large::Way::PodToClient
            && found.proxy.kube_proxy().is_some();
        let expected = if leaves_whole { Fate::Arrived { pieces: 1 } } else { expected };
        assert_eq!(fate(mtu + 1, false).measured, expected, "{way:?}");
    }
}

fn state_is(found: &Properties, per_peer: Entries) {
    let state = found.state.as_ref().unwrap();
    assert_eq!(state.per_peer, Beside { measured: per_peer, predicted: per_peer });
    let nodes: Vec<_> = state.growth.iter().map(|growth| growth.nodes).collect();
    assert_eq!(nodes, NODES);
    for growth in &state.growth {
        let all = per_peer.times((growth.nodes - 1) * 2);
        assert_eq!(growth.entries, Beside { measured: all, predicted: all }, "{growth:?}");
        assert!(growth.micros > 0);
    }
}
