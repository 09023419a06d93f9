//! Packets by chance, mostly sound ones: with tags, options, extension headers, fragments, in
//! VXLAN or not, cut short or not.

use super::random::Random;
use crate::capture::LinkType;

/// A packet, and where the frame in it is if it is VXLAN.
#[derive(Clone, Debug)]
pub struct Sample {
    pub bytes: Vec<u8>,
    /// Start and VNI of each frame inside, the outermost first.
    pub inner: Vec<(usize, u32)>,
}

impl Sample {
    /// The same, cut short.
    pub fn cut(&self, len: usize) -> Self {
        let bytes = self.bytes[..len.min(self.bytes.len())].to_vec();
        let inner = self.inner.iter().copied().filter(|(start, _)| *start <= len).collect();
        Self { bytes, inner }
    }
}

/// An Ethernet packet.
pub fn sample(random: &mut Random) -> Sample {
    let sample = frame(random, LinkType::ETHERNET, 2);
    if random.one_in(6) {
        let len = random.below(sample.bytes.len() + 1);
        return sample.cut(len);
    }
    sample
}

/// A packet of any link type.
pub fn frame(random: &mut Random, link: LinkType, nesting: usize) -> Sample {
    if random.one_in(30) {
        let bytes = (0..random.below(100)).map(|_| random.byte()).collect();
        return Sample { bytes, inner: Vec::new() };
    }
    let is_ipv6 = random.one_in(3);
    let is_arp = random.one_in(12);
    let mut ethertype: u16 = match (is_arp, is_ipv6) {
        (true, _) => 0x0806,
        (false, true) => 0x86dd,
        (false, false) => 0x0800,
    };
    let is_untyped = matches!(link, LinkType::RAW | LinkType::NULL);
    let mut tags: Vec<u8> = Vec::new();
    for _ in 0..random.below(6).saturating_sub(3) {
        let [high, low] = ethertype.to_be_bytes();
        tags.splice(0..0, [0, *random.pick(&[&5, &100]), high, low]);
        ethertype = *random.pick(&[&0x8100, &0x8100, &0x88a8]);
    }
    if !is_untyped && random.one_in(30) {
        tags = mpls(random);
        ethertype = 0x8847;
    }
    let mut bytes = link_layer(random, link, ethertype);
    if !is_untyped {
        bytes.extend(tags);
    }
    let mut inner = Vec::new();
    if is_arp {
        bytes.extend([
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
        ]);
        bytes.extend([0; 18]);
    } else {
        let (payload, protocol, nested) = transport(random, is_ipv6, nesting);
        let (header, protocol_first) = if is_ipv6 {
            ipv6(random, protocol, payload.len())
        } else {
            ipv4(random, protocol, payload.len())
        };
        bytes.extend(header);
        if protocol_first && ethertype != 0x8847 {
            inner.extend(nested.iter().map(|(start, vni)| (start + bytes.len(), *vni)));
        }
        bytes.extend(payload);
    }
    Sample { bytes, inner }
}

fn mpls(random: &mut Random) -> Vec<u8> {
    let bottom = random.pick(&[&0_u8, &1]);
    vec![0, 0x3e, 0x80 | bottom, 64, 0, 0x3e, 0x81, 64]
}

fn link_layer(random: &mut Random, link: LinkType, ethertype: u16) -> Vec<u8> {
    let mac = |random: &mut Random| match random.below(4) {
        0 => [0xff; 6],
        n => [2, 0, 0, 0, 0, u8::try_from(n).expect("it is small")],
    };
    match link {
        LinkType::RAW => Vec::new(),
        LinkType::NULL => if ethertype == 0x86dd { 10_u32 } else { 2 }.to_ne_bytes().to_vec(),
        LinkType::LINUX_SLL => {
            let mut header = vec![0, random.byte() % 5, 0, 1, 0, 6];
            header.extend(mac(random));
            header.extend([0, 0]);
            header.extend(ethertype.to_be_bytes());
            header
        }
        LinkType::LINUX_SLL2 => {
            let mut header = ethertype.to_be_bytes().to_vec();
            header.extend([0, 0, 0, 0, 0, 3, 0, 1, random.byte() % 5, 6]);
            header.extend(mac(random));
            header.extend([0, 0]);
            header
        }
        _ => [&mac(random)[..], &mac(random), &ethertype.to_be_bytes()].concat(),
    }
}

