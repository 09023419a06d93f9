//! Who has an address: ARP (RFC 826) and neighbor discovery (RFC 4861, sections 4.3 and 4.4).

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use etherparse::ArpPacketSlice;
use netlab_common::flow::{Addr, FlowKey};

use crate::netlink::Mac;

/// A question for a neighbor's Ethernet address, or its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbor {
    Arp { reply: bool, sender: Ipv4Addr, mac: Mac, target: Ipv4Addr },
    Discovery { reply: bool, target: Ipv6Addr },
}

impl Neighbor {
    /// ARP about IPv4 on Ethernet, requests and replies.
    pub fn of_arp(packet: &ArpPacketSlice<'_>) -> Option<Self> {
        let reply = match packet.operation().0 {
            1 => false,
            2 => true,
            _ => return None,
        };
        let address = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from);
        Some(Self::Arp {
            reply,
            sender: address(packet.sender_protocol_addr())?,
            mac: Mac(packet.sender_hw_addr().try_into().ok()?),
            target: address(packet.target_protocol_addr())?,
        })
    }

    /// Solicitations and advertisements, from their ICMPv6 header on.
    pub fn of_icmpv6(bytes: &[u8]) -> Option<Self> {
        const TARGET: usize = 8;
        let reply = match bytes.first()? {
            135 => false,
            136 => true,
            _ => return None,
        };
        let target: [u8; 16] = *bytes.get(TARGET..)?.first_chunk()?;
        Some(Self::Discovery { reply, target: target.into() })
    }

    /// Whether it is a question that wants an answer; who announces his own address does not.
    pub fn asks(&self) -> bool {
        match self {
            Self::Arp { reply, sender, target, .. } => !reply && sender != target,
            Self::Discovery { reply, .. } => !reply,
        }
    }

    /// Whether it is an answer, or says the same without having been asked.
    pub fn tells(&self) -> bool {
        let (Self::Arp { reply, .. } | Self::Discovery { reply, .. }) = self;
        *reply
    }

    /// The address that is asked for, or told.
    pub fn subject(&self) -> Addr {
        match self {
            Self::Arp { reply: false, target: address, .. }
            | Self::Arp { reply: true, sender: address, .. } => Addr::v4(address.octets()),
            Self::Discovery { target, .. } => Addr(target.octets()),
        }
    }

    /// From who asks to whose address is asked for, or back: the answer's is the reverse of its
    /// question's. `ip` is what the IP header says, where there is one.
    pub fn flow(&self, ip: Option<FlowKey>) -> FlowKey {
        const ICMPV6: u8 = 58;
        const MULTICAST: u8 = 0xff;
        let (src, dst, proto) = match self {
            Self::Arp { sender, target, .. } => {
                (Addr::v4(sender.octets()), Addr::v4(target.octets()), 0)
            }
            Self::Discovery { reply, target } => {
                let of = |end: fn(FlowKey) -> Addr| ip.map_or(Addr([0; 16]), end);
                let target = Addr(target.octets());
                if *reply {
                    let all = of(|ip| ip.dst).0[0] == MULTICAST;
                    // Who has no address yet is answered to everybody.
                    (target, if all { Addr([0; 16]) } else { of(|ip| ip.dst) }, ICMPV6)
                } else {
                    (of(|ip| ip.src), target, ICMPV6)
                }
            }
        };
        FlowKey { src, dst, sport: [0; 2], dport: [0; 2], proto, reserved: [0; 3] }
    }

    /// What the heading calls it.
    fn name(&self) -> &'static str {
        match self {
            Self::Arp { reply: false, sender, target, .. } if sender == target => {
                "ARP announcement of"
            }
            Self::Arp { reply: false, .. } => "ARP request, who has",
            Self::Arp { reply: true, .. } => "ARP reply,",
            Self::Discovery { reply: false, .. } => "ICMPv6 neighbor solicitation, who has",
            Self::Discovery { reply: true, .. } => "ICMPv6 neighbor advertisement of",
        }
    }
}

impl fmt::Display for Neighbor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name())?;
        match self {
            Self::Arp { reply: false, sender, target, .. } if sender == target => {
                write!(f, "{target}")
            }
            Self::Arp { reply: false, sender, target, .. } => write!(f, "{target}, tell {sender}"),
            Self::Arp { reply: true, sender, mac, .. } => write!(f, "{sender} is at {mac}"),
            Self::Discovery { target, .. } => write!(f, "{target}"),
        }
    }
}
