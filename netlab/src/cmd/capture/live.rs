//! Packets from the kernel.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use netlab::{
    capture::LinkType,
    trace::{Hook, Options, Session},
};
use netlab_common::event::MAX_SNAPLEN;

use super::{
    Outcome,
    cluster::Cluster,
    expression,
    output::tell,
    place,
    signals::{self, Requests},
    sink::{Sink, tell_counts},
};
use crate::{cli::CaptureArgs, cmd::signals::Signals};

/// Packets that are dealt with before a signal is looked for again.
const BATCH: usize = 4096;

/// How long packets are dealt with before interfaces and clocks have their turn.
const TURN: Duration = Duration::from_millis(50);

/// Captures until it is told to end, or has seen as many packets as were asked for.
pub(super) async fn run(args: &CaptureArgs, color: bool) -> anyhow::Result<Outcome> {
    let hooks = place::hooks(args)?;
    let cluster = Cluster::of(args)?;
    let cluster = cluster.as_ref();
    let filter = expression::filter(args, cluster, LinkType::ETHERNET)?;
    let mut signals = Signals::new()?;
    signals::end_at_second()?;
    let snaplen = match args.choice.snaplen {
        0 => MAX_SNAPLEN,
        wanted => wanted.min(MAX_SNAPLEN),
    };
    let instructions = filter.instructions()?;
    let options = Options {
        hooks: hooks.clone(),
        interfaces: place::interfaces(args),
        only_drops: place::only_drops(args),
        snaplen,
        ring: (args.place.buffer << 10).next_power_of_two(),
        filter: instructions.into_iter().map(Into::into).collect(),
        reach: filter.reach(),
        decisions: Vec::new(),
    };
    let places = place::places(args, cluster)?;
    let ports = if args.print.follow { place::ports(&places).await } else { Vec::new() };
    let mut session = tokio::select! {
        session = Session::start(places, options) => session?,
        () = signals.next() => {
            tell_counts(0, 0, &[], 0);
            return Ok(Outcome::Fine);
        }
    };
    // Now that nothing else can fail: a file that is there already is overwritten.
    let mut sink = Sink::new(args, cluster, color, snaplen, &ports)?;
    let mut requests = Requests::new()?;
    session.begin()?;
    say(&session, &hooks, snaplen);
    if args.print.follow && args.choice.service.is_none() && !args.filter.is_empty() {
        tell(format_args!(
            "netlab: the filter is asked at each hop: where packets are translated or in a tunnel, \
             it may not know them any more; --service NAME does"
        ));
    }
    let outcome = follow_on(&mut session, &mut signals, &mut requests, &mut sink).await;
    session.end()?;
    if sink.goes_on {
        // What came before the end belongs to the capture.
        while outcome.is_ok() && drain(&mut session, &mut sink)? == BATCH {}
    }
    // Before the programs are detached, for which the kernel takes its time.
    sink.finish(&session.tallies()?, &session.losses()?, session.missed())?;
    outcome.map(|()| Outcome::Fine)
}

async fn follow_on(
    session: &mut Session,
    signals: &mut Signals,
    requests: &mut Requests,
    sink: &mut Sink,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = signals.next() => return Ok(()),
            () = requests.counts() => sink.report(&session.tallies()?),
            () = session.wait() => {}
        }
        let began = Instant::now();
        while drain(session, sink)? == BATCH && began.elapsed() < TURN {
            tokio::task::yield_now().await;
            if !sink.goes_on || signals.came().await {
                return Ok(());
            }
        }
        sink.idle()?;
        if !sink.goes_on {
            return Ok(());
        }
    }
}

/// Deals with what is in the ring, a batch at most, and says how many packets it was.
fn drain(session: &mut Session, sink: &mut Sink) -> anyhow::Result<usize> {
    if sink.wants_losses_first() {
        sink.lost(&session.losses()?)?;
    }
    let mut outcome = Ok(());
    let count = session.drain(BATCH, |sighting| {
        if outcome.is_ok() && sink.goes_on {
            outcome = sink.packet(sighting);
        }
    });
    outcome?;
    // Behind the packets: those that are lost come when the ring is full of earlier ones.
    if sink.wants_losses() {
        sink.lost(&session.losses()?)?;
    }
    Ok(count)
}

/// Says where packets are listened for, as tcpdump does.
fn say(session: &Session, hooks: &BTreeSet<Hook>, snaplen: u32) {
    let hooks: Vec<_> = hooks.iter().map(|hook| hook.name()).collect();
    tell(format_args!(
        "netlab: listening on {}, hooks {}, snapshot length {snaplen} bytes",
        session.description(),
        hooks.join(" ")
    ));
}
