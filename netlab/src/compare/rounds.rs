//! Every turn of the plan, one after the other, and what came of it.

use super::{
    CompareError, Event,
    metering::Clocks,
    options::Options,
    plan::{self, Cell, Place, Stage, Turn},
    result::{self, Limit, LimitKind, Round, Series},
    site::Sites,
    stop::Stop,
    traffic::Forwarder,
    usage::{Meter, UsageError},
    workload::{Ends, Failure, Limits, Ready, Workload},
};

/// Takes all turns, and judges what came of them.
///
/// # Errors
///
/// Where somebody asks for the end, or a lab is gone. A turn that fails is none.
pub(super) fn measure(
    options: &Options,
    sites: &Sites<'_>,
    stop: &Stop,
    watch: &mut impl FnMut(Event),
) -> Result<(Vec<Series>, Vec<Limit>), CompareError> {
    let mtu = sites.all().iter().map(|site| site.conditions.pod_mtu).min();
    let limits = Limits::new(options, mtu.unwrap_or(options.mtu), stop);
    let turns = plan::turns(options);
    let mut series: Vec<Series> = Vec::new();
    let mut bounds: Vec<Limit> = Vec::new();
    let mut clocks = None;
    for (at, turn) in turns.iter().enumerate() {
        watch(Event::Turn { turn: *turn, at, of: turns.len() });
        let cell = match turn.place {
            Place::Cell(cell) => cell,
            Place::Limit(kind) => {
                let round = without_cell(kind, turn.workload, sites, &limits)?;
                note(&mut bounds, kind, *turn, round);
                continue;
            }
        };
        let site = sites.site(cell).ok_or(CompareError::Gone(cell))?;
        let series = of(&mut series, turn.workload, cell);
        match turn.stage {
            // Nothing of it is kept, not even that it failed.
            Stage::WarmUp => drop(one(turn.workload, &site.ends, &limits)?),
            Stage::Counted(_) => series.rounds.push(one(turn.workload, &site.ends, &limits)?),
            Stage::Metered => {
                let clocks = clocks.get_or_insert_with(|| Clocks::start(sites));
                match clocks.meter(turn.workload, site, &limits)? {
                    Ok(metered) => series.metered = Some(metered),
                    Err(failure) => series.metering_failure = Some(failure.to_string()),
                }
            }
        }
    }
    let bounds = result::limited(bounds);
    Ok((result::beside(result::judged(series), &bounds), bounds))
}

/// What has been measured of a workload in a cell so far.
fn of(all: &mut Vec<Series>, workload: Workload, cell: Cell) -> &mut Series {
    let found = all.iter().position(|series| series.workload == workload && series.cell == cell);
    let place = found.unwrap_or_else(|| {
        all.push(Series::new(workload, cell));
        all.len() - 1
    });
    &mut all[place]
}

/// A round of a limit.
fn without_cell(
    kind: LimitKind,
    workload: Workload,
    sites: &Sites<'_>,
    limits: &Limits,
) -> Result<Round, CompareError> {
    if kind == LimitKind::Veth {
        return one(workload, sites.wire(), limits);
    }
    let site = sites.site(plan::FORWARDING).ok_or(CompareError::Gone(plan::FORWARDING))?;
    let (node, uplink) = &site.ends.lane.entry;
    match Forwarder::new(node, *uplink) {
        Ok(_forwarder) => one(workload, &site.ends, limits),
        Err(error) => Ok(Round::Failed { reason: Failure::from(error).to_string() }),
    }
}

/// Keeps a limit's round, if it counts.
fn note(limits: &mut Vec<Limit>, kind: LimitKind, turn: Turn, round: Round) {
    let Stage::Counted(_) = turn.stage else { return };
    let of_turn = |limit: &&mut Limit| limit.kind == kind && limit.workload == turn.workload;
    match limits.iter_mut().find(of_turn) {
        Some(limit) => limit.rounds.push(round),
        None => limits.push(Limit { rounds: vec![round], ..Limit::new(kind, turn.workload) }),
    }
}

/// A round, which may fail.
///
/// # Errors
///
/// Where somebody asks for the end.
pub(super) fn one(workload: Workload, ends: &Ends, limits: &Limits) -> Result<Round, CompareError> {
    let metered = || -> Result<Round, RoundError> {
        let ready = Ready::new(workload, ends, limits)?;
        let namespaces = [&ends.client, &ends.server];
        let before = Meter::read(&namespaces)?;
        let work = ready.run()?;
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
