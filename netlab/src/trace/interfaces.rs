//! The capture programs in one namespace: attached to what is there now, again and again.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    os::fd::{AsFd as _, OwnedFd},
    panic::resume_unwind,
    sync::Arc,
    thread::{self, ScopedJoinHandle},
};

use aya_obj::generated::bpf_attach_type;
use netlab_common::event::Instance;

use super::{
    Error, Hook, Result,
    datapaths::{Datapaths, Tenancy, Visitor},
    object::{self, About, Linked, Program},
    options::Options,
};
use crate::{
    bpf::{self, Position},
    netlink::{Connection, Link},
};

/// What is attached in one namespace.
pub(super) struct Watch {
    /// What the namespace is called.
    name: Arc<str>,
    /// Its number in this capture.
    number: u32,
    connection: Connection,
    /// Loaded once they are needed, by whether packets lack an Ethernet header.
    classifiers: BTreeMap<(bool, Hook), OwnedFd>,
    /// By interface index.
    interfaces: BTreeMap<u32, Vec<OwnedFd>>,
    datapaths: Datapaths,
    names: BTreeMap<u32, Arc<str>>,
}

/// Whether programs that are no capture's come before `own`. Captures do not mind each other:
/// they would change places for ever.
fn is_behind_others<'a>(programs: impl Iterator<Item = &'a u32>, own: Option<u32>) -> bool {
    let mut before = Vec::new();
    for program in programs {
        if Some(*program) == own {
            let is_other = |id: &u32| {
                bpf::program_name(*id).is_some_and(|name| !name.starts_with(object::PREFIX))
            };
            return before.iter().any(is_other);
        }
        before.push(*program);
    }
    false
}

/// Where tcpdump's point of view is.
const fn position(hook: Hook) -> Position {
    match hook {
        Hook::TcOut => Position::EgressTail,
        _ => Position::IngressHead,
    }
}

/// One thing that is attached.
#[expect(dead_code, reason = "held to be dropped")]
pub(super) enum Attached {
    Link(OwnedFd),
    Slot(Box<Tenancy>),
}

impl Watch {
    pub fn new(name: Arc<str>, number: u32, connection: Connection) -> Self {
        Self {
            name,
            number,
            connection,
            classifiers: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            datapaths: Datapaths::default(),
            names: BTreeMap::new(),
        }
    }

    /// What the namespace is called.
    pub fn host(&self) -> &str {
        &self.name
    }

    /// The name of an interface, as it was when it was last seen.
    pub fn name(&self, ifindex: u32) -> Option<&Arc<str>> {
        self.names.get(&ifindex)
    }

