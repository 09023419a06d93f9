//! A netlink conversation with one namespace.

use futures_util::{Stream, StreamExt};
use rtnetlink::{Handle, MulticastGroup};
use tokio::task::JoinHandle;

use super::{Cause, Error, Netns, Result};

/// A route-netlink socket that lives in a namespace; its user need not.
///
/// The methods for links are in `links.rs`, those for addresses, neighbors and FDB entries in
/// `entries.rs`, those for routes in `routes.rs`.
#[derive(Debug)]
pub struct Connection {
    pub(super) handle: Handle,
    pub(super) netns: Netns,
    task: JoinHandle<()>,
}

impl Connection {
    /// Opens a socket inside the namespace. To be called on a tokio runtime, which then also
    /// drives the socket.
    ///
    /// # Errors
    ///
    /// Where the namespace cannot be entered or the socket not made.
    pub fn open(netns: &Netns) -> Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        let (connection, handle, _) = netns
            .run(|| {
                let _runtime = runtime.enter();
                rtnetlink::new_connection()
            })?
            .map_err(|e| Error::new("open a netlink socket in", netns.name(), e))?;
        Ok(Self { handle, netns: netns.clone(), task: runtime.spawn(connection) })
    }

    /// Opens a socket in the calling thread's namespace, which needs no privilege.
    ///
    /// # Errors
    ///
    /// Where the socket cannot be made.
    pub fn here() -> Result<Self> {
        let netns = Netns::current()?;
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|e| Error::new("open a netlink socket in", netns.name(), e))?;
        Ok(Self { handle, netns, task: tokio::spawn(connection) })
    }

    /// The namespace that the socket lives in.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Yields whenever a link, address, route, neighbor or FDB entry of the namespace has
    /// changed since the last time; a burst of changes yields once.
    ///
    /// Listening has begun when this returns, so what is observed afterwards is not stale
    /// without a word. Ends only where the socket breaks.
    ///
    /// # Errors
    ///
    /// Where the socket cannot be made.
    pub fn changes(&self) -> Result<impl Stream<Item = ()> + Send + Unpin + use<>> {
        const GROUPS: [MulticastGroup; 6] = [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ];
        const BURST: usize = 4096;
        let runtime = tokio::runtime::Handle::current();
        let (connection, handle, messages) = self
            .netns
            .run(|| {
                let _runtime = runtime.enter();
                rtnetlink::new_multicast_connection(&GROUPS)
            })?
            .map_err(|e| Error::new("listen for changes in", self.netns.name(), e))?;
        let task = AbortOnDrop(runtime.spawn(connection));
        Ok(messages.ready_chunks(BURST).map(move |_| {
            // The connection ends when its last handle goes.
            let _alive = (&handle, &task);
        }))
    }

    /// Makes an error that says in which namespace it happened.
    pub(super) fn failed(
        &self,
        operation: &'static str,
        subject: impl std::fmt::Display,
        source: impl Into<Cause>,
    ) -> Error {
        Error::new(operation, format!("{subject} in {}", self.netns.name()), source)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