/// A header, and whether the transport header follows it.
fn ipv4(random: &mut Random, protocol: u8, payload: usize) -> (Vec<u8>, bool) {
    let words = if random.one_in(4) { 5 + random.below(11) } else { 5 };
    let total = u16::try_from(4 * words + payload).expect("it is small");
    let fragment: u16 = match random.below(12) {
        0 => 0x2000,
        1 => 0x2001 + u16::from(random.byte()),
        _ => 0x4000,
    };
    let mut header = vec![0x40 | u8::try_from(words).expect("it is small"), 0];
    header.extend(total.to_be_bytes());
    header.extend([0, 1]);
    header.extend(fragment.to_be_bytes());
    header.extend([64, protocol, 0, 0]);
    for _ in 0..2 {
        header.extend(random.pick(&[
            &[10, 0, 0, 1],
            &[10, 0, 0, 2],
            &[10, 244, 1, 2],
            &[192, 168, 1, 77],
            &[255, 255, 255, 255],
            &[224, 0, 0, 1],
        ]));
    }
    header.resize(4 * words, 1);
    (header, fragment & 0x1fff == 0)
}

fn ipv6(random: &mut Random, protocol: u8, payload: usize) -> (Vec<u8>, bool) {
    let extension: Vec<u8> = match random.below(8) {
        0 => vec![protocol, 0, 1, 4, 0, 0, 0, 0],
        1 => vec![protocol, 0, 0, 1, 0, 0, 0, 9],
        2 => vec![protocol, 0, 0x10, 0, 0, 0, 0, 9],
        _ => Vec::new(),
    };
    let next = match extension.get(2) {
        None => protocol,
        Some(1) => 0,
        Some(_) => 44,
    };
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(u16::try_from(extension.len() + payload).expect("it is small").to_be_bytes());
    header.extend([next, 64]);
    for _ in 0..2 {
        let mut address = [0; 16];
        address[..2].copy_from_slice(random.pick(&[&[0xfd, 0], &[0xfe, 0x80], &[0xff, 2]]));
        address[15] = *random.pick(&[&1, &2]);
        header.extend(address);
    }
    let is_plain = extension.is_empty();
    header.extend(extension);
    (header, is_plain)
}

/// What an IP header carries, its protocol, and the frames in it.
fn transport(
    random: &mut Random,
    is_ipv6: bool,
    nesting: usize,
) -> (Vec<u8>, u8, Vec<(usize, u32)>) {
    let mut port = || random.pick(&[&53_u16, &80, &443, &30_080, &40_000]).to_be_bytes();
    let ports = [port(), port()].concat();
    let body: Vec<u8> = (0..random.below(40)).map(|_| random.byte()).collect();
    match random.below(8) {
        0..3 => {
            let words = 5 + u8::try_from(random.below(4)).expect("it is small");
            let flags = *random.pick(&[&2_u8, &0x12, &0x10, &0x11, &4]);
            let mut tcp =
                [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 2, words << 4, flags, 1, 0, 0, 0, 0, 0]]
                    .concat();
            tcp.resize(4 * usize::from(words), 1);
            ([tcp, body].concat(), 6, Vec::new())
        }
        3 => ([&ports[..], &[0, 8, 0, 0], &body].concat(), 17, Vec::new()),
        4 => {
            let kind = *random.pick(&[&8_u8, &0, &3, &128]);
            (
                [&[kind, 0, 0, 0, 0, 1, 0, 1], &body[..]].concat(),
                if is_ipv6 { 58 } else { 1 },
                Vec::new(),
            )
        }
        5 if nesting == 0 || random.one_in(4) => {
            let protocol = *random.pick(&[&2_u8, &50, &51, &132, &103]);
            ([&[6, 4, 0, 0], &ports[..], &body].concat(), protocol, Vec::new())
        }
        _ if nesting > 0 => vxlan(random, &ports, nesting),
        _ => ([&ports[..], &[0, 8, 0, 0], &body].concat(), 17, Vec::new()),
    }
}

fn vxlan(random: &mut Random, ports: &[u8], nesting: usize) -> (Vec<u8>, u8, Vec<(usize, u32)>) {
    let port: u16 = *random.pick(&[&4789, &8472, &8472, &6081]);
    let flags = if random.one_in(8) { 0 } else { 8 };
    let vni: u32 = *random.pick(&[&1, &5, &0xff_ffff]);
    let nested = frame(random, LinkType::ETHERNET, nesting - 1);
    let mut bytes = [&ports[..2], &port.to_be_bytes(), &[0, 0, 0, 0]].concat();
    bytes.extend([flags, 0, 0x65, 0x58]);
    bytes.extend((vni << 8).to_be_bytes());
    let start = bytes.len();
    bytes.extend(nested.bytes);
    let mut inner = Vec::new();
    if port != 6081 && flags != 0 {
        inner.push((start, vni));
        inner.extend(nested.inner.iter().map(|(at, vni)| (start + at, *vni)));
    }
    (bytes, 17, inner)
}
