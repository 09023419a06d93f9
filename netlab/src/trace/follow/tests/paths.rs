//! The ways through a lab.

use super::*;

#[test]
fn a_local_backend_is_reached_through_the_stack() {
    let mut scene = Scene::new();
    let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0).id(9);
    let inside = syn.between(CLIENT, LOCAL);
    scene.see(0, "client eth0 tc-out", &syn.frame());
    scene.see(5, "node-1 eth0 xdp-in", &syn.frame());
    let event = translated(Kind::First, &syn, &inside);
    scene.event(7, "node-1 eth0 xdp-out", &inside.frame(), Some(event));
    scene.see(9, "node-1 eth0 tc-in", &inside.frame());
    let inside = inside.ttl(63);
    scene.see(11, "node-1 cni0 tc-out", &inside.frame());
    scene.see(12, "node-1 vethweb-1 tc-out", &inside.frame());
    scene.see(13, "web-1 eth0 tc-in", &inside.frame());
    scene.follower.locate("10.244.1.2".parse().unwrap(), "web-1");
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(7, 0)]);
    assert_eq!(journeys[0].outcome, Outcome::Delivered { host: "web-1".into() });
    assert_eq!((journeys[0].id, journeys[0].duration), (1, 13_000));
    let flow = journeys[0].flow().unwrap().to_string();
    assert_eq!(flow, "172.18.255.10:40132 > 172.18.0.2:30080");
}

#[test]
fn a_remote_backend_is_reached_along_routes_and_answers_the_same_way() {
    let journeys = remote_host_gw().end();
    assert_eq!(shape(&journeys), [(5, 5)]);
    assert!(is_answered(&journeys[0]), "{:?}", journeys[0].outcome);
    let reply = journeys[0].reply.as_ref().unwrap();
    assert_eq!((reply.id, reply.answers, reply.packet.as_str()), (2, Some(1), "TCP SYN-ACK"));
    assert_eq!(reply.outcome, Outcome::Delivered { host: "client".into() });
}

/// Client to node-1, translated both ways, routed to node-2's pod, and back.
pub(in super::super) fn remote_host_gw() -> Scene {
    let mut scene = Scene::new();
    let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0).id(9);
    let inside = syn.between("172.18.0.2:5704", REMOTE).ttl(63);
    scene.see(0, "client eth0 tc-out", &syn.frame());
    scene.see(5, "node-1 eth0 xdp-in", &syn.frame());
    let event = translated(Kind::First, &syn, &inside);
    scene.event(7, "node-1 eth0 xdp-out", &inside.frame(), Some(event));
    scene.see(20, "node-2 eth0 tc-in", &inside.frame());
    scene.see(23, "web-4 eth0 tc-in", &inside.clone().ttl(62).frame());

    let answer = tcp(REMOTE, "172.18.0.2:5704", "SA", 5000, 1001);
    let outside = answer.between(FRONTEND, CLIENT);
    scene.see(40, "web-4 eth0 tc-out", &answer.frame());
    scene.see(50, "node-2 eth0 tc-out", &answer.clone().ttl(63).frame());
    scene.see(60, "node-1 eth0 xdp-in", &answer.clone().ttl(63).frame());
    let event = translated(Kind::Reply, &answer, &outside);
    scene.event(62, "node-1 eth0 xdp-out", &outside.clone().ttl(62).frame(), Some(event));
    scene.see(80, "client eth0 tc-in", &outside.ttl(62).frame());
    scene
}

#[test]
fn a_packet_stays_the_same_when_xdp_puts_it_into_vxlan() {
    let journeys = remote_vxlan().end();
    assert_eq!(shape(&journeys), [(7, 7)]);
    let tunnels: Vec<_> = journeys[0].hops.iter().map(|hop| hop.tunnel.is_some()).collect();
    assert_eq!(tunnels, [false, false, true, true, false, false, false]);
    let reply = journeys[0].reply.as_ref().unwrap();
    let tunnels: Vec<_> = reply.hops.iter().map(|hop| hop.tunnel.is_some()).collect();
    assert_eq!(tunnels, [false, false, false, true, true, false, false]);
    assert_eq!(reply.outcome, Outcome::Delivered { host: "client".into() });
}

/// XDP on node-1 encapsulates, node-2's stack decapsulates; back, node-2's stack encapsulates
/// and XDP on node-1 decapsulates.
pub(in super::super) fn remote_vxlan() -> Scene {
    let mut scene = Scene::new();
    let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0).id(9);
    let inside = syn.between(MASQUERADE, REMOTE).ttl(63);
    let outer = vxlan(NODE_1, NODE_2, &inside.frame());
    scene.see(0, "client eth0 tc-out", &syn.frame());
    scene.see(14, "node-1 eth0 xdp-in", &syn.frame());
    let event = encapsulated(Kind::First, &syn, &inside, NODE_2);
    scene.event(17, "node-1 eth0 xdp-out", &outer, Some(event));
    scene.see(31, "node-2 eth0 tc-in", &outer);
    scene.see(36, "node-2 flannel.1 tc-in", &inside.frame());
    scene.see(39, "node-2 cni0 tc-out", &inside.clone().ttl(62).frame());
    scene.see(47, "web-4 eth0 tc-in", &inside.ttl(62).frame());

    let answer = tcp(REMOTE, MASQUERADE, "SA", 5000, 1001);
    let outside = answer.between(FRONTEND, CLIENT).ttl(62);
    let outer = vxlan(NODE_2, NODE_1, &answer.clone().ttl(63).frame());
    scene.see(70, "web-4 eth0 tc-out", &answer.frame());
    scene.see(75, "node-2 cni0 tc-in", &answer.frame());
    scene.see(78, "node-2 flannel.1 tc-out", &answer.clone().ttl(63).frame());
    scene.see(81, "node-2 eth0 tc-out", &outer);
    scene.see(95, "node-1 eth0 xdp-in", &outer);
    let event = decapsulated(Kind::Reply, &answer, &outside);
    scene.event(98, "node-1 eth0 xdp-out", &outside.frame(), Some(event));
    scene.see(210, "client eth0 tc-in", &outside.frame());
    scene
}

