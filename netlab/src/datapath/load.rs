//! Loading the eBPF object that the binary carries.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::AsFd as _,
    path::Path,
};

use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{Array, HashMap, Map, MapData, PerCpuArray},
    programs::{Program, ProgramError, ProgramFd, SchedClassifier, Xdp, loaded_programs},
};
use netlab_common::{
    abi::{
        self, Backend, BackendKey, Config, CtEntry, Frontend, FrontendKey, Vtep, VtepKey, hook, map,
    },
    counters::Counters,
    flow::{Addr, FlowKey},
};

use super::{Error, Result, pins, stages::Stages};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netlab-datapath"));

/// Maps that are pinned: all that have a name in the ABI.
const PINNED: [&str; 7] = [
    map::CONFIG,
    map::FRONTENDS,
    map::BACKENDS,
    map::NODE_ADDRESSES,
    map::CONNTRACK,
    map::VTEPS,
    map::COUNTERS,
];

/// The program names in the object.
pub mod program {
    /// What all names begin with.
    pub const PREFIX: &str = "netlab_";
    /// XDP at an uplink: lets captures in, and calls the next.
    pub const XDP: &str = "netlab_xdp";
    /// XDP's work.
    pub const XDP_MAIN: &str = "netlab_xdp_main";
    /// tc ingress at an uplink and at the VXLAN device.
    pub const TC_INGRESS: &str = "netlab_tc_ingress";
    /// tc egress, as ingress.
    pub const TC_EGRESS: &str = "netlab_tc_egress";
}

/// Loaded programs; attached ones are detached when this is dropped.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
    /// What the programs call. The kernel empties them when nobody holds them.
    stages: Stages,
}

/// What a program costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// As named in the object.
    pub program: String,
    /// Instructions that the verifier walked through, on all paths; it gives up at a million.
    pub verified: u32,
    /// Bytes of machine code.
    pub compiled: u32,
}

/// The maps, by what is in them.
pub struct Maps {
    /// One element.
    pub config: Array<MapData, Config>,
    /// See [`netlab_common::abi::map`], as for the following.
    pub frontends: HashMap<MapData, FrontendKey, Frontend>,
    /// Slots of Services.
    pub backends: HashMap<MapData, BackendKey, Backend>,
    /// Addresses on which node ports answer.
    pub node_addresses: HashMap<MapData, Addr, u32>,
    /// Both directions of every connection.
    pub conntrack: HashMap<MapData, FlowKey, CtEntry>,
    /// The VXLAN device's FDB.
    pub vteps: HashMap<MapData, VtepKey, Vtep>,
    /// By [`hook`].
    pub counters: PerCpuArray<MapData, Counters>,
}

/// Loads maps and programs; maps that are pinned below `pins` already are taken from
/// there with what is in them, the others are pinned.
///
/// `conntrack_max` is the number of conntrack entries, two a connection.
///
/// # Errors
///
/// Where the kernel refuses.
pub fn load(pins: Option<&Path>, conntrack_max: u32) -> Result<(Programs, Maps)> {
    let mut loader = EbpfLoader::new();
    loader.map_max_entries(map::CONNTRACK, conntrack_max);
    if let Some(pins) = pins {
        let folder = pins::prepare(pins)?;
        drop_other_size(&folder.join(map::CONNTRACK), conntrack_max)?;
        for name in PINNED {
            loader.map_pin_path(name, folder.join(name));
        }
    }
    let mut ebpf = loader.load(OBJECT).map_err(|error| Error::Load(Box::new(error)))?;
    for (name, program) in ebpf.programs_mut() {
        let loaded = match program {
            Program::Xdp(program) => program.load(),
            Program::SchedClassifier(program) => program.load(),
            _ => Ok(()),
        };
        loaded.map_err(|source| Error::Program {
            operation: "load",
            subject: name.to_owned(),
            source: Box::new(source),
        })?;
    }
    let mut take = |name| ebpf.take_map(name).ok_or(Error::Missing(name));
    let maps = Maps::gather(&mut take)?;
    let stages = Stages::gather(take)?;
    let (main, ingress) = (fd(&ebpf, program::XDP_MAIN)?, fd(&ebpf, program::TC_INGRESS)?);
    stages.set_up(main.as_fd(), ingress.as_fd())?;
    Ok((Programs { ebpf, stages }, maps))
}

