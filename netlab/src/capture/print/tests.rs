//! Lines of whole captures, and of what is no packet at all.

use std::path::PathBuf;

use etherparse::{IpFragOffset, PacketBuilder, TcpOptionElement};
use proptest::prelude::*;

use super::*;

const CLIENT: [u8; 4] = [172, 18, 0, 2];
const NODE: [u8; 4] = [172, 18, 0, 3];
const POD: [u8; 4] = [10, 244, 2, 3];
const CLIENT6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0x12, 0, 0, 0, 0, 0, 0, 0, 2];
const NODE6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0x12, 0, 0, 0, 0, 0, 0, 0, 3];
const MACS: ([u8; 6], [u8; 6]) = ([2, 0x42, 172, 18, 0, 2], [2, 0x42, 172, 18, 0, 3]);

/// Each capture is printed with these options, and compared with a file in `golden`.
///
/// `NETLAB_GOLDEN=write cargo test -p netlab capture::print` writes the files anew. The test
/// `print` of netlab-tests compares the printer with tcpdump itself.
#[test]
fn captures_are_printed_as_they_were_reviewed() {
    let dump = |form, link_layer| Some(Dump { form, link_layer });
    let link = Options { link_layer: true, ..Options::default() };
    let all: [(&str, Vec<Vec<u8>>, Options); 9] = [
        ("node_port", node_port(), Options::default()),
        ("node_port_verbose", node_port(), Options { verbose: 2, ..link.clone() }),
        ("overlay", overlay(), link.clone()),
        ("overlay_hex", overlay(), Options { dump: dump(DumpForm::HexAscii, false), ..link }),
        ("fragments", fragments(), Options { verbose: 1, ..Options::default() }),
        ("control", control(), Options { verbose: 2, ..Options::default() }),
        ("ipv6", ipv6_connection(), Options { absolute_sequence: true, ..Options::default() }),
        (
            "numbers",
            ipv6_connection(),
            Options { numbers: true, quick: true, ..Options::default() },
        ),
        ("text", node_port(), Options { dump: dump(DumpForm::Ascii, false), ..Options::default() }),
    ];
    for (name, packets, options) in all {
        let text = print_all(&packets, &options, None);
        let file: PathBuf =
            [env!("CARGO_MANIFEST_DIR"), "src/capture/print/golden", name].iter().collect();
        let file = file.with_extension("txt");
        if std::env::var("NETLAB_GOLDEN").is_ok_and(|value| value == "write") {
            std::fs::write(&file, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, expected, "{name}");
    }
}

#[test]
fn a_remark_ends_the_last_line_in_front_of_all_dumps() {
    let remark = Some("node-1 eth0 xdp-in");
    let hex = Some(Dump { form: DumpForm::Hex, link_layer: false });
    let options = Options { time: TimeFormat::None, dump: hex, ..Options::default() };
    let ends = |text: &str, line: usize| {
        assert!(text.lines().nth(line).unwrap().ends_with(" node-1 eth0 xdp-in"), "{text}");
        assert_eq!(text.matches("node-1").count(), 1, "{text}");
    };
    ends(&print_all(&node_port()[..1], &options, remark), 0);
    // The frame inside has a line of its own.
    ends(&print_all(&overlay()[..1], &options, remark), 1);
    let unknown = vec![[&[0; 12][..], &[0x88, 0xb5, 1, 2, 3]].concat()];
    let text = print_all(&unknown, &Options { dump: None, ..options.clone() }, remark);
    ends(&text, 0);
    assert_eq!(
        text.lines().nth(1),
        Some("\t0x0000:  0102 03                                  ...")
    );
    ends(&print_all(&[vec![]], &options, remark), 0);
}

#[test]
fn other_ports_carry_vxlan_where_the_options_say_so() {
    let packets = [vxlan_frame(6081, &node_port()[1])];
    let options = Options { vxlan_ports: vec![6081], ..Options::default() };
    assert!(print_all(&packets, &options, None).contains("vni 1\n"));
    let options = Options { vxlan_ports: vec![], ..options };
    assert!(print_all(&packets, &options, None).contains("UDP, length"));
}

#[test]
fn sequence_numbers_are_told_relative_within_one_printer() {
    let packets = node_port();
    let text = print_all(&packets, &Options::default(), None);
    assert!(text.contains("Flags [P.], seq 1:19, ack 1,"), "{text}");
    let text = print_all(&packets[4..], &Options::default(), None);
    assert!(text.contains("Flags [P.], seq 1001:1019, ack 5001,"), "{text}");
}

#[test]
fn packets_nested_without_end_are_printed_up_to_a_depth() {
    let mut packet = Vec::new();
    for _ in 0..3000 {
        let length = u16::try_from(packet.len() + 20).unwrap().to_be_bytes();
        let header =
            [0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 4, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
        packet.splice(0..0, header);
    }
    let packet = [&[0; 12][..], &[8, 0], &packet].concat();
    let text = print_all(&[packet], &Options::default(), None);
    assert!(text.ends_with("1.1.1.1 > 2.2.2.2: [nested too deeply]\n"), "{text}");
}

#[test]
fn times_go_on_after_2038() {
    let arp = &node_port()[0];
    let packet = packet(arp, 4_102_444_800_123_456_789);
    let mut text = String::new();
    let options = Options { time: TimeFormat::Date, nanoseconds: true, ..Options::default() };
    Printer::new(options).in_time_zone(TimeZone::UTC).print(&packet, None, &mut text);
    assert!(text.starts_with("2100-01-01 00:00:00.123456789 ARP, "), "{text}");
}

#[test]
fn times_are_local() {
    let mut text = String::new();
    let zone = TimeZone::fixed(jiff::tz::offset(2));
    let mut printer = Printer::new(Options::default()).in_time_zone(zone);
    printer.print(&packet(&node_port()[0], 0), None, &mut text);
    assert!(text.starts_with("02:00:00.000000 "), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_comes_gives_lines(
        packets in prop::collection::vec(any_packet(), 1..4),
        link in prop::sample::select(vec![0u16, 1, 101, 113, 276, 9999]),
        longer in prop::sample::select(vec![0u32, 0, 1, 1000, 300_000]),
        time in any::<u64>(),
        options in any_options(),
    ) {
        let mut printer = Printer::new(options).in_time_zone(TimeZone::UTC);
        for bytes in packets {
            let wire_len = u32::try_from(bytes.len()).unwrap() + longer;
            let mut text = String::new();
            let packet = Packet { time, link: LinkType(link), wire_len, bytes: &bytes };
            printer.print(&packet, Some("remark"), &mut text);
            prop_assert!(text.ends_with('\n'));
            prop_assert!(text.contains(" remark"));
        }
    }

    #[test]
    fn lengths_that_cannot_be_give_lines(bytes in any_packet(), wire_len in 0u32..100) {
        let mut text = String::new();
        let packet = Packet { wire_len, ..packet(&bytes, 0) };
        Printer::new(Options::default()).print(&packet, None, &mut text);
        prop_assert!(text.ends_with('\n'));
    }
}

/// Noise, or a packet with some bytes changed, some cut off, and another link layer.
fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    let known = [node_port(), overlay(), fragments(), ipv6_connection(), control()].concat();
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let cut = prop::option::of(any::<prop::sample::Index>());
    // How many bytes of link layer come off, for those link types that have less or none.
    let off = prop::sample::select(vec![0usize, 0, 0, 14]);
    let cooked = prop::sample::select(vec![&[][..], &[0; 4], &[2, 0, 0, 0], &[0, 0, 0, 1, 0, 6]]);
    let changed = (prop::sample::select(known), changes, cut, off, cooked);
    let changed = changed.prop_map(|(packet, changes, cut, off, cooked)| {
        let mut packet = [cooked, &packet[off..]].concat();
        for (at, value) in changes {
            let at = at.index(packet.len());
            packet[at] = value;
        }
        if let Some(cut) = cut {
            packet.truncate(cut.index(packet.len()));
        }
        packet
    });
    prop_oneof![1 => noise, 4 => changed]
}

fn any_options() -> impl Strategy<Value = Options> {
    let time = prop::sample::select(vec![
        TimeFormat::Clock,
        TimeFormat::None,
        TimeFormat::Unix,
        TimeFormat::SincePrevious,
        TimeFormat::Date,
        TimeFormat::SinceFirst,
    ]);
    let form = prop::sample::select(vec![DumpForm::Hex, DumpForm::HexAscii, DumpForm::Ascii]);
    let dump = (form, any::<bool>()).prop_map(|(form, link_layer)| Dump { form, link_layer });
    let switches = any::<[bool; 5]>();
    (time, prop::option::of(dump), switches, 0u8..4).prop_map(|(time, dump, switches, verbose)| {
        let [nanoseconds, numbers, link_layer, quick, absolute_sequence] = switches;
        Options {
            time,
            nanoseconds,
            numbers,
            link_layer,
            verbose,
            quick,
            absolute_sequence,
            dump,
            ..Options::default()
        }
    })
}

fn packet(bytes: &[u8], time: u64) -> Packet<'_> {
    let wire_len = u32::try_from(bytes.len()).unwrap();
    Packet { time, link: LinkType::ETHERNET, wire_len, bytes }
}

/// One packet every millisecond, in UTC.
fn print_all(packets: &[Vec<u8>], options: &Options, remark: Option<&str>) -> String {
    const BEGIN: u64 = 1_700_000_000_000_000_000;
    let mut printer = Printer::new(options.clone()).in_time_zone(TimeZone::UTC);
    let mut text = String::new();
    for (number, bytes) in packets.iter().enumerate() {
        let time = BEGIN + number as u64 * 1_000_000;
        printer.print(&Packet { time, ..packet(bytes, 0) }, remark, &mut text);
    }
    text
}

/// A client asks for its way to a node, and then for a page behind a node port.
fn node_port() -> Vec<Vec<u8>> {
    let (client, node) = MACS;
    let question = [0, 1, 8, 0, 6, 4, 0, 1];
    let question = [&question[..], &client, &CLIENT, &[0; 6], &NODE].concat();
    let arp = [&[0xff; 6][..], &client, &[8, 6], &question].concat();
    let to = || PacketBuilder::ethernet2(client, node).ipv4(CLIENT, NODE, 64);
    let from = || PacketBuilder::ethernet2(node, client).ipv4(NODE, CLIENT, 63);
    let syn_options = [
        TcpOptionElement::MaximumSegmentSize(1460),
        TcpOptionElement::SelectiveAcknowledgementPermitted,
        TcpOptionElement::Timestamp(1234, 0),
        TcpOptionElement::Noop,
        TcpOptionElement::WindowScale(7),
    ];
    let mut packets = vec![arp];
    let mut add = |builder: etherparse::PacketBuilderStep<etherparse::TcpHeader>,
                   payload: &[u8]| {
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        packets.push(bytes);
    };
    add(to().tcp(40000, 30080, 1000, 64240).syn().options(&syn_options).unwrap(), b"");
    add(from().tcp(30080, 40000, 5000, 65160).syn().ack(1001), b"");
    add(to().tcp(40000, 30080, 1001, 502).ack(5001), b"");
    add(to().tcp(40000, 30080, 1001, 502).ack(5001).psh(), b"GET / HTTP/1.1\r\n\r\n");
    add(from().tcp(8080, 40000, 5001, 509).ack(1019).psh(), b"HTTP/1.1 200 OK\r\n\r\nok");
    add(from().tcp(30080, 40000, 5001, 509).ack(1019).fin(), b"");
    add(to().tcp(40000, 30080, 1019, 502).ack(5002).rst(), b"");
    packets
}

/// The same in VXLAN, on both ports.
fn overlay() -> Vec<Vec<u8>> {
    let inner = node_port();
    vec![vxlan_frame(8472, &inner[0]), vxlan_frame(8472, &inner[1]), vxlan_frame(4789, &inner[4])]
}

fn vxlan_frame(port: u16, frame: &[u8]) -> Vec<u8> {
    let (client, node) = MACS;
    let builder = PacketBuilder::ethernet2(node, client).ipv4(NODE, CLIENT, 64).udp(51234, port);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], frame].concat()).unwrap();
    bytes
}

