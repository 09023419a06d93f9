//! A capture that runs: where, what, and the sightings that come of it.

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::{AsFd as _, OwnedFd},
    thread,
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use aya_obj::generated::bpf_insn;
use futures_util::{StreamExt as _, stream::SelectAll};
use netlab_common::event::{
    InterfaceKey, MAX_SNAPLEN, Record, Settings, Tally, Trace, hook::COUNT as HOOKS,
};
use tokio::io::unix::AsyncFd;

use super::{
    Error, Event, Hook, Result, Sighting, btf::Btf, clock::Clock, interfaces::Watch,
    layout::layout, object::Linked, reasons::Reasons,
};
use crate::{
    bpf::{self, Kind},
    netlink::{Connection, Link, LinkKind, Netns},
};

/// How often the ring is looked into when it does not fill up.
const LOOK: Duration = Duration::from_millis(20);

/// How often programs and interfaces are looked for that came without a word.
const AGREE: Duration = Duration::from_secs(1);

/// A namespace to capture in.
#[derive(Clone, Debug)]
pub struct Place {
    /// What its packets are told to come from; may be empty.
    pub name: String,
    /// The namespace.
    pub netns: Netns,
}

/// What to capture.
#[derive(Clone, Debug)]
pub struct Options {
    /// At which hooks.
    pub hooks: BTreeSet<Hook>,
    /// On which interfaces.
    pub interfaces: Interfaces,
    /// Of what the datapath did with packets, only drops.
    pub only_drops: bool,
    /// Most bytes to keep of a packet; at most [`MAX_SNAPLEN`].
    pub snaplen: u32,
    /// Size of the ring, in bytes; rounded up to a power of two pages.
    pub ring: u32,
    /// The filter: a function of the input that [`netlab_common::filter_input`] describes.
    pub filter: Vec<bpf_insn>,
    /// How many bytes of a packet the filter may look at.
    pub reach: u32,
}

/// Which interfaces to capture on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interfaces {
    /// All but the loopback.
    AllButLoopback,
    /// All.
    All,
    /// Those of these names.
    Named(Vec<String>),
}

impl Interfaces {
    pub(super) fn contains(&self, link: &Link) -> bool {
        match self {
            Self::AllButLoopback => link.kind != LinkKind::Loopback,
            Self::All => true,
            Self::Named(names) => names.contains(&link.name),
        }
    }

    const fn are_named(&self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// Those that have to be there.
    fn names(&self) -> &[String] {
        match self {
            Self::Named(names) => names,
            _ => &[],
        }
    }
}

/// A running capture. Everything that it attached goes with it.
pub struct Session {
    options: Options,
    settings: Settings,
    linked: Linked,
    ring: RingBuf<MapData>,
    /// Readable when the ring has filled up to where the reader is to be woken.
    filling: AsyncFd<OwnedFd>,
    places: Vec<Watch>,
    reasons: Option<Reasons>,
    clock: Clock,
    /// What could not be attached to, and was told.
    told: BTreeSet<String>,
    changes: SelectAll<futures_util::stream::BoxStream<'static, usize>>,
    /// A link by whose number others can tell whether this capture is still there.
    _token: OwnedFd,
    token: u32,
    drops: Option<Drops>,
}

/// The program at the drop tracepoint.
struct Drops {
    program: OwnedFd,
    _link: OwnedFd,
    /// Drops that the kernel did not run it for: before the capture began, and while it ran.
    missed: (u64, u64),
}

impl Drops {
    fn misses(&self) -> Result<u64> {
        bpf::recursion_misses(&self.program)
            .map_err(|source| Error::Read { what: "a program's misses".to_owned(), source })
    }
}

impl Session {
    /// Loads and attaches. No packet is looked at before [`Session::begin`].
    ///
    /// # Errors
    ///
    /// Where the kernel refuses; nothing stays attached then.
    pub async fn start(places: Vec<Place>, options: Options) -> Result<Self> {
        let btf = Btf::of_kernel()?;
        let settings = Settings {
            snaplen: options.snaplen.min(MAX_SNAPLEN),
            reach: options.reach.min(MAX_SNAPLEN),
            wake_at: options.ring / 4,
            selected: u32::from(options.interfaces.are_named()),
            only_drops: options.only_drops.into(),
            running: 0,
            layout: layout(&btf)?,
        };
        let token = token(&btf)?;
        let linked = Linked::new(options.filter.clone(), options.ring, cpus()?, settings)?;
        let ring = linked.ring()?;
        // SAFETY: the descriptor is owned, and open as long as it is registered.
        let register = |fd: OwnedFd| unsafe { AsyncFd::register(fd).map_err(io::Error::from) };
        let filling = ring.as_fd().try_clone_to_owned().and_then(register);
        let filling =
            filling.map_err(|source| Error::Read { what: "the ring".to_owned(), source })?;
        let mut session = Self {
            settings,
            linked,
            ring,
            filling,
            places: Vec::new(),
            reasons: None,
            clock: Clock::new(),
            told: BTreeSet::new(),
            changes: SelectAll::new(),
            options,
            token: bpf::link_id(&token)
                .map_err(|source| Error::Read { what: "a BPF link".to_owned(), source })?,
            _token: token,
            drops: None,
        };
        if session.options.hooks.contains(&Hook::Drop) {
            session.watch_drops(&btf, &places)?;
        }
        for place in places {
            session.add(place).await?;
        }
        session.find_interfaces()?;
        session.select()?;
        Ok(session)
    }

