//! Packets from a file: the same filters, lines and files as live.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use anyhow::bail;
use netlab::capture::{
    LinkType, Packet,
    file::{
        Direction, Format, Interface, MAX_SNAPLEN, Reader, Record, STANDARD_STREAM, Statistics,
    },
    filter::Filter,
};

use super::{
    Outcome,
    cluster::Cluster,
    expression,
    output::{Files, Lines, packets, tell},
    print, remark,
};
use crate::cli::{CaptureArgs, capture::Way};

/// Reads a file. What comes before a damage is dealt with before the damage is told.
pub(super) fn run(args: &CaptureArgs, path: &Path, color: bool) -> anyhow::Result<Outcome> {
    let mut reader = Reader::open(path)?;
    refuse_to_overwrite(args, path)?;
    let link = reader.link().unwrap_or(LinkType::ETHERNET);
    let cluster = Cluster::of(args)?;
    let filter = |link| expression::filter(args, cluster.as_ref(), link);
    // A wrong expression is told even where there is no packet.
    let filters = BTreeMap::from([(link, filter(link)?)]);
    let mut filters = Filters { by_link: filters, compile: &filter };
    say(&reader, path, link);
    let copy = Copy::new(args, &reader, link)?;
    let lines = if args.file.only_count { None } else { Lines::new(args) };
    let mut outputs = Outputs { lines, copy, color };
    let mut count = 0;
    let outcome = deal_with(args, &mut reader, &mut filters, &mut outputs, &mut count);
    if let Some(lines) = &mut outputs.lines {
        lines.flush()?;
    }
    if let Some(copy) = outputs.copy {
        copy.finish(&reader)?;
    }
    if args.file.only_count {
        print(&format!("{}\n", packets(count)))?;
    }
    say_losses(&reader, path);
    outcome?;
    Ok(Outcome::Fine)
}

/// A file cannot be read and written at the same time.
fn refuse_to_overwrite(args: &CaptureArgs, path: &Path) -> anyhow::Result<()> {
    let place = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let Some(output) = &args.file.write else { return Ok(()) };
    if output.as_os_str() != STANDARD_STREAM
        && place(output).is_some_and(|it| Some(it) == place(path))
    {
        let file = output.display();
        bail!("-w {file}: it is the file that is read; write to another one, then rename that");
    }
    Ok(())
}

/// What becomes of the packets.
struct Outputs {
    lines: Option<Lines>,
    copy: Option<Copy>,
    color: bool,
}

/// Packet after packet, until the end, a damage, or as many as were asked for.
fn deal_with(
    args: &CaptureArgs,
    reader: &mut Reader,
    filters: &mut Filters<'_>,
    outputs: &mut Outputs,
    count: &mut u64,
) -> anyhow::Result<()> {
    while let Some(record) = reader.next()? {
        if !is_way(args, record.note.direction) || !filters.accepts(&record.packet)? {
            if let Some(copy) = &mut outputs.copy {
                copy.is_whole = false;
            }
            continue;
        }
        if let Some(copy) = &mut outputs.copy
            && !copy.packet(&record)?
        {
            return Ok(());
        }
        *count += 1;
        if let Some(lines) = &mut outputs.lines {
            lines.packet(&record.packet, || remark::of_record(&record, outputs.color))?;
        }
        if args.choice.count.is_some_and(|wanted| *count >= wanted.get()) {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether `-Q` asks for it. Where a file does not tell, all is asked for.
const fn is_way(args: &CaptureArgs, direction: Direction) -> bool {
    !matches!(
        (args.choice.direction, direction),
        (Some(Way::In), Direction::Outbound) | (Some(Way::Out), Direction::Inbound)
    )
}

/// The filter, compiled for each link type that there is.
struct Filters<'a> {
    by_link: BTreeMap<LinkType, Filter>,
    compile: &'a dyn Fn(LinkType) -> anyhow::Result<Filter>,
}

impl Filters<'_> {
    fn accepts(&mut self, packet: &Packet<'_>) -> anyhow::Result<bool> {
        let filter = match self.by_link.entry(packet.link) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert((self.compile)(packet.link)?),
        };
        Ok(filter.accepts(packet))
    }
}

/// Says what tcpdump says of a file.
fn say(reader: &Reader, path: &Path, link: LinkType) {
    let known = pcap::Linktype(i32::from(link.0));
    let name = known.get_name().unwrap_or_else(|_| link.0.to_string());
    let description =
        known.get_description().map_or_else(|_| String::new(), |it| format!(" ({it})"));
    let snaplen = reader.interfaces().first().map_or(0, |interface| interface.snaplen);
    let snaplen = if snaplen == 0 { MAX_SNAPLEN } else { snaplen };
    tell(format_args!(
        "reading from file {}, link-type {name}{description}, snapshot length {snaplen}",
        path.display()
    ));
}

/// Says how many packets the file lacks, where it tells.
fn say_losses(reader: &Reader, path: &Path) {
    let dropped = reader.statistics().filter_map(|(_, told)| told.dropped);
    if let Some(dropped) = dropped.reduce(u64::saturating_add) {
        tell(format_args!("{} dropped while {} was captured", packets(dropped), path.display()));
    }
}

/// The packets' way to another file.
struct Copy {
    files: Files,
    /// Numbers there of the interfaces read.
    interfaces: BTreeMap<usize, usize>,
    /// Whether one file has every packet that was read.
    is_whole: bool,
}

impl Copy {
    fn new(args: &CaptureArgs, reader: &Reader, link: LinkType) -> anyhow::Result<Option<Self>> {
        let files = Files::new(args, link, reader.snaplen())?;
        let is_whole = args.file.size.is_none() && args.file.every.is_none();
        Ok(files.map(|files| Self { files, interfaces: BTreeMap::new(), is_whole }))
    }

    /// False where no more are wanted.
    fn packet(&mut self, record: &Record<'_>) -> anyhow::Result<bool> {
        let number = self.interface(record.interface, record.place)?;
        self.files.packet(number, &record.packet, &record.note)
    }

    /// The number there of an interface read, which is added where it is new.
    fn interface(&mut self, read: usize, place: &Interface) -> anyhow::Result<usize> {
        if let Some(number) = self.interfaces.get(&read) {
            return Ok(*number);
        }
        let number = self.files.interface(place)?;
        self.interfaces.insert(read, number);
        Ok(number)
    }

    /// Completes the last file, with what the one read has told.
    fn finish(mut self, reader: &Reader) -> anyhow::Result<()> {
        if self.files.format == Format::Pcapng {
            for (read, told) in reader.statistics() {
                self.statistics(read, told, reader)?;
            }
        }
        self.files.finish()
    }

    /// Hands on what the capture lost at an interface: nobody knows whether a filter would have
    /// accepted that. How many packets there were is true of a whole copy only.
    fn statistics(&mut self, read: usize, told: Statistics, reader: &Reader) -> anyhow::Result<()> {
        let lacks = told.dropped.is_some_and(|dropped| dropped > 0);
        let Some(place) = reader.interfaces().get(read) else { return Ok(()) };
        if !lacks && !self.interfaces.contains_key(&read) {
            return Ok(());
        }
        let number = self.interface(read, place)?;
        let of_part = Statistics { received: None, accepted: None, ..told };
        let told = if self.is_whole { told } else { of_part };
        Ok(self.files.rotating().statistics(number, told)?)
    }
}
