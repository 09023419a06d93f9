//! Packets drawn from a seed: openings, packets of known connections, replies, ICMP
//! errors, and all of them damaged.

use std::net::{IpAddr, SocketAddr};

use netlab_common::{
    host::packets::{ErrorSketch, Sketch},
    wire::{
        tcp::flags::{ACK, FIN, RST, SYN},
        udp,
    },
};

use crate::{node::*, vxlan::wrapped};

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("64 bits");
        usize::try_from(self.number() % limit).expect("64 bits")
    }

    pub fn byte(&mut self) -> u8 {
        self.number().to_be_bytes()[0]
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// A connection that was opened: its first packet as sent, and as the backend got it.
pub struct Known {
    pub packet: Sketch,
    pub arrived: Sketch,
}

/// A drawn packet.
pub struct Drawn {
    pub bytes: Vec<u8>,
    /// The undamaged first packet, where it is one.
    pub opening: Option<Sketch>,
}

const DIALLED: [&str; 15] = [
    LOCAL[0],
    LOCAL[0],
    REMOTE[0],
    REMOTE[0],
    TUNNELLED[0],
    TUNNELLED[0],
    NARROW[0],
    UNRESOLVED[0],
    ASIDE[0],
    UNROUTED[0],
    UNMASKED[0],
    TWIN[0],
    HOLLOW,
    NOBODY,
    "198.51.100.7:30080",
];
const DIALLED_V6: [&str; 3] = [LOCAL_V6[0], REMOTE_V6[0], "[fd00:18::2]:30080"];

/// A packet for a node that knows these connections.
pub fn draw(random: &mut Random, known: &[Known]) -> Drawn {
    let kind = if known.is_empty() { 0 } else { random.below(100) };
    let opening = (kind < 25).then(|| opening(random));
    // Without connections there is an opening, and what is chosen here is not used.
    let chosen = known.get(random.below(known.len().max(1)));
    let mut bytes = match (&opening, chosen, kind) {
        (Some(opening), ..) => opening.bytes(),
        (_, Some(known), ..60) => varied(random, known.packet.clone()).bytes(),
        (_, Some(known), ..80) => reply(random, known),
        (_, Some(known), ..95) => error(random, known),
        _ => garbage(random),
    };
    let damaged = random.percent(15);
    if damaged {
        damage(random, &mut bytes);
    }
    Drawn { bytes, opening: opening.filter(|_| !damaged) }
}

fn opening(random: &mut Random) -> Sketch {
    let port = u16::try_from(1 + random.below(3_000)).expect("16 bits");
    let last = random.byte();
    let (client, dialled): (IpAddr, _) = if random.percent(20) {
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)].into(), random.of(&DIALLED_V6))
    } else {
        ([192, 0, 2, last].into(), random.of(&DIALLED))
    };
    let client = SocketAddr::new(client, port);
    if random.percent(50) {
        let datagram = Sketch::udp(client, at(dialled));
        return varied(random, datagram.macs(GATEWAY_MAC, NODE_MAC));
    }
    let syn = Sketch::tcp(client, at(dialled), SYN).macs(GATEWAY_MAC, NODE_MAC);
    let flags = if random.percent(90) { SYN } else { syn.flags };
    Sketch { flags, ..varied(random, syn) }
}

/// Everything that is not the flow.
fn varied(random: &mut Random, sketch: Sketch) -> Sketch {
    let tcp = sketch.proto != udp::PROTOCOL;
    let len = if random.percent(10) { random.below(1_500) } else { random.below(40) };
    let options = if random.percent(10) { 4 * random.below(11) } else { 0 };
    let fill = random.byte();
    let flags = random.of(&[ACK, ACK, ACK, SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, 0]);
    let [a, b, c, d, e, f, g, h] = random.number().to_be_bytes();
    Sketch {
        ttl: random.of(&[64, 64, 64, 64, 64, 255, 2, 1]),
        flags: if tcp { flags } else { 0 },
        numbers: [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])],
        // UDP over IPv6 must have one.
        checksum: sketch.src.is_ipv6() || random.percent(80),
        dont_fragment: random.percent(50),
        options: vec![1; options],
        payload: vec![fill; len],
        ..sketch
    }
}

fn reply(random: &mut Random, known: &Known) -> Vec<u8> {
    let Known { arrived, .. } = known;
    let reply = varied(random, arrived.clone()).readdressed(arrived.dst, arrived.src);
    if arrived.dst == at(TUNNELLED[1]) && random.percent(70) {
        let vni = if random.percent(90) { 1 } else { 2 };
        return wrapped(&reply.macs(VTEP_MAC, FLANNEL_MAC).bytes(), vni, VXLAN_PEER);
    }
    reply.bytes()
}

fn error(random: &mut Random, known: &Known) -> Vec<u8> {
    let Known { packet, arrived } = known;
    let forth = random.percent(50);
    let about =
        if forth { arrived.clone() } else { packet.clone().readdressed(packet.dst, packet.src) };
    let about = varied(random, about);
    let (IpAddr::V4(src), IpAddr::V4(dst)) = (about.src.ip(), about.dst.ip()) else {
        return about.bytes();
    };
    let from = if random.percent(50) { dst.octets() } else { [198, 51, 100, 1] };
    let quote = random.of(&[8, 8, 20, 28, 60, 500]);
    let kind = random.of(&[[3, 3], [3, 4], [3, 1], [11, 0], [12, 0], [4, 0], [5, 1], [8, 0]]);
    let sketch = ErrorSketch {
        macs: [GATEWAY_MAC, NODE_MAC],
        ttl: random.of(&[64, 64, 64, 2, 1]),
        mtu: 1_400,
        dont_fragment: random.percent(50),
        ..ErrorSketch::about(&about.bytes(), quote, kind, from, src.octets())
    };
    sketch.bytes()
}

fn garbage(random: &mut Random) -> Vec<u8> {
    let len = 15 + random.below(120);
    let mut bytes: Vec<u8> = (0..len).map(|_| random.byte()).collect();
    let ethertype = random.of(&[[8, 0], [0x86, 0xdd], [8, 6]]);
    bytes[12..14].copy_from_slice(&ethertype);
    bytes
}

/// A few bytes overwritten, mostly in the headers, or the end cut off. A test run needs
/// an Ethernet header and a byte.
fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    if random.percent(30) {
        let len = bytes.len();
        bytes.truncate(15 + random.below(len - 14));
        return;
    }
    for _ in 0..=random.below(3) {
        let reach = if random.percent(80) { bytes.len().min(74) } else { bytes.len() };
        // The addresses of other hosts have other routes than the model knows.
        let at = 12 + random.below(reach - 12);
        bytes[at] = random.byte();
    }
}