/// A datagram in two fragments, in a VLAN, and another whose end is missing.
fn fragments() -> Vec<Vec<u8>> {
    let (client, node) = MACS;
    let mut header =
        etherparse::Ipv4Header::new(0, 64, etherparse::IpNumber::UDP, CLIENT, POD).unwrap();
    header.dont_fragment = false;
    let datagram = [&40000u16.to_be_bytes()[..], &30053u16.to_be_bytes(), &[0, 40, 0, 0], &[7; 32]];
    let datagram = datagram.concat();
    let fragment = |from: usize, to: usize| {
        let mut header = header.clone();
        header.more_fragments = to < datagram.len();
        header.fragment_offset = IpFragOffset::try_new(u16::try_from(from / 8).unwrap()).unwrap();
        header.set_payload_len(to - from).unwrap();
        header.header_checksum = header.calc_header_checksum();
        let mut bytes = [&node[..], &client, &[0x81, 0, 0, 7, 8, 0]].concat();
        header.write(&mut bytes).unwrap();
        bytes.extend(&datagram[from..to]);
        bytes
    };
    let whole = fragment(0, 40);
    vec![fragment(0, 24), fragment(24, 40), whole[..50].to_vec(), whole[..40].to_vec()]
}

fn ipv6_connection() -> Vec<Vec<u8>> {
    let (client, node) = MACS;
    let to = || PacketBuilder::ethernet2(client, node).ipv6(CLIENT6, NODE6, 64);
    let (mut segment, mut datagram) = (Vec::new(), Vec::new());
    to().tcp(40000, 30080, 1000, 502).ack(5000).write(&mut segment, b"hello").unwrap();
    to().udp(40000, 30053).write(&mut datagram, b"hello").unwrap();
    vec![segment, datagram]
}

