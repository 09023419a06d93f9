//! Copies that went different ways.

use super::{neighbors::arp, *};

const ASKER: [u8; 4] = [10, 244, 1, 2];
const OWNER: [u8; 4] = [10, 244, 1, 3];

/// Which hop each one comes after.
fn after(journey: &Journey) -> Vec<Option<usize>> {
    journey.hops.iter().map(|hop| hop.after).collect()
}

fn plug(scene: &mut Scene, ports: &[&str]) {
    for port in ports {
        scene.follower.plug("node-1", port, "cni0");
    }
}

/// A pod asks who has an address: the bridge of its node copies that to all.
pub(super) fn flooded_request() -> Scene {
    let mut scene = Scene::new();
    plug(&mut scene, &["vethweb-1", "vethweb-2", "vethweb-3"]);
    let request = arp(1, ASKER, OWNER);
    scene.see(0, "web-1 eth0 tc-out", &request);
    scene.see(3, "node-1 vethweb-1 tc-in", &request);
    scene.see(5, "node-1 vethweb-2 tc-out", &request);
    scene.see(6, "node-1 vethweb-3 tc-out", &request);
    scene.see(8, "node-1 cni0 tc-in", &request);
    scene.see(11, "web-2 eth0 tc-in", &request);
    scene.see(13, "web-3 eth0 tc-in", &request);
    let reply = arp(2, OWNER, ASKER);
    scene.see(20, "web-2 eth0 tc-out", &reply);
    scene.see(22, "node-1 vethweb-2 tc-in", &reply);
    scene.see(24, "node-1 vethweb-1 tc-out", &reply);
    scene.see(26, "web-1 eth0 tc-in", &reply);
    scene
}

#[test]
fn copies_that_leave_by_the_ports_of_a_bridge_are_branches() {
    let journeys = flooded_request().end();
    assert_eq!(shape(&journeys), [(7, 4)]);
    assert_eq!(after(&journeys[0]), [None, Some(0), Some(1), Some(1), Some(1), Some(2), Some(3)]);
    assert_eq!(after(journeys[0].reply.as_ref().unwrap()), [None, Some(0), Some(1), Some(2)]);
}

#[test]
fn copies_arrive_in_the_order_in_which_they_left() {
    let mut scene = Scene::new();
    plug(&mut scene, &["veth1", "veth2", "veth3"]);
    let frame = udp(CLIENT, LOCAL, b"hello").id(5).frame();
    scene.see(0, "node-1 cni0 tc-out", &frame);
    for (at, port) in ["veth1", "veth2", "veth3"].into_iter().enumerate() {
        scene.see(1 + at as u64, &format!("node-1 {port} tc-out"), &frame);
    }
    for (at, pod) in ["a", "b", "c"].into_iter().enumerate() {
        scene.see(10 + at as u64, &format!("{pod} eth0 tc-in"), &frame);
    }
    let parents = [None, Some(0), Some(0), Some(0), Some(1), Some(2), Some(3)];
    assert_eq!(after(&scene.end()[0]), parents);
}

#[test]
fn what_goes_out_to_a_group_arrives_at_several_hosts() {
    let mut scene = Scene::new();
    let request = arp(1, [172, 18, 255, 10], NODE_1);
    scene.see(0, "client eth0 tc-out", &request);
    scene.see(5, "node-1 eth0 xdp-in", &request);
    scene.see(6, "node-2 eth0 xdp-in", &request);
    scene.see(7, "node-1 eth0 tc-in", &request);
    scene.see(8, "node-2 eth0 tc-in", &request);
    assert_eq!(after(&scene.end()[0]), [None, Some(0), Some(0), Some(1), Some(2)]);
}

#[test]
fn copies_at_pods_are_branches_although_the_ports_were_not_watched() {
    let mut scene = Scene::new();
    plug(&mut scene, &["veth1"]);
    let frame = udp(CLIENT, LOCAL, b"hello").id(5).frame();
    scene.see(0, "node-1 cni0 tc-out", &frame);
    scene.see(1, "web-1 eth0 tc-in", &frame);
    scene.see(2, "web-2 eth0 tc-in", &frame);
    let reason = "OTHERHOST".into();
    let event = Event::KernelDrop { reason, function: "ip_rcv_core+0x1f".into() };
    scene.event(3, "web-1 eth0 drop", &frame, Some(event));
    assert_eq!(after(&scene.end()[0]), [None, Some(0), Some(0), Some(1)]);
}

#[test]
fn one_way_through_many_hosts_has_no_branches() {
    for scene in [paths::remote_vxlan(), paths::remote_host_gw(), repetitions::split()] {
        for journey in scene.end() {
            for journey in [Some(&journey), journey.reply.as_deref()].into_iter().flatten() {
                let one_way: Vec<_> =
                    (0..journey.hops.len()).map(|at: usize| at.checked_sub(1)).collect();
                assert_eq!(after(journey), one_way, "{journey:#?}");
            }
        }
    }
}
