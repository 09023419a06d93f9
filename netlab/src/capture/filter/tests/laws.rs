//! What holds for every expression and every packet.

use super::{
    Machine,
    expressions::{Grammar, expression},
    libpcap, options,
    packets::{Sample, frame, sample},
    random::Random,
    whole,
};
use crate::capture::{
    LinkType, Packet,
    filter::{
        Error, Filter, Options,
        apart::{self, Grain},
        classic::{Frame, Outcome},
        token::tokens,
        tree::Node,
    },
};

const PLAIN: Grammar = Grammar { moving: false, chains: false };
const MOVING: Grammar = Grammar { moving: true, chains: false };

fn samples(random: &mut Random, count: usize) -> Vec<Sample> {
    (0..count).map(|_| sample(random)).collect()
}

#[test]
fn libpcap_and_interpreter_and_kernel_code_agree() {
    let mut random = Random::new(1);
    let packets = samples(&mut random, 400);
    let (mut pairs, mut accepted) = (0, 0);
    while pairs < 20_000 {
        let text = expression(&mut random, MOVING);
        let Some(oracle) = libpcap(&text, LinkType::ETHERNET) else { continue };
        let filter = Filter::parse(&text, &Options::default()).unwrap();
        let mut machine = Machine::new(&filter);
        for _ in 0..25 {
            let bytes = &packets[random.below(packets.len())].bytes;
            let packet = whole(LinkType::ETHERNET, bytes);
            let expected = oracle.filter(bytes);
            assert_eq!(filter.accepts(&packet), expected, "interpreter, {text}: {bytes:02x?}");
            assert_eq!(machine.accepts(&packet), expected, "code, {text}: {bytes:02x?}\n{filter}");
            pairs += 1;
            accepted += usize::from(expected);
        }
    }
    assert!((pairs / 5..pairs * 4 / 5).contains(&accepted), "{accepted} of {pairs} accepted");
}

#[test]
fn other_link_types_agree_too() {
    for link in [LinkType::RAW, LinkType::NULL, LinkType::LINUX_SLL, LinkType::LINUX_SLL2] {
        let mut random = Random::new(2 + u64::from(link.0));
        let mut pairs = 0;
        while pairs < 1_500 {
            let text = expression(&mut random, PLAIN);
            let Some(oracle) = libpcap(&text, link) else { continue };
            let filter = Filter::parse(&text, &options(link)).unwrap();
            let mut machine = Machine::new(&filter);
            for _ in 0..15 {
                let sample = frame(&mut random, link, 1);
                let packet = whole(link, &sample.bytes);
                let expected = oracle.filter(&sample.bytes);
                assert_eq!(filter.accepts(&packet), expected, "{link:?} {text}: {packet:02x?}");
                assert_eq!(machine.accepts(&packet), expected, "{link:?} {text}: {packet:02x?}");
                pairs += 1;
            }
        }
    }
}

/// What an expression's tree says, before a short frame counts as no.
fn judge(filter: &Filter, bytes: &[u8]) -> Outcome {
    let Node::Whole(node) = &filter.root else { panic!("an expression is a whole") };
    let frame = Frame { bytes, wire_len: u32::try_from(bytes.len()).unwrap() };
    node.judge_for_tests(frame, &filter.options)
}

