//! Waiting for agents and echo servers to do their work.
//!
//! Law: the wait ends. It goes on for as long as there is news: something is ready, or says that
//! it is at something that has not been heard of in this wait. A process that ends again and
//! again tells nothing new, nor does one that is stuck.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

use super::{Design, Event, UpError};
use crate::lab::{
    Options,
    state::LabDir,
    status::{Unready, not_ready},
    supervise::Report,
};

/// How long nothing may be new, where there are no Services.
const QUIET: Duration = Duration::from_secs(30);
/// What each Service adds to that. An agent takes some steps in one go: it reads the manifests,
/// and loads a table of iptables; the longest is to load nftables' rules over those of an agent
/// before it, which takes half of this with 10,000 Services.
const QUIET_PER_SERVICE: Duration = Duration::from_millis(30);
/// How long a process may say that it cannot: twice as long as it takes to try again.
const ERROR: Duration = Duration::from_secs(10);
/// How often a process may end; the supervisor lets seconds pass between the last ones.
const ENDS: u32 = 5;

/// Between looks: first often, then rarely, since looking is not free.
const FIRST_POLL: Duration = Duration::from_millis(10);
const LONGEST_POLL: Duration = Duration::from_millis(500);

/// Why nobody waits any longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// Nothing has been new for so long.
    Quiet(Duration),
    /// A process says for so long that it cannot.
    Error(Duration),
    /// A process has ended again and again.
    Ended {
        /// Its name, as `agent node-1`.
        process: String,
        /// How often.
        times: u32,
        /// How it ended the last time.
        end: String,
    },
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quiet(long) => write!(f, "nothing has changed for {} s", long.as_secs()),
            Self::Error(long) => write!(f, "that has not changed for {} s", long.as_secs()),
            Self::Ended { process, times, end } => {
                write!(f, "{process} has ended {times} times, with {end}")
            }
        }
    }
}

