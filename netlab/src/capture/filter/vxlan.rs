//! Finds the Ethernet frame inside a VXLAN packet (RFC 7348).
//!
//! A frame is a VXLAN packet if all of this holds: IPv4, options allowed, or IPv6 without
//! extension headers, behind at most two VLAN tags; UDP, and not a later fragment; a
//! destination port that means VXLAN; the header's I flag. What was cut off before the end of
//! the VXLAN header is none. `ebpf/frames.rs` is the same search in the kernel.

use super::{Error, Options, classic::Frame};
use crate::capture::LinkType;

/// How many VLAN tags are looked behind.
pub const MAX_TAGS: usize = 2;
/// EtherTypes of a VLAN tag: IEEE 802.1Q, 802.1ad, and what came before 802.1ad.
pub const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
pub const TAG_LEN: u32 = 4;
pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
pub const IPV4_LEN: u32 = 20;
pub const IPV6_LEN: u32 = 40;
pub const PROTOCOL_UDP: u8 = 17;
/// A UDP header and a VXLAN header.
pub const UDP_VXLAN_LEN: u32 = 16;
/// The I flag: the VNI is valid.
pub const VNI_VALID: u8 = 0x08;
/// The longest way from the link layer's end to the inner frame.
const LONGEST: u64 = MAX_TAGS as u64 * TAG_LEN as u64 + 60 + UDP_VXLAN_LEN as u64;

/// Where the IP header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Behind `len` bytes; an EtherType at `ethertype` says of what kind.
    Typed { ethertype: u32, len: u32 },
    /// Behind `len` bytes; its own version says of what kind.
    Untyped { len: u32 },
}

impl Link {
    pub const ETHERNET: Self = Self::Typed { ethertype: 12, len: 14 };

    /// What is known of a link type.
    ///
    /// # Errors
    ///
    /// [`Error::Link`] where nothing is.
    pub fn of(link: LinkType) -> Result<Self, Error> {
        match link {
            LinkType::ETHERNET => Ok(Self::ETHERNET),
            LinkType::RAW => Ok(Self::Untyped { len: 0 }),
            LinkType::NULL => Ok(Self::Untyped { len: 4 }),
            LinkType::LINUX_SLL => Ok(Self::Typed { ethertype: 14, len: 16 }),
            LinkType::LINUX_SLL2 => Ok(Self::Typed { ethertype: 0, len: 20 }),
            _ => Err(Error::Link { link, message: "VXLAN is not known there".to_owned() }),
        }
    }

    const fn len(self) -> u32 {
        match self {
            Self::Typed { len, .. } | Self::Untyped { len } => len,
        }
    }
}

/// The frame inside, and the VNI it came with.
#[derive(Clone, Copy, Debug)]
pub struct Inner<'a> {
    pub frame: Frame<'a>,
    pub vni: u32,
}

/// The frames at levels 1 to `levels`, each in the one before, as far as there are any.
pub fn inner_frames<'a>(outer: Frame<'a>, options: &Options, levels: usize) -> Vec<Inner<'a>> {
    let mut frames = Vec::new();
    let mut link = Link::of(options.link).ok();
    let mut frame = outer;
    while frames.len() < levels {
        let inner = link.and_then(|link| find(frame, link, &options.vxlan_ports));
        let Some(inner) = inner else { break };
        frame = inner.frame;
        link = Some(Link::ETHERNET);
        frames.push(inner);
    }
    frames
}

/// How many bytes of the outer frame lie before the frame at a level, at most.
pub fn farthest_start(link: LinkType, level: usize) -> u64 {
    let Ok(link) = Link::of(link) else { return 0 };
    let deeper = u64::from(Link::ETHERNET.len()) + LONGEST;
    match u64::try_from(level).unwrap_or(u64::MAX).checked_sub(1) {
        None => 0,
        Some(more) => u64::from(link.len()) + LONGEST + more.saturating_mul(deeper),
    }
}

fn find<'a>(frame: Frame<'a>, link: Link, ports: &[u16]) -> Option<Inner<'a>> {
    let (ip, is_ipv6) = ip(frame.bytes, link)?;
    let udp = if is_ipv6 { behind_ipv6(ip)? } else { behind_ipv4(ip)? };
    let port = half(udp, 2)?;
    let vxlan = udp.get(8..)?;
    let vni = u32::from_be_bytes(*vxlan.get(4..)?.first_chunk()?) >> 8;
    if !ports.contains(&port) || vxlan.first()? & VNI_VALID == 0 {
        return None;
    }
    let bytes = vxlan.get(8..)?;
    let start = u32::try_from(frame.bytes.len() - bytes.len()).ok()?;
    Some(Inner { frame: Frame { bytes, wire_len: frame.wire_len.wrapping_sub(start) }, vni })
}

/// The IP header and what follows it, and whether it is IPv6.
fn ip(bytes: &[u8], link: Link) -> Option<(&[u8], bool)> {
    let mut ip = bytes.get(usize::try_from(link.len()).ok()?..)?;
    let Link::Typed { ethertype, .. } = link else {
        return match ip.first()? >> 4 {
            4 => Some((ip, false)),
            6 => Some((ip, true)),
            _ => None,
        };
    };
    let mut ethertype = half(bytes, usize::try_from(ethertype).ok()?)?;
    for _ in 0..MAX_TAGS {
        if TAGS.contains(&ethertype) {
            ethertype = half(ip, 2)?;
            ip = &ip[4..];
        }
    }
    match ethertype {
        ETHERTYPE_IPV4 => Some((ip, false)),
        ETHERTYPE_IPV6 => Some((ip, true)),
        _ => None,
    }
}

fn behind_ipv4(ip: &[u8]) -> Option<&[u8]> {
    let header: &[u8; IPV4_LEN as usize] = ip.first_chunk()?;
    let len = 4 * usize::from(header[0] & 0xf);
    let is_later_fragment = half(ip, 6)? & 0x1fff != 0;
    let is_udp = header[9] == PROTOCOL_UDP && len >= header.len() && !is_later_fragment;
    ip.get(len..).filter(|_| is_udp)
}

fn behind_ipv6(ip: &[u8]) -> Option<&[u8]> {
    let header: &[u8; IPV6_LEN as usize] = ip.first_chunk()?;
    ip.get(header.len()..).filter(|_| header[6] == PROTOCOL_UDP)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
