//! What a new connection pays for the number of Services: time to the first byte, over rising
//! numbers of Services, for each proxy in the first mode that is asked for.
//!
//! Labs are not built anew: the objects of the running ones are written again, and their agents
//! follow, as they follow a person's editor. What that takes is measured too.
//!
//! Law: the steps take turns as everything here does. One pass goes through all steps, and at
//! each step once through all proxies; then the next pass begins with the least number again, so
//! that rounds of a pass stand beside each other and their ratios mean something. The price is
//! that each pass programs each step again; a lab for each step of each proxy would be without
//! that, but their agents and rules would all be there beside what is measured. The first pass
//! warms up and is thrown away. Turns are short ([`LONGEST_TURN`]), since a turn's median needs
//! some dozens of connections and no more.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    CompareError, Event,
    options::Options,
    plan,
    result::{Measure, Ratio, Round, Step},
    rounds::one,
    site::{self, NODES, Site, Sites},
    statistics::{Estimate, median},
    stop::Stop,
    workload::{Limits, Workload},
};
use crate::lab::{Underlay, address};

/// A turn takes no longer than this, whatever the others take: enough for some fifty
/// connections with their pauses.
pub const LONGEST_TURN: Duration = Duration::from_millis(300);
/// How long agents may take for one step.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between looks at what agents say.
const LOOK: Duration = Duration::from_millis(5);

/// How long a turn is here.
#[must_use]
pub fn turn(options: &Options) -> Duration {
    options.duration.min(LONGEST_TURN)
}

/// Every step of every proxy; none where that is not asked for. Leaves the labs with other
/// objects than it found.
pub(super) fn measure(
    sites: &Sites<'_>,
    options: &Options,
    stop: &Stop,
    watch: &mut impl FnMut(Event),
) -> Result<Vec<Step>, CompareError> {
    let scaled = plan::scaled(options);
    let found = scaled.iter().map(|cell| sites.site(*cell).ok_or(CompareError::Gone(*cell)));
    let sites = found.collect::<Result<Vec<_>, _>>()?;
    if sites.is_empty() {
        return Ok(Vec::new());
    }
    let stages = options.scaling.iter().map(|services| Stage::new(options, *services));
    let stages = stages.collect::<Result<Vec<_>, _>>()?;
    let mut runs: Vec<Run<'_>> = stages
        .iter()
        .flat_map(|stage| {
            sites.iter().map(move |site| Run {
                site,
                stage,
                seconds: Vec::new(),
                rounds: Vec::new(),
                broken: None,
            })
        })
        .collect();
    let of = stages.len() * (options.rounds as usize + 1);
    let limits = Limits { duration: turn(options), ..Limits::new(options, options.mtu, stop) };
    for round in 0..=options.rounds {
        for (at, step) in runs.chunks_mut(sites.len()).enumerate() {
            let at = round as usize * stages.len() + at;
            watch(Event::Scaling { services: step[0].stage.services, round, at, of });
            for run in &mut *step {
                run.program(round, stop)?;
            }
            for run in step {
                run.round(round, &limits)?;
            }
        }
    }
    Ok(judged(runs))
}

/// The objects with so many Services.
struct Stage {
    services: u32,
    files: Vec<(&'static str, String)>,
    /// What agents call them.
    digest: String,
}

impl Stage {
    fn new(options: &Options, services: u32) -> Result<Self, CompareError> {
        let mut objects = site::objects(options, services)?;
        address::complete(&mut objects, Underlay::L2)?;
        let digest = objects.resolve()?.digest();
        Ok(Self { services, files: objects.to_yaml_by_kind(), digest })
    }
}

/// One step of one proxy.
struct Run<'a> {
    site: &'a Site,
    stage: &'a Stage,
    /// What programming took, in each round that counts.
    seconds: Vec<f64>,
    /// Those that count.
    rounds: Vec<Round>,
    /// Why it is not tried again.
    broken: Option<String>,
}

impl Run<'_> {
    /// Writes the objects down and waits for both nodes.
    fn program(&mut self, round: u32, stop: &Stop) -> Result<(), CompareError> {
        if self.broken.is_some() {
            return Ok(());
        }
        let began = Instant::now();
        let changed = self.site.dir.write_manifests(&self.stage.files)?;
        loop {
            let waiting = self.waiting()?;
            let Some(node) = waiting else { break };
            if stop.is_asked() {
                return Err(CompareError::Interrupted);
            }
            if began.elapsed() > PATIENCE {
                let seconds = PATIENCE.as_secs();
                self.broken = Some(format!("{node} has not taken the objects over in {seconds} s"));
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        if round > 0 && !changed.is_empty() {
            self.seconds.push(began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// A node whose agent has not programmed the objects.
    fn waiting(&self) -> Result<Option<&'static str>, CompareError> {
        for node in NODES {
            let status = self.site.dir.agent_status(node)?;
            if status.is_none_or(|status| status.spec != self.stage.digest) {
                return Ok(Some(node));
            }
        }
        Ok(None)
    }

    fn round(&mut self, round: u32, limits: &Limits) -> Result<(), CompareError> {
        let done = match &self.broken {
            Some(reason) => Round::Failed { reason: reason.clone() },
            None => one(Workload::FirstByte, &self.site.ends, limits)?,
        };
        if round > 0 {
            self.rounds.push(done);
        }
        Ok(())
    }
}

fn judged(runs: Vec<Run<'_>>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for run in runs {
        let values = values(&run.rounds);
        let cell = run.site.cell;
        let of_same = |step: &&Step| (step.mode, step.proxy) == (cell.mode, cell.proxy);
        let least = steps.iter().find(of_same);
        let there: Vec<f64> = values.iter().copied().flatten().collect();
        steps.push(Step {
            mode: cell.mode,
            proxy: cell.proxy,
            services: run.stage.services,
            program_seconds: median(&run.seconds),
            first_byte: Estimate::of(&there),
            to_least: least.and_then(|least| Ratio::of(&values, &self::values(&least.rounds))),
            rounds: run.rounds,
        });
    }
    steps
}

fn values(rounds: &[Round]) -> Vec<Option<f64>> {
    rounds.iter().map(|round| round.value(Measure::LatencyP50)).collect()
}
