//! Datagrams one way, as many as one core makes. What counts is what an XDP program at the pod
//! has taken; the rest of what was sent is told as lost.
//!
//! Law: before the clock runs, every flow has been seen once, and neighbors are known, so that
//! tables along the way have what they need; afterwards they forget it, so that no other
//! workload finds their tables full of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Failure, Limits, Work, Workload};
use crate::{
    compare::{
        lane::{Lane, Memory},
        traffic::{Flood, Sender, Taker},
    },
    datapath::{conntrack, load::Maps},
    lab::UPLINK,
    netlink::{
        self,
        conntrack::Table,
        ethtool::{self, Offload},
    },
};

/// How long all flows may take to be seen. New connections are slow.
const LEAD_IN: Duration = Duration::from_secs(20);
/// Between looks at what has come.
const LOOK: Duration = Duration::from_millis(5);
/// How long what was sent may be under way.
const PATIENCE: Duration = Duration::from_secs(1);

/// A flood that may begin; what was made for it goes when this is dropped.
pub struct Ready<'a> {
    limits: &'a Limits,
    sender: Sender,
    taker: Taker,
    _reception: Reception<'a>,
    _traces: Traces<'a>,
}

/// What the nodes remember of floods, until this is dropped.
struct Traces<'a>(&'a [Memory]);

/// GRO at a wire's end, which has the kernel poll it as a network card: without that, XDP cannot
/// send to it. Until this is dropped.
struct Reception<'a>(Option<&'a Lane>);

pub(super) fn prepare<'a>(
    workload: Workload,
    lane: &'a Lane,
    limits: &'a Limits,
) -> Result<Ready<'a>, Failure> {
    let flows = workload.flows(limits.flows).try_into().unwrap_or(Flood::MOST);
    let flood = lane.flood(flows, workload == Workload::PpsRandom, length(workload, limits.mtu));
    let traces = Traces(&lane.memories);
    let reception = Reception::new(lane)?;
    let taker = Taker::new(&lane.to.0, lane.to.1)?;
    let mut sender =
        Sender::new(&Flood { random: false, ..flood }, (&lane.from.0, lane.from.1), &lane.berth)?;
    // The first has the neighbors looked up, and may be lost over that.
    for frames in [1, u64::from(flows)] {
        let sent = sender.send_while(|sent| {
            sent.frames < frames && sent.took < LEAD_IN && !limits.stop.is_asked()
        })?;
        if limits.stop.is_asked() {
            return Err(Failure::Interrupted);
        }
        if sent.frames < frames {
            return Err(Failure::LeadIn { flows: frames, seen: sent.frames, after: LEAD_IN });
        }
        settled(&taker)?;
    }
    sender.change(&flood)?;
    Ok(Ready { limits, sender, taker, _reception: reception, _traces: traces })
}

impl Ready<'_> {
    pub(super) fn run(&self) -> Result<Work, Failure> {
        let before = self.taker.taken()?;
        let Limits { duration, stop, .. } = self.limits;
        let sent = self.sender.send_while(|sent| sent.took < *duration && !stop.is_asked())?;
        let after = settled(&self.taker)?;
        let packets = after.packets - before.packets;
        Ok(Work {
            seconds: sent.took.as_secs_f64(),
            operations: packets,
            bytes: after.bytes - before.bytes - packets * Flood::HEADERS as u64,
            lost: sent.frames.saturating_sub(packets),
            latencies: None,
        })
    }
}

/// Of a frame, in bytes, where `mtu` is what every pod network compared takes whole.
fn length(workload: Workload, mtu: u32) -> usize {
    const ETHERNET: usize = 14;
    match workload {
        Workload::PpsMtu => (mtu as usize + ETHERNET).clamp(Flood::SHORTEST, Flood::LONGEST),
        _ => Flood::SHORTEST,
    }
}

/// What has come, when nothing more does.
fn settled(taker: &Taker) -> Result<netlab_common::traffic::Taken, Failure> {
    let begun = Instant::now();
    let mut taken = taker.taken()?;
    loop {
        thread::sleep(LOOK);
        let now = taker.taken()?;
        if now == taken || begun.elapsed() > PATIENCE {
            return Ok(now);
        }
        taken = now;
    }
}

impl<'a> Reception<'a> {
    fn new(lane: &'a Lane) -> netlink::Result<Self> {
        let netns = &lane.entry.0;
        if ethtool::get(netns, UPLINK, Offload::Gro)? {
            return Ok(Self(None));
        }
        ethtool::set(netns, UPLINK, Offload::Gro, true)?;
        Ok(Self(Some(lane)))
    }
}

impl Drop for Reception<'_> {
    fn drop(&mut self) {
        let Some(lane) = self.0 else { return };
        if let Err(error) = ethtool::set(&lane.entry.0, UPLINK, Offload::Gro, false) {
            log::warn!("{error}: {}", error.source);
        }
    }
}

impl Drop for Traces<'_> {
    fn drop(&mut self) {
        for memory in self.0 {
            let forget = || Table::open().and_then(|table| table.clear());
            if let Err(error) = memory.netns.run(forget).flatten() {
                log::warn!("{error}: {}", error.source);
            }
            let Some(pins) = &memory.pins else { continue };
            if let Err(error) = Maps::open(pins).and_then(|mut maps| conntrack::clear(&mut maps)) {
                log::warn!("{error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_shortest_or_fill_the_least_mtu() {
        assert_eq!(length(Workload::Pps, 1450), 60);
        assert_eq!(length(Workload::PpsRandom, 1450), 60);
        assert_eq!(length(Workload::PpsMtu, 1450), 1464);
        assert_eq!(length(Workload::PpsMtu, 9000), Flood::LONGEST);
    }
}
