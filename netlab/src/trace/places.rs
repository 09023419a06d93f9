//! The places of a capture: namespaces, by the numbers that records name them with.
//!
//! Laws: a number means the same namespace for ever, so that what is in the ring, or was lost,
//! keeps its names. A place that was asked for is a name: where the namespace behind it is gone
//! and another comes, that gets a number of its own, and is captured in instead.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::Duration,
};

use futures_util::{
    Stream, StreamExt as _,
    stream::{self, BoxStream, SelectAll},
};
use netlab_common::event::{InterfaceKey, map};
use nix::errno::Errno;
use tokio::sync::oneshot;

use super::{
    Error, Hook, Result,
    interfaces::{Attached, Watch},
    object::Linked,
    options::{Options, Place},
};
use crate::netlink::{self, Connection, Netns};

/// How often programs and interfaces are looked for that came without a word.
const AGREE: Duration = Duration::from_secs(1);

/// How often the names are looked at. A namespace has no interfaces that are up so soon.
const LOOK: Duration = Duration::from_millis(100);

/// What attaching takes.
pub(super) struct Means<'a> {
    pub linked: &'a Linked,
    pub options: &'a Options,
    /// The number of a link that ends with this capture.
    pub token: u32,
}

/// What there is to be done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    /// Something has changed in the namespace of this number, or may have.
    Changed(usize),
    /// It is time to look at the names.
    Names,
}

/// All places.
pub(super) struct Places {
    numbered: Vec<Numbered>,
    asked: Vec<Asked>,
    words: SelectAll<BoxStream<'static, Word>>,
}

/// A place that was asked for.
struct Asked {
    /// What its packets are told to come from.
    host: Arc<str>,
    /// The namespace's name; None for this process's own, which no other takes the place of.
    netns: Option<String>,
    now: Option<Current>,
}

/// The namespace that is captured in at present.
struct Current {
    number: usize,
    inode: u64,
    /// Ends the namespace's words when it is dropped.
    _listening: oneshot::Sender<()>,
}

/// What a number means.
enum Numbered {
    Watched(Box<Watch>),
    /// A namespace that is gone, and what its interfaces were called.
    Gone {
        host: Arc<str>,
        names: BTreeMap<u32, Arc<str>>,
    },
}

impl Numbered {
    const fn watch(&self) -> Option<&Watch> {
        match self {
            Self::Watched(watch) => Some(watch),
            Self::Gone { .. } => None,
        }
    }

    fn watch_mut(&mut self) -> Option<&mut Watch> {
        match self {
            Self::Watched(watch) => Some(watch),
            Self::Gone { .. } => None,
        }
    }

    /// Lets go of the namespace.
    fn end(&mut self) -> Vec<Attached> {
        let Self::Watched(watch) = self else { return Vec::new() };
        let attached = watch.take_attached();
        let (host, names) = watch.all_names();
        *self = Self::Gone { host, names };
        attached
    }
}

impl Places {
    /// None so far.
    pub fn new() -> Self {
        let ticks = ticks(LOOK).map(|()| Word::Names).boxed();
        let words = [ticks].into_iter().collect();
        Self { numbered: Vec::new(), asked: Vec::new(), words }
    }

    /// Adds a place and attaches to what is there.
    pub async fn add(&mut self, place: Place, means: &Means<'_>) -> Result<()> {
        let netns = place.netns.given_name().map(str::to_owned);
        let host: Arc<str> = place.name.into();
        let now = self.enter(&host, &place.netns, means)?;
        let number = now.number;
        self.asked.push(Asked { host, netns, now: Some(now) });
        self.agree(number, means).await
    }

    /// Gives a namespace a number and listens to it. Nothing is attached yet.
    fn enter(&mut self, host: &Arc<str>, netns: &Netns, means: &Means<'_>) -> Result<Current> {
        let connection = Connection::open(netns)?;
        let inode = netns.inode()?;
        let number = self.numbered.len();
        let code = u32::try_from(number).unwrap_or(u32::MAX);
        let (listening, end) = oneshot::channel();
        // A tick beside the kernel's word: nobody announces programs at tc.
        let changes = stream::select(connection.changes()?, ticks(AGREE).boxed());
        let changes = changes.take_until(end).map(move |()| Word::Changed(number));
        if means.options.hooks.contains(&Hook::Drop) {
            means
                .linked
                .namespaces()?
                .insert(kernel_number(inode), code, 0)
                .map_err(|e| Error::map("write", map::NAMESPACES, e))?;
        }
        self.words.push(changes.boxed());
        let watch = Watch::new(Arc::clone(host), code, connection);
        self.numbered.push(Numbered::Watched(Box::new(watch)));
        Ok(Current { number, inode, _listening: listening })
    }

    /// The next thing to be done. Nothing is lost where this is dropped before it is ready.
    pub async fn word(&mut self) -> Word {
        // The ticks never end.
        self.words.next().await.unwrap_or(Word::Names)
    }

    /// Keeps up with the interfaces of a namespace.
    pub async fn agree(&mut self, number: usize, means: &Means<'_>) -> Result<()> {
        let Means { linked, options, token } = *means;
        let Some(watch) = self.numbered.get_mut(number).and_then(Numbered::watch_mut) else {
            // It has gone since the word was given.
            return Ok(());
        };
        let before: Vec<u32> = watch.selected().collect();
        let attached = watch.agree(linked, options, token).await;
        attached.and(self.select(number, &before, means))
    }

