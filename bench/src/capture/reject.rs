//! What a packet costs that the filter rejects.
//!
//! At tc, two programs are measured on the same packets: the capture's and one that returns at
//! once. The kernel's run-time statistics count what each takes; the difference is what the
//! capture costs beside being called. Around XDP, the capture runs inside the datapath's
//! program, so that one is measured with and without, on the same packet to a node port: again
//! and again with nothing in between, as tc's are in a flood, and on its own.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    os::fd::{AsFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, bail};
use aya::{
    programs::{ProgramInfo, SchedClassifier, TcAttachType, loaded_programs},
    sys::{Stats, enable_stats},
};
use aya_obj::generated::{
    bpf_attach_type::{BPF_TCX_EGRESS, BPF_TCX_INGRESS},
    bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS,
};
use netlab::compare::statistics::{Estimate, median};
use netlab_bench::lab::Lab;

use super::{
    Scale,
    contestant::{Contestant, Contestants},
    verdict,
};
use crate::{
    bpf,
    generator::{self, Generator},
    wire::Wire,
};

/// Nanoseconds a packet may cost.
const TARGET: f64 = 60.0;

/// `TCX_NEXT` of linux/bpf.h.
const NEXT: i32 = -1;

/// Nanoseconds a packet, one sample a round.
pub struct Cost {
    what: String,
    rounds: Vec<f64>,
}

/// At tc ingress, and at egress of what is sent back from there.
pub fn at_tc(
    contestants: &Contestants,
    wire: &Wire,
    generator: &Generator,
    scale: &Scale,
) -> Result<Vec<Cost>> {
    let _statistics = statistics()?;
    let ifindex = i32::try_from(wire.receiver)?;
    let load = |code: &[_]| bpf::load(BPF_PROG_TYPE_SCHED_CLS, code);
    let (nothing, back) = (load(&bpf::answer(NEXT))?, load(&bpf::redirect(ifindex))?);
    let inside = |program: &OwnedFd, at| {
        wire.to.run(|| bpf::attach(program, ifindex, at))?.context("cannot attach")
    };
    let _ingress = inside(&nothing, BPF_TCX_INGRESS)?;
    let _egress = inside(&nothing, BPF_TCX_EGRESS)?;
    let _back = inside(&back, BPF_TCX_INGRESS)?;
    let rounds = scale.rounds(|| {
        let mut costs = Vec::new();
        for (hook, at) in [("tc-in", TcAttachType::Ingress), ("tc-out", TcAttachType::Egress)] {
            let words = ["-i", Wire::RECEIVER, "--hook", hook];
            let running = contestants.reject(Contestant::Netlab, &wire.to, &words)?;
            let before = at_hook(wire, at)?;
            generator.flood(None, scale.flood)?;
            let after = at_hook(wire, at)?;
            running.stop()?;
            let of = |wanted: fn(&str) -> bool| {
                let found = after.iter().find(|(_, it)| wanted(it.name_as_str().unwrap_or("")));
                let (id, after) = found.context("a program is not at its hook")?;
                mean(before.get(id).context("a program came late")?, after)
            };
            let capture = of(|name| name.starts_with("capture_tc"))?;
            costs.push(capture - of(str::is_empty)?);
        }
        Ok(costs)
    })?;
    let cost = |at: usize, what: &str| Cost {
        what: format!("netlab {what}"),
        rounds: rounds.iter().map(|round| round[at]).collect(),
    };
    Ok(vec![cost(0, "tc-in"), cost(1, "tc-out")])
}

/// Inside the datapath's XDP program, on a packet to a node port.
pub async fn around_xdp(contestants: &Contestants, lab: &Lab, scale: &Scale) -> Result<Vec<Cost>> {
    const WAYS: [(&str, &str, u32); 4] = [
        ("xdp-in", "xdp-in", 1_024),
        ("xdp-out", "xdp-out", 1_024),
        ("xdp-in", "xdp-in, packet by packet", 1),
        ("xdp-out", "xdp-out, packet by packet", 1),
    ];
    const SLICES: u32 = 20;
    let _statistics = statistics()?;
    let (node, uplink, frame) = (lab.node()?, lab.uplink().await?, lab.stray().await?);
    let id = *uplink.xdp.first().context("the lab's node runs no XDP program")?;
    let fd = program(id)?.fd()?;
    // What interrupts a slice is in its mean, but in that of few slices.
    let try_out = |count| -> Result<f64> {
        let place = (&node, uplink.index);
        let means = (0..SLICES).map(|_| {
            let before = program(id)?;
            generator::try_out(fd.as_fd(), &frame, place, count, scale.flood / SLICES)?;
            mean(&before, &program(id)?)
        });
        median(&means.collect::<Result<Vec<_>>>()?).context("no slices")
    };
    let rounds = scale.rounds(|| {
        let mut costs = Vec::new();
        for (hook, _, count) in WAYS {
            let without = try_out(count)?;
            let running = contestants.reject(Contestant::Netlab, &node, &["--hook", hook])?;
            let with = try_out(count);
            running.stop()?;
            costs.push(with? - without);
        }
        Ok(costs)
    })?;
    let cost = |(at, (_, what, _)): (usize, (&str, &str, u32))| Cost {
        what: format!("netlab {what}"),
        rounds: rounds.iter().map(|round| round[at]).collect(),
    };
    Ok(WAYS.into_iter().enumerate().map(cost).collect())
}

