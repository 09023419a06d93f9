//! The capture programs around the datapaths of one namespace.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::OwnedFd,
    panic::resume_unwind,
    thread,
    time::Duration,
};

use netlab_common::event::Instance;

use super::{
    Error, Hook, Result,
    object::{About, Linked, Program},
    options::Options,
};
use crate::{
    bpf,
    datapath::stages::{Stages, Tenant},
};

/// Those where the capture has a slot.
#[derive(Default)]
pub(super) struct Datapaths {
    /// By the number of their program at tc ingress; None for programs that are not netlab's.
    known: BTreeMap<u32, Option<Tenancy>>,
    /// Whether the capture has begun here: packets wait meanwhile.
    begun: bool,
}

/// Who visits.
pub(super) struct Visitor<'a> {
    pub linked: &'a Linked,
    pub options: &'a Options,
    /// Number of a link that ends with the capture.
    pub token: u32,
    /// What the namespace is called.
    pub host: &'a str,
    /// Its number in this capture.
    pub namespace: u32,
}

impl Datapaths {
    /// Takes a slot around each of netlab's datapaths among programs at tc ingress, by their
    /// numbers, and lets go of those that are gone. One that has no room does not keep it from
    /// the others.
    pub fn visit(&mut self, programs: &BTreeSet<u32>, visitor: &Visitor<'_>) -> Result<()> {
        self.known.retain(|id, _| programs.contains(id));
        let mut outcome = Ok(());
        for id in programs.iter().copied() {
            if self.known.contains_key(&id) {
                continue;
            }
            match visitor.visit(id, !self.begun) {
                Ok(tenancy) => drop(self.known.insert(id, tenancy)),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        self.begun = true;
        outcome
    }

    /// The slots; they are given back when they are dropped.
    pub fn into_tenancies(self) -> impl Iterator<Item = Tenancy> {
        self.known.into_values().flatten()
    }
}

impl Visitor<'_> {
    /// None where the program is not netlab's.
    fn visit(&self, id: u32, patient: bool) -> Result<Option<Tenancy>> {
        let program = match bpf::program_by_id(id) {
            // It has gone since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            program => program
                .map_err(|source| Error::Read { what: format!("BPF program {id}"), source })?,
        };
        let Some(stages) = Stages::of_program(&program) else { return Ok(None) };
        let full = || Error::Full { host: self.host.to_owned() };
        let mut tenancy = Tenancy::claim(stages, self.token, patient)?.ok_or_else(full)?;
        tenancy.programs = self.load(&tenancy)?;
        tenancy.stages.enter(tenancy.slot, &tenancy.programs).map_err(|source| Error::Attach {
            subject: format!("the datapath of {}", self.host),
            source,
        })?;
        Ok(Some(tenancy))
    }

    /// Loads the programs for a slot, all at the same time: each has the filter in it, and a
    /// large one takes the verifier a while.
    fn load(&self, tenancy: &Tenancy) -> Result<Tenant> {
        const PROGRAMS: [(Hook, Program); 4] = [
            (Hook::XdpIn, Program::XdpIn),
            (Hook::XdpOut, Program::XdpOut),
            (Hook::NatIn, Program::NatIn),
            (Hook::NatOut, Program::NatOut),
        ];
        let instance = Instance { namespace: self.namespace, headerless: 0, slot: tenancy.slot };
        let about = About { instance, stages: Some(&tenancy.stages) };
        let load = |(hook, program): (Hook, Program)| -> Result<Option<OwnedFd>> {
            let wanted = self.options.hooks.contains(&hook);
            wanted.then(|| self.linked.load(program, about)).transpose()
        };
        let [xdp_in, xdp_out, nat_in, nat_out] = thread::scope(|scope| {
            let threads = PROGRAMS.map(|program| scope.spawn(move || load(program)));
            threads.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        Ok(Tenant { xdp: [xdp_in?, xdp_out?], tc: [nat_in?, nat_out?] })
    }
}

/// A slot around a datapath's programs. It is given back when this is dropped.
pub(super) struct Tenancy {
    stages: Stages,
    slot: u32,
    token: u32,
    programs: Tenant,
}

impl Tenancy {
    /// None where there is no room; if `patient`, also after the agent has had the time to make
    /// some.
    fn claim(mut stages: Stages, token: u32, patient: bool) -> Result<Option<Self>> {
        const TRIES: u32 = 6;
        const PAUSE: Duration = Duration::from_millis(100);
        for attempt in 1.. {
            if let Some(slot) = stages.claim(token)? {
                return Ok(Some(Self { stages, slot, token, programs: Tenant::default() }));
            }
            if !patient || attempt == TRIES {
                break;
            }
            thread::sleep(PAUSE);
        }
        Ok(None)
    }
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        if !self.stages.has(self.slot, self.token) {
            return;
        }
        if let Err(error) = self.stages.leave(self.slot) {
            // The agent does it as soon as this process has ended.
            log::debug!("{error}");
        }
    }
}
