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
            let hooks = place::hooks(args)?;
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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use clap::Parser as _;
    use netlab_common::event::InterfaceKey;

    use super::*;
    use crate::cli::{Cli, Verb};

    fn archive(path: &Path) -> Archive {
        let words = ["netlab", "capture", "-C", "1", "-w", path.to_str().unwrap()];
        let Verb::Capture(args) = Cli::parse_from(words).verb else { panic!("not capture") };
        Archive::new(&args, None, 0).unwrap().unwrap()
    }

    /// Fills a file: the packet after it goes to the next.
    fn fill(archive: &mut Archive, interface: &str) {
        const LEN: u32 = 65_000;
        let bytes = vec![7; LEN as usize];
        let (time, hook, host) = (0, Hook::TcIn, "node-1");
        let sighting =
            Sighting { time, host, interface, hook, event: None, wire_len: LEN, bytes: &bytes };
        let link = LinkType::ETHERNET;
        let packet = Packet { time: 0, link, wire_len: LEN, bytes: &bytes };
        for _ in 0..16 {
            assert!(archive.write(&sighting, &packet).unwrap());
        }
    }

    fn loss(ifindex: u32, interface: &str, count: u64) -> Loss<'_> {
        let (hook, interface_key) = (Hook::TcIn, InterfaceKey { namespace: 0, ifindex });
        let key = LossKey { interface: interface_key, hook: hook as u32 };
        Loss { key, host: "node-1", interface, hook, count }
    }

    /// isb_ifdrop (draft-ietf-opsawg-pcapng, section 4.6) of each interface of a file.
    fn dropped(path: &Path) -> Vec<u64> {
        const STATISTICS: u32 = 5;
        const DROPPED: u16 = 5;
        let word = |bytes: &[u8]| u32::from_ne_bytes(*bytes.first_chunk().unwrap());
        let file = fs::read(path).unwrap();
        let (mut rest, mut counts) = (&file[..], Vec::new());
        while !rest.is_empty() {
            let (block, others) = rest.split_at(word(&rest[4..]) as usize);
            rest = others;
            if word(block) != STATISTICS {
                continue;
            }
            // All options of this block are eight bytes.
            let options = block[20..block.len() - 4].chunks_exact(12);
            let count = options.filter(|it| it[..2] == DROPPED.to_ne_bytes());
            counts.extend(count.map(|it| u64::from_ne_bytes(*it[4..].first_chunk().unwrap())));
        }
        counts
    }

    #[test]
    fn what_was_lost_is_told_once_whatever_its_interface_is_called() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let mut archive = archive(&path);
        fill(&mut archive, "eth0");
        // Nobody knows yet what the second is called.
        archive.lost(&[loss(2, "eth0", 5), loss(3, "", 3)]).unwrap();
        fill(&mut archive, "eth0");
        archive.lost(&[loss(2, "eth0", 5), loss(3, "eth1", 3)]).unwrap();
        // The first has been renamed, and the third has taken its name.
        let last = [loss(2, "old0", 6), loss(3, "eth1", 7), loss(4, "eth0", 2)];
        archive.lost(&last).unwrap();
        archive.finish(&last).unwrap();
        assert_eq!(dropped(&path), [5, 3]);
        let second = dropped(&directory.path().join("f1"));
        let places = ["eth0", "nameless", "old0", "eth1"];
        assert_eq!(
            Vec::from_iter(places.into_iter().zip(second)),
            [("eth0", 2), ("nameless", 0), ("old0", 1), ("eth1", 4)]
        );
    }
}
