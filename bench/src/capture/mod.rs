//! `netlab capture` beside tcpdump: loss, what a rejected packet costs, start and stop, memory.

mod contestant;
mod loss;
mod memory;
mod reject;
mod start;

use std::{fmt::Write as _, fs, time::Duration};

use anyhow::{Context as _, Result};
use contestant::Contestants;
use netlab::compare::statistics::Estimate;
use netlab_bench::{
    interrupt,
    lab::{self, Lab},
};

use crate::{Args, generator::Generator, wire::Wire};

/// Lengths of packets, in bytes without the checksum.
const SMALL: usize = 64;
const LARGE: usize = 1_512;

/// What can be measured on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Packets lost, at which rate
    Loss,
    /// Memory under a flood
    Memory,
    /// What a rejected packet costs
    Reject,
    /// How long starting and stopping takes
    Start,
}

/// How thoroughly to measure.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// Rounds that count.
    rounds: usize,
    /// How long a flood takes.
    flood: Duration,
    /// How long the longest takes.
    long: Duration,
}

impl Scale {
    const FULL: Self =
        Self { rounds: 7, flood: Duration::from_millis(500), long: Duration::from_secs(5) };
    const QUICK: Self =
        Self { rounds: 2, flood: Duration::from_millis(200), long: Duration::from_secs(2) };

    /// Takes one sample a round, without that of the warm-up.
    fn rounds<T>(&self, mut measure: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
        let mut samples = Vec::with_capacity(self.rounds);
        for round in 0..=self.rounds {
            interrupt::check()?;
            let sample = measure()?;
            if round > 0 {
                samples.push(sample);
            }
        }
        Ok(samples)
    }
}

/// Measures all, and says in Markdown what came of it; also of what came before an error.
pub fn run(args: &Args, report: &mut String) -> Result<()> {
    let scale = if args.quick { Scale::QUICK } else { Scale::FULL };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let contestants = Contestants::new(&args.netlab)?;
    let wire = runtime.block_on(Wire::up())?;

    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    conditions(report, &contestants, &scale)?;
    if wanted(Part::Loss) {
        loss::introduce(report)?;
        for length in [SMALL, LARGE] {
            eprintln!("loss of packets of {length} bytes");
            let generator = wire.generator(length)?;
            let ceiling = ceiling(&generator, &scale)?;
            loss::measure(report, &contestants, &wire, &generator, &scale, (length, ceiling))?;
        }
    }
    if wanted(Part::Memory) {
        eprintln!("memory");
        let generator = wire.generator(SMALL)?;
        memory::report(report, &memory::measure(&contestants, &wire, &generator, &scale)?)?;
    }
    if wanted(Part::Reject) {
        eprintln!("rejected packets at tc");
        let generator = wire.generator(SMALL)?;
        let mut hooks = reject::at_tc(&contestants, &wire, &generator, &scale)?;
        let throughput = reject::by_throughput(&contestants, &wire, &generator, &scale)?;
        eprintln!("rejected packets around XDP");
        let lab = Lab::up(&args.netlab, lab::NAME, &["--hook", "xdp"])?;
        hooks.extend(runtime.block_on(reject::around_xdp(&contestants, &lab, &scale))?);
        reject::report(report, &hooks, &throughput)?;
    }
    if wanted(Part::Start) {
        eprintln!("start and stop");
        let alone = start::alone(&contestants, &wire, &scale)?;
        let lab = Lab::up(&args.netlab, lab::NAME, &["--hook", "xdp"])?;
        let everywhere = start::everywhere(&contestants, &lab, &scale)?;
        start::report(report, &alone, &everywhere)?;
    }
    Ok(())
}

/// Packets per second that arrive where nobody captures.
fn ceiling(generator: &Generator, scale: &Scale) -> Result<f64> {
    let rates = scale.rounds(|| Ok(generator.flood(None, scale.flood)?.rate()))?;
    Ok(Estimate::of(&rates).context("no rounds")?.median)
}

fn conditions(report: &mut String, contestants: &Contestants, scale: &Scale) -> Result<()> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let jit = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").unwrap_or_default();
    writeln!(report, "| condition | |\n| --- | --- |")?;
    writeln!(report, "| kernel | {} |", kernel.trim())?;
    writeln!(
        report,
        "| cores | {}, {} |",
        std::thread::available_parallelism()?,
        model.unwrap_or("unknown")
    )?;
    writeln!(report, "| BPF JIT | {} |", jit.trim())?;
    writeln!(report, "| tcpdump | {} |", contestants.tcpdump_version())?;
    writeln!(
        report,
        "| packets | UDP, one flow, {SMALL} bytes where nothing is said, received by a \
        veth of MTU 1500, no GRO |"
    )?;
    writeln!(report, "| scheduling | generator on its own core; it and the captures real-time |")?;
    writeln!(report, "| files | pcap on tmpfs, all of each packet, no filter |")?;
    writeln!(
        report,
        "| rounds | {} and a warm-up, floods of {} ms |",
        scale.rounds,
        scale.flood.as_millis()
    )?;
    writeln!(report)?;
    Ok(())
}

/// `850 k`.
fn thousands(rate: f64) -> String {
    format!("{:.0} k", rate / 1e3)
}

/// `met`, or `missed`.
const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}
