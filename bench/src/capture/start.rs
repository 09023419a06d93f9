//! How long it takes to start and to stop.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context as _, Result};
use netlab::compare::statistics::Estimate;
use netlab_bench::lab::{self, Lab};

use super::{
    Scale,
    contestant::{Contestant, Contestants},
    verdict,
};
use crate::{
    tool::{Outcome, Running},
    wire::Wire,
};

/// Times of one way to be called, a sample a round.
pub struct Times {
    what: String,
    rounds: Vec<Outcome>,
}

/// On one interface.
pub fn alone(contestants: &Contestants, wire: &Wire, scale: &Scale) -> Result<Vec<Times>> {
    let turns = [Contestant::Tcpdump, Contestant::Netlab];
    let rounds = scale.rounds(|| {
        let turn = |who| contestants.write(who, &wire.to, Wire::RECEIVER)?.stop();
        Ok(turns.map(turn))
    })?;
    gather(turns.map(|who| format!("{}, one interface", who.name())).into(), rounds)
}

/// On all interfaces of all hosts of a lab, which tcpdump cannot; it has those of one node.
pub fn everywhere(contestants: &Contestants, lab: &Lab, scale: &Scale) -> Result<Vec<Times>> {
    let node = lab.node()?;
    let rounds = scale.rounds(|| {
        let tcpdump = contestants.reject(Contestant::Tcpdump, &node, &["-i", "any"])?.stop();
        let mut command = contestants.netlab(&node, &["--node", "all", "--name", lab::NAME]);
        command.args(["-w", "/dev/null"]);
        Ok([tcpdump, Running::start(command)?.stop()])
    })?;
    let names = ["tcpdump, any interface of one node", "netlab capture, all of a lab of two nodes"];
    gather(names.map(str::to_owned).into(), rounds)
}

fn gather<const N: usize>(
    names: Vec<String>,
    rounds: Vec<[Result<Outcome>; N]>,
) -> Result<Vec<Times>> {
    let mut times: Vec<_> =
        names.into_iter().map(|what| Times { what, rounds: Vec::new() }).collect();
    for round in rounds {
        for (times, outcome) in times.iter_mut().zip(round) {
            times.rounds.push(outcome?);
        }
    }
    Ok(times)
}

/// A table of both.
pub fn report(report: &mut String, alone: &[Times], everywhere: &[Times]) -> Result<()> {
    const TARGET: Duration = Duration::from_secs(1);
    writeln!(
        report,
        "## Start and stop\n\nMilliseconds, from exec to the word that it listens, and \
        from SIGINT to the end of the process; median [95%]:\n"
    )?;
    writeln!(report, "| | start | stop | each within a second |\n| --- | --- | --- | --- |")?;
    for Times { what, rounds } in alone.iter().chain(everywhere) {
        let of = |f: fn(&Outcome) -> Duration| {
            let samples: Vec<_> = rounds.iter().map(|it| f(it).as_secs_f64() * 1e3).collect();
            Estimate::of(&samples).context("no rounds")
        };
        let (start, stop) = (of(|it| it.start)?, of(|it| it.stop)?);
        let met = start.high.max(stop.high) <= TARGET.as_secs_f64() * 1e3;
        writeln!(report, "| {what} | {start} | {stop} | {} |", verdict(met))?;
    }
    writeln!(report)?;
    Ok(())
}
