//! The capture's lines against those of tcpdump itself, over the packets of [`corpus`]: with
//! every option, whole and truncated at every length.
//!
//! To add a protocol, add a module to `corpus` and name it in [`corpus::all`].

mod corpus;
mod fixtures;
mod tcpdump;

use corpus::Corpus;
use netlab::capture::{
    Packet,
    print::{Dump, DumpForm, Options, Printer, TimeFormat},
};
use netlab_tests::privilege;

/// One way to call tcpdump, and the same for netlab.
struct Way {
    arguments: &'static [&'static str],
    options: Options,
}

fn ways() -> Vec<Way> {
    let way = |arguments, set: fn(&mut Options)| {
        let mut options = Options::default();
        set(&mut options);
        Way { arguments, options }
    };
    fn dump(form: DumpForm, link_layer: bool) -> Option<Dump> {
        Some(Dump { form, link_layer })
    }
    vec![
        way(&[], |_| {}),
        way(&["-v"], |o| o.verbose = 1),
        way(&["-vv"], |o| o.verbose = 2),
        way(&["-vvv"], |o| o.verbose = 3),
        way(&["-K", "-v"], |o| (o.unverified, o.verbose) = (true, 1)),
        way(&["-K", "-vv"], |o| (o.unverified, o.verbose) = (true, 2)),
        way(&["-e"], |o| o.link_layer = true),
        way(&["-e", "-q"], |o| (o.link_layer, o.quick) = (true, true)),
        way(&["-e", "-vv"], |o| (o.link_layer, o.verbose) = (true, 2)),
        way(&["-q"], |o| o.quick = true),
        way(&["-q", "-v"], |o| (o.quick, o.verbose) = (true, 1)),
        way(&["-S"], |o| o.absolute_sequence = true),
        way(&["-x"], |o| o.dump = dump(DumpForm::Hex, false)),
        way(&["-xx"], |o| o.dump = dump(DumpForm::Hex, true)),
        way(&["-X"], |o| o.dump = dump(DumpForm::HexAscii, false)),
        way(&["-XX", "-v"], |o| (o.dump, o.verbose) = (dump(DumpForm::HexAscii, true), 1)),
        way(&["-A"], |o| o.dump = dump(DumpForm::Ascii, false)),
        way(&["-AA"], |o| o.dump = dump(DumpForm::Ascii, true)),
        way(&["-t"], |o| o.time = TimeFormat::None),
        way(&["-tt"], |o| o.time = TimeFormat::Unix),
        way(&["-ttt"], |o| o.time = TimeFormat::SincePrevious),
        way(&["-tttt"], |o| o.time = TimeFormat::Date),
        way(&["-ttttt"], |o| o.time = TimeFormat::SinceFirst),
        way(&["-#"], |o| o.numbers = true),
        way(&["--nano"], |o| o.nanoseconds = true),
        way(&["--nano", "-ttt"], |o| {
            (o.nanoseconds, o.time) = (true, TimeFormat::SincePrevious);
        }),
    ]
}

/// A packet of a corpus, with when it came and how much of it was kept.
struct Sample {
    packet: Vec<u8>,
    time: u64,
    kept: usize,
}

/// The corpus whole, then truncated at every length.
fn samples(corpus: &Corpus) -> Vec<Sample> {
    let longest = corpus.packets.iter().map(Vec::len).max().unwrap_or_default();
    let lengths = std::iter::once(usize::MAX).chain(1..longest);
    let cut = lengths.flat_map(|length| corpus.packets.iter().map(move |packet| (packet, length)));
    let whole = |length| length == usize::MAX;
    cut.filter(|(packet, length)| whole(*length) || *length < packet.len())
        .enumerate()
        .map(|(number, (packet, length))| Sample {
            packet: packet.clone(),
            time: time_of(number as u64),
            kept: length.min(packet.len()),
        })
        .collect()
}

/// Steps of different sizes over midnight, some of them back.
fn time_of(number: u64) -> u64 {
    const BEGIN: u64 = 1_700_006_390_123_456_789;
    let back = if number % 7 == 3 { 5_000_000_321 } else { 0 };
    BEGIN + number * 1_234_567_891 - back
}

