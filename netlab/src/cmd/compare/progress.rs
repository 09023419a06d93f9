//! How far a comparison is, on stderr.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use netlab::compare::{
    Event,
    options::Options,
    plan::{self, Turn},
    scaling,
};

/// What things take that are no turns, on a small machine: they are for the estimate alone.
const NETWORKS: Duration = Duration::from_secs(15);
const LAB: Duration = Duration::from_secs(1);
/// To begin and to end a turn; a flood's flows have to be seen first, too.
const TURN: Duration = Duration::from_millis(30);
const FLOOD: Duration = Duration::from_millis(200);
/// For each Service of a new lab, of kube-proxy's rules and of netlab's maps on the average.
const NEW_SERVICE: Duration = Duration::from_millis(1);
/// To program a step, and for each Service of it.
const PROGRAM: Duration = Duration::from_millis(100);
const SERVICE: Duration = Duration::from_micros(500);

/// A bar on a terminal, a line at the start elsewhere.
pub(super) struct Progress {
    bar: ProgressBar,
    estimate: Estimate,
    /// What will be done, in a few words.
    parts: String,
    /// Scaling was asked for, and no proxy is there to do it with.
    left_out: bool,
}

/// How long the parts take, in their order.
#[derive(Clone, Copy)]
struct Estimate {
    networks: Duration,
    labs: Duration,
    turns: Duration,
    scaling: Duration,
}

impl Estimate {
    fn of(options: &Options) -> Self {
        let labs = plan::labs(options).len();
        let turns = plan::turns(options);
        let floods = turns.iter().filter(|turn| turn.workload.is_flood()).count();
        let all: u32 = options.scaling.iter().sum();
        let steps = options.scaling.len();
        let programming = PROGRAM + SERVICE * all / count(steps).max(1);
        let passes = count(plan::scaled(options).len() * steps) * (options.rounds + 1);
        Self {
            networks: if options.properties { NETWORKS } else { Duration::ZERO },
            labs: (LAB + NEW_SERVICE * options.services) * count(labs),
            turns: (options.duration + TURN) * count(turns.len()) + FLOOD * count(floods),
            scaling: (scaling::turn(options) + programming) * passes,
        }
    }

    fn total(&self) -> Duration {
        self.networks + self.labs + self.turns + self.scaling
    }
}

impl Progress {
    /// Nothing is shown before the first event.
    pub fn new(options: &Options) -> Self {
        let estimate = Estimate::of(options);
        let left_out = plan::scaled(options).is_empty() && !options.scaling.is_empty();
        Self { bar: ProgressBar::hidden(), estimate, parts: parts(options), left_out }
    }

    /// Says how long it will take, and whether this is a good time for it.
    #[expect(clippy::cast_precision_loss, reason = "numbers of CPUs")]
    fn announce(&mut self, load: f64, cores: usize) {
        let total = self.estimate.total();
        eprintln!("netlab: {}: about {}", self.parts, HumanDuration(total));
        if self.left_out {
            eprintln!("netlab: scaling is left out: it needs a proxy that answers node ports");
        }
        if load > cores as f64 / 2.0 {
            eprintln!(
                "netlab: this machine is busy (load {load:.1} on {cores} cores): intervals will \
                 be wide"
            );
        }
        if !std::io::stderr().is_terminal() {
            return;
        }
        self.bar = ProgressBar::new(millis(total));
        let style = "{bar:24} {elapsed} of about {prefix}  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(HumanDuration(total).to_string());
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    /// Shows what is going on.
    pub fn tell(&mut self, event: Event) {
        let Estimate { networks, labs, turns, scaling } = self.estimate;
        match event {
            Event::Begun { load, cores } => self.announce(load, cores),
            Event::Inspecting { mode, underlay, at, of } => {
                self.show(Duration::ZERO, networks, at, of);
                self.bar.set_message(format!("packets of {mode}, underlay {underlay}"));
            }
            Event::Building { cell, at, of } => {
                self.show(networks, labs, at, of);
                self.bar.set_message(format!("building {cell}"));
            }
            Event::Turn { turn: Turn { stage, workload, place }, at, of } => {
                self.show(networks + labs, turns, at, of);
                self.bar.set_message(format!("{stage}: {workload}, {place}"));
            }
            Event::Scaling { services, round, at, of } => {
                self.show(networks + labs + turns, scaling, at, of);
                self.bar.set_message(format!("{}: {services} Services", named(round)));
            }
            Event::Removing => self.bar.set_message("removing the labs"),
        }
    }

    /// Leaves the terminal to others.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }

    /// So many steps of a part are over, which begins when all before has taken `before`.
    fn show(&self, before: Duration, part: Duration, at: usize, of: usize) {
        self.bar.set_position(millis(before + part * count(at) / count(of).max(1)));
    }
}

/// What will be done, in a few words.
fn parts(options: &Options) -> String {
    let labs = plan::labs(options).len();
    let turns = plan::turns(options).len();
    let steps = plan::scaled(options).len() * options.scaling.len();
    let rounds = options.rounds + plan::UNCOUNTED_ROUNDS;
    let passes = options.rounds + 1;
    let each = options.duration.as_secs_f64();
    let networks = options.modes.len();
    let parts = [
        options.properties.then(|| format!("the packets of {networks} pod networks")),
        (labs > 0).then(|| format!("{labs} labs")),
        (turns > 0).then(|| format!("{turns} turns of {each} s in {rounds} rounds")),
        (steps > 0).then(|| format!("{steps} steps of Services, {passes} times each")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn named(round: u32) -> String {
    match round {
        0 => "warm-up".to_owned(),
        round => format!("round {round}"),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