/// Waits until everything of the lab is ready.
pub(super) async fn wait(
    design: &Design,
    options: &Options,
    dir: &LabDir,
    watch: &mut impl FnMut(Event<'_>),
) -> Result<(), UpError> {
    let digest = design.spec.digest();
    let services = u32::try_from(design.spec.services.len()).unwrap_or(u32::MAX);
    let mut patience =
        Patience::new(QUIET + QUIET_PER_SERVICE.saturating_mul(services), &report(dir));
    let mut said = Vec::new();
    let mut pause = FIRST_POLL;
    loop {
        let waiting = not_ready(&design.topology, options, &digest, dir);
        if waiting.is_empty() {
            return Ok(());
        }
        if let Some(reason) = patience.look(&waiting, &report(dir), Instant::now()) {
            let (name, logs) = (options.name.clone(), dir.root().join("log"));
            let reason = Box::new(reason);
            return Err(UpError::NotReady { name, waiting, reason, logs });
        }
        if waiting != said {
            watch(Event::Waiting(&waiting));
            said = waiting;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(LONGEST_POLL);
    }
}

fn report(dir: &LabDir) -> Report {
    Report::read(dir).ok().flatten().unwrap_or_default()
}

/// What there was to see, and when.
struct Patience {
    quiet: Duration,
    /// How often each process had been started again when the wait began.
    restarts: BTreeMap<String, u32>,
    seen: BTreeSet<Unready>,
    fewest: usize,
    last_news: Option<Instant>,
    /// Since when a process says nothing but this error.
    errors: BTreeMap<Unready, Instant>,
}

impl Patience {
    fn new(quiet: Duration, report: &Report) -> Self {
        let restarts = report.processes.iter().map(|(name, said)| (name.clone(), said.restarts));
        Self {
            quiet,
            restarts: restarts.collect(),
            seen: BTreeSet::new(),
            fewest: usize::MAX,
            last_news: None,
            errors: BTreeMap::new(),
        }
    }

    /// Takes a look at what is waited for; Some where it is no use to wait on.
    fn look(&mut self, waiting: &[Unready], report: &Report, now: Instant) -> Option<GaveUp> {
        let fewer = waiting.len() < self.fewest;
        self.fewest = self.fewest.min(waiting.len());
        // Not `any`, which would leave out what comes after the first.
        let new = waiting.iter().filter(|unready| self.seen.insert((*unready).clone())).count();
        if fewer || new > 0 {
            self.last_news = Some(now);
        }
        self.errors.retain(|error, _| waiting.contains(error));
        for unready in waiting.iter().filter(|unready| unready.is_error) {
            self.errors.entry(unready.clone()).or_insert(now);
        }
        let since = |moment: Instant| now.saturating_duration_since(moment);
        if self.errors.values().any(|first| since(*first) >= ERROR) {
            return Some(GaveUp::Error(ERROR));
        }
        let ended = waiting.iter().find_map(|unready| self.ended(&unready.process, report));
        ended.or_else(|| {
            let is_quiet = self.last_news.is_some_and(|last| since(last) >= self.quiet);
            is_quiet.then_some(GaveUp::Quiet(self.quiet))
        })
    }

    /// A process that ends again and again.
    fn ended(&self, process: &str, report: &Report) -> Option<GaveUp> {
        let said = report.processes.get(process)?;
        let before = self.restarts.get(process).copied().unwrap_or_default();
        let times = said.restarts.saturating_sub(before);
        let end = said.last_end.clone().filter(|_| times >= ENDS)?;
        Some(GaveUp::Ended { process: process.to_owned(), times, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::supervise::ProcessReport;

    const SECOND: Duration = Duration::from_secs(1);

    fn unready(why: &str) -> Vec<Unready> {
        vec![Unready { process: "agent node-1".into(), why: why.into(), is_error: false }]
    }

    fn report(restarts: u32) -> Report {
        let said = ProcessReport {
            restarts,
            last_end: Some("exit status: 1".into()),
            ..ProcessReport::default()
        };
        Report { pid: 1, processes: [("agent node-1".to_owned(), said)].into() }
    }

    #[test]
    fn the_wait_goes_on_for_as_long_as_there_is_news() {
        let (start, quiet) = (Instant::now(), 30 * SECOND);
        let mut patience = Patience::new(quiet, &Report::default());
        let none = Report::default();
        for step in 0..100 {
            let waiting = unready(&format!("is at step {step}"));
            assert_eq!(patience.look(&waiting, &none, start + step * 29 * SECOND), None);
        }
        let last = start + 99 * 29 * SECOND;
        let waiting = unready("is at step 99");
        assert_eq!(patience.look(&waiting, &none, last + 29 * SECOND), None);
        assert_eq!(
            patience.look(&waiting, &none, last + 30 * SECOND),
            Some(GaveUp::Quiet(30 * SECOND))
        );
    }

    #[test]
    fn what_has_been_heard_before_is_no_news_but_one_less_is() {
        let start = Instant::now();
        let none = Report::default();
        let mut patience = Patience::new(30 * SECOND, &none);
        let two = [unready("is reading"), unready("is loading")].concat();
        assert_eq!(patience.look(&two, &none, start), None);
        assert_eq!(patience.look(&unready("is reading"), &none, start + 20 * SECOND), None);
        assert_eq!(patience.look(&unready("is loading"), &none, start + 40 * SECOND), None);
        let outcome = patience.look(&unready("is reading"), &none, start + 50 * SECOND);
        assert_eq!(outcome, Some(GaveUp::Quiet(30 * SECOND)));
    }

    #[test]
    fn an_error_that_stays_ends_the_wait_and_one_that_goes_does_not() {
        let start = Instant::now();
        let none = Report::default();
        let mut patience = Patience::new(100 * SECOND, &none);
        let mut error = unready("the manifests are refused");
        error[0].is_error = true;
        assert_eq!(patience.look(&error, &none, start), None);
        assert_eq!(patience.look(&unready("is reading"), &none, start + 9 * SECOND), None);
        assert_eq!(patience.look(&error, &none, start + 11 * SECOND), None);
        assert_eq!(patience.look(&error, &none, start + 20 * SECOND), None);
        let outcome = patience.look(&error, &none, start + 21 * SECOND);
        assert_eq!(outcome, Some(GaveUp::Error(ERROR)));
    }

    #[test]
    fn a_process_that_ends_again_and_again_ends_the_wait() {
        let start = Instant::now();
        let waiting = unready("ended: exit status: 1");
        let mut patience = Patience::new(100 * SECOND, &report(2));
        assert_eq!(patience.look(&waiting, &report(6), start), None);
        let outcome = patience.look(&waiting, &report(7), start).unwrap();
        assert_eq!(outcome.to_string(), "agent node-1 has ended 5 times, with exit status: 1");
    }
}
