//! The programs that make and take traffic for measurements.

use std::{net::Ipv4Addr, time::Duration};

use netlab::{
    compare::{
        softirq::{Hosts, SoftirqClock},
        traffic::{Berth, Flood, Forwarder, Sender, Taker},
    },
    netlink::{Connection, Netns},
};
use netlab_tests::{lab::Lab, privilege::require_lab};

const CLIENT: Ipv4Addr = Ipv4Addr::new(172, 18, 255, 10);
const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 2, 2);

#[tokio::test]
async fn what_is_sent_is_forwarded_and_taken_which_is_time_of_the_forwarder() {
    if !require_lab() {
        return;
    }
    let lab = Lab::up_with(&["--mode", "host-gw", "--proxy", "none"]);
    let name = lab.name().to_string();
    let open = |host: &str| Netns::open(&format!("{name}-{host}")).unwrap();
    let (node, fabric) = (open("node-1"), open("fabric"));
    let uplink = Connection::open(&node).unwrap().link("eth0").await.unwrap();
    let ports = Connection::open(&fabric).unwrap().links().await.unwrap();
    let port = ports.iter().find(|port| Some(port.index) == uplink.peer).unwrap();
    let _forwarder = Forwarder::new(&node, uplink.index).unwrap();
    let taker = Taker::new(&fabric, port.index).unwrap();
    let berth = Berth::new().await.unwrap();
    // So that node-1 knows node-2's Ethernet address.
    let _ = node.run(|| std::net::UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"?", (POD, 9)));
    let inode = |host: &str| u32::try_from(open(host).inode().unwrap()).unwrap();
    let hosts = ["fabric", "node-1", "node-2"].map(|host| (host.to_owned(), inode(host)));
    let hosts = Hosts::from(hosts);
    let clock = SoftirqClock::start(hosts.values().copied()).unwrap();
    for (flows, random, length) in [(1, false, 60), (1000, false, 60), (1000, true, 1512)] {
        let flood = Flood {
            macs: [port.mac.unwrap().0, uplink.mac.unwrap().0],
            addresses: [CLIENT.octets(), POD.octets()],
            port: 9,
            flows,
            random,
            length,
        };
        let sender = Sender::new(&flood, (&fabric, port.index), &berth).unwrap();
        let spent_before = clock.read(&hosts).unwrap();
        let before = taker.taken().unwrap();
        let sent = sender.send(Duration::from_millis(200)).unwrap();
        let after = taker.taken().unwrap();
        let (packets, bytes) = (after.packets - before.packets, after.bytes - before.bytes);
        assert!(packets > 0 && packets <= sent.frames, "{packets} of {}", sent.frames);
        assert_eq!(bytes, packets * length as u64);
        // Of these packets, node-1's stack sees none.
        let spent = clock.read(&hosts).unwrap().since(&spent_before);
        eprintln!("{packets} of {} in {:?}: {spent:?}", sent.frames, sent.took);
        assert!(spent["node-1"] > 0.0 && spent["node-2"] < spent["node-1"] / 4.0, "{spent:?}");
    }
}
