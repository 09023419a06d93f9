//! The packets that are printed, one module a protocol.

mod arp;
mod cooked;
mod dns;
mod ethernet;
mod http;
mod icmp;
mod icmp6;
mod igmp;
mod ipv4;
mod ipv6;
mod ipv6_options;
mod layers;
mod tcp;
mod udp;
pub mod vxlan;

use netlab::capture::LinkType;

/// Packets of one link type, and what tcpdump has to be told about them.
pub struct Corpus {
    pub name: &'static str,
    pub link: LinkType,
    pub arguments: &'static [&'static str],
    pub packets: Vec<Vec<u8>>,
}

impl Corpus {
    /// Frames.
    pub fn ethernet(name: &'static str, packets: Vec<Vec<u8>>) -> Self {
        Self { name, link: LinkType::ETHERNET, arguments: &[], packets }
    }
}

/// Everything.
pub fn all() -> Vec<Corpus> {
    let ethernet = [
        ("arp", arp::packets()),
        ("dns", dns::packets()),
        ("ethernet", ethernet::packets()),
        ("http", http::packets()),
        ("icmp", icmp::packets()),
        ("icmp6", icmp6::packets()),
        ("igmp", igmp::packets()),
        ("ipv4", ipv4::packets()),
        ("ipv6", ipv6::packets()),
        ("ipv6_options", ipv6_options::packets()),
        ("layers", layers::packets()),
        ("tcp", tcp::packets()),
        ("udp", udp::packets()),
        ("vxlan", vxlan::packets()),
    ];
    let ethernet = ethernet.into_iter().map(|(name, packets)| Corpus::ethernet(name, packets));
    ethernet.chain(cooked::corpora()).collect()
}
