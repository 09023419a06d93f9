//! Journeys: what `--follow` prints.

use jiff::tz::TimeZone;
use netlab::trace::{
    Sighting,
    follow::{Follower, Journey, Options, Style, render},
};

use super::{cluster::Cluster, expression::vxlan_ports, output};
use crate::cli::CaptureArgs;

/// Ties sightings together and prints the journeys that come of it.
pub(super) struct Journeys {
    follower: Follower,
    style: Style,
    json: bool,
}

impl Journeys {
    /// None where journeys are not asked for.
    pub fn new(args: &CaptureArgs, cluster: Option<&Cluster>, color: bool) -> Option<Self> {
        if !args.print.follow {
            return None;
        }
        let options = Options { vxlan_ports: vxlan_ports(args), ..Options::default() };
        let mut follower = Follower::new(options);
        if let Some(cluster) = cluster {
            cluster.introduce(&mut follower);
        }
        let style = Style { color, zone: TimeZone::system() };
        Some(Self { follower, style, json: args.print.json })
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
        let Self { follower, style, json } = self;
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
