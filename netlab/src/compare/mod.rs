//! A comparison: the same work in labs that differ in one thing, on this machine, in one run.
//!
//! Down: [`options`] give the [`plan`]; for each of its cells a [`site`] is built, and each of
//! its turns is a [`workload`] beside which [`usage`] is metered. Up: what came out is in
//! [`result`], judged by [`statistics`], and [`finding`] puts it into a sentence. What needs no
//! clock is in [`properties`], looked at by `networks` before; [`scaling`] comes after, in the
//! same labs. [`traffic`] makes packets by the million.
//!
//! Laws: only ratios of rounds of one run are claimed, and only where their interval is off 1.
//! A failed round is told as such and is in no number. Packets travel only in namespaces that
//! are made here and go again, whatever happens.

pub mod finding;
pub mod histogram;
mod labs;
mod machine;
mod networks;
pub mod options;
pub mod plan;
mod probe;
pub mod properties;
pub mod result;
pub mod scaling;
pub mod site;
pub mod statistics;
pub mod stop;
pub mod traffic;
pub mod usage;
pub mod workload;

use std::io;

use self::{
    finding::Finding,
    options::{Options, Proxy, Refusal},
    plan::{Cell, Turn},
    result::{Comparison, Conditions, Metered, Round, Series, VERSION},
    site::{Site, Sites},
    stop::Stop,
    usage::{BpfClock, Meter, UsageError},
    workload::{Failure, Limits},
};
use crate::{
    lab::{Mode, Underlay, address::AddressError, state::StateError, up::UpError},
    netlink, proxy,
    spec::SpecError,
};