/// Our text, and where in it each packet begins.
fn printed(corpus: &Corpus, samples: &[Sample], options: &Options) -> (String, Vec<usize>) {
    let mut printer = Printer::new(options.clone()).in_time_zone(jiff::tz::TimeZone::UTC);
    let (mut text, mut begins) = (String::new(), Vec::new());
    for sample in samples {
        begins.push(text.len());
        let packet = Packet {
            time: sample.time,
            link: corpus.link,
            wire_len: u32::try_from(sample.packet.len()).expect("packets are short"),
            bytes: &sample.packet[..sample.kept],
        };
        printer.print(&packet, None, &mut text);
    }
    (text, begins)
}

/// The first packet that differs, if one does.
fn difference(corpus: &Corpus, way: &Way) -> Option<String> {
    let Way { arguments, options } = way;
    let samples = samples(corpus);
    let file = tcpdump::file(corpus.link, &samples);
    let theirs = tcpdump::read(&file, &[*arguments, corpus.arguments].concat());
    let (ours, begins) = printed(corpus, &samples, options);
    if ours.as_bytes() == theirs {
        return None;
    }
    let same = ours.bytes().zip(&theirs).take_while(|(a, b)| a == *b).count();
    let number = begins.partition_point(|begin| *begin <= same).saturating_sub(1);
    let begin = begins[number];
    let (line, place) = (begin..(same + 300), same..(same + 60));
    let part = |text: &[u8], range: std::ops::Range<usize>| {
        let end = range.end.min(text.len());
        String::from_utf8_lossy(text.get(range.start..end).unwrap_or_default()).into_owned()
    };
    let sample = &samples[number];
    Some(format!(
        "{} {arguments:?}: packet {number}, {} of {} bytes\n{}\n\
         tcpdump: {}\nnetlab:  {}\nwhere tcpdump goes on with {:?}, and netlab with {:?}\n\n",
        corpus.name,
        sample.kept,
        sample.packet.len(),
        sample.packet.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        part(&theirs, line.clone()),
        part(ours.as_bytes(), line),
        part(&theirs, place.clone()),
        part(ours.as_bytes(), place),
    ))
}

/// Panics with the differences, one a corpus and way.
fn compare<'a>(corpora: &[Corpus], ways: impl Iterator<Item = &'a Way> + Clone) {
    let pairs = corpora.iter().flat_map(|corpus| ways.clone().map(move |way| (corpus, way)));
    let differences: Vec<_> = pairs.filter_map(|(corpus, way)| difference(corpus, way)).collect();
    let few: String = differences.iter().take(5).map(String::as_str).collect();
    assert!(differences.is_empty(), "{} differences\n{few}", differences.len());
}

/// Versions that print the same. Later ones have other words for what cannot be.
const VERSIONS: [&str; 2] = ["4.99.3", "4.99.4"];

/// Whether tcpdump is here, in a version whose lines these are.
fn have_tcpdump() -> bool {
    match tcpdump::version() {
        Some(version) if VERSIONS.contains(&version.as_str()) => return true,
        Some(version) => privilege::skip(&format!("tcpdump {version} is none of {VERSIONS:?}")),
        None => privilege::skip("there is no tcpdump"),
    }
    false
}

#[test]
fn lines_are_those_of_tcpdump() {
    if !have_tcpdump() {
        return;
    }
    compare(&corpus::all(), ways().iter());
}

/// This tcpdump takes 8472 for OTV, unless told that all datagrams are VXLAN. Then it tells no
/// checksum and heeds no `-q`.
#[test]
fn the_port_that_linux_uses_carries_vxlan() {
    if !have_tcpdump() {
        return;
    }
    let corpus = corpus::vxlan::on_linux_port();
    let heeded = |way: &Way| !way.options.quick && way.options.verbose == 0;
    compare(&[corpus], ways().iter().filter(|way| heeded(way)));
}
