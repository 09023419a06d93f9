//! The object of the capture programs: its maps made, a filter put in, its programs loaded.
//!
//! A filter is code. The object calls a function `netlab_filter`; that of the capture takes its
//! place before the object's functions are linked, so each program that is loaded carries the
//! filter, and nothing has to interpret one while packets pass.
//!
//! What is attached to interfaces is small, and loaded once for each namespace: it calls the one
//! program there that has the filter. What is called by a datapath has the filter in it.

use std::{
    collections::{HashMap, HashSet},
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use aya::{
    include_bytes_aligned,
    maps::{Array, HashMap as BpfHashMap, Map, MapData, PerCpuArray, PerCpuHashMap, RingBuf},
};
use aya_obj::{Object, generated::bpf_insn};
use netlab_common::{
    decision::{self, Layout, MOST_ADDRESSES},
    event::{Instance, InterfaceKey, LossKey, Settings, Tally, hook, map},
    flow::Addr,
};

use super::{Error, Result};
use crate::{
    bpf::{self, Kind},
    datapath::stages::Stages,
};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netlab-capture"));

/// The function whose place the filter takes.
const FILTER: &str = "netlab_filter";

/// What the names of all programs of captures begin with.
pub(super) const PREFIX: &str = "capture_";

/// The programs of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// An interface's way in.
    TcIn,
    /// An interface's way out.
    TcOut,
    /// What these call.
    TcLook,
    /// After the datapath's program at tc ingress.
    NatIn,
    /// After the datapath's program at tc egress.
    NatOut,
    /// Before the datapath's XDP program.
    XdpIn,
    /// After it.
    XdpOut,
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::TcIn => "capture_tc_in",
            Self::TcOut => "capture_tc_out",
            Self::NatIn => "capture_nat_in",
            Self::NatOut => "capture_nat_out",
            Self::XdpIn => "capture_xdp_in",
            Self::XdpOut => "capture_xdp_out",
            Self::TcLook => "capture_tc_look",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::XdpIn | Self::XdpOut => Kind::Xdp,
            _ => Kind::Classifier,
        }
    }
}

/// The program at the drop tracepoint, which has a filter of its own.
const DROP: &str = "capture_drop";

/// Maps that exist once.
const SHARED: [&str; 10] = [
    map::RING,
    map::SETTINGS,
    map::NAMESPACES,
    map::INTERFACES,
    map::TALLY,
    map::LOSSES,
    map::BUFFERS,
    map::TC_LOOK,
    decision::map::DECISIONS,
    decision::map::ADDRESSES,
];

/// Maps of the datapath that is watched, in the order of [`Stages::maps`].
const WATCHED: [&str; 3] = [map::XDP_STAGES, map::TC_STAGES, map::TRACE];

/// The object with a filter in it, and the maps that all its programs share.
pub(super) struct Linked {
    object: Object,
    shared: HashMap<&'static str, MapData>,
    /// For programs that watch no datapath: they never read these maps, but have to have them.
    unwatched: [MapData; WATCHED.len()],
}

/// What a program instance is about.
#[derive(Clone, Copy, Default)]
pub(super) struct About<'a> {
    /// Where it works.
    pub instance: Instance,
    /// The datapath that it watches, if it does.
    pub stages: Option<&'a Stages>,
}

