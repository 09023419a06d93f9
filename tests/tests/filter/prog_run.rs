//! The verifier accepts what filters become, and the kernel answers as user space does.

use netlab::capture::{
    LinkType, Packet,
    filter::{Filter, Options},
};
use netlab_tests::privilege::{self, Privilege};

use crate::{
    expressions::{Grammar, expression},
    kernel::Loaded,
    packets::{Sample, frame, sample},
    random::Random,
};

fn whole(link: LinkType, bytes: &[u8]) -> Packet<'_> {
    Packet { time: 0, link, wire_len: u32::try_from(bytes.len()).expect("it is small"), bytes }
}

/// Expressions that use every kind of code.
const CHOSEN: &[&str] = &[
    "",
    "0 = 0 or tcp",
    "tcp port 80",
    "not tcp port 80",
    "vxlan",
    "vxlan 5",
    "not vxlan",
    "tcp port 30080 or vxlan 1",
    "vxlan 1 and tcp port 80",
    "udp port 53 or (vxlan and (arp or icmp))",
    "vxlan and vxlan 5 and tcp",
    "vxlan and vxlan and vxlan and vxlan and vxlan and vxlan and vxlan and arp",
    "vxlan and vlan 5 and tcp[tcpflags] & tcp-syn != 0",
    "vxlan and geneve and tcp port 80",
    "geneve and tcp port 80",
    "geneve or tcp",
    "tcp[(tcp[12] & 0xf0) >> 2:4] = 0x47455420",
    "vxlan and tcp[(tcp[12] & 0xf0) >> 2:4] = 0x47455420",
    "ether[65599] = 0",
    "ether[65600] = 0 or tcp",
    "ether[40000:4] = 0 and ether[len - 4:4] = 0",
    "ether[len << 20] = 1 or arp",
    "ip[2:2] % ip[8] = 1 or len / ip[1] > 1",
    "ip[1] ^ len != - len",
    "len << ip[8] > len >> ip[9] or tcp",
    "vxlan and (ether[len - 1] = 1 or len > 80)",
    "ip proto 17 and (src or dst net 10.0.0.0/8 or fd00::/64) and not ether multicast",
    "vlan or mpls and ip host 10.0.0.1",
];

/// The accepted among all pairs of a filter and some packets.
fn compare(text: &str, filter: &Filter, packets: &[Packet<'_>]) -> usize {
    let code = filter.instructions().unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut loaded = Loaded::new(&code);
    let agree = |packet: &&Packet<'_>| {
        let expected = filter.accepts(packet);
        assert_eq!(loaded.run(packet, 1).0, u32::from(expected), "{text}: {packet:02x?}");
        expected
    };
    packets.iter().filter(agree).count()
}

#[test]
fn the_kernel_answers_as_user_space_does() {
    if !privilege::require(&[Privilege::Bpf]) {
        return;
    }
    let mut random = Random::new(11);
    let samples: Vec<Sample> = (0..40).map(|_| sample(&mut random)).collect();
    let packets: Vec<Packet<'_>> =
        samples.iter().map(|sample| whole(LinkType::ETHERNET, &sample.bytes)).collect();
    let mut accepted = 0;
    for text in CHOSEN {
        let filter = Filter::parse(text, &Options::default()).unwrap();
        accepted += compare(text, &filter, &packets);
        accepted += compare(text, &filter.clone().inside(), &packets);
        let service = Filter::any_of(vec![filter.clone(), filter.inside()]);
        accepted += compare(text, &service, &packets);
    }
    let mut filters = 0;
    while filters < 60 {
        let grammar = Grammar { moving: true, chains: false };
        let (outer, inner) = (expression(&mut random, grammar), expression(&mut random, grammar));
        let nested = format!("vxlan 5 or ({inner})");
        for text in [outer, nested] {
            let Ok(filter) = Filter::parse(&text, &Options::default()) else { continue };
            accepted += compare(&text, &filter, &packets[..20]);
            filters += 1;
        }
    }
    assert!(accepted > 500, "only {accepted} packets were accepted");
}

#[test]
fn the_kernel_finds_vxlan_behind_every_link_layer() {
    if !privilege::require(&[Privilege::Bpf]) {
        return;
    }
    for link in [LinkType::RAW, LinkType::NULL, LinkType::LINUX_SLL, LinkType::LINUX_SLL2] {
        let mut random = Random::new(12);
        let samples: Vec<Sample> = (0..60).map(|_| frame(&mut random, link, 1)).collect();
        let packets: Vec<Packet<'_>> =
            samples.iter().map(|sample| whole(link, &sample.bytes)).collect();
        let options = Options { link, ..Options::default() };
        for text in ["vxlan", "vxlan and ip", "tcp or vxlan 5"] {
            compare(text, &Filter::parse(text, &options).unwrap(), &packets);
        }
    }
}

#[test]
fn a_large_filter_is_accepted_by_the_verifier() {
    if !privilege::require(&[Privilege::Bpf]) {
        return;
    }
    let hosts: Vec<String> = (0..=255)
        .map(|last| format!("(host 10.1.2.{last} and tcp port {})", 1000 + last))
        .collect();
    let text = format!("vxlan and ({})", hosts.join(" or "));
    let filter = Filter::parse(&text, &Options::default()).unwrap();
    let bytes = [0; 60];
    compare("256 hosts", &filter, &[whole(LinkType::ETHERNET, &bytes)]);
}

/// Prints what a rejected packet costs: `cargo test ... -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a test"]
fn cost_of_a_rejected_packet() {
    if !privilege::require(&[Privilege::Bpf]) {
        return;
    }
    let mut tcp = [0_u8; 74];
    tcp[12] = 8;
    tcp[14] = 0x45;
    tcp[23] = 6;
    let packet = whole(LinkType::ETHERNET, &tcp);
    for text in [
        "len > 9999",
        "arp",
        "udp port 53",
        "tcp port 80",
        "udp port 53 or vxlan 5 and tcp port 80",
    ] {
        let filter = Filter::parse(text, &Options::default()).unwrap();
        let code = filter.instructions().unwrap();
        let (answer, nanoseconds) = Loaded::new(&code).run(&packet, 5_000_000);
        println!("{text}: {answer}, {} instructions, {nanoseconds} ns", code.len());
    }
}
