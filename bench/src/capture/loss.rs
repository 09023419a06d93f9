//! From which rate on packets are lost, and how many at a rate.
//!
//! Both count what they lose themselves, and what they receive is held against what arrived.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

use super::{
    Scale,
    contestant::{Contestant, Contestants},
    thousands, verdict,
};
use crate::{
    generator::{Flood, Generator},
    statistics::{Estimate, median},
    tool::Outcome,
    wire::Wire,
};

/// The lowest rate tried, and the factor from each to the next.
const LOWEST: f64 = 50e3;
const STEP: f64 = 1.25;

/// A result so near to the generator's ceiling says nothing about the program.
const BOUND: f64 = 0.9;

/// Measures, reports, and gives the rate from which on tcpdump loses.
pub fn measure(
    report: &mut String,
    contestants: &Contestants,
    wire: &Wire,
    generator: &Generator,
    scale: &Scale,
    ceiling: f64,
) -> Result<f64> {
    let field = Field { contestants, wire, generator, scale };
    let rates: Vec<f64> = std::iter::successors(Some(LOWEST), |rate| Some(rate * STEP))
        .take_while(|rate| *rate < ceiling)
        .collect();
    let rounds = scale.rounds(|| field.search(&rates))?;
    let onset = |at: usize| {
        let samples = rounds.iter().map(|round| round[at].unwrap_or(ceiling));
        Estimate::of(&samples.collect::<Vec<_>>()).context("no rounds")
    };
    writeln!(report, "## Loss\n\nThe lowest rate at which packets are lost, thousands a second, in \
        steps of {STEP}:\n")?;
    writeln!(report, "| | median [95%] | to tcpdump |\n| --- | --- | --- |")?;
    for (at, who) in Contestant::ALL.into_iter().enumerate() {
        let ratios = rounds.iter().map(|round| {
            round[at].unwrap_or(ceiling) / round[0].unwrap_or(ceiling)
        });
        let ratio = Estimate::of(&ratios.collect::<Vec<_>>()).context("no rounds")?;
        let unlost = rounds.iter().filter(|round| round[at].is_none()).count();
        let bound = onset(at)?.median >= BOUND * ceiling;
        let mark = if bound { " (generator-bound)" } else { "" };
        writeln!(
            report,
            "| {} | {}{mark}, no loss at any rate in {unlost} of {} | {ratio:.2} |",
            who.name(),
            onset(at)?.map(|rate| rate / 1e3),
            rounds.len(),
        )?;
    }
    let tcpdump = onset(0)?.median;
    field.at_rates(report, tcpdump, ceiling)?;
    Ok(tcpdump)
}

struct Field<'a> {
    contestants: &'a Contestants,
    wire: &'a Wire,
    generator: &'a Generator,
    scale: &'a Scale,
}

impl Field<'_> {
    /// The lowest of the rates at which each contestant loses, by bisection, in turns.
    fn search(&self, rates: &[f64]) -> Result<[Option<f64>; Contestant::ALL.len()]> {
        let mut open = Contestant::ALL.map(|_| (0, rates.len()));
        while open.iter().any(|(low, high)| low < high) {
            for ((low, high), who) in open.iter_mut().zip(Contestant::ALL) {
                if low >= high {
                    continue;
                }
                let middle = usize::midpoint(*low, *high);
                let (outcome, _) = self.flood(who, Some(rates[middle]))?;
                if outcome.dropped > 0 {
                    *high = middle;
                } else {
                    *low = middle + 1;
                }
            }
        }
        Ok(open.map(|(low, _)| rates.get(low).copied()))
    }

    /// How much is lost around the rate at which tcpdump begins to lose.
    fn at_rates(&self, report: &mut String, tcpdump: f64, ceiling: f64) -> Result<()> {
        writeln!(report, "\nLost packets in percent, median [95%], and the rate that arrived:\n")?;
        writeln!(report, "| asked for | {} | |", Contestant::ALL.map(Contestant::name).join(" | "))?;
        writeln!(report, "| --- |{} --- |", " --- |".repeat(Contestant::ALL.len()))?;
        let below = tcpdump / STEP;
        for (rate, target) in [(below, "below tcpdump's first loss"), (2.0 * tcpdump, "twice that")] {
            let rounds = self.scale.rounds(|| {
                let mut round = Vec::new();
                for who in Contestant::ALL {
                    round.push(self.flood(who, Some(rate))?);
                }
                Ok(round)
            })?;
            let of = |at: usize, f: fn(&(Outcome, Flood)) -> f64| {
                rounds.iter().map(|round| f(&round[at])).collect::<Vec<_>>()
            };
            write!(report, "| {} ({target}) |", thousands(rate))?;
            let mut all_arrived = true;
            for at in 0..Contestant::ALL.len() {
                let lost = Estimate::of(&of(at, |(outcome, _)| lost(outcome))).context("no rounds")?;
                let arrived = median(&of(at, |(_, flood)| flood.rate())).context("no rounds")?;
                all_arrived &= arrived >= BOUND * rate;
                write!(report, " {lost:.2} at {} |", thousands(arrived))?;
            }
            let netlab = median(&of(2, |(outcome, _)| lost(outcome))).context("no rounds")?;
            let bound = if all_arrived && rate < BOUND * ceiling { "" } else { ", generator-bound" };
            writeln!(report, " {}{bound} |", verdict(netlab == 0.0))?;
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