impl Linked {
    /// Makes the shared maps, with a ring of `ring` bytes (a power of two and a multiple of the
    /// page size), and puts the filter in.
    pub fn new(filter: Vec<bpf_insn>, ring: u32, cpus: u32, settings: Settings) -> Result<Self> {
        let mut object = Object::parse(OBJECT).map_err(|_| Error::Object("a readable form"))?;
        let function = object.functions.values_mut().find(|function| function.name == FILTER);
        let function = function.ok_or(Error::Object(FILTER))?;
        function.instructions = filter;
        // Relocations belong to places in the object's sections: none is meant for this code.
        function.section_index.0 = usize::MAX;
        if let Some(map) = object.maps.get_mut(map::RING) {
            map.set_max_entries(ring);
        }
        if let Some(map) = object.maps.get_mut(map::BUFFERS) {
            map.set_max_entries(2 * cpus);
        }
        let make = |name: &'static str| Ok((name, make(&object, name)?));
        let shared = SHARED.into_iter().map(make).collect::<Result<_>>()?;
        let [xdp, tc, trace] = WATCHED;
        let unwatched =
            [self::make(&object, xdp)?, self::make(&object, tc)?, self::make(&object, trace)?];
        let linked = Self { object, shared, unwatched };
        linked.set(settings)?;
        linked.set_look()?;
        Ok(linked)
    }

    /// Tells the programs what to do.
    pub fn set(&self, settings: Settings) -> Result<()> {
        let mut map: Array<MapData, Settings> =
            self.open(map::SETTINGS)?.try_into().map_err(use_of(map::SETTINGS))?;
        map.set(0, settings, 0).map_err(|source| Error::map("write", map::SETTINGS, source))
    }

    /// The ring buffer.
    pub fn ring(&self) -> Result<RingBuf<MapData>> {
        self.open(map::RING)?.try_into().map_err(use_of(map::RING))
    }

    /// Inode numbers of namespaces to their numbers.
    pub fn namespaces(&self) -> Result<BpfHashMap<MapData, u32, u32>> {
        self.open(map::NAMESPACES)?.try_into().map_err(use_of(map::NAMESPACES))
    }

    /// The interfaces asked for.
    pub fn interfaces(&self) -> Result<BpfHashMap<MapData, InterfaceKey, u32>> {
        self.open(map::INTERFACES)?.try_into().map_err(use_of(map::INTERFACES))
    }

    /// What the hooks counted, over all CPUs, by their numbers.
    pub fn tallies(&self) -> Result<[Tally; hook::COUNT]> {
        let map: PerCpuArray<MapData, Tally> =
            self.open(map::TALLY)?.try_into().map_err(use_of(map::TALLY))?;
        let mut sums = [Tally::default(); hook::COUNT];
        for (index, sum) in (0..).zip(&mut sums) {
            let cpus = map.get(&index, 0);
            let cpus = cpus.map_err(|source| Error::map("read", map::TALLY, source))?;
            cpus.iter().for_each(|cpu| sum.merge(cpu));
        }
        Ok(sums)
    }

    /// Packets that were lost, by where.
    pub fn losses(&self) -> Result<Vec<(LossKey, u64)>> {
        let map: PerCpuHashMap<MapData, LossKey, u64> =
            self.open(map::LOSSES)?.try_into().map_err(use_of(map::LOSSES))?;
        let sums = map.iter().map(|entry| entry.map(|(key, cpus)| (key, cpus.iter().sum())));
        let sums: Result<Vec<_>, _> = sums.collect();
        sums.map_err(|source| Error::map("read", map::LOSSES, source))
    }

    /// Loads an instance of a program.
    pub fn load(&self, program: Program, about: About<'_>) -> Result<OwnedFd> {
        self.load_by_name(program.name(), program.kind(), about)
    }

    /// Loads the program for drops; `tracepoint` is the number of its typedef.
    pub fn load_drop(&self, tracepoint: u32) -> Result<OwnedFd> {
        self.load_tracing(DROP, tracepoint)
    }

    /// Loads a program for a tracepoint, by the number of its typedef.
    pub fn load_tracing(&self, name: &'static str, tracepoint: u32) -> Result<OwnedFd> {
        self.load_by_name(name, Kind::Tracepoint(tracepoint), About::default())
    }