    /// From the return on, packets go to the ring.
    ///
    /// # Errors
    ///
    /// Where the map cannot be written.
    pub fn begin(&mut self) -> Result<()> {
        if let Some(drops) = &mut self.drops {
            drops.missed.0 = drops.misses()?;
        }
        self.settings.running = 1;
        self.linked.set(self.settings)
    }

    /// Where it listens, in words: `eth0, lo of node-1` for instance.
    #[must_use]
    pub fn description(&self) -> String {
        let places: Vec<String> = self
            .places
            .iter()
            .map(|watch| {
                let names: Vec<_> = watch
                    .selected()
                    .filter_map(|index| watch.name(index))
                    .map(|name| &**name)
                    .collect();
                match (watch.host(), self.options.interfaces.are_named()) {
                    ("", _) => names.join(", "),
                    (host, false) => host.to_owned(),
                    (host, true) => format!("{} of {host}", names.join(", ")),
                }
            })
            .collect();
        places.join(", ")
    }

    /// Waits until there may be packets, keeping up with interfaces that come and go.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses to attach to one that has come.
    pub async fn wait(&mut self) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => Ok(()),
            ready = self.filling.readable() => {
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
                Ok(())
            }
            Some(place) = self.changes.next() => {
                self.keep_up(place).await

            }
        }
    }

    /// Attaches to what has come. What cannot be attached to is told once: the rest of the
    /// capture goes on.
    async fn keep_up(&mut self, place: usize) -> Result<()> {
        self.clock.follow();
        if let Some(watch) = self.places.get_mut(place)
            && let Err(error) = watch.agree(&self.linked, &self.options, self.token).await
        {
            let told = error.to_string();
            if !self.told.contains(&told) {
                log::warn!("{told}; the capture goes on without");
                self.told.insert(told);
            }
        }
        self.select()
    }

    /// Hands over what is in the ring, at most `most` packets, and says how many there were.
    pub fn drain(&mut self, most: usize, mut see: impl FnMut(&Sighting<'_>)) -> usize {
        let Self { ring, places, reasons, clock, .. } = self;
        for count in 0..most {
            let Some(item) = ring.next() else { return count };
            if let Some(sighting) = sighting(&item, places, reasons.as_mut(), clock) {
                see(&sighting);
            }
        }
        most
    }

    /// Looks at no packet any more: what is in the ring now is the rest, and the counts stay.
    ///
    /// # Errors
    ///
    /// Where the map cannot be written.
    pub fn end(&mut self) -> Result<()> {
        self.settings.running = 0;
        self.linked.set(self.settings)?;
        // Programs that were at work already have ended when this returns: it waits until every
        // CPU has been outside of the kernel's read-side critical sections, in which they run.
        // SAFETY: takes plain integers.
        unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
        if let Some(drops) = &mut self.drops {
            drops.missed.1 = drops.misses()?.saturating_sub(drops.missed.0);
        }
        Ok(())
    }

    /// Drops, in whatever namespace, that nobody looked at because they happened while another
    /// one was looked at on the same CPU. Known from [`Session::end`] on.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.drops.as_ref().map_or(0, |drops| drops.missed.1)
    }

    /// What the hooks counted, by [`Hook`].
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn tallies(&self) -> Result<[Tally; HOOKS]> {
        self.linked.tallies()
    }

    /// Packets that found no room in the ring: host, interface, hook, and how many.
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn losses(&self) -> Result<Vec<(&str, &str, Hook, u64)>> {
        let losses = self.linked.losses()?.into_iter();
        let named = losses.filter_map(|(key, count)| {
            let watch = self.places.get(key.interface.namespace as usize)?;
            let interface = watch.name(key.interface.ifindex).map_or("", |name| name);
            let hook = Hook::from_number(u8::try_from(key.hook).ok()?)?;
            Some((watch.host(), interface, hook, count))
        });
        Ok(named.collect())
    }

    async fn add(&mut self, place: Place) -> Result<()> {
        let number = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let connection = Connection::open(&place.netns)?;
        let index = self.places.len();
        // A tick beside the kernel's word: nobody announces programs at tc.
        let ticks = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(AGREE).await;
            Some(((), ()))
        });
        let changes = futures_util::stream::select(connection.changes()?, ticks.boxed());
        self.changes.push(changes.map(move |()| index).boxed());
        let mut watch = Watch::new(place.name.into(), number, connection);
        watch.agree(&self.linked, &self.options, self.token).await?;
        self.places.push(watch);
        Ok(())
    }

    /// Whether every interface that was named is at one of the places at least.
    fn find_interfaces(&self) -> Result<()> {
        let there = |name: &str| self.places.iter().any(|watch| watch.names().any(|it| it == name));
        let Some(name) = self.options.interfaces.names().iter().find(|name| !there(name)) else {
            return Ok(());
        };
        let hosts: Vec<_> = self.places.iter().map(Watch::host).collect();
        let place = hosts.join(", ");
        let known: BTreeSet<_> = self.places.iter().flat_map(Watch::names).collect();
        Err(Error::NoInterface {
            name: name.clone(),
            place: if place.is_empty() { "this namespace".to_owned() } else { place },
            known: Vec::from_iter(known).join(", "),
        })
    }

    /// Tells the programs which interfaces are asked for.
    fn select(&self) -> Result<()> {
        if !self.options.interfaces.are_named() {
            return Ok(());
        }
        let mut map = self.linked.interfaces()?;
        for (namespace, watch) in (0..).zip(&self.places) {
            for ifindex in watch.selected() {
                map.insert(InterfaceKey { namespace, ifindex }, 1, 0)
                    .map_err(|e| Error::map("write", netlab_common::event::map::INTERFACES, e))?;
            }
        }
        Ok(())
    }

    fn watch_drops(&mut self, btf: &Btf, places: &[Place]) -> Result<()> {
        let mut namespaces = self.linked.namespaces()?;
        for (number, place) in (0..).zip(places) {
            let inode = u32::try_from(place.netns.inode()?).unwrap_or(0);
            namespaces
                .insert(inode, number, 0)
                .map_err(|e| Error::map("write", netlab_common::event::map::NAMESPACES, e))?;
        }
        let tracepoint = btf.typedef("btf_trace_kfree_skb")?;
        let program = self.linked.load_drop(tracepoint)?;
        let link = bpf::attach_to_tracepoint(&program)
            .map_err(|source| Error::Attach { subject: "drops".to_owned(), source })?;
        self.reasons = Some(Reasons::of_kernel(btf)?);
        self.drops = Some(Drops { program, _link: link, missed: (0, 0) });
        Ok(())
    }
}