fn fd<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a ProgramFd> {
    let program = ebpf.program(name).ok_or(Error::Missing(name))?;
    program.fd().map_err(|source| Error::Program {
        operation: "use",
        subject: name.to_owned(),
        source: Box::new(source),
    })
}

/// Unpins a conntrack table of another size than the one asked for, which would be taken
/// over otherwise. Its connections are lost with it.
fn drop_other_size(pin: &Path, wanted: u32) -> Result<()> {
    let Ok(table) = MapData::from_pin(pin) else { return Ok(()) };
    let info = table.info().map_err(broken("look at", map::CONNTRACK))?;
    if info.max_entries() == wanted {
        return Ok(());
    }
    log::warn!("conntrack had room for {} entries and starts anew", info.max_entries());
    std::fs::remove_file(pin).map_err(|error| pins::failed("remove", pin, error))
}

impl Maps {
    /// Opens the maps that an agent has pinned below `pins`.
    ///
    /// # Errors
    ///
    /// Where no agent has, or not with this ABI version.
    pub fn open(pins: &Path) -> Result<Self> {
        let folder = pins::versioned(pins);
        Self::gather(|name| {
            let data = MapData::from_pin(folder.join(name)).map_err(broken("open", name))?;
            Ok(typed(name, data))
        })
    }

    /// Opens the maps that programs of netlab's use which are attached, given by their numbers,
    /// wherever an agent has pinned them. None where they are others, of another ABI version, or
    /// have not been told their node yet.
    ///
    /// # Errors
    ///
    /// Where the kernel does not show them: it needs CAP_SYS_ADMIN.
    pub fn of_programs(attached: &BTreeSet<u32>) -> Result<Option<Self>> {
        let mut found = maps_of(attached)?;
        if !PINNED.iter().all(|name| found.contains_key(*name)) {
            return Ok(None);
        }
        let maps = Self::gather(|name| {
            let data = found.remove(name).ok_or(Error::Missing(name))?;
            Ok(typed(name, data))
        })?;
        let config = maps.config.get(&0, 0).map_err(broken("read", map::CONFIG))?;
        Ok((config.version == abi::VERSION).then_some(maps))
    }

