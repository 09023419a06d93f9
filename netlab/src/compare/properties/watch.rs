//! Packets that are seen while something is done.

use std::{
    collections::BTreeSet,
    panic,
    time::{Duration, Instant},
};

use netlab_common::event::MAX_SNAPLEN;

use super::{Error, Result};
use crate::{
    capture::filter::Filter,
    netlink::Netns,
    trace::{Event, Hook, Interfaces, Options, Place, Session, Sighting},
};

/// Room for what is seen, in bytes: some thousand packets of full size, which all that is
/// done here stays far below.
const RING: u32 = 16 << 20;

/// Packets that are taken from the ring at a time.
const BATCH: usize = 4096;

/// A host to look at.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// What sightings call it.
    pub host: String,
    /// Its namespace.
    pub netns: Netns,
}

/// A packet that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The host, as the lab names it.
    pub host: String,
    /// The interface.
    pub interface: String,
    /// Where on it.
    pub hook: Hook,
    /// Length from the Ethernet header on, in bytes.
    pub wire_len: u32,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
    /// Why it was dropped, if it was.
    pub drop: Option<String>,
}

impl Seen {
    /// Whether it was seen at this hook of this interface.
    #[must_use]
    pub fn is_at(&self, host: &str, interface: &str, hook: Hook) -> bool {
        self.hook == hook && self.host == host && self.interface == interface
    }
}

impl From<&Sighting<'_>> for Seen {
    fn from(sighting: &Sighting<'_>) -> Self {
        let drop = match &sighting.event {
            Some(Event::KernelDrop { reason, .. }) => Some(reason.to_string()),
            Some(Event::Drop(reason, _)) => Some(reason.to_string()),
            _ => None,
        };
        Self {
            host: sighting.host.to_owned(),
            interface: sighting.interface.to_owned(),
            hook: sighting.hook,
            wire_len: sighting.wire_len,
            bytes: sighting.bytes.to_vec(),
            drop,
        }
    }
}

/// A capture at some hosts.
pub(super) struct Watch {
    session: Session,
}

impl Watch {
    /// Attaches to these interfaces of the sites, at these hooks.
    pub async fn start(sites: Vec<Site>, interfaces: &[&str], hooks: &[Hook]) -> Result<Self> {
        let filter = Filter::all();
        let options = Options {
            hooks: BTreeSet::from_iter(hooks.iter().copied()),
            interfaces: Interfaces::Named(interfaces.iter().map(ToString::to_string).collect()),
            only_drops: false,
            snaplen: MAX_SNAPLEN,
            ring: RING,
            filter: filter.instructions()?.into_iter().map(Into::into).collect(),
            reach: filter.reach(),
            decisions: Vec::new(),
        };
        let place = |site: Site| Place { name: site.host, netns: site.netns };
        let session = Session::start(sites.into_iter().map(place).collect(), options).await?;
        Ok(Self { session })
    }

    /// Does something on a thread of its own, and returns what came of it with what was seen
    /// meanwhile and after, until that is `enough` or `patience` is over.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] where a packet was not seen for want of room.
    pub async fn during<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
        patience: Duration,
        enough: impl Fn(&T, &[Seen]) -> bool,
    ) -> Result<(T, Vec<Seen>)> {
        let mut seen = Vec::new();
        self.drain(&mut Vec::new());
        self.session.begin()?;
        let mut work = tokio::task::spawn_blocking(work);
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                () = self.session.wait() => self.drain(&mut seen),
            }
        };
        let outcome = outcome.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            Err(_) => Err(Error::Interrupted),
        });
        if let Ok(value) = &outcome {
            let deadline = Instant::now() + patience;
            self.drain(&mut seen);
            while !enough(value, &seen) && Instant::now() < deadline {
                self.session.wait().await;
                self.drain(&mut seen);
            }
        }
        self.session.end()?;
        self.drain(&mut seen);
        match self.session.losses()?.iter().map(|loss| loss.count).sum() {
            0 => Ok((outcome?, seen)),
            lost => Err(Error::Lost(lost)),
        }
    }

    fn drain(&mut self, seen: &mut Vec<Seen>) {
        while self.session.drain(BATCH, |sighting| seen.push(sighting.into())) == BATCH {}
    }
}
