use netlab::{
    compare::{
        options::Proxy,
        properties::{
            Failed, Property,
            icmp::IcmpError,
            overhead::{Example, Overhead},
            reach::Signs,
            state::State,
            too_large::{Attempt, Told},
        },
    },
    lab::{Mode, Underlay},
};

use super::*;

#[test]
fn networks_stand_beside_each_other_in_a_hundred_columns() {
    let mut other = network(Mode::Vxlan, [50, 70]);
    other.routed = Some(reach(true));
    let text = section(&[network(Mode::HostGw, [0, 0]), other]);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let line = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    };
    assert!(line("PROPERTY").ends_with("VXLAN"));
    let added = line("bytes added");
    assert!(added.contains("0 (predicted 0)"), "{added}");
    assert!(added.contains("50 (predicted 50)"), "{added}");
    assert!(line("one byte too large, node port").ends_with("ICMP frag needed, MTU 1450"));
    assert!(line("  (nftables)").ends_with("else arrives in 2 fragments"));
    assert!(line("source ports").ends_with("986 different (983 if at random)"));
    assert!(text.contains("else arrives in 2 fragments"));
    assert!(line("state for each").ends_with("1 route, 1 neighbor, 1 FDB"));
    assert!(line("  200 nodes").ends_with("398 entries, 12.3 ms"));
    let routed = line("works behind a router");
    assert!(routed.contains("NO: No route to host, 3.1 s") && routed.ends_with("yes"), "{routed}");
    assert!(text.contains("3 ARP requests, no answer"));
    assert!(!text.contains(MARK), "{text}");
}

#[test]
fn what_is_not_as_predicted_and_what_failed_is_marked() {
    let host_gw = network(Mode::HostGw, [0, 0]);
    let mut network = network(Mode::Vxlan, [50, 70]);
    if let Some(overhead) = &mut network.properties.overhead {
        overhead.rows[0].added.measured = BTreeSet::from([50, 54]);
    }
    network.properties.state = None;
    let reason = "no".to_owned();
    network.properties.failures.push(Failed { property: Property::State, reason });
    let fate = &mut network.properties.too_large[1].fate;
    fate.measured = Fate::Dropped;
    let text = section(&[network.clone()]);
    let remark = "netlab's programs leave fragments to the stack, which does not answer node ports";
    assert!(!text.contains(remark), "{text}");
    let error = IcmpError { from: [172, 18, 0, 2].into(), kind: 3, code: 3 };
    let told = Told { host: Some("node-1".to_owned()), error };
    network.properties.too_large[1].fate.measured = Fate::Unreachable(told);
    network.properties.proxy = Proxy::EbpfTc;
    let of_netlab = section(&[host_gw, network]);
    assert!(of_netlab.lines().all(|line| line.chars().count() <= 100), "{of_netlab}");
    assert!(of_netlab.contains("else ICMP port unreachable"), "{of_netlab}");
    assert!(of_netlab.contains("     from node-1\n"), "{of_netlab}");
    assert!(of_netlab.contains(remark), "{of_netlab}");
    assert!(text.contains("else dropped, nobody is told\n"), "{text}");
    assert!(text.contains("!arrives in 2 fragments"), "{text}");
    assert!(text.contains("50, 54 (!predicted 50)"), "{text}");
    assert!(text.contains("vxlan: state per peer: not measured: no"), "{text}");
    assert!(text.contains("! stands before what it had to be"), "{text}");
    assert_eq!(section(&[]), "");
}

fn network(mode: Mode, added: [i64; 2]) -> Network {
    let row = |family, added| Row {
        family,
        protocol: Transported::Udp,
        payload: 1,
        packets: 10,
        added: Beside { measured: BTreeSet::from([added]), predicted: BTreeSet::from([added]) },
        pod_bytes: 430,
        underlay_bytes: same(430),
        per_payload_byte: same(43.0),
    };
    let rows = vec![row(Family::V4, added[0]), row(Family::V6, added[1])];
    let example = Example { pod: String::new(), underlay: String::new() };
    let told = Fate::FragmentationNeeded { mtu: 1450, from: [172, 18, 0, 2].into() };
    let attempt = |dont_fragment, fate| Attempt {
        way: Way::ClientToNodePort,
        length: 1451,
        dont_fragment,
        fate: same(fate),
        drops: Vec::new(),
    };
    let entries = |count| Entries { routes: count, neighbors: count, fdb: count };
    let all = Entries { routes: 398, ..Entries::default() };
    let growth = Growth { nodes: 200, families: 2, entries: same(all), micros: 12_345 };
    let entropy = Entropy {
        flows: 1000,
        distinct: Beside { measured: 986.0, predicted: 983.0 },
        bits: same(9.93),
        most_bits: 9.97,
        seen: [32_800, 60_990],
        range: [32_768, 60_999],
        outside: 0,
        unsteady: 0,
    };
    Network {
        properties: Properties {
            mode,
            underlay: Underlay::L2,
            proxy: Proxy::Nftables,
            underlay_mtu: 1500,
            overhead: Some(Overhead { rows, example }),
            mtu: Vec::new(),
            too_large: vec![attempt(true, told), attempt(false, Fate::Arrived { pieces: 2 })],
            // Ports are drawn where a packet is encapsulated.
            entropy: (mode == Mode::Vxlan).then_some(entropy),
            state: Some(State { per_peer: same(entries(1)), growth: vec![growth] }),
            reach: None,
            failures: Vec::new(),
        },
        routed: Some(reach(false)),
    }
}

fn reach(reached: bool) -> Reach {
    let error = (!reached).then(|| "No route to host (os error 113)".to_owned());
    let signs = Signs { asked: 3, ..Signs::default() };
    Reach { reached: same(reached), error, micros: 3_100_000, signs }
}

fn same<T: Clone>(value: T) -> Beside<T> {
    Beside { measured: value.clone(), predicted: value }
}
