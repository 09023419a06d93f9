//! A veth pair in a namespace of its own, on which nobody speaks but the test.

use std::net::Ipv4Addr;

use netlab::netlink::{Netns, sysctl};
use netlab_tests::{capture::Capture, lab::unused_name};

use super::have;

/// The end that has an address.
pub const NEAR: &str = "near0";
/// The end that has none.
pub const FAR: &str = "far0";

/// Both ends. Dropping it removes the namespace.
#[derive(Debug)]
pub struct Wire {
    name: String,
    netns: Netns,
}

impl Wire {
    /// The address of the near end, and of nobody, behind the far end.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    pub const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    /// Where the far end's address would be.
    pub const PEER_MAC: &str = "02:00:00:00:00:02";

    /// None, with a word why, where ip(8) is missing.
    pub fn new() -> Option<Self> {
        if !have("ip") {
            return None;
        }
        Some(Self::named(unused_name().to_string()))
    }

    /// In a namespace of this name. ip(8) has to be there.
    pub fn named(name: String) -> Self {
        let netns = Netns::create(&name).unwrap();
        let wire = Self { name, netns };
        sysctl::write(&wire.netns, "ipv6/conf/all/disable_ipv6", "1").unwrap();
        sysctl::write(&wire.netns, "ipv6/conf/default/disable_ipv6", "1").unwrap();
        wire.pair(NEAR, FAR);
        wire.ip(&["link", "set", NEAR, "address", "02:00:00:00:00:01"]);
        wire.ip(&["link", "set", FAR, "address", Self::PEER_MAC]);
        wire.up(NEAR, Self::ADDRESS, Self::PEER);
        wire
    }

    /// Makes another pair, of which the second end is up.
    pub fn pair(&self, near: &str, far: &str) {
        self.ip(&["link", "add", near, "type", "veth", "peer", "name", far]);
        self.ip(&["link", "set", far, "up"]);
    }

    /// Gives an interface an address, and the MAC address of a peer.
    pub fn up(&self, interface: &str, address: Ipv4Addr, peer: Ipv4Addr) {
        self.ip(&["link", "set", interface, "up"]);
        self.ip(&["address", "add", &format!("{address}/24"), "dev", interface]);
        self.ip(&[
            "neighbor",
            "replace",
            &peer.to_string(),
            "lladdr",
            Self::PEER_MAC,
            "dev",
            interface,
        ]);
    }

    /// The namespace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs ip(8) there.
    pub fn ip(&self, args: &[&str]) {
        let output = self.netns.command("ip").args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a closure there.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.netns.run(work).unwrap()
    }

    /// Captures there.
    pub fn capture(&self, args: &[&str]) -> Capture {
        Capture::spawn(&[&["capture", "--netns", &self.name], args].concat(), true).ready()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = Netns::delete(&self.name);
    }
}
