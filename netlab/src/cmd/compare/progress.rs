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
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Says how long it will take.
    pub fn new(options: &Options) -> Self {
        let all_turns = plan::turns(options);
        let turns = all_turns.len();
        let labs = plan::labs(options).len();
        let rounds = options.rounds + 1;
        let mut parts = Vec::new();
        let mut longest = Duration::ZERO;
        if options.properties {
            parts.push(format!("the packets of {} pod networks", options.modes.len()));
            longest += NETWORKS;
        }
        if labs > 0 {
            parts.push(format!("{labs} labs"));
            longest += (LAB + NEW_SERVICE * options.services) * count(labs);
        }
        if turns > 0 {
            let each = options.duration.as_secs_f64();
            let rounds = options.rounds + plan::UNCOUNTED_ROUNDS;
            parts.push(format!("{turns} turns of {each} s in {rounds} rounds"));
            let floods = all_turns.iter().filter(|turn| turn.workload.is_flood()).count();
            longest += (options.duration + TURN) * count(turns) + FLOOD * count(floods);
        }
        let scaled = plan::scaled(options).len() * options.scaling.len();
        if scaled > 0 {
            parts.push(format!("{scaled} steps of Services, {rounds} times each"));
            let all: u32 = options.scaling.iter().sum();
            let programming = PROGRAM + SERVICE * all / count(options.scaling.len());
            longest += (scaling::turn(options) + programming) * count(scaled) * rounds;
        }
        if scaled == 0 && !options.scaling.is_empty() {
            eprintln!("netlab: scaling is left out: it needs a proxy that answers node ports");
        }
        eprintln!("netlab: {}: about {}", parts.join(", "), HumanDuration(longest));
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(0);
        let style = "{bar:30} {pos}/{len}  {elapsed} of about {duration}  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Shows what is going on.
    pub fn tell(&mut self, event: Event) {
        match event {
            Event::Inspecting { mode, underlay, at, of } => {
                self.count(at, of);
                self.0.set_message(format!("packets of {mode}, underlay {underlay}"));
            }
            Event::Scaling { services, round, at, of } => {
                if at == 0 {
                    self.0.reset();
                }
                self.count(at, of);
                self.0.set_message(format!("{}: {services} Services", named(round)));
            }
            Event::Building { cell, at, of } => {
                if at == 0 {
                    self.0.reset();
                }
                self.count(at, of);
                self.0.set_message(format!("building {cell}"));
            }
            Event::Turn { turn, at, of } => {
                if at == 0 {
                    // Labs are built at another pace than turns pass.
                    self.0.reset();
                }
                self.count(at, of);
                let Turn { stage, workload, place } = turn;
                self.0.set_message(format!("{stage}: {workload}, {place}"));
            }
            Event::Removing => self.0.set_message("removing the labs"),
        }
    }

    /// Leaves the terminal to others.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }

    fn count(&self, at: usize, of: usize) {
        self.0.set_length(of as u64);
        self.0.set_position(at as u64);
    }
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