    fn gather(mut take: impl FnMut(&'static str) -> Result<Map>) -> Result<Self> {
        Ok(Self {
            config: take(map::CONFIG)?.try_into().map_err(broken("use", map::CONFIG))?,
            frontends: take(map::FRONTENDS)?.try_into().map_err(broken("use", map::FRONTENDS))?,
            backends: take(map::BACKENDS)?.try_into().map_err(broken("use", map::BACKENDS))?,
            node_addresses: take(map::NODE_ADDRESSES)?
                .try_into()
                .map_err(broken("use", map::NODE_ADDRESSES))?,
            conntrack: take(map::CONNTRACK)?.try_into().map_err(broken("use", map::CONNTRACK))?,
            vteps: take(map::VTEPS)?.try_into().map_err(broken("use", map::VTEPS))?,
            counters: take(map::COUNTERS)?.try_into().map_err(broken("use", map::COUNTERS))?,
        })
    }

    /// What each hook has counted, over all CPUs, in the order of [`hook::NAMES`].
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn counters(&self) -> Result<[Counters; hook::COUNT as usize]> {
        let mut sums = [Counters::default(); hook::COUNT as usize];
        for (index, sum) in (0..).zip(&mut sums) {
            let cpus = self.counters.get(&index, 0).map_err(broken("read", map::COUNTERS))?;
            cpus.iter().for_each(|cpu| sum.merge(cpu));
        }
        Ok(sums)
    }
}

fn typed(name: &str, data: MapData) -> Map {
    match name {
        map::CONFIG => Map::Array(data),
        map::CONNTRACK => Map::LruHashMap(data),
        map::COUNTERS => Map::PerCpuArray(data),
        _ => Map::HashMap(data),
    }
}

/// By name, the maps of these programs, and of those of netlab's that share a map with them: what
/// is attached calls others, which have maps of their own.
fn maps_of(attached: &BTreeSet<u32>) -> Result<BTreeMap<String, MapData>> {
    let unshown = |source| Error::Program {
        operation: "look at",
        subject: "the programs of netlab".to_owned(),
        source: Box::new(source),
    };
    let mut programs: Vec<(u32, BTreeSet<u32>)> = Vec::new();
    for program in loaded_programs() {
        let program = match program {
            Err(error) if is_gone(&error) => continue,
            other => other.map_err(unshown)?,
        };
        if program.name().starts_with(program::PREFIX.as_bytes()) {
            let maps = match program.map_ids() {
                Err(error) if is_gone(&error) => continue,
                other => other.map_err(unshown)?.unwrap_or_default(),
            };
            programs.push((program.id(), maps.into_iter().collect()));
        }
    }
    let own = programs.iter().filter(|(id, _)| attached.contains(id));
    let mut maps: BTreeSet<u32> = own.flat_map(|(_, maps)| maps).copied().collect();
    loop {
        let before = maps.len();
        for (_, others) in &programs {
            if !others.is_disjoint(&maps) {
                maps.extend(others);
            }
        }
        if maps.len() == before {
            break;
        }
    }
    let mut found = BTreeMap::new();
    for id in maps {
        // One that has gone meanwhile is missed by name.
        let Ok(data) = MapData::from_id(id) else { continue };
        let info = data.info().map_err(broken("look at", "of a program"))?;
        let name = String::from_utf8_lossy(info.name()).into_owned();
        found.insert(name, data);
    }
    Ok(found)
}

/// Whether a program was unloaded while it was looked at, as others do with theirs all the time.
fn is_gone(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(call) = error else { return false };
    call.io_error.kind() == io::ErrorKind::NotFound
}

/// What to make of a map's refusal: what was tried, as a verb, on which map.
pub(crate) fn broken(
    operation: &'static str,
    map: &'static str,
) -> impl Fn(aya::maps::MapError) -> Error {
    move |source| Error::Map { operation, map, source: Box::new(source) }
}

impl Programs {
    /// The program at XDP.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], in a binary that was built wrongly.
    pub fn xdp(&mut self) -> Result<&mut Xdp> {
        let program = self.ebpf.program_mut(program::XDP);
        program.and_then(|program| program.try_into().ok()).ok_or(Error::Missing(program::XDP))
    }

    /// What each program costs, by name.
    ///
    /// # Errors
    ///
    /// Where the kernel does not tell.
    pub fn sizes(&self) -> Result<Vec<Size>> {
        let sizes = self.ebpf.programs().map(|(name, program)| {
            let info = program.info().map_err(|source| Error::Program {
                operation: "look at",
                subject: name.to_owned(),
                source: Box::new(source),
            })?;
            let verified = info.verified_instruction_count().unwrap_or_default();
            let compiled = info.size_jitted();
            Ok(Size { program: name.to_owned(), verified, compiled })
        });
        let mut sizes: Vec<Size> = sizes.collect::<Result<_>>()?;
        sizes.sort_by(|a, b| a.program.cmp(&b.program));
        Ok(sizes)
    }

    /// Makes room again where a capture has ended without doing so: it was killed.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn evict(&mut self) -> Result<()> {
        self.stages.evict()
    }

    /// The program at tc ingress or egress, by its name.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], in a binary that was built wrongly.
    pub fn tc(&mut self, name: &'static str) -> Result<&mut SchedClassifier> {
        let program = self.ebpf.program_mut(name);
        program.and_then(|program| program.try_into().ok()).ok_or(Error::Missing(name))
    }
}
