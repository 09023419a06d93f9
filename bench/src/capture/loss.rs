//! From which rate on packets are lost, and how many at a rate.
//!
//! Both count what they lose themselves, and what they receive is held against what arrived.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use netlab::compare::statistics::{Estimate, median};

use super::{
    Scale,
    contestant::{Contestant, Contestants},
    thousands, verdict,
};
use crate::{
    generator::{Flood, Generator},
    tool::Outcome,
    wire::Wire,
};

/// The lowest rate tried, and the factor from each to the next.
const LOWEST: f64 = 100e3;
const STEP: f64 = 1.25;

/// A result so near to the generator's ceiling says nothing about the program.
const BOUND: f64 = 0.9;

/// The heading, and what is counted.
pub fn introduce(report: &mut String) -> Result<()> {
    writeln!(
        report,
        "## Loss\n\nThe lowest rate at which packets are lost, thousands a second, in steps of \
         {STEP}; median [95%]. A capture slows the generator, which receives on the same core: \
         the last columns are the rate that arrived as fast as it went, what was lost of that, \
         and what the capture's process took of its core for each packet.\n"
    )?;
    Ok(())
}

/// Measures packets of a length, of which the generator makes so many a second, and reports.
pub fn measure(
    report: &mut String,
    contestants: &Contestants,
    wire: &Wire,
    generator: &Generator,
    scale: &Scale,
    (length, ceiling): (usize, f64),
) -> Result<()> {
    let field = Field { contestants, wire, generator, scale };
    let rates: Vec<f64> = std::iter::successors(Some(LOWEST), |rate| Some(rate * STEP))
        .take_while(|rate| *rate < ceiling)
        .collect();
    let rounds = scale.rounds(|| field.search(&rates))?;
    writeln!(
        report,
        "### {length} bytes\n\nThe generator's own ceiling is {} a second.\n",
        thousands(ceiling)
    )?;
    writeln!(report, "| | first loss | to tcpdump | rate | lost % | ns of processor |")?;
    writeln!(report, "| --- | --- | --- | --- | --- | --- |")?;
    for (at, who) in Contestant::ALL.into_iter().enumerate() {
        let of = |f: &dyn Fn(&[Found]) -> f64| {
            let samples: Vec<_> = rounds.iter().map(|round| f(round)).collect();
            Estimate::of(&samples).context("no rounds")
        };
        let rate = of(&|round| round[at].rate() / 1e3)?;
        let ratio = of(&|round| round[at].rate() / round[0].rate())?;
        let arrived = of(&|round| round[at].flat_out.1.rate() / 1e3)?;
        let lost = of(&|round| lost(&round[at].flat_out.0))?;
        let processor = of(&|round| processor(&round[at].flat_out.0))?;
        let never = rounds.iter().filter(|round| round[at].loses_at.is_none()).count();
        let mark = if 2 * never > rounds.len() { "none, generator-bound at " } else { "" };
        let name = who.name();
        writeln!(
            report,
            "| {name} | {mark}{rate} | {ratio:.2} | {arrived} | {lost:.2} | {processor} |"
        )?;
    }
    let tcpdump: Vec<_> =
        rounds.iter().map(|round| round[0].loses_at.unwrap_or(f64::INFINITY)).collect();
    match median(&tcpdump).filter(|rate| rate.is_finite()) {
        Some(tcpdump) => field.at_rates(report, tcpdump)?,
        None => writeln!(report, "\ntcpdump lost nothing at any rate in most rounds.\n")?,
    }
    Ok(())
}

/// What a search found.
#[derive(Clone, Copy)]
struct Found {
    /// The lowest rate at which packets are lost.
    loses_at: Option<f64>,
    /// A flood as fast as it goes.
    flat_out: (Outcome, Flood),
}

impl Found {
    /// Where nothing is lost: the highest that there was.
    fn rate(&self) -> f64 {
        self.loses_at.unwrap_or(self.flat_out.1.rate())
    }
}

struct Field<'a> {
    contestants: &'a Contestants,
    wire: &'a Wire,
    generator: &'a Generator,
    scale: &'a Scale,
}