    /// The names of all interfaces that have been here.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.values().map(|name| &**name)
    }

    /// What the namespace is called, and all interfaces that have been here, for when it is gone.
    pub fn all_names(&self) -> (Arc<str>, BTreeMap<u32, Arc<str>>) {
        (Arc::clone(&self.name), self.names.clone())
    }

    /// Indices of the interfaces that are captured on.
    pub fn selected(&self) -> impl Iterator<Item = u32> {
        self.interfaces.keys().copied()
    }

    /// Attaches to what has appeared and lets go of what is gone. `token` is the number of a
    /// link that ends with this capture.
    pub async fn agree(&mut self, linked: &Linked, options: &Options, token: u32) -> Result<()> {
        let links = self.connection.links().await?;
        for link in &links {
            self.names.insert(link.index, link.name.as_str().into());
        }
        let wanted: Vec<&Link> =
            links.iter().filter(|link| options.interfaces.contains(link)).collect();
        self.interfaces.retain(|index, _| wanted.iter().any(|link| link.index == *index));
        self.let_go_of_misplaced(&wanted)?;
        let is_new = |link: &&&Link| !self.interfaces.contains_key(&link.index);
        let new: Vec<&Link> = wanted.iter().filter(is_new).copied().collect();
        self.attach(linked, options, &new)?;
        if options.hooks.iter().any(|hook| hook.is_of_datapath()) {
            self.visit_datapaths(linked, options, &wanted, token)?;
        }
        Ok(())
    }

    /// Lets go of interfaces where another program has come in front of the capture's on the
    /// way in, or behind it on the way out: a restarted agent's, for instance.
    fn let_go_of_misplaced(&mut self, links: &[&Link]) -> Result<()> {
        let own = |hook: Hook, link: &Link| {
            let program = self.classifiers.get(&(!link.ethernet, hook))?;
            bpf::program_id(program).ok()
        };
        let attached = links.iter().filter(|link| self.interfaces.contains_key(&link.index));
        let expected: Vec<_> = attached
            .map(|link| (link.index, own(Hook::TcIn, link), own(Hook::TcOut, link)))
            .collect();
        if expected.is_empty() {
            return Ok(());
        }
        let misplaced: Vec<u32> = self.connection.netns().run(|| {
            let is_misplaced = |(index, first, last): &(u32, Option<u32>, Option<u32>)| {
                let at = |attach| bpf::programs_at(*index, attach).unwrap_or_default();
                let ingress = at(bpf_attach_type::BPF_TCX_INGRESS);
                let egress = at(bpf_attach_type::BPF_TCX_EGRESS);
                is_behind_others(ingress.iter(), *first)
                    || is_behind_others(egress.iter().rev(), *last)
            };
            expected.into_iter().filter(is_misplaced).map(|(index, ..)| index).collect()
        })?;
        for index in misplaced {
            self.interfaces.remove(&index);
        }
        Ok(())
    }

    /// Attaches to interfaces, to all of them at the same time: for each link the kernel waits
    /// until no CPU is left in what was there before. None but the links hold the programs then.
    fn attach(&mut self, linked: &Linked, options: &Options, links: &[&Link]) -> Result<()> {
        let mut work = Vec::new();
        for link in links {
            self.interfaces.entry(link.index).or_default();
            for hook in [Hook::TcIn, Hook::TcOut] {
                if options.hooks.contains(&hook) {
                    let program = self.classifier(linked, hook, !link.ethernet)?.as_fd();
                    let program = program.try_clone_to_owned().map_err(|source| Error::Attach {
                        subject: format!("{hook} of {}", link.name),
                        source,
                    })?;
                    work.push((*link, hook, program));
                }
            }
        }
        let outcomes = self.connection.netns().run(|| {
            thread::scope(|scope| {
                let attach = |(link, hook, program): (&Link, Hook, OwnedFd)| {
                    let position = position(hook);
                    let index = link.index;
                    let attach = move || bpf::attach_to_interface(&program, index, position);
                    (link.index, hook, link.name.clone(), scope.spawn(attach))
                };
                let threads: Vec<_> = work.into_iter().map(attach).collect();
                let join =
                    |(index, hook, name, thread): (u32, Hook, String, ScopedJoinHandle<'_, _>)| {
                        (index, hook, name, thread.join())
                    };
                threads.into_iter().map(join).collect::<Vec<_>>()
            })
        })?;
        for (index, hook, name, outcome) in outcomes {
            match outcome.unwrap_or_else(|panic| resume_unwind(panic)) {
                Ok(attached) => self.interfaces.entry(index).or_default().push(attached),
                // It has gone since it was listed.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(source) => {
                    return Err(Error::Attach { subject: format!("{hook} of {name}"), source });
                }
            }
        }
        Ok(())
    }

    /// Everything that is attached. It is detached when it is dropped, and the kernel takes
    /// its time about each.
    pub fn take_attached(&mut self) -> Vec<Attached> {
        let links = std::mem::take(&mut self.interfaces).into_values().flatten();
        let slots = std::mem::take(&mut self.datapaths).into_tenancies();
        links.map(Attached::Link).chain(slots.map(|slot| Attached::Slot(Box::new(slot)))).collect()
    }

    fn classifier(&mut self, linked: &Linked, hook: Hook, headerless: bool) -> Result<&OwnedFd> {
        let namespace = self.number;
        let instance = Instance { namespace, headerless: headerless.into(), slot: 0 };
        let program = if hook == Hook::TcIn { Program::TcIn } else { Program::TcOut };
        match self.classifiers.entry((headerless, hook)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let about = About { instance, stages: None };
                Ok(entry.insert(linked.load(program, about)?))
            }
        }
    }

    /// Takes a slot around each of netlab's datapaths at these interfaces. A datapath may serve
    /// several interfaces.
    fn visit_datapaths(
        &mut self,
        linked: &Linked,
        options: &Options,
        links: &[&Link],
        token: u32,
    ) -> Result<()> {
        const INGRESS: bpf_attach_type = bpf_attach_type::BPF_TCX_INGRESS;
        let programs: BTreeSet<u32> = self.connection.netns().run(|| {
            // An interface may have gone since it was listed.
            let at = |link: &&Link| bpf::programs_at(link.index, INGRESS).unwrap_or_default();
            links.iter().flat_map(at).collect()
        })?;
        let visitor = Visitor { linked, options, token, host: &self.name, namespace: self.number };
        self.datapaths.visit(&programs, &visitor)
    }
}
