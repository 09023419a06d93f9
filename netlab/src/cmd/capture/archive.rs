//! Packets as they are written: an interface of the file for each place, what the datapath did
//! as comments, and what was lost at the end.

use std::{collections::BTreeMap, net::SocketAddr};

use netlab::{
    capture::{
        LinkType, Packet,
        file::{Comments, Direction, Format, Interface, Note, Statistics},
    },
    trace::{Hook, Sighting},
};

use super::{
    cluster::Cluster,
    output::{Files, now},
    place,
};
use crate::cli::CaptureArgs;

/// A file, or a series of them, that a live capture writes.
pub(super) struct Archive {
    files: Files,
    /// By host, interface and hook. Nested, so that looking one up for each packet makes no key.
    interfaces: BTreeMap<String, BTreeMap<String, BTreeMap<Hook, Written>>>,
    /// Whose sockets are whose, for comments.
    services: BTreeMap<(u8, SocketAddr), String>,
    snaplen: u32,
    began: u64,
}

/// An interface of a file.
struct Written {
    /// Its number there.
    number: usize,
    /// Packets that were written.
    packets: u64,
}

impl Archive {
    /// None where packets are not to be written.
    pub fn new(args: &CaptureArgs, snaplen: u32) -> anyhow::Result<Option<Self>> {
        let Some(files) = Files::new(args, LinkType::ETHERNET, snaplen)? else { return Ok(None) };
        if matches!(files.format, Format::Pcap(_)) {
            let hooks = place::hooks(args);
            if hooks.len() > 1 && hooks != [Hook::TcIn, Hook::TcOut].into() {
                log::warn!(
                    "pcap cannot tell hooks apart, and a packet that passes several is in the \
                     file more than once; choose with --hook, or write pcapng"
                );
            }
        }
        let services = Cluster::of(args).map_or_else(BTreeMap::new, |cluster| cluster.services());
        Ok(Some(Self { files, interfaces: BTreeMap::new(), services, snaplen, began: now() }))
    }

    /// Writes a packet. False where no more are wanted.
    pub fn write(&mut self, sighting: &Sighting<'_>, packet: &Packet<'_>) -> anyhow::Result<bool> {
        let number = self.interface(sighting)?;
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
        let service = service.map(|service| format!("service {service}"));
        let comments: Vec<&str> =
            [Some(told.as_str()), service.as_deref()].into_iter().flatten().collect();
        let note = Note { direction, comments: Comments::new(&comments) };
        self.files.packet(number, packet, &note)
    }

    /// The number of the place's interface, which gets one more packet.
    fn interface(&mut self, sighting: &Sighting<'_>) -> anyhow::Result<usize> {
        let hosts = self.interfaces.get_mut(sighting.host);
        let hooks = hosts.and_then(|interfaces| interfaces.get_mut(sighting.interface));
        if let Some(written) = hooks.and_then(|hooks| hooks.get_mut(&sighting.hook)) {
            written.packets += 1;
            return Ok(written.number);
        }
        let number = self.files.interface(&describe(sighting, self.snaplen))?;
        let interfaces = self.interfaces.entry(sighting.host.to_owned()).or_default();
        let hooks = interfaces.entry(sighting.interface.to_owned()).or_default();
        hooks.insert(sighting.hook, Written { number, packets: 1 });
        Ok(number)
    }

    /// There is time: what has been held back is handed on.
    pub fn idle(&mut self) -> anyhow::Result<()> {
        self.files.idle()
    }

    /// Completes the last file. `losses` are by host, interface and hook.
    pub fn finish(mut self, losses: &[(&str, &str, Hook, u64)]) -> anyhow::Result<()> {
        for (host, interfaces) in &self.interfaces {
            for (interface, hooks) in interfaces {
                for (hook, written) in hooks {
                    let here = |loss: &&(&str, &str, Hook, u64)| {
                        (loss.0, loss.1, loss.2) == (host, interface, *hook)
                    };
                    let dropped = losses.iter().filter(here).map(|loss| loss.3).sum();
                    let statistics = Statistics {
                        start: self.began,
                        end: now(),
                        received: None,
                        dropped: Some(dropped),
                        accepted: Some(written.packets + dropped),
                    };
                    self.files.rotating().statistics(written.number, statistics)?;
                }
            }
        }
        self.files.finish()
    }
}

fn describe(sighting: &Sighting<'_>, snaplen: u32) -> Interface {
    let words = [sighting.host, sighting.interface, sighting.hook.name()];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    Interface {
        name: words.join("/"),
        description: Some(sighting.hook.description().to_owned()),
        link: LinkType::ETHERNET,
        snaplen,
    }
}
