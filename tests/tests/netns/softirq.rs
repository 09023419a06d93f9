//! Softirq time by host.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use netlab::{
    compare::softirq::{Hosts, SoftirqClock},
    lab::Mode,
    netlink::Netns,
    proxy::Kind,
    spec::model::Protocol,
};
use netlab_tests::{
    lab::{By, Lab, WEB, node_address},
    privilege::require_lab,
};

fn inode(netns: &Netns) -> u32 {
    netns.inode().unwrap().try_into().unwrap()
}

#[test]
fn time_is_booked_to_hosts_on_the_way_of_packets_and_to_no_other() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up(Mode::HostGw, By::KubeProxy(Kind::Nftables));
    let mut hosts = Hosts::new();
    for host in ["client", "fabric", "node-1", "node-2"] {
        hosts.insert(host.to_owned(), inode(&lab.netns(host)));
    }
    let aside = Netns::unnamed().unwrap();
    hosts.insert("aside".to_owned(), inode(&aside));
    let clock = SoftirqClock::start(hosts.values().copied()).unwrap();

    // Nobody listens there: node-1 itself answers, and node-2 has nothing to do with it.
    let before = clock.read(&hosts).unwrap();
    let began = Instant::now();
    let to: SocketAddr = (node_address("node-1"), 9).into();
    lab.inside("client", || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..2_000 {
            let _ = socket.send_to(b"anybody?", to);
        }
    });
    let near = clock.read(&hosts).unwrap().since(&before);
    let cpus = std::thread::available_parallelism().unwrap().get();
    let passed = began.elapsed() * u32::try_from(cpus).unwrap();
    for host in ["client", "fabric", "node-1"] {
        assert!(near[host] > 0.0, "{host}: {near:?}");
    }
    assert!(near["node-2"] < near["node-1"] / 4.0, "{near:?}");
    assert!(near.values().sum::<f64>() < passed.as_secs_f64(), "{near:?} in {passed:?}");

    // Half of these pods are on the other node.
    let before = clock.read(&hosts).unwrap();
    let _ = lab.dials(Protocol::Tcp, (node_address("node-1"), WEB), 64, 100);
    let all = clock.read(&hosts).unwrap().since(&before);
    for host in ["client", "fabric", "node-1", "node-2"] {
        assert!(all[host] > 0.0, "{host}: {all:?}");
    }
    assert_eq!([near["aside"], all["aside"]], [0.0; 2]);
}

#[test]
fn whoever_has_no_account_is_told_apart_from_whoever_has_no_time() {
    if !require_lab() {
        return;
    }
    let netns = Netns::unnamed().unwrap();
    let hosts = Hosts::from([("aside".to_owned(), inode(&netns))]);
    let clock = SoftirqClock::start([inode(&netns)]).unwrap();
    std::thread::sleep(Duration::from_millis(10));
    let spent = clock.read(&hosts).unwrap();
    assert_eq!(spent.since(&spent)["aside"], 0.0);
    let strangers = Hosts::from([("stranger".to_owned(), 1)]);
    assert!(clock.read(&strangers).is_err());
}
