//! The host's core against the kernel's programs: the same packets in sequence into
//! both must come out with the same action and the same bytes, and leave the same
//! counters and connections behind.
//!
//! `NETLAB_SEED` chooses other packets.

use std::collections::BTreeMap;

use netlab_common::{
    abi::CtEntry,
    conntrack::{SECOND, Timeouts},
    flow::FlowKey,
    headers::Headers,
    host::packets::Sketch,
    verdict::{Forward, Kind, Verdict},
};

use crate::{
    datapath::{Datapath, Hook},
    generate::{Known, Random, draw},
    model::Model,
    node::{on_node, tables},
};

/// Packets in each hook.
const PACKETS: usize = 25_000;

#[test]
fn xdp_does_what_the_core_says() {
    compare(Hook::Xdp, Hook::Xdp);
}

#[test]
fn tc_ingress_does_what_the_core_says() {
    compare(Hook::TcIngress, Hook::TcIngress);
}

#[test]
fn tc_egress_does_what_the_core_says_about_known_flows() {
    compare(Hook::TcIngress, Hook::TcEgress);
}

/// Openings go to one hook, everything else to the other, until that has had its packets.
fn compare(openings: Hook, others: Hook) {
    let seed = seed();
    let mut tables = tables();
    tables.config.snat_ports = [61_000, 64_999];
    // Out of the way: the two clocks differ.
    let hour = 3_600 * SECOND;
    tables.config.timeouts = Timeouts {
        syn: hour,
        established: hour,
        half_closed: hour,
        closing: hour,
        udp_new: hour,
        udp_assured: hour,
        ..Timeouts::default()
    };
    on_node(tables, |mut datapath, tables| {
        let mut model = Model { tables, counters: Default::default() };
        let mut random = Random::new(seed);
        let mut known: Vec<Known> = Vec::new();
        let (mut step, mut done) = (0, 0);
        while done < PACKETS {
            let drawn = draw(&mut random, &known);
            let hook = if drawn.opening.is_some() { openings } else { others };
            let context = format!("NETLAB_SEED={seed}, packet {step} in {hook:?}");
            let packet = runnable(drawn.bytes, hook);
            let verdict = compare_one(&mut datapath, &mut model, hook, &packet, &context);
            let first =
                matches!(verdict, Some(Verdict::Forward(Forward { kind: Kind::First, .. })));
            if let Some(packet) = drawn.opening.filter(|_| first) {
                known.push(Known { arrived: arrived(&model, &packet), packet });
            }
            step += 1;
            done += usize::from(hook == others);
        }
        assert_eq!(datapath.counters(), model.counters, "NETLAB_SEED={seed}: counters");
        assert_same_connections(&datapath.conntrack(), &model.tables.conntrack.borrow(), seed);
        assert_worth_it(&model, openings, others, seed);
    });
}

/// The kernel gives tc no packet that ends inside its IP header: zeros are added.
fn runnable(mut packet: Vec<u8>, hook: Hook) -> Vec<u8> {
    let least = match packet[12..14] {
        _ if hook == Hook::Xdp => 0,
        [8, 0] => 34,
        [0x86, 0xdd] => 54,
        _ => 0,
    };
    packet.resize(packet.len().max(least), 0);
    packet
}

#[track_caller]
fn compare_one(
    datapath: &mut Datapath,
    model: &mut Model,
    hook: Hook,
    packet: &[u8],
    context: &str,
) -> Option<Verdict> {
    let kernel = datapath.run(hook, packet);
    let mut headers = Headers::default();
    let read = headers.read(packet, 0).is_ok();
    let entry = if read { datapath.entry(&headers.flow) } else { None };
    let host = model.run(hook, packet, entry.as_ref());
    let verdict = host.verdict;
    let same_bytes = host.bytes.as_ref().is_none_or(|bytes| *bytes == kernel.bytes);
    if kernel.action != host.action || !same_bytes {
        panic!(
            "{context}: the host says {verdict:?}\n action {} and the kernel {}\n packet {}\n host   {}\n kernel {}",
            host.action.cast_signed(),
            kernel.action.cast_signed(),
            hex(packet),
            host.bytes.map_or("dropped".into(), |bytes| hex(&bytes)),
            hex(&kernel.bytes),
        );
    }
    verdict
}

/// The first packet of a connection as its backend gets it.
fn arrived(model: &Model, packet: &Sketch) -> Sketch {
    let to = model.tables.entry(&packet.flow()).expect("it was just opened").to;
    let src = (to.src.into(), to.source_port());
    let dst = (to.dst.into(), to.destination_port());
    let (src, dst): ((std::net::IpAddr, u16), (std::net::IpAddr, u16)) = (src, dst);
    packet.clone().readdressed(src.into(), dst.into())
}

/// The times differ, nothing else.
fn assert_same_connections(
    kernel: &BTreeMap<FlowKey, CtEntry>,
    host: &BTreeMap<FlowKey, CtEntry>,
    seed: u64,
) {
    assert_eq!(kernel.len(), host.len(), "NETLAB_SEED={seed}: connections");
    for (flow, entry) in kernel {
        let timeless = CtEntry { last_seen: 0, created: 0, ..*entry };
        let host = host.get(flow).map(|entry| CtEntry { last_seen: 0, created: 0, ..*entry });
        assert_eq!(host, Some(timeless), "NETLAB_SEED={seed}: the connection {flow}");
    }
}

/// Whatever the seed, each kind of fate was met often.
fn assert_worth_it(model: &Model, openings: Hook, others: Hook, seed: u64) {
    let (open, other) = (&model.counters[openings.index()], &model.counters[others.index()]);
    let met = [
        ("first", open.first),
        ("original", other.original),
        ("reply", other.reply),
        ("error", other.error),
        ("passed", other.passed.iter().sum()),
        ("answered", open.answered.iter().sum()),
        ("dropped", open.dropped.iter().sum()),
    ];
    for (name, count) in met {
        assert!(count >= 100, "NETLAB_SEED={seed}: only {count} times {name}");
    }
}

fn seed() -> u64 {
    let seed = std::env::var("NETLAB_SEED").ok();
    seed.map_or(1, |seed| seed.parse().expect("NETLAB_SEED is a number"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
