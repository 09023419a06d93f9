//! A comparison: the same work in labs that differ in one thing, on this machine, in one run.
//!
//! Down: [`options`] give the [`plan`]; for each of its cells a [`site`] is built, of which the
//! conditions tell what it is made of, with the [`offloads`] of its links; and each of
//! its turns is a [`workload`] beside which [`usage`] is metered; `metering` looks closer, by
//! [`softirq`] too, in a round of its own. Limits take turns too, on a bare [`wire`] and with a
//! bare forwarder. [`traffic`] makes packets by the million, which go along a [`lane`]. What needs
//! no clock is in [`properties`], looked at by `networks` before; [`scaling`] comes after, in the
//! same labs. Up: what came out is in [`result`], judged by [`statistics`]; [`finding`] puts it
//! into a sentence and [`report`] into a page, in the words of [`wording`].
//!
//! Laws: only ratios of rounds of one run are claimed, and only where their interval is off 1.
//! A failed round is told as such and is in no number. Packets travel only in namespaces that
//! are made here and go again, whatever happens.

pub mod diff;
pub mod finding;
pub mod histogram;
mod labs;
pub mod lane;
mod machine;
mod metering;
mod networks;
pub mod offloads;
pub mod options;
pub mod plan;
mod probe;
pub mod properties;
pub mod report;
pub mod result;
mod rounds;
pub mod scaling;
pub mod site;
pub mod softirq;
mod standing;
pub mod statistics;
pub mod stop;
pub mod traffic;
pub mod usage;
pub mod wire;
pub mod wording;
pub mod workload;

use std::io;

use self::{
    finding::Finding,
    options::{Options, Proxy, Refusal},
    plan::{Cell, Turn},
    result::{Comparison, Conditions, VERSION},
    site::Sites,
    stop::Stop,
};
use crate::{
    lab::{Mode, Underlay, address::AddressError, state::StateError, up::UpError},
    netlink, proxy,
    spec::SpecError,
};

/// What is going on, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// Nothing was refused: building begins.
    Begun {
        /// Processes that ran or wanted to, averaged over the minute before.
        load: f64,
        /// CPUs for this process.
        cores: usize,
    },
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
    watch(Event::Begun { load: machine.load, cores: machine.cores });
    let networks = networks::measure(&runtime, options, stop, &mut watch)?;
    let mut sites = Sites::new(&runtime, options)?;
    let cells = plan::cells(options);
    let labs = plan::labs(options);
    let of = labs.len();
    sites.build(&labs, options, stop, |cell, at| watch(Event::Building { cell, at, of }))?;
    let (series, limits) = rounds::measure(options, &sites, stop, &mut watch)?;
    let scaling = scaling::measure(&sites, options, stop, &mut watch)?;
    let of_cells = sites.all().iter().filter(|site| cells.contains(&site.cell));
    let conditions = Conditions {
        netlab: env!("CARGO_PKG_VERSION").to_owned(),
        options: options.clone(),
        machine,
        cells: of_cells.map(|s| (s.cell.to_string(), s.conditions.clone())).collect(),
        flows: options.workloads.iter().map(|w| (w.to_string(), w.flows(options.flows))).collect(),
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
        limits,
        scaling,
        networks,
    })
}
