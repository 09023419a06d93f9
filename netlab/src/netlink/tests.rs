//! Against the kernel, in namespaces of the test's own.

use std::{net::IpAddr, time::Duration};

use futures_util::StreamExt as _;
use nix::errno::Errno;

use super::{ethtool::Offload, *};

/// Two namespaces that are gone with this, also after a panic.
struct Pair {
    near: Netns,
    far: Netns,
}

impl Pair {
    /// None, with a word on why, where the test may not make namespaces.
    fn new(name: &str) -> Option<Self> {
        let missing = missing_privileges().unwrap();
        if !missing.is_empty() {
            assert!(std::env::var_os("NETLAB_REQUIRE_PRIVILEGE").is_none(), "{missing:?}");
            eprintln!("SKIP needs {}", missing.join(" and "));
            return None;
        }
        let make = |end| Netns::create(&format!("test-{}-{name}-{end}", std::process::id()));
        Some(Self { near: make("near").unwrap(), far: make("far").unwrap() })
    }

    async fn wired(&self) -> (Connection, Connection) {
        let (near, far) =
            (Connection::open(&self.near).unwrap(), Connection::open(&self.far).unwrap());
        let mac = Some(Mac([2, 0, 0, 0, 0, 1]));
        let (a, b) =
            (VethEnd { name: "a", mac, mtu: 1400 }, VethEnd { name: "b", mac: None, mtu: 1400 });
        near.create_veth(&a, &b, &self.far).await.unwrap();
        for (connection, name) in [(&near, "a"), (&far, "b")] {
            connection.set_up(connection.link(name).await.unwrap().index).await.unwrap();
        }
        (near, far)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for netns in [&self.near, &self.far] {
            let _ = Netns::delete(netns.name());
        }
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn an_error_names_operation_and_subject_and_keeps_the_code() {
    let error = Error::new("delete the link", "eth0 in t1-client", Errno::ENODEV);
    assert_eq!(error.to_string(), "cannot delete the link eth0 in t1-client");
    assert_eq!(error.errno(), Some(Errno::ENODEV));
    assert!(error.is_absent());
}

#[tokio::test]
async fn a_veth_stands_in_both_namespaces_as_asked() {
    let Some(pair) = Pair::new("veth") else { return };
    let (near, far) = pair.wired().await;
    let (a, b) = (near.link("a").await.unwrap(), far.link("b").await.unwrap());
    assert_eq!((a.kind, a.mtu, a.up), (LinkKind::Veth, 1400, true));
    assert_eq!(a.mac, Some(Mac([2, 0, 0, 0, 0, 1])));
    assert_eq!((a.peer, b.peer), (Some(b.index), Some(a.index)));
    assert!(near.link("b").await.unwrap_err().is_absent());
    for on in [false, true] {
        ethtool::set(&pair.near, "a", Offload::Gro, on).unwrap();
        assert_eq!(ethtool::get(&pair.near, "a", Offload::Gro).unwrap(), on);
    }
}

#[tokio::test]
async fn routes_and_lookups_agree_in_both_families() {
    let Some(pair) = Pair::new("route") else { return };
    let (near, _far) = pair.wired().await;
    let device = near.link("a").await.unwrap().index;
    let cases = [
        ("10.1.0.1/24", "10.2.0.0/16", "10.1.0.9", "10.2.3.4"),
        ("fd01::1/64", "fd02::/64", "fd01::9", "fd02::5"),
    ];
    for (own, destination, gateway, target) in cases {
        let net: ipnet::IpNet = own.parse().unwrap();
        near.add_address(Address { device, net }).await.unwrap();
        assert!(near.addresses().await.unwrap().contains(&Address { device, net }));
        let route = Route {
            destination: destination.parse().unwrap(),
            gateway: Some(ip(gateway)),
            device: Some(device),
            onlink: false,
            source: None,
            kernel: false,
        };
        near.replace_route(&route).await.unwrap();
        assert!(near.routes().await.unwrap().contains(&route));
        let path = near.route_get(ip(target)).await.unwrap();
        let expected =
            Path { device, gateway: Some(ip(gateway)), source: Some(net.addr()), local: false };
        assert_eq!(path, expected);
        // The kernel brings an IPv6 address into force from a work queue, a moment later.
        let local = async {
            while !near.route_get(net.addr()).await.unwrap().local {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), local).await.unwrap();
        near.remove_route(&route).await.unwrap();
        let error = near.route_get(ip(target)).await.unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENETUNREACH));
    }
}

#[tokio::test]
async fn neighbors_and_fdb_entries_are_listed_as_set() {
    let Some(pair) = Pair::new("fdb") else { return };
    let (near, _far) = pair.wired().await;
    let device = near.link("a").await.unwrap().index;
    for (local, peer, name) in [("10.1.0.1", "10.1.0.2", "v4"), ("fd01::1", "fd01::2", "v6")] {
        let mac = Mac([2, 0, 0, 0, 0, 9]);
        near.replace_neighbor(device, ip(peer), mac).await.unwrap();
        let entry = near.neighbors().await.unwrap().into_iter().find(|n| n.address == ip(peer));
        assert_eq!(entry.map(|n| (n.mac, n.permanent)), Some((Some(mac), true)));
        let new = NewVxlan { name, mac, mtu: 1300, vni: 1, port: 8472, local: ip(local), device };
        near.create_vxlan(&new).await.unwrap();
        let link = near.link(name).await.unwrap();
        let LinkKind::Vxlan(vxlan) = link.kind else { panic!("{:?}", link.kind) };
        assert_eq!((vxlan.vni, vxlan.port, vxlan.learning), (1, 8472, false));
        assert_eq!((vxlan.local, vxlan.device), (Some(ip(local)), Some(device)));
        let entry = NewFdbEntry { device: link.index, mac, destination: ip(peer) };
        near.replace_fdb(entry).await.unwrap();
        let found = near.fdb().await.unwrap().into_iter().find(|f| f.device == link.index);
        assert_eq!(found.and_then(|f| f.destination), Some(ip(peer)));
        near.remove_fdb(link.index, mac).await.unwrap();
    }
}

#[tokio::test]
async fn a_change_is_heard_once_listening_has_begun() {
    let Some(pair) = Pair::new("changes") else { return };
    let (near, _far) = pair.wired().await;
    let mut changes = near.changes().unwrap();
    let quiet = Duration::from_millis(300);
    // What the wire's own coming up still has to say.
    while tokio::time::timeout(quiet, changes.next()).await.is_ok() {}
    let device = near.link("a").await.unwrap().index;
    near.replace_neighbor(device, ip("10.1.0.2"), Mac([2, 0, 0, 0, 0, 9])).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(5), changes.next()).await;
    assert_eq!(heard, Ok(Some(())));
}

#[test]
fn sysctls_are_the_namespaces_own() {
    let Some(pair) = Pair::new("sysctl") else { return };
    sysctl::write(&pair.near, "ipv4/ip_forward", "1").unwrap();
    sysctl::write(&pair.far, "ipv4/ip_forward", "0").unwrap();
    assert_eq!(sysctl::read(&pair.near, "ipv4/ip_forward").unwrap(), "1");
    assert_eq!(sysctl::read(&pair.far, "ipv4/ip_forward").unwrap(), "0");
    assert!(sysctl::read(&pair.near, "ipv4/no_such").unwrap_err().is_absent());
}
