//! Journeys: what `--follow` prints.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use netlab::trace::{
    Loss, Sighting,
    follow::{Follower, Journey, LossPlace, Options, Style, render},
};
use netlab_common::event::LossKey;

use super::{cluster::Cluster, expression::vxlan_ports, output, place::Port};
use crate::cli::CaptureArgs;

/// Ties sightings together and prints the journeys that come of it.
pub(super) struct Journeys {
    follower: Follower,
    style: Style,
    json: bool,
    losses: Losses,
}

/// What was lost so far, to tell what is new.
#[derive(Default)]
struct Losses {
    /// When they were told last, nanoseconds since 1970.
    told: u64,
    counts: BTreeMap<LossKey, u64>,
}

impl Journeys {
    /// None where journeys are not asked for.
    pub fn new(
        args: &CaptureArgs,
        cluster: Option<&Cluster>,
        color: bool,
        ports: &[Port],
    ) -> Option<Self> {
        if !args.print.follow {
            return None;
        }
        let options = Options { vxlan_ports: vxlan_ports(args), ..Options::default() };
        let mut follower = Follower::new(options);
        if let Some(cluster) = cluster {
            cluster.introduce(&mut follower);
        }
        for (host, port, bridge) in ports {
            follower.plug(host, port, bridge);
        }
        let style = Style { color, zone: TimeZone::system() };
        let losses = Losses { told: output::now(), ..Losses::default() };
        Some(Self { follower, style, json: args.print.json, losses })
    }

    /// Takes what was lost since the capture began, as it stands at this time, nanoseconds since
    /// 1970.
    pub fn lost(&mut self, now: u64, losses: &[Loss<'_>]) {
        let mut places = BTreeSet::new();
        for loss in losses {
            let before = self.losses.counts.insert(loss.key, loss.count).unwrap_or(0);
            if before < loss.count {
                let (host, interface) = (loss.host.to_owned(), loss.interface.to_owned());
                places.insert(LossPlace { host, interface, hook: loss.hook });
            }
        }
        self.follower.lose(self.losses.told, now, places);
        self.losses.told = now;
    }

    /// Takes a sighting; how many journeys were printed.
    pub fn see(&mut self, sighting: &Sighting<'_>, most: u64) -> anyhow::Result<u64> {
        let journeys = self.follower.see(sighting);
        self.print(&journeys, most)
    }

    /// Prints what is complete at this time, nanoseconds since 1970.
    pub fn advance(&mut self, now: u64, most: u64) -> anyhow::Result<u64> {
        let journeys = self.follower.advance(now);
        self.print(&journeys, most)
    }

    /// Prints all others.
    pub fn finish(self, most: u64) -> anyhow::Result<u64> {
        let Self { follower, style, json, .. } = self;
        print(&follower.finish(), &style, json, most)
    }

    fn print(&self, journeys: &[Journey], most: u64) -> anyhow::Result<u64> {
        print(journeys, &self.style, self.json, most)
    }
}

fn print(journeys: &[Journey], style: &Style, json: bool, most: u64) -> anyhow::Result<u64> {
    let mut count = 0;
    for journey in journeys.iter().take(usize::try_from(most).unwrap_or(usize::MAX)) {
        let text = if json {
            format!("{}\n", serde_json::to_string(journey)?)
        } else {
            format!("{}\n", render(journey, style))
        };
        output::write(&text)?;
        count += 1;
    }
    Ok(count)
}
