//! A capture that runs: where, what, and the sightings that come of it.

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::{AsFd as _, OwnedFd},
    panic::resume_unwind,
    thread::{self, JoinHandle},
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use netlab_common::{
    decision::Decision as Raw,
    event::{InterfaceKey, LossKey, MAX_SNAPLEN, Settings, Tally, hook::COUNT as HOOKS},
};
use tokio::io::unix::AsyncFd;

use super::{
    Error, Hook, Result, Sighting,
    btf::Btf,
    clock::Clock,
    decision::{Decision, Decisions},
    interfaces::Watch,
    layout::layout,
    object::Linked,
    options::{Options, Place},
    places::{Means, Places, Word},
    reasons::Reasons,
    record::sighting,
};
use crate::bpf::{self, Kind};

/// How often the ring is looked into when it does not fill up.
const LOOK: Duration = Duration::from_millis(20);

/// Packets that found no room in the ring.
#[derive(Clone, Copy, Debug)]
pub struct Loss<'a> {
    /// Where: it means the same as long as the capture runs, while names change.
    pub key: LossKey,
    /// The host, as of a [`Sighting`].
    pub host: &'a str,
    /// The interface, as of a [`Sighting`]; empty where none is known of that number.
    pub interface: &'a str,
    /// Where on it.
    pub hook: Hook,
    /// How many, since the capture began.
    pub count: u64,
}

/// A running capture. Everything that it attached goes with it.
pub struct Session {
    /// First: what is attached goes before what it was made of.
    places: Places,
    options: Options,
    settings: Settings,
    linked: Linked,
    ring: RingBuf<MapData>,
    /// Readable when the ring has filled up to where the reader is to be woken.
    filling: AsyncFd<OwnedFd>,
    reasons: Names,
    clock: Clock,
    /// What could not be attached to, and was told.
    told: BTreeSet<String>,
    /// A link by whose number others can tell whether this capture is still there.
    _token: OwnedFd,
    token: u32,
    drops: Option<Drops>,
    decisions: Decisions,
}

/// The program at the drop tracepoint.
struct Drops {
    program: OwnedFd,
    _link: OwnedFd,
    /// Drops that the kernel did not run it for: before the capture began, and while it ran.
    missed: (u64, u64),
}

/// The kernel's names for drops. Its types and symbols take a while to read: that is done while
/// the rest is attached, and waited for when the first drop is told.
pub(super) enum Names {
    /// Drops are not watched.
    None,
    Coming(JoinHandle<Reasons>),
    Here(Reasons),
}

impl Names {
    /// None where drops are not watched.
    pub fn get(&mut self) -> Option<&mut Reasons> {
        if let Self::Coming(_) = self
            && let Self::Coming(thread) = std::mem::replace(self, Self::None)
        {
            *self = Self::Here(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        match self {
            Self::Here(reasons) => Some(reasons),
            _ => None,
        }
    }
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
            places: Places::new(),
            reasons: Names::None,
            clock: Clock::new(),
            told: BTreeSet::new(),
            options,
            token: bpf::link_id(&token)
                .map_err(|source| Error::Read { what: "a BPF link".to_owned(), source })?,
            _token: token,
            drops: None,
            decisions: Decisions::default(),
        };
        if session.options.hooks.contains(&Hook::Drop) {
            session.watch_drops(&btf)?;
        }
        if !session.options.decisions.is_empty() {
            let addresses = &session.options.decisions;
            session.decisions = Decisions::watch(&session.linked, &btf, addresses);
        }
        for place in places {
            let (places, means) = session.places();
            places.add(place, &means).await?;
        }
        session.find_interfaces()?;
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
            .watched()
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

    /// Waits until there may be packets, keeping up with interfaces and namespaces that come and
    /// go.
    pub async fn wait(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            ready = self.filling.readable() => {
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
            }
            word = self.places.word() => self.keep_up(word).await,
        }
    }