/// ICMP, with a packet quoted and without; ICMPv6 behind hop-by-hop options; DNS.
fn control() -> Vec<Vec<u8>> {
    let (client, node) = MACS;
    let ipv4 = || PacketBuilder::ethernet2(client, node).ipv4(CLIENT, NODE, 64);
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\x07default\x03svc\0\0\x01\0\x01";
    let mut packets = vec![Vec::new(); 5];
    ipv4().icmpv4_echo_request(7, 1).write(&mut packets[0], &[0; 56]).unwrap();
    let unreachable = etherparse::Icmpv4Type::Unknown { type_u8: 3, code_u8: 3, bytes5to8: [0; 4] };
    ipv4().icmpv4(unreachable).write(&mut packets[1], &node_port()[1][14..]).unwrap();
    ipv4().udp(40000, 53).write(&mut packets[2], query).unwrap();
    ipv4().udp(5353, 5353).write(&mut packets[3], query).unwrap();
    let framed = [&[0, 33][..], query].concat();
    ipv4().tcp(40000, 53, 1, 502).ack(1).write(&mut packets[4], &framed).unwrap();
    let solicitation = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &NODE6, &[1, 1], &client].concat();
    let report = [&[58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0][..], &NODE6];
    let join = [0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 224, 0, 0, 251];
    let header = etherparse::Ipv4Header::new(16, 1, 2.into(), CLIENT, [224, 0, 0, 22]).unwrap();
    packets.push([&node[..], &client, &[8, 0], &header.to_bytes(), &join].concat());
    for (next, payload) in [(58, solicitation), (0, report.concat())] {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let header = [&[0x60, 0, 0, 0][..], &length, &[next, 255], &CLIENT6, &NODE6].concat();
        packets.push([&node[..], &client, &[0x86, 0xdd], &header, &payload].concat());
    }
    packets
}

/// What `print` prints under as many `-v`, and what it says.
pub(super) fn part<T>(verbose: u8, print: impl FnOnce(&mut Line<'_>) -> T) -> (String, T) {
    let (mut out, mut state) = (String::new(), State::default());
    let options = Options { verbose, ..Options::default() };
    let said = print(&mut Line { out: &mut out, options: &options, state: &mut state });
    (out, said)
}

/// What `print` prints under as many `-v`, with the mark at which a line ends.
pub(super) fn text(verbose: u8, print: impl FnOnce(&mut Line<'_>) -> line::Printed) -> String {
    let printed = |line: &mut Line<'_>| {
        if print(line).is_err() {
            line.mark();
        }
    };
    part(verbose, printed).0
}
