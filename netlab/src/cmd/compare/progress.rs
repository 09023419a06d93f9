//! How far a comparison is, on stderr.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use netlab::compare::{
    Event,
    options::Options,
    plan::{self, Turn},
};

/// A bar on a terminal, a line at the start elsewhere.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Says how long it will take.
    pub fn new(options: &Options) -> Self {
        let turns = plan::turns(options).len();
        let labs = plan::labs(options).len();
        let longest = options.duration * u32::try_from(turns).unwrap_or(u32::MAX);
        eprintln!(
            "netlab: {labs} labs, {turns} turns of {} s, the first {} to warm up: about {}",
            options.duration.as_secs_f64(),
            turns / (options.rounds + plan::UNCOUNTED_ROUNDS) as usize,
            HumanDuration(longest)
        );
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
            Event::Building { cell, at, of } => {
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
