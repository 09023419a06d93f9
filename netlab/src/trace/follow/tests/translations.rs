//! Who translated what, told or not.

use super::*;

#[test]
fn a_translation_that_nobody_tells_is_seen_from_tcps_numbers() {
    let mut scene = Scene::new();
    let syn = tcp(CLIENT, FRONTEND, "S", 1000, 0).id(9);
    let inside = syn.between(MASQUERADE, REMOTE).ttl(63);
    scene.see(0, "client eth0 tc-out", &syn.frame());
    scene.see(5, "node-1 eth0 tc-in", &syn.frame());
    scene.see(9, "node-1 flannel.1 tc-out", &inside.frame());
    scene.see(20, "web-4 eth0 tc-in", &inside.frame());
    let answer = tcp(REMOTE, MASQUERADE, "SA", 5000, 1001);
    scene.see(30, "web-4 eth0 tc-out", &answer.frame());
    scene.see(40, "client eth0 tc-in", &answer.between(FRONTEND, CLIENT).frame());
    // From then on it is known, also to what could not be told apart.
    let mut late = tcp(CLIENT, FRONTEND, "A", 1001, 5001).bytes(1001, 10);
    scene.see(50, "client eth0 tc-out", &late.frame());
    late = late.between(MASQUERADE, REMOTE);
    scene.see(60, "web-4 eth0 tc-in", &late.frame());
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(4, 2), (2, 0)]);
    assert!(is_answered(&journeys[0]), "{:?}", journeys[0].outcome);
}

#[test]
fn a_translation_of_datagrams_is_seen_from_their_identification() {
    let mut scene = Scene::new();
    let request = udp(CLIENT, FRONTEND, b"hello").id(700);
    let inside = request.between(MASQUERADE, REMOTE);
    scene.see(0, "node-1 eth0 tc-in", &request.frame());
    scene.see(3, "node-1 cni0 tc-out", &inside.frame());
    assert_eq!(shape(&scene.end()), [(2, 0)]);
}

#[test]
fn a_translation_of_datagrams_without_identification_is_seen_where_one_end_stays() {
    let mut scene = Scene::new();
    let request = udp("[fd00::1]:4000", "[fd00::2]:30053", b"hello");
    scene.see(0, "node-1 eth0 tc-in", &request.frame());
    let inside = request.between("[fd00::1]:4000", "[fd00:1::4]:5353");
    scene.see(3, "node-1 cni0 tc-out", &inside.frame());
    let both = request.between("[fd00::9]:4", "[fd00:1::5]:5353");
    scene.see(6, "node-1 vethx tc-out", &both.frame());
    assert_eq!(shape(&scene.end()), [(2, 0), (1, 0)]);
}

#[test]
fn equal_packets_of_two_clients_are_told_apart_by_what_the_datapath_says() {
    let mut scene = Scene::new();
    let clients =
        [("172.18.255.10:1111", "10.244.1.0:50"), ("172.18.255.10:2222", "10.244.1.0:60")];
    let step = |scene: &mut Scene, time, which: usize, at| {
        let (client, masquerade) = clients[which];
        let request = udp(client, FRONTEND, b"same").id(7);
        let inside = request.between(masquerade, REMOTE);
        match at {
            0 => scene.see(time, "client eth0 tc-out", &request.frame()),
            1 => scene.see(time, "node-1 eth0 xdp-in", &request.frame()),
            2 => {
                let event = translated(Kind::First, &request, &inside);
                scene.event(time, "node-1 eth0 xdp-out", &inside.frame(), Some(event));
            }
            _ => scene.see(time, "web-4 eth0 tc-in", &inside.frame()),
        }
    };
    for at in 0..4 {
        // They overtake each other.
        step(&mut scene, 10 * at, usize::from(at % 2 == 0), at);
        step(&mut scene, 10 * at + 1, usize::from(at % 2 == 1), at);
    }
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(4, 0), (4, 0)]);
    for journey in &journeys {
        let (first, last) = (journey.flow().unwrap(), journey.hops[3].flow.unwrap());
        let client = clients.iter().find(|(client, _)| *client == first.source().to_string());
        assert_eq!(client.unwrap().1, last.source().to_string());
    }
}