impl Drop for Session {
    /// Detaches everything at the same time, as far as the kernel does.
    fn drop(&mut self) {
        let attached: Vec<_> = self.places.iter_mut().flat_map(Watch::take_attached).collect();
        thread::scope(|scope| {
            for one in attached {
                scope.spawn(move || drop(one));
            }
        });
    }
}

/// A link that costs nothing: a program that does nothing, where hardly anything happens.
fn token(btf: &Btf) -> Result<OwnedFd> {
    const NAME: &str = "capture_token";
    const TRACEPOINT: &str = "btf_trace_xdp_exception";
    let kind = Kind::Tracepoint(btf.typedef(TRACEPOINT)?);
    let program = bpf::load(NAME, kind, &bpf::return_zero(), c"Dual MIT/GPL")
        .map_err(|source| Error::Load { program: NAME, source })?;
    bpf::attach_to_tracepoint(&program)
        .map_err(|source| Error::Attach { subject: TRACEPOINT.to_owned(), source })
}

/// From a record to what it says. A record that does not hold together is none.
fn sighting<'a>(
    item: &'a [u8],
    places: &'a [Watch],
    reasons: Option<&mut Reasons>,
    clock: &Clock,
) -> Option<Sighting<'a>> {
    let (trace, rest) = match item.first()? {
        0 => (None, item),
        _ => (Some(read::<Trace>(item)?), item.get(size_of::<Trace>()..)?),
    };
    let record: Record = read(rest)?;
    let bytes = rest.get(size_of::<Record>()..)?.get(..record.captured as usize)?;
    let watch = places.get(record.namespace as usize)?;
    let hook = Hook::from_number(record.hook)?;
    let event = match (hook, trace) {
        (Hook::Drop, _) => reasons.map(|reasons| Event::KernelDrop {
            reason: reasons.reason(record.reason),
            function: reasons.place(record.location),
        }),
        (_, Some(trace)) => Event::from_trace(&trace, bytes),
        _ => None,
    };
    Some(Sighting {
        time: clock.time_of_day(record.time),
        host: watch.host(),
        interface: watch.name(record.ifindex).map_or("", |name| name),
        hook,
        event,
        wire_len: record.wire_len,
        bytes,
    })
}

/// A value of the ABI at the start of some bytes.
fn read<T: aya::Pod>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: there are enough bytes, and a Pod is valid for any of them.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// How many CPUs may come, which is how the kernel numbers them.
fn cpus() -> Result<u32> {
    const POSSIBLE: &str = "/sys/devices/system/cpu/possible";
    let read = |source| Error::Read { what: POSSIBLE.to_owned(), source };
    let text = fs::read_to_string(POSSIBLE).map_err(read)?;
    let last = text.trim().rsplit(['-', ',']).next().and_then(|last| last.parse::<u32>().ok());
    let last = last.ok_or_else(|| read(io::ErrorKind::InvalidData.into()))?;
    Ok(last + 1)
}
