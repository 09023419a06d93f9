//! Small files of every kind: what is cut and bent in the tests of damage, and what fuzzing
//! begins with.

use super::{
    super::{Precision, order::Order},
    encode::Bytes,
};

/// A file, and where its parts end.
pub(super) struct Seed {
    /// Its name among the seeds of the fuzzer.
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    /// The lengths at which it ends in order.
    pub(super) ends: Vec<usize>,
    /// The lengths from which on one more packet is complete.
    pub(super) packets: Vec<usize>,
}

impl Seed {
    /// Puts a file together from parts, of which some are packets.
    fn new(name: &'static str, order: Order, parts: &[Part<'_>]) -> Self {
        let mut file = Bytes::new(order);
        let (mut ends, mut packets) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Other(write) => write(&mut file),
                Packet(write) => {
                    write(&mut file);
                    packets.push(file.bytes.len());
                }
            }
            ends.push(file.bytes.len());
        }
        Self { name, bytes: file.bytes, ends, packets }
    }
}

enum Part<'a> {
    Packet(&'a dyn Fn(&mut Bytes)),
    Other(&'a dyn Fn(&mut Bytes)),
}

use Part::{Other, Packet};

/// An ARP request in Ethernet: whole, and the odd length tests padding.
const FRAME: &[u8] = b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x08\x06\0\x01\x08\0\x06\x04\0\x01\
    \x02\0\0\0\0\x01\x0a\0\0\x01\0\0\0\0\0\0\x0a\0\0\x02\0";

/// All of them.
pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    pcap(&mut seeds);
    pcapng(&mut seeds);
    sections(&mut seeds);
    seeds
}

fn pcap(seeds: &mut Vec<Seed>) {
    let kinds = [
        ("pcap-little-micro", Order::Little, Precision::Micro, 4),
        ("pcap-little-nano", Order::Little, Precision::Nano, 4),
        ("pcap-big-micro", Order::Big, Precision::Micro, 4),
        ("pcap-big-nano", Order::Big, Precision::Nano, 4),
        ("pcap-version-2.3", Order::Big, Precision::Micro, 3),
        ("pcap-version-2.2", Order::Little, Precision::Micro, 2),
    ];
    for (name, order, precision, minor) in kinds {
        let packet = |file: &mut Bytes| {
            let length = u32::try_from(FRAME.len()).unwrap();
            file.pcap_packet((1_700_000_000, 5), (length, length), FRAME);
        };
        let header = |file: &mut Bytes| _ = file.pcap(precision, minor, 0x4000_0001);
        let parts = [Other(&header), Packet(&packet), Packet(&packet)];
        seeds.push(Seed::new(name, order, &parts));
    }
}

fn pcapng(seeds: &mut Vec<Seed>) {
    for (order, blocks, all) in [
        (Order::Little, "pcapng-little-blocks", "pcapng-little-options"),
        (Order::Big, "pcapng-big-blocks", "pcapng-big-options"),
    ] {
        let section = |file: &mut Bytes| _ = file.section();
        let plain = |file: &mut Bytes| _ = file.interface(1, 40, |_| ());
        let simple = |file: &mut Bytes| {
            file.block(3, |content| _ = content.u32(60).raw(&FRAME[..40]));
        };
        let obsolete = |file: &mut Bytes| {
            file.block(2, |content| {
                content.u16(0).u16(0xffff).stamp(1 << 40).u32(5).u32(60).raw(b"abcde").pad();
            });
        };
        let other = |file: &mut Bytes| _ = file.block(0x0bad, |content| _ = content.raw(b"other"));
        let parts = [Other(&section), Other(&plain), Packet(&simple), Other(&other)];
        let parts = Vec::from_iter(parts.into_iter().chain([Packet(&obsolete)]));
        seeds.push(Seed::new(blocks, order, &parts));

        let described = |file: &mut Bytes| {
            file.interface(1, 0, |options| {
                options.option(2, b"node-1/eth0/xdp-in").option(3, b"uplink").option(9, &[9]);
                options.option(14, &[0; 8]).u32(0);
            });
        };
        let noted = |file: &mut Bytes| {
            file.enhanced(0, 1_700_000_000_000_000_005, FRAME, |options| {
                options.option(2, &[0; 4]).option(1, b"dnat").option(1, b"encap").u32(0);
            });
        };
        let statistics = |file: &mut Bytes| {
            file.block(5, |content| {
                content.u32(0).stamp(1 << 40).option(4, &[0; 8]).u32(0);
            });
        };
        let parts = [
            Other(&section),
            Other(&described),
            Packet(&noted),
            Packet(&noted),
            Other(&statistics),
        ];
        seeds.push(Seed::new(all, order, &parts));
    }
}

fn sections(seeds: &mut Vec<Seed>) {
    let section = |file: &mut Bytes| _ = file.section();
    let packet = |file: &mut Bytes| _ = file.enhanced(0, 7, b"abc", |_| ());
    let of_second = |file: &mut Bytes| _ = file.enhanced(1, 7, b"abcd", |_| ());
    let ethernet = |file: &mut Bytes| _ = file.interface(1, 0, |_| ());
    let binary = |file: &mut Bytes| {
        file.interface(101, 0, |options| {
            options.option(9, &[0x80 | 20]).option(14, &[0, 0, 0, 0, 0, 0, 0, 9]);
        });
    };
    let parts = [Other(&section), Other(&ethernet), Other(&binary), Packet(&of_second)];
    seeds.push(Seed::new("pcapng-two-interfaces", Order::Big, &parts));

    let turn = |file: &mut Bytes| {
        file.order = Order::Big;
        file.section();
    };
    let parts = [Other(&section), Other(&ethernet), Packet(&packet), Other(&turn)];
    let parts = Vec::from_iter(parts.into_iter().chain([Other(&binary), Packet(&packet)]));
    seeds.push(Seed::new("pcapng-two-sections", Order::Little, &parts));
}