/// What the sender's CPU, which also receives, takes longer for a packet with a capture.
pub fn by_throughput(
    contestants: &Contestants,
    wire: &Wire,
    generator: &Generator,
    scale: &Scale,
) -> Result<Vec<Cost>> {
    let turns = [
        (Contestant::Tcpdump, vec!["-i", Wire::RECEIVER]),
        (Contestant::Netlab, vec!["-i", Wire::RECEIVER, "--hook", "tc-in"]),
    ];
    let flood = || -> Result<f64> { Ok(1e9 / generator.flood(None, scale.flood)?.rate()) };
    let rounds = scale.rounds(|| {
        let without = flood()?;
        let mut costs = Vec::new();
        for (who, words) in &turns {
            let running = contestants.reject(*who, &wire.to, words)?;
            let with = flood();
            running.stop()?;
            costs.push(with? - without);
        }
        Ok(costs)
    })?;
    let cost = |(at, (who, _)): (usize, &(Contestant, Vec<&str>))| Cost {
        what: who.name().to_owned(),
        rounds: rounds.iter().map(|round| round[at]).collect(),
    };
    Ok(turns.iter().enumerate().map(cost).collect())
}

/// Tables of both ways to measure.
pub fn report(report: &mut String, hooks: &[Cost], throughput: &[Cost]) -> Result<()> {
    writeln!(
        report,
        "## Rejected packets\n\nNanoseconds for a packet that the filter `{}` rejects, \
        median [95%]; by the kernel's run-time statistics of the hook's program:\n",
        super::contestant::NOTHING
    )?;
    writeln!(report, "| | ns | at most {TARGET} |\n| --- | --- | --- |")?;
    for Cost { what, rounds } in hooks {
        let cost = Estimate::of(rounds).context("no rounds")?;
        writeln!(report, "| {what} | {cost:.0} | {} |", verdict(cost.median <= TARGET))?;
    }
    writeln!(
        report,
        "\nThe same by the difference of throughput, with and without a capture, which \
        has the call and the caches in it:\n"
    )?;
    writeln!(report, "| | ns |\n| --- | --- |")?;
    for Cost { what, rounds } in throughput {
        writeln!(report, "| {what} | {:.0} |", Estimate::of(rounds).context("no rounds")?)?;
    }
    writeln!(report)?;
    Ok(())
}

/// Run-time statistics, as long as the descriptor is open; the sysctl stays as it is.
fn statistics() -> Result<OwnedFd> {
    enable_stats(Stats::RunTime).context("the kernel keeps no run-time statistics")
}

/// Programs at the wire's end, by number.
fn at_hook(wire: &Wire, at: TcAttachType) -> Result<BTreeMap<u32, ProgramInfo>> {
    let query = || SchedClassifier::query_tcx(Wire::RECEIVER, at);
    let (_, programs) = wire.to.run(query)?.context("cannot tell the programs at tc")?;
    Ok(programs.into_iter().map(|program| (program.id(), program)).collect())
}

fn program(id: u32) -> Result<ProgramInfo> {
    let found = loaded_programs().flatten().find(|program| program.id() == id);
    found.with_context(|| format!("there is no program {id} any more"))
}

/// Nanoseconds a run between two looks at a program.
fn mean(before: &ProgramInfo, after: &ProgramInfo) -> Result<f64> {
    let runs = after.run_count() - before.run_count();
    if runs == 0 {
        bail!("the program {} did not run", after.name_as_str().unwrap_or(""));
    }
    Ok((after.run_time() - before.run_time()).as_nanos() as f64 / runs as f64)
}
