//! Values of single fields: names, addresses, networks, ports, protocols.

use std::net::IpAddr;

use ipnet::IpNet;

use super::error::{Place, Reason, SpecError, Unsupported};
use crate::spec::model::{Port, Protocol};

/// A field of an object at a place, for saying what is wrong with it.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub place: &'a Place,
    pub path: &'a str,
}

impl Field<'_> {
    pub(super) fn refuse(self, reason: Reason) -> SpecError {
        SpecError::object(self.place, self.path, reason)
    }

    /// An address that a host can have: neither unspecified, loopback, link-local,
    /// multicast nor an IPv4 address written as IPv6 (which would be one address twice).
    pub(super) fn address(self, text: &str) -> Result<IpAddr, SpecError> {
        let refuse = |why| self.refuse(Reason::Address { found: text.to_owned(), why });
        let address: IpAddr = text.parse().map_err(|_| refuse("is no IPv4 or IPv6 address"))?;
        let link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        match address {
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
                Err(refuse("is an IPv4 address in IPv6 clothes; write it as IPv4"))
            }
            _ if address.is_unspecified() => Err(refuse("is the unspecified address")),
            _ if address.is_loopback() => Err(refuse("is a loopback address")),
            _ if address.is_multicast() => Err(refuse("is a multicast address")),
            _ if link_local => Err(refuse("is a link-local or broadcast address")),
            _ => Ok(address),
        }
    }

    /// A network in CIDR notation; host bits are cleared, as Kubernetes does.
    pub(super) fn network(self, text: &str) -> Result<IpNet, SpecError> {
        text.trim()
            .parse::<IpNet>()
            .map(|network| network.trunc())
            .map_err(|_| self.refuse(Reason::NotANetwork(text.to_owned())))
    }

    /// A port, 1 to 65535.
    pub(super) fn port(self, number: i32) -> Result<Port, SpecError> {
        u16::try_from(number)
            .ok()
            .and_then(Port::new)
            .ok_or_else(|| self.refuse(Reason::Range { found: number.into(), low: 1, high: 65535 }))
    }

    /// `TCP`, `UDP`, or nothing, which means TCP.
    pub(super) fn protocol(self, text: Option<&str>) -> Result<Protocol, SpecError> {
        match text.unwrap_or("TCP") {
            "TCP" => Ok(Protocol::Tcp),
            "UDP" => Ok(Protocol::Udp),
            "SCTP" => Err(self.refuse(Reason::Unsupported(Unsupported::Sctp))),
            other => Err(self.not_one_of(other, &["TCP", "UDP"])),
        }
    }

    pub(super) fn not_one_of(self, found: &str, accepted: &'static [&'static str]) -> SpecError {
        self.refuse(Reason::NotOneOf { found: found.to_owned(), accepted })
    }

    /// RFC 1123 label: a namespace, a port.
    pub(super) fn label(self, name: &str) -> Result<(), SpecError> {
        let rule = "up to 63 lower-case letters, digits and '-', none of the latter at the ends";
        if name.len() <= 63 && is_label(name) {
            return Ok(());
        }
        Err(self.refuse(Reason::InvalidName { found: name.to_owned(), rule }))
    }

    /// RFC 1035 label: a Service.
    pub(super) fn service_name(self, name: &str) -> Result<(), SpecError> {
        let rule = "up to 63 lower-case letters, digits and '-', a letter first and no '-' last";
        if name.len() <= 63 && is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase())
        {
            return Ok(());
        }
        Err(self.refuse(Reason::InvalidName { found: name.to_owned(), rule }))
    }

    /// RFC 1123 subdomain: a Node, a Pod, an EndpointSlice.
    pub(super) fn subdomain(self, name: &str) -> Result<(), SpecError> {
        let rule = "up to 253 lower-case letters, digits, '-' and '.', a letter or digit at both ends of each part";
        if name.len() <= 253 && name.split('.').all(is_label) {
            return Ok(());
        }
        Err(self.refuse(Reason::InvalidName { found: name.to_owned(), rule }))
    }
}

/// Merges a singular field with its plural twin, which wins and must start with it.
pub(super) fn plural<'a>(
    place: &Place,
    (singular, one): (&str, Option<&'a str>),
    (plural, many): (&'static str, Vec<&'a str>),
) -> Result<Vec<(String, &'a str)>, SpecError> {
    match (one.filter(|text| !text.is_empty()), many.first()) {
        (Some(one), Some(first)) if one != *first => {
            let reason = Reason::Disagrees { found: one.to_owned(), plural };
            Err(SpecError::object(place, singular, reason))
        }
        (Some(one), None) => Ok(vec![(singular.to_owned(), one)]),
        _ => {
            let path = |index| format!("{plural}[{index}]");
            Ok(many.into_iter().enumerate().map(|(i, text)| (path(i), text)).collect())
        }
    }
}

/// Parses addresses, each with its path, at most one a family.
pub(super) fn addresses(place: &Place, texts: &[(String, &str)]) -> Result<Vec<IpAddr>, SpecError> {
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(texts.len());
    for (path, text) in texts {
        let field = Field { place, path };
        let address = field.address(text)?;
        if addresses.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
            return Err(field.refuse(Reason::SecondOfFamily(address.to_string())));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

fn is_label(part: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_host_can_have_are_refused() {
        let place = Place { file: "f".into(), document: 1, object: "Node a".into() };
        let field = Field { place: &place, path: "p" };
        for text in
            ["10.0.0", "0.0.0.0", "127.0.0.1", "::1", "224.0.0.1", "fe80::1", "::ffff:10.0.0.1"]
        {
            assert!(field.address(text).is_err(), "{text}");
        }
        assert_eq!(
            field.address("::ffff:10.0.0.1").unwrap_err().to_string(),
            "f: document 1: Node a: p: \"::ffff:10.0.0.1\" is an IPv4 address in IPv6 clothes; write it as IPv4"
        );
        for text in ["10.0.0.1", "fd00::1"] {
            assert!(field.address(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn names_follow_the_dns_rules() {
        let place = Place { file: "f".into(), document: 1, object: "Node a".into() };
        let field = Field { place: &place, path: "metadata.name" };
        assert!(field.subdomain("node-1.example").is_ok());
        assert!(field.subdomain("node_1").is_err());
        assert!(field.subdomain("-a").is_err());
        assert!(field.label("a.b").is_err());
        assert!(field.service_name("1a").is_err());
        assert!(field.label("1a").is_ok());
        assert!(field.label(&"a".repeat(64)).is_err());
    }
}