    /// Attaches to what has come. What cannot be attached to is told once: the rest of the
    /// capture goes on.
    async fn keep_up(&mut self, word: Word) {
        self.clock.follow();
        let (places, means) = self.places();
        let outcome = match word {
            Word::Changed(number) => places.agree(number, &means).await,
            Word::Names => places.follow_names(&means).await,
        };
        if let Err(error) = outcome {
            let told = error.to_string();
            if !self.told.contains(&told) {
                log::warn!("{told}; the capture goes on without");
                self.told.insert(told);
            }
        }
    }

    /// The places, and what attaching there takes.
    fn places(&mut self) -> (&mut Places, Means<'_>) {
        let Self { places, linked, options, token, .. } = self;
        (places, Means { linked, options, token: *token })
    }

    /// Hands over what is in the ring, at most `most` records, and says how many there were.
    pub fn drain(&mut self, most: usize, mut see: impl FnMut(&Sighting<'_>)) -> usize {
        let Self { ring, places, reasons, clock, decisions, .. } = self;
        for count in 0..most {
            let Some(item) = ring.next() else { return count };
            if item.first() == Some(&Raw::TAG) {
                decisions.take(&item, places, clock);
                continue;
            }
            if let Some(sighting) = sighting(&item, places, reasons, clock) {
                see(&sighting);
            }
        }
        most
    }

    /// What the kernel has decided, among what was handed over since this was called before; and
    /// sentences about what this kernel does not tell.
    pub fn decisions(&mut self) -> (Vec<Decision>, &[String]) {
        (self.decisions.told(), &self.decisions.gaps)
    }

    /// Looks at no packet any more: what is in the ring now is the rest, and the counts stay.
    ///
    /// # Errors
    ///
    /// Where the map cannot be written.
    pub fn end(&mut self) -> Result<()> {
        self.settings.running = 0;
        self.linked.set(self.settings)?;
        await_programs();
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

    /// Packets that found no room in the ring, by where.
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn losses(&self) -> Result<Vec<Loss<'_>>> {
        let losses = self.linked.losses()?.into_iter();
        let named = losses.filter_map(|(key, count)| {
            let InterfaceKey { namespace, ifindex } = key.interface;
            Some(Loss {
                key,
                host: self.places.host(namespace)?,
                interface: self.places.interface(namespace, ifindex),
                hook: Hook::from_number(u8::try_from(key.hook).ok()?)?,
                count,
            })
        });
        Ok(named.collect())
    }

    /// Whether every interface that was named is at one of the places at least.
    fn find_interfaces(&self) -> Result<()> {
        let there =
            |name: &str| self.places.watched().any(|watch| watch.names().any(|it| it == name));
        let Some(name) = self.options.interfaces.names().iter().find(|name| !there(name)) else {
            return Ok(());
        };
        let hosts: Vec<_> = self.places.watched().map(Watch::host).collect();
        let place = hosts.join(", ");
        let known: BTreeSet<_> = self.places.watched().flat_map(Watch::names).collect();
        Err(Error::NoInterface {
            name: name.clone(),
            place: if place.is_empty() { "this namespace".to_owned() } else { place },
            known: Vec::from_iter(known).join(", "),
        })
    }

    fn watch_drops(&mut self, btf: &Btf) -> Result<()> {
        let tracepoint = btf.typedef("btf_trace_kfree_skb")?;
        let program = self.linked.load_drop(tracepoint)?;
        let link = bpf::attach_to_tracepoint(&program)
            .map_err(|source| Error::Attach { subject: "drops".to_owned(), source })?;
        self.reasons = Names::Coming(thread::spawn(Reasons::of_kernel));
        self.drops = Some(Drops { program, _link: link, missed: (0, 0) });
        Ok(())
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

/// Waits until programs that were at work already have ended: until every CPU has been outside
/// of the kernel's read-side critical sections, in which they run.
fn await_programs() {
    /// A program takes microseconds, and the machine that holds up its CPU some milliseconds.
    const AMPLE: Duration = Duration::from_millis(20);
    // SAFETY: takes plain integers.
    let refused =
        unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) } != 0;
    // Kernels with CPUs that have no tick (nohz_full) do not offer it.
    if refused {
        thread::sleep(AMPLE);
    }
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
