//! The room around the datapath's programs, in which captures are called.
//!
//! Law: whoever takes a slot first writes down, as its tenant, the number of a BPF link that
//! ends with the capture. So the agent can tell a slot whose capture is gone, however it went,
//! and empty it.
//!
//! Nothing is pinned: the kernel empties program arrays that no process holds, so what is in
//! them ends with the agent too.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use aya::maps::{HashMap, Map, MapData, MapError};
use netlab_common::event::{Trace, map, stage};

use super::{Error, Result, load::broken};
use crate::bpf;

/// `BPF_NOEXIST` of linux/bpf.h.
const NEW: u64 = 1;

/// The program arrays, where the datapath leaves word, and who is there to read it.
#[derive(Debug)]
pub struct Stages {
    xdp: MapData,
    tc: MapData,
    trace: MapData,
    tenants: HashMap<MapData, u32, u32>,
    /// A second handle to the tenants, for the kernel's calls.
    tenants_data: MapData,
}

/// A capture's programs for its slot.
#[derive(Debug, Default)]
pub(crate) struct Tenant {
    /// Before and after XDP.
    pub xdp: [Option<OwnedFd>; 2],
    /// After tc ingress and after tc egress.
    pub tc: [Option<OwnedFd>; 2],
}

impl Stages {
    /// From the maps of the datapath's own object.
    pub(super) fn gather(mut take: impl FnMut(&'static str) -> Result<Map>) -> Result<Self> {
        let mut data = |name| match take(name)? {
            Map::ProgramArray(data) | Map::HashMap(data) | Map::PerCpuArray(data) => Ok(data),
            _ => Err(Error::Missing(name)),
        };
        let (xdp, tc) = (data(map::XDP_STAGES)?, data(map::TC_STAGES)?);
        let (trace, tenants) = (data(map::TRACE)?, data(map::TENANTS)?);
        Self::new(xdp, tc, trace, tenants).map_err(broken("use", map::TENANTS))
    }

    fn new(
        xdp: MapData,
        tc: MapData,
        trace: MapData,
        tenants_data: MapData,
    ) -> Result<Self, MapError> {
        let second = tenants_data.fd().as_fd().try_clone_to_owned().map_err(MapError::IoError)?;
        let tenants = Map::from_map_data(MapData::from_fd(second)?)?.try_into()?;
        Ok(Self { xdp, tc, trace, tenants, tenants_data })
    }

    /// Puts XDP's own program behind the captures, and ties what the program at tc ingress does
    /// not use itself to it: that program is what captures find all of this by.
    pub(super) fn set_up(&self, main: BorrowedFd<'_>, ingress: BorrowedFd<'_>) -> Result<()> {
        bpf::set_slot(self.xdp.fd().as_fd(), stage::MAIN, main)
            .map_err(|source| Error::Stages { operation: "fill", source })?;
        for map in [&self.xdp, &self.tenants_data] {
            bpf::bind_map(ingress, map.fd().as_fd())
                .map_err(|source| Error::Stages { operation: "bind", source })?;
        }
        Ok(())
    }

    /// Those that a program at tc belongs to; None where it is not netlab's at ingress, or of a
    /// version that had none.
    pub(crate) fn of_program(program: &OwnedFd) -> Option<Self> {
        let ids = bpf::maps_of(program).ok()?;
        let maps: Vec<MapData> =
            ids.into_iter().filter_map(|id| MapData::from_id(id).ok()).collect();
        let find = |name: &str, value: usize| {
            maps.iter().find(|data| {
                data.info().is_ok_and(|info| {
                    info.name() == name.as_bytes() && info.value_size() as usize == value
                })
            })
        };
        let own =
            |data: &MapData| MapData::from_fd(data.fd().as_fd().try_clone_to_owned().ok()?).ok();
        let word = size_of::<u32>();
        Self::new(
            own(find(map::XDP_STAGES, word)?)?,
            own(find(map::TC_STAGES, word)?)?,
            own(find(map::TRACE, size_of::<Trace>())?)?,
            own(find(map::TENANTS, word)?)?,
        )
        .ok()
    }

    /// The program arrays around XDP and after tc, and the map in which the datapath leaves word.
    pub(crate) const fn maps(&self) -> [&MapData; 3] {
        [&self.xdp, &self.tc, &self.trace]
    }

    /// Takes a free slot for the capture with which the link ends. None where all are taken.
    ///
    /// Who evicts looks at a tenant and removes it in two steps. So this does not evict: that is
    /// for the agent alone, which does it several times a second.
    pub(crate) fn claim(&mut self, link: u32) -> Result<Option<u32>> {
        for slot in 0..stage::CAPTURES {
            match self.tenants.insert(slot, link, NEW) {
                Ok(()) => return Ok(Some(slot)),
                Err(error) if is(&error, io::ErrorKind::AlreadyExists) => {}
                Err(source) => return Err(broken("write", map::TENANTS)(source)),
            }
        }
        Ok(None)
    }

    /// Lets the programs into a slot that was claimed.
    pub(crate) fn enter(&self, slot: u32, programs: &Tenant) -> io::Result<()> {
        for (stages, programs) in [(&self.xdp, &programs.xdp), (&self.tc, &programs.tc)] {
            for (first, program) in [stage::IN, stage::OUT].into_iter().zip(programs) {
                if let Some(program) = program {
                    bpf::set_slot(stages.fd().as_fd(), first + slot, program.as_fd())?;
                }
            }
        }
        Ok(())
    }

    /// Whether the slot is still that of the capture with which the link ends.
    pub(crate) fn has(&self, slot: u32, link: u32) -> bool {
        self.tenants.get(&slot, 0).is_ok_and(|tenant| tenant == link)
    }

    /// Empties a slot.
    pub(crate) fn leave(&mut self, slot: u32) -> Result<()> {
        for stages in [&self.xdp, &self.tc] {
            for first in [stage::IN, stage::OUT] {
                bpf::clear_slot(stages.fd().as_fd(), first + slot)
                    .map_err(|source| Error::Stages { operation: "empty", source })?;
            }
        }
        // Last: the slot is not to be claimed before it is empty.
        match self.tenants.remove(&slot) {
            Err(error) if !is(&error, io::ErrorKind::NotFound) && !is_gone(&error) => {
                Err(broken("write", map::TENANTS)(error))
            }
            _ => Ok(()),
        }
    }

    /// Empties the slots whose captures are gone. For the agent alone.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn evict(&mut self) -> Result<()> {
        let gone: Vec<u32> = self
            .tenants
            .iter()
            .filter_map(Result::<_, MapError>::ok)
            .filter(|(_, link)| !bpf::link_exists(*link))
            .map(|(slot, _)| slot)
            .collect();
        gone.into_iter().try_for_each(|slot| self.leave(slot))
    }
}

fn is_gone(error: &MapError) -> bool {
    matches!(error, MapError::KeyNotFound)
}

fn is(error: &MapError, kind: io::ErrorKind) -> bool {
    match error {
        MapError::SyscallError(error) => error.io_error.kind() == kind,
        _ => false,
    }
}