/// What is going on, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A lab is about to be built, to look at a pod network without a clock; others of them may
    /// be looked at meanwhile.
    Inspecting {
        /// Pod network.
        mode: Mode,
        /// What joins its hosts.
        underlay: Underlay,
        /// How many have been begun already.
        at: usize,
        /// How many there will be.
        of: usize,
    },
    /// A lab is about to be built, the `at`th (from 0) of `of`.
    Building {
        /// Its cell.
        cell: Cell,
        /// How many there are already.
        at: usize,
        /// How many there will be.
        of: usize,
    },
    /// A turn is about to begin, the `at`th (from 0) of `of`.
    Turn {
        /// Which.
        turn: Turn,
        /// How many are over.
        at: usize,
        /// How many there are.
        of: usize,
    },
    /// Labs are about to have so many Services, and then a turn each.
    Scaling {
        /// How many.
        services: u32,
        /// 0 is the warm-up.
        round: u32,
        /// How many such steps are over.
        at: usize,
        /// How many there are.
        of: usize,
    },
    /// The labs are about to be taken down.
    Removing,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// What is asked for makes no sense.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The process may not do it.
    #[error(
        "what is compared are labs made of network namespaces, which needs {}; run it as root: \
         sudo netlab ...",
        .0.join(" and ")
    )]
    Privileges(Vec<&'static str>),
    /// This machine cannot load kube-proxy's rules.
    #[error("{proxy} cannot be compared on this machine: {source}; name the others with --proxies")]
    Proxy {
        /// Which one.
        proxy: Proxy,
        /// Why.
        source: proxy::Error,
    },
    /// This machine cannot make a pod network of that mode.
    #[error(
        "{mode} cannot be compared on this machine: the kernel makes none of the devices that it \
         is made of ({source}); name the other mode with --modes"
    )]
    Mode {
        /// Which one.
        mode: Mode,
        /// Why.
        source: netlink::Error,
    },
    /// There is no thread for it.
    #[error("cannot start the async runtime")]
    Runtime(#[source] io::Error),
    /// A lab could not be built.
    #[error("the lab of {cell} cannot be built")]
    Up {
        /// Its cell.
        cell: Cell,
        /// Why.
        source: Box<UpError>,
    },
    /// A lab could not be built that a pod network is looked at in.
    #[error("the lab of {mode} with underlay {underlay}, to look at its packets, cannot be built")]
    Inspect {
        /// Pod network.
        mode: Mode,
        /// What joins its hosts.
        underlay: Underlay,
        /// Why.
        source: Box<UpError>,
    },
    /// A lab that was built cannot be looked at.
    #[error(transparent)]
    Properties(#[from] properties::Error),
    /// There is no name for a lab: a bug.
    #[error("a lab of {0} cannot be named")]
    NoName(Mode),
    /// Somebody else took a lab away, or parts of it.
    #[error("the lab of {0} is not as it was built; leave it alone until the comparison is over")]
    Gone(Cell),
    /// The objects are refused.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// There are not so many addresses.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A lab's state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// Namespaces or routes.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// Someone asked for the end.
    #[error("interrupted: nothing is reported, and the labs are removed")]
    Interrupted,
}

/// Compares. Bad input is refused before anything is built, and when this returns, nothing of
/// what was built is left.
///
/// # Errors
///
/// See [`CompareError`]. A workload that fails is no error: its round says so.
pub fn run(
    options: &Options,
    stop: &Stop,
    mut watch: impl FnMut(Event),
) -> Result<Comparison, CompareError> {
    options.check()?;
    let missing = netlink::missing_privileges()?;
    if !missing.is_empty() {
        return Err(CompareError::Privileges(missing));
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().map_err(CompareError::Runtime)?;
    runtime.block_on(probe::all(options))?;
    let machine = machine::describe();
    let networks = networks::measure(&runtime, options, stop, &mut watch)?;
    let mut sites = Sites::new(&runtime, options)?;
    let cells = plan::built(options);
    for (at, cell) in cells.iter().enumerate() {
        watch(Event::Building { cell: *cell, at, of: cells.len() });
        sites.add(*cell, options, stop)?;
    }
    let series = measure(options, &sites, stop, &mut watch)?;
    let scaling = scaling::measure(&sites, options, stop, &mut watch)?;
    let conditions = Conditions {
        netlab: env!("CARGO_PKG_VERSION").to_owned(),
        options: options.clone(),
        machine,
        cells: sites.all().iter().map(|s| (s.cell.to_string(), s.conditions.clone())).collect(),
        flows: options.workloads.iter().map(|w| (w.to_string(), w.flows())).collect(),
    };
    watch(Event::Removing);
    drop(sites);
    let Finding { sentence, details } = Finding::of(&series, &scaling, &networks);
    Ok(Comparison {
        version: VERSION,
        finding: sentence,
        details,
        conditions,
        series,
        limits: Vec::new(),
        scaling,
        networks,
    })
}

/// Every turn of the plan, the warm-up with the kernel's clock for BPF programs running.
fn measure(
    options: &Options,
    sites: &Sites<'_>,
    stop: &Stop,
    watch: &mut impl FnMut(Event),
) -> Result<Vec<Series>, CompareError> {
    let limits = Limits { duration: options.duration, stop: stop.clone() };
    let turns = plan::turns(options);
    let mut series: Vec<Series> = Vec::new();
    let mut clock = BpfClock::start();
    for (at, turn) in turns.iter().enumerate() {
        watch(Event::Turn { turn: *turn, at, of: turns.len() });
        let site = sites.site(turn.cell).ok_or(CompareError::Gone(turn.cell))?;
        let of_turn = |s: &Series| s.workload == turn.workload && s.cell == turn.cell;
        let place = series.iter().position(of_turn).unwrap_or_else(|| {
            series.push(Series::new(turn.workload, turn.cell));
            series.len() - 1
        });
        if turn.round == 0 {
            series[place].metered = warm_up(*turn, site, &limits, clock.is_some())?;
            continue;
        }
        clock = None;
        series[place].rounds.push(one(*turn, site, &limits)?);
    }
    drop(clock);
    Ok(result::judged(series))
}

/// The round that does not count, but for what the programs ran for.
fn warm_up(
    turn: Turn,
    site: &Site,
    limits: &Limits,
    is_timed: bool,
) -> Result<Option<Metered>, CompareError> {
    let before = site.bpf_time().filter(|_| is_timed);
    match workload::run(turn.workload, &site.ends, limits) {
        Ok(work) => {
            let time = before.zip(site.bpf_time()).map(|(before, after)| after.since(&before));
            Ok(Some(Metered { work, bpf: time, hosts: None }))
        }
        Err(Failure::Interrupted) => Err(CompareError::Interrupted),
        Err(_) => Ok(None),
    }
}

/// A round that counts, unless it fails.
fn one(turn: Turn, site: &Site, limits: &Limits) -> Result<Round, CompareError> {
    let metered = || -> Result<Round, RoundError> {
        let namespaces = [&site.ends.client, &site.ends.server];
        let before = Meter::read(&namespaces)?;
        let work = workload::run(turn.workload, &site.ends, limits)?;
        let usage = Meter::read(&namespaces)?.since(&before);
        Ok(Round::Done { work, usage })
    };
    match metered() {
        Err(_) if limits.stop.is_asked() => Err(CompareError::Interrupted),
        Err(error) => Ok(Round::Failed { reason: error.to_string() }),
        Ok(round) => Ok(round),
    }
}

/// Why a round does not count.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error("{0}: {cause}", cause = .0.source)]
    Usage(#[from] UsageError),
}