impl Field<'_> {
    /// From which of the rates on each contestant loses, by bisection, in turns.
    fn search(&self, rates: &[f64]) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        let mut open = Vec::new();
        for who in Contestant::ALL {
            let flat_out = self.flood(who, None)?;
            // A rate beyond the one that arrived cannot be told from it.
            let reached = rates.partition_point(|rate| *rate < flat_out.1.rate());
            let high = if flat_out.0.dropped > 0 { reached } else { 0 };
            open.push((0, high, who));
            found.push(Found { loses_at: None, flat_out });
        }
        while open.iter().any(|(low, high, _)| low < high) {
            for (low, high, who) in open.iter_mut().filter(|(low, high, _)| low < high) {
                let middle = usize::midpoint(*low, *high);
                if self.flood(*who, Some(rates[middle]))?.0.dropped > 0 {
                    *high = middle;
                } else {
                    *low = middle + 1;
                }
            }
        }
        for (found, (low, ..)) in found.iter_mut().zip(open) {
            if found.flat_out.0.dropped > 0 {
                let rate = rates.get(low).copied().unwrap_or(f64::INFINITY);
                found.loses_at = Some(rate.min(found.flat_out.1.rate()));
            }
        }
        Ok(found)
    }

    /// How much is lost around the rate at which tcpdump begins to lose.
    fn at_rates(&self, report: &mut String, tcpdump: f64) -> Result<()> {
        let names = Contestant::ALL.map(Contestant::name).join(" | ");
        writeln!(report, "\nLost packets in percent, and the rate that arrived:\n")?;
        writeln!(report, "| asked for | {names} | no loss with netlab |")?;
        writeln!(report, "| --- |{} --- |", " --- |".repeat(Contestant::ALL.len()))?;
        let targets = [(1.0 / STEP, "tcpdump loses nothing"), (2.0, "twice tcpdump's first loss")];
        for (factor, target) in targets {
            let rate = factor * tcpdump;
            let rounds = self.scale.rounds(|| {
                Contestant::ALL.map(|who| self.flood(who, Some(rate))).into_iter().collect()
            })?;
            write!(report, "| {} ({target}) |", thousands(rate))?;
            let mut bound = "";
            let mut last = 0.0;
            for at in 0..Contestant::ALL.len() {
                let of = |f: &dyn Fn(&(Outcome, Flood)) -> f64| {
                    let round = |round: &Vec<(Outcome, Flood)>| f(&round[at]);
                    rounds.iter().map(round).collect::<Vec<_>>()
                };
                let lost = Estimate::of(&of(&|(outcome, _)| lost(outcome))).context("no rounds")?;
                let arrived = median(&of(&|(_, flood)| flood.rate())).context("no rounds")?;
                if arrived < BOUND * rate {
                    bound = ", generator-bound";
                }
                last = lost.median;
                write!(report, " {lost:.2} at {} |", thousands(arrived))?;
            }
            writeln!(report, " {}{bound} |", verdict(last == 0.0))?;
        }
        writeln!(report)?;
        Ok(())
    }

    fn flood(&self, who: Contestant, rate: Option<f64>) -> Result<(Outcome, Flood)> {
        let running = self.contestants.write(who, &self.wire.to, Wire::RECEIVER)?.hurry()?;
        let flood = self.generator.flood(rate, self.scale.flood)?;
        let outcome = running.stop()?;
        if outcome.received != flood.arrived {
            bail!(
                "{} received {} packets of {} that arrived",
                who.name(),
                outcome.received,
                flood.arrived
            );
        }
        Ok((outcome, flood))
    }
}

/// In percent.
fn lost(outcome: &Outcome) -> f64 {
    100.0 * outcome.dropped as f64 / outcome.received.max(1) as f64
}

/// Nanoseconds for each packet that was not lost.
fn processor(outcome: &Outcome) -> f64 {
    outcome.processor.as_nanos() as f64 / (outcome.received - outcome.dropped).max(1) as f64
}
