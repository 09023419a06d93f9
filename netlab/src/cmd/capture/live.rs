//! Packets from the kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use netlab::{
    capture::{
        LinkType, Packet,
        file::{Comments, Direction, Format, Interface, Note, Statistics},
    },
    trace::{Hook, Options, Session, Sighting},
};
use netlab_common::event::{CAPACITY, Tally};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    Outcome, expression,
    output::{Files, Lines, packets},
    place,
    remark::{is_drop, remark},
};
use crate::cli::CaptureArgs;

/// Packets that are dealt with before a signal is looked for again.
const BATCH: usize = 4096;

/// Captures until it is told to end, or has seen as many packets as were asked for.
pub(super) async fn run(args: &CaptureArgs, color: bool) -> anyhow::Result<Outcome> {
    let filter = expression::filter(args, LinkType::ETHERNET)?;
    let mut signals = Signals::new()?;
    let snaplen = match args.choice.snaplen {
        0 => CAPACITY,
        wanted => wanted.min(CAPACITY),
    };
    let hooks = place::hooks(args);
    let instructions = filter.instructions()?;
    let options = Options {
        hooks: hooks.clone(),
        interfaces: place::interfaces(args),
        snaplen,
        ring: (args.place.buffer << 10).next_power_of_two(),
        filter: instructions.into_iter().map(Into::into).collect(),
        reach: filter.reach(),
    };
    if hooks.is_empty() {
        bail!("no hook is left to capture at: -Q leaves out all that --hook names");
    }
    let places = place::places(args)?;
    let mut sink = Sink::new(args, color, snaplen)?;
    let mut session = Session::start(places, options).await?;
    say(&session, &hooks, snaplen);
    let outcome = follow_on(&mut session, &mut signals, &mut sink).await;
    let tallies = session.tallies()?;
    if sink.goes_on {
        // What came before the end belongs to the capture.
        while outcome.is_ok() && drain(&mut session, &mut sink)? == BATCH {}
    }
    drop(session);
    sink.finish(&tallies)?;
    outcome.map(|()| Outcome::Fine)
}

async fn follow_on(
    session: &mut Session,
    signals: &mut Signals,
    sink: &mut Sink,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = signals.next() => return Ok(()),
            outcome = session.wait() => outcome?,
        }
        while drain(session, sink)? == BATCH {
            tokio::task::yield_now().await;
            if !sink.goes_on || signals.came().await {
                return Ok(());
            }
        }
        sink.idle()?;
        if !sink.goes_on {
            return Ok(());
        }
    }
}

/// Deals with what is in the ring, a batch at most, and says how many packets it was.
fn drain(session: &mut Session, sink: &mut Sink) -> anyhow::Result<usize> {
    let mut outcome = Ok(());
    let count = session.drain(BATCH, |sighting| {
        if outcome.is_ok() && sink.goes_on {
            outcome = sink.packet(sighting);
        }
    });
    outcome.map(|()| count)
}

/// Says where packets are listened for, as tcpdump does.
fn say(session: &Session, hooks: &BTreeSet<Hook>, snaplen: u32) {
    let hooks: Vec<_> = hooks.iter().map(|hook| hook.name()).collect();
    eprintln!(
        "netlab: listening on {}, hooks {}, snapshot length {snaplen} bytes",
        session.description(),
        hooks.join(" ")
    );
}

/// What becomes of packets.
struct Sink {
    lines: Option<Lines>,
    files: Option<Files>,
    /// Numbers in the file by host, interface and hook. Nested, so that looking one up for
    /// each packet makes no key.
    interfaces: BTreeMap<String, BTreeMap<String, BTreeMap<Hook, usize>>>,
    only_drops: bool,
    color: bool,
    snaplen: u32,
    wanted: Option<u64>,
    shown: u64,
    truncated: u64,
    began: u64,
    goes_on: bool,
}

impl Sink {
    fn new(args: &CaptureArgs, color: bool, snaplen: u32) -> anyhow::Result<Self> {
        let files = Files::new(args, LinkType::ETHERNET, snaplen)?;
        if files.as_ref().is_some_and(|files| matches!(files.format, Format::Pcap(_))) {
            let hooks = place::hooks(args);
            if hooks.len() > 1 && hooks != [Hook::TcIn, Hook::TcOut].into() {
                log::warn!(
                    "pcap cannot tell hooks apart, and a packet that passes several is in the \
                     file more than once; choose with --hook, or write pcapng"
                );
            }
        }
        Ok(Self {
            lines: if args.file.only_count { None } else { Lines::new(args) },
            files,
            interfaces: BTreeMap::new(),
            only_drops: place::only_drops(args),
            color,
            snaplen,
            wanted: args.choice.count.map(Into::into),
            shown: 0,
            truncated: 0,
            began: now(),
            goes_on: true,
        })
    }