#[test]
fn a_packet_stays_the_same_when_the_stack_puts_it_into_vxlan() {
    let mut scene = Scene::new();
    let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0).id(9);
    let inside = syn.between(MASQUERADE, REMOTE);
    scene.see(0, "client eth0 tc-out", &syn.frame());
    scene.see(5, "node-1 eth0 tc-in", &syn.frame());
    let event = translated(Kind::First, &syn, &inside);
    scene.event(7, "node-1 eth0 nat-in", &inside.frame(), Some(event));
    let inside = inside.ttl(63);
    scene.see(9, "node-1 flannel.1 tc-out", &inside.frame());
    let outer = vxlan(NODE_1, NODE_2, &inside.frame());
    scene.see(11, "node-1 eth0 tc-out", &outer);
    scene.see(12, "node-2 eth0 tc-in", &outer);
    scene.see(13, "node-2 flannel.1 tc-in", &inside.frame());
    scene.see(14, "web-4 eth0 tc-in", &inside.ttl(62).frame());
    assert_eq!(shape(&scene.end()), [(8, 0)]);
}

#[test]
fn a_local_backends_answer_is_translated_on_the_way_out() {
    let mut scene = Scene::new();
    let request = udp(CLIENT, "172.18.0.2:30053", b"who is there?").id(3);
    let inside = request.between(CLIENT, "10.244.1.4:5353");
    scene.see(0, "node-1 eth0 tc-in", &request.frame());
    let event = translated(Kind::First, &request, &inside);
    scene.event(2, "node-1 eth0 nat-in", &inside.frame(), Some(event));
    scene.see(4, "dns-1 eth0 tc-in", &inside.frame());
    let answer = udp("10.244.1.4:5353", CLIENT, b"dns-1").id(77);
    let outside = answer.between("172.18.0.2:30053", CLIENT);
    scene.see(10, "dns-1 eth0 tc-out", &answer.frame());
    let event = translated(Kind::Reply, &answer, &outside);
    scene.event(14, "node-1 eth0 nat-out", &outside.frame(), Some(event));
    scene.see(15, "node-1 eth0 tc-out", &outside.frame());
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(3, 3)]);
    assert_eq!(journeys[0].packet, "UDP 13 bytes");
}

#[test]
fn ipv6_is_followed_too() {
    let mut scene = Scene::new();
    let syn = tcp("[fd00:172:18::ff:10]:40000", "[fd00:172:18::2]:30080", "S", 1, 0);
    let inside = syn.between("[fd00:10:244:1::]:2000", "[fd00:10:244:2::3]:8080");
    scene.see(0, "client eth0 tc-out", &syn.frame());
    let event = translated(Kind::First, &syn, &inside);
    scene.event(2, "node-1 eth0 xdp-out", &inside.frame(), Some(event));
    scene.see(4, "node-2 eth0 tc-in", &inside.ttl(63).frame());
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(3, 0)]);
    assert_eq!(
        journeys[0].hops[2].flow.unwrap().to_string(),
        "[fd00:10:244:1::]:2000 > [fd00:10:244:2::3]:8080"
    );
}

#[test]
fn a_tagged_copy_is_the_same_packet() {
    let mut scene = Scene::new();
    let plain = udp(CLIENT, FRONTEND, b"hello").id(5).frame();
    let tagged = [&plain[..12], &[0x81, 0, 0, 42], &plain[12..]].concat();
    scene.see(0, "client eth0 tc-out", &plain);
    scene.see(3, "node-1 eth0 tc-in", &tagged);
    assert_eq!(shape(&scene.end()), [(2, 0)]);
}

#[test]
fn what_is_not_ip_is_followed_by_its_bytes() {
    let mut scene = Scene::new();
    let mut request = vec![0xff; 12];
    request.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    request.extend([9; 20]);
    let mut other = request.clone();
    other[30] = 1;
    scene.see(0, "client eth0 tc-out", &request);
    scene.see(1, "client eth0 tc-out", &other);
    request.extend([0; 18]);
    scene.see(2, "node-1 eth0 tc-in", &request);
    scene.see(3, "node-1 eth0 tc-in", &other);
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(2, 0), (2, 0)]);
    assert_eq!(journeys[0].packet, "ARP announcement of 9.9.9.9");
    assert_eq!(journeys[0].flow(), None);
}
