//! What becomes of the packets of a live capture.

use netlab::{
    capture::{LinkType, Packet},
    trace::{Loss, Sighting},
};
use netlab_common::event::Tally;

use super::{
    archive::Archive,
    cluster::Cluster,
    follow::Journeys,
    output::{Lines, counted, now, packets, tell},
    place::Port,
    remark,
};
use crate::cli::{CaptureArgs, capture::MAX_BUFFER};

/// Lines, journeys or files, as was asked for, and how many packets they got.
pub(super) struct Sink {
    lines: Option<Lines>,
    journeys: Option<Journeys>,
    archive: Option<Archive>,
    color: bool,
    wanted: Option<u64>,
    /// Packets that were dealt with.
    seen: u64,
    /// Packets, or journeys, that were shown.
    shown: u64,
    truncated: u64,
    /// Size of the ring in KiB.
    buffer: u32,
    /// Whether more are wanted.
    pub goes_on: bool,
}

impl Sink {
    /// Opens files and learns what journeys have to be told by, `ports` among it.
    pub fn new(
        args: &CaptureArgs,
        cluster: Option<&Cluster>,
        color: bool,
        snaplen: u32,
        ports: &[Port],
    ) -> anyhow::Result<Self> {
        Ok(Self {
            lines: if args.print.follow { None } else { Lines::new(args) },
            journeys: Journeys::new(args, cluster, color, ports),
            archive: Archive::new(args, cluster, snaplen)?,
            color,
            wanted: args.choice.count.map(Into::into),
            seen: 0,
            shown: 0,
            truncated: 0,
            buffer: args.place.buffer,
            goes_on: true,
        })
    }

    /// Deals with a packet.
    pub fn packet(&mut self, sighting: &Sighting<'_>) -> anyhow::Result<()> {
        let left = self.left();
        if let Some(journeys) = &mut self.journeys {
            let shown = journeys.see(sighting, left)?;
            self.took(sighting);
            self.count(shown);
            return Ok(());
        }
        let packet = Packet {
            time: sighting.time,
            link: LinkType::ETHERNET,
            wire_len: sighting.wire_len,
            bytes: sighting.bytes,
        };
        if let Some(archive) = &mut self.archive
            && !archive.write(sighting, &packet)?
        {
            // The files that were asked for are full: this packet is in none.
            self.goes_on = false;
            return Ok(());
        }
        if let Some(lines) = &mut self.lines {
            lines.packet(&packet, || Some(remark::of_sighting(sighting, self.color)))?;
        }
        self.took(sighting);
        self.count(1);
        Ok(())
    }

    fn took(&mut self, sighting: &Sighting<'_>) {
        self.seen += 1;
        self.truncated += u64::from(sighting.bytes.len() < sighting.wire_len as usize);
    }

    /// So many more of what was asked for have been shown.
    fn count(&mut self, shown: u64) {
        self.shown += shown;
        self.goes_on &= self.wanted.is_none_or(|wanted| self.shown < wanted);
    }

    /// How many more are wanted.
    fn left(&self) -> u64 {
        self.wanted.map_or(u64::MAX, |wanted| wanted.saturating_sub(self.shown))
    }

    /// Whether [`Sink::lost`] has to be told from time to time, not only the end.
    pub fn wants_losses(&self) -> bool {
        self.archive.as_ref().is_some_and(|archive| archive.is_series)
    }

    /// Whether [`Sink::lost`] has to be told ahead of packets: what they lack may be among it.
    pub const fn wants_losses_first(&self) -> bool {
        self.journeys.is_some()
    }

    /// What was lost so far.
    pub fn lost(&mut self, losses: &[Loss<'_>]) -> anyhow::Result<()> {
        if let Some(journeys) = &mut self.journeys {
            journeys.lost(now(), losses);
        }
        self.archive.as_mut().map_or(Ok(()), |archive| archive.lost(losses))
    }

    /// There is time: what has been held back is handed on.
    pub fn idle(&mut self) -> anyhow::Result<()> {
        let left = self.left();
        if let Some(journeys) = &mut self.journeys {
            let shown = journeys.advance(now(), left)?;
            self.count(shown);
        }
        if let Some(archive) = &mut self.archive {
            archive.idle()?;
        }
        self.lines.as_mut().map_or(Ok(()), Lines::flush)
    }

    /// Says what was captured and what was lost so far.
    pub fn report(&self, tallies: &[Tally]) {
        tell_counts(self.seen, self.truncated, tallies, 0);
    }

    /// Completes everything, and says what was captured and what was lost. What cannot be
    /// completed does not keep the rest from it.
    pub fn finish(
        mut self,
        tallies: &[Tally],
        losses: &[Loss<'_>],
        missed: u64,
    ) -> anyhow::Result<()> {
        if let Some(journeys) = &mut self.journeys {
            journeys.lost(now(), losses);
        }
        let printed = self.idle();
        let left = self.left();
        let journeys = self.journeys.take().map_or(Ok(None), |it| it.finish(left).map(Some));
        let written = self.archive.take().map_or(Ok(()), |archive| archive.finish(losses));
        if let Ok(Some(shown)) = journeys {
            tell(format_args!("{} shown", counted(self.shown + shown, "journey")));
        }
        tell_counts(self.seen, self.truncated, tallies, missed);
        if !self.goes_on {
            self.tell_left(tallies);
        }
        let is_whole = missed == 0 && tallies.iter().all(|tally| tally.lost == 0);
        if matches!(journeys, Ok(Some(_))) && !is_whole {
            tell(format_args!(
                "netlab: journeys may lack hops that were lost; capture with a larger ring \
                 (-B {}) or a narrower filter",
                self.buffer.saturating_mul(4).min(MAX_BUFFER)
            ));
        }
        printed.and(journeys.map(drop)).and(written)
    }

    /// Says how many packets are neither captured nor lost, because the capture was complete.
    fn tell_left(&self, tallies: &[Tally]) {
        let taken: u64 =
            tallies.iter().map(|tally| tally.accepted.saturating_sub(tally.lost)).sum();
        let left = taken.saturating_sub(self.seen);
        if left > 0 {
            tell(format_args!("{} left, when the capture was complete", packets(left)));
        }
    }
}

/// The last lines of a capture, as tcpdump's.
pub(super) fn tell_counts(captured: u64, truncated: u64, tallies: &[Tally], missed: u64) {
    let mut all = Tally::default();
    tallies.iter().for_each(|tally| all.merge(tally));
    tell(format_args!("{} captured", packets(captured)));
    tell(format_args!("{} received by filter", packets(all.accepted)));
    tell(format_args!("{} dropped by the ring", packets(all.lost)));
    if truncated > 0 {
        tell(format_args!("{} truncated", packets(truncated)));
    }
    if all.unreadable > 0 {
        tell(format_args!("{} could not be read", packets(all.unreadable)));
    }
    if missed > 0 {
        tell(format_args!(
            "{} of any namespace not seen: the kernel was at another one",
            counted(missed, "drop")
        ));
    }
}