#[test]
fn an_expression_taken_apart_means_the_same() {
    let mut random = Random::new(3);
    let packets = samples(&mut random, 400);
    let (mut pairs, mut short) = (0, 0);
    while pairs < 20_000 {
        let text = expression(&mut random, MOVING);
        let Some(oracle) = libpcap(&text, LinkType::ETHERNET) else { continue };
        let options = Options::default();
        let root = match apart::tree(&text, &tokens(&text), &options, Grain::Fine) {
            Ok(root) => root,
            // libpcap finds these only where its optimizer has not dropped the calculation.
            Err(Error::Syntax { message, .. })
                if message.contains("by zero") || message.contains("31 bits") =>
            {
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let filter = Filter { root: Node::Whole(Box::new(root)), options };
        let mut machine = Machine::new(&filter);
        for _ in 0..25 {
            let bytes = &packets[random.below(packets.len())].bytes;
            let packet = whole(LinkType::ETHERNET, bytes);
            pairs += 1;
            assert_eq!(machine.accepts(&packet), filter.accepts(&packet), "{text}: {bytes:02x?}");
            // libpcap's optimizer leaves out loads, so its program may be content with less.
            if judge(&filter, bytes) == Outcome::Short {
                short += 1;
                continue;
            }
            assert_eq!(
                filter.accepts(&packet),
                oracle.filter(bytes),
                "{text}: {bytes:02x?}\n{filter}"
            );
        }
    }
    assert!(short < pairs / 4, "{short} of {pairs} are short");
}

#[test]
fn an_inner_expression_is_judged_by_the_inner_bytes() {
    let mut random = Random::new(4);
    let packets = samples(&mut random, 400);
    let (mut pairs, mut accepted) = (0, 0);
    while pairs < 10_000 {
        let text = expression(&mut random, MOVING);
        let Some(oracle) = libpcap(&text, LinkType::ETHERNET) else { continue };
        let filter = Filter::parse_inside(&text, &Options::default()).unwrap();
        let same = Filter::parse(&text, &Options::default()).unwrap().inside();
        let mut machine = Machine::new(&filter);
        for _ in 0..25 {
            let Sample { bytes, inner } = &packets[random.below(packets.len())];
            let packet = whole(LinkType::ETHERNET, bytes);
            let expected = inner.first().is_some_and(|(start, _)| oracle.filter(&bytes[*start..]));
            assert_eq!(filter.accepts(&packet), expected, "{text}: {bytes:02x?}");
            assert_eq!(same.accepts(&packet), expected, "{text}: {bytes:02x?}");
            assert_eq!(machine.accepts(&packet), expected, "{text}: {bytes:02x?}\n{filter}");
            pairs += 1;
            accepted += usize::from(expected);
        }
    }
    assert!(accepted > pairs / 20, "{accepted} of {pairs} accepted");
}

/// Truth of `{0} or (vxlan V and ({1} or vxlan and not ({2})))`.
fn nested(sample: &Sample, vni: u32, oracles: [&pcap::BpfProgram; 3]) -> bool {
    let Sample { bytes, inner } = sample;
    let first = inner.first();
    let second = inner.get(1);
    let in_first = first.is_some_and(|(start, _)| oracles[1].filter(&bytes[*start..]));
    let in_second = second.is_some_and(|(start, _)| !oracles[2].filter(&bytes[*start..]));
    let is_of_vni = first.is_some_and(|(_, found)| *found == vni);
    oracles[0].filter(bytes) || (is_of_vni && (in_first || in_second))
}

#[test]
fn vxlan_leads_to_the_inner_frame_each_time() {
    let mut random = Random::new(5);
    let packets = samples(&mut random, 400);
    let (mut pairs, mut accepted, mut short) = (0, 0, 0);
    while pairs < 10_000 {
        let parts = [(); 3].map(|()| expression(&mut random, PLAIN));
        let oracles: Vec<_> =
            parts.iter().filter_map(|part| libpcap(part, LinkType::ETHERNET)).collect();
        let [Some(a), Some(b), Some(c)] = [0, 1, 2].map(|at| oracles.get(at)) else { continue };
        let vni = *random.pick(&[&1, &5, &0xff_ffff]);
        let [outer, inner, innermost] = &parts;
        let text =
            format!("({outer}) or (vxlan {vni} and (({inner}) or (vxlan and not ({innermost}))))");
        let filter =
            Filter::parse(&text, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        let mut machine = Machine::new(&filter);
        for _ in 0..25 {
            let sample = &packets[random.below(packets.len())];
            let packet = whole(LinkType::ETHERNET, &sample.bytes);
            pairs += 1;
            assert_eq!(machine.accepts(&packet), filter.accepts(&packet), "{text}: {packet:02x?}");
            if judge(&filter, &sample.bytes) == Outcome::Short {
                short += 1;
                continue;
            }
            let expected = nested(sample, vni, [a, b, c]);
            assert_eq!(filter.accepts(&packet), expected, "{text}: {packet:02x?}\n{filter}");
            accepted += usize::from(expected);
        }
    }
    assert!(short < pairs / 4, "{short} of {pairs} are short");
    assert!(accepted > pairs / 20, "{accepted} of {pairs} accepted");
}

#[test]
fn vxlan_is_found_behind_every_link_layer() {
    let links = [
        LinkType::ETHERNET,
        LinkType::RAW,
        LinkType::NULL,
        LinkType::LINUX_SLL,
        LinkType::LINUX_SLL2,
    ];
    for link in links {
        let mut random = Random::new(6 + u64::from(link.0));
        let filters: Vec<(Filter, Machine, u32)> = [1, 5, 0xff_ffff]
            .map(|vni| (Filter::parse(&format!("vxlan {vni}"), &options(link)).unwrap(), vni))
            .map(|(filter, vni)| (filter.clone(), Machine::new(&filter), vni))
            .into();
        let mut filters = filters;
        let mut found = 0;
        for _ in 0..700 {
            let whole_sample = frame(&mut random, link, 1);
            let cut = whole_sample.cut(random.below(2 * whole_sample.bytes.len() + 1));
            let packet = whole(link, &cut.bytes);
            for (filter, machine, vni) in &mut filters {
                let expected = cut.inner.first().is_some_and(|(_, found)| found == vni);
                assert_eq!(filter.accepts(&packet), expected, "{vni}: {packet:02x?}");
                assert_eq!(machine.accepts(&packet), expected, "{vni}: {packet:02x?}");
                found += usize::from(expected);
            }
        }
        assert!(found > 30, "{found} found on {link:?}");
    }
}

#[test]
fn what_lies_beyond_the_reach_does_not_matter() {
    let mut random = Random::new(7);
    let packets = samples(&mut random, 400);
    let (mut shorter, mut pairs) = (0, 0);
    while pairs < 10_000 {
        let (outer, inner) = (expression(&mut random, MOVING), expression(&mut random, PLAIN));
        let text = match random.below(3) {
            0 => format!("({inner}) or vxlan and ({inner})"),
            1 => format!("not vxlan 5 or ({inner})"),
            _ => outer,
        };
        let Ok(filter) = Filter::parse(&text, &Options::default()) else { continue };
        let mut machine = Machine::new(&filter);
        let reach = usize::try_from(filter.reach()).unwrap();
        for _ in 0..20 {
            let bytes = &packets[random.below(packets.len())].bytes;
            let packet = whole(LinkType::ETHERNET, bytes);
            let cut = Packet { bytes: &bytes[..reach.min(bytes.len())], ..packet };
            let expected = filter.accepts(&packet);
            assert_eq!(filter.accepts(&cut), expected, "reach {reach}, {text}: {bytes:02x?}");
            assert_eq!(machine.accepts(&cut), expected, "reach {reach}, {text}: {bytes:02x?}");
            pairs += 1;
            shorter += usize::from(reach < bytes.len());
        }
    }
    assert!(shorter > pairs / 4, "only {shorter} of {pairs} were cut");
}

#[test]
fn a_chain_of_headers_is_followed_in_files_only() {
    let mut random = Random::new(8);
    let packets = samples(&mut random, 300);
    for text in ["ip6 protochain \\tcp", "ip protochain 51 or arp", "protochain \\udp"] {
        let oracle = libpcap(text, LinkType::ETHERNET).unwrap();
        let filter = Filter::parse(text, &Options::default()).unwrap();
        assert_eq!(filter.instructions().unwrap_err(), Error::Loop);
        for Sample { bytes, .. } in &packets {
            let packet = whole(LinkType::ETHERNET, bytes);
            assert_eq!(filter.accepts(&packet), oracle.filter(bytes), "{text}: {bytes:02x?}");
        }
    }
}
