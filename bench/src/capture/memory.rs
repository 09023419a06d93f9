//! How much memory a flood costs.

use std::{fmt::Write as _, time::Duration};

use anyhow::Result;

use super::{
    Scale,
    contestant::{Contestant, Contestants},
    verdict,
};
use crate::{generator::Generator, wire::Wire};

/// The largest set of resident pages, KiB.
pub struct Memory {
    who: Contestant,
    /// Before the flood, a second into it, and at its end.
    at: [u64; 3],
    rate: f64,
    time: Duration,
}

/// Each contestant through a flood as fast as it goes.
pub fn measure(
    contestants: &Contestants,
    wire: &Wire,
    generator: &Generator,
    scale: &Scale,
) -> Result<Vec<Memory>> {
    const FIRST: Duration = Duration::from_secs(1);
    Contestant::ALL
        .into_iter()
        .map(|who| {
            let running = contestants.write(who, &wire.to, Wire::RECEIVER)?.hurry()?;
            let before = running.memory()?;
            generator.flood(None, FIRST)?;
            let first = running.memory()?;
            let flood = generator.flood(None, scale.long.saturating_sub(FIRST))?;
            let last = running.memory()?;
            running.stop()?;
            Ok(Memory { who, at: [before, first, last], rate: flood.rate(), time: scale.long })
        })
        .collect()
}

/// A table of it.
pub fn report(report: &mut String, memory: &[Memory]) -> Result<()> {
    /// What netlab's own code and libraries may take beside the ring, KiB.
    const RING: u64 = 8192;
    writeln!(report, "## Memory\n\nLargest resident set (VmHWM), KiB:\n")?;
    writeln!(report, "| | before | after 1 s | at the end | growth | packets |")?;
    writeln!(report, "| --- | --- | --- | --- | --- | --- |")?;
    for Memory { who, at: [before, first, last], rate, time } in memory {
        let target = match who {
            Contestant::Netlab => {
                format!(", {} (within the ring's {RING})", verdict(last - before <= RING))
            }
            _ => String::new(),
        };
        writeln!(
            report,
            "| {} | {before} | {first} | {last} | {}{target} | {:.0} k/s for {} s |",
            who.name(),
            last - first,
            rate / 1e3,
            time.as_secs(),
        )?;
    }
    writeln!(report)?;
    Ok(())
}
