//! Packets as they are written: an interface of the file for each place, what the datapath did
//! as comments, and what was lost at the end of each file.

use std::{collections::BTreeMap, net::SocketAddr};

use netlab::{
    capture::{
        LinkType, Packet,
        file::{Comments, Direction, Format, Interface, Note},
    },
    trace::{Hook, Loss, Sighting},
};
use netlab_common::event::LossKey;

use super::{
    cluster::Cluster,
    output::{Files, now},
    place,
};
use crate::cli::CaptureArgs;

/// A file, or a series of them, that a live capture writes.
pub(super) struct Archive {
    files: Files,
    /// Their numbers in the files, by host, interface and hook. Nested, so that looking one up
    /// for each packet makes no key.
    interfaces: BTreeMap<String, BTreeMap<String, BTreeMap<Hook, usize>>>,
    /// Whose sockets are whose, for comments.
    services: BTreeMap<(u8, SocketAddr), String>,
    snaplen: u32,
    /// Of what was lost at each place, what the files have been told.
    told: BTreeMap<LossKey, u64>,
    /// The same by number in the files.
    lost: BTreeMap<usize, u64>,
    /// Whether there may be several files, each with losses of its own.
    pub is_series: bool,
}

impl Archive {
    /// None where packets are not to be written.
    pub fn new(
        args: &CaptureArgs,
        cluster: Option<&Cluster>,
        snaplen: u32,
    ) -> anyhow::Result<Option<Self>> {
        let Some(mut files) = Files::new(args, LinkType::ETHERNET, snaplen)? else {
            return Ok(None);
        };
        if matches!(files.format, Format::Pcap(_)) {
            let hooks = place::hooks(args);
            if hooks.len() > 1 && hooks != [Hook::TcIn, Hook::TcOut].into() {
                log::warn!(
                    "pcap cannot tell hooks apart, and a packet that passes several is in the \
                     file more than once; choose with --hook, or write pcapng"
                );
            }
        }
        let services = cluster.map_or_else(BTreeMap::new, Cluster::services);
        // The capture begins.
        files.rotating().lost(now(), []);
        let is_series = args.file.size.is_some() || args.file.every.is_some();
        Ok(Some(Self {
            files,
            interfaces: BTreeMap::new(),
            services,
            snaplen,
            told: BTreeMap::new(),
            lost: BTreeMap::new(),
            is_series,
        }))
    }

    /// Writes a packet. False where no more are wanted.
    pub fn write(&mut self, sighting: &Sighting<'_>, packet: &Packet<'_>) -> anyhow::Result<bool> {
        let number = self.interface(sighting.host, sighting.interface, sighting.hook)?;
        let direction = match sighting.hook.is_inbound() {
            Some(true) => Direction::Inbound,
            Some(false) => Direction::Outbound,
            None => Direction::Unknown,
        };
        let Some(event) = &sighting.event else {
            return self.files.packet(number, packet, &Note { direction, ..Note::default() });
        };
        let service = event.sockets().find_map(|socket| self.services.get(&socket));
        let told = event.to_string();
        let service = service.map(|service| format!("{SERVICE}{service}"));
        let comments: Vec<&str> =
            [Some(told.as_str()), service.as_deref()].into_iter().flatten().collect();
        let note = Note { direction, comments: Comments::new(&comments) };
        self.files.packet(number, packet, &note)
    }

    /// The number of a place's interface, which is added where it is new.
    fn interface(&mut self, host: &str, name: &str, hook: Hook) -> anyhow::Result<usize> {
        let interfaces = self.interfaces.get(host);
        let hooks = interfaces.and_then(|interfaces| interfaces.get(name));
        if let Some(number) = hooks.and_then(|hooks| hooks.get(&hook)) {
            return Ok(*number);
        }
        let number = self.files.interface(&describe(host, name, hook, self.snaplen))?;
        let interfaces = self.interfaces.entry(host.to_owned()).or_default();
        let hooks = interfaces.entry(name.to_owned()).or_default();
        hooks.insert(hook, number);
        Ok(number)
    }

    /// Tells the files what was lost since the capture began. What is new counts for the name
    /// that its interface has now: one that is renamed, or whose name was not known yet, does not
    /// take with it what was told before.
    pub fn lost(&mut self, losses: &[Loss<'_>]) -> anyhow::Result<()> {
        for loss in losses {
            let told = self.told.get(&loss.key).copied().unwrap_or(0);
            if loss.count > told {
                // Not only places of packets: of some none is left.
                let number = self.interface(loss.host, loss.interface, loss.hook)?;
                *self.lost.entry(number).or_default() += loss.count - told;
                self.told.insert(loss.key, loss.count);
            }
        }
        let totals = self.lost.iter().map(|(number, count)| (*number, *count));
        self.files.rotating().lost(now(), totals);
        Ok(())
    }

    /// There is time: what has been held back is handed on.
    pub fn idle(&mut self) -> anyhow::Result<()> {
        self.files.idle()
    }

    /// Completes the last file. `losses` are as in [`Archive::lost`].
    pub fn finish(mut self, losses: &[Loss<'_>]) -> anyhow::Result<()> {
        self.lost(losses)?;
        self.files.finish()
    }
}

/// How a comment begins that names the Service of a packet. Lines do not tell it.
pub(super) const SERVICE: &str = "service ";

/// What stands between host, interface and hook in the name of a file's interface: neither of
/// them can have it in its own.
pub(super) const SEPARATOR: char = '/';

fn describe(host: &str, name: &str, hook: Hook, snaplen: u32) -> Interface {
    Interface {
        name: place::words(host, name, hook).join(&SEPARATOR.to_string()),
        description: Some(hook.description().to_owned()),
        link: LinkType::ETHERNET,
        snaplen,
    }
}