    /// Goes where a name has gone. For the rest there is another word at once: packets have to
    /// be taken out of the ring in between. What cannot be attached to does not keep the others
    /// from it.
    pub async fn follow_names(&mut self, means: &Means<'_>) -> Result<()> {
        let mut outcome = Ok(());
        for at in 0..self.asked.len() {
            match self.follow_name(at, means).await {
                Ok(false) => {}
                Ok(true) => {
                    self.words.push(stream::once(async { Word::Names }).boxed());
                    break;
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    /// Whether it had to go somewhere.
    async fn follow_name(&mut self, at: usize, means: &Means<'_>) -> Result<bool> {
        let Some(Asked { host, netns: Some(name), now }) = self.asked.get_mut(at) else {
            return Ok(false);
        };
        let found = match Netns::open(name) {
            Ok(netns) => Some(netns),
            Err(error) if is_gone(&error) => None,
            Err(error) => return Err(error.into()),
        };
        // As long as a namespace is held, no other has its number.
        let inode = found.as_ref().map(Netns::inode).transpose()?;
        if inode == now.as_ref().map(|now| now.inode) {
            return Ok(false);
        }
        let (host, was) = (Arc::clone(host), now.take());
        if let Some(was) = was {
            self.leave(&was, means)?;
        }
        let Some(netns) = found else {
            log::warn!("the namespace of {host} is gone; the capture waits for one of its name");
            return Ok(true);
        };
        let now = self.enter(&host, &netns, means)?;
        let number = now.number;
        if let Some(asked) = self.asked.get_mut(at) {
            asked.now = Some(now);
        }
        log::warn!("{host} is another namespace now; the capture goes on there");
        self.agree(number, means).await.map(|()| true)
    }

    /// Lets go of a namespace, so that it can end.
    fn leave(&mut self, was: &Current, means: &Means<'_>) -> Result<()> {
        let Some(numbered) = self.numbered.get_mut(was.number) else { return Ok(()) };
        // While the number is its own. What is not there need not be removed.
        if means.options.hooks.contains(&Hook::Drop) {
            let _ = means.linked.namespaces()?.remove(&kernel_number(was.inode));
        }
        let before: Vec<u32> = numbered.watch().into_iter().flat_map(Watch::selected).collect();
        detach(numbered.end());
        self.select(was.number, &before, means)
    }

    /// Tells the programs which interfaces of a namespace are asked for, where they were named;
    /// `before` are those that were until now.
    fn select(&self, number: usize, before: &[u32], means: &Means<'_>) -> Result<()> {
        if !means.options.interfaces.are_named() {
            return Ok(());
        }
        let mut selected = means.linked.interfaces()?;
        let namespace = u32::try_from(number).unwrap_or(u32::MAX);
        let watch = self.numbered.get(number).and_then(Numbered::watch);
        let now: BTreeSet<u32> = watch.into_iter().flat_map(Watch::selected).collect();
        for ifindex in before.iter().copied().filter(|index| !now.contains(index)) {
            // What is not there need not be removed.
            let _ = selected.remove(&InterfaceKey { namespace, ifindex });
        }
        for ifindex in now {
            selected
                .insert(InterfaceKey { namespace, ifindex }, 1, 0)
                .map_err(|e| Error::map("write", map::INTERFACES, e))?;
        }
        Ok(())
    }

    /// Those that there are now.
    pub fn watched(&self) -> impl Iterator<Item = &Watch> {
        self.numbered.iter().filter_map(Numbered::watch)
    }

    /// The host of a number; None where nothing has it.
    pub fn host(&self, number: u32) -> Option<&str> {
        match self.numbered.get(number as usize)? {
            Numbered::Watched(watch) => Some(watch.host()),
            Numbered::Gone { host, .. } => Some(host),
        }
    }

    /// What an interface is called, or was when it was last seen; empty where nobody knows.
    pub fn interface(&self, number: u32, ifindex: u32) -> &str {
        let name = match self.numbered.get(number as usize) {
            Some(Numbered::Watched(watch)) => watch.name(ifindex),
            Some(Numbered::Gone { names, .. }) => names.get(&ifindex),
            None => None,
        };
        name.map_or("", |name| name)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        detach(self.numbered.iter_mut().flat_map(Numbered::end).collect());
    }
}

/// Detaches everything at the same time, as far as the kernel does.
fn detach(attached: Vec<Attached>) {
    thread::scope(|scope| {
        for one in attached {
            scope.spawn(move || drop(one));
        }
    });
}

/// Whether it says that there is no namespace of the name. A name is a file without a namespace
/// for a moment, when it comes and when it goes.
fn is_gone(error: &netlink::Error) -> bool {
    error.is_absent() || error.errno() == Some(Errno::EINVAL)
}

/// A namespace's inode number as the kernel has it in its own structures: 32 bits.
fn kernel_number(inode: u64) -> u32 {
    u32::try_from(inode).unwrap_or(0)
}

fn ticks(pause: Duration) -> impl Stream<Item = ()> + Send {
    stream::unfold((), move |()| async move {
        tokio::time::sleep(pause).await;
        Some(((), ()))
    })
}
