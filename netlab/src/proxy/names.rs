//! The names that kube-proxy gives its chains: a prefix, and a hash of what the chain is for.
//!
//! The hash is the beginning of the SHA-256 in base32 (RFC 4648, section 6). Law: these are the
//! names of a real node, so that what is known about one holds for the other
//! (kubernetes `pkg/proxy/{nftables,iptables}/proxier.go`).

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest as _, Sha256};

use crate::spec::model::{ObjectName, Protocol};

/// The longest name that nftables takes is 256 octets, of which kube-proxy keeps 16 for the
/// prefix.
const NFTABLES_NAME_MAX: usize = 240;

/// A port of a Service, as names and comments call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortName<'s> {
    /// The Service.
    pub service: &'s ObjectName,
    /// Its port's name; may be empty.
    pub port: &'s str,
    /// The port's protocol.
    pub protocol: Protocol,
}

impl PortName<'_> {
    /// `namespace/name:port`, or `namespace/name` of a port without a name.
    #[must_use]
    pub fn label(&self) -> String {
        match self.port {
            "" => self.service.to_string(),
            port => format!("{}:{port}", self.service),
        }
    }

    /// `tcp` or `udp`.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }

    /// What follows the prefix of this port's chains in nftables:
    /// `ULMVA6XW-ns1/svc1/tcp/p80`.
    #[must_use]
    pub fn nftables(&self) -> String {
        nftables_name(&self.path())
    }

    /// What follows the prefix of an endpoint's chain and set in nftables:
    /// `5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80`. A colon cannot stand in a name.
    #[must_use]
    pub fn nftables_endpoint(&self, endpoint: SocketAddr) -> String {
        let address = match endpoint.ip() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => address.to_string().replace(':', "."),
        };
        nftables_name(&format!("{}__{address}/{}", self.path(), endpoint.port()))
    }

    /// What follows the prefix of this port's chains in iptables: `XPGD46QRK7WJZT7O`.
    #[must_use]
    pub fn iptables(&self) -> String {
        hash(&format!("{}{}", self.label(), self.protocol()), 16)
    }

    /// What follows the prefix of an endpoint's chain in iptables: `SXIVWICOYRO3J4NJ`.
    #[must_use]
    pub fn iptables_endpoint(&self, endpoint: SocketAddr) -> String {
        hash(&format!("{}{}{endpoint}", self.label(), self.protocol()), 16)
    }

    fn path(&self) -> String {
        let ObjectName { namespace, name } = self.service;
        format!("{namespace}/{name}/{}/{}", self.protocol(), self.port)
    }
}

fn nftables_name(path: &str) -> String {
    let mut name = format!("{}-{path}", hash(path, 8));
    if name.len() > NFTABLES_NAME_MAX {
        // Kubernetes' names are ASCII, so this cuts between letters.
        name.truncate(NFTABLES_NAME_MAX - 3);
        name.push_str("...");
    }
    name
}

/// The first letters of the SHA-256 in base32: at most 51, which is where padding begins.
fn hash(text: &str, letters: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::digest(text);
    let letter = |index: usize| {
        let (byte, bit) = (index * 5 / 8, index * 5 % 8);
        let two = u16::from_be_bytes([digest[byte], digest[byte + 1]]);
        char::from(ALPHABET[usize::from(two >> (11 - bit) & 31)])
    };
    (0..letters).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(namespace: &str, name: &str) -> ObjectName {
        ObjectName { namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn names_are_those_of_kubernetes_own_tests() {
        let service = name("ns1", "svc1");
        let port = PortName { service: &service, port: "p80", protocol: Protocol::Tcp };
        let endpoint = "10.180.0.1:80".parse().unwrap();
        assert_eq!(port.nftables(), "ULMVA6XW-ns1/svc1/tcp/p80");
        assert_eq!(port.nftables_endpoint(endpoint), "5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80");
        assert_eq!(port.iptables(), "XPGD46QRK7WJZT7O");
        assert_eq!(port.iptables_endpoint(endpoint), "SXIVWICOYRO3J4NJ");
        let endpoint = "[fd00:10:180::1]:80".parse().unwrap();
        assert_eq!(
            port.nftables_endpoint(endpoint),
            "ZVRFLKHO-ns1/svc1/tcp/p80__fd00.10.180..1/80"
        );
    }

    #[test]
    fn the_api_servers_chain_has_the_name_that_everybody_knows() {
        let service = name("default", "kubernetes");
        let port = PortName { service: &service, port: "https", protocol: Protocol::Tcp };
        assert_eq!(port.iptables(), "NPX46M4PTMTKRN6Y");
    }

    #[test]
    fn a_name_that_is_too_long_ends_in_dots() {
        let service = name(&"n".repeat(120), &"s".repeat(120));
        let port = PortName { service: &service, port: "", protocol: Protocol::Udp };
        assert_eq!(port.nftables().len(), NFTABLES_NAME_MAX);
        assert!(port.nftables().ends_with("..."));
    }
}