    fn packet(&mut self, sighting: &Sighting<'_>) -> anyhow::Result<()> {
        if self.only_drops && !sighting.event.as_ref().is_some_and(is_drop) {
            return Ok(());
        }
        let packet = Packet {
            time: sighting.time,
            link: LinkType::ETHERNET,
            wire_len: sighting.wire_len,
            bytes: sighting.bytes,
        };
        if let Some(lines) = &mut self.lines {
            lines.packet(&packet, Some(&remark(sighting, self.color)))?;
        }
        if self.files.is_some() {
            self.goes_on = self.write(sighting, &packet)?;
        }
        self.shown += 1;
        self.truncated += u64::from(sighting.bytes.len() < sighting.wire_len as usize);
        self.goes_on &= self.wanted.is_none_or(|wanted| self.shown < wanted);
        Ok(())
    }

    /// False where no more are wanted.
    fn write(&mut self, sighting: &Sighting<'_>, packet: &Packet<'_>) -> anyhow::Result<bool> {
        let Some(files) = &mut self.files else { return Ok(true) };
        let known =
            self.interfaces.get(sighting.host).and_then(|host| host.get(sighting.interface));
        let interface = match known.and_then(|hooks| hooks.get(&sighting.hook)) {
            Some(interface) => *interface,
            None => {
                let number = files.interface(&interface(sighting, self.snaplen))?;
                let host = self.interfaces.entry(sighting.host.to_owned()).or_default();
                let hooks = host.entry(sighting.interface.to_owned()).or_default();
                hooks.insert(sighting.hook, number);
                number
            }
        };
        let direction = match sighting.hook.is_inbound() {
            Some(true) => Direction::Inbound,
            Some(false) => Direction::Outbound,
            None => Direction::Unknown,
        };
        let event = sighting.event.as_ref().map(ToString::to_string);
        let comments: Vec<&str> = event.iter().map(String::as_str).collect();
        files.packet(interface, packet, &Note { direction, comments: Comments::new(&comments) })
    }

    /// There is time: what has been held back is handed on.
    fn idle(&mut self) -> anyhow::Result<()> {
        self.lines.as_mut().map_or(Ok(()), Lines::flush)
    }

    /// Completes files and says what was captured and what was lost.
    fn finish(mut self, tallies: &[Tally]) -> anyhow::Result<()> {
        self.idle()?;
        let mut all = Tally::default();
        tallies.iter().for_each(|tally| all.merge(tally));
        if let Some(mut files) = self.files.take() {
            let hosts = self.interfaces.values().flat_map(BTreeMap::values);
            for (hook, interface) in hosts.flatten() {
                let tally = tallies[*hook as usize];
                files.rotating().statistics(
                    *interface,
                    Statistics {
                        start: self.began,
                        end: now(),
                        received: Some(tally.accepted + tally.rejected),
                        dropped: Some(tally.lost),
                        accepted: Some(tally.accepted),
                    },
                )?;
            }
            files.finish()?;
        }
        eprintln!("{} captured", packets(self.shown));
        eprintln!("{} received by filter", packets(all.accepted));
        eprintln!("{} dropped by the ring", packets(all.lost));
        if self.truncated > 0 {
            eprintln!("{} truncated", packets(self.truncated));
        }
        if all.unreadable > 0 {
            eprintln!("{} could not be read", packets(all.unreadable));
        }
        Ok(())
    }
}

fn interface(sighting: &Sighting<'_>, snaplen: u32) -> Interface {
    let words = [sighting.host, sighting.interface, sighting.hook.name()];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    Interface {
        name: words.join("/"),
        description: Some(sighting.hook.description().to_owned()),
        link: LinkType::ETHERNET,
        snaplen,
    }
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// The signals that end a capture in good order.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    /// Whether one has come already.
    async fn came(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.next() => true,
            () = std::future::ready(()) => false,
        }
    }
}
