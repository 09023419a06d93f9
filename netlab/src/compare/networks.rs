//! What the pod networks are without a clock: [`properties`], in labs of their own.
//!
//! Each mode has a lab on a switch, where everything is measured, and one behind a router, where
//! the only question is whether pods reach each other. Both are of the built-in manifest, with
//! a proxy that is asked for. The modes are looked at beside each other: what is counted does not
//! depend on the time, and most of the time is waiting for what does not come. The labs are gone
//! when this returns, so they disturb nothing that is timed.
//!
//! The one thing with a clock is how long a node is told of its peers. It needs no lab, and is
//! measured before there is one, the modes in turns.

use std::cell::{Cell, RefCell};

use futures_util::future::try_join_all;
use tokio::runtime::Runtime;

use super::{
    CompareError, Event,
    labs::{self, Labs},
    options::Options,
    properties::{
        self, Cluster, Property, again, reach,
        state::{self, State},
    },
    result::Network,
    stop::Stop,
};
use crate::lab::{
    LabName, Mode, Underlay,
    up::{Request, up},
};

/// How often each number of peers is told; the median counts.
const TAKES: usize = 5;

/// Looks at each mode that is asked for; none where properties are not.
pub(super) fn measure(
    runtime: &Runtime,
    options: &Options,
    stop: &Stop,
    watch: &mut impl FnMut(Event),
) -> Result<Vec<Network>, CompareError> {
    if !options.properties {
        return Ok(Vec::new());
    }
    let mut labs = Labs::new(runtime);
    let mut named = Vec::new();
    for mode in &options.modes {
        let name = |underlay| labs::name(*mode, underlay).ok_or(CompareError::NoName(*mode));
        let names = [name(Underlay::L2)?, name(Underlay::Routed)?];
        names.iter().for_each(|name| labs.write_down(name));
        named.push((*mode, names));
    }
    let of = 2 * named.len();
    let site = Inspector { options, at: Cell::new(0), of, watch: RefCell::new(watch) };
    labs.until_stopped(stop, async {
        let states = states(&options.modes).await;
        let all = named.into_iter().zip(states);
        try_join_all(all.map(|((mode, names), state)| site.network(mode, names, state))).await
    })
}

/// What a node is told in each mode, timed in turns.
async fn states(modes: &[Mode]) -> Vec<properties::Result<State>> {
    let mut takes: Vec<Vec<_>> = modes.iter().map(|_| Vec::new()).collect();
    for _ in 0..TAKES {
        for (mode, takes) in modes.iter().zip(&mut takes) {
            takes.push(state::measure(*mode).await);
        }
    }
    let median = |takes: Vec<_>| {
        let takes = takes.into_iter().collect::<properties::Result<Vec<State>>>()?;
        State::median(&takes).ok_or_else(|| properties::Error::Unseen("state".to_owned()))
    };
    takes.into_iter().map(median).collect()
}

/// Who looks, and tells what at.
struct Inspector<'a, W> {
    options: &'a Options,
    at: Cell<usize>,
    of: usize,
    watch: RefCell<&'a mut W>,
}

impl<W: FnMut(Event)> Inspector<'_, W> {
    async fn network(
        &self,
        mode: Mode,
        [on_switch, behind_router]: [LabName; 2],
        state: properties::Result<State>,
    ) -> Result<Network, CompareError> {
        let cluster = self.build(mode, Underlay::L2, on_switch).await?;
        let mut properties = properties::measure(&cluster, state).await;
        let cluster = self.build(mode, Underlay::Routed, behind_router).await?;
        let reach = again(async || reach::measure(&cluster).await).await;
        let routed = Property::Routed.or_failed(reach, &mut properties.failures);
        Ok(Network { properties, routed })
    }

    async fn build(
        &self,
        mode: Mode,
        underlay: Underlay,
        name: LabName,
    ) -> Result<Cluster, CompareError> {
        let at = self.at.replace(self.at.get() + 1);
        (self.watch.borrow_mut())(Event::Inspecting { mode, underlay, at, of: self.of });
        let proxy = self.options.proxy_of_properties();
        let request = Request {
            mode: Some(mode),
            underlay: Some(underlay),
            proxy: Some(proxy.of_lab()),
            hook: proxy.hook(),
            mtu: Some(self.options.mtu),
            // That host-gw does not work behind a router is what is to be seen.
            force: true,
            // With echo servers: node ports are dialled, and datagrams answered.
            ..Request::new(name.clone())
        };
        let failed = |source| CompareError::Inspect { mode, underlay, source: Box::new(source) };
        up(&request, |_| ()).await.map_err(failed)?;
        Ok(Cluster::open(&name)?)
    }
}