    /// Says about which addresses decisions are to be told, and where the kernel keeps what. Of
    /// more addresses than there is room for, the rest is left out.
    pub fn ask(&self, layout: Layout, addresses: impl Iterator<Item = Addr>) -> Result<()> {
        let name = decision::map::DECISIONS;
        let mut map: Array<MapData, Layout> = self.open(name)?.try_into().map_err(use_of(name))?;
        map.set(0, layout, 0).map_err(|source| Error::map("write", name, source))?;
        let name = decision::map::ADDRESSES;
        let mut map: BpfHashMap<MapData, [u8; 16], u32> =
            self.open(name)?.try_into().map_err(use_of(name))?;
        for address in addresses.take(MOST_ADDRESSES as usize) {
            map.insert(address.0, 0, 0).map_err(|source| Error::map("write", name, source))?;
        }
        Ok(())
    }

    /// Puts the program that looks at packets where those at interfaces find it. The kernel
    /// keeps it as long as it is there.
    fn set_look(&self) -> Result<()> {
        let program = self.load(Program::TcLook, About::default())?;
        let array = self.shared.get(map::TC_LOOK).ok_or(Error::Object(map::TC_LOOK))?;
        bpf::set_slot(array.fd().as_fd(), 0, program.as_fd())
            .map_err(|source| Error::Load { program: Program::TcLook.name(), source })
    }

    fn load_by_name(&self, name: &'static str, kind: Kind, about: About<'_>) -> Result<OwnedFd> {
        let mut object = self.object.clone();
        let instance = make(&object, map::INSTANCE)?;
        write_instance(&instance, about.instance)?;
        let watched = match about.stages {
            Some(stages) => stages.maps(),
            None => self.unwatched.each_ref(),
        };
        let shared = self.shared.iter().map(|(name, data)| (*name, data));
        let maps =
            shared.chain([(map::INSTANCE, &instance)]).chain(WATCHED.into_iter().zip(watched));
        let described = |name| self.object.maps.get(name).ok_or(Error::Object(name));
        let maps = maps
            .map(|(name, data)| Ok((name, data.fd().as_fd().as_raw_fd(), described(name)?)))
            .collect::<Result<Vec<_>>>()?;
        let sections: HashSet<usize> =
            object.functions.keys().map(|(section, _)| *section).collect();
        let refused = |_| Error::Object("relocations that fit");
        object
            .relocate_maps(maps.iter().map(|(name, fd, map)| (*name, *fd, *map)), &sections)
            .map_err(refused)?;
        object.relocate_calls(&sections).map_err(refused)?;
        let found = object.programs.get(name).ok_or(Error::Object(name))?;
        let function = object.functions.get(&found.function_key()).ok_or(Error::Object(name))?;
        bpf::load(name, kind, &function.instructions, &found.license)
            .map_err(|source| Error::Load { program: name, source })
    }

    /// A second handle to a shared map.
    fn open(&self, name: &'static str) -> Result<Map> {
        second(self.shared.get(name).ok_or(Error::Object(name))?, name)
    }
}

fn make(object: &Object, name: &'static str) -> Result<MapData> {
    let described = object.maps.get(name).ok_or(Error::Object(name))?;
    MapData::create(described.clone(), name, None)
        .map_err(|source| Error::map("make", name, source))
}

fn write_instance(map: &MapData, instance: Instance) -> Result<()> {
    let mut array: Array<MapData, Instance> =
        second(map, map::INSTANCE)?.try_into().map_err(use_of(map::INSTANCE))?;
    array.set(0, instance, 0).map_err(|source| Error::map("write", map::INSTANCE, source))
}

fn second(data: &MapData, name: &'static str) -> Result<Map> {
    let fd = data.fd().as_fd().try_clone_to_owned();
    let fd = fd.map_err(|source| Error::Read { what: name.to_owned(), source })?;
    MapData::from_fd(fd)
        .and_then(Map::from_map_data)
        .map_err(|source| Error::map("open", name, source))
}

fn use_of(name: &'static str) -> impl Fn(aya::maps::MapError) -> Error {
    move |source| Error::map("use", name, source)
}
