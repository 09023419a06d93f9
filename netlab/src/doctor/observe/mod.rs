//! The observed path: packets followed through the kernels of all hosts, and where they part from
//! the expected one.
//!
//! 1. Programs of a capture watch every interface and every drop of the namespaces in the facts
//!    (`watch`), for what goes to and comes from the sockets asked about.
//! 2. Probes are dialled meanwhile (`probe()`), or real traffic is waited for (`passive()`).
//! 3. What was seen is tied to journeys, and those to attempts (`tie`).
//! 4. A [`Divergence`] is the first place of the expected path that a failed attempt's packet was
//!    not seen at ([`divergence`]); that step is pure.
//!
//! Law: nothing that is attached outlives the watch; where nobody can watch, the probe goes on,
//! and a gap says so.

mod decided;
pub mod divergence;
mod passive;
#[cfg(test)]
mod tests;
mod tie;
mod watch;

use std::{panic::resume_unwind, thread, time::Duration};

use tokio::sync::oneshot;

pub use self::divergence::Divergence;
use self::watch::{Seen, Watched};
use super::{
    facts::{Facts, Gap, Source},
    path::Case,
    probe::{self, Attempt, Way},
};
use crate::{netlink::Netns, spec::Spec};

/// What was observed.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Each address and port, and what became of those who dialled it.
    pub ways: Vec<(Way, Vec<Attempt>)>,
    /// What nobody could watch.
    pub gaps: Vec<Gap>,
}

/// Dials every way of these connections from a namespace, and follows what is sent.
#[must_use]
pub fn probe(facts: &Facts, spec: &Spec, netns: &Netns, cases: &[Case]) -> Observed {
    let dial = || probe::probe(netns, cases, facts.lab.is_some());
    let (mut ways, seen) = while_watching(facts, spec, cases, dial);
    tie::tie(&mut ways, &seen.journeys);
    decided::tie(&mut ways, &seen.decisions);
    let mut gaps = seen.gaps;
    gaps.extend(undialled(probe::count(cases)));
    Observed { ways, gaps }
}

/// Sends nothing, and watches for so long what others dial.
#[must_use]
pub fn passive(facts: &Facts, spec: &Spec, cases: &[Case], long: Duration) -> Observed {
    let ((), seen) = while_watching(facts, spec, cases, || thread::sleep(long));
    let mut ways = passive::ways(facts, cases, &seen.journeys, watch::now());
    decided::tie(&mut ways, &seen.decisions);
    Observed { ways, gaps: seen.gaps }
}

/// Does some work on another thread, and watches meanwhile.
fn while_watching<T: Send>(
    facts: &Facts,
    spec: &Spec,
    cases: &[Case],
    work: impl FnOnce() -> T + Send,
) -> (T, Seen) {
    let nothing = |reason: &str| Seen { gaps: vec![unwatched(reason)], ..Seen::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return (work(), nothing(&error.to_string())),
    };
    thread::scope(|scope| {
        runtime.block_on(async {
            let mut watched = match Watched::start(facts, spec, cases).await {
                Ok(watched) => watched,
                Err(reason) => return (work(), nothing(&reason)),
            };
            let (done, over) = oneshot::channel();
            let worker = scope.spawn(move || {
                let value = work();
                drop(done);
                value
            });
            watched.until(over).await;
            let seen = watched.finish();
            (worker.join().unwrap_or_else(|panic| resume_unwind(panic)), seen)
        })
    })
}

/// Ways beyond those that are dialled.
fn undialled(all: usize) -> Option<Gap> {
    let more = all.checked_sub(probe::MOST_WAYS).filter(|more| *more > 0)?;
    Some(Gap {
        host: None,
        source: Source::Probe,
        reason: format!("of {all} addresses and ports {more} are too many to be dialled"),
        hides: "what becomes of those is judged from the facts alone; ask about one Service"
            .to_owned(),
    })
}

/// Says what is lost where nobody watches.
fn unwatched(reason: &str) -> Gap {
    Gap {
        host: None,
        source: Source::Observed,
        reason: reason.to_owned(),
        hides: "how a probe ends is seen, and not where in the kernels it was lost".to_owned(),
    }
}

/// Says what is lost where the kernel does not tell of its decisions.
fn undecided(reason: &str) -> Gap {
    Gap {
        host: None,
        source: Source::Observed,
        reason: reason.to_owned(),
        hides: "what the kernel decides between two places where a packet is seen".to_owned(),
    }
}