#[test]
fn equal_packets_of_two_clients_are_told_apart_by_the_end_that_stays() {
    let mut scene = Scene::new();
    let [one, two] = ["172.18.255.10:1111", "172.18.255.10:2222"];
    let build = |client, to| udp(client, to, b"same").id(7);
    scene.see(0, "node-1 eth0 tc-in", &build(one, FRONTEND).frame());
    scene.see(1, "node-1 eth0 tc-in", &build(two, FRONTEND).frame());
    scene.see(2, "node-1 cni0 tc-out", &build(two, LOCAL).frame());
    scene.see(3, "node-1 cni0 tc-out", &build(one, LOCAL).frame());
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(2, 0), (2, 0)]);
    for journey in &journeys {
        assert_eq!(journey.hops[0].flow.unwrap().source(), journey.hops[1].flow.unwrap().source());
    }
}

#[test]
fn where_two_could_have_become_it_none_has() {
    let mut scene = Scene::new();
    let build = |client, to| udp(client, to, b"same").id(7);
    scene.see(0, "node-1 eth0 tc-in", &build("172.18.255.10:1111", FRONTEND).frame());
    scene.see(1, "node-1 eth0 tc-in", &build("172.18.255.10:2222", FRONTEND).frame());
    scene.see(2, "node-1 cni0 tc-out", &build(MASQUERADE, REMOTE).frame());
    assert_eq!(shape(&scene.end()), [(1, 0), (1, 0), (1, 0)]);
}

#[test]
fn what_another_host_sends_on_its_own_is_not_a_copy() {
    let mut scene = Scene::new();
    let one = udp("172.18.255.10:1111", FRONTEND, b"same").id(7);
    let other = udp("172.18.255.11:1111", FRONTEND, b"same").id(7);
    scene.see(0, "client eth0 tc-out", &one.frame());
    scene.see(1, "client-2 eth0 tc-out", &other.frame());
    assert_eq!(shape(&scene.end()), [(1, 0), (1, 0)]);
}

#[test]
fn what_conntrack_tells_is_believed() {
    let request = udp("[fd00::1]:4000", "[fd00::2]:30053", b"hello");
    let inside = request.between("[fd00::9]:4", "[fd00:1::5]:5353");
    let answer = udp("[fd00:1::5]:5353", "[fd00::9]:4", b"yes");
    let outside = answer.between("[fd00::2]:30053", "[fd00::1]:4000");
    let mut scene = Scene::new();
    scene.follower.learn(request.flow(), inside.flow());
    scene.see(0, "node-1 eth0 tc-in", &request.frame());
    scene.see(2, "web-4 eth0 tc-in", &inside.frame());
    scene.see(4, "web-4 eth0 tc-out", &answer.frame());
    scene.see(6, "node-1 eth0 tc-out", &outside.frame());
    assert_eq!(shape(&scene.end()), [(2, 2)]);
}

#[test]
fn a_masquerade_port_that_is_given_away_takes_no_packets_along() {
    let mut scene = Scene::new();
    for (round, client) in ["172.18.255.10:1111", "172.18.255.10:2222"].into_iter().enumerate() {
        let time = round as u64 * 100;
        let request = udp(client, FRONTEND, b"same");
        let inside = request.between(MASQUERADE, REMOTE);
        scene.see(time, "node-1 eth0 xdp-in", &request.frame());
        let event = translated(Kind::First, &request, &inside);
        scene.event(time + 1, "node-1 eth0 xdp-out", &inside.frame(), Some(event));
        scene.see(time + 2, "web-4 eth0 tc-in", &inside.frame());
        let answer = udp(REMOTE, MASQUERADE, b"yes");
        let outside = answer.between(FRONTEND, client);
        scene.see(time + 3, "web-4 eth0 tc-out", &answer.frame());
        let event = translated(Kind::Reply, &answer, &outside);
        scene.event(time + 4, "node-1 eth0 xdp-out", &outside.frame(), Some(event));
    }
    let journeys = scene.end();
    assert_eq!(shape(&journeys), [(3, 2), (3, 2)]);
}

#[test]
fn a_translation_seen_before_its_packet_joins_what_is_under_way() {
    // The event was lost for the first packet; the second tells.
    let mut scene = Scene::new();
    let there = |id| udp("[fd00::1]:4000", "[fd00::2]:30053", &[id; 8]);
    let inside = |id| there(id).between("[fd00::9]:4", "[fd00:1::5]:5353");
    scene.see(0, "client eth0 tc-out", &there(1).frame());
    scene.see(1, "web-4 eth0 tc-in", &inside(1).frame());
    scene.see(2, "client eth0 tc-out", &there(2).frame());
    let event = translated(Kind::Original, &there(2), &inside(2));
    scene.event(3, "node-1 eth0 xdp-out", &inside(2).frame(), Some(event));
    scene.see(4, "web-4 eth0 tc-in", &inside(2).frame());
    assert_eq!(shape(&scene.end()), [(1, 0), (1, 0), (3, 0)]);
}
